/** Regular expressions of RE2 over names and values: they match in linear time, whatever the expression and the subject. */
import { createRequire } from 'node:module';
import type { RE2JS } from 're2js';
import type { TextPattern } from './text.js';

const NO_BYTES = new Uint8Array(0);
/** Instructions of the compiled expression: a bound on its cost per byte. */
const MAX_PROGRAM = 5_000;

/** Loaded by the first expression: most configurations have none, and each worker would load it. */
let engine: typeof import('re2js') | null = null;

/** A regular expression that matches the whole subject, as a glob does. */
export class RegexPattern implements TextPattern {
  readonly prefix = NO_BYTES;
  readonly literals = 0;
  readonly exact = false;
  readonly #expression: RE2JS;

  constructor(expression: RE2JS) {
    this.#expression = expression;
  }

  matches(bytes: Uint8Array, start: number, end: number): boolean {
    return this.#expression.testExact(bytes.subarray(start, end));
  }

  matchesRest(bytes: Uint8Array, start: number, end: number): boolean {
    return this.matches(bytes, start, end);
  }
}

/**
 * Compiles a regular expression in the syntax of RE2.
 *
 * @throws RangeError with a clause that says why, for one that is not valid or too large
 */
export function compileRegex(source: string): RegexPattern {
  let expression: RE2JS;
  try {
    engine ??= createRequire(import.meta.url)('re2js') as typeof import('re2js');
    expression = engine.RE2JS.compile(source);
  } catch (error) {
    throw new RangeError(`is no regular expression of RE2 (${error instanceof Error ? error.message : String(error)})`);
  }
  if (expression.programSize() > MAX_PROGRAM) {
    throw new RangeError(`is a regular expression of more than ${MAX_PROGRAM} instructions; repeat less`);
  }
  return new RegexPattern(expression);
}
