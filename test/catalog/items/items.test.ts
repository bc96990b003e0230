import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { CompiledItems, compileLists } from '../../../src/catalog/compile-lists.js';
import { type Item, readItem } from '../../../src/catalog/items/index.js';
import { toLatin1 } from '../../../src/catalog/items/json-text.js';
import { wrapOutputSchema } from '../../../src/catalog/items/legacy-schema.js';
import { LISTS, type ListName } from '../../../src/catalog/items/list-names.js';
import { withoutNulls } from '../../../src/catalog/items/nulls.js';
import { Era } from '../../../src/protocol/revisions.js';
import { EntryFlag } from '../../../src/shared/catalog-table.js';
import { packShared } from '../../../src/shared/packed.js';

const { legacy: LEGACY, modern: MODERN } = Era;

function read(text: string, list: ListName = 'tools'): Item {
  const item = readItem(list, Buffer.from(text), false);
  assert.ok(typeof item === 'object', String(item));
  return item;
}

function render(
  text: string,
  publicName: string | null,
  era: Era,
  list: ListName = 'tools',
  isRenamed = false,
): string {
  const lists = LISTS.map((name) => packShared(name === list ? [text] : []));
  const items = new CompiledItems(compileLists({ lists, checkHeaders: false })[LISTS.indexOf(list)]!);
  return Buffer.from(items.render(0, publicName ?? items.name(0), isRenamed)[era] ?? '', 'latin1').toString('utf8');
}

function refusal(text: string, list: ListName = 'tools', http = false): string {
  const item = readItem(list, Buffer.from(text), http);
  assert.ok(typeof item === 'string', 'the item was taken');
  return item;
}

const strange =
  '{ "zeta":1E400,"inputSchema":{"type":"object","n":1.50,"$comment":"{\\"name\\":1}"} , "name" : "r\\u0065ad",' +
  '"_meta":{"a/b":9007199254740993,"":[]}, "annotations":{"title":"Grün \u{1f600}","x":null},"icons":[]}';

const renames: [item: string, rest: string, list?: ListName][] = [
  [
    '{"name":"a.b","inputSchema":{"type":"object"}}',
    '"inputSchema":{"type":"object"},"title":"a.b","_meta":{"switchyard/originalName":"a.b"}}',
  ],
  ['{"name":"a.b","title":"T"}', '"title":"T","_meta":{"switchyard/originalName":"a.b"}}', 'prompts'],
  [
    '{"_meta":{"k":[1]},"name":"a.b","inputSchema":{"type":"object"},"annotations":{"title":"A"}}',
    '"_meta":{"switchyard/originalName":"a.b","k":[1]},"inputSchema":{"type":"object"},"annotations":{"title":"A"}}',
  ],
  ['{"name":"a.b","_meta":{ }}', '"_meta":{"switchyard/originalName":"a.b" },"title":"a.b"}', 'prompts'],
  [
    '{"name":"\u5929\\n\\"","description":"d"}',
    '"description":"d","title":"\u5929\\n\\"","_meta":{"switchyard/originalName":"\u5929\\n\\""}}',
    'prompts',
  ],
];
for (const [item, rest, list] of renames) {
  test(`an item under a changed name keeps its own as title and in _meta: ${item}`, () => {
    for (const era of [LEGACY, MODERN]) {
      const shown = JSON.parse(render(item, 'x__a_b', era, list, true)) as object;
      assert.deepEqual(shown, JSON.parse(`{"name":"x__a_b",${rest}`));
    }
  });
}

test('only the name of an item changes', () => {
  assert.equal(render(strange, null, MODERN), strange);
  assert.equal(render(strange, null, LEGACY), strange);
  assert.equal(render(strange, 'files__read', MODERN), strange.replace('"r\\u0065ad"', '"files__r\\u0065ad"'));
  assert.equal(render(strange, 'sh_aaaa', MODERN), strange.replace('"r\\u0065ad"', '"sh_aaaa"'));
});

