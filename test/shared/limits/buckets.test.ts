import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import { monotonic } from '../../../src/shared/clock.js';
import { Buckets } from '../../../src/shared/limits/buckets.js';
import { bucketsOf, callOf, tokenBucket } from './limits.js';

describe('token buckets', () => {
  it('grant the burst, then the rate, and say how long to wait', () => {
    const buckets = bucketsOf([tokenBucket(10, 3)]);
    const start = monotonic();
    const take = (after: number): number => buckets.take(start + after, callOf([0]));
    assert.deepEqual([take(1), take(1), take(1)], [0, 0, 0]);
    const wait = take(1);
    assert.ok(wait >= 99 && wait <= 100, `${wait}`);
    assert.equal(take(1 + wait), 0);
    assert.ok(take(1 + wait) > 0);
    assert.deepEqual([take(10_000), take(10_000), take(10_000)], [0, 0, 0]);
    assert.ok(take(10_000) > 0);
  });

  it('never grant more than burst + rate * time, nor refuse what the model grants', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 50 }),
        fc.integer({ min: 1, max: 20 }),
        fc.array(fc.integer({ min: 0, max: 400 }), { maxLength: 200 }),
        (rate, burst, pauses) => {
          const start = monotonic();
          const buckets = bucketsOf([tokenBucket(rate, burst)]);
          let now = start + 1;
          let tokens = burst;
          let last = now;
          for (const pause of pauses) {
            now += pause;
            tokens = Math.min(burst, tokens + ((now - last) * rate) / 1000);
            last = now;
            const wait = buckets.take(now, callOf([0]));
            // Sums of floats in another order: only what is clear is compared.
            if (tokens >= 1 + 1e-6) assert.equal(wait, 0);
            else if (tokens < 1 - 1e-6) assert.ok(wait > 0);
            if (wait === 0) tokens -= 1;
          }
        },
      ),
    );
  });

  it('take from all or from none', () => {
    const start = monotonic();
    const buckets = bucketsOf([tokenBucket(0.001, 5), tokenBucket(0.001, 2)]);
    const both = (): number => buckets.take(start, callOf([1, 0]));
    assert.deepEqual([both(), both()], [0, 0]);
    assert.ok(both() > 0);
    const first = (): number => buckets.take(start, callOf([0]));
    assert.deepEqual([first(), first(), first()], [0, 0, 0], 'a refusal takes nothing');
    assert.ok(first() > 0);
  });

  it('are not confused by a clock that goes back', () => {
    const buckets = bucketsOf([tokenBucket(1000, 1)]);
    const start = monotonic();
    const take = (at: number): number => buckets.take(at, callOf([0]));
    assert.equal(take(start + 100), 0);
    assert.ok(take(start - 100) > 0);
    assert.ok(take(start + 100) > 0);
  });

  it('grant exactly their capacity to threads that take at once', async () => {
    const capacities = [10_000, 7_000, 4_000];
    const rules = capacities.map((burst) => tokenBucket(1e-9, burst));
    const { layout } = bucketsOf(rules);
    // Orders differ on purpose: locks must not be acquired in a circle.
    const choices = [[0], [1, 0], [2, 1, 0], [0, 2, 1]];
    const workers = [2, 3, 4, 5].map(
      (owner) =>
        new Worker(new URL('./bucket-taker.js', import.meta.url), {
          workerData: { layout, owner, rules, buckets: choices, tries: 40_000 },
        }),
    );
    const granted = await Promise.all(workers.map(async (worker) => (await once(worker, 'message'))[0] as number[]));
    const sums = choices.map((_, choice) => granted.reduce((sum, row) => sum + (row[choice] ?? 0), 0));
    const total = capacities.map((_, bucket) =>
      choices.reduce((sum, choice, i) => sum + (choice.includes(bucket) ? (sums[i] ?? 0) : 0), 0),
    );
    assert.ok(
      capacities.every((capacity, index) => (total[index] ?? 0) <= capacity),
      `${total}`,
    );
    assert.equal(total[0], capacities[0], 'the bucket that all of them use is used up exactly');
    await Promise.all(workers.map((worker) => worker.terminate()));
  });

  it('are freed from a dead thread, by the pool or by a thread that waits', () => {
    const living = bucketsOf([tokenBucket(1, 10)]);
    const dead = new Buckets(living.layout, 9, living.limits);
    dead.lock(0);
    living.releaseOwner(9);
    assert.equal(living.take(monotonic(), callOf([0])), 0);
    const left = dead.lock(0);
    assert.equal(living.take(monotonic(), callOf([0])), 0, 'taken over after a while');
    dead.unlock(0, left);
    assert.equal(living.take(monotonic(), callOf([0])), 0);
  });
});
