/** A thread of the bucket test: takes from shared buckets until it is refused often enough, and reports its grants. */
import { parentPort, workerData } from 'node:worker_threads';
import { type BucketLayout, Buckets } from '../../src/shared/buckets.js';
import { monotonic } from '../../src/shared/clock.js';
import { callBuckets } from './call-buckets.js';

interface Data {
  readonly layout: BucketLayout;
  readonly owner: number;
  readonly buckets: readonly (readonly number[])[];
  readonly tries: number;
}

const { layout, owner, buckets: choices, tries } = workerData as Data;
const buckets = new Buckets(layout, owner);
const granted = choices.map(() => 0);
const now = monotonic();
for (let turn = 0; turn < tries; turn += 1) {
  const choice = turn % choices.length;
  const [global = -1, tool = -1, route = -1] = choices[choice] ?? [];
  if (buckets.take(now, callBuckets({ global, tool, route })) === 0) granted[choice] = (granted[choice] ?? 0) + 1;
}
parentPort!.postMessage(granted);
