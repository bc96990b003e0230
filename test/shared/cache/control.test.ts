import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseCacheControl } from '../../../src/shared/cache/control.js';

const DAY = 86_400_000;

test('the directives of a shared cache are read', () => {
  const rows: [value: string, age: number, fresh: number, stale: number, onError: number, isPrivate: boolean][] = [
    ['', 0, -1, -1, -1, false],
    ['max-age=60', 0, 60_000, -1, -1, false],
    ['max-age=60', 70, 0, -1, -1, false],
    ['Max-Age="60"', 0, 60_000, -1, -1, false],
    ['max-age=60, s-maxage=10', 0, 10_000, 0, 0, false],
    ['max-age=60, max-age=5', 0, 5_000, -1, -1, false],
    ['max-age=soon', 0, 0, -1, -1, false],
    ['max-age=99999999999', 0, 0, -1, -1, false],
    ['max-age=9999999999', 0, DAY, -1, -1, false],
    ['no-store', 0, 0, 0, 0, false],
    ['no-cache="Set-Cookie", max-age=60', 0, 0, 0, 0, false],
    ['private="x, max-age=1", max-age=60', 0, 60_000, -1, -1, true],
    ['max-age=1, stale-while-revalidate=2, stale-if-error=3', 0, 1_000, 2_000, 3_000, false],
    ['max-age=1, must-revalidate, stale-if-error=3', 0, 1_000, 0, 0, false],
    ['extension="no-store", public', 0, -1, -1, -1, false],
  ];
  for (const [value, age, freshMs, staleMs, staleIfErrorMs, isPrivate] of rows) {
    assert.deepEqual(parseCacheControl(value, age, DAY), { freshMs, staleMs, staleIfErrorMs, isPrivate }, value);
  }
});

test('any value gives times within the bound, and never one beside no-store', () => {
  const word = fc.constantFrom(
    'max-age',
    's-maxage',
    'no-store',
    'private',
    '=',
    '"',
    ',',
    ' ',
    '7',
    'x',
    '-1',
    'no-cache',
  );
  fc.assert(
    fc.property(fc.array(word, { maxLength: 12 }), fc.nat(100), (words, age) => {
      const read = parseCacheControl(words.join(''), age, DAY);
      for (const time of [read.freshMs, read.staleMs, read.staleIfErrorMs]) assert.ok(time >= -1 && time <= DAY);
    }),
  );
  fc.assert(
    fc.property(fc.nat(), (time) => {
      assert.equal(parseCacheControl(`max-age=${time}, no-store`, 0, DAY).freshMs, 0);
    }),
  );
});
