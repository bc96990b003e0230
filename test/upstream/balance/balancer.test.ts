import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { BackOff, RestartBudget } from '../../../src/upstream/balance/back-off.js';
import type { Balancer } from '../../../src/upstream/balance/balancer.js';
import { ConsecutiveFailureBreaker } from '../../../src/upstream/balance/consecutive-failures.js';
import { WeightedRoundRobin } from '../../../src/upstream/balance/weighted-round-robin.js';

const candidates = (weights: readonly number[]) => weights.map((weight, index) => ({ index, weight }));
const chooseOf = (balancer: Balancer, usable: readonly number[]): number =>
  balancer.choose(Int32Array.from([...usable, 12_345]), usable.length);
const chooseAny = (balancer: Balancer, count: number): number => chooseOf(balancer, [...Array(count).keys()]);

test('property: over a full round every endpoint gets exactly its weight', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 100 }), (weights) => {
      const balancer = new WeightedRoundRobin(candidates(weights));
      const counts = weights.map(() => 0);
      const round = weights.reduce((sum, weight) => sum + weight, 0);
      for (let call = 0; call < round * 3; call += 1) counts[chooseAny(balancer, weights.length)]! += 1;
      assert.deepEqual(
        counts,
        weights.map((weight) => weight * 3),
      );
    }),
  );
});

test('property: only usable endpoints are chosen', () => {
  fc.assert(
    fc.property(fc.array(fc.uniqueArray(fc.nat(99), { minLength: 1 }), { minLength: 1, maxLength: 50 }), (choices) => {
      const balancer = new WeightedRoundRobin(candidates(Array.from({ length: 100 }, (_, index) => 1 + (index % 8))));
      for (const usable of choices) assert.ok(usable.includes(chooseOf(balancer, usable)));
    }),
  );
});

test('a heavy endpoint does not get its calls in one run', () => {
  const balancer = new WeightedRoundRobin(candidates([5, 1, 1]));
  const order = Array.from({ length: 7 }, () => chooseAny(balancer, 3));
  assert.deepEqual(order, [0, 0, 1, 0, 2, 0, 0]);
});

test('a breaker opens after failures in a row, tries one call after the pause, and closes on success', () => {
  const breaker = new ConsecutiveFailureBreaker(3, 1_000, 30_000);
  for (let count = 0; count < 2; count += 1) breaker.failed('GW_UPSTREAM_TIMEOUT', false, 0);
  breaker.succeeded();
  for (let count = 0; count < 2; count += 1) breaker.failed('GW_UPSTREAM_TIMEOUT', false, 0);
  assert.equal(breaker.tripped, false);
  breaker.failed('GW_UPSTREAM_TIMEOUT', false, 0);
  assert.equal(breaker.tripped, true);
  assert.equal(breaker.allows(999), false);
  assert.equal(breaker.allows(1_000), true);
  breaker.trialStarted(1_000);
  assert.equal(breaker.allows(1_001), false, 'one probe at a time');
  breaker.succeeded();
  assert.equal(breaker.tripped, false);
});

test('a failed probe opens the breaker for twice the pause, up to the limit', () => {
  const breaker = new ConsecutiveFailureBreaker(1, 1_000, 4_000);
  let now = 0;
  for (const pause of [1_000, 2_000, 4_000, 4_000, 4_000]) {
    breaker.failed('GW_UPSTREAM_UNREACHABLE', true, now);
    assert.equal(breaker.allows(now + pause - 1), false);
    now += pause;
    assert.equal(breaker.allows(now), true);
    breaker.trialStarted(now);
  }
});

test('a probe without an outcome lets the next one go', () => {
  const breaker = new ConsecutiveFailureBreaker(1, 1_000, 4_000);
  breaker.failed('GW_UPSTREAM_CLOSED', false, 0);
  breaker.trialStarted(1_000);
  breaker.neutral();
  assert.equal(breaker.allows(1_001), true);
  breaker.trialStarted(1_001);
  assert.equal(breaker.allows(5_000), false);
  assert.equal(breaker.allows(5_001), true, 'a lost one blocks no longer than the longest pause');
});

test('the last endpoint is paused only when it cannot be reached', () => {
  const breaker = new ConsecutiveFailureBreaker(3);
  for (let count = 0; count < 20; count += 1) breaker.failed('GW_UPSTREAM_TIMEOUT', true, 0);
  assert.equal(breaker.tripped, false);
  for (let count = 0; count < 3; count += 1) breaker.failed('GW_UPSTREAM_UNREACHABLE', true, 0);
  assert.equal(breaker.tripped, true);
});

test('failures that lie with the call do not count', () => {
  const breaker = new ConsecutiveFailureBreaker(1);
  for (const error of ['GW_UPSTREAM_BUSY', 'GW_RESPONSE_TOO_LARGE', 'GW_UPSTREAM_REFUSED', 'GW_INTERNAL'] as const) {
    breaker.failed(error, false, 0);
  }
  assert.equal(breaker.tripped, false);
});

test('pauses double with jitter between the first and the longest', () => {
  const backOff = new BackOff(100, 30_000);
  for (let attempt = 0; attempt < 30; attempt += 1) {
    const full = Math.min(100 * 2 ** attempt, 30_000);
    const pause = backOff.next();
    assert.ok(pause >= full / 2 && pause <= full, `${attempt}: ${pause}`);
  }
  backOff.reset();
  assert.ok(backOff.next() <= 100);
});

test('a restart budget holds within its window', () => {
  const budget = new RestartBudget(2, 1_000);
  assert.deepEqual([budget.spend(0), budget.spend(500), budget.spend(999)], [true, true, false]);
  assert.equal(budget.spend(1_000), true);
  budget.reset();
  assert.equal(budget.spend(1_001), true);
});
