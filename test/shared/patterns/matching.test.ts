import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { ByteTable, buildByteTable } from '../../../src/shared/patterns/byte-table.js';
import { compileGlob } from '../../../src/shared/patterns/glob.js';
import type { Pattern } from '../../../src/shared/patterns/pattern.js';
import { mostLiteralFirst, PatternSet } from '../../../src/shared/patterns/set.js';
import { compileTemplate } from '../../../src/shared/patterns/uri-template.js';

/** The package has no types of its own. */
const picomatch = createRequire(import.meta.url)('picomatch') as (
  glob: string,
  options: Readonly<Record<string, boolean>>,
) => (text: string) => boolean;

function matches(pattern: Pattern, text: string): boolean {
  const bytes = Buffer.from(`<${text}>`);
  return pattern.matches(bytes, 1, bytes.length - 1);
}

/** The meaning of a glob, written for clearness. */
function reference(glob: string, text: string): boolean {
  if (glob === '') return text === '';
  if (glob.startsWith('**')) {
    const rest = glob.replace(/^\*+/, '');
    for (let i = 0; i <= text.length; i += 1) if (reference(rest, text.slice(i))) return true;
    return false;
  }
  if (glob.startsWith('*')) {
    for (let i = 0; i <= text.length; i += 1) {
      if (reference(glob.slice(1), text.slice(i))) return true;
      if (text[i] === '/') return false;
    }
    return false;
  }
  if (text === '') return false;
  return (glob[0] === '?' ? text[0] !== '/' : text[0] === glob[0]) && reference(glob.slice(1), text.slice(1));
}

const alphabet = fc.constantFrom('a', 'b', '/', '_');
const globText = fc
  .array(fc.oneof(alphabet, fc.constantFrom('*', '**', '?')), { maxLength: 9 })
  .map((parts) => parts.join(''));
const subject = fc.array(alphabet, { maxLength: 12 }).map((parts) => parts.join(''));

describe('globs', () => {
  it('mean what the reference says', () => {
    fc.assert(
      fc.property(globText, subject, (glob, text) => {
        assert.equal(matches(compileGlob(glob), text), reference(glob, text), `${glob} on ${text}`);
      }),
      { numRuns: 3000 },
    );
  });

  it('agree with picomatch wherever both speak the same language', () => {
    const segment = fc.array(fc.oneof(fc.constantFrom('a', 'b', '_', '.'), fc.constantFrom('*', '?')), {
      minLength: 1,
      maxLength: 5,
    });
    const literal = fc.array(fc.constantFrom('a', 'b', '_'), { minLength: 1, maxLength: 5 });
    const globs = fc
      .array(segment, { minLength: 1, maxLength: 3 })
      .map((parts) => parts.map((part) => part.join('').replace(/\*+/g, '*')).join('/'));
    const texts = fc
      .array(literal, { minLength: 1, maxLength: 3 })
      .map((parts) => parts.map((part) => part.join('')).join('/'));
    fc.assert(
      fc.property(globs, texts, (glob, text) => {
        // Picomatch takes leading dots of a segment for hidden files and "./" for the current folder.
        fc.pre(!/(^|\/)\./.test(glob));
        assert.equal(
          matches(compileGlob(glob), text),
          picomatch(glob, { dot: true, noextglob: true, nobrace: true, nobracket: true, strictSlashes: true })(text),
          `${glob} on ${text}`,
        );
      }),
      { numRuns: 3000 },
    );
  });

  it('have rows to look at', () => {
    for (const [glob, text, expected] of [
      ['files__*', 'files__read', true],
      ['files__*', 'files__', true],
      ['files__*', 'search__files__', false],
      ['*', 'a/b', false],
      ['**', 'a/b', true],
      ['file:///docs/**', 'file:///docs/a/b.md', true],
      ['file:///docs/*', 'file:///docs/a/b.md', false],
      ['a?c', 'abc', true],
      ['a?c', 'aéc', true],
      ['a?c', 'a😀c', true],
      ['a?c', 'a/c', false],
      ['a??c', 'aéc', false],
      ['', '', true],
      ['', 'a', false],
      ['(a|b)+[c]{d}', '(a|b)+[c]{d}', true],
      ['*é', 'caffé', true],
    ] as const) {
      assert.equal(matches(compileGlob(glob), text), expected, `${glob} on ${text}`);
    }
  });

  it('take steps in proportion to the text, whatever the pattern', () => {
    for (const glob of ['*a*a*a*a*a*a*a*a*a*a!', '**a**a**a**a**a**a**a**b', `${'*a'.repeat(400)}!`, '?*?*?*?*?*!']) {
      const pattern = compileGlob(glob);
      const stepsFor = (length: number): number => {
        const before = pattern.steps;
        matches(pattern, 'a'.repeat(length));
        return pattern.steps - before;
      };
      const [short, long] = [stepsFor(1_000), stepsFor(64_000)];
      assert.equal(long, short * 64, glob);
      assert.ok(long <= 64_000 * Math.ceil((glob.length + 1) / 32));
    }
  });

  it('have a longest length', () => {
    assert.throws(() => compileGlob(`*${'a'.repeat(2000)}`), RangeError);
    assert.equal(matches(compileGlob('a'.repeat(5000)), 'a'.repeat(5000)), true);
  });

  it('of many words keep their state apart', () => {
    const long = 'x'.repeat(200);
    const pattern = compileGlob(`*${long}*y${long}`);
    assert.equal(matches(pattern, `abc${long}qqyy${long}`), true);
    assert.equal(matches(pattern, `abc${long}qq${long}`), false);
    assert.equal(matches(pattern, `abc${long}qqy${long}x`), false);
  });
});

