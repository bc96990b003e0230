import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { compileRegex } from '../../../src/shared/patterns/regex.js';
import { PatternSet } from '../../../src/shared/patterns/set.js';
import { compilePattern } from '../../../src/shared/patterns/text.js';

const atom = fc.constantFrom('a', 'b', '.', '[ab]', '[^a]', 'é', '\\d');
const { expression } = fc.letrec<{ expression: string }>((tie) => ({
  expression: fc.oneof(
    { maxDepth: 4 },
    atom,
    fc.tuple(tie('expression'), tie('expression')).map(([left, right]) => left + right),
    fc.tuple(tie('expression'), tie('expression')).map(([left, right]) => `(${left}|${right})`),
    fc
      .tuple(tie('expression'), fc.constantFrom('*', '+', '?', '{1,2}'))
      .map(([inner, times]) => `(?:${inner})${times}`),
  ),
}));
const subject = fc.string({ unit: fc.constantFrom('a', 'b', 'é', '1', '/'), maxLength: 8 });

test('a regular expression matches the whole text, as the one of JavaScript does', () => {
  fc.assert(
    fc.property(expression, subject, subject, (source, text, around) => {
      const bytes = Buffer.from(`${around}${text}${around}`);
      const start = Buffer.byteLength(around);
      const found = compileRegex(source).matches(bytes, start, bytes.length - start);
      assert.equal(found, new RegExp(`^(?:${source})$`, 'u').test(text), `${source} on ${text}`);
    }),
    { numRuns: 2_000 },
  );
});

test('an expression that makes others backtrack without end is matched', () => {
  const bytes = Buffer.from(`${'a'.repeat(16_000)}!`);
  for (const source of ['(a*)*b', '(a|aa)+', '(a+)+$', '([a-z]+)*\\d']) {
    assert.equal(compileRegex(source).matches(bytes, 0, bytes.length), false, source);
  }
});

test('globs and expressions keep their order in a set', () => {
  const texts = [{ regex: 'b.*' }, 'ab*', { regex: 'a.' }, 'a*'];
  const set = new PatternSet(texts.map((text, value) => [compilePattern(text), value] as const));
  for (const [text, first, all] of [
    ['ab', 1, [1, 2, 3]],
    ['ac', 2, [2, 3]],
    ['bcd', 0, [0]],
    ['c', -1, []],
  ] as const) {
    const bytes = Buffer.from(text);
    assert.equal(set.first(bytes, 0, bytes.length), first);
    assert.deepEqual(set.all(bytes, 0, bytes.length), all);
  }
});
