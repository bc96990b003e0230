/** Patterns over names and values as rules of the configuration write them: globs, exact texts or regular expressions. */
import type { PatternText } from '../../config/snapshot/match.js';
import { compileGlob } from './glob.js';
import { compileRegex } from './regex.js';

/** A compiled pattern. It keeps scratch state: to be used by one thread. */
export interface TextPattern {
  /** Bytes every match starts with. */
  readonly prefix: Uint8Array;
  /** How many bytes of the pattern are literal: the measure of "most specific". */
  readonly literals: number;
  /** The pattern has no wildcard: only the prefix matches. */
  readonly exact: boolean;
  /** Whether `bytes[start, end)` matches as a whole. */
  matches(bytes: Uint8Array, start: number, end: number): boolean;
  /** As {@link matches} for the bytes after the prefix, which has matched already. */
  matchesRest(bytes: Uint8Array, start: number, end: number): boolean;
}

/**
 * Compiles a pattern.
 *
 * @throws RangeError for a glob that is too long, or a regular expression that is not valid
 */
export function compilePattern(text: PatternText): TextPattern {
  return typeof text === 'string' ? compileGlob(text) : compileRegex(text.regex);
}

/** Whether a text matches one of the patterns. */
export function matchesAny(patterns: readonly TextPattern[], text: string): boolean {
  const bytes = Buffer.from(text);
  return patterns.some((pattern) => pattern.matches(bytes, 0, bytes.length));
}

/** A pattern as messages show it. */
export function shownPattern(text: PatternText): string {
  return typeof text === 'string' ? JSON.stringify(text) : `{ regex: ${JSON.stringify(text.regex)} }`;
}
