import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import type { LimitRule } from '../../src/config/snapshot/index.js';
import { monotonic } from '../../src/shared/clock.js';
import type { CallBuckets } from '../../src/shared/limits/call-buckets.js';
import { bucketsOf, callOf, tokenBucket } from './limits/limits.js';

const WINDOW = 1000;

function windowOf(algorithm: 'sliding-window' | 'fixed-window', limit: number, burst = limit): LimitRule {
  return { algorithm, limit, windowMs: WINDOW, burst };
}

/** Calls that come one after the other: the pause before each, and what it costs. */
const traffic = fc.array(fc.record({ pause: fc.nat(400), cost: fc.integer({ min: 1, max: 4 }) }), { maxLength: 150 });
const limits = fc.integer({ min: 4, max: 30 });

/** Runs calls against one limit. `judge` gets what was granted before, in `(after, now]` by {@link granted}. */
function run(
  rule: LimitRule,
  calls: readonly { readonly pause: number; readonly cost: number }[],
  judge: (granted: (span: number) => number, cost: number, wait: number) => void,
): void {
  const buckets = bucketsOf([rule]);
  let now = monotonic() + 1;
  const log: { readonly at: number; readonly cost: number }[] = [];
  for (const { pause, cost } of calls) {
    now += pause;
    const wait = buckets.take(now, callOf([0], [], cost));
    judge((span) => log.reduce((sum, { at, cost: taken }) => (at > now - span ? sum + taken : sum), 0), cost, wait);
    if (wait === 0) log.push({ at: now, cost });
  }
}

describe('a sliding window', () => {
  it('never grants more than its limit in three quarters, nor refuses who stays within it in five quarters', () => {
    fc.assert(
      fc.property(limits, traffic, (limit, calls) => {
        run(windowOf('sliding-window', limit), calls, (granted, cost, wait) => {
          if (wait === 0) assert.ok(granted(0.75 * WINDOW) + cost <= limit);
          else assert.ok(granted(1.25 * WINDOW) + cost > limit, `${granted(1.25 * WINDOW)} of ${limit}`);
        });
      }),
    );
  });

  it('grants calls that come evenly for ever, one less than its limit in a window', () => {
    const buckets = bucketsOf([windowOf('sliding-window', 10)]);
    const start = monotonic() + 1;
    for (let i = 0; i < 1_000; i += 1)
      assert.equal(buckets.take(start + (i * WINDOW) / 9, callOf([0])), 0, `call ${i}`);
  });
});

describe('a fixed window', () => {
  it('grants its limit in a window that begins with its first call, and no more', () => {
    fc.assert(
      fc.property(limits, traffic, (limit, calls) => {
        let now = 0;
        let began = Number.NEGATIVE_INFINITY;
        let count = 0;
        let turn = 0;
        run(windowOf('fixed-window', limit), calls, (_granted, cost, wait) => {
          now += calls[turn]!.pause;
          turn += 1;
          if (now - began >= WINDOW) count = 0;
          assert.equal(wait === 0, count + cost <= limit);
          if (wait > 0) {
            assert.ok(Math.abs(wait - (began + WINDOW - now)) <= 1, `${wait}`);
            return;
          }
          if (count === 0) began = now;
          count += cost;
        });
      }),
    );
  });
});

for (const algorithm of ['sliding-window', 'fixed-window'] as const) {
  it(`a ${algorithm} with a burst never grants more at once, and spreads the rest`, () => {
    fc.assert(
      fc.property(fc.integer({ min: 9, max: 30 }), fc.integer({ min: 4, max: 8 }), traffic, (limit, burst, calls) => {
        const rule = windowOf(algorithm, limit, burst);
        run(rule, calls, (granted, cost, wait) => {
          if (wait > 0) return;
          for (const span of [1, 50, 100, 200, 400, 800]) {
            const most = rule.burst + (span * limit) / WINDOW + 1e-3;
            assert.ok(granted(span) + cost <= most, `${granted(span)} and ${cost} in ${span} ms`);
          }
        });
      }),
    );
  });
}

