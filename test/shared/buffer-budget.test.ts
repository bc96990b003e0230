import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import fc from 'fast-check';
import { BufferBudget, FREE_BYTES, type Holder } from '../../src/shared/buffer-budget.js';
import { HeldBytes } from '../../src/shared/held-bytes.js';

const LARGE = FREE_BYTES * 2;

class Answer implements Holder {
  held = 0;
  isEvicted = false;
  evictions = 0;
  readonly #budget: BufferBudget;

  constructor(budget: BufferBudget) {
    this.#budget = budget;
  }

  evicted(): void {
    this.evictions += 1;
    this.#budget.set(this, 0);
  }
}

function bounded(max: number) {
  const episodes: number[] = [];
  const budget: BufferBudget = new BufferBudget({ max: () => max, reached: () => episodes.push(budget.counts.bytes) });
  return { budget, episodes, answer: () => new Answer(budget) };
}

test('the largest holder is evicted, in a turn of its own', async () => {
  const { budget, answer, episodes } = bounded(LARGE * 4);
  const [small, large, last] = [answer(), answer(), answer()];
  budget.set(small, LARGE);
  budget.set(large, LARGE * 2);
  budget.set(last, LARGE * 1.5);
  assert.deepEqual([small.evictions, large.evictions, last.evictions], [0, 0, 0]);
  await turn();
  assert.deepEqual([small.evictions, large.evictions, last.evictions], [0, 1, 0]);
  assert.deepEqual(budget.counts, {
    bytes: LARGE * 2.5,
    peakBytes: LARGE * 4.5,
    maxBytes: LARGE * 4,
    refused: 1,
  });
  assert.equal(episodes.length, 1);
});

test('a holder that exceeds the bound alone is evicted itself; one that ended meanwhile is not', async () => {
  const { budget, answer } = bounded(LARGE * 2);
  const [first, second] = [answer(), answer()];
  budget.set(first, LARGE * 3);
  budget.set(second, LARGE * 3);
  budget.set(second, 0);
  await turn();
  assert.deepEqual([first.evictions, second.evictions], [1, 0]);
  assert.equal(budget.counts.bytes, 0);
});

test('what is small is counted and never refused', async () => {
  const { budget, answer } = bounded(LARGE);
  const many = Array.from({ length: 20 }, answer);
  for (const holder of many) budget.set(holder, FREE_BYTES);
  assert.equal(budget.reserve(FREE_BYTES), true);
  await turn();
  assert.ok(many.every(({ evictions }) => evictions === 0));
  assert.equal(budget.counts.bytes, 21 * FREE_BYTES);
  assert.equal(budget.isTight(FREE_BYTES), false);
  assert.equal(budget.isTight(FREE_BYTES + 1), true);
});

test('a request is accepted if a larger holder can be evicted for it, and refused otherwise', async () => {
  const { budget, answer } = bounded(LARGE * 4);
  const large = answer();
  budget.set(large, LARGE * 3);
  assert.equal(budget.reserve(LARGE * 2), true);
  await turn();
  assert.equal(large.evictions, 1);
  const equal = answer();
  budget.set(equal, LARGE * 2);
  assert.equal(budget.reserve(LARGE * 2), false);
  assert.equal(budget.counts.bytes, LARGE * 4);
  budget.release(LARGE * 2);
  assert.equal(budget.reserve(LARGE * 2), true);
  await turn();
  assert.equal(equal.evictions, 0);
});

test('0 is no bound, and a bound that a reload lowers holds from then on', async () => {
  let max = 0;
  const budget = new BufferBudget({ max: () => max, reached: () => {} });
  const held = new Answer(budget);
  budget.set(held, 2 ** 40);
  assert.equal(budget.reserve(2 ** 40), true);
  budget.release(2 ** 40);
  max = LARGE;
  budget.set(held, 2 ** 40 + 1);
  await turn();
  assert.equal(held.evictions, 1);
});

test('an episode is reported once, until half of the bound is free again', async () => {
  const { budget, answer, episodes } = bounded(LARGE * 2);
  const holders = [answer(), answer(), answer(), answer()];
  for (const holder of holders) budget.set(holder, LARGE);
  await turn();
  assert.equal(episodes.length, 1);
  for (const holder of holders) budget.set(holder, LARGE);
  await turn();
  assert.equal(episodes.length, 1);
  for (const holder of holders) budget.set(holder, 0);
  for (const holder of holders) budget.set(holder, LARGE);
  await turn();
  assert.equal(episodes.length, 2);
});

test('bytes that arrive in pieces are held once, however small the pieces, and given back', () => {
  const budget = new BufferBudget();
  const held = new HeldBytes(budget, () => assert.fail());
  const piece = Buffer.from('x');
  for (let count = 0; count < 100_000; count += 1) assert.equal(held.append(piece, 100_000), true);
  assert.equal(held.append(piece, 100_000), false);
  assert.deepEqual([held.length, held.bytes.length, budget.counts.bytes], [100_000, 100_000, 100_000]);
  held.clear();
  assert.deepEqual([held.length, held.bytes.length, budget.counts.bytes], [0, 0, 0]);
});

test('property: what is counted is what is held, and never much more than the bound', async () => {
  const step = fc.record({
    who: fc.nat(5),
    bytes: fc.oneof(fc.constant(0), fc.nat(LARGE * 6)),
    kind: fc.constantFrom('set', 'set', 'reserve', 'release', 'turn'),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
      const max = LARGE * 8;
      const { budget, answer } = bounded(max);
      const holders = Array.from({ length: 6 }, answer);
      const reserved: number[] = [];
      for (const { who, bytes, kind } of steps) {
        if (kind === 'set') budget.set(holders[who] ?? assert.fail(), bytes);
        else if (kind === 'reserve') budget.reserve(bytes) && reserved.push(bytes);
        else if (kind === 'release') budget.release(reserved.pop() ?? 0);
        else await turn();
        const sum = (list: readonly number[]): number => list.reduce((total, value) => total + value, 0);
        assert.equal(budget.counts.bytes, sum(holders.map(({ held }) => held)) + sum(reserved));
      }
      await turn();
      const small = FREE_BYTES * (holders.length + reserved.length);
      assert.ok(budget.counts.bytes <= max + small, `${budget.counts.bytes}`);
      for (const holder of holders) budget.set(holder, 0);
      for (const bytes of reserved) budget.release(bytes);
      assert.equal(budget.counts.bytes, 0);
      assert.ok(holders.every(({ isEvicted: leaving }) => !leaving));
    }),
    { numRuns: 500 },
  );
});
