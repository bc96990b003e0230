import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { monotonic } from '../../../src/shared/clock.js';
import { BUCKET_MOVED, Buckets } from '../../../src/shared/limits/buckets.js';
import { ClientBuckets } from '../../../src/shared/limits/client-buckets.js';
import { bucketsOf, callOf, tokenBucket } from './limits.js';

describe('buckets of clients', () => {
  const rule = tokenBucket(1, 2);

  it('are found again, and apart from each other and from other limits', () => {
    const clients = new ClientBuckets(bucketsOf([rule, rule], 1000));
    const now = monotonic();
    const seen = new Map<number, string>();
    for (let client = 1; client <= 100; client += 1) {
      for (const limit of [0, 1]) {
        clients.find(Int32Array.of(client, 2, 3, 4), limit, now);
        assert.equal(seen.has(clients.index), false);
        seen.set(clients.index, `${client} ${limit}`);
      }
    }
    for (let client = 1; client <= 100; client += 1) {
      clients.find(Int32Array.of(client, 2, 3, 4), 1, now);
      assert.equal(seen.get(clients.index), `${client} 1`);
    }
    assert.equal(clients.inUse, 200);
    assert.equal(clients.evictedEarly, 0);
  });

  it('stay while there is room beside them, also unused ones', () => {
    const clients = new ClientBuckets(bucketsOf([rule], 1000));
    const indexes = new Set<number>();
    for (const round of [1, 2]) {
      for (let client = 1; client <= 10; client += 1) {
        // Only the last words differ: the search for all of them begins at one place.
        clients.find(Int32Array.of(1, 2, 3, client), 0, monotonic());
        indexes.add(clients.index);
      }
      assert.equal(indexes.size, 10, `round ${round}`);
    }
  });

  it('are apart if the digests differ in one bit, or the limits, although they may have the same places', () => {
    const buckets = bucketsOf([rule, rule], 8);
    const clients = new ClientBuckets(buckets);
    const now = monotonic();
    const digests = [0, 1, 2, 3, 4].map((word) => Int32Array.from({ length: 4 }, (_, i) => (i === word ? 1 : 0)));
    const seen = new Set<number>();
    for (const digest of digests) {
      for (const limit of [0, 1]) {
        clients.find(digest, limit, now);
        seen.add(clients.index);
        // One that is unused may be given away.
        assert.equal(buckets.take(now, callOf([clients.index], [clients.generation])), 0);
      }
    }
    assert.equal(seen.size, 10);
  });

  it('stay where less is left than a call needs, although that is more than others have', () => {
    const buckets = bucketsOf([rule], 8);
    const clients = new ClientBuckets(buckets);
    let now = monotonic() + 1;
    const take = (client: number, cost: number): boolean => {
      clients.find(Int32Array.of(client, 0, 0, 0), 0, now);
      return buckets.take(now, callOf([clients.index], [clients.generation], cost)) === 0;
    };
    assert.equal(take(1, 2), true);
    now += 500;
    for (let client = 2; client <= 100; client += 1) take(client, 2);
    assert.equal(take(1, 1), false);
    assert.equal(clients.evictedEarly, 0);
    assert.equal(clients.isShared, false);
    clients.find(Int32Array.of(101, 0, 0, 0), 0, now);
    assert.equal(clients.isShared, true);
    clients.find(Int32Array.of(1, 0, 0, 0), 0, now);
    assert.equal(clients.isShared, false, 'which is said of the last one only');
  });

  it('are found once by threads that look for the same client at the same time', () => {
    class Delayed extends Buckets {
      /** What another thread does while this one waits for the table. */
      meanwhile: (() => void) | null = null;

      override lockTable(): number {
        this.meanwhile?.();
        return super.lockTable();
      }
    }
    const { layout, limits } = bucketsOf([rule], 8);
    const [late, other] = [new Delayed(layout, 2, limits), new ClientBuckets(new Buckets(layout, 3, limits))];
    const digest = Int32Array.of(1, 2, 3, 4);
    const now = monotonic();
    const first = new ClientBuckets(late);
    late.meanwhile = () => {
      other.find(digest, 0, now);
      late.take(now, callOf([other.index], [other.generation]));
    };
    first.find(digest, 0, now);
    assert.deepEqual([first.index, first.generation], [other.index, other.generation]);
    assert.equal(first.inUse, 1);
  });

  it('make room: an unused one is forgotten for nothing, a used one is counted, and its old index is refused', () => {
    const buckets = bucketsOf([rule], 8);
    const clients = new ClientBuckets(buckets);
    const now = monotonic();
    const take = (): number => buckets.take(now, callOf([clients.index], [clients.generation]));
    for (let client = 0; client < 16; client += 1) clients.find(Int32Array.of(client, 0, 0, 0), 0, now);
    assert.equal(clients.inUse, 16);
    clients.find(Int32Array.of(99, 0, 0, 0), 0, now);
    assert.equal(clients.evictedEarly, 0);
    const { index, generation } = clients;
    assert.equal(take(), 0);
    for (let client = 100; client < 200; client += 1) {
      clients.find(Int32Array.of(client, 0, 0, 0), 0, now);
      assert.equal(take(), 0);
    }
    assert.ok(clients.evictedEarly > 0);
    assert.equal(buckets.take(now, callOf([index], [generation])), BUCKET_MOVED);
    assert.equal(clients.inUse, 16);
  });

  it('exist only where a limit counts clients', () => {
    const clients = new ClientBuckets(bucketsOf([rule]));
    clients.find(Int32Array.of(1, 2, 3, 4), 0, monotonic());
    assert.equal(clients.index, -1);
  });

  for (const burst of [1, 5]) {
    it(`of a client that is limited stay while 20,000 others come, with ${burst} at once`, () => {
      const buckets = bucketsOf([tokenBucket(1e-6, burst)], 1000);
      const clients = new ClientBuckets(buckets);
      const now = monotonic();
      const take = (client: Int32Array): boolean => {
        clients.find(client, 0, now);
        return buckets.take(now, callOf([clients.index], [clients.generation])) === 0;
      };
      const limited = Array.from({ length: 50 }, (_, i) => Int32Array.of(Math.imul(i + 1, 0x85ebca6b), 1, 1, 1));
      for (const client of limited) for (let i = 0; i < burst; i += 1) assert.equal(take(client), true);
      const other = Int32Array.of(0, 2, 2, 2);
      for (let i = 0; i < 20_000; i += 1) {
        other[0] = Math.imul(i, 0x9e3779b1);
        take(other);
        if (i % 1_000 === 0) for (const client of limited) assert.equal(take(client), false, `after ${i} others`);
      }
      assert.equal(clients.inUse <= buckets.layout.slots, true);
      assert.equal(clients.sharing > 0, burst === 1, 'without room clients share a bucket');
      assert.equal(clients.evictedEarly > 0, burst > 1);
    });
  }
});
