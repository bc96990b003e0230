import type { LimitRule } from '../../../src/config/snapshot/index.js';
import { monotonic } from '../../../src/shared/clock.js';
import { Limit } from '../../../src/shared/limiters/limit.js';
import { Buckets, bucketMemory } from '../../../src/shared/limits/buckets.js';
import { CallBuckets } from '../../../src/shared/limits/call-buckets.js';

/** A token bucket. */
export function tokenBucket(rate: number, burst: number): LimitRule {
  return { algorithm: 'token-bucket', rate, burst };
}

/** Buckets with one limit for each rule, and room for clients; limit n has the bucket n. */
export function bucketsOf(rules: readonly LimitRule[], clients = 0, owner = 1): Buckets {
  const limits = rules.map((rule) => new Limit(rule));
  const buckets = new Buckets(bucketMemory(rules.length, clients), owner, limits);
  const now = monotonic();
  for (let limit = 0; limit < rules.length; limit += 1) buckets.define(limit, limit, now);
  return buckets;
}

/** A call that takes from the buckets with those indexes, and of clients with their generations. */
export function callOf(indexes: readonly number[], generations: readonly number[] = [], cost = 1): CallBuckets {
  const call = new CallBuckets();
  indexes.forEach((index, i) => {
    call.add(index, generations[i] ?? 0);
  });
  call.cost = cost;
  return call;
}
