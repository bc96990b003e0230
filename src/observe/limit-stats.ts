/** The buckets of rate limits in `/stats` and `/metrics`. */

import { monotonic } from '../shared/clock.js';
import { BUCKET_WORDS, BucketWord } from '../shared/limiters/bucket.js';
import { type BucketPlan, viewBuckets } from '../shared/limits/bucket-plan.js';
import type { BucketLayout } from '../shared/limits/buckets.js';
import { ClientBuckets } from '../shared/limits/client-buckets.js';
import type { Count } from '../units.js';

/** The limits in force, and the memory of their buckets. */
export interface LimitState {
  readonly plan: BucketPlan;
  readonly layout: BucketLayout;
}

/** A limit of which some bucket has less than {@link NEAR} left. */
export interface NearLimit {
  /** Where it is written. */
  readonly limit: string;
  /** Buckets with so little left: 1, or the number of such clients. */
  readonly near: Count;
  /** Those of them that would refuse a call. */
  readonly usedUp: Count;
}

/** What the buckets hold. */
export interface LimitStats {
  readonly clients: {
    /** Buckets of clients. */
    readonly buckets: Count;
    readonly room: Count;
    /** Times that a bucket was given to another client before it was unused. */
    readonly evictedEarly: Count;
    /** Times that a client shared a bucket with others, because all it could have had were used up. */
    readonly sharing: Count;
  };
  /** The limits with the most buckets that are used up or near it; at most {@link MOST_NEAR}. */
  readonly near: readonly NearLimit[];
}

/** Less than a fifth of the limit. */
const NEAR = 0.2;
const MOST_NEAR = 20;
const READER = 255;

/** Counts of the table of clients; a few words are read. */
export function clientBuckets({ layout, plan }: LimitState): LimitStats['clients'] {
  const { evictedEarly, inUse, sharing } = new ClientBuckets(viewBuckets(layout, READER, plan));
  return { buckets: inUse, room: layout.slots, evictedEarly, sharing };
}

/** Looks at every bucket; runs in the control pool. */
export function limitStats(state: LimitState): LimitStats {
  const { layout, plan } = state;
  const buckets = viewBuckets(layout, READER, plan);
  const now = monotonic();
  const near = plan.planned.map(({ path }) => ({ limit: path, near: 0, usedUp: 0 }));
  for (let index = 0; index < layout.fixed + layout.slots; index += 1) {
    if (index >= layout.fixed && buckets.words[index * BUCKET_WORDS + BucketWord.used] === 0) continue;
    if (plan.planned.length === 0) break;
    const left = buckets.peek(index, now);
    if (left >= NEAR) continue;
    const row = near[buckets.limitNumber(index)]!;
    row.near += 1;
    if (left * buckets.limitOf(index).capacity < 1) row.usedUp += 1;
  }
  const rows = near.filter((row) => row.near > 0).sort((a, b) => b.usedUp - a.usedUp || b.near - a.near);
  return { clients: clientBuckets(state), near: rows.slice(0, MOST_NEAR) };
}
