/** Views: the lists of clients for which some servers have lists of their own. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Method } from '../../native/layout.js';
import { Catalog } from '../../src/catalog/index.js';
import { Revision } from '../../src/protocol/revisions.js';
import type { Discovery } from '../../src/upstream/core/types.js';
import { discovery, server, snapshot, tool } from './discoveries.js';

const REVISIONS = [Revision.r2025_11_25, Revision.r2026_07_28];

async function catalogWith(...discoveries: Discovery[]): Promise<Catalog> {
  const catalog = new Catalog(snapshot([server('a'), server('b')]));
  await catalog.start();
  for (const found of discoveries) await catalog.update(found);
  return catalog;
}

function namesIn({ current }: Catalog, view: string, revision: number, method: number = Method.toolsList): string[] {
  const { tools, resources } = JSON.parse(Buffer.from(current.page(method, revision, null, view)!).toString());
  return (tools ?? resources).map((item: { name: string; uri?: string }) => item.uri ?? item.name);
}

const SHARED_A = discovery(0, { tools: [tool('x'), tool('y')] });
const SHARED_B = discovery(1, { tools: [tool('x')] });

test('the lists of a view take the place of the shared lists of their server, under names that all clients can call', async () => {
  const catalog = await catalogWith(SHARED_A, SHARED_B);
  const own = discovery(0, { tools: [tool('z'), tool('y'), tool('z')] });
  const view = await catalog.view([own]);
  for (const revision of REVISIONS) {
    assert.deepEqual(namesIn(catalog, view, revision), ['a__z', 'a__y', 'b__x']);
    assert.deepEqual(namesIn(catalog, '', revision), ['a__x', 'a__y', 'b__x']);
    assert.deepEqual(namesIn(catalog, 'unknown', revision), ['a__x', 'a__y', 'b__x']);
  }
  const entries = catalog.current.table.publicNames;
  assert.ok(Buffer.from(entries.bytes).includes('a__z'), 'workers know the name');
});

test('a server that only some clients can list is in their view', async () => {
  const catalog = await catalogWith(SHARED_B);
  const view = await catalog.view([discovery(0, { tools: [tool('z')] })]);
  assert.deepEqual(namesIn(catalog, view, REVISIONS[0]!), ['b__x', 'a__z']);
});

test('equal lists are one view, and a view that is in force costs no build', async () => {
  const catalog = await catalogWith(SHARED_A, SHARED_B);
  const [ofA, ofB] = [discovery(0, { tools: [tool('z')] }), discovery(1, { tools: [] })];
  const one = await catalog.view([ofA, ofB]);
  const { version } = catalog.current;
  assert.equal(await catalog.view([ofB, ofA]), one);
  assert.equal(catalog.current.version, version);
  assert.deepEqual(namesIn(catalog, one, REVISIONS[1]!), ['a__z']);
  assert.notEqual(await catalog.view([ofA]), one);
});

test('views follow the shared lists, and change nothing for clients that have none', async () => {
  const catalog = await catalogWith(SHARED_A, SHARED_B);
  const { fingerprints } = catalog.current;
  const view = await catalog.view([discovery(0, { tools: [tool('z')] })]);
  assert.deepEqual(catalog.current.fingerprints, fingerprints, 'no list_changed to all');
  await catalog.update(discovery(1, { tools: [tool('new')] }));
  assert.deepEqual(namesIn(catalog, view, REVISIONS[0]!), ['a__z', 'b__new']);
});

test('resources of one client alone are in its view, and the shared ones keep their owner', async () => {
  const shared = discovery(0, { resources: [{ uri: 'x:1', name: 'one' }] });
  const catalog = await catalogWith(shared, discovery(1, { resources: [{ uri: 'x:2', name: 'two' }] }));
  const view = await catalog.view([
    discovery(0, {
      resources: [
        { uri: 'x:2', name: 'taken' },
        { uri: 'x:3', name: 'three' },
      ],
    }),
  ]);
  assert.deepEqual(namesIn(catalog, view, REVISIONS[0]!, Method.resourcesList), ['x:3', 'x:2']);
  assert.deepEqual(namesIn(catalog, '', REVISIONS[0]!, Method.resourcesList), ['x:1', 'x:2']);
});

test('lists and views are bounded: those that were used least recently are dropped', async () => {
  const from = { ...snapshot([server('a')]), limits: { maxTools: 100, maxClientLists: 2 } };
  const catalog = new Catalog(from);
  await catalog.start();
  await catalog.update(SHARED_A);
  const lists = [1, 2, 3].map((number) => discovery(0, { tools: [tool(`t${number}`)] }));
  const views: string[] = [];
  for (const own of lists) views.push(await catalog.view([own]));
  assert.deepEqual(
    views.map((view) => catalog.current.hasView(view)),
    [false, true, true],
  );
  assert.deepEqual(namesIn(catalog, views[0]!, REVISIONS[0]!), ['a__x', 'a__y']);
  assert.deepEqual(namesIn(catalog, await catalog.view([lists[0]!]), REVISIONS[0]!), ['a__t1']);
});

test('a reload that removes a server removes what its clients were listed', async () => {
  const catalog = await catalogWith(SHARED_A, SHARED_B);
  const view = await catalog.view([discovery(0, { tools: [tool('z')] })]);
  await catalog.reconfigure(snapshot([server('a'), server('b')]), (before) => before === 1);
  assert.equal(catalog.current.hasView(view), false);
  assert.deepEqual(namesIn(catalog, view, REVISIONS[0]!), ['b__x']);
});
