/**
 * Remembered verdicts: an open-addressed table in typed arrays, keyed by (token, method and era, name). The name's
 * bytes are compared exactly. An entry counts only under the stamp (src/shared/epochs.ts) it was made in, so one
 * atomic read tells whether anything was reconfigured, rediscovered or revoked since.
 */

import { VERDICT_HEAD, VerdictWord } from '../../shared/records.js';
import type { VerdictRecord } from '../../shared/verdict-record.js';

const WINDOW = 4;
/** Longer names are not remembered. */
const NAME_BYTES = 128;
/** Words of a key: token, method, two of the name's hash, its length, the stamp. */
const KEY_WORDS = 6;

/** See the file comment. */
export class Memo {
  readonly #mask: number;
  readonly #keys: Int32Array;
  readonly #verdicts: Int32Array;
  readonly #names: Uint8Array;
  #victim = 0;
  #used = 0;

  /** @param capacity verdicts remembered; rounded up to a power of two, at least 16 */
  constructor(capacity: number) {
    let size = 16;
    while (size < capacity) size *= 2;
    this.#mask = size - 1;
    this.#keys = new Int32Array(size * KEY_WORDS);
    this.#verdicts = new Int32Array(size * VERDICT_HEAD);
    this.#names = new Uint8Array(size * NAME_BYTES);
  }

  /** Places of the table that hold a verdict, outdated ones included. */
  get used(): number {
    return this.#used;
  }

  /**
   * Copies the verdict remembered for a key into `verdict`.
   *
   * @param seconds wall clock, seconds since the epoch: an expired verdict is not found
   */
  recall(
    token: number,
    method: number,
    low: number,
    high: number,
    bytes: Uint8Array,
    start: number,
    end: number,
    stamp: number,
    seconds: number,
    verdict: VerdictRecord,
  ): boolean {
    const keys = this.#keys;
    const home = slotOf(token, method, low, high);
    for (let i = 0; i < WINDOW; i += 1) {
      const slot = (home + i) & this.#mask;
      const at = slot * KEY_WORDS;
      if (
        keys[at] !== token ||
        keys[at + 1] !== method ||
        keys[at + 2] !== low ||
        keys[at + 3] !== high ||
        keys[at + 4] !== end - start ||
        keys[at + 5] !== stamp
      ) {
        continue;
      }
      if (!this.#sameName(slot, bytes, start, end)) continue;
      const from = slot * VERDICT_HEAD;
      if (this.#verdicts[from + VerdictWord.rememberUntil]! <= seconds) return false;
      for (let word = 0; word < VERDICT_HEAD; word += 1) verdict[word] = this.#verdicts[from + word]!;
      return true;
    }
    return false;
  }

  /** Remembers `verdict` under a key. Names that are too long are left out. */
  remember(
    token: number,
    method: number,
    low: number,
    high: number,
    bytes: Uint8Array,
    start: number,
    end: number,
    stamp: number,
    verdict: VerdictRecord,
  ): void {
    if (end - start > NAME_BYTES) return;
    const keys = this.#keys;
    const home = slotOf(token, method, low, high);
    let chosen = -1;
    for (let i = 0; i < WINDOW; i += 1) {
      const slot = (home + i) & this.#mask;
      const at = slot * KEY_WORDS;
      const same = keys[at] === token && keys[at + 1] === method && keys[at + 2] === low && keys[at + 3] === high;
      if (same && keys[at + 4] === end - start && this.#sameName(slot, bytes, start, end)) {
        chosen = slot;
        break;
      }
      if (chosen < 0 && (keys[at] === 0 || keys[at + 5] !== stamp)) chosen = slot;
    }
    if (chosen < 0) {
      this.#victim = (this.#victim + 1) & (WINDOW - 1);
      chosen = (home + this.#victim) & this.#mask;
    }
    const at = chosen * KEY_WORDS;
    if (keys[at] === 0) this.#used += 1;
    keys[at] = token;
    keys[at + 1] = method;
    keys[at + 2] = low;
    keys[at + 3] = high;
    keys[at + 4] = end - start;
    keys[at + 5] = stamp;
    for (let i = start, to = chosen * NAME_BYTES; i < end; i += 1, to += 1) this.#names[to] = bytes[i]!;
    const into = chosen * VERDICT_HEAD;
    for (let word = 0; word < VERDICT_HEAD; word += 1) this.#verdicts[into + word] = verdict[word]!;
  }

  #sameName(slot: number, bytes: Uint8Array, start: number, end: number): boolean {
    const names = this.#names;
    for (let i = start, at = slot * NAME_BYTES; i < end; i += 1, at += 1) if (names[at] !== bytes[i]) return false;
    return true;
  }
}

function slotOf(token: number, method: number, low: number, high: number): number {
  return low ^ Math.imul(high, 0x85ebca6b) ^ Math.imul(token, 0x9e3779b1) ^ Math.imul(method, 0x27d4eb2f);
}
