/** A thread of the bucket tests: takes from shared buckets until it has tried often enough, and reports its grants. */
import { parentPort, workerData } from 'node:worker_threads';
import type { LimitRule } from '../../../src/config/snapshot/index.js';
import { monotonic } from '../../../src/shared/clock.js';
import { Limit } from '../../../src/shared/limiters/limit.js';
import { type BucketLayout, Buckets } from '../../../src/shared/limits/buckets.js';
import { callOf } from './limits.js';

interface Data {
  readonly layout: BucketLayout;
  readonly owner: number;
  readonly rules: readonly LimitRule[];
  readonly buckets: readonly (readonly number[])[];
  readonly tries: number;
  /** A clock that all threads advance by a tick with each call, until it has made `tries`; without it each makes `tries` in one moment. */
  readonly clock?: SharedArrayBuffer;
  readonly tickMs?: number;
  readonly start?: number;
}

const { layout, owner, rules, buckets: choices, tries, clock, tickMs = 0, start = 0 } = workerData as Data;
const buckets = new Buckets(
  layout,
  owner,
  rules.map((rule) => new Limit(rule)),
);
const granted = choices.map(() => 0);
const calls = choices.map((choice) => callOf(choice));
const ticks = clock === undefined ? null : new Int32Array(clock);
const moment = monotonic();
for (let turn = 0; ; turn += 1) {
  const tick = ticks === null ? turn : Atomics.add(ticks, 0, 1);
  if (tick >= tries) break;
  const choice = turn % choices.length;
  const now = ticks === null ? moment : start + tick * tickMs;
  if (buckets.take(now, calls[choice]!) === 0) granted[choice] = (granted[choice] ?? 0) + 1;
}
parentPort!.postMessage(granted);
