import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Method } from '../../native/layout.js';
import { compileLists } from '../../src/catalog/compile-lists.js';
import { Catalog } from '../../src/catalog/index.js';
import { ControlPool } from '../../src/control/threads/pool.js';
import { LATEST_LEGACY, MODERN } from '../../src/protocol/revisions.js';
import { discovery, nameHeaders, pageText, server, snapshot, tool, upstreamNames } from './discoveries.js';

const FROM = snapshot([server('a'), server('b')], { pageSize: 3_000 });

test('ten thousand tools are built beside the event loop, with the same bytes as on it', async (t) => {
  const pool = new ControlPool();
  t.after(() => pool.close());
  let inPool = false;
  const turns = { building: 0 };
  const count = (): void => {
    if (!inPool) return;
    turns.building += 1;
    setTimeout(count, 1);
  };
  const threaded = new Catalog(FROM, {
    threads: {
      compileLists: async (input) => compileLists(input),
      buildCatalog: async (input) => {
        inPool = true;
        count();
        try {
          return await pool.buildCatalog(input);
        } finally {
          inPool = false;
        }
      },
    },
  });
  const inline = new Catalog(FROM);
  await Promise.all([threaded.start(), inline.start()]);
  const tools = Array.from({ length: 9_999 }, (_, index) => tool(`t${index}`, { description: 'd'.repeat(100) }));
  const found = [discovery(0, { tools }), discovery(1, { tools: [tool('grün "x"')], prompts: [{ name: 'p' }] })];
  turns.building = 0;
  for (const list of found) await threaded.update(list);
  for (const list of found) await inline.update(list);
  // Builds on this thread would block the event loop: one count each.
  assert.ok(turns.building > 4, `${turns.building} turns`);

  const [a, b] = [threaded.current, inline.current];
  // Each thread seeds its hash tables by itself.
  const unhashed = { version: 0, byName: null, byOriginal: null, byAddress: null, unusual: null };
  assert.deepEqual({ ...a.table, ...unhashed }, { ...b.table, ...unhashed });
  assert.deepEqual(upstreamNames(a), upstreamNames(b));
  assert.deepEqual(nameHeaders(a), nameHeaders(b));
  assert.deepEqual(a.problems, b.problems);
  for (const revision of [LATEST_LEGACY, MODERN]) {
    for (const method of [Method.toolsList, Method.promptsList, Method.resourcesList, Method.templatesList]) {
      assert.equal(pageText(a, method, revision), pageText(b, method, revision));
    }
  }
  assert.deepEqual(Buffer.from(a.initializeResult(LATEST_LEGACY)), Buffer.from(b.initializeResult(LATEST_LEGACY)));
  assert.deepEqual(Buffer.from(a.discoverResult()), Buffer.from(b.discoverResult()));
});
