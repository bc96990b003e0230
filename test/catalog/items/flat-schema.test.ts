import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Ajv } from 'ajv';
import fc from 'fast-check';
import { flattenSchema, refusedKeywords } from '../../../src/catalog/items/flat-schema.js';
import { readItem } from '../../../src/catalog/items/index.js';

const utf8 = (text: string): string => Buffer.from(text, 'latin1').toString('utf8');
const latin1 = (text: string): string => Buffer.from(text, 'utf8').toString('latin1');

// biome-ignore lint/suspicious/noExplicitAny: schemas under test have any shape
function flat(schema: object): any {
  const text = flattenSchema(latin1(JSON.stringify(schema)));
  return text === null ? null : JSON.parse(utf8(text));
}

const text = { type: 'string' };
const number = { type: 'number' };

test('alternatives become one object', () => {
  for (const keyword of ['oneOf', 'anyOf']) {
    const found = flat({
      type: 'object',
      title: 'T',
      properties: { id: text },
      required: ['id'],
      [keyword]: [
        { properties: { kind: { const: 'a' }, x: text }, required: ['kind', 'x'] },
        { properties: { kind: { const: 'b' }, x: number }, required: ['kind'] },
      ],
    });
    assert.deepEqual(refusedKeywords(found), []);
    const { description, ...rest } = found;
    assert.match(description, new RegExp(`^The arguments must also match: \\{"${keyword}":\\[`));
    assert.deepEqual(rest, {
      type: 'object',
      title: 'T',
      properties: {
        id: text,
        kind: { anyOf: [{ const: 'a' }, { const: 'b' }] },
        x: { anyOf: [text, number] },
      },
      required: ['id', 'kind'],
    });
  }
});

test('all parts of allOf hold, and what only some alternatives say limits nothing that the root says', () => {
  const all = flat({
    type: 'object',
    allOf: [{ properties: { a: text, b: text } }, { properties: { a: { minLength: 1 } }, required: ['a'] }],
  });
  assert.deepEqual(all.properties, { a: { allOf: [text, { minLength: 1 }] }, b: text });
  assert.deepEqual(all.required, ['a']);
  const some = flat({
    type: 'object',
    properties: { a: text },
    anyOf: [{ properties: { a: { const: 'x' } } }, { required: ['b'] }],
  });
  assert.deepEqual(some.properties, { a: text });
  assert.equal(some.required, undefined);
});