test('a prefix that needs escapes is written as JSON', () => {
  const text = '{"name":"read","inputSchema":{"type":"object"}}';
  assert.equal(JSON.parse(render(text, 'a"\\é__read', MODERN)).name, 'a"\\é__read');
});

test('line ends between tokens become spaces, so that an item fits on a line of an event stream', () => {
  const text = '{\r\n  "name": "read",\n  "inputSchema": {"type":"object"},\n  "description": "a\\nb"\n}';
  assert.equal(render(text, null, MODERN), text.replaceAll(/[\r\n]/g, ' '));
});

test('modern clients do not see execution, wherever it stands', () => {
  const rows: [string, string][] = [
    ['{"execution":{},"name":"a","inputSchema":{"type":"object"}}', '{"name":"a","inputSchema":{"type":"object"}}'],
    [
      '{"name":"a","execution":{"x":[1]} ,"inputSchema":{"type":"object"}}',
      '{"name":"a","inputSchema":{"type":"object"}}',
    ],
    ['{"name":"a","inputSchema":{"type":"object"},"execution":{} }', '{"name":"a","inputSchema":{"type":"object"} }'],
  ];
  for (const [text, modern] of rows) {
    assert.equal(render(text, null, MODERN), modern);
    assert.equal(render(text, null, LEGACY), text);
  }
});

const wraps: [name: string, natural: object, wrapped: object][] = [
  ['an array', { type: 'array' }, { type: 'array' }],
  ['a root without type', { anyOf: [{ $ref: '#' }] }, { anyOf: [{ $ref: '#/properties/result' }] }],
  [
    'local pointers',
    { type: 'array', items: { $ref: '#/$defs/a' }, $defs: { a: { $dynamicRef: '#/$defs/b' }, b: true } },
    {
      type: 'array',
      items: { $ref: '#/properties/result/$defs/a' },
      $defs: { a: { $dynamicRef: '#/properties/result/$defs/b' }, b: true },
    },
  ],
  ['an anchor', { type: 'array', items: { $ref: '#item' } }, { type: 'array', items: { $ref: '#item' } }],
  [
    'data that looks like a pointer',
    { type: 'array', default: [{ $ref: '#/a' }], items: { const: { $ref: '#/a' }, enum: [{ $ref: '#/b' }] } },
    { type: 'array', default: [{ $ref: '#/a' }], items: { const: { $ref: '#/a' }, enum: [{ $ref: '#/b' }] } },
  ],
  [
    'a property called default or $ref',
    { type: ['object', 'null'], properties: { default: { $ref: '#/x' }, $ref: { type: 'string' } } },
    { type: ['object', 'null'], properties: { default: { $ref: '#/properties/result/x' }, $ref: { type: 'string' } } },
  ],
  [
    'a subschema with its own base',
    { type: 'array', items: { $id: 'https://example.com/x', $ref: '#/a' } },
    { type: 'array', items: { $id: 'https://example.com/x', $ref: '#/a' } },
  ],
  ['a root with its own base', { $id: 'urn:x', items: { $ref: '#/a' } }, { $id: 'urn:x', items: { $ref: '#/a' } }],
  [
    'an $id that is an anchor',
    { type: 'array', items: { $id: '#x', $ref: '#/a' } },
    { type: 'array', items: { $id: '#x', $ref: '#/properties/result/a' } },
  ],
  [
    'recursion of 2019-09',
    { $schema: 'https://json-schema.org/draft/2019-09/schema', items: { $recursiveRef: '#' } },
    { $schema: 'https://json-schema.org/draft/2019-09/schema', items: { $ref: '#/properties/result' } },
  ],
];
for (const [name, natural, inner] of wraps) {
  test(`the schema around ${name} leads where the old one did`, () => {
    const text = `  ${JSON.stringify(natural)}`;
    const { $schema } = natural as { $schema?: string };
    const expected = {
      ...($schema === undefined ? {} : { $schema }),
      type: 'object',
      properties: { result: inner },
      required: ['result'],
    };
    assert.deepEqual(JSON.parse(wrapOutputSchema(text, 2, text.length)), expected);
  });
}

