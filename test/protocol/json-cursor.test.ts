import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  applyEdits,
  decodeString,
  findMember,
  findPath,
  insertMember,
  JsonCursor,
  parseValue,
  removeMembers,
  skipValue,
  stringValue,
  valueType,
} from '../../src/protocol/json-cursor.js';

const encoder = new TextEncoder();
const bytesOf = (text: string) => encoder.encode(text);
const textOf = (bytes: Uint8Array) => Buffer.from(bytes).toString();

/** Text of a JSON value with whitespace where the grammar allows it and some characters escaped. */
const spelledJson = fc
  .tuple(fc.jsonValue({ maxDepth: 4 }), fc.constantFrom('', ' ', '\n\t', ' \r\n '), fc.boolean())
  .map(([value, space, escaped]) => spell(value, space, escaped));

function spell(value: unknown, space: string, escaped: boolean): string {
  const inner = (parts: string[]) => parts.join(`${space},${space}`);
  if (Array.isArray(value)) return `[${space}${inner(value.map((item) => spell(item, space, escaped)))}${space}]`;
  if (typeof value === 'object' && value !== null) {
    const members = Object.entries(value).map(
      ([key, item]) => `${spell(key, space, escaped)}${space}:${space}${spell(item, space, escaped)}`,
    );
    return `{${space}${inner(members)}${space}}`;
  }
  const text = JSON.stringify(value);
  if (!escaped || typeof value !== 'string') return text;
  return text.replace(/[a-zé-￿]/g, (character, at: number) =>
    text[at - 1] === '\\' || /\\u[0-9a-f]{0,3}$/.test(text.slice(0, at))
      ? character
      : `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** What the cursor sees, put together again; keys as in `JSON.parse`: the last one counts. */
function rebuild(bytes: Uint8Array, start: number, end: number): unknown {
  const type = valueType(bytes, start);
  if (type !== 'object' && type !== 'array') return parseValue(bytes, start, end);
  const cursor = new JsonCursor(bytes, start);
  if (type === 'array') {
    const items: unknown[] = [];
    while (cursor.next()) items.push(rebuild(bytes, cursor.start, cursor.end));
    return items;
  }
  const members: [string, unknown][] = [];
  while (cursor.next()) {
    members.push([decodeString(bytes, cursor.keyStart, cursor.keyEnd), rebuild(bytes, cursor.start, cursor.end)]);
  }
  return Object.fromEntries(members);
}

test('walking a document finds what JSON.parse finds', () => {
  fc.assert(
    fc.property(spelledJson, (text) => {
      const bytes = bytesOf(text);
      assert.equal(skipValue(bytes, 0), bytes.length);
      assert.deepEqual(JSON.stringify(rebuild(bytes, 0, bytes.length)), JSON.stringify(JSON.parse(text)));
    }),
    { seed: 20260728, numRuns: 500 },
  );
});

test('members are found by their decoded key, the last of equal ones', () => {
  const bytes = bytesOf(' { "a" : 1 , "b":{"a":2}, "\\u0061":[3], "größe":"x", "":null , "q\\"":true} ');
  const end = bytes.length - 1;
  const value = (key: string) => {
    const range = findMember(bytes, 1, end, key);
    return range === undefined ? undefined : textOf(bytes.subarray(range.start, range.end));
  };
  assert.deepEqual(['a', 'b', 'größe', '', 'q"', 'c', 'gr'].map(value), [
    '[3]',
    '{"a":2}',
    '"x"',
    'null',
    'true',
    undefined,
    undefined,
  ]);
  assert.deepEqual(findPath(bytes, 1, end, 'b', 'a'), { start: 22, end: 23 });
  assert.equal(findPath(bytes, 1, end, 'b', 'a', 'x'), undefined);
  assert.equal(findPath(bytes, 1, end, 'b', 'x'), undefined);
  assert.equal(findMember(bytesOf('[1]'), 0, 3, 'a'), undefined);
  assert.equal(findMember(bytes, -1, -1, 'a'), undefined);
});

test('removing any set of members leaves the others as they were', () => {
  fc.assert(
    fc.property(
      fc.dictionary(fc.constantFrom('a', 'b', 'c', 'd', 'e', 'é', '__proto__'), fc.jsonValue({ maxDepth: 1 })),
      fc.subarray(['a', 'b', 'c', 'd', 'e', 'é', '__proto__']),
      fc.constantFrom('', ' ', '\n'),
      (object, keys, space) => {
        const text = spell(object, space, false);
        const bytes = bytesOf(text);
        const left = textOf(applyEdits(bytes, 0, bytes.length, removeMembers(bytes, 0, keys)));
        const kept = Object.entries(object).filter(([key]) => !keys.includes(key));
        assert.deepEqual(
          Object.entries(JSON.parse(left)),
          Object.entries(JSON.parse(spell(Object.fromEntries(kept), '', false))),
        );
        if (kept.length === Object.keys(object).length) assert.equal(left, text);
      },
    ),
    { seed: 20260728, numRuns: 1000 },
  );
});

test('removal takes one comma with each member, and spelling elsewhere stays', () => {
  const cases: [text: string, keys: string[], left: string][] = [
    ['{"a":1,"b":2,"c":3}', ['a'], '{"b":2,"c":3}'],
    ['{"a":1,"b":2,"c":3}', ['b'], '{"a":1,"c":3}'],
    ['{"a":1,"b":2,"c":3}', ['c'], '{"a":1,"b":2}'],
    ['{"a":1,"b":2,"c":3}', ['a', 'b'], '{"c":3}'],
    ['{"a":1,"b":2,"c":3}', ['b', 'c'], '{"a":1}'],
    ['{"a":1,"b":2,"c":3}', ['a', 'c'], '{"b":2}'],
    ['{ "a" : 1 , "b" : 2.0 }', ['a'], '{ "b" : 2.0 }'],
    ['{ "a" : 1 , "b" : 2.0 }', ['b'], '{ "a" : 1 }'],
    ['{ "a" : 1 , "b" : 2.0 }', ['a', 'b'], '{  }'],
    ['{"\\u0061":1,"a":2,"b":9007199254740993}', ['a'], '{"b":9007199254740993}'],
    ['{}', ['a'], '{}'],
    ['[1,2]', ['a'], '[1,2]'],
  ];
  for (const [text, keys, left] of cases) {
    const bytes = bytesOf(text);
    assert.equal(textOf(applyEdits(bytes, 0, bytes.length, removeMembers(bytes, 0, keys))), left, text);
  }
});

test('members are inserted in front, into empty objects too', () => {
  for (const [text, expected] of [
    ['{}', '{"k":[1]}'],
    ['{ }', '{"k":[1] }'],
    ['{"a":1}', '{"k":[1],"a":1}'],
    ['{ "a":1}', '{"k":[1], "a":1}'],
  ] as const) {
    const bytes = bytesOf(text);
    assert.equal(textOf(applyEdits(bytes, 0, bytes.length, [insertMember(bytes, 0, 'k', '[1]')])), expected);
  }
});

test('edits that overlap or leave the range are refused, whatever their order', () => {
  const bytes = bytesOf('0123456789');
  const edit = (start: number, end: number) => ({ start, end, text: bytesOf('x') });
  assert.equal(textOf(applyEdits(bytes, 1, 9, [edit(5, 6), edit(2, 2), edit(3, 5)])), '1x2xx678');
  for (const edits of [[edit(2, 4), edit(3, 5)], [edit(0, 2)], [edit(8, 10)], [edit(5, 4)]]) {
    assert.throws(() => applyEdits(bytes, 1, 9, edits), RangeError);
  }
});

test('strings are decoded, lone surrogates and byte order marks included', () => {
  for (const text of ['', 'plain', 'größe', '\ufeffmark', '\ud800', 'a\u0000b', '"\\/\b\f\n\r\t', '😀']) {
    for (const spelling of [JSON.stringify(text), spell(text, '', true)]) {
      const bytes = bytesOf(spelling);
      assert.equal(stringValue(bytes, 0, bytes.length), text, spelling);
    }
  }
  for (const other of ['1', 'null', '{}', '"']) assert.equal(stringValue(bytesOf(other), 0, other.length), undefined);
});

test('bytes that are no JSON end every walk', () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...'{}[]",:\\1a '), { maxLength: 30 }), (characters) => {
      const bytes = bytesOf(characters.join(''));
      const cursor = new JsonCursor(bytes, 0);
      let steps = 0;
      while (cursor.next()) {
        assert.ok(++steps <= bytes.length + 1);
        assert.ok(cursor.end <= bytes.length);
      }
    }),
    { seed: 20260728, numRuns: 3000 },
  );
});
