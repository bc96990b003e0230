import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Scrubber } from '../../src/secrets/scrub.js';
import { type KnownSecret, MASK } from '../../src/secrets/show.js';
import { escaped } from '../../src/upstream/core/limits/log-limit.js';

const scrubOf = (...values: string[]) => {
  const scrubber = new Scrubber(values.map((value): KnownSecret => ({ value, shown: MASK })));
  return (text: string) => scrubber.scrub(text);
};

test('the longer of two secrets is replaced whole', () => {
  assert.equal(scrubOf('secret', 'secret-longer')('a secret-longer b secret c'), 'a *** b *** c');
  assert.equal(scrubOf()('nothing to hide'), 'nothing to hide');
  assert.equal(scrubOf('a.c+(x)')('abc a.c+(x)'), 'abc ***');
});

test('short values stay: they are parts of harmless words', () => {
  assert.equal(scrubOf('8080', 'true', 'info', '')('8080 true info'), '8080 true info');
  assert.equal(scrubOf('hunter')('hunter'), MASK);
});

test('the name of a variable takes the place of its value', () => {
  const shown = '$' + '{TOKEN}';
  assert.equal(new Scrubber([{ value: 'value-1', shown }]).scrub('x value-1 y'), `x ${shown} y`);
});

const ODD = 'pass "word\\é?&+/=';
for (const [spelling, text] of [
  ['as it is', ODD],
  ['in JSON', JSON.stringify(ODD)],
  ['in an address', encodeURIComponent(ODD)],
  ['as a log shows bytes', escaped(Buffer.from(ODD))],
  ['as a log shows the bytes of JSON', escaped(Buffer.from(JSON.stringify(ODD)))],
] as const) {
  test(`a secret is found ${spelling}`, () => assert.doesNotMatch(scrubOf(ODD)(`x ${text} y`), /word/));
}

test('a secret written with percent signs is found without them', () => {
  assert.equal(scrubOf('a%20b%2Fcd')('x a b/cd y'), 'x *** y');
});

test('each line of a long secret is one', () => {
  const line = 'MIIEvQIBADANBgkqhkiG9w0BAQ';
  assert.equal(scrubOf(`-----BEGIN X-----\n${line}\nshort\n`)(`said ${line} and short`), 'said *** and short');
});

test('what a cut left of a secret is masked, and nothing else at the end', () => {
  const scrub = scrubOf('abcdefghijklmnop');
  assert.equal(scrub('x abcdefghij...'), 'x ***...');
  assert.equal(scrub('x abcdefgh'), 'x abcdefgh', 'not cut');
  assert.equal(scrub('x abcd...'), 'x abcd...', 'too short to tell');
  assert.equal(scrub('x abcdefgxxx...'), 'x abcdefgxxx...');
});

test('thousands of secrets with the same beginning are found wherever they stand, and nothing else is touched', () => {
  const secrets = Array.from({ length: 20_000 }, (_, index) => `tok-${(index * 7_919) % 100_003}-end`);
  const scrub = scrubOf(...secrets);
  const known = new Set(secrets);
  fc.assert(
    fc.property(
      fc.array(fc.oneof(fc.constantFrom(...secrets), fc.string({ unit: 'grapheme' })), { maxLength: 6 }),
      (parts) => {
        const line = parts.join(' ');
        const pattern = new RegExp(
          `(${[...new Set(parts.filter((part) => known.has(part)))].join('|') || '(?!)'})`,
          'g',
        );
        assert.equal(scrub(line), line.replaceAll(pattern, MASK));
      },
    ),
  );
});
