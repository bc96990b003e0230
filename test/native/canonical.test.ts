import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decoders, toBytes } from './both.js';

type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

/** The canonical form by every decoder, which must agree; `null` = there is none. */
function canonical(text: string | Uint8Array): string | null {
  const bytes = toBytes(text);
  const forms = decoders.map((decoder) => {
    const out = new Uint8Array(bytes.length);
    const length = decoder.canonical(bytes, 0, bytes.length, out);
    return length < 0 ? null : Buffer.from(out.subarray(0, length)).toString('latin1');
  });
  assert.equal(
    new Set(forms).size,
    1,
    `decoders differ on ${Buffer.from(bytes).toString('latin1')}: ${forms.join(' | ')}`,
  );
  const [form] = forms;
  return form === null || form === undefined ? null : Buffer.from(form, 'latin1').toString();
}

/** The form by a naive model: members sorted by the UTF-8 bytes of their names. */
function model(value: Json): string {
  if (Array.isArray(value)) return `[${value.map(model).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const names = Object.keys(value).sort((a, b) => Buffer.compare(formOf(a), formOf(b)));
  return `{${names.map((name) => `${JSON.stringify(name)}:${model(value[name] as Json)}`).join(',')}}`;
}

function formOf(name: string): Buffer {
  return Buffer.from(JSON.stringify(name).slice(1, -1));
}

/** A document that means `value`, in a spelling that `random` (0 to 1) chooses. */
function spell(value: Json, random: () => number): string {
  const space = () => [' ', '\n', '\t', '\r', '', '', ''][Math.floor(random() * 7)] ?? '';
  const around = (text: string) => `${space()}${text}${space()}`;
  if (typeof value === 'string') return around(spellText(value, random));
  if (Array.isArray(value)) return around(`[${space()}${value.map((item) => spell(item, random)).join(',')}]`);
  if (typeof value !== 'object' || value === null) return around(JSON.stringify(value));
  const names = Object.keys(value)
    .map((name) => ({ name, order: random() }))
    .sort((a, b) => a.order - b.order);
  const members = names.map(({ name }) => `${around(spellText(name, random))}:${spell(value[name] as Json, random)}`);
  return around(`{${space()}${members.join(',')}}`);
}

const SHORT: Readonly<Record<string, string>> = { '\b': 'b', '\f': 'f', '\n': 'n', '\r': 'r', '\t': 't', '/': '/' };

function spellText(text: string, random: () => number): string {
  const parts = [...text].map((character) => {
    const short = SHORT[character];
    if (short !== undefined && random() < 0.5) return `\\${short}`;
    if (random() < 0.7) return JSON.stringify(character).slice(1, -1);
    return Array.from({ length: character.length }, (_, unit) => {
      const digits = character.charCodeAt(unit).toString(16).padStart(4, '0');
      return `\\u${random() < 0.5 ? digits : digits.toUpperCase()}`;
    }).join('');
  });
  return `"${parts.join('')}"`;
}

const texts = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 6 }),
  fc.constantFrom('a', 'b', 'aa', 'é', '€', '😀', '"', '\\'),
);
const { value: values } = fc.letrec<{ value: Json }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    fc.oneof(
      fc.constant(null),
      fc.boolean(),
      fc.integer(),
      fc.double({ noNaN: true, noDefaultInfinity: true }).map((number) => number + 0),
      texts,
    ),
    fc.array(tie('value'), { maxLength: 5 }),
    fc.dictionary(texts, tie('value'), { maxKeys: 6, noNullPrototype: true }),
  ),
}));
const randoms = fc.infiniteStream(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }));

test('equal values have one canonical form, whatever the order of members, the white space and the escapes', () => {
  fc.assert(
    fc.property(values, randoms, (value, stream) => {
      const spelled = spell(value, () => stream.next().value as number);
      assert.deepEqual(JSON.parse(spelled), value);
      assert.equal(canonical(spelled), model(value));
    }),
    { numRuns: 500 },
  );
});

test('different values never have the same canonical form', () => {
  fc.assert(
    fc.property(values, values, (a, b) => {
      assert.equal(canonical(JSON.stringify(a)) === canonical(JSON.stringify(b)), model(a) === model(b));
    }),
    { numRuns: 500 },
  );
});

test('a canonical form is its own canonical form', () => {
  fc.assert(
    fc.property(values, (value) => {
      const form = canonical(JSON.stringify(value)) ?? '';
      assert.equal(canonical(form), form);
    }),
    { numRuns: 200 },
  );
});

test('what servers may read differently stays different', () => {
  const different = [
    ['1', '1.0', '1e0', '10e-1'],
    ['0', '-0', '0.0'],
    ['{"a":1,"a":2}', '{"a":2,"a":1}', '{"a":2}', '{"a":1}'],
    ['"\\ud800"', '"\\udc00"', '"\\ufffd"', '"\\\\ud800"'],
    ['"é"', '"e\\u0301"'],
    ['{}', 'null', '[]', '""'],
    ['{"a":[1,2]}', '{"a":[2,1]}'],
  ];
  for (const row of different) {
    assert.equal(new Set(row.map(canonical)).size, row.length, row.join(' '));
  }
});

test('what is no difference to any server is none', () => {
  const rows: [string, string][] = [
    ['{"b":1,"a":{"d":[ ],"c":null}}', '{"a":{"c":null,"d":[]},"b":1}'],
    ['{"a":1,"b":0,"a":2}', '{"a":1,"a":2,"b":0}'],
    ['"\\u0041\\/\\u000A\\u000b\\u007f"', '"A/\\n\\u000b\u007f"'],
    ['"\\uD83D\\uDE00\\uDBFF"', '"😀\\udbff"'],
    ['"\\u0022\\u005C"', '"\\"\\\\"'],
    [' \n7\t', '7'],
  ];
  for (const [text, form] of rows) assert.equal(canonical(text), form, text);
});

test('bytes that are no JSON value, or one that is too deep, have none', () => {
  for (const text of [
    '',
    '{',
    '[1',
    '[1,]',
    '{"a"}',
    '{"a":}',
    '{"a":1,}',
    '{a:1}',
    '"',
    '"\\',
    '"\\x"',
    '"\\u12"',
    '1 2',
    '{"a":1}]',
  ]) {
    assert.equal(canonical(text), null, text);
  }
  assert.equal(canonical(`${'['.repeat(2_000)}${']'.repeat(2_000)}`), null);
  assert.notEqual(canonical(`${'['.repeat(1_000)}${']'.repeat(1_000)}`), null);
});

test('positions outside of the memory are refused', () => {
  const bytes = toBytes('{"a":1}');
  for (const decoder of decoders) {
    assert.throws(() => decoder.canonical(bytes, 0, 8, new Uint8Array(8)), TypeError);
    assert.throws(() => decoder.canonical(bytes, 3, 2, new Uint8Array(8)), TypeError);
    assert.throws(() => decoder.canonical(bytes, 0, 7, new Uint8Array(6)), TypeError);
  }
});
