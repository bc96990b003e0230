import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { compileGlob, compileGlobs } from '../../src/protocol/glob.js';

const rows: [pattern: string, text: string, matches: boolean][] = [
  ['read_file', 'read_file', true],
  ['read_file', 'read_files', false],
  ['', '', true],
  ['', 'a', false],
  ['*', '', true],
  ['*', 'anything', true],
  ['*', 'a/b', false],
  ['**', 'a/b', true],
  ['***', 'a/b', true],
  ['files__*', 'files__read', true],
  ['files__*', 'file__read', false],
  ['*_file', 'read_file', true],
  ['*_file', 'dir/read_file', false],
  ['**_file', 'dir/read_file', true],
  ['file:///**', 'file:///a/b', true],
  ['file:///*', 'file:///a/b', false],
  ['**a*b', 'a/ab', true],
  ['?', '\u{1f600}', true],
  ['?', '/', false],
  ['a?c', 'abc', true],
  ['[ab]', '[ab]', true],
  ['a.c', 'abc', false],
];
for (const [pattern, text, matches] of rows) {
  test(`glob ${JSON.stringify(pattern)} ${matches ? 'matches' : 'refuses'} ${JSON.stringify(text)}`, () => {
    assert.equal(compileGlob(pattern)(text), matches);
  });
}

function reference(pattern: string): RegExp {
  const source = pattern.replaceAll(/\*\*|\*|\?|[^*?]/gu, (part) => {
    if (part === '**') return '[^]*';
    if (part === '*') return '[^/]*';
    if (part === '?') return '[^/]';
    return part.replace(/[\\^$.|+()[\]{}/]/, '\\$&');
  });
  return new RegExp(`^${source}$`, 'u');
}

test('globs agree with their regular expression', () => {
  const alphabet = fc.constantFrom('a', 'b', '/', '*', '?', '_', '\u{1f600}');
  const pattern = fc.array(alphabet, { maxLength: 70 }).map((parts) => parts.join(''));
  const text = fc
    .array(fc.constantFrom('a', 'b', '/', '_', '\u{1f600}'), { maxLength: 12 })
    .map((parts) => parts.join(''));
  fc.assert(
    fc.property(pattern, text, (glob, input) => {
      fc.pre((glob.match(/\*/g)?.length ?? 0) < 12);
      assert.equal(compileGlob(glob)(input), reference(glob).test(input));
    }),
    { numRuns: 3000 },
  );
});

test('globs longer than one word of states keep their carries', () => {
  const text = 'x'.repeat(200);
  assert.equal(compileGlob(`${'x'.repeat(100)}*${'x'.repeat(100)}`)(text), true);
  assert.equal(compileGlob(`${'x'.repeat(101)}*${'x'.repeat(100)}`)(text), false);
});

test('a set of globs matches when one does', () => {
  const match = compileGlobs(['exact', 'pre_*']);
  assert.deepEqual(['exact', 'pre_x', 'other'].map(match), [true, true, false]);
  assert.equal(compileGlobs([])('x'), false);
});
