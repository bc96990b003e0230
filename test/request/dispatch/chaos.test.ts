/** Workers that are ended, versions that change and clients that leave, all at once: every exchange goes on once. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { Phase } from '../../../src/request/exchange/index.js';
import { route, sampleCatalog, snapshot } from '../../workers/fixture.js';
import { DispatchFixture } from './fixture.js';

const RUN_MS = 1500;

it('whatever happens, each exchange gets one verdict', async (t) => {
  const seed = Date.now() & 0x7fffffff;
  t.diagnostic(`seed ${seed}`);
  let state = seed;
  /** True in `probability` of all cases (a linear congruential generator, so that the seed tells the sequence). */
  const chance = (probability: number): boolean => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 4_294_967_296 < probability;
  };
  const base = snapshot();
  const fixture = new DispatchFixture({
    workers: 3,
    routes: [
      route('cached', { tools: ['files__*'], cache: { ttlMs: 20, staleMs: 20, staleIfErrorMs: 0, public: true } }),
    ],
    cache: { ...base.cache, waitMs: 100 },
    limits: { ...base.limits, ringBytes: 65_536 },
  });
  let version = 1;
  let verdicts = 0;
  let stopped = false;
  const disturb = setInterval(() => {
    version += 1;
    const [terminated, discovered, configured] = [chance(0.1), chance(0.4), chance(0.4)];
    if (terminated) fixture.pool.terminate(version % 3, 'the test says so');
    else if (discovered) fixture.dispatcher.setCatalog({ ...sampleCatalog, version });
    else if (configured) fixture.dispatcher.reconfigure({ ...fixture.pool.snapshot, version });
    else fixture.pool.epochs.revoke();
  }, 20);

  async function client(): Promise<void> {
    for (let turn = 0; !stopped; turn += 1) {
      const name = chance(0.5) ? 'files__read' : 'search__find';
      const { exchange, decided } = fixture.open({
        method: 'tools/call',
        params: { name, arguments: { n: turn % 5 } },
      });
      if (chance(0.1)) {
        await new Promise((resolve) => setImmediate(resolve));
        if (exchange.phase === Phase.deciding) {
          fixture.dispatcher.forget(exchange);
          fixture.done(exchange);
          continue;
        }
      }
      const { verdict, error } = await decided;
      assert.ok(['forward', 'lead', 'cached'].includes(verdict), `${verdict} ${error}`);
      verdicts += 1;
      if (verdict === 'lead') {
        await new Promise((resolve) => setImmediate(resolve));
        // One in ten leaders is never heard of again.
        if (chance(0.6)) fixture.store(exchange, '{"content":[]}');
        else if (chance(0.75)) fixture.dispatcher.release(exchange, false);
      }
      fixture.done(exchange);
      if (turn % 50 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
  }

  try {
    setTimeout(() => {
      stopped = true;
      clearInterval(disturb);
    }, RUN_MS);
    await Promise.all(Array.from({ length: 40 }, client));
    assert.ok(verdicts > 0);
    assert.equal(fixture.table.inUse, 0);
    for (const [exchange, count] of fixture.nexts)
      assert.equal(count, 1, `exchange ${exchange} went on ${count} times`);
  } finally {
    clearInterval(disturb);
    await fixture.close();
  }
});
