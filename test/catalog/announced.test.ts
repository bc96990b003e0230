/** What the gateway announces for all its upstreams together: capabilities, extensions, instructions. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Method } from '../../native/layout.js';
import { Era, LATEST_LEGACY, Revision } from '../../src/protocol/revisions.js';
import { catalogOf, discovery, server, snapshot, tool, value } from './discoveries.js';

const LEGACY = LATEST_LEGACY;

test('capabilities are the union of the upstreams once all are discovered', async () => {
  const from = snapshot([server('a'), server('b')]);
  const found = [
    discovery(
      0,
      {},
      { capabilities: { logging: {}, tasks: { requests: { tools: { call: {} } } }, experimental: { x: {} } } },
    ),
    discovery(1, {}, { capabilities: { prompts: {}, completions: {}, resources: { subscribe: true } } }),
  ];
  const catalog = await catalogOf(from, ...found);
  const announced = value(catalog.initializeResult(Revision.r2025_03_26));
  assert.equal(announced.protocolVersion, '2025-03-26');
  assert.deepEqual(announced.capabilities, {
    prompts: { listChanged: true },
    resources: { listChanged: true, subscribe: true },
    logging: {},
    completions: {},
  });
  assert.deepEqual(value(catalog.initializeResult(Revision.r2025_11_25)).capabilities.tasks, {
    cancel: {},
    requests: { tools: { call: {} } },
  });
  assert.deepEqual(value(catalog.discoverResult()).capabilities, {
    prompts: { listChanged: true },
    resources: { listChanged: true, subscribe: true },
    logging: {},
    completions: {},
  });
  assert.equal(value(catalog.initializeResult(99)).protocolVersion, '2025-11-25');
});

test('extensions are announced to clients of their own family, where their methods are routed', async () => {
  const ui = { 'io.modelcontextprotocol/ui': { mimeTypes: ['text/html'] } };
  const capabilities = {
    extensions: { ...ui, 'com.example/own': { deep: [1] } },
    experimental: { beta: { on: true } },
  };
  const from = snapshot([server('a'), server('b', { methods: ['own/*'] })]);
  const announced = async (era: Era, index: number) => {
    const catalog = await catalogOf(from, discovery(index, {}, { era, capabilities }));
    return [value(catalog.initializeResult(Revision.r2025_11_25)), value(catalog.discoverResult())].map(
      (result) => [result.capabilities.extensions, result.capabilities.experimental] as const,
    );
  };
  assert.deepEqual(await announced(Era.legacy, 0), [
    [ui, undefined],
    [undefined, undefined],
  ]);
  assert.deepEqual(await announced(Era.modern, 1), [
    [undefined, undefined],
    [capabilities.extensions, capabilities.experimental],
  ]);
});

test('a tool that runs only as a task is offered to clients of both families', async () => {
  const tools = [tool('plain'), tool('long', { execution: { taskSupport: 'required' } })];
  const catalog = await catalogOf(snapshot([server('a')]), discovery(0, { tools }));
  const names = (revision: number): string[] =>
    value(catalog.page(Method.toolsList, revision, null)!).tools.map(({ name }: { name: string }) => name);
  assert.deepEqual(names(Revision.r2025_11_25), ['a__plain', 'a__long']);
  assert.deepEqual(names(Revision.r2026_07_28), ['a__plain', 'a__long']);
});

test('instructions of the only server are left alone where its names are', async () => {
  const instructions = '  # Mine\n\nUse read first.\n';
  const alone = await catalogOf(snapshot([server('a', { prefix: null })]), discovery(0, {}, { instructions }));
  assert.equal(value(alone.initializeResult(LEGACY)).instructions, instructions);
  const named = await catalogOf(snapshot([server('a')]), discovery(0, {}, { instructions }));
  assert.match(value(named.initializeResult(LEGACY)).instructions, /^# a \(names start with a__\)\n# Mine/);
});

test('instructions have headings with the names of the servers, and a bounded total length', async () => {
  const from = snapshot([server('a'), server('b'), server('c')]);
  const catalog = await catalogOf(
    from,
    discovery(0, {}, { instructions: 'Use read first.' }),
    discovery(1, {}, { instructions: '\u{1f600}'.repeat(10_000) }),
    discovery(2, {}, { instructions: ' ' }),
  );
  const { instructions } = value(catalog.initializeResult(LEGACY));
  assert.match(
    instructions,
    /^# a \(names start with a__\)\nUse read first\.\n\n# b \(names start with b__\)\n\u{1f600}+…$/u,
  );
  assert.ok(Buffer.byteLength(instructions) <= 8192);
  assert.ok(Buffer.byteLength(instructions) > 8000);
  assert.equal(value(catalog.discoverResult()).instructions, instructions);
});
