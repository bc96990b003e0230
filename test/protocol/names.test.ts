import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { encodeHeaderValue } from '../../src/protocol/header-value.js';
import { assignNames, type NamingEntry, type NamingServer, shortenName } from '../../src/protocol/names.js';

const files: NamingServer = { name: 'files', prefix: 'files', priority: 0 };
const notes: NamingServer = { name: 'notes', prefix: 'notes', priority: 5 };
const bare: NamingServer = { name: 'bare', prefix: null, priority: 0 };
const rules = { separator: '__', maxNameLength: 64 } as const;
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

test('a name of 64 characters stays, one of 65 is cut the same way each time', () => {
  assert.equal(shortenName('x'.repeat(64), 64), 'x'.repeat(64));
  const short = shortenName('x'.repeat(65), 64);
  assert.equal(short, 'x'.repeat(55) + short.slice(55));
  assert.match(short, /^x{55}_[a-z2-7]{8}$/);
  assert.equal(shortenName('x'.repeat(65), 64), short);
  assert.notEqual(shortenName('x'.repeat(66), 64), short);
});

test('shortening does not split a character', () => {
  assert.doesNotMatch(
    shortenName(`${'x'.repeat(54)}\u{1f600}${'y'.repeat(20)}`, 64),
    /[\ud800-\udbff](?![\udc00-\udfff])/,
  );
});

test('a shortened name never takes the name that an upstream chose', () => {
  const long = 'y'.repeat(80);
  const short = shortenName(`files__${long}`, 64);
  const entries = [
    { server: 0, name: long },
    { server: 1, name: short },
  ];
  const [first, second] = assignNames(entries, [files, bare], { ...rules, conflict: 'prefix' });
  assert.equal(second?.publicName, short);
  assert.equal(first?.fate, 'listed');
  assert.equal(first?.publicName, shortenName(`files__${long}`, 64, 1));
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
        if (naming.fate === 'listed') assert.ok(naming.publicName.length <= 64);
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
      const another: NamingServer = { name: 'zz', prefix: 'zz', priority: 9 };
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
