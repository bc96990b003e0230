/** Limits that count sessions apart: every transport has some, and a connection keeps its own over reloads. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js';
import { createGateway, type GatewayConfig } from '../../src/index.js';
import { rawUpstream } from '../support/raw-upstream.js';
import { connectV1 } from '../support/sdk-clients.js';
import { openWebSocket, sdkTransport } from '../support/transports.js';

test('a limit by session counts each connection and each HTTP session by itself', async (scope) => {
  const tools = [{ name: 'find', inputSchema: { type: 'object' } }];
  const upstream = await rawUpstream(scope, (_request, answer) => answer.result({ content: [] }), { tools });
  const perClient = { key: 'session', rate: 1e-6, burst: 2 } as const;
  const config: GatewayConfig = {
    port: 0,
    admin: false,
    log: { level: 'silent' },
    mcpServers: { raw: { url: upstream.url } },
    rateLimits: { perClient, other: false },
  };
  const gateway = createGateway(config);
  scope.after(() => gateway.stop());
  await gateway.start();
  const { origin } = new URL(gateway.url!);

  const connected = async (transport: Transport): Promise<Client> => {
    const client = new Client({ name: 'limited', version: '1.0.0' });
    scope.after(() => client.close());
    await client.connect(transport);
    return client;
  };
  /** How many of four calls pass. */
  const granted = async (client: Client): Promise<number> => {
    let passed = 0;
    for (let i = 0; i < 4; i += 1) {
      const call = client.callTool({ name: 'raw__find', arguments: {} });
      await call.then(
        () => (passed += 1),
        (error: Error) => assert.match(error.message, /rateLimits\.perClient/),
      );
    }
    return passed;
  };
  const transports: Record<string, () => Promise<Client>> = {
    http: () => connectV1(scope, gateway.url!) as Promise<Client>,
    sse: () => connected(sdkTransport.sse(origin)),
    webSocket: () => connected(sdkTransport.websocket(origin)),
    inProcess: () => connected(gateway.connect() as Transport),
  };
  const clients: Client[] = [];
  for (const [name, open] of Object.entries(transports)) {
    const both = [await open(), await open()];
    assert.deepEqual([await granted(both[0]!), await granted(both[1]!)], [2, 2], name);
    clients.push(...both);
  }
  const forging = await openWebSocket(scope, origin, { 'mcp-session-id': 'one that nobody has used' });
  const call = () => forging.request('tools/call', { name: 'raw__find', arguments: {} });
  assert.deepEqual([(await call()).error, (await call()).error], [undefined, undefined]);
  assert.equal((await call()).error.data.limit, 'rateLimits.perClient');

  // Another header comes first in what policy reads.
  const routes = [{ match: { headers: { 'X-Region': 'eu' } }, requiredScopes: 'none' }];
  await gateway.reload({ ...config, routes });
  for (const client of clients) assert.equal(await granted(client), 0, 'nothing was forgotten');
  assert.equal(await granted(await transports['webSocket']!()), 2);
});
