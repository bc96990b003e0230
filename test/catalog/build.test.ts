import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Method } from '../../native/layout.js';
import { Catalog, type CatalogChanges } from '../../src/catalog/index.js';
import type { PreparedCatalog } from '../../src/catalog/prepared.js';
import type { CatalogProblem } from '../../src/catalog/types.js';
import { Era, Revision } from '../../src/protocol/revisions.js';
import { EntryFlag, EntryKind } from '../../src/shared/catalog-table.js';
import type { Discovery } from '../../src/upstream/core/types.js';
import {
  catalogOf,
  discovery,
  listened,
  nameHeaders,
  pageText,
  pageValue,
  server,
  snapshot,
  texts,
  tool,
  upstreamNames,
  value,
} from './discoveries.js';

const LEGACY = Revision.r2025_11_25;
const MODERN = Revision.r2026_07_28;

const names = (result: { tools: { name: string }[] }): string[] => result.tools.map(({ name }) => name);

test('an empty gateway answers every list and announces what may come', async () => {
  const catalog = await catalogOf(snapshot([server('files')]));
  assert.equal(pageText(catalog, Method.toolsList, LEGACY), '{"tools":[]}');
  assert.equal(pageText(catalog, Method.promptsList, LEGACY), '{"prompts":[]}');
  assert.equal(pageText(catalog, Method.resourcesList, LEGACY), '{"resources":[]}');
  assert.equal(pageText(catalog, Method.templatesList, LEGACY), '{"resourceTemplates":[]}');
  assert.deepEqual(catalog.table.undiscovered, [0]);
  assert.deepEqual(value(catalog.initializeResult(LEGACY)).capabilities, {
    tools: { listChanged: true },
    prompts: { listChanged: true },
    resources: { listChanged: true },
  });
});

test('items keep their bytes in every list', async () => {
  const items = {
    tools: ['{"x":1E400,"name":"read","inputSchema":{"type":"object","a":0.10}}'],
    prompts: ['{ "name":"ask","y":-0.0 }'],
    resources: ['{"uri":"file:///a","name":"\\u0061","size":1e2}'],
    templates: ['{"name":"t","uriTemplate":"file:///{+path}","z":[ ]}'],
  };
  const catalog = await catalogOf(snapshot([server('files')]), discovery(0, items));
  for (const revision of [Revision.r2024_11_05, LEGACY, MODERN]) {
    const has = (method: number, text: string): void => {
      assert.ok(pageText(catalog, method, revision)!.includes(`[${text}]`), text);
    };
    has(Method.toolsList, items.tools[0]!.replace('"read"', '"files__read"'));
    has(Method.promptsList, items.prompts[0]!.replace('"ask"', '"files__ask"'));
    has(Method.resourcesList, items.resources[0]!);
    has(Method.templatesList, items.templates[0]!);
  }
});

test('the table names every entry with its upstream spelling', async () => {
  const from = snapshot([server('files'), server('notes')]);
  const readOnly = { annotations: { readOnlyHint: true } };
  const catalog = await catalogOf(
    from,
    discovery(1, { tools: [tool('grün "x"')], resources: [{ uri: 'a:b', name: 'r' }] }),
    discovery(0, { tools: [tool('read', readOnly)], prompts: [{ name: 'ask' }] }),
  );
  const { table } = catalog;
  assert.deepEqual([...table.kind], [EntryKind.tool, EntryKind.tool, EntryKind.prompt, EntryKind.resource]);
  assert.deepEqual([...table.server], [0, 1, 0, 1]);
  assert.deepEqual([...table.flags], [EntryFlag.readOnly, EntryFlag.renamed, 0, 0]);
  assert.deepEqual(texts(table.publicNames), ['files__read', 'notes__gr_n__x_', 'files__ask', 'a:b']);
  assert.deepEqual(texts(table.upstreamNames), ['read', 'grün "x"', 'ask', 'a:b']);
  assert.deepEqual(upstreamNames(catalog), ['read', 'grün \\"x\\"', 'ask', 'a:b']);
  assert.deepEqual(nameHeaders(catalog), ['read', '=?base64?Z3LDvG4gIngi?=', 'ask', 'a:b']);
  assert.deepEqual(table.undiscovered, []);
  assert.deepEqual(catalog.offered, [
    [1, 1, 0, 0],
    [1, 0, 1, 0],
  ]);
  assert.deepEqual(structuredClone(table), table);
});