test('legacy clients get an object around any other output schema', () => {
  const natural = '{"type":"array", "items":{"const":1.0}}';
  const text = `{"name":"a","outputSchema":${natural},"inputSchema":{"type":"object"}}`;
  assert.equal(render(text, null, MODERN), text);
  const wrapped = `{"type":"object","properties":{"result":${natural}},"required":["result"]}`;
  assert.equal(render(text, 'p__a', LEGACY), text.replace('"a"', '"p__a"').replace(natural, wrapped));
});

test('an output schema that legacy clients cannot compile is removed for them only', () => {
  const text = '{"name":"a","outputSchema":{"type":"object","required":true},"inputSchema":{"type":"object"}}';
  assert.equal(render(text, null, MODERN), text);
  assert.equal(render(text, null, LEGACY), '{"name":"a","inputSchema":{"type":"object"}}');
  assert.match(read(text).repaired, /legacy clients: required/);
});

test('an output schema of an object is unchanged', () => {
  const text = '{"name":"a","inputSchema":{"type":"object"},"outputSchema":{"type":"object","x":1.0}}';
  assert.equal(render(text, 'p__a', LEGACY), text.replace('"a"', '"p__a"'));
});

test('boolean property schemas are spelled as objects towards legacy clients', () => {
  const text = '{"name":"a","inputSchema":{"type":"object","properties":{"x":true,"y": false,"z":{"a":true}}}}';
  assert.equal(render(text, null, MODERN), text);
  assert.equal(render(text, null, LEGACY), text.replace('true', '{}').replace('false', '{"not":{}}'));
});

const repairs: [list: ListName, text: string, repaired: string][] = [
  ['tools', '{"name":"a"}', '{"name":"a","inputSchema":{"type":"object"}}'],
  ['tools', '{"name":"a","inputSchema":{}}', '{"name":"a","inputSchema":{"type":"object"}}'],
  [
    'tools',
    '{"description":null,"name":"a","inputSchema":{"type":"object"},"title":5}',
    '{"name":"a","inputSchema":{"type":"object"}}',
  ],
  [
    'tools',
    '{"name":"a","annotations":{"readOnlyHint":"yes"},"outputSchema":[],"inputSchema":{"x":1}}',
    '{"name":"a","inputSchema":{"type":"object","x":1}}',
  ],
  ['prompts', '{"name":"a","arguments":[{"title":"x"}]}', '{"name":"a"}'],
  ['resources', '{"uri":"a:b"}', '{"uri":"a:b","name":"a:b"}'],
  ['templates', '{"mimeType":5,"uriTemplate":"a:{b}","name":"x"}', '{"uriTemplate":"a:{b}","name":"x"}'],
];
for (const [list, text, repaired] of repairs) {
  test(`${list} item ${text} is repaired`, () => {
    assert.equal(render(text, null, MODERN, list), repaired);
    assert.notEqual(read(text, list).repaired, '');
  });
}

const refused: [list: ListName, text: string][] = [
  ['tools', '[]'],
  ['tools', 'null'],
  ['tools', '{'],
  ['tools', '{"title":"x"}'],
  ['tools', '{"name":""}'],
  ['tools', '{"name":5}'],
  ['tools', '{"name":"a","name":"b","inputSchema":{"type":"object"}}'],
  ['tools', '{"name":"a","n\\u0061me":"b","inputSchema":{"type":"object"}}'],
  ['tools', '{"name":"a","inputSchema":{"type":"array"}}'],
  ['tools', '{"name":"a","inputSchema":5}'],
  ['tools', '{"name":"a","inputSchema":{"type":"object","required":"x"}}'],
  ['resources', '{"name":"a"}'],
  ['templates', '{"uri":"a:b","name":"a"}'],
];
for (const [list, text] of refused)
  test(`${list} item ${text} is not offered`, () => assert.notEqual(refusal(text, list), ''));

test('bytes that are not UTF-8 are not offered', () => {
  const bytes = Buffer.from('{"name":"a\xff","inputSchema":{"type":"object"}}', 'latin1');
  assert.equal(readItem('tools', bytes, false), 'it is not UTF-8');
});

