import assert from 'node:assert/strict';
import { test } from 'node:test';
import { watchLoopDelay } from '../../src/observe/loop-delay.js';
import { Counters, counterMemory, Series } from '../../src/shared/counters.js';

test('a loop that was held up is seen, by how much it was', async (t) => {
  const counters = new Counters(counterMemory(1, 1), 0);
  const stop = watchLoopDelay(counters, { sample: () => {} }, 5);
  t.after(stop);
  await new Promise((resolve) => setTimeout(resolve, 50));
  const until = performance.now() + 120;
  while (performance.now() < until);
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.ok(counters.read(Series.loopDelay).max >= 100);
  stop();
  const { count } = counters.read(Series.loopDelay);
  await new Promise((resolve) => setTimeout(resolve, 30));
  assert.equal(counters.read(Series.loopDelay).count, count);
});
