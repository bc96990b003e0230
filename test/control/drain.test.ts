import assert from 'node:assert/strict';
import { it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { createGateway, type EmbeddedGateway, type GatewayConfig } from '../../src/index.js';
import { eventually, type TestScope } from '../support/process.js';
import { rawUpstream } from '../support/raw-upstream.js';
import { modernHeaders, modernMessage, modernRpc, openSession } from '../support/rpc.js';
import { openWebSocket } from '../support/transports.js';

const program = fileURLToPath(new URL('./named-server.js', import.meta.url));
const named = { command: process.execPath, args: [program, 'a'] };
/** Longer than any test may take: what is waited for is seen. */
const LONG = { limits: { drainMs: 600_000 } };

async function running(scope: TestScope, config: GatewayConfig): Promise<EmbeddedGateway> {
  const gateway = createGateway({ port: 0, admin: false, log: { level: 'silent' }, ...config });
  scope.after(() => gateway.stop());
  await gateway.start();
  return gateway;
}

it('a stop waits for calls in flight and answers them', async (scope) => {
  const gateway = await running(scope, { ...LONG, mcpServers: { a: named } });
  const call = modernRpc(gateway.url!, 'tools/call', { name: 'a__who', arguments: { text: 'last', waitMs: 700 } });
  await eventually('the call is under way', () => gateway.upstreamHealth()[0]?.endpoints[0]?.inFlight === 1);
  await gateway.stop();
  assert.match((await call).message.result.content[0].text, /^a \d+ last$/);
});

it('a stop does not wait for idle streams, connections, parked calls and reloads', async (scope) => {
  const upstream = await rawUpstream(scope, (_, answer) => {
    answer.sse().event({ jsonrpc: '2.0', id: 'q', method: 'roots/list' });
  });
  const config = { ...LONG, mcpServers: { a: named, raw: { url: upstream.url } } };
  const gateway = await running(scope, config);
  const url = gateway.url!;

  const session = await openSession(url);
  const stream = await fetch(url, { headers: { ...session.headers, accept: 'text/event-stream' } });
  const listen = modernMessage('subscriptions/listen', { notifications: { toolsListChanged: true } });
  const listening = await fetch(url, {
    method: 'POST',
    headers: {
      ...modernHeaders(listen),
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
    },
    body: JSON.stringify(listen),
  });
  const client = new Client({ name: 'in-process', version: '1' });
  await client.connect(gateway.connect());
  const socket = await openWebSocket(scope, url.replace('/mcp', ''));
  const parked = await modernRpc(
    url,
    'tools/call',
    { name: 'raw__call', arguments: {} },
    { clientCapabilities: { roots: {} } },
  );
  assert.equal(parked.message.result.resultType, 'input_required', parked.text);
  // The successor never gets ready, so this reload would go on for a while.
  const never = { command: process.execPath, args: ['-e', 'setInterval(() => {}, 1000)'] };
  const reload = gateway.reload({
    ...config,
    port: 0,
    admin: false,
    mcpServers: { a: never, raw: config.mcpServers.raw },
  });

  await eventually('it is under way', async () => (await gateway.stats()).configuration === 2);
  await gateway.stop();
  await reload;
  assert.equal((await stream.text()).includes('error'), false);
  assert.match(await listening.text(), /"result"/, 'the listen ends with its result');
  await eventually('the socket is closed', () => socket.closed);
  await assert.rejects(client.ping());
});
