/**
 * The buckets that one call takes from, at most one for each scope of limits (limit-scopes.ts), in ascending order of their
 * index, in which they are locked. A pair of words for each instead of a field for each scope: the front copies and takes only
 * as many as there are.
 */

import type { Milliseconds } from '../../units.js';

/** Most limits that apply to one call. */
export const MAX_LIMITS = 8;
/** Words in front of index and generation of the first bucket. */
const FIXED_WORDS = 4;
/** Words of {@link CallBuckets} in a record: number of buckets, cost, time, and index and generation of each. */
export const CALL_BUCKET_WORDS = FIXED_WORDS + MAX_LIMITS * 2;

/** Converts a time to two words and back. */
const TIME = new Float64Array(1);
const TIME_WORDS = new Int32Array(TIME.buffer);

/** See the file comment. */
export class CallBuckets {
  /** Number of buckets; 0 = no limit applies to the call. */
  count = 0;
  /** What the call takes from each, at least 1. */
  cost = 1;
  /** When the call took it: the time that `Buckets.take` was given. */
  takenAt: Milliseconds = 0;
  /** Index of each bucket, and the generation it was found under. */
  readonly pairs = new Int32Array(MAX_LIMITS * 2);

  clear(): void {
    this.count = 0;
    this.cost = 1;
  }

  /** Adds a bucket, unless it is there already. @param generation of the bucket when it was found */
  add(index: number, generation: number): void {
    const { pairs } = this;
    let at = this.count * 2;
    while (at > 0 && pairs[at - 2]! > index) at -= 2;
    if (at > 0 && pairs[at - 2] === index) return;
    for (let i = this.count * 2; i > at; i -= 1) pairs[i + 1] = pairs[i - 1]!;
    pairs[at] = index;
    pairs[at + 1] = generation;
    this.count += 1;
  }

  assign(from: CallBuckets): void {
    const { pairs } = this;
    const { count, pairs: others } = from;
    this.count = count;
    this.cost = from.cost;
    this.takenAt = from.takenAt;
    for (let i = 0; i < count * 2; i += 1) pairs[i] = others[i]!;
  }

  /** Reads {@link CALL_BUCKET_WORDS} words of a record from `words[at]` on. */
  read(words: Int32Array, at: number): void {
    const { pairs } = this;
    const count = words[at]!;
    this.count = count;
    this.cost = words[at + 1]!;
    if (count === 0) return;
    TIME_WORDS[0] = words[at + 2]!;
    TIME_WORDS[1] = words[at + 3]!;
    this.takenAt = TIME[0]!;
    for (let i = 0; i < count * 2; i += 1) pairs[i] = words[at + FIXED_WORDS + i]!;
  }

  /** Writes {@link CALL_BUCKET_WORDS} words of a record from `words[at]` on. */
  write(words: Int32Array, at: number): void {
    const { count, pairs } = this;
    words[at] = count;
    words[at + 1] = this.cost;
    if (count === 0) return;
    TIME[0] = this.takenAt;
    words[at + 2] = TIME_WORDS[0]!;
    words[at + 3] = TIME_WORDS[1]!;
    for (let i = 0; i < count * 2; i += 1) words[at + FIXED_WORDS + i] = pairs[i]!;
  }
}
