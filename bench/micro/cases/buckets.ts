import type { LimitRule } from '../../../src/config/snapshot/index.js';
import { monotonic } from '../../../src/shared/clock.js';
import { Limit } from '../../../src/shared/limiters/limit.js';
import { Buckets, bucketMemory } from '../../../src/shared/limits/buckets.js';
import { CallBuckets } from '../../../src/shared/limits/call-buckets.js';
import { ClientBuckets } from '../../../src/shared/limits/client-buckets.js';
import { type Case, keep } from '../runner.js';

/** Never empty while a case runs. */
export const AMPLE = { algorithm: 'token-bucket', rate: 1e9, burst: 1e9 } as const;
const WINDOW = { limit: 1e9, windowMs: 1000, burst: 1e9 };
/** Of one limit; a burst is a second count. */
const GOAL_NS = 50;
const OWNER = 1;

/** Buckets of limits that are never reached, and room for clients. */
function ampleBuckets(rules: readonly LimitRule[], clients: number): Buckets {
  const limits = rules.map((rule) => new Limit(rule));
  const buckets = new Buckets(bucketMemory(rules.length, clients), OWNER, limits);
  for (let limit = 0; limit < rules.length; limit += 1) buckets.define(limit, limit, monotonic());
  return buckets;
}

/** One call from one bucket of all calls. */
function oneLimit(name: string, what: string, rule: LimitRule, goalNs?: number): Case {
  return {
    name,
    what: `guard: ${what}`,
    ...(goalNs === undefined ? {} : { goalNs }),
    setup() {
      const buckets = ampleBuckets([rule], 1024);
      const call = new CallBuckets();
      call.add(0, 0);
      const now = monotonic();
      return {
        run(times) {
          for (let i = 0; i < times; i++) keep(buckets.take(now + i * 1e-4, call));
        },
      };
    },
  };
}

export const bucketCases: readonly Case[] = [
  oneLimit('rate limit', 'one call under a rate limit, token bucket', AMPLE, GOAL_NS),
  oneLimit(
    'rate limit, sliding window',
    'the same, sliding window',
    { algorithm: 'sliding-window', ...WINDOW },
    GOAL_NS,
  ),
  oneLimit('rate limit, fixed window', 'the same, fixed window', { algorithm: 'fixed-window', ...WINDOW }, GOAL_NS),
  oneLimit('rate limit, window with a burst', 'the same, sliding window with a burst', {
    algorithm: 'sliding-window',
    ...WINDOW,
    burst: 1e8,
  }),
  {
    name: 'rate limit of three',
    what: 'guard: three limits at once (global, tool, one of 1,000 clients found by digest)',
    setup() {
      const buckets = ampleBuckets([AMPLE, AMPLE, AMPLE], 1024);
      const clients = new ClientBuckets(buckets);
      const digest = Int32Array.of(0, 1, 2, 3);
      const call = new CallBuckets();
      const now = monotonic();
      return {
        run(times) {
          for (let i = 0; i < times; i++) {
            digest[0] = Math.imul(i % 1000, 0x9e3779b1);
            const at = now + i * 1e-4;
            call.clear();
            call.add(0, 0);
            call.add(1, 0);
            clients.find(digest, 2, at);
            call.add(clients.index, clients.generation);
            keep(buckets.take(at, call));
          }
        },
      };
    },
  },
];
