import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { BUCKET_MOVED, Buckets, bucketMemory } from '../../src/shared/buckets.js';
import { CALL_BUCKET_WORDS, CallBuckets, LIMIT_SCOPES } from '../../src/shared/call-buckets.js';
import { monotonic } from '../../src/shared/clock.js';
import { callBuckets } from './call-buckets.js';

const FIELDS = Object.keys(new CallBuckets()) as (keyof CallBuckets)[];
/** The fields whose buckets can be given to another client. */
const OF_CLIENTS = FIELDS.filter((field) => `${field}Generation` in new CallBuckets());
const SCOPES = FIELDS.filter((field) => !field.endsWith('Generation'));

/** A different number in every field. */
function filled(): CallBuckets {
  return callBuckets(Object.fromEntries(FIELDS.map((field, index) => [field, index + 10])));
}

describe('buckets of a call', () => {
  it('are counted', () => {
    assert.equal(SCOPES.length, LIMIT_SCOPES);
    assert.equal(FIELDS.length, CALL_BUCKET_WORDS);
  });

  it('are the same after they were written and read, and after they were assigned', () => {
    const words = new Int32Array(CALL_BUCKET_WORDS + 2);
    filled().write(words, 1);
    assert.deepEqual([words[0], words[CALL_BUCKET_WORDS + 1]], [0, 0]);
    const read = new CallBuckets();
    read.read(words, 1);
    assert.deepEqual(read, filled());
    const assigned = new CallBuckets();
    assigned.assign(filled());
    assert.deepEqual(assigned, filled());
  });

  it('are none after they were cleared', () => {
    const cleared = filled();
    cleared.clear();
    assert.deepEqual(cleared, new CallBuckets());
    assert.ok(cleared.isEmpty);
  });

  for (const scope of OF_CLIENTS) {
    it(`are found again when the one of ${scope} was given to another client`, () => {
      const buckets = new Buckets(bucketMemory(1, 0), 1);
      buckets.define(0, { rate: 1, burst: 1 });
      const moved = callBuckets({ [scope]: 0, [`${scope}Generation`]: 2 });
      assert.equal(buckets.take(monotonic(), moved), BUCKET_MOVED);
    });
  }

  for (const scope of SCOPES) {
    it(`limit a call by ${scope}, alone and with all others`, () => {
      const buckets = new Buckets(bucketMemory(LIMIT_SCOPES, 0), 1);
      const now = monotonic();
      SCOPES.forEach((other, index) => {
        buckets.define(index, { rate: 0.001, burst: other === scope ? 2 : 100 });
      });
      const one = callBuckets({ [scope]: SCOPES.indexOf(scope) });
      assert.ok(!one.isEmpty);
      assert.equal(buckets.take(now, one), 0);
      const all = callBuckets(Object.fromEntries(SCOPES.map((field, index) => [field, index])));
      assert.equal(buckets.take(now, all), 0);
      assert.ok(buckets.take(now, all) > 0);
      assert.equal(buckets.refusedBy, SCOPES.indexOf(scope));
    });
  }
});
