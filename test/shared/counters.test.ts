import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { errorNumber } from '../../src/errors.js';
import { Counter, Counters, counterMemory, Series, SeriesNames } from '../../src/shared/counters.js';
import { Epochs, epochMemory } from '../../src/shared/epochs.js';
import { HISTOGRAM_SLOTS, histogramSlot, readHistogram } from '../../src/shared/histogram.js';

describe('counters', () => {
  it('add up over threads', () => {
    const memory = counterMemory(3, 4);
    const [front, first, second] = [new Counters(memory, 0), new Counters(memory, 1), new Counters(memory, 2)];
    front.add(Counter.notifications);
    first.add(Counter.notifications, 5);
    second.add(Counter.decisions, 7);
    second.error(errorNumber('GW_RATE_LIMITED'));
    front.error(errorNumber('GW_RATE_LIMITED'));
    assert.equal(front.total(Counter.notifications), 6);
    assert.equal(front.total(Counter.decisions), 7);
    assert.deepEqual([...first.errorTotals()], [['GW_RATE_LIMITED', 2]]);
  });

  it('have one id a name', () => {
    const ids = Object.values(Counter);
    assert.deepEqual(
      ids,
      ids.map((_, id) => id),
    );
  });

  it('keep series apart, and count what no longer fits under other', () => {
    const memory = counterMemory(2, 3);
    const names = new SeriesNames(memory);
    const counters = new Counters(memory, 0);
    const worker = new Counters(memory, 1);
    const [a, b] = [names.id('tool', 'a'), names.id('upstream', 'a')];
    assert.notEqual(a, b);
    assert.equal(names.id('tool', 'a'), a);
    assert.equal(names.id('tool', 'c'), names.other);
    assert.equal(names.id('tool', 'd'), names.other);
    counters.observe(a, 2);
    counters.observe(a, 4, true);
    counters.observe(names.other, 9);
    counters.observe(Series.request, 1);
    worker.observe(Series.request, 3);
    assert.deepEqual(
      [
        counters.read(a).count,
        counters.read(a).sum,
        counters.read(a).errors,
        counters.read(a).min,
        counters.read(a).max,
      ],
      [2, 6, 1, 2, 4],
    );
    assert.equal(counters.read(b).count, 0);
    assert.equal(counters.read(names.other).count, 1);
    assert.equal(counters.read(Series.request).count, 2);
    assert.equal(counters.read(Series.upstream).count, 0);
    assert.deepEqual(
      [...names.entries()],
      [
        { kind: 'tool', name: 'a', id: a },
        { kind: 'upstream', name: 'a', id: b },
      ],
    );
    counters.clear(a);
    assert.equal(counters.read(a).count, 0);
  });

  it('know percentiles to a sixteenth', () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: 0.02, max: 1e6, noNaN: true }), { minLength: 1, maxLength: 200 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (values, fraction) => {
          const counters = new Counters(counterMemory(1, 1), 0);
          for (const value of values) counters.observe(Series.request, value);
          const sorted = [...values].sort((x, y) => x - y);
          const exact = sorted[Math.max(0, Math.ceil(fraction * values.length) - 1)] ?? 0;
          const view = counters.read(Series.request);
          const estimate = view.percentile(fraction);
          assert.ok(estimate >= exact * 0.999 - 0.001, `${estimate} for ${exact}`);
          assert.ok(estimate <= exact * 1.0626 + 0.001, `${estimate} for ${exact}`);
          assert.equal(view.atMost(view.max), values.length);
        },
      ),
    );
  });

  it('give every duration a slot, in order', () => {
    let last = 0;
    for (const value of [
      -1,
      0,
      0.0005,
      0.001,
      0.015,
      0.016,
      0.5,
      1,
      10,
      1e3,
      1e6,
      2_147_482,
      1e9,
      Number.POSITIVE_INFINITY,
    ]) {
      const slot = histogramSlot(value);
      assert.ok(slot >= last && slot < HISTOGRAM_SLOTS, `${value} -> ${slot}`);
      last = slot;
    }
    assert.equal(readHistogram(new Float64Array(HISTOGRAM_SLOTS), [0]).percentile(0.5), 0);
  });
});

describe('epochs', () => {
  it('change the stamp with every change of any version', () => {
    const memory = epochMemory();
    const writer = new Epochs(memory);
    const reader = new Epochs(memory);
    const stamps = new Set([reader.stamp()]);
    writer.setSnapshot(3);
    stamps.add(reader.stamp());
    writer.setCatalog(4);
    stamps.add(reader.stamp());
    writer.revoke();
    stamps.add(reader.stamp());
    assert.equal(stamps.size, 4);
    assert.deepEqual([reader.snapshot(), reader.catalog(), reader.revocation()], [3, 4, 1]);
  });
});
