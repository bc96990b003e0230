/** What the guard refuses, in which order and shares, and when it begins and ends. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { SHED_KINDS } from '../../../src/config/schema/overload.js';
import type { OverloadSnapshot } from '../../../src/config/snapshot/index.js';
import { OverloadGuard, type OverloadStatus } from '../../../src/request/overload/guard.js';
import { Work } from '../../../src/request/overload/kinds.js';
import { Load } from '../../../src/request/overload/load.js';
import { Ring, ringMemory } from '../../../src/shared/ring/index.js';

const MIB = 1024 * 1024;

/** A guard whose load the test sets, sampled 20 times a second. */
function guardWith(changes: Partial<OverloadSnapshot> = {}) {
  const rules: OverloadSnapshot = {
    enabled: true,
    eventLoopDelayMs: 500,
    maxMemoryBytes: 100 * MIB,
    ringFullness: 0.75,
    order: SHED_KINDS,
    retryAfterMs: 1_000,
    ...changes,
  };
  const ring = new Ring(ringMemory(4096));
  const slot = { index: 0, incarnation: 1, ready: true, requests: ring, verdicts: new Ring(ringMemory(4096)) };
  const memory = { bytes: 10 * MIB, heapShare: 0.1, buffered: 0, waitedMs: 0, activeMs: 0, turnMs: 0 };
  const load = new Load({
    pool: { size: 1, slot: () => slot },
    budget: {
      get counts() {
        return { bytes: memory.buffered, peakBytes: 0, maxBytes: MIB, refused: 0 };
      },
    },
    memory: { rss: () => memory.bytes, heap: () => memory.heapShare },
    runQueue: { waitedMs: () => memory.waitedMs },
    eventLoop: { activeMs: () => memory.activeMs, turnMs: () => memory.turnMs },
  });
  const log: string[] = [];
  const counted = { refused: 0 };
  const config = { current: { limits: { maxBodyBytes: MIB, maxDepth: 64 }, overload: rules, routes: [] } };
  const guard = new OverloadGuard({
    config,
    load,
    counters: { add: (_counter, count = 1) => (counted.refused += count), error() {}, observe() {}, request() {} },
    accounting: { keepsBodies: false },
    log: {
      overloadBegan: ({ reason }: OverloadStatus) => log.push(`began: ${reason}`),
      overloadEnded: ({ refused }: OverloadStatus) => log.push(`ended: ${refused}`),
    },
  });
  /** @returns requests refused of `count` of each kind in each sample */
  const run = (samples: number, lateMs: number, count: Partial<Record<keyof typeof Work, number>> = { calls: 50 }) => {
    const refused: Partial<Record<string, number>> = {};
    for (let sample = 0; sample < samples; sample += 1) {
      for (const [kind, number] of Object.entries(count)) {
        for (let i = 0; i < number; i += 1) {
          if (guard.isActive && guard.refuses(Work[kind as keyof typeof Work]))
            refused[kind] = (refused[kind] ?? 0) + 1;
        }
      }
      guard.sample(lateMs, 50);
    }
    return refused;
  };
  return { guard, run, memory, ring, log, counted, config };
}

