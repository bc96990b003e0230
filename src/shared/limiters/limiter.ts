import type { Milliseconds } from '../../units.js';
import type { BucketMemory } from './bucket.js';
import type { Limit } from './limit.js';

/**
 * An algorithm that counts calls in a bucket. It has no state besides the bucket, which its caller has locked. Times are of the
 * monotonic clock of all threads (clock.ts); one may be a little earlier than that of the call before.
 */
export interface Limiter {
  /** Number of the algorithm in messages and tests. */
  readonly name: string;
  /** Sets a bucket to unused. */
  init(memory: BucketMemory, bucket: number, limit: Limit, now: Milliseconds): void;
  /**
   * Takes `cost` calls, or none. A call that costs more than the limit ever permits at once passes when the bucket is unused.
   *
   * @returns 0 = taken; above 0 = milliseconds until they can be taken if no other call comes
   */
  take(memory: BucketMemory, bucket: number, limit: Limit, now: Milliseconds, cost: number): Milliseconds;
  /**
   * Gives back what {@link take} took: at once all of it; later, whatever else has happened to the bucket meanwhile, never more
   * than it would have if there had been no call.
   *
   * @param takenAt the time that {@link take} was given
   */
  refund(
    memory: BucketMemory,
    bucket: number,
    limit: Limit,
    now: Milliseconds,
    cost: number,
    takenAt: Milliseconds,
  ): void;
  /** The share of the limit that is left: 0 = nothing, 1 = the bucket is unused. */
  fullness(memory: BucketMemory, bucket: number, limit: Limit, now: Milliseconds): number;
}

/** Less than what a call costs: sums of floats may be off by so much. */
export const EPSILON = 1e-6;

/** A wait in whole milliseconds, at least one. */
export function wholeMs(wait: number): Milliseconds {
  return Math.max(1, Math.ceil(wait));
}
