import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { WorkerPool } from '../../src/control/worker-pool.js';
import { DispatchFixture } from '../request/dispatch/fixture.js';
import { authOf } from '../support/auth.js';
import { catalog, sampleCatalog, snapshot } from '../workers/fixture.js';

describe('worker pool', () => {
  it('refuses sizes that make no sense', () => {
    for (const threads of [0, -1, 1.5, 251]) {
      assert.throws(() => new WorkerPool({ snapshot: snapshot(), catalog: sampleCatalog, threads }), RangeError);
    }
  });

  it('starts all workers, and replaces one that is ended, with new rings', async () => {
    const fixture = new DispatchFixture({ workers: 2 }, sampleCatalog, { memo: false });
    try {
      await fixture.pool.ready();
      const before = fixture.pool.slot(0);
      fixture.pool.terminate(0, 'the test says so');
      await new Promise((resolve) => setImmediate(resolve));
      const after = fixture.pool.slot(0);
      assert.equal(after.incarnation, before.incarnation + 1);
      assert.notEqual(after.requests, before.requests);
      assert.equal((await fixture.call('files__read')).verdict, 'forward');
      await fixture.pool.ready();
      assert.equal(fixture.pool.slot(0).ready, true);
      assert.ok(fixture.reports.some((line) => line.includes('is replaced')));
    } finally {
      await fixture.close();
    }
  });

  it('gives a worker that starts the configuration and the catalog of that moment', async () => {
    const fixture = new DispatchFixture({}, sampleCatalog, { memo: false });
    try {
      await fixture.pool.ready();
      fixture.pool.terminate(0, 'the test says so');
      fixture.dispatcher.reconfigure({
        ...fixture.pool.snapshot,
        version: 7,
        auth: authOf({ type: 'bearer', tokens: [{ token: 't', subject: 's', scopes: [] }] }),
      });
      fixture.dispatcher.setCatalog(catalog([['tool', 0, 'files__renamed']], 9));
      assert.equal((await fixture.call('files__read')).error, 'GW_UNAUTHENTICATED');
      assert.equal((await fixture.call('files__read', {}, { token: 't' })).error, 'GW_UNKNOWN_TOOL');
      assert.equal((await fixture.call('files__renamed', {}, { token: 't' })).verdict, 'forward');
    } finally {
      await fixture.close();
    }
  });

  it('finishes what is on the rings before it closes', async () => {
    const fixture = new DispatchFixture({}, sampleCatalog, { memo: false });
    const calls = Array.from({ length: 100 }, () => fixture.call('files__read'));
    await fixture.pool.ready();
    await fixture.close();
    for (const { verdict } of await Promise.all(calls)) assert.equal(verdict, 'forward');
    assert.deepEqual(fixture.reports, []);
  });

  it('closes while its workers still start', async () => {
    const fixture = new DispatchFixture({ workers: 2 });
    await fixture.close();
    assert.deepEqual(fixture.reports, []);
  });
});
