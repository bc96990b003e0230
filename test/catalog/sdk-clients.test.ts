import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { type TestContext, test } from 'node:test';
import { Method } from '../../native/layout.js';
import { Catalog } from '../../src/catalog/index.js';
import type { PreparedCatalog } from '../../src/catalog/prepared.js';
import { Era, LATEST_LEGACY, MODERN, revisionNumber } from '../../src/protocol/revisions.js';
import { connectV1, connectV2 } from '../support/sdk-clients.js';
import { discovery, server, snapshot, tool } from './discoveries.js';

const LIST_METHODS = new Map<string, number>([
  ['tools/list', Method.toolsList],
  ['prompts/list', Method.promptsList],
  ['resources/list', Method.resourcesList],
  ['resources/templates/list', Method.templatesList],
]);

/** Answers every list, `initialize` and `server/discover` with the bytes of a catalog and nothing else. */
async function serve(scope: TestContext, catalog: PreparedCatalog): Promise<string> {
  const http = createServer(async (request, response) => {
    if (request.method !== 'POST') {
      response.writeHead(405).end();
      return;
    }
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    const { id, method, params } = JSON.parse(Buffer.concat(parts).toString('utf8'));
    if (id === undefined) {
      response.writeHead(202).end();
      return;
    }
    const claim = params?._meta?.['io.modelcontextprotocol/protocolVersion'];
    const revision = claim === undefined ? LATEST_LEGACY : MODERN;
    const cursor = params?.cursor === undefined ? null : Buffer.from(JSON.stringify(params.cursor));
    const list = LIST_METHODS.get(method);
    const result =
      method === 'initialize'
        ? catalog.initializeResult(revisionNumber(params.protocolVersion))
        : method === 'server/discover'
          ? catalog.discoverResult()
          : list === undefined
            ? null
            : catalog.page(list, revision, cursor);
    response.setHeader('content-type', 'application/json');
    const head = `{"jsonrpc":"2.0","id":${JSON.stringify(id)},`;
    if (result === null) response.end(`${head}"error":{"code":-32601,"message":"no"}}`);
    else response.end(Buffer.concat([Buffer.from(`${head}"result":`), result, Buffer.from('}')]));
  });
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
  scope.after(() => {
    http.close();
    http.closeAllConnections();
  });
  return `http://127.0.0.1:${(http.address() as { port: number }).port}/mcp`;
}

/** Everything that is known to fail in SDKs, in one catalog. */
async function difficultCatalog(pageSize: number): Promise<PreparedCatalog> {
  const from = snapshot([server('files'), server('notes')], { pageSize });
  const catalog = new Catalog(from);
  await catalog.start();
  await catalog.update(
    discovery(
      0,
      {
        tools: [
          tool('plain', { 'x-unknown': { a: [1] }, _meta: { 'a/b': 1 } }),
          tool('array_root', { outputSchema: { type: 'array', items: { $ref: '#/$defs/x' }, $defs: { x: {} } } }),
          tool('typeless', { outputSchema: { anyOf: [{ type: 'string' }, { type: 'null' }] } }),
          tool('boolean_properties', { inputSchema: { type: 'object', properties: { a: true, b: false } } }),
          tool('draft4_bound', {
            outputSchema: { type: 'object', properties: { n: { type: 'number', exclusiveMinimum: true } } },
          }),
          tool('python_pattern', { outputSchema: { type: 'array', items: { pattern: '(?P<a>x)', type: 'string' } } }),
          tool('remote_reference', { outputSchema: { type: 'object', $ref: 'https://example.com/schema' } }),
          tool('execution', { execution: { taskSupport: 'optional' } }),
          tool('null_members', { title: null, description: null, annotations: { readOnlyHint: null } }),
          { name: 'no_schema' },
          { name: 'empty_schema', inputSchema: {} },
          { title: 'no name' },
          'no JSON',
        ],
        prompts: [
          { name: 'ask', arguments: [{ name: 'a', required: true }] },
          { name: 'odd', arguments: 'none' },
        ],
        resources: [
          { uri: 'file:///a', name: 'a', size: 5 },
          { uri: 'file:///unnamed' },
          { uri: 'x:y', name: 'n', size: '5' },
        ],
        templates: [{ uriTemplate: 'file:///{path}', name: 't', annotations: { priority: 7 } }],
      },
      {
        era: Era.modern,
        ttlMs: 5000,
        instructions: 'Read.',
        capabilities: { tools: {}, prompts: {}, resources: {}, logging: {} },
      },
    ),
  );
  await catalog.update(discovery(1, { tools: [tool('plain')] }, { capabilities: { tools: {}, completions: {} } }));
  return catalog.current;
}

const TOOLS = [
  'files__plain',
  'files__array_root',
  'files__typeless',
  'files__boolean_properties',
  'files__draft4_bound',
  'files__python_pattern',
  'files__remote_reference',
  'files__execution',
  'files__null_members',
  'files__no_schema',
  'files__empty_schema',
  'notes__plain',
];

for (const pageSize of [0, 2]) {
  const how = pageSize === 0 ? 'whole lists' : 'pages';

  test(`SDK v1 reads ${how}`, async (t) => {
    const client = await connectV1(t, await serve(t, await difficultCatalog(pageSize)));
    const names: string[] = [];
    let cursor: string | undefined;
    let wrapped: unknown;
    do {
      const page = await client.listTools(cursor === undefined ? {} : { cursor });
      names.push(...page.tools.map(({ name }) => name));
      wrapped ??= page.tools.find(({ name }) => name === 'files__array_root')?.outputSchema;
      cursor = page.nextCursor;
    } while (cursor !== undefined);
    assert.deepEqual(names, TOOLS);
    assert.deepEqual(wrapped, {
      type: 'object',
      properties: { result: { type: 'array', items: { $ref: '#/properties/result/$defs/x' }, $defs: { x: {} } } },
      required: ['result'],
    });
    assert.ok((await client.listPrompts()).prompts.length > 0);
    assert.ok((await client.listResources()).resources.length > 0);
    assert.ok((await client.listResourceTemplates()).resourceTemplates.length > 0);
    assert.deepEqual(client.getServerCapabilities()?.tools, { listChanged: true });
    assert.match(client.getInstructions() ?? '', /Read\./);
  });

  for (const mode of ['modern', 'auto', 'legacy'] as const) {
    test(`SDK v2 in mode ${mode} reads ${how}`, async (t) => {
      const client = await connectV2(t, await serve(t, await difficultCatalog(pageSize)), mode);
      const { tools } = await client.listTools();
      assert.deepEqual(
        tools.map(({ name }) => name),
        TOOLS,
      );
      const output = tools.find(({ name }) => name === 'files__typeless')?.outputSchema as Record<string, unknown>;
      assert.equal('anyOf' in output, mode !== 'legacy');
      assert.equal((await client.listPrompts()).prompts.length, 2);
      assert.equal((await client.listResources()).resources.length, 3);
      assert.equal((await client.listResourceTemplates()).resourceTemplates.length, 1);
      assert.equal(client.getServerVersion()?.name, 'gateway');
    });
  }
}
