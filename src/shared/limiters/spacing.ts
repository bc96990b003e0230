/**
 * `burst` of a window: how many of its calls may come at once. The last float of the state is the time at which the calls so far
 * would have been over at the even pace of the window (generic cell rate algorithm, ITU-T I.371).
 */
import type { Milliseconds } from '../../units.js';
import { BUCKET_FLOATS, type BucketMemory, STATE_FLOAT } from './bucket.js';
import type { Limit } from './limit.js';
import { EPSILON } from './limiter.js';

const PACED_UNTIL = STATE_FLOAT + 3;

/** Forgets all calls. */
export function initSpacing({ floats }: BucketMemory, bucket: number): void {
  floats[bucket * BUCKET_FLOATS + PACED_UNTIL] = 0;
}

/** Milliseconds until `cost` calls may come at once; 0 or less = now. For a limit with `spacingMs`. */
export function spacingWait(
  { floats }: BucketMemory,
  bucket: number,
  limit: Limit,
  now: Milliseconds,
  cost: number,
): Milliseconds {
  const ahead = floats[bucket * BUCKET_FLOATS + PACED_UNTIL]! - now;
  const needed = Math.min(cost, limit.burst);
  const wait = ahead + (needed - limit.burst) * limit.spacingMs;
  return wait > EPSILON * limit.spacingMs ? wait : 0;
}

/** Counts `cost` calls that {@link spacingWait} permits. */
export function takeSpacing(
  { floats }: BucketMemory,
  bucket: number,
  limit: Limit,
  now: Milliseconds,
  cost: number,
): void {
  const at = bucket * BUCKET_FLOATS + PACED_UNTIL;
  floats[at] = Math.max(floats[at]!, now) + Math.min(cost, limit.burst) * limit.spacingMs;
}

/**
 * Gives back what is left of what {@link takeSpacing} counted at `takenAt`: time that has passed since then would have passed
 * without the call too.
 */
export function refundSpacing(
  { floats }: BucketMemory,
  bucket: number,
  limit: Limit,
  now: Milliseconds,
  cost: number,
  takenAt: Milliseconds,
): void {
  const left = Math.min(cost, limit.burst) * limit.spacingMs - Math.max(0, now - takenAt);
  if (left > 0) floats[bucket * BUCKET_FLOATS + PACED_UNTIL]! -= left;
}

/** The share of `burst` that may come now, 0 to 1. */
export function spacingFullness({ floats }: BucketMemory, bucket: number, limit: Limit, now: Milliseconds): number {
  const ahead = Math.max(0, floats[bucket * BUCKET_FLOATS + PACED_UNTIL]! - now);
  return Math.max(0, 1 - ahead / (limit.burst * limit.spacingMs));
}
