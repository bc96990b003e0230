import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { encodeHeaderValue } from '../../../src/protocol/header-value.js';
import { hashedName, longestName } from '../../../src/protocol/names/forms.js';
import { assignNames, type NamingEntry, type NamingServer } from '../../../src/protocol/names/index.js';

const files: NamingServer = { name: 'files', prefix: 'files', priority: 0, rename: null };
const notes: NamingServer = { name: 'notes', prefix: 'notes', priority: 5, rename: null };
const bare: NamingServer = { name: 'bare', prefix: null, priority: 0, rename: null };
const rules = { separator: '__', names: 'strict', maxNameLength: 64, namePrefixRoom: 16 } as const;
/** The longest name under these rules. */
const LONGEST = 48;
type Conflict = 'prefix' | 'auto-prefix' | 'reject' | 'priority';

const rows: {
  conflict: Conflict;
  servers: NamingServer[];
  offered: [server: number, name: string][];
  names: (string | null)[];
}[] = [
  {
    conflict: 'prefix',
    servers: [files, notes],
    offered: [
      [0, 'read'],
      [1, 'read'],
      [1, 'write'],
    ],
    names: ['files__read', 'notes__read', 'notes__write'],
  },
  {
    conflict: 'prefix',
    servers: [bare, files],
    offered: [
      [0, 'read'],
      [1, 'read'],
    ],
    names: ['read', 'files__read'],
  },
  {
    conflict: 'prefix',
    servers: [files, bare],
    offered: [
      [0, 'read'],
      [1, 'files__read'],
    ],
    names: ['(files:read)', 'files__read'],
  },
  {
    conflict: 'prefix',
    servers: [bare, { ...bare, name: 'other' }],
    offered: [
      [0, 'read'],
      [1, 'read'],
    ],
    names: ['read', '(other:read)'],
  },
  {
    conflict: 'prefix',
    servers: [files],
    offered: [
      [0, 'read'],
      [0, 'read'],
    ],
    names: ['files__read', null],
  },
  {
    conflict: 'auto-prefix',
    servers: [files, notes],
    offered: [
      [0, 'read'],
      [0, 'list'],
      [1, 'read'],
      [1, 'write'],
    ],
    names: ['files__read', 'list', 'notes__read', 'write'],
  },
  {
    conflict: 'auto-prefix',
    servers: [bare, notes],
    offered: [
      [0, 'read'],
      [1, 'read'],
    ],
    names: ['read', 'notes__read'],
  },
  {
    conflict: 'auto-prefix',
    servers: [files, notes, bare],
    offered: [
      [0, 'read'],
      [1, 'read'],
      [2, 'files__read'],
    ],
    names: ['(files:read)', 'notes__read', 'files__read'],
  },
  {
    conflict: 'reject',
    servers: [files, notes],
    offered: [
      [0, 'read'],
      [1, 'read'],
      [1, 'write'],
    ],
    names: ['read', '(notes:read)', 'write'],
  },
  {
    conflict: 'priority',
    servers: [files, notes],
    offered: [
      [0, 'read'],
      [0, 'list'],
      [1, 'read'],
    ],
    names: ['(files:read)', 'list', 'read'],
  },
  {
    conflict: 'priority',
    servers: [files, { ...notes, priority: 0 }],
    offered: [
      [0, 'read'],
      [1, 'read'],
    ],
    names: ['read', '(notes:read)'],
  },
];
for (const { conflict, servers, offered, names } of rows) {
  const what = offered.map(([server, name]) => `${servers[server]?.name}:${name}`).join(' ');
  test(`${conflict} names ${what} as ${names.join(' ')}`, () => {
    const entries = offered.map(([server, name]) => ({ server, name }));
    const result = assignNames(entries, servers, { ...rules, conflict });
    const shown = result.map(({ fate, publicName }) =>
      fate === 'listed' ? publicName : fate === 'hidden' ? `(${publicName})` : null,
    );
    assert.deepEqual(shown, names);
  });
}

const only = (server: NamingServer, name: string, changes: Partial<Parameters<typeof assignNames>[2]> = {}) =>
  assignNames([{ server: 0, name }], [server], { ...rules, conflict: 'prefix', ...changes })[0]!;

