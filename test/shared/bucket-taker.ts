/** A thread of the bucket tests: takes from shared buckets until it has tried often enough, and reports its grants. */
import { parentPort, workerData } from 'node:worker_threads';
import type { LimitRule } from '../../src/config/snapshot.js';
import { type BucketLayout, Buckets } from '../../src/shared/buckets.js';
import { monotonic } from '../../src/shared/clock.js';
import { Limit } from '../../src/shared/limiters/limit.js';
import { callOf } from './limits.js';

interface Data {
  readonly layout: BucketLayout;
  readonly owner: number;
  readonly rules: readonly LimitRule[];
  readonly buckets: readonly (readonly number[])[];
  readonly tries: number;
}

const { layout, owner, rules, buckets: choices, tries } = workerData as Data;
const buckets = new Buckets(
  layout,
  owner,
  rules.map((rule) => new Limit(rule)),
);
const granted = choices.map(() => 0);
const calls = choices.map((choice) => callOf(choice));
const now = monotonic();
for (let turn = 0; turn < tries; turn += 1) {
  const choice = turn % choices.length;
  if (buckets.take(now, calls[choice]!) === 0) granted[choice] = (granted[choice] ?? 0) + 1;
}
parentPort!.postMessage(granted);
