/** Servers over HTTP with SSE and WebSocket that ask their clients back, through a running gateway. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js';
import { CreateMessageRequestSchema } from '@modelcontextprotocol/sdk/types.js';
import { startGateway } from '../support/gateway.js';
import { eventually, type TestScope } from '../support/process.js';
import { everythingSse } from '../support/upstreams.js';
import { startUrlServer } from '../upstream/channel-servers.js';

/** A client that answers every request for a sample with its name. */
async function connect(scope: TestScope, url: string, name: string): Promise<Client> {
  const client = new Client({ name, version: '1.0.0' }, { capabilities: { sampling: {} } });
  client.setRequestHandler(CreateMessageRequestSchema, async () => ({
    model: name,
    role: 'assistant',
    content: { type: 'text', text: `I am ${name}` },
  }));
  scope.after(() => client.close());
  await client.connect(new StreamableHTTPClientTransport(new URL(url)) as Transport);
  return client;
}

const textOf = (answer: unknown): string => (answer as { content: { text: string }[] }).content[0]!.text;

for (const transport of ['sse', 'websocket'] as const) {
  it(`each client answers what the server asks on its own ${transport} connection`, async (scope) => {
    const { url } = await startUrlServer(scope, transport);
    const peer = { url, transport, isolation: 'session' };
    const gateway = await startGateway(scope, { mcpServers: { peer } });
    const names = ['one', 'two', 'three'];
    const clients = await Promise.all(names.map((name) => connect(scope, gateway.url, name)));
    await eventually('the tools', async () => (await clients[0]!.listTools()).tools.length > 0);
    const answers = await Promise.all(
      clients.flatMap((client) =>
        [1, 2].map(() => client.callTool({ name: 'peer__call', arguments: { do: 'question' } }).then(textOf)),
      ),
    );
    assert.deepEqual(
      answers.map((answer) => (JSON.parse(answer) as { result?: { model?: string } }).result?.model),
      names.flatMap((name) => [name, name]),
    );
  });
}

it('the reference server over HTTP with SSE gets its sample from the client that called', async (scope) => {
  const { url } = await everythingSse(scope);
  const gateway = await startGateway(scope, { mcpServers: { peer: { url, isolation: 'session' } } });
  const client = await connect(scope, gateway.url, 'sampler');
  const name = await eventually('the tool', async () => {
    const { tools } = await client.listTools();
    return tools.find((tool) => /sampl/i.test(tool.name) && !/async|research/i.test(tool.name))?.name;
  });
  const answer = await client.callTool({ name, arguments: { prompt: 'who are you?', maxTokens: 10 } });
  assert.match(JSON.stringify(answer), /I am sampler/);
});
