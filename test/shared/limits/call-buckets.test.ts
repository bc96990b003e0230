import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { monotonic } from '../../../src/shared/clock.js';
import { LIMIT_SCOPES } from '../../../src/shared/limit-scopes.js';
import { BUCKET_MOVED } from '../../../src/shared/limits/buckets.js';
import { CALL_BUCKET_WORDS, CallBuckets, MAX_LIMITS } from '../../../src/shared/limits/call-buckets.js';
import { bucketsOf, callOf, tokenBucket } from './limits.js';

const indexes = fc.array(fc.nat(1000), { maxLength: MAX_LIMITS });

/** What a call holds, as pairs. */
function held(call: CallBuckets): (readonly [number, number])[] {
  return Array.from({ length: call.count }, (_, i) => [call.pairs[i * 2]!, call.pairs[i * 2 + 1]!] as const);
}

describe('buckets of a call', () => {
  it('are as many as there are scopes at most', () => {
    assert.equal(LIMIT_SCOPES.length, MAX_LIMITS);
  });

  it('are in ascending order, each once, with its generation', () => {
    fc.assert(
      fc.property(indexes, (added) => {
        const call = callOf(
          added,
          added.map((index) => index * 2),
        );
        const expected = [...new Set(added)].sort((a, b) => a - b).map((index) => [index, index * 2]);
        assert.deepEqual(held(call), expected);
      }),
    );
  });

  it('are the same after they were written and read, and after they were assigned', () => {
    fc.assert(
      fc.property(indexes, fc.integer({ min: 1, max: 9 }), (added, cost) => {
        const call = callOf(
          added,
          added.map((index) => index + 7),
          cost,
        );
        const words = new Int32Array(CALL_BUCKET_WORDS + 2);
        call.write(words, 1);
        assert.deepEqual([words[0], words[CALL_BUCKET_WORDS + 1]], [0, 0]);
        const read = new CallBuckets();
        read.read(words, 1);
        const assigned = new CallBuckets();
        assigned.assign(call);
        for (const copy of [read, assigned]) assert.deepEqual([held(copy), copy.cost], [held(call), cost]);
        call.clear();
        assert.deepEqual([call.count, call.cost], [0, 1]);
      }),
    );
  });

  it('are found again when one was given to another client, and nothing is taken', () => {
    const buckets = bucketsOf([tokenBucket(0.001, 1), tokenBucket(0.001, 1)]);
    assert.equal(buckets.take(monotonic(), callOf([0, 1], [0, 2])), BUCKET_MOVED);
    assert.equal(buckets.take(monotonic(), callOf([0, 1])), 0);
  });

  for (let scope = 0; scope < MAX_LIMITS; scope += 1) {
    it(`limit a call by the ${scope + 1}. of them, alone and with all others`, () => {
      const rules = LIMIT_SCOPES.map((_, other) => tokenBucket(0.001, other === scope ? 2 : 100));
      const buckets = bucketsOf(rules);
      const now = monotonic();
      const all = callOf(LIMIT_SCOPES.map((_, index) => index));
      assert.equal(buckets.take(now, callOf([scope])), 0);
      assert.equal(buckets.take(now, all), 0);
      assert.ok(buckets.take(now, all) > 0);
      assert.equal(buckets.refusedBy, scope);
    });
  }

  it('the one that takes longest to permit the call refuses it', () => {
    const buckets = bucketsOf([tokenBucket(1, 1), tokenBucket(0.1, 1), tokenBucket(10, 1)]);
    const now = monotonic();
    const call = callOf([0, 1, 2]);
    assert.equal(buckets.take(now, call), 0);
    assert.equal(buckets.take(now, call), 10_000);
    assert.equal(buckets.refusedBy, 1);
  });

  it('pay the cost of the call, and a cost beyond the limit when they are unused', () => {
    const buckets = bucketsOf([tokenBucket(1, 10)]);
    const now = monotonic();
    assert.equal(buckets.take(now, callOf([0], [], 7)), 0);
    assert.equal(buckets.take(now, callOf([0], [], 4)), 1000);
    assert.equal(buckets.take(now, callOf([0], [], 3)), 0);
    assert.equal(buckets.take(now, callOf([0], [], 1000)), 10_000);
    assert.equal(buckets.take(now + 10_000, callOf([0], [], 1000)), 0);
  });
});