describe('the overload guard', () => {
  it('does nothing below its thresholds, and not for one slow turn of the event loop', () => {
    const { guard, run, log } = guardWith();
    run(20, 80);
    run(1, 480);
    run(20, 5);
    assert.equal(guard.isActive, false);
    assert.deepEqual(log, []);
  });

  it('begins at a stall of two seconds, refuses nothing when it is over, and ends after a second', () => {
    const { guard, run, log } = guardWith();
    run(1, 2_000);
    assert.equal(guard.isActive, true);
    const refused = run(40, 0);
    assert.ok((refused.calls ?? 0) <= 60, `${refused.calls} of 2000`);
    assert.equal(guard.isActive, false);
    assert.deepEqual(log, ['began: eventLoop', `ended: ${refused.calls ?? 0}`]);
  });

  it('refuses the kinds in their order, and never what is not named', () => {
    const { guard, run, memory } = guardWith({ order: ['reads', 'calls'] });
    memory.bytes = 110 * MIB;
    run(5, 0, {});
    const seen: string[] = [];
    for (let sample = 0; sample < 60; sample += 1) {
      const refused = run(1, 0, { never: 10, lists: 10, reads: 10, calls: 10, sessions: 10, high: 10 });
      for (const kind of Object.keys(refused)) if (!seen.includes(kind)) seen.push(kind);
      // Of a kind something is refused only while all of the one before are.
      if ((refused.calls ?? 0) > 0) assert.equal(refused.reads, 10);
    }
    assert.deepEqual(seen, ['reads', 'calls']);
    assert.equal(guard.status.level, 2);
    assert.deepEqual(run(1, 0, { calls: 10, reads: 10, lists: 10 }), { calls: 10, reads: 10 });
  });

  it('does not go through kinds of which nothing comes', () => {
    const { guard, run, memory } = guardWith();
    run(1, 2_000);
    memory.turnMs = 100;
    assert.deepEqual(run(1, 500, { calls: 100 }), { calls: 100 });
    assert.ok(guard.status.level > SHED_KINDS.indexOf('calls'));
  });

  it('lets an event loop do what it can at several times its capacity, in short turns', () => {
    for (const [factor, callMs, refusalMs] of [
      [1.5, 0.1, 0.004],
      [3, 0.1, 0.004],
      [3, 0.4, 0.004],
      [10, 0.4, 0.004],
    ] as const) {
      const { guard, memory } = guardWith();
      guard.sample(2_000, 50);
      let [now, sampled, served, longest] = [0, 0, 0, 0];
      // What comes in a turn is read in the next one; the first has a backlog of half a second.
      let coming = (500 * factor) / callMs;
      while (now < 3_000) {
        const began = now;
        const waiting = Math.floor(coming);
        for (let i = 0; i < waiting; i += 1) {
          memory.turnMs = now - began;
          const isRefused = guard.refuses(Work.calls);
          now += isRefused ? refusalMs : callMs;
          if (!isRefused && now > 1_000) served += 1;
        }
        if (began > 1_000) longest = Math.max(longest, now - began);
        memory.activeMs += now - began;
        if (now === began) now += 0.05;
        coming += ((now - began) * factor) / callMs - waiting;
        if (now - sampled < 50) continue;
        guard.sample(now - sampled - 50, 50);
        sampled = now;
      }
      const fits = (1 - factor * (refusalMs / callMs)) / (1 - refusalMs / callMs);
      const goodput = (served * callMs) / (now - 1_000);
      assert.ok(goodput >= 0.85 * fits, `${factor}x of ${callMs} ms: ${goodput} of ${fits}`);
      assert.ok(longest < 8, `${factor}x of ${callMs} ms: turns of ${longest} ms`);
    }
  });

  it('ends within two seconds after the load, whatever it was', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ lateMs: fc.nat(3_000), memory: fc.nat(200), calls: fc.nat(200), lists: fc.nat(20) }), {
          maxLength: 60,
        }),
        (samples) => {
          const { guard, run, memory, log, counted } = guardWith();
          let refused = 0;
          for (const { lateMs, memory: used, calls, lists } of samples) {
            memory.bytes = used * MIB;
            const { calls: of = 0, lists: from = 0 } = run(1, lateMs, { calls, lists });
            assert.ok(guard.status.level >= 0 && guard.status.level <= SHED_KINDS.length);
            refused += of + from;
          }
          assert.equal(counted.refused, refused);
          memory.bytes = 0;
          run(40, 0, {});
          assert.equal(guard.status.level, 0);
          run(40, 0, {});
          assert.equal(guard.isActive, false);
          assert.equal(log.length, 2 * guard.status.episodes);
        },
      ),
      { numRuns: 200 },
    );
  });

  it('refuses no more for time in which the machine ran something else', () => {
    const { guard, run, memory } = guardWith();
    memory.waitedMs = 2_000;
    run(1, 2_000);
    memory.waitedMs = 700;
    assert.deepEqual(run(20, 700), {});
    assert.equal(guard.status.level, 0);
  });

  it('refuses an exact share of what comes', () => {
    const { guard, run, memory } = guardWith({ order: ['calls'] });
    memory.bytes = 101 * MIB;
    run(15, 0);
    memory.bytes = 100 * MIB;
    run(5, 0);
    const { level } = guard.status;
    assert.ok(level > 0 && level < 1, `level ${level}`);
    let refused = 0;
    for (let i = 0; i < 1_000; i += 1) if (guard.refuses(Work.calls)) refused += 1;
    assert.ok(Math.abs(refused - level * 1_000) <= 1, `${refused} at ${level}`);
  });

  it('begins for memory, heap, buffers and rings too, each with its reason', () => {
    const cases: readonly [string, (parts: ReturnType<typeof guardWith>) => void][] = [
      ['memory', ({ memory }) => (memory.bytes = 100 * MIB)],
      ['memory', ({ memory }) => (memory.heapShare = 0.9)],
      ['memory', ({ memory }) => (memory.buffered = MIB)],
      [
        'rings',
        ({ ring }) => {
          while (ring.used() < ring.capacity * 0.75) {
            assert.notEqual(ring.reserve(15), -1);
            ring.commit();
          }
        },
      ],
    ];
    for (const [reason, overload] of cases) {
      const parts = guardWith();
      parts.run(5, 0);
      assert.equal(parts.guard.isActive, false);
      overload(parts);
      parts.run(6, 0);
      assert.equal(parts.guard.status.reason, reason);
    }
  });

  it('watches nothing that is switched off, and ends when it is itself', () => {
    const off = guardWith({ eventLoopDelayMs: 0, ringFullness: 0 });
    off.run(10, 3_000);
    assert.equal(off.guard.isActive, false);
    const { guard, run, config } = guardWith();
    run(1, 2_000);
    assert.equal(guard.isActive, true);
    config.current = { ...config.current, overload: { ...config.current.overload, enabled: false } };
    run(1, 2_000);
    assert.equal(guard.isActive, false);
  });
});