test('the order is that of the servers in the configuration, not of their discovery', async () => {
  const from = snapshot([server('a'), server('b'), server('c')]);
  const found = [0, 1, 2].map((index) => discovery(index, { tools: [tool('z'), tool('y')] }));
  const forward = await catalogOf(from, ...found);
  const backward = await catalogOf(from, ...found.toReversed());
  assert.deepEqual(names(pageValue(forward, Method.toolsList, LEGACY)), [
    'a__z',
    'a__y',
    'b__z',
    'b__y',
    'c__z',
    'c__y',
  ]);
  assert.equal(pageText(forward, Method.toolsList, MODERN), pageText(backward, Method.toolsList, MODERN));
});

const globs: [include: string[], exclude: string[], left: string[]][] = [
  [[], [], ['read', 'read_all', 'write']],
  [['read*'], [], ['read', 'read_all']],
  [[], ['*_all'], ['read', 'write']],
  [['read*'], ['*_all'], ['read']],
  [['nothing'], [], []],
];
for (const [include, exclude, left] of globs) {
  test(`include ${include.join() || 'all'} exclude ${exclude.join() || 'none'} offers ${left.join() || 'nothing'}`, async () => {
    const from = snapshot([server('s', { prefix: null, include, exclude })]);
    const tools = ['read', 'read_all', 'write'].map((name) => tool(name));
    const catalog = await catalogOf(from, discovery(0, { tools, prompts: [{ name: 'read_all' }] }));
    assert.deepEqual(names(pageValue(catalog, Method.toolsList, LEGACY)), left);
    assert.equal(pageValue(catalog, Method.promptsList, LEGACY).prompts.length, 1);
  });
}

test('of two equal URIs the server with the higher priority has it, then the earlier one', async () => {
  const from = snapshot([server('a'), server('b', { priority: 1 }), server('c')]);
  const catalog = await catalogOf(
    from,
    discovery(0, {
      resources: [
        { uri: 'x:1', name: 'a' },
        { uri: 'x:2', name: 'a' },
      ],
    }),
    discovery(1, { resources: [{ uri: 'x:1', name: 'b' }] }),
    discovery(2, { resources: [{ uri: 'x:2', name: 'c' }], templates: [{ uriTemplate: 'x:{n}', name: 'c' }] }),
  );
  const listed = pageValue(catalog, Method.resourcesList, LEGACY).resources;
  assert.deepEqual(listed, [
    { uri: 'x:2', name: 'a' },
    { uri: 'x:1', name: 'b' },
  ]);
  assert.deepEqual([...catalog.table.server], [0, 1, 2]);
  assert.deepEqual(
    catalog.problems.map(({ kind, server: name, detail }) => [kind, name, detail]),
    [
      ['collision', 'a', 'b has it'],
      ['collision', 'c', 'a has it'],
    ],
  );
});

test('a tool whose name another has is not listed and can be called by its address', async () => {
  const from = snapshot([server('a'), server('b')], { conflict: 'reject' });
  const both = [0, 1].map((index) => discovery(index, { tools: [tool('read')] }));
  const catalog = await catalogOf(from, ...both);
  assert.deepEqual(names(pageValue(catalog, Method.toolsList, LEGACY)), ['read']);
  assert.deepEqual(texts(catalog.table.publicNames), ['read', 'b:read']);
  assert.match(catalog.problems[0]!.detail, /b:read/);
});