const forms: [server: NamingServer, name: string, offered: string | RegExp, change: string, as?: 'as-is'][] = [
  [files, 'read', 'files__read', ''],
  [files, 'a.b/c d', 'files__a_b_c_d', 'characters'],
  [files, 'a.b/c d', 'files__a.b/c d', '', 'as-is'],
  [bare, 'caf\u00e9', 'caf_', 'characters'],
  [bare, '\u{1f600}x', '_x', 'characters'],
  [files, '\u5929\u6c14', /^files____\w*_[a-z2-7]{8}$/, 'characters'],
  [bare, 'x'.repeat(LONGEST), 'x'.repeat(LONGEST), ''],
  [bare, 'x'.repeat(LONGEST + 1), /^x{39}_[a-z2-7]{8}$/, 'length'],
  [bare, '.'.repeat(90), /^_{39}_[a-z2-7]{8}$/, 'length'],
  [{ ...files, rename: { read: 'get' } }, 'read', 'files__get', 'rename'],
  [{ ...files, rename: { read: 'get' } }, 'toString', 'files__toString', ''],
  [{ ...files, rename: 'v1_{name}_{server}' }, 'read', 'files__v1_read_files', 'rename'],
  [{ ...bare, rename: '{name}{name}' }, 'a.b', 'a_ba_b', 'characters'],
];
for (const [server, name, offered, change, names] of forms) {
  test(`${names ?? 'strict'}: ${server.name}:${name.slice(0, 20)} (${name.length}) is offered as ${offered}`, () => {
    const naming = only(server, name, names === undefined ? {} : { names });
    assert.ok(
      typeof offered === 'string' ? naming.publicName === offered : offered.test(naming.publicName),
      naming.publicName,
    );
    assert.equal(naming.change, change);
  });
}

test('the longest name leaves room for what clients put in front, and has at least 16 characters', () => {
  assert.equal(longestName(rules), 48);
  assert.equal(longestName({ ...rules, namePrefixRoom: 0 }), 64);
  assert.equal(longestName({ ...rules, maxNameLength: 200, namePrefixRoom: 0 }), 64);
  assert.equal(longestName({ ...rules, names: 'as-is', maxNameLength: 200 }), 184);
  assert.equal(longestName({ ...rules, namePrefixRoom: 500 }), 16);
});

test('shortening does not split a character, and differs with each name', () => {
  const long = `${'x'.repeat(38)}\u{1f600}${'y'.repeat(20)}`;
  const short = hashedName(long, long, LONGEST);
  assert.match(short, /^x{38}_[a-z2-7]{8}$/);
  assert.equal(hashedName(long, long, LONGEST), short);
  assert.notEqual(hashedName(`${long}y`, `${long}y`, LONGEST), short);
});

test('names that become equal all get a hash, in any order, and the one that needs no change keeps its name', () => {
  const offered = ['a.b', 'a/b', 'a_b', 'a:c', 'a c'];
  const of = (texts: readonly string[]): Map<string, string> => {
    const entries = texts.map((name) => ({ server: 0, name }));
    const namings = assignNames(entries, [files], { ...rules, conflict: 'prefix' });
    return new Map(texts.map((name, at) => [name, namings[at]!.publicName]));
  };
  const names = of(offered);
  assert.equal(names.get('a_b'), 'files__a_b');
  for (const name of ['a.b', 'a/b']) assert.match(names.get(name)!, /^files__a_b_[a-z2-7]{8}$/);
  for (const name of ['a:c', 'a c']) assert.match(names.get(name)!, /^files__a_c_[a-z2-7]{8}$/);
  assert.equal(new Set(names.values()).size, 5);
  const reversed = of(offered.toReversed());
  for (const name of offered) assert.equal(reversed.get(name), names.get(name));
});

test('a name that reads as the address of an entry of another server is never offered', () => {
  const entries = [{ server: 1, name: 'files:read' }];
  const [naming] = assignNames(entries, [files, bare], { ...rules, names: 'as-is', conflict: 'prefix' });
  assert.equal(naming?.publicName, 'files_read');
});

