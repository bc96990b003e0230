/**
 * Recognises URIs that a URI template (RFC 6570, levels 1 to 3, and the `*` and `:n` modifiers of level 4 without
 * their fine print) could have been expanded to. Matching is linear (pattern.ts).
 *
 * | expression | what it stands for |
 * | --- | --- |
 * | `{id}` | one or more characters except `/`, `?`, `#` |
 * | `{a,b}` | two such, separated by a comma, which is among those characters |
 * | `{+path}` | one or more characters of any kind |
 * | `{#part}` | nothing, or `#` and anything |
 * | `{.ext}`, `{/seg}`, `{;p}` | nothing, or the character and one or more like `{id}`; with `*` in `{/seg*}` also `/` |
 * | `{?q}`, `{&q}` | nothing, or the character and a query |
 */
import { type ByteClass, byteClass, Pattern, type PatternSource, union } from './pattern.js';

/** Optional expressions double the number of alternatives; those beyond this many are required. */
const MAX_OPTIONAL = 4;

const not = (text: string): ByteClass => {
  const excluded = Buffer.from(text);
  return byteClass((byte) => !excluded.includes(byte) && byte > 0x20 && byte !== 0x7f);
};
const segment = not('/?#');
const reserved = not('');
const query = not('#');
const path = not('?#');

interface Part {
  /** Literal bytes, or the leading character of an expression. */
  readonly literal: Uint8Array;
  readonly run: ByteClass | null;
  /** The run may be empty. */
  readonly emptyRun: boolean;
  readonly optional: boolean;
}

/**
 * Compiles a template into the alternatives it has; a URI matches the template when it matches one of them.
 *
 * @throws RangeError for a template with an unbalanced brace or an operator that RFC 6570 reserves
 */
export function compileTemplate(template: string): Pattern[] {
  const parts = split(template);
  let alternatives: Part[][] = [[]];
  let optional = 0;
  for (const part of parts) {
    const may = part.optional && optional < MAX_OPTIONAL;
    if (may) optional += 1;
    alternatives = alternatives.flatMap((row) => (may ? [[...row, part], row] : [[...row, part]]));
  }
  return alternatives.map((row) => new Pattern(toSource(row)));
}

function split(template: string): Part[] {
  const parts: Part[] = [];
  let at = 0;
  while (at < template.length) {
    const open = template.indexOf('{', at);
    const literal = template.slice(at, open === -1 ? undefined : open);
    if (literal.includes('}')) throw new RangeError('a closing brace without an opening one in a URI template');
    if (literal !== '') parts.push({ literal: Buffer.from(literal), run: null, emptyRun: false, optional: false });
    if (open === -1) break;
    const close = template.indexOf('}', open);
    if (close === -1) throw new RangeError('an opening brace without a closing one in a URI template');
    parts.push(expression(template.slice(open + 1, close)));
    at = close + 1;
  }
  return parts;
}

function expression(text: string): Part {
  const operator = text[0] ?? '';
  const exploded = text.includes('*');
  const lead = (run: ByteClass, emptyRun: boolean): Part => ({
    literal: Buffer.from(operator),
    run,
    emptyRun,
    optional: true,
  });
  switch (operator) {
    case '+':
      return { literal: new Uint8Array(0), run: reserved, emptyRun: false, optional: false };
    case '#':
      return lead(reserved, true);
    case '?':
    case '&':
      return lead(query, true);
    case '.':
    case ';':
      return lead(segment, false);
    case '/':
      return lead(exploded || text.includes(',') ? path : segment, false);
    case '':
    case '=':
    case ',':
    case '!':
    case '@':
    case '|':
      throw new RangeError(`the expression {${text}} of a URI template is reserved or empty`);
    default:
      return { literal: new Uint8Array(0), run: exploded ? path : segment, emptyRun: false, optional: false };
  }
}

function toSource(parts: readonly Part[]): PatternSource {
  const prefix: number[] = [];
  const tokens: (number | ByteClass)[] = [];
  const loops: (ByteClass | null)[] = [null];
  let literals = 0;
  let literalOnly = true;
  for (const { literal, run, emptyRun } of parts) {
    literals += run === null || literal.length > 0 ? literal.length : 0;
    for (const byte of literal) {
      if (literalOnly) {
        prefix.push(byte);
      } else {
        tokens.push(byte);
        loops.push(null);
      }
    }
    if (run === null) continue;
    literalOnly = false;
    if (!emptyRun) {
      tokens.push(run);
      loops.push(null);
    }
    const before = loops[tokens.length] ?? null;
    loops[tokens.length] = before === null ? run : union(before, run);
  }
  return { prefix: Uint8Array.from(prefix), tokens, loops, literals };
}