test('problems are counted beyond those that are kept', async () => {
  const tools = Array.from({ length: 300 }, (_, index) => tool(`name ${index}`));
  const catalog = await catalogOf(
    snapshot([server('a')], { names: 'as-is' }),
    discovery(0, { tools: [...tools, '{}', tool('x'.repeat(80))] }),
  );
  assert.equal(catalog.problems.length, 200);
  assert.deepEqual(catalog.problemCounts, { dropped: 1, 'unusual-name': 300 });
  assert.equal(catalog.renamedCount, 1);
});

test('items beyond the limit are left out of each list and reported', async () => {
  const from = { ...snapshot([server('a')]), limits: { maxTools: 2, maxClientLists: 256, maxListBytes: 1_000_000 } };
  const resources = [1, 2, 3, 4].map((n) => ({ uri: `x:${n}`, name: 'r' }));
  const catalog = await catalogOf(from, discovery(0, { tools: [tool('x'), tool('y'), tool('z')], resources }));
  assert.equal(pageValue(catalog, Method.resourcesList, LEGACY).resources.length, 2);
  assert.deepEqual(names(pageValue(catalog, Method.toolsList, LEGACY)), ['a__x', 'a__y']);
  assert.deepEqual(catalog.problemCounts, { limit: 2 });
  assert.match(catalog.problems[1]!.detail, /^2 items/);
});

test('modern results have their fields, legacy ones have none of them', async () => {
  const catalog = await catalogOf(snapshot([server('a')]), discovery(0, {}));
  const list = pageValue(catalog, Method.toolsList, MODERN);
  assert.deepEqual(Object.keys(list), ['resultType', 'ttlMs', 'cacheScope', '_meta', 'tools']);
  assert.equal(list.resultType, 'complete');
  assert.equal(list._meta['io.modelcontextprotocol/serverInfo'].name, 'gateway');
  const discover = value(catalog.discoverResult());
  assert.deepEqual(discover.supportedVersions, ['2026-07-28']);
  assert.deepEqual(discover.capabilities, { tools: { listChanged: true } });
  assert.equal(discover.ttlMs, 60_000);
  assert.deepEqual(Object.keys(pageValue(catalog, Method.toolsList, LEGACY)), ['tools']);
});

const freshness: [name: string, found: Partial<Discovery>[], ttl: (ms: number) => boolean, scope: string][] = [
  ['legacy upstreams leave the configured time', [{ era: Era.legacy }], (ms) => ms === 60_000, 'public'],
  [
    'an upstream that says nothing makes lists stale at once',
    [{ era: Era.modern, ttlMs: 0 }],
    (ms) => ms === 0,
    'public',
  ],
  ['a longer time of an upstream is cut', [{ era: Era.modern, ttlMs: 3_600_000 }], (ms) => ms === 60_000, 'public'],
  [
    'the shortest rest counts',
    [{ era: Era.modern, ttlMs: 30_000 }, { era: Era.legacy }],
    (ms) => ms > 20_000 && ms <= 30_000,
    'public',
  ],
  ['one private part makes all private', [{ cacheScope: 'private' }, {}], (ms) => ms === 60_000, 'private'],
];
for (const [name, found, fits, scope] of freshness) {
  test(`cache hints: ${name}`, async () => {
    const from = snapshot(found.map((_, index) => server(`s${index}`)));
    const catalog = await catalogOf(from, ...found.map((change, index) => discovery(index, {}, change)));
    for (const result of [pageValue(catalog, Method.promptsList, MODERN), value(catalog.discoverResult())]) {
      assert.ok(fits(result.ttlMs), String(result.ttlMs));
      assert.equal(result.cacheScope, scope);
    }
  });
}

test('ten thousand tools come whole, page by page, each once', async () => {
  const tools = Array.from({ length: 10_000 }, (_, index) => tool(`t${index}`));
  const from = snapshot([server('a', { prefix: null })], { pageSize: 999 });
  const catalog = await catalogOf(from, discovery(0, { tools }));
  for (const revision of [LEGACY, MODERN]) {
    const seen: string[] = [];
    let cursor: string | undefined;
    let pages = 0;
    do {
      const page = pageValue(catalog, Method.toolsList, revision, cursor);
      seen.push(...names(page));
      cursor = page.nextCursor;
      pages += 1;
    } while (cursor !== undefined);
    assert.equal(pages, 11);
    assert.deepEqual(
      seen,
      tools.map((_, index) => `t${index}`),
    );
  }
});

