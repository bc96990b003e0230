import { Buckets, bucketMemory } from '../../../src/shared/buckets.js';
import { CallBuckets } from '../../../src/shared/call-buckets.js';
import { ClientBuckets } from '../../../src/shared/client-buckets.js';
import { monotonic } from '../../../src/shared/clock.js';
import { type Case, keep } from '../runner.js';

/** Never empty while the case runs. */
const AMPLE = { rate: 1e9, burst: 1e9 };
const OWNER = 1;

export const bucketCases: readonly Case[] = [
  {
    name: 'rate limit',
    what: 'guard: one token from a shared bucket',
    goalNs: 50,
    setup() {
      const buckets = new Buckets(bucketMemory(3, 1024), OWNER);
      buckets.define(0, AMPLE);
      const call = new CallBuckets();
      call.global = 0;
      const now = monotonic();
      return {
        run(times) {
          for (let i = 0; i < times; i++) keep(buckets.take(now + i * 1e-4, call));
        },
      };
    },
  },
  {
    name: 'rate limit of three',
    what: 'guard: tokens from three at once (global, tool, one of 1,000 clients found by digest)',
    setup() {
      const buckets = new Buckets(bucketMemory(2, 1024), OWNER);
      const clients = new ClientBuckets(buckets);
      buckets.define(0, AMPLE);
      buckets.define(1, AMPLE);
      const digest = Int32Array.of(0, 1, 2, 3);
      const call = new CallBuckets();
      call.global = 0;
      call.tool = 1;
      const now = monotonic();
      return {
        run(times) {
          for (let i = 0; i < times; i++) {
            digest[0] = Math.imul(i % 1000, 0x9e3779b1);
            const at = now + i * 1e-4;
            clients.find(digest, 0, AMPLE, at);
            call.client = clients.index;
            call.clientGeneration = clients.generation;
            keep(buckets.take(at, call));
          }
        },
      };
    },
  },
];
