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

function namesIn({ current }: Catalog, set: string, revision: number, method: number = Method.toolsList): string[] {
  const { tools, resources } = JSON.parse(
    Buffer.from(current.page(method, revision, null, { view: 0, set, hidden: null })!).toString(),
  );
  return (tools ?? resources).map((item: { name: string; uri?: string }) => item.uri ?? item.name);
}

const SHARED_A = discovery(0, { tools: [tool('x'), tool('y')] });
const SHARED_B = discovery(1, { tools: [tool('x')] });

test('the lists of a set take the place of the shared lists of their server, under names that all clients can call', async () => {
  const catalog = await catalogWith(SHARED_A, SHARED_B);
  const own = discovery(0, { tools: [tool('z'), tool('y'), tool('z')] });
  const set = await catalog.listSet([own], 0);
  for (const revision of REVISIONS) {
    assert.deepEqual(namesIn(catalog, set, revision), ['a__z', 'a__y', 'b__x']);
    assert.deepEqual(namesIn(catalog, '', revision), ['a__x', 'a__y', 'b__x']);
    assert.deepEqual(namesIn(catalog, 'unknown', revision), ['a__x', 'a__y', 'b__x']);
  }
  const entries = catalog.current.table.publicNames;
  assert.ok(Buffer.from(entries.bytes).includes('a__z'), 'workers know the name');
});

test('a server that only some clients can list is in their set', async () => {
  const catalog = await catalogWith(SHARED_B);
  const set = await catalog.listSet([discovery(0, { tools: [tool('z')] })], 0);
  assert.deepEqual(namesIn(catalog, set, REVISIONS[0]!), ['b__x', 'a__z']);
});

test('equal lists are one set, and a set that is in force costs no build', async () => {
  const catalog = await catalogWith(SHARED_A, SHARED_B);
  const [ofA, ofB] = [discovery(0, { tools: [tool('z')] }), discovery(1, { tools: [] })];
  const one = await catalog.listSet([ofA, ofB], 0);
  const { version } = catalog.current;
  assert.equal(await catalog.listSet([ofB, ofA], 0), one);
  assert.equal(catalog.current.version, version);
  assert.deepEqual(namesIn(catalog, one, REVISIONS[1]!), ['a__z']);
  assert.notEqual(await catalog.listSet([ofA], 0), one);
});

test('views follow the shared lists, and change nothing for clients that have none', async () => {
  const catalog = await catalogWith(SHARED_A, SHARED_B);
  const { fingerprints } = catalog.current;
  const set = await catalog.listSet([discovery(0, { tools: [tool('z')] })], 0);
  assert.deepEqual(catalog.current.fingerprints, fingerprints, 'no list_changed to all');
  await catalog.update(discovery(1, { tools: [tool('new')] }));
  assert.deepEqual(namesIn(catalog, set, REVISIONS[0]!), ['a__z', 'b__new']);
});

test('resources of one client alone are in its set, and the shared ones keep their owner', async () => {
  const shared = discovery(0, { resources: [{ uri: 'x:1', name: 'one' }] });
  const catalog = await catalogWith(shared, discovery(1, { resources: [{ uri: 'x:2', name: 'two' }] }));
  const set = await catalog.listSet(
    [
      discovery(0, {
        resources: [
          { uri: 'x:2', name: 'taken' },
          { uri: 'x:3', name: 'three' },
        ],
      }),
    ],
    0,
  );
  assert.deepEqual(namesIn(catalog, set, REVISIONS[0]!, Method.resourcesList), ['x:3', 'x:2']);
  assert.deepEqual(namesIn(catalog, '', REVISIONS[0]!, Method.resourcesList), ['x:1', 'x:2']);
});

test('lists and sets of them are bounded: those that were used least recently are dropped', async () => {
  const from = { ...snapshot([server('a')]), limits: { maxTools: 100, maxClientLists: 2, maxListBytes: 1_000 } };
  const catalog = new Catalog(from);
  await catalog.start();
  await catalog.update(SHARED_A);
  const lists = [1, 2, 3].map((number) => discovery(0, { tools: [tool(`t${number}`)] }));
  const sets: string[] = [];
  for (const own of lists) sets.push(await catalog.listSet([own], 0));
  assert.deepEqual(
    sets.map((set) => catalog.current.hasListSet(set)),
    [false, true, true],
  );
  assert.deepEqual(namesIn(catalog, sets[0]!, REVISIONS[0]!), ['a__x', 'a__y']);
  assert.deepEqual(namesIn(catalog, await catalog.listSet([lists[0]!], 0), REVISIONS[0]!), ['a__t1']);
});

test('a reload that removes a server removes what its clients were listed', async () => {
  const catalog = await catalogWith(SHARED_A, SHARED_B);
  const set = await catalog.listSet([discovery(0, { tools: [tool('z')] })], 0);
  await catalog.reconfigure(snapshot([server('a'), server('b')]), (before) => before === 1);
  assert.equal(catalog.current.hasListSet(set), false);
  assert.deepEqual(namesIn(catalog, set, REVISIONS[0]!), ['b__x']);
});
