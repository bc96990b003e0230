/**
 * A small table in front of digests: what belongs to tokens, addresses or header values that this worker has met before, compared
 * word by word in place. It saves the SHA-256 of bytes that come repeatedly. The hash is seeded; of tokens only accepted ones
 * are stored, so that the time of a look-up tells an attacker nothing.
 */
import { randomBytes } from 'node:crypto';

/** Places; two for each hash. */
const PLACES = 2048;
/** Longer ones are not stored: with all places taken the table holds 4 MiB. */
const MAX_BYTES = 2048;

interface Known<Value> {
  readonly hash: number;
  readonly length: number;
  readonly words: Int32Array;
  readonly value: Value;
}

const seed = randomBytes(4).readInt32LE();

/** See the file comment. */
export class KnownBytes<Value> {
  readonly #places: (Known<Value> | null)[] = new Array<Known<Value> | null>(PLACES).fill(null);
  #hash = 0;

  /**
   * What belongs to the bytes `[start, end)` of `words`; null = it is not known.
   *
   * @param start a multiple of four
   */
  find(words: Int32Array, start: number, end: number): Value | null {
    const length = end - start;
    if (length > MAX_BYTES) return null;
    const first = start >>> 2;
    const whole = length >>> 2;
    let hash = seed ^ length;
    for (let i = first; i < first + whole; i += 1) {
      hash = Math.imul(hash ^ words[i]!, 0x9e3779b1);
      hash ^= hash >>> 15;
    }
    const rest = restOf(words, first + whole, length);
    hash = Math.imul(hash ^ rest, 0x85ebca6b);
    hash ^= hash >>> 13;
    this.#hash = hash;
    const place = (hash & (PLACES / 2 - 1)) * 2;
    for (let way = 0; way < 2; way += 1) {
      const known = this.#places[place + way];
      if (known == null || known.hash !== hash || known.length !== length) continue;
      const own = known.words;
      let i = 0;
      while (i < whole && own[i] === words[first + i]) i += 1;
      if (i === whole && own[whole] === rest) return known.value;
    }
    return null;
  }

  /** Stores what belongs to the bytes of the last {@link find}, which did not find it. */
  keep(words: Int32Array, start: number, end: number, value: Value): void {
    const length = end - start;
    if (length > MAX_BYTES) return;
    const first = start >>> 2;
    const whole = length >>> 2;
    const own = new Int32Array(whole + 1);
    own.set(words.subarray(first, first + whole));
    own[whole] = restOf(words, first + whole, length);
    const place = (this.#hash & (PLACES / 2 - 1)) * 2;
    // The newer of the two moves to the second place and replaces the older one.
    this.#places[place + 1] = this.#places[place] ?? null;
    this.#places[place] = { hash: this.#hash, length, words: own, value };
  }

  /** Removes everything. */
  clear(): void {
    this.#places.fill(null);
  }
}

/** The last bytes, which do not fill a word; the rest of the word is not part of them. */
function restOf(words: Int32Array, at: number, length: number): number {
  const bits = (length & 3) * 8;
  return bits === 0 ? 0 : words[at]! & ((1 << bits) - 1);
}
