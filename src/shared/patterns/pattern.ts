/**
 * Patterns over bytes that match in linear time: a pattern is a row of tokens, simulated as a non-deterministic
 * automaton whose states are bits. Each byte of the subject costs a few word operations, whatever the pattern, so
 * there is no backtracking and no input that makes a match slow.
 *
 * State i means "the first i tokens have matched". Token i leads from i to i + 1 on the bytes of its class; a state
 * may also stay on the bytes of a loop class. Globs and URI templates compile to this one form.
 */
import type { TextPattern } from './text.js';

/** A set of bytes: 256 flags. */
export type ByteClass = Uint8Array;

/** A class of the bytes for which `test` holds. */
export function byteClass(test: (byte: number) => boolean): ByteClass {
  return Uint8Array.from({ length: 256 }, (_, byte) => (test(byte) ? 1 : 0));
}

/** The bytes of either class. */
export function union(a: ByteClass, b: ByteClass): ByteClass {
  return byteClass((byte) => a[byte] === 1 || b[byte] === 1);
}

/** What the compiler of a pattern language returns. */
export interface PatternSource {
  /** Bytes every match starts with. */
  readonly prefix: Uint8Array;
  /** The tokens behind the prefix: one byte (number) or one byte of a class. */
  readonly tokens: readonly (number | ByteClass)[];
  /** `loops[i]` = bytes on which the state before token i stays; one more than tokens. */
  readonly loops: readonly (ByteClass | null)[];
  /** How many bytes of the pattern are literal: the measure of "most specific". */
  readonly literals: number;
}

/** Bounds a pattern's cost: words of state per byte of the subject. */
const MAX_TOKENS = 1023;

/** A compiled pattern. Immutable except for scratch state: to be used by one thread. */
export class Pattern implements TextPattern {
  readonly prefix: Uint8Array;
  readonly literals: number;
  readonly exact: boolean;
  /** Steps of the automaton since the pattern was made: bytes times words. */
  steps = 0;
  readonly #source: PatternSource;
  readonly #words: number;
  /** Made with the first match: many patterns never get past their prefix. */
  #tables: Tables | null = null;
  readonly #state: Int32Array;

  constructor(source: PatternSource) {
    if (source.tokens.length > MAX_TOKENS) throw new RangeError(`a pattern has at most ${MAX_TOKENS} tokens`);
    this.prefix = source.prefix;
    this.literals = source.literals;
    this.exact = source.tokens.length === 0 && source.loops[0] === null;
    this.#source = source;
    this.#words = Math.floor(source.tokens.length / 32) + 1;
    this.#state = new Int32Array(this.#words);
  }

  matches(bytes: Uint8Array, start: number, end: number): boolean {
    const prefix = this.prefix;
    if (end - start < prefix.length) return false;
    for (let i = 0; i < prefix.length; i += 1) if (bytes[start + i] !== prefix[i]) return false;
    return this.matchesRest(bytes, start + prefix.length, end);
  }

  matchesRest(bytes: Uint8Array, start: number, end: number): boolean {
    if (this.exact) return start === end;
    this.#tables ??= compile(this.#source, this.#words);
    const { moves, loops } = this.#tables;
    const words = this.#words;
    const last = this.#source.tokens.length;
    this.steps += (end - start) * words;
    if (words === 1) {
      let state = 1;
      for (let i = start; i < end; i += 1) {
        const byte = bytes[i]!;
        state = ((state & moves[byte]!) << 1) | (state & loops[byte]!);
        if (state === 0) return false;
      }
      return ((state >>> last) & 1) === 1;
    }
    const state = this.#state;
    state.fill(0);
    state[0] = 1;
    for (let i = start; i < end; i += 1) {
      const at = bytes[i]! * words;
      let carry = 0;
      let alive = 0;
      for (let w = 0; w < words; w += 1) {
        const here = state[w]!;
        const moved = here & moves[at + w]!;
        const next = (moved << 1) | carry | (here & loops[at + w]!);
        carry = moved >>> 31;
        state[w] = next;
        alive |= next;
      }
      if (alive === 0) return false;
    }
    return ((state[last >>> 5]! >>> (last & 31)) & 1) === 1;
  }
}

/** What the bytes do to the states: `words` words of bits for each byte. */
interface Tables {
  /** States that advance. */
  readonly moves: Int32Array;
  /** States that stay. */
  readonly loops: Int32Array;
}

function compile({ tokens, loops }: PatternSource, words: number): Tables {
  const tables: Tables = { moves: new Int32Array(256 * words), loops: new Int32Array(256 * words) };
  const set = (table: Int32Array, byte: number, state: number): void => {
    const at = byte * words + (state >>> 5);
    table[at] = table[at]! | (1 << (state & 31));
  };
  tokens.forEach((token, state) => {
    if (typeof token === 'number') set(tables.moves, token, state);
    else for (let byte = 0; byte < 256; byte += 1) if (token[byte] === 1) set(tables.moves, byte, state);
  });
  loops.forEach((loop, state) => {
    if (loop === null) return;
    for (let byte = 0; byte < 256; byte += 1) if (loop[byte] === 1) set(tables.loops, byte, state);
  });
  return tables;
}