describe('URI templates', () => {
  const any = (template: string, uri: string): boolean =>
    compileTemplate(template).some((pattern) => matches(pattern, uri));

  it('match what they expand to', () => {
    for (const [template, uri, expected] of [
      ['note://{id}', 'note://7', true],
      ['note://{id}', 'note://', false],
      ['note://{id}', 'note://7/8', false],
      ['note://{id}', 'note://7?x', false],
      ['note://{id}/text', 'note://7/text', true],
      ['note://{a}/{b}', 'note://1/2', true],
      ['note://{a,b}', 'note://1,2', true],
      ['file:///{+path}', 'file:///a/b/c.txt', true],
      ['file:///{+path}', 'file:///', false],
      ['x://y{/seg}', 'x://y', true],
      ['x://y{/seg}', 'x://y/z', true],
      ['x://y{/seg}', 'x://y/z/w', false],
      ['x://y{/seg*}', 'x://y/z/w', true],
      ['x://y{?q}', 'x://y', true],
      ['x://y{?q,r}', 'x://y?q=1&r=2', true],
      ['x://y{?q}', 'x://yz', false],
      ['x://y?a=1{&b}', 'x://y?a=1&b=2', true],
      ['x://y{#part}', 'x://y#z', true],
      ['x://y{.ext}', 'x://y.json', true],
      ['x://y{.ext}', 'x://y.', false],
      ['x://y{;p}', 'x://y;p=1', true],
      ['plain://uri', 'plain://uri', true],
      ['plain://uri', 'plain://uri/', false],
      ['x://{id}', 'x://a b', false],
    ] as const) {
      assert.equal(any(template, uri), expected, `${template} on ${uri}`);
    }
  });

  it('are refused when they are none', () => {
    for (const template of ['a{', 'a}', 'a{b', '{}', '{=x}', '{,x}', '{|x}', '{!x}', '{@x}']) {
      assert.throws(() => compileTemplate(template), RangeError, template);
    }
  });

  it('match every expansion of simple variables, in linear steps', () => {
    const value = fc.string({ unit: fc.constantFrom('a', 'b', '-', '.', '~', '%', '2'), minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(value, value, value, (a, b, c) => {
        assert.ok(any('x://h/{a}/k/{b}{?c}', `x://h/${a}/k/${b}?c=${c}`));
        assert.ok(any('x://h/{a}/k/{b}{?c}', `x://h/${a}/k/${b}`));
        assert.ok(!any('x://h/{a}/k/{b}{?c}', `x://h/${a}/l/${b}`));
      }),
    );
    const [pattern] = compileTemplate('x:{a}.{b}.{c}.{d}.{e}');
    matches(pattern!, `x:${'.'.repeat(50_000)}`);
    assert.ok(pattern!.steps <= 50_000);
  });
});

describe('pattern sets', () => {
  it('find the first in order, which may be the most literal one, like asking each', () => {
    fc.assert(
      fc.property(fc.array(globText, { maxLength: 12 }), subject, (globs, text) => {
        const entries = globs.map((glob, value) => [compileGlob(glob), value] as const);
        const set = new PatternSet(entries);
        const byLiterals = new PatternSet(mostLiteralFirst(entries));
        const bytes = Buffer.from(text);
        const hits = globs
          .map((glob, value) => ({ glob, value, literals: compileGlob(glob).literals }))
          .filter(({ glob }) => reference(glob, text));
        assert.equal(set.first(bytes, 0, bytes.length), hits[0]?.value ?? -1);
        const best = hits.reduce<(typeof hits)[number] | undefined>(
          (a, b) => (a === undefined || b.literals > a.literals ? b : a),
          undefined,
        );
        assert.equal(byLiterals.first(bytes, 0, bytes.length), best?.value ?? -1);
      }),
      { numRuns: 1000 },
    );
  });
});

describe('byte tables', () => {
  it('are maps', () => {
    fc.assert(
      fc.property(
        fc.array(fc.string({ maxLength: 6 }), { maxLength: 60 }),
        fc.string({ maxLength: 6 }),
        (keys, other) => {
          const table = new ByteTable(
            buildByteTable(
              keys.map((key, value) => [Buffer.from(key), value] as const),
              true,
            ),
          );
          for (const key of [...keys, other]) {
            const bytes = Buffer.from(`..${key}.`);
            assert.equal(table.get(bytes, 2, bytes.length - 1), keys.indexOf(key));
          }
        },
      ),
    );
  });

  it('hold __proto__, constructor and the like as the texts they are', () => {
    const table = new ByteTable(buildByteTable([[Buffer.from('__proto__'), 3]], false));
    const ask = (text: string): number => table.get(Buffer.from(text), 0, Buffer.byteLength(text));
    assert.deepEqual([ask('__proto__'), ask('constructor'), ask('toString')], [3, -1, -1]);
  });
});