const RULES: readonly LimitRule[] = [
  tokenBucket(10, 8),
  windowOf('sliding-window', 8),
  windowOf('fixed-window', 8),
  windowOf('sliding-window', 8, 4),
  windowOf('fixed-window', 8, 4),
];

for (const rule of RULES) {
  const name = `${rule.algorithm}${rule.burst < 8 ? ' with a burst' : ''}`;
  it(`${name}: the wait is as long as it has to be`, () => {
    fc.assert(
      fc.property(traffic, fc.integer({ min: 1, max: 4 }), (calls, cost) => {
        const buckets = bucketsOf([rule]);
        let now = monotonic() + 1;
        for (const call of calls) {
          now += call.pause;
          buckets.take(now, callOf([0], [], call.cost));
        }
        const wait = buckets.take(now, callOf([0], [], cost));
        if (wait === 0) return;
        if (wait > 2) assert.ok(buckets.take(now + wait - 2, callOf([0], [], cost)) > 0, 'earlier');
        assert.equal(buckets.take(now + wait, callOf([0], [], cost)), 0);
      }),
    );
  });

  it(`${name}: a call that another limit refuses takes nothing, whatever it costs`, () => {
    fc.assert(
      fc.property(traffic, fc.integer({ min: 1, max: 20 }), (calls, cost) => {
        const [buckets, untouched] = [bucketsOf([rule, tokenBucket(1e-9, 1)]), bucketsOf([rule])];
        let now = monotonic() + 1;
        assert.equal(buckets.take(now, callOf([1])), 0);
        for (const call of calls) {
          now += call.pause;
          assert.ok(buckets.take(now, callOf([0, 1], [], cost)) > 0);
          const one = callOf([0], [], call.cost);
          assert.equal(buckets.take(now, one) === 0, untouched.take(now, one) === 0);
          assert.ok(Math.abs(buckets.peek(0, now) - untouched.peek(0, now)) < 1e-9);
        }
      }),
      { numRuns: 50 },
    );
  });

  it(`${name}: a call that is given back is as if it had never been, and gives later calls no more`, () => {
    fc.assert(
      fc.property(traffic, fc.integer({ min: 1, max: 4 }), fc.nat(2 * WINDOW), (calls, cost, pause) => {
        const [buckets, others] = [bucketsOf([rule]), bucketsOf([rule])];
        let now = monotonic() + 1;
        const take = (call: { readonly cost: number }): void => {
          const wait = others.take(now, callOf([0], [], call.cost));
          // What the call has taken may be missing meanwhile, never the other way round.
          if (buckets.take(now, callOf([0], [], call.cost)) === 0) assert.equal(wait, 0);
          else if (wait === 0) others.refund(now, { ...callOf([0], [], call.cost), takenAt: now } as CallBuckets);
        };
        for (const call of calls.slice(0, 5)) {
          now += call.pause;
          take(call);
        }
        // With this one the window begins at the same time in both.
        take({ cost: 1 });
        const given = callOf([0], [], cost);
        if (buckets.take(now, given) > 0) return;
        if (pause % 2 === 0) {
          buckets.refund(now, given);
          assert.ok(Math.abs(buckets.peek(0, now) - others.peek(0, now)) < 1e-9, 'at once');
        }
        for (const call of calls.slice(5, 10)) {
          now += call.pause;
          take(call);
        }
        now += pause;
        if (pause % 2 === 1) buckets.refund(now, given);
        assert.ok(buckets.peek(0, now) <= others.peek(0, now) + 1e-9, 'later');
      }),
    );
  });

  it(`${name}: a call that costs more than there ever is passes alone, and nobody waits for more than the limit`, () => {
    const buckets = bucketsOf([rule]);
    let now = monotonic() + 1;
    for (let i = 0; i < 3; i += 1) {
      assert.equal(buckets.take(now, callOf([0], [], 100)), 0);
      assert.ok(buckets.peek(0, now) < 1e-9, 'it takes everything');
      const wait = buckets.take(now, callOf([0]));
      assert.ok(wait > 0 && wait <= 1.25 * WINDOW, `${wait}`);
      now += 2 * WINDOW;
      assert.equal(buckets.take(now, callOf([0])), 0);
      assert.ok(buckets.take(now, callOf([0], [], 100)) > 0, 'not beside another');
      now += 2 * WINDOW;
    }
  });

  it(`${name}: has nothing left when its burst has come at once`, () => {
    const buckets = bucketsOf([rule]);
    const now = monotonic() + 1;
    assert.equal(buckets.peek(0, now), 1);
    for (let i = 0; i < rule.burst; i += 1) buckets.take(now, callOf([0]));
    assert.ok(buckets.peek(0, now) < 1e-9);
  });

  it(`${name}: a clock that goes back grants nothing twice`, () => {
    const buckets = bucketsOf([rule]);
    const now = monotonic() + 10 * WINDOW;
    for (let i = 0; i < rule.burst; i += 1) assert.equal(buckets.take(now, callOf([0])), 0);
    for (const back of [1, 300, 5_000]) assert.ok(buckets.take(now - back, callOf([0])) > 0, `${back} ms`);
    assert.ok(buckets.take(now, callOf([0])) > 0);
  });

  it(`${name}: a clock that goes back refuses nothing that is left`, () => {
    const buckets = bucketsOf([rule]);
    const now = monotonic() + 10 * WINDOW;
    assert.equal(buckets.take(now, callOf([0])), 0);
    const before = now - (rule.burst < 8 ? 0 : 5_000);
    assert.ok(Math.abs(buckets.peek(0, before) - buckets.peek(0, now)) < 1e-9);
    for (let i = 1; i < rule.burst; i += 1) assert.equal(buckets.take(before, callOf([0])), 0);
    assert.ok(buckets.take(now, callOf([0])) > 0);
  });
}

