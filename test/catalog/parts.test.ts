/** Lists are compiled by server: a large one keeps no other from being listed and called. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Method } from '../../native/layout.js';
import { buildCatalog } from '../../src/catalog/build.js';
import { type CompiledList, compileLists, type ListsInput } from '../../src/catalog/compile-lists.js';
import { Catalog, type CatalogThreads } from '../../src/catalog/index.js';
import { Revision } from '../../src/protocol/revisions.js';
import { packedCount } from '../../src/shared/packed.js';
import { eventually } from '../support/process.js';
import { discovery, listened, pageValue, server, snapshot, texts, tool } from './discoveries.js';

const LEGACY = Revision.r2025_11_25;
const names = (catalog: Catalog): string[] =>
  pageValue(catalog.current, Method.toolsList, LEGACY).tools.map(({ name }: { name: string }) => name);
/** Over four megabytes of tools. */
const large = (mark: string): object[] =>
  Array.from({ length: 5_000 }, (_, index) => tool(`${mark}${index}`, { description: 'd'.repeat(1_000) }));

/** Compiles by `compileLists`, and builds at once. */
const threadsWith = (compile: CatalogThreads['compileLists']): CatalogThreads => ({
  compileLists: compile,
  buildCatalog: async (input) => buildCatalog(input),
});

/** A catalog whose large lists are compiled when the test releases them. */
function gated() {
  const waiting: (() => void)[] = [];
  const compile = async (input: ListsInput): Promise<CompiledList[]> => {
    if (packedCount(input.lists[0]!) > 1_000) await new Promise<void>((resolve) => waiting.push(resolve));
    return compileLists(input);
  };
  return {
    waiting,
    catalog: new Catalog(snapshot([server('a'), server('b'), server('c')]), {
      threads: threadsWith(compile),
    }),
  };
}

test('a small server is listed, and lists its changes, while a large one is being compiled', async () => {
  const { catalog, waiting } = gated();
  await catalog.start();
  const first = catalog.update(discovery(0, { tools: large('x') }));
  await catalog.update(discovery(1, { tools: [tool('early')] }));
  assert.deepEqual(names(catalog), ['b__early']);
  assert.deepEqual(catalog.current.table.undiscovered, [0, 2], 'calls under its prefix are passed on unseen');
  await catalog.update(discovery(1, { tools: [tool('changed')] }));
  assert.deepEqual(names(catalog), ['b__changed']);
  waiting.shift()!();
  await first;
  assert.equal(names(catalog).length, 5_001);
  assert.equal(texts(catalog.current.table.publicNames).includes('b__changed'), true);
});

test('a large list is kept until its change is compiled, and an older list never replaces a newer one', async () => {
  const { catalog, waiting } = gated();
  await catalog.start();
  const first = catalog.update(discovery(0, { tools: large('x') }));
  await eventually('its turn', () => waiting.length === 1);
  waiting.shift()!();
  await first;
  const second = catalog.update(discovery(0, { tools: large('y') }));
  await catalog.update(discovery(1, { tools: [tool('other')] }));
  assert.ok(names(catalog).includes('a__x0'));
  assert.ok(names(catalog).includes('b__other'));
  await catalog.update(discovery(0, { tools: [tool('last')] }));
  waiting.shift()!();
  await second;
  assert.deepEqual(names(catalog), ['a__last', 'b__other']);
});

test('large lists of two servers are compiled one after the other', async () => {
  const { catalog, waiting } = gated();
  await catalog.start();
  const updates = [0, 1].map((index) => catalog.update(discovery(index, { tools: large('x') })));
  await catalog.update(discovery(2, { tools: [tool('small')] }));
  assert.deepEqual(names(catalog), ['c__small']);
  assert.equal(waiting.length, 1);
  waiting.shift()!();
  await updates[0];
  await eventually('the other one', () => waiting.length === 1);
  waiting.shift()!();
  await Promise.all(updates);
  assert.equal(names(catalog).length, 10_001);
});

test('lists whose compiling failed are compiled again', async () => {
  let failures = 2;
  const errors: unknown[] = [];
  const compile = async (input: ListsInput): Promise<CompiledList[]> => {
    failures -= 1;
    if (failures >= 0) throw new Error('the thread died');
    return compileLists(input);
  };
  const catalog = listened(new Catalog(snapshot([server('a')]), { threads: threadsWith(compile), retryMs: 5 }), {
    catalogFailed: (error) => errors.push(error),
  });
  await catalog.start();
  await catalog.update(discovery(0, { tools: [tool('x')] }));
  await eventually('the list', () => names(catalog).length === 1);
  assert.deepEqual(names(catalog), ['a__x']);
  assert.equal(errors.length, 2);
});

test('problems beyond those that are reported individually are counted', async () => {
  const catalog = new Catalog(snapshot([server('a')]));
  await catalog.start();
  const broken = Array.from({ length: 300 }, (_, index) => ({ name: `n${index}`, inputSchema: 7 }));
  const repaired = Array.from({ length: 300 }, (_, index) => ({ name: `r${index}` }));
  await catalog.update(discovery(0, { tools: [...broken, ...repaired] }));
  assert.deepEqual(catalog.current.problemCounts, { dropped: 300, repaired: 300 });
  assert.equal(catalog.current.problems.length, 200);
});
