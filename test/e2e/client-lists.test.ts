/** Servers whose lists depend on their client, or whose children may ask it: each client gets what it would get directly. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { ListRootsRequestSchema } from '@modelcontextprotocol/sdk/types.js';
import { type RunningGateway, startGateway } from '../support/gateway.js';
import { eventually, type TestScope } from '../support/process.js';
import { type ClientV1, connectV1, connectV2 } from '../support/sdk-clients.js';
import { shared } from '../support/shared.js';
import { everythingHttp, everythingSse, everythingStdio, memoryServer } from '../support/upstreams.js';

const ALL = { sampling: {}, elicitation: { form: {}, url: {} }, roots: {} };

type Lister = Pick<ClientV1, 'listTools'>;

async function namesOf(client: Lister, prefix = ''): Promise<string[]> {
  const { tools } = await client.listTools();
  return tools.map(({ name }) => name.slice(prefix.length)).sort();
}

/** The tools that the reference server lists to a client that is connected to it directly. */
const directly = shared(async (scope: TestScope, capabilities: object): Promise<string[]> => {
  const client = new Client({ name: 'direct', version: '1.0.0' }, { capabilities });
  scope.after(() => client.close());
  await client.connect(new StdioClientTransport(everythingStdio()));
  return await namesOf(client);
});

async function dedicated(gateway: RunningGateway): Promise<number> {
  const stats = (await (await fetch(`${gateway.adminUrl}/stats`)).json()) as {
    upstreams: { endpoints: { dedicated: number }[] }[];
  };
  return stats.upstreams[0]!.endpoints[0]!.dedicated;
}

// Both front ends under the default alone: each case starts a dozen children.
for (const isolation of ['session', 'principal', undefined] as const) {
  for (const frontEnd of isolation === undefined ? (['uws', 'node'] as const) : (['uws'] as const)) {
    test(`each client lists what its capabilities are worth: isolation ${isolation}, ${frontEnd}`, async (t) => {
      const entry = { ...everythingStdio(), ...(isolation === undefined ? {} : { isolation }) };
      const gateway = await startGateway(t, { mcpServers: { all: entry } }, { frontEnd });
      const kinds = [{}, { roots: {} }, { elicitation: {} }, { sampling: {}, elicitation: {} }, ALL];
      for (const capabilities of kinds) {
        const expected = await directly(capabilities);
        const legacy = await connectV1(t, gateway.url, { capabilities });
        if ('roots' in capabilities) legacy.setRequestHandler(ListRootsRequestSchema, () => ({ roots: [] }));
        assert.deepEqual(await namesOf(legacy, 'all__'), expected, JSON.stringify(capabilities));
        const modern = await connectV2(t, gateway.url, 'modern', { capabilities });
        const offered = await namesOf(modern as unknown as Lister, 'all__');
        assert.deepEqual(offered, expected, `modern ${JSON.stringify(capabilities)}`);
      }
    });
  }
}

test('what only some clients are offered can be called by them', async (t) => {
  const gateway = await startGateway(t, { mcpServers: { all: everythingStdio() } });
  const client = await connectV1(t, gateway.url, { capabilities: ALL });
  client.setRequestHandler(ListRootsRequestSchema, () => ({
    roots: [{ uri: 'file:///of-this-client', name: 'mine' }],
  }));
  assert.ok((await namesOf(client)).includes('all__get-roots-list'));
  const result = await client.callTool({ name: 'all__get-roots-list', arguments: {} });
  assert.match(JSON.stringify(result), /of-this-client/);
});

test('auto over HTTP with SSE offers a client the tools that need it', async (t) => {
  const { url } = await everythingSse(t);
  const gateway = await startGateway(t, { mcpServers: { all: { url } } });
  const expected = await directly(ALL);
  const client = await connectV1(t, gateway.url, { capabilities: ALL });
  client.setRequestHandler(ListRootsRequestSchema, () => ({ roots: [] }));
  await eventually('the lists', async () => (await namesOf(client)).length > 0);
  assert.deepEqual(await namesOf(client, 'all__'), expected);
  const plain = await connectV1(t, gateway.url);
  assert.deepEqual(await namesOf(plain, 'all__'), await directly({}));
});

test('over Streamable HTTP a client with isolation session is listed, and asked, what it would be directly', async (t) => {
  const { url } = await everythingHttp(t);
  const gateway = await startGateway(t, { mcpServers: { all: { url, isolation: 'session' } } });
  const client = await connectV1(t, gateway.url, { capabilities: ALL });
  client.setRequestHandler(ListRootsRequestSchema, () => ({
    roots: [{ uri: 'file:///of-this-client', name: 'mine' }],
  }));
  await eventually('the lists', async () => (await namesOf(client)).length > 0);
  assert.deepEqual(await namesOf(client, 'all__'), await directly(ALL));
  const result = await client.callTool({ name: 'all__get-roots-list', arguments: {} });
  assert.match(JSON.stringify(result), /of-this-client/);
});

test('auto starts no children for clients without capabilities, and keeps none for servers that make no use of them', async (t) => {
  const gateway = await startGateway(t, { mcpServers: { memory: await memoryServer(t) } });
  const plain = await connectV1(t, gateway.url);
  const before = await namesOf(plain);
  assert.ok(before.length > 0);
  assert.equal(await dedicated(gateway), 0);
  const clients = [
    await connectV1(t, gateway.url, { capabilities: ALL }),
    await connectV1(t, gateway.url, { capabilities: ALL }),
  ];
  for (const client of clients) {
    assert.deepEqual(await namesOf(client), before);
    await client.callTool({ name: 'memory__read_graph', arguments: {} });
  }
  await eventually('the trial child gone', async () => (await dedicated(gateway)) === 0);
});

test('a shared server that would ask its clients is named in the log', async (t) => {
  const entry = { ...everythingStdio(), isolation: 'shared' };
  const gateway = await startGateway(t, { mcpServers: { all: entry } });
  const client = await connectV1(t, gateway.url, { capabilities: ALL });
  assert.deepEqual(await namesOf(client, 'all__'), await directly({}));
  assert.equal(await dedicated(gateway), 0);
});