it('a sliding window counts what is leaving it in full at a time before its newest part', () => {
  const buckets = bucketsOf([windowOf('sliding-window', 8)]);
  const start = (Math.ceil(monotonic() / WINDOW) + 1) * WINDOW;
  const take = (after: number): boolean => buckets.take(start + after, callOf([0])) === 0;
  const granted = (after: number): number => Array.from({ length: 10 }, () => take(after)).filter(Boolean).length;
  assert.equal(granted(0), 8);
  assert.equal(granted(WINDOW + 0.2 * WINDOW), 6, 'four fifths of the oldest part have left');
  assert.equal(granted(WINDOW - 1), 0);
});

describe('four threads that take at once', () => {
  const TICKS = 20_000;
  const TICK_MS = 0.25;
  const span = TICKS * TICK_MS;
  const least: readonly (readonly [rule: LimitRule, least: number, most: number])[] = [
    [tokenBucket(100, 300), 300 + (100 * span) / 1000 - 1, 300 + (100 * span) / 1000],
    // The next window begins up to one tick of each thread late.
    [
      windowOf('fixed-window', 150),
      150 * Math.floor(span / (WINDOW + 5 * TICK_MS)),
      150 * Math.ceil(span / WINDOW + 0.01),
    ],
    [
      windowOf('sliding-window', 150),
      150 * Math.floor(span / (1.25 * WINDOW)),
      150 * Math.ceil(span / (0.75 * WINDOW) + 1),
    ],
  ];
  for (const [rule, promised, allowed] of least) {
    it(`get what a ${rule.algorithm} promises and never more, whatever the order`, async () => {
      const { layout } = bucketsOf([rule, tokenBucket(1e9, 1e9)]);
      const clock = new SharedArrayBuffer(4);
      const workerData = { layout, rules: [rule, tokenBucket(1e9, 1e9)], buckets: [[0], [1, 0]], tries: TICKS };
      const workers = [2, 3, 4, 5].map(
        (owner) =>
          new Worker(new URL('./limits/bucket-taker.js', import.meta.url), {
            workerData: { ...workerData, owner, clock, tickMs: TICK_MS, start: monotonic() + 1 },
          }),
      );
      const granted = await Promise.all(workers.map(async (worker) => (await once(worker, 'message'))[0] as number[]));
      await Promise.all(workers.map((worker) => worker.terminate()));
      const total = granted.flat().reduce((sum, count) => sum + count, 0);
      assert.ok(total >= promised && total <= allowed, `${promised} <= ${total} <= ${allowed}`);
    });
  }
});