test('hints become flags, and only when they are true', () => {
  const hints = '"annotations":{"readOnlyHint":true,"idempotentHint":false,"destructiveHint":true}';
  assert.equal(
    read(`{"name":"a","inputSchema":{"type":"object"},${hints}}`).flags,
    EntryFlag.readOnly | EntryFlag.destructive,
  );
});

const HEADER_TOOL = (properties: object, more: object = {}): string =>
  JSON.stringify({ name: 'a', inputSchema: { type: 'object', properties, ...more } });

test('annotated arguments are found through nested properties', () => {
  const item = read(
    HEADER_TOOL({
      region: { type: 'string', 'x-mcp-header': 'Region' },
      where: { type: 'object', properties: { id: { type: 'integer', 'x-mcp-header': 'Where-Id' } } },
    }),
  );
  assert.equal(item.flags, EntryFlag.headerParams);
  assert.deepEqual(item.headerParams, [
    { path: ['region'], header: 'Region', type: 'string' },
    { path: ['where', 'id'], header: 'Where-Id', type: 'integer' },
  ]);
});

const invalidHeaders: [name: string, text: string][] = [
  ['an empty name', HEADER_TOOL({ a: { type: 'string', 'x-mcp-header': '' } })],
  ['a name with a space', HEADER_TOOL({ a: { type: 'string', 'x-mcp-header': 'a b' } })],
  ['a number', HEADER_TOOL({ a: { type: 'number', 'x-mcp-header': 'A' } })],
  [
    'one header twice',
    HEADER_TOOL({ a: { type: 'string', 'x-mcp-header': 'A' }, b: { type: 'string', 'x-mcp-header': 'a' } }),
  ],
  ['an element of a list', HEADER_TOOL({ a: { type: 'array', items: { type: 'string', 'x-mcp-header': 'A' } } })],
  ['a branch', HEADER_TOOL({}, { anyOf: [{ properties: { a: { type: 'string', 'x-mcp-header': 'A' } } }] })],
];
for (const [name, text] of invalidHeaders) {
  test(`x-mcp-header on ${name} excludes the tool over HTTP and is ignored over stdio`, () => {
    assert.match(refusal(text, 'tools', true), /x-mcp-header/);
    assert.equal(read(text).flags, 0);
  });
}

test('any JSON around the name survives byte for byte', () => {
  fc.assert(
    fc.property(fc.json({ maxDepth: 4 }), fc.stringMatching(/^[ \t]{0,3}$/), fc.boolean(), (value, space, first) => {
      const name = `${space}"name"${space}:${space}"read"`;
      const unknown = `"un\\"known":${value}`;
      const rest = `"inputSchema":{"type":"object","x":${value}}`;
      const text = first ? `{${name},${unknown},${rest}}` : `{${rest},${unknown},${name}${space}}`;
      assert.equal(render(text, 'p__read', MODERN), text.replace('"read"', '"p__read"'));
    }),
    { numRuns: 1000 },
  );
});

