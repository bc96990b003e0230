/**
 * Globs over names and URIs, compared byte by byte in UTF-8 and case-sensitively:
 * `*` any run without `/`, `**` any run, `?` one character except `/`. Every other character matches itself;
 * a backslash makes the character after it literal.
 */
import { type ByteClass, byteClass, Pattern, union } from './pattern.js';

const SLASH = 0x2f;
const STAR = 0x2a;
const QUESTION = 0x3f;
const BACKSLASH = 0x5c;

const any = byteClass(() => true);
const noSlash = byteClass((byte) => byte !== SLASH);
const continuation = byteClass((byte) => (byte & 0xc0) === 0x80);
const characterStart = byteClass((byte) => byte !== SLASH && (byte & 0xc0) !== 0x80);

/**
 * Compiles a glob.
 *
 * @throws RangeError when it is longer than the matcher allows (1,023 tokens behind the literal prefix)
 */
export function compileGlob(glob: string): Pattern {
  const source = Buffer.from(glob);
  const tokens: (number | ByteClass)[] = [];
  const loops: (ByteClass | null)[] = [null];
  const prefix: number[] = [];
  let literals = 0;
  let literalOnly = true;
  for (let i = 0; i < source.length; i += 1) {
    const byte = source.readUInt8(i);
    if (byte === STAR) {
      literalOnly = false;
      let deep = false;
      while (source[i + 1] === STAR) {
        deep = true;
        i += 1;
      }
      const before = loops[tokens.length] ?? null;
      loops[tokens.length] = deep || before === any ? any : before === null ? noSlash : union(before, noSlash);
    } else if (byte === QUESTION) {
      literalOnly = false;
      tokens.push(characterStart);
      loops.push(continuation);
    } else {
      const literal = byte === BACKSLASH && i + 1 < source.length ? source.readUInt8(++i) : byte;
      literals += 1;
      if (literalOnly) {
        prefix.push(literal);
      } else {
        tokens.push(literal);
        loops.push(null);
      }
    }
  }
  return new Pattern({ prefix: Uint8Array.from(prefix), tokens, loops, literals });
}
