/** Workers that throw, exit, hang or run out of heap under load: no exchange is lost, none goes on twice. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Counter } from '../../../src/shared/counters.js';
import { FAULTS } from '../../support/worker-faults.js';
import { catalog, snapshot } from '../../workers/fixture.js';
import { type Decided, DispatchFixture, type DispatchFixtureOptions } from './fixture.js';

const tools = catalog([
  ['tool', 0, 'files__read'],
  ['tool', 1, 'search__find'],
  ...FAULTS.map((kind) => ['tool', 0, `bad__${kind}`] as const),
]);

const filename = new URL('./faulty-worker.cjs', import.meta.url).pathname;

interface Outcome {
  readonly good: Decided[];
  readonly bad: Decided[];
}

/** Three rounds of good calls around one bad one, all open at once. */
async function underLoad(fixture: DispatchFixture, bad: string): Promise<Outcome> {
  const open = (name: string): Promise<Decided> => fixture.call(name, { n: 1 });
  const good: Promise<Decided>[] = [];
  const ill: Promise<Decided>[] = [];
  for (let round = 0; round < 3; round += 1) {
    for (let i = 0; i < 100; i += 1) good.push(open(i % 2 === 0 ? 'files__read' : 'search__find'));
    if (round === 1) ill.push(open(bad));
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return { good: await Promise.all(good), bad: await Promise.all(ill) };
}

function check(fixture: DispatchFixture, { good }: Outcome): void {
  assert.equal(good.length, 300);
  for (const { verdict, error } of good) assert.equal(`${verdict}${error}`, 'forward');
  for (const [exchange, count] of fixture.nexts) assert.equal(count, 1, `exchange ${exchange} went on ${count} times`);
  assert.equal(fixture.nexts.size, 301);
  assert.equal(fixture.table.inUse, 0);
}

async function withFixture(
  options: DispatchFixtureOptions & { readonly workerHangMs?: number },
  run: (fixture: DispatchFixture) => Promise<void>,
): Promise<void> {
  const { workerHangMs = 10_000, ...rest } = options;
  const fixture = new DispatchFixture({ limits: { ...snapshot().limits, workerHangMs } }, tools, {
    filename,
    memo: false,
    ...rest,
  });
  try {
    await fixture.pool.ready();
    await run(fixture);
  } finally {
    await fixture.close();
  }
}

for (const threads of [1, 3]) {
  describe(`faults with ${threads} worker(s)`, () => {
    it('a decision that throws is one internal error, and the worker lives on', () =>
      withFixture({ threads }, async (fixture) => {
        const outcome = await underLoad(fixture, 'bad__throw');
        check(fixture, outcome);
        assert.equal(outcome.bad[0]!.error, 'GW_INTERNAL');
        assert.equal(fixture.pool.counters.total(Counter.workerDeaths), 0);
        const reports = (): number => fixture.reports.filter((line) => line.includes('a fault on purpose')).length;
        // The report comes on another way than the verdict.
        while (reports() === 0) await new Promise((resolve) => setTimeout(resolve, 5));
        assert.equal(reports(), 1);
      }));

    it('an uncaught error replaces the worker; what it had is decided by another', () =>
      withFixture({ threads }, async (fixture) => {
        const outcome = await underLoad(fixture, 'bad__crash');
        check(fixture, outcome);
        // It was decided before the error broke out of another turn of the loop, or again afterwards.
        assert.ok(['forward', 'deny'].includes(outcome.bad[0]!.verdict));
        while (fixture.pool.counters.total(Counter.workerDeaths) === 0)
          await new Promise((resolve) => setTimeout(resolve, 5));
        assert.equal((await fixture.call('files__read')).verdict, 'forward');
      }));

    for (const kind of ['exit', 'heap'] as const) {
      it(`a worker that ends by ${kind} is replaced; the exchange that ends two of them is refused`, () =>
        withFixture(
          { threads, resourceLimits: { maxOldGenerationSizeMb: 24, maxYoungGenerationSizeMb: 8 } },
          async (fixture) => {
            const outcome = await underLoad(fixture, `bad__${kind}`);
            check(fixture, outcome);
            assert.equal(outcome.bad[0]!.error, 'GW_INTERNAL');
            assert.equal(fixture.pool.counters.total(Counter.workerDeaths), 2, fixture.reports.join('\n'));
            assert.equal((await fixture.call('files__read')).verdict, 'forward');
          },
        ));
    }

    it('a worker in an endless loop is ended and replaced; the exchange that caused it is refused', () =>
      withFixture({ threads, workerHangMs: 300 }, async (fixture) => {
        const outcome = await underLoad(fixture, 'bad__loop');
        check(fixture, outcome);
        assert.equal(outcome.bad[0]!.error, 'GW_INTERNAL');
        assert.ok(fixture.pool.counters.total(Counter.workerHangs) >= 2);
        assert.equal((await fixture.call('search__find')).verdict, 'forward');
      }));
  });
}

describe('a pool whose workers cannot start', () => {
  it('says that the worker file is of another build', async () => {
    const fixture = new DispatchFixture({ limits: { ...snapshot().limits, decideMs: 400 } }, tools, {
      filename: new URL('./other-build.cjs', import.meta.url).pathname,
    });
    try {
      assert.equal((await fixture.call('files__read')).error, 'GW_INTERNAL');
      // A thread may take longer to load than the decision may take.
      while (fixture.reports.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
      assert.match(fixture.reports.join('\n'), /worker file is of another build than the gateway/);
    } finally {
      await fixture.close();
    }
  });

  it('says so, answers in the end, and closes', async () => {
    const fixture = new DispatchFixture({ limits: { ...snapshot().limits, decideMs: 400 } }, tools, {
      filename: new URL('./no-such-worker.js', import.meta.url).pathname,
    });
    try {
      const { error } = await fixture.call('files__read');
      assert.equal(error, 'GW_INTERNAL');
      assert.ok(fixture.reports.length > 0);
    } finally {
      await fixture.close();
    }
  });
});
