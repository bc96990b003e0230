import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Method } from '../../native/layout.js';
import { Catalog } from '../../src/catalog/index.js';
import { TOMBSTONE } from '../../src/config/numbering.js';
import { Revision } from '../../src/protocol/revisions.js';
import { discovery, pageValue, server, snapshot, tool } from './discoveries.js';

const LEGACY = Revision.r2025_11_25;
const names = (result: { tools: { name: string }[] }): string[] => result.tools.map(({ name }) => name);

test('lists of a server that a reload removes meanwhile are ignored, and its number stays a tombstone', async () => {
  const catalog = new Catalog(snapshot([server('a'), server('b')]));
  await catalog.start();
  await catalog.update(discovery(0, { tools: [tool('x')] }));
  const late = catalog.update(discovery(1, { tools: [tool('late')] }));
  await catalog.reconfigure({ ...snapshot([server('a'), TOMBSTONE, server('c')]), order: [2, 0] }, () => true);
  await late;
  await catalog.update(discovery(1, { tools: [tool('later')] }));
  await catalog.update(discovery(2, { tools: [tool('y')] }));
  assert.deepEqual(names(pageValue(catalog.current, Method.toolsList, LEGACY)), ['c__y', 'a__x']);
  assert.deepEqual(catalog.current.table.undiscovered, []);
});

test('lists that arrive during a reload are used if the server stays', async () => {
  const catalog = new Catalog(snapshot([server('a')]));
  await catalog.start();
  const update = catalog.update(discovery(0, { tools: [tool('x')] }));
  await catalog.reconfigure(snapshot([server('a'), server('b')]), () => true);
  await update;
  assert.deepEqual(names(pageValue(catalog.current, Method.toolsList, LEGACY)), ['a__x']);
});
