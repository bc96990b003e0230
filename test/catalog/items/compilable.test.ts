import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AjvJsonSchemaValidator } from '@modelcontextprotocol/sdk/validation/ajv';
import fc from 'fast-check';
import { compileProblem } from '../../../src/catalog/items/compilable.js';

/** What a legacy client of the SDK does with an output schema. */
function compiles(schema: object): boolean {
  const error = console.error;
  const warn = console.warn;
  console.error = console.warn = () => {};
  try {
    new AjvJsonSchemaValidator().getValidator(schema as never);
    return true;
  } catch {
    return false;
  } finally {
    console.error = error;
    console.warn = warn;
  }
}

const inside = (property: unknown, more: object = {}): object => ({
  type: 'object',
  properties: { a: property },
  ...more,
});

const fine: [name: string, schema: object][] = [
  ['nothing', {}],
  ['a reference to the root', inside({ $ref: '#' })],
  ['a reference to a definition', inside({ $ref: '#/$defs/x' }, { $defs: { x: { type: 'string' } } })],
  ['a reference with escapes', inside({ $ref: '#/$defs/a~1b%20c' }, { $defs: { 'a/b c': true } })],
  ['a reference to an anchor', inside({ $ref: '#x' }, { $defs: { y: { $anchor: 'x' } } })],
  ['its own address', inside({ $ref: 'https://example.com/s' }, { $id: 'https://example.com/s' })],
  ['another dialect', inside(true, { $schema: 'https://json-schema.org/draft/2020-12/schema' })],
  ['a format nobody knows', inside({ type: 'string', format: 'weird' })],
  ['keywords of its own', inside({ 'x-thing': { $ref: 5 } })],
  ['a property named like a keyword', inside(true, { properties: { required: { type: 'string' }, $ref: true } })],
  ['data that looks like a reference', inside({ const: { $ref: '#/none' }, default: { $ref: 5 } })],
];
for (const [name, schema] of fine) {
  test(`an output schema with ${name} is kept`, () => {
    assert.equal(compileProblem(schema as Record<string, unknown>), null);
    assert.equal(compiles(schema), true, 'the SDK agrees');
  });
}

const broken: [name: string, schema: object][] = [
  ['a remote reference', inside({ $ref: 'https://example.com/x' })],
  ['a reference to nothing', inside({ $ref: '#/$defs/none' })],
  ['a reference to itself', inside({ $ref: '#/properties/a' })],
  ['a reference to no anchor', inside({ $ref: '#none' })],
  ['a reference to a root that is named by a fragment', inside({ $ref: '#x' }, { $id: '#x' })],
  ['a bound in the way of draft 4', inside({ type: 'number', minimum: 0, exclusiveMinimum: true })],
  ['a pattern in the way of Python', inside({ type: 'string', pattern: '(?P<year>\\d+)' })],
  ['a pattern property that is no expression', inside(true, { patternProperties: { '(': { type: 'string' } } })],
  ['a type that does not exist', inside({ type: 'date' })],
  ['required in the way of draft 3', inside({ type: 'string', required: true })],
  ['an empty enumeration', inside({ enum: [] })],
  ['a length that is a word', inside({ type: 'string', maxLength: '5' })],
  ['nullable without a type', inside({ nullable: true })],
];
for (const [name, schema] of broken) {
  test(`an output schema with ${name} is removed for legacy clients`, () => {
    assert.notEqual(compileProblem(schema as Record<string, unknown>), null);
    assert.equal(compiles(schema), false, 'the SDK agrees');
  });
}

test('whatever is let through, the SDK compiles', () => {
  const pairs: [keyword: string, ...values: unknown[]][] = [
    ['type', 'string', ['null', 'array'], 'object', 'any', []],
    ['enum', ['a'], [null, 1], []],
    ['required', ['a'], [], true],
    ['pattern', '^a+$', '(?<x>a)', '('],
    ['patternProperties', { '^a': true }, { '(': { type: 'string' } }],
    ['minimum', 0, -1.5, '0'],
    ['exclusiveMaximum', 9, true],
    ['maxLength', 5, null],
    ['uniqueItems', true, 'yes'],
    ['nullable', false, true],
    ['format', 'date-time', 'none', 5],
    ['items', true, [{}], { type: 'string' }, 'x'],
    ['prefixItems', [{}], [{ type: 'null' }]],
    ['additionalProperties', false, {}, 'no'],
    ['anyOf', [{}], [true, { type: 'null' }], []],
    ['not', {}, { type: 'string' }, 5],
    ['dependencies', { a: ['b'] }, { a: {} }, []],
    ['const', { $ref: '#/none' }, null],
    ['$anchor', 'x'],
    ['$id', 'https://example.com/s', '#x', 'other'],
    ['x-own', 5, { $ref: 5 }],
  ];
  const member = fc
    .constantFrom(...pairs)
    .chain(([keyword, first, ...others]) =>
      fc
        .oneof({ weight: 4, arbitrary: fc.constant(first) }, fc.constantFrom(first, ...others))
        .map((value) => [keyword, value] as const),
    );
  const reference = fc.constantFrom('#', '#', '#/$defs/a', '#x', '#/properties/a', 'https://example.com/s', 'other');
  const seldom = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | null> =>
    fc.oneof({ weight: 2, arbitrary: fc.constant(null) }, { weight: 1, arbitrary });
  const schema: fc.Arbitrary<Record<string, unknown>> = fc.letrec<{ node: Record<string, unknown> }>((tie) => ({
    node: fc
      .tuple(
        fc.array(member, { maxLength: 3 }),
        seldom(reference),
        seldom(fc.tuple(fc.constantFrom('properties', '$defs'), tie('node'))),
        seldom(fc.tuple(fc.constantFrom('items', 'not', 'additionalProperties'), tie('node'))),
      )
      .map(([plain, $ref, map, single]) => ({
        ...Object.fromEntries(plain),
        ...($ref === null ? {} : { $ref }),
        ...(map === null ? {} : { [map[0]]: { a: map[1] } }),
        ...(single === null ? {} : { [single[0]]: single[1] }),
      })),
  })).node;
  let kept = 0;
  fc.assert(
    fc.property(schema, (candidate) => {
      const natural = { type: 'object', ...candidate };
      if (compileProblem(natural) !== null) return;
      kept += 1;
      assert.ok(compiles(natural), JSON.stringify(natural));
    }),
    { numRuns: 600 },
  );
  assert.ok(kept > 100, `only ${kept} were let through`);
});