test('a shortened name never takes the name that an upstream chose', () => {
  const long = 'y'.repeat(80);
  const full = `files__${long}`;
  const short = hashedName(full, full, LONGEST);
  const entries = [
    { server: 0, name: long },
    { server: 1, name: short },
  ];
  const [first, second] = assignNames(entries, [files, bare], { ...rules, conflict: 'prefix' });
  assert.equal(second?.publicName, short);
  assert.equal(first?.fate, 'listed');
  assert.equal(first?.publicName, hashedName(full, full, LONGEST, 1));
});

const conflicts = fc.constantFrom<Conflict>('prefix', 'auto-prefix', 'reject', 'priority');
const toolName = fc.oneof(
  fc.constantFrom('read', 'write', 'a__read', 'b__read', 'c:read', 'a:write', 'list'),
  fc.stringMatching(/^[a-c_]{1,6}$/),
  fc.stringMatching(/^[a-z]{60,90}$/),
  fc.string({ minLength: 1, maxLength: 80, unit: 'grapheme' }),
);
const servers = ['a', 'b', 'c', 'd'].map(
  (name, index): NamingServer => ({
    name,
    prefix: index === 3 ? null : name,
    priority: index % 2,
    rename: index === 1 ? 'new_{name}' : index === 2 ? { read: 'write', list: 'read' } : null,
  }),
);
const offers = fc
  .array(fc.record({ server: fc.nat(3), name: toolName }), { maxLength: 40 })
  .map((entries) => entries.toSorted((x, y) => x.server - y.server));

test('public names are unique, bounded, and lead back to one entry each', () => {
  fc.assert(
    fc.property(offers, conflicts, (entries, conflict) => {
      const namings = assignNames(entries, servers, { ...rules, conflict });
      assert.equal(namings.length, entries.length);
      const back = new Map<string, NamingEntry>();
      for (const [position, entry] of entries.entries()) {
        const naming = namings[position]!;
        if (naming.fate === 'dropped') {
          assert.ok(naming.winner >= 0);
          continue;
        }
        assert.ok(!back.has(naming.publicName), naming.publicName);
        back.set(naming.publicName, entry);
        if (naming.fate === 'listed') assert.match(naming.publicName, /^[a-zA-Z0-9_-]{1,48}$/);
        else assert.equal(naming.publicName, `${servers[entry.server]?.name}:${entry.name}`);
      }
      const distinct = new Set(entries.map(({ server, name }) => `${server}\n${name}`));
      assert.ok(back.size <= distinct.size);
    }),
    { numRuns: 2000 },
  );
});

test('names do not change when a server that shares none of them is added, removed or moved', () => {
  fc.assert(
    fc.property(offers, conflicts, fc.nat(4), (entries, conflict, place) => {
      const alone = assignNames(entries, servers, { ...rules, conflict });
      const another: NamingServer = { name: 'zz', prefix: 'zz', priority: 9, rename: null };
      const others = servers.toSpliced(place, 0, another);
      const moved = entries.map(({ server, name }) => ({ server: server >= place ? server + 1 : server, name }));
      const at = moved.findIndex(({ server }) => server > place);
      const position = at === -1 ? moved.length : at;
      const together = assignNames(moved.toSpliced(position, 0, { server: place, name: '\u0001 only here' }), others, {
        ...rules,
        conflict,
      }).toSpliced(position, 1);
      const shown = (namings: ReturnType<typeof assignNames>) =>
        namings.map(({ fate, publicName }) => [fate, publicName]);
      assert.deepEqual(shown(together), shown(alone));
    }),
    { numRuns: 1000 },
  );
});

const headers: [text: string, value: string][] = [
  ['read_file', 'read_file'],
  ['two words\tand tab', 'two words\tand tab'],
  ['', '=?base64??='],
  [' lead', '=?base64?IGxlYWQ=?='],
  ['trail ', '=?base64?dHJhaWwg?='],
  ['grün', '=?base64?Z3LDvG4=?='],
  ['a\r\nX-Evil: 1', '=?base64?YQ0KWC1FdmlsOiAx?='],
  ['=?base64?YQ==?=', '=?base64?PT9iYXNlNjQ/WVE9PT89?='],
];
for (const [text, value] of headers) {
  test(`header value of ${JSON.stringify(text)}`, () => assert.equal(encodeHeaderValue(text), value));
}