test('null counts as absent where a member is optional, and an empty array as an empty object', () => {
  const schema = '"inputSchema":{"type":"object"}';
  const rows: [list: ListName, text: string, expected: string][] = [
    ['tools', `{"name":"a",${schema},"title":null,"_meta":null,"own":null}`, `{"name":"a",${schema},"own":null}`],
    ['tools', `{"name":"a","inputSchema":null}`, `{"name":"a",${schema}}`],
    ['tools', `{"name":"a","inputSchema":[]}`, `{"name":"a",${schema}}`],
    [
      'tools',
      '{"name":"a","inputSchema":{"type":"object","properties":null,"required":null}}',
      `{"name":"a",${schema}}`,
    ],
    [
      'tools',
      '{"name":"a","inputSchema":{"type":"object","properties":[ ],"required":[]}}',
      '{"name":"a","inputSchema":{"type":"object","properties":{},"required":[]}}',
    ],
    [
      'tools',
      '{"inputSchema":{"required":null,"type":"object","properties":{"p":null,"q":[],"null":{"default":null,"title":null}}},"name":"a"}',
      '{"inputSchema":{"type":"object","properties":{"p":{},"q":{},"null":{"default":null}}},"name":"a"}',
    ],
    [
      'tools',
      `{"name":"a",${schema},"annotations":{"title":null,"readOnlyHint":true,"destructiveHint":null,"own":null}}`,
      `{"name":"a",${schema},"annotations":{"readOnlyHint":true,"own":null}}`,
    ],
    [
      'tools',
      `{"name":"a",${schema},"outputSchema":null,"execution":{"taskSupport":null},"icons":[{"src":"s","sizes":null}]}`,
      `{"name":"a",${schema},"execution":{},"icons":[{"src":"s"}]}`,
    ],
    [
      'tools',
      `{"name":"a",${schema},"outputSchema":{"type":"object","properties":{"x":{"anyOf":[{"type":"null","enum":null},{"const":null}],"items":null}}}}`,
      `{"name":"a",${schema},"outputSchema":{"type":"object","properties":{"x":{"anyOf":[{"type":"null"},{"const":null}]}}}}`,
    ],
    [
      'prompts',
      '{"name":"p","arguments":[{"name":"x","description":null,"required":null},{"title":null,"name":"y"}]}',
      '{"name":"p","arguments":[{"name":"x"},{"name":"y"}]}',
    ],
    ['prompts', '{"name":"p","arguments":null,"description":null}', '{"name":"p"}'],
    [
      'resources',
      '{"uri":"u://x","name":null,"size":null,"mimeType":null,"annotations":{"audience":null,"priority":0.5}}',
      '{"uri":"u://x","annotations":{"priority":0.5},"name":"u://x"}',
    ],
    [
      'templates',
      '{"title":null,"uriTemplate":"u://{x}","name":"t","annotations":null}',
      '{"uriTemplate":"u://{x}","name":"t"}',
    ],
  ];
  for (const [list, text, expected] of rows) {
    assert.deepEqual(JSON.parse(render(text, null, LEGACY, list)), withoutExecution(JSON.parse(expected), false), text);
    assert.deepEqual(JSON.parse(render(text, null, MODERN, list)), withoutExecution(JSON.parse(expected), true), text);
  }
  const hinted = read(`{"name":"a",${schema},"annotations":{"title":null,"readOnlyHint":true}}`);
  assert.equal(hinted.flags & EntryFlag.readOnly, EntryFlag.readOnly, 'the hint counts');
  assert.equal(hinted.repaired, '', 'nothing had to be repaired');
});

function withoutExecution({ execution, ...item }: Record<string, unknown>, isModern: boolean): object {
  return execution === undefined || isModern ? item : { ...item, execution };
}

test('what an item means is not changed by nulls in other places', () => {
  const schema = fc.letrec((tie) => ({
    schema: fc.dictionary(
      fc.constantFrom('type', 'title', 'default', 'const', 'enum', 'properties', 'items', 'anyOf', 'x-own', 'required'),
      fc.oneof(
        fc.constant(null),
        fc.string(),
        fc.constant([]),
        tie('schema'),
        fc.array(tie('schema'), { maxLength: 2 }),
      ),
      { maxKeys: 4 },
    ),
  })).schema;
  fc.assert(
    fc.property(schema, fc.jsonValue(), (inner, own) => {
      const item = { name: 'a', _meta: { own }, inputSchema: { type: 'object', properties: { inner } } };
      const clean = JSON.parse(Buffer.from(withoutNulls(toLatin1(JSON.stringify(item))), 'latin1').toString());
      const again = withoutNulls(toLatin1(JSON.stringify(clean)));
      assert.equal(again, toLatin1(JSON.stringify(clean)), 'a second pass finds nothing');
      assert.deepEqual(clean._meta, JSON.parse(JSON.stringify(item))._meta);
    }),
    { seed: 2026, numRuns: 500 },
  );
});
