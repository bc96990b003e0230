import { BUCKET_FLOATS, STATE_FLOAT } from './bucket.js';
import { EPSILON, type Limiter, wholeMs } from './limiter.js';

/** Floats of a bucket: tokens, and when they were counted. */
const TOKENS = STATE_FLOAT;
const REFILLED = STATE_FLOAT + 1;

/**
 * `burst` tokens at most, refilled with `rate` tokens a second; a call takes one. In any span of t seconds at most
 * `burst + rate * t` calls pass; a client that stays below `rate` is never refused.
 */
export const tokenBucket: Limiter = {
  name: 'token-bucket',

  init({ floats }, bucket, limit, now) {
    const at = bucket * BUCKET_FLOATS;
    floats[at + TOKENS] = limit.capacity;
    floats[at + REFILLED] = now;
  },

  take({ floats }, bucket, limit, now, cost) {
    const at = bucket * BUCKET_FLOATS;
    const elapsed = now - floats[at + REFILLED]!;
    let tokens = floats[at + TOKENS]!;
    if (elapsed > 0) {
      tokens += elapsed * limit.perMs;
      if (tokens > limit.capacity) tokens = limit.capacity;
      floats[at + REFILLED] = now;
    }
    const needed = Math.min(cost, limit.capacity);
    if (tokens + EPSILON < needed) {
      floats[at + TOKENS] = tokens;
      return wholeMs((needed - tokens) / limit.perMs);
    }
    floats[at + TOKENS] = tokens - needed;
    return 0;
  },

  refund({ floats }, bucket, limit, now, cost, takenAt) {
    const at = bucket * BUCKET_FLOATS + TOKENS;
    // Without the call the bucket may have been full since then: what was refilled would have been lost.
    const left = Math.min(cost, limit.capacity) - Math.max(0, now - takenAt) * limit.perMs;
    if (left > 0) floats[at] = Math.min(limit.capacity, floats[at]! + left);
  },

  fullness({ floats }, bucket, limit, now) {
    const at = bucket * BUCKET_FLOATS;
    const elapsed = Math.max(0, now - floats[at + REFILLED]!);
    return Math.min(1, Math.max(0, (floats[at + TOKENS]! + elapsed * limit.perMs) / limit.capacity));
  },
};
