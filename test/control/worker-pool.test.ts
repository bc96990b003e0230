import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { WorkerPool } from '../../src/control/worker-pool.js';
import { Bed } from '../request/dispatch/bed.js';
import { catalog, sampleCatalog, snapshot } from '../workers/fixture.js';

describe('worker pool', () => {
  it('refuses sizes that make no sense', () => {
    for (const threads of [0, -1, 1.5, 251]) {
      assert.throws(() => new WorkerPool({ snapshot: snapshot(), catalog: sampleCatalog, threads }), RangeError);
    }
  });

  it('starts all workers, and replaces one that is ended, with new rings', async () => {
    const bed = new Bed({ workers: 2 }, sampleCatalog, { memo: false });
    try {
      await bed.pool.ready();
      const before = bed.pool.slot(0);
      bed.pool.terminate(0, 'the test says so');
      await new Promise((resolve) => setImmediate(resolve));
      const after = bed.pool.slot(0);
      assert.equal(after.incarnation, before.incarnation + 1);
      assert.notEqual(after.requests, before.requests);
      assert.equal((await bed.call('files__read')).verdict, 'forward');
      await bed.pool.ready();
      assert.equal(bed.pool.slot(0).ready, true);
      assert.ok(bed.reports.some((line) => line.includes('is replaced')));
    } finally {
      await bed.close();
    }
  });

  it('gives a worker that starts the configuration and the catalog of that moment', async () => {
    const bed = new Bed({}, sampleCatalog, { memo: false });
    try {
      await bed.pool.ready();
      bed.pool.terminate(0, 'the test says so');
      bed.dispatcher.reconfigure({
        ...bed.pool.snapshot,
        version: 7,
        auth: { type: 'bearer', tokens: [{ token: 't', subject: 's', scopes: [] }], resourceMetadata: null },
      });
      bed.dispatcher.setCatalog(catalog([['tool', 0, 'files__renamed']], 9));
      assert.equal((await bed.call('files__read')).error, 'GW_UNAUTHENTICATED');
      assert.equal((await bed.call('files__read', {}, { token: 't' })).error, 'GW_UNKNOWN_TOOL');
      assert.equal((await bed.call('files__renamed', {}, { token: 't' })).verdict, 'forward');
    } finally {
      await bed.close();
    }
  });

  it('finishes what is on the rings before it closes', async () => {
    const bed = new Bed({}, sampleCatalog, { memo: false });
    const calls = Array.from({ length: 100 }, () => bed.call('files__read'));
    await bed.pool.ready();
    await bed.close();
    for (const { verdict } of await Promise.all(calls)) assert.equal(verdict, 'forward');
    assert.deepEqual(bed.reports, []);
  });

  it('closes while its workers still start', async () => {
    const bed = new Bed({ workers: 2 });
    await bed.close();
    assert.deepEqual(bed.reports, []);
  });
});
