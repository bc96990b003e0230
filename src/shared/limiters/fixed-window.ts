import { BUCKET_FLOATS, BUCKET_WORDS, type BucketMemory, BucketWord, STATE_FLOAT } from './bucket.js';
import type { Limit } from './limit.js';
import { type Limiter, wholeMs } from './limiter.js';
import { initSpacing, refundSpacing, spacingFullness, spacingWait, takeSpacing } from './spacing.js';

/** Float of a bucket: when the window began. */
const BEGAN = STATE_FLOAT;
/** Word of a bucket: calls of the window. */
const COUNT = BucketWord.state + 2;

/** Calls of the window that is open at `now`. */
function countAt({ words, floats }: BucketMemory, bucket: number, limit: Limit, now: number): number {
  const isOver = now - floats[bucket * BUCKET_FLOATS + BEGAN]! >= limit.windowMs;
  return isOver ? 0 : words[bucket * BUCKET_WORDS + COUNT]!;
}

/**
 * `limit` calls in a window of `windowMs`, which begins with its first call. Calls at the end of one window and at the beginning
 * of the next may come together: at most twice `limit` in any span of `windowMs`.
 */
export const fixedWindow: Limiter = {
  name: 'fixed-window',

  init(memory, bucket) {
    memory.floats[bucket * BUCKET_FLOATS + BEGAN] = Number.NEGATIVE_INFINITY;
    memory.words[bucket * BUCKET_WORDS + COUNT] = 0;
    initSpacing(memory, bucket);
  },

  take(memory, bucket, limit, now, cost) {
    const { words, floats } = memory;
    const count = countAt(memory, bucket, limit, now);
    const needed = Math.min(cost, limit.capacity);
    const pause = limit.spacingMs === 0 ? 0 : spacingWait(memory, bucket, limit, now, cost);
    if (count + needed > limit.capacity) {
      return wholeMs(Math.max(pause, floats[bucket * BUCKET_FLOATS + BEGAN]! + limit.windowMs - now));
    }
    if (pause > 0) return wholeMs(pause);
    if (count === 0) floats[bucket * BUCKET_FLOATS + BEGAN] = now;
    words[bucket * BUCKET_WORDS + COUNT] = count + needed;
    if (limit.spacingMs > 0) takeSpacing(memory, bucket, limit, now, cost);
    return 0;
  },

  refund(memory, bucket, limit, now, cost, takenAt) {
    const at = bucket * BUCKET_WORDS + COUNT;
    const isSameWindow = memory.floats[bucket * BUCKET_FLOATS + BEGAN]! <= takenAt;
    if (isSameWindow) memory.words[at] = Math.max(0, memory.words[at]! - Math.min(cost, limit.capacity));
    if (limit.spacingMs > 0) refundSpacing(memory, bucket, limit, now, cost, takenAt);
  },

  fullness(memory, bucket, limit, now) {
    const left = 1 - countAt(memory, bucket, limit, now) / limit.capacity;
    return limit.spacingMs === 0 ? left : Math.min(left, spacingFullness(memory, bucket, limit, now));
  },
};