test('a cursor outlives rebuilds that leave its list alone and no others', async () => {
  const from = snapshot([server('a')], { pageSize: 1 });
  const catalog = new Catalog(from);
  await catalog.start();
  await catalog.update(discovery(0, { tools: [tool('x'), tool('y')] }));
  const cursor = pageValue(catalog.current, Method.toolsList, LEGACY).nextCursor;
  await catalog.update(discovery(0, { tools: [tool('x'), tool('y')], prompts: [{ name: 'p' }] }));
  assert.deepEqual(names(pageValue(catalog.current, Method.toolsList, LEGACY, cursor)), ['a__y']);
  await catalog.update(discovery(0, { tools: [tool('x'), tool('z')] }));
  assert.equal(pageText(catalog.current, Method.toolsList, LEGACY, cursor), null);
});

test('what is no cursor of this catalog is refused', async () => {
  const from = snapshot([server('a')], { pageSize: 1 });
  const catalog = await catalogOf(from, discovery(0, { tools: [tool('x'), tool('y')] }));
  const { nextCursor } = pageValue(catalog, Method.toolsList, LEGACY);
  const page = (token: string): boolean => catalog.page(Method.toolsList, LEGACY, Buffer.from(token)) !== null;
  assert.equal(page(JSON.stringify(nextCursor)), true);
  assert.equal(page(JSON.stringify(nextCursor).replace('2', '\\u0032')), true, 'the same string spelled otherwise');
  for (const token of ['""', 'null', '5', '"2"', '[]', '"\\u00"']) assert.equal(page(token), false, token);
  assert.equal(pageText(catalog, Method.promptsList, LEGACY, nextCursor), null, 'a cursor of another list');
});

test('changes are reported by list, and only when there are any', async () => {
  const seen: CatalogChanges[] = [];
  const catalog = listened(new Catalog(snapshot([server('a'), server('b')])), {
    catalogChanged: (_, changes) => seen.push(changes),
  });
  await catalog.start();
  await catalog.update(discovery(0, { tools: [tool('x')] }));
  await catalog.update(discovery(1, {}));
  await catalog.update(discovery(1, { prompts: [{ name: 'p' }] }));
  await catalog.update(
    discovery(1, { prompts: [{ name: 'p', title: 'P' }], templates: [{ uriTemplate: 'x:{y}', name: 't' }] }),
  );
  await catalog.remove(0);
  await catalog.remove(0);
  const all = (tools: boolean, prompts: boolean, resources: boolean) => ({ tools, prompts, resources });
  assert.deepEqual(seen, [
    all(true, true, true),
    all(true, false, false),
    all(false, false, false),
    all(false, true, false),
    all(false, true, true),
    all(true, false, false),
  ]);
});

test('a catalog is in force only after its table was distributed', async () => {
  const events: string[] = [];
  const catalog: Catalog = listened(new Catalog(snapshot([server('a')])), {
    distribute: async (next) => {
      events.push(`distribute ${next.version}`);
      await new Promise((resolve) => setImmediate(resolve));
      if (next.version > 1) assert.equal(catalog.current.version, next.version - 1);
    },
    catalogChanged: (current) => {
      assert.equal(catalog.current, current);
      events.push(`changed ${current.version}`);
    },
  });
  await catalog.start();
  await catalog.update(discovery(0, { tools: [tool('x')] }));
  assert.deepEqual(events, ['distribute 1', 'changed 1', 'distribute 2', 'changed 2']);
});

