/** Two million clients, each of whom calls once: what a client that throws its identity away can do to the buckets of others. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { TokenSlots } from '../../src/request/dispatch/token-slots.js';
import { monotonic } from '../../src/shared/clock.js';
import { ClientBuckets } from '../../src/shared/limits/client-buckets.js';
import { bucketsOf, callOf, tokenBucket } from '../shared/limits/limits.js';

const CLIENTS = 2_000_000;
const MIB = 1_048_576;

setFlagsFromString('--expose-gc');
const gc = runInNewContext('gc') as () => void;

function heap(): number {
  gc();
  const { arrayBuffers, heapUsed } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

for (const burst of [1, 5]) {
  test(`two million clients push out none that is limited, with ${burst} at once, and take no memory`, () => {
    const buckets = bucketsOf([tokenBucket(1e-6, burst)], 4_096);
    const clients = new ClientBuckets(buckets);
    const now = monotonic();
    const call = callOf([0]);
    const take = (client: Int32Array): boolean => {
      clients.find(client, 0, now);
      call.clear();
      call.add(clients.index, clients.generation);
      return buckets.take(now, call) === 0;
    };
    const limited = Array.from({ length: 500 }, (_, i) => Int32Array.of(Math.imul(i + 1, 0x85ebca6b), 1, 1, 1));
    for (const client of limited) for (let i = 0; i < burst; i += 1) assert.equal(take(client), true);
    const other = Int32Array.of(0, 2, 2, 2);
    const before = heap();
    for (let i = 1; i <= CLIENTS / 2; i += 1) {
      other[0] = Math.imul(i, 0x9e3779b1);
      other[1] = Math.imul(i, 0xc2b2ae35);
      take(other);
      if (i % 50_000 === 0) for (const client of limited) assert.equal(take(client), false, `after ${i} others`);
    }
    assert.ok(heap() - before < MIB, `${(heap() - before) / MIB} MiB`);
    assert.ok(clients.inUse <= buckets.layout.slots);
    assert.equal(clients.sharing > 0, burst === 1, 'without room clients share a bucket');
    assert.equal(clients.evictedEarly > 0, burst > 1);
    clients.find(limited[0]!, 0, now);
    assert.equal(clients.isShared, false);
  });
}

test('numbers for as many tokens as clients can think of take no more memory than for those that are remembered', () => {
  const slots = new TokenSlots(1_000);
  const before = heap();
  for (let i = 0; i < CLIENTS / 10; i += 1) slots.id(`token ${i}`);
  assert.ok(heap() - before < MIB, `${(heap() - before) / MIB} MiB`);
});