test('if limits nothing, then and else are alternatives, and not is left out', () => {
  const found = flat({
    type: 'object',
    description: 'Größe.',
    properties: { kind: { enum: ['a', 'b'] } },
    if: { properties: { kind: { const: 'a' }, only: { const: 1 } } },
    // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
    then: { properties: { x: text }, required: ['x', 'y'] },
    else: { properties: { z: text }, required: ['y'] },
    not: { required: ['q'] },
  });
  assert.deepEqual(refusedKeywords(found), []);
  assert.deepEqual([found.then, found.else], [undefined, undefined]);
  assert.deepEqual(found.properties, { kind: { enum: ['a', 'b'] }, x: text, z: text, only: {} });
  assert.deepEqual(found.required, ['y']);
  assert.match(found.description, /^Größe\. The arguments must also match: \{"if":/);
});

test('definitions stay, references to them are followed and kept', () => {
  const $defs = {
    A: { type: 'object', properties: { a: { $ref: '#/$defs/T' } }, required: ['a'] },
    B: { allOf: [{ $ref: '#/$defs/A' }, { properties: { b: { $ref: '#/$defs/T' } } }] },
    'x/y': { properties: { c: number } },
    T: text,
    loop: { anyOf: [{ $ref: '#/$defs/loop' }] },
  };
  const found = flat({
    type: 'object',
    oneOf: [{ $ref: '#/$defs/B' }, { $ref: '#/$defs/A' }, { $ref: '#/$defs/loop' }],
    $defs,
  });
  assert.deepEqual(found.$defs, $defs);
  assert.deepEqual(found.properties, { a: { $ref: '#/$defs/T' }, b: { $ref: '#/$defs/T' } });
  assert.deepEqual(flat({ type: 'object', oneOf: [{ $ref: '#/$defs/x~1y' }], $defs }).properties, { c: number });
});

test('what refers to a place that would be no more, or has headers in an alternative, is left as it is', () => {
  const refers = {
    type: 'object',
    properties: { a: { $ref: '#/oneOf/0/properties/b' } },
    oneOf: [{ properties: { b: text } }],
  };
  assert.equal(flat(refers), null);
  const header = { type: 'object', oneOf: [{ properties: { b: { ...text, 'x-mcp-header': 'B' } } }] };
  assert.equal(flat(header), null);
  const item = readItem('tools', Buffer.from(JSON.stringify({ name: 'a', inputSchema: refers })), false, 'compatible');
  assert.ok(typeof item === 'object');
  assert.match(item.remark, /oneOf at its root.*references/);
});

test('numbers, names and everything else keep their spelling', () => {
  const schema =
    '{"type":"object","x":1.50,"properties":{"é\\u0041":{"maximum":12345678901234567890}},"anyOf":[{"properties":{"ü":{"minimum":1.0e2}}}]}';
  const found = utf8(flattenSchema(latin1(schema))!);
  assert.ok(found.includes('"x":1.50'));
  assert.ok(found.includes('"éA":{"maximum":12345678901234567890}'), found);
  assert.ok(found.includes('"ü":{"minimum":1.0e2}'));
});

test('as it is, a schema is named once a tool; mended, it is one that clients take', () => {
  const tool = JSON.stringify({ name: 'a', inputSchema: { oneOf: [{ properties: { b: text } }] } });
  const asIs = readItem('tools', Buffer.from(tool), false);
  assert.ok(typeof asIs === 'object');
  assert.match(asIs.remark, /oneOf at its root.*catalog\.schemas/);
  assert.ok(asIs.text.includes('"oneOf"'));
  const mended = readItem('tools', Buffer.from(tool), false, 'compatible');
  assert.ok(typeof mended === 'object');
  assert.equal(mended.remark, '');
  assert.match(mended.repaired, /offered without oneOf/);
  assert.deepEqual(JSON.parse(mended.text).inputSchema.properties, { b: text });
});

test('arguments that one alternative in full permits are permitted by the flat schema', () => {
  const names = fc.constantFrom('a', 'b', 'c');
  const property = fc.constantFrom<object | boolean>(text, number, { const: 1 }, { enum: ['x', 2] }, true, {
    minimum: 2,
  });
  const part = fc.record({ properties: fc.dictionary(names, property), required: fc.uniqueArray(names) });
  const closed = part.map(({ properties, required }) => ({
    // Each alternative says something of each name, so that no one is silent about what another one limits.
    properties: { a: true, b: true, c: true, ...properties },
    required,
  }));
  const base = fc.record(
    {
      type: fc.constant('object'),
      properties: fc.dictionary(names, property),
      oneOf: fc.array(closed, { minLength: 1, maxLength: 3 }),
      anyOf: fc.array(closed, { minLength: 1, maxLength: 3 }),
      allOf: fc.array(part, { minLength: 1, maxLength: 3 }),
    },
    { requiredKeys: ['type'] },
  );
  // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
  const condition = fc.record({ if: part, then: closed, else: closed });
  const schema = fc.tuple(base, fc.option(condition, { nil: {} })).map(([given, more]) => ({ ...given, ...more }));
  const value = fc.dictionary(names, fc.constantFrom(1, 2, 3, 'x', 'y', null));
  const ajv = new Ajv({ strict: false });
  const holds = fc.property(schema, fc.array(value, { minLength: 5, maxLength: 10 }), (given, values) => {
    const before = ajv.compile(given);
    const after = ajv.compile(flat(given));
    for (const args of values) if (before(args)) assert.ok(after(args), JSON.stringify([given, args, after.errors]));
  });
  fc.assert(holds, { seed: 20_261_128, numRuns: 300 });
});