test('updates that come together share a build, and the newest list of a server counts', async () => {
  const catalog = new Catalog(snapshot([server('a'), server('b')]));
  await catalog.start();
  const updates = ['v1', 'v2', 'v3'].map((name) => catalog.update(discovery(0, { tools: [tool(name)] })));
  await Promise.all([...updates, catalog.update(discovery(1, { tools: [tool('x')] }))]);
  await catalog.settled();
  assert.deepEqual(names(pageValue(catalog.current, Method.toolsList, LEGACY)), ['a__v3', 'b__x']);
  assert.ok(catalog.current.version <= 3, `version ${catalog.current.version}`);
});

test('a build that fails leaves the catalog in force', async () => {
  const errors: unknown[] = [];
  let distributions = 0;
  const catalog = listened(new Catalog(snapshot([server('a')])), {
    distribute: () => {
      distributions += 1;
      if (distributions === 2) throw new Error('worker gone');
    },
    catalogFailed: (error) => errors.push(error),
  });
  const first = await catalog.start();
  await catalog.update(discovery(0, { tools: [tool('x')] }));
  assert.equal(catalog.current, first);
  assert.equal(errors.length, 1);
  await catalog.update(discovery(0, { tools: [tool('y')] }));
  assert.deepEqual(names(pageValue(catalog.current, Method.toolsList, LEGACY)), ['a__y']);
});

test('a build that failed is tried again by itself', async () => {
  let failures = 2;
  const inForce = new Promise<void>((resolve) => {
    const catalog = listened(new Catalog(snapshot([server('a')]), { retryMs: 1 }), {
      distribute: (next) => {
        if (next.version === 1 || failures === 0) return;
        failures -= 1;
        throw new Error('worker gone');
      },
      catalogChanged: ({ version }) => {
        if (version === 4) resolve();
      },
    });
    void catalog.start().then(() => catalog.update(discovery(0, { tools: [tool('x')] })));
  });
  // The timer of a retry does not keep the process alive by itself.
  const alive = setInterval(() => {}, 1_000);
  await inForce.finally(() => clearInterval(alive));
  assert.equal(failures, 0);
});

test('a reload keeps the lists of servers that stay', async () => {
  const catalog = new Catalog(snapshot([server('a'), server('b'), server('c')]));
  await catalog.start();
  for (const index of [0, 1, 2]) await catalog.update(discovery(index, { tools: [tool('x')] }));
  await catalog.reconfigure(
    snapshot([server('new'), server('c'), server('a', { prefix: 'aa' })]),
    (before) => before !== 2,
  );
  assert.deepEqual(names(pageValue(catalog.current, Method.toolsList, LEGACY)), ['aa__x']);
  assert.deepEqual(catalog.current.table.undiscovered, [0, 1]);
});

test('a problem is reported once, and again after it had disappeared', async () => {
  const seen: string[][] = [];
  const report = (_: PreparedCatalog, __: CatalogChanges, fresh: readonly CatalogProblem[]): void => {
    seen.push(fresh.map(({ name }) => name));
  };
  const catalog = listened(new Catalog(snapshot([server('a')], { names: 'as-is' })), { catalogChanged: report });
  await catalog.start();
  for (const list of [['b b'], ['b b', 'c c'], [], ['b b']]) {
    await catalog.update(discovery(0, { tools: list.map((name) => tool(name)) }));
  }
  assert.deepEqual(seen, [[], ['b b'], ['c c'], [], ['b b']]);
});

test('a collision is reported once, also where the lists of a server come and go', async () => {
  const seen: string[] = [];
  const report = (_: PreparedCatalog, __: CatalogChanges, fresh: readonly CatalogProblem[]): void => {
    for (const { kind, name } of fresh) seen.push(`${kind} ${name}`);
  };
  const servers = [server('a', { prefix: null }), server('b', { prefix: null })];
  const catalog = listened(new Catalog(snapshot(servers)), { catalogChanged: report });
  await catalog.start();
  await catalog.update(discovery(0, { tools: [tool('x')] }));
  for (const list of [['x'], ['x', 'y'], [], ['x']]) {
    await catalog.update(discovery(1, { tools: list.map((name) => tool(name)) }));
  }
  assert.deepEqual(seen, ['collision x']);
});
