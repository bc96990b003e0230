import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import { BUCKET_MOVED, Buckets, bucketMemory } from '../../src/shared/buckets.js';
import { ClientBuckets } from '../../src/shared/client-buckets.js';
import { monotonic } from '../../src/shared/clock.js';
import { callBuckets } from './call-buckets.js';

function ofRules(rules: readonly { rate: number; burst: number }[]): { buckets: Buckets; start: number } {
  const buckets = new Buckets(bucketMemory(rules.length, 0), 1);
  rules.forEach((rule, index) => {
    buckets.define(index, rule);
  });
  return { buckets, start: monotonic() };
}

describe('token buckets', () => {
  it('grant the burst, then the rate, and say how long to wait', () => {
    const { buckets, start } = ofRules([{ rate: 10, burst: 3 }]);
    const take = (after: number): number => buckets.take(start + after, callBuckets({ global: 0 }));
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
          const { buckets, start } = ofRules([{ rate, burst }]);
          let now = start + 1;
          let tokens = burst;
          let last = now;
          for (const pause of pauses) {
            now += pause;
            tokens = Math.min(burst, tokens + ((now - last) * rate) / 1000);
            last = now;
            const wait = buckets.take(now, callBuckets({ global: 0 }));
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
    const { buckets, start } = ofRules([
      { rate: 0.001, burst: 5 },
      { rate: 0.001, burst: 2 },
    ]);
    const both = (): number => buckets.take(start, callBuckets({ global: 1, tool: 0 }));
    assert.deepEqual([both(), both()], [0, 0]);
    assert.ok(both() > 0);
    const first = (): number => buckets.take(start, callBuckets({ global: 0 }));
    assert.deepEqual([first(), first(), first()], [0, 0, 0], 'a refusal takes nothing');
    assert.ok(first() > 0);
  });

  it('are not confused by a clock that goes back', () => {
    const { buckets, start } = ofRules([{ rate: 1000, burst: 1 }]);
    const take = (at: number): number => buckets.take(at, callBuckets({ global: 0 }));
    assert.equal(take(start + 100), 0);
    assert.ok(take(start - 100) > 0);
    assert.ok(take(start + 100) > 0);
  });

  it('grant exactly their capacity to threads that take at once', async () => {
    const capacities = [10_000, 7_000, 4_000];
    const layout = bucketMemory(3, 0);
    const buckets = new Buckets(layout, 1);
    capacities.forEach((burst, index) => {
      buckets.define(index, { rate: 1e-9, burst });
    });
    // Orders differ on purpose: locks must not be acquired in a circle.
    const choices = [[0], [1, 0], [2, 1, 0], [0, 2, 1]];
    const workers = [2, 3, 4, 5].map(
      (owner) =>
        new Worker(new URL('./bucket-taker.js', import.meta.url), {
          workerData: { layout, owner, buckets: choices, tries: 40_000 },
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
    const layout = bucketMemory(1, 0);
    const dead = new Buckets(layout, 9);
    const living = new Buckets(layout, 1);
    living.define(0, { rate: 1, burst: 10 });
    dead.lock(0);
    living.releaseOwner(9);
    assert.equal(living.take(monotonic(), callBuckets({ global: 0 })), 0);
    const left = dead.lock(0);
    assert.equal(living.take(monotonic(), callBuckets({ global: 0 })), 0, 'taken over after a while');
    dead.unlock(0, left);
    assert.equal(living.take(monotonic(), callBuckets({ global: 0 })), 0);
  });
});

describe('buckets of clients', () => {
  const rule = { rate: 1, burst: 2 };

  it('are found again, and apart from each other and from other rules', () => {
    const buckets = new Buckets(bucketMemory(1, 1000), 1);
    const clients = new ClientBuckets(buckets);
    const now = monotonic();
    const seen = new Map<number, string>();
    for (let client = 1; client <= 100; client += 1) {
      for (const number of [0, 1]) {
        clients.find(Int32Array.of(client, 2, 3, 4), number, rule, now);
        assert.equal(seen.has(clients.index), false);
        seen.set(clients.index, `${client} ${number}`);
      }
    }
    for (let client = 1; client <= 100; client += 1) {
      clients.find(Int32Array.of(client, 2, 3, 4), 1, rule, now);
      assert.equal(seen.get(clients.index), `${client} 1`);
    }
    assert.equal(clients.inUse, 200);
    assert.equal(clients.evictedEarly, 0);
  });

  it('make room: a full one is forgotten for nothing, a used one is counted, and its old index is refused', () => {
    const buckets = new Buckets(bucketMemory(0, 8), 1);
    const clients = new ClientBuckets(buckets);
    const now = monotonic();
    for (let client = 0; client < 16; client += 1) clients.find(Int32Array.of(client, 0, 0, 0), 0, rule, now);
    assert.equal(clients.inUse, 16);
    clients.find(Int32Array.of(99, 0, 0, 0), 0, rule, now);
    assert.equal(clients.evictedEarly, 0);
    const { index, generation } = clients;
    assert.equal(buckets.take(now, callBuckets({ client: index, clientGeneration: generation })), 0);
    for (let client = 100; client < 200; client += 1) {
      clients.find(Int32Array.of(client, 0, 0, 0), 0, rule, now);
      assert.equal(buckets.take(now, callBuckets({ client: clients.index, clientGeneration: clients.generation })), 0);
    }
    assert.ok(clients.evictedEarly > 0);
    assert.equal(buckets.take(now, callBuckets({ client: index, clientGeneration: generation })), BUCKET_MOVED);
    assert.equal(clients.inUse, 16);
  });

  it('exist only where a rule counts clients', () => {
    const clients = new ClientBuckets(new Buckets(bucketMemory(1, 0), 1));
    clients.find(Int32Array.of(1, 2, 3, 4), 0, rule, monotonic());
    assert.equal(clients.index, -1);
  });
});
