import { BUCKET_WORDS, type BucketMemory, BucketWord } from './bucket.js';
import type { Limit } from './limit.js';
import { EPSILON, type Limiter, wholeMs } from './limiter.js';
import { initSpacing, refundSpacing, spacingFullness, spacingWait, takeSpacing } from './spacing.js';

/** Parts of a window that are counted apart. */
const PARTS = 4;
/** Word of a bucket: number of the newest part since the start of the clock. */
const NEWEST = BucketWord.state;
/** Words of a bucket: calls by part, the newest first; the last one is the part that is leaving the window. */
const COUNTS = BucketWord.state + 1;

/** Brings the counts of a bucket to the part that `now` is in. A time before that is taken for its beginning. */
function advance(words: Int32Array, at: number, part: number): void {
  const newest = words[at + NEWEST]!;
  const passed = (part - newest) | 0;
  if (passed <= 0) return;
  for (let age = PARTS; age >= 0; age -= 1) {
    words[at + COUNTS + age] = age >= passed ? words[at + COUNTS + age - passed]! : 0;
  }
  words[at + NEWEST] = part | 0;
}

/** How much of the newest part is over at `now`, 0 to 1. */
function progress(words: Int32Array, at: number, position: number, part: number): number {
  return words[at + NEWEST] === (part | 0) ? position - part : 0;
}

/** Calls in the window, the oldest part by its share. */
function countAt(words: Int32Array, at: number, over: number): number {
  let count = words[at + COUNTS + PARTS]! * (1 - over);
  for (let age = 0; age < PARTS; age += 1) count += words[at + COUNTS + age]!;
  return count;
}

/** Parts of a window until the calls in it are fewer by `excess`. */
function partsUntil(words: Int32Array, at: number, over: number, excess: number): number {
  let missing = excess;
  let waited = 0;
  let share = 1 - over;
  for (let age = PARTS; age >= 0; age -= 1) {
    const count = words[at + COUNTS + age]!;
    if (count * share >= missing) return waited + missing / count;
    missing -= count * share;
    waited += share;
    share = 1;
  }
  return waited;
}

/** Brings the counts of a bucket up to `now`. @returns how much of the newest part is over, 0 to 1 */
function locate(memory: BucketMemory, bucket: number, limit: Limit, now: number): number {
  const { words } = memory;
  const at = bucket * BUCKET_WORDS;
  const position = (now * PARTS) / limit.windowMs;
  const part = Math.floor(position);
  advance(words, at, part);
  return progress(words, at, position, part);
}

/**
 * `limit` calls in the last `windowMs`, in four parts, of which the oldest leaves evenly. In three quarters of `windowMs` never
 * more than `limit` calls pass; who stays within `limit` in five quarters of it is never refused; calls that come evenly pass at
 * the rate of the window, one call off at most.
 */
export const slidingWindow: Limiter = {
  name: 'sliding-window',

  init(memory, bucket, limit, now) {
    const at = bucket * BUCKET_WORDS;
    memory.words[at + NEWEST] = Math.floor((now * PARTS) / limit.windowMs) | 0;
    memory.words.fill(0, at + COUNTS, at + COUNTS + PARTS + 1);
    initSpacing(memory, bucket);
  },

  take(memory, bucket, limit, now, cost) {
    const { words } = memory;
    const at = bucket * BUCKET_WORDS;
    const over = locate(memory, bucket, limit, now);
    const needed = Math.min(cost, limit.capacity);
    const excess = countAt(words, at, over) + needed - limit.capacity;
    const pause = limit.spacingMs === 0 ? 0 : spacingWait(memory, bucket, limit, now, cost);
    if (excess > EPSILON) {
      return wholeMs(Math.max(pause, (partsUntil(words, at, over, excess) * limit.windowMs) / PARTS));
    }
    if (pause > 0) return wholeMs(pause);
    words[at + COUNTS] = words[at + COUNTS]! + needed;
    if (limit.spacingMs > 0) takeSpacing(memory, bucket, limit, now, cost);
    return 0;
  },

  refund(memory, bucket, limit, now, cost, takenAt) {
    const { words } = memory;
    const at = bucket * BUCKET_WORDS;
    const age = Math.max(0, (words[at + NEWEST]! - Math.floor((takenAt * PARTS) / limit.windowMs)) | 0);
    if (age <= PARTS) {
      const count = at + COUNTS + age;
      words[count] = Math.max(0, words[count]! - Math.min(cost, limit.capacity));
    }
    if (limit.spacingMs > 0) refundSpacing(memory, bucket, limit, now, cost, takenAt);
  },

  fullness(memory, bucket, limit, now) {
    const over = locate(memory, bucket, limit, now);
    const left = Math.max(0, 1 - countAt(memory.words, bucket * BUCKET_WORDS, over) / limit.capacity);
    return limit.spacingMs === 0 ? left : Math.min(left, spacingFullness(memory, bucket, limit, now));
  },
};
