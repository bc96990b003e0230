/** Every transport for clients on every kind of upstream: one gateway, all of them at once, with the real SDKs at both ends. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { Client as ClientV2 } from '@modelcontextprotocol/client';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js';
import { createGateway } from '../../src/index.js';
import { type RunningGateway, startGateway } from '../support/gateway.js';
import { eventually, type TestScope, tempFolder } from '../support/process.js';
import { modernMessage } from '../support/rpc.js';
import { connectV1, connectV2 } from '../support/sdk-clients.js';
import { initialize, openWebSocket, sdkTransport, stdioTransport } from '../support/transports.js';
import { type CountingServer, countingHttp, countingStdio, countingUrl } from '../support/upstreams.js';

/** What the matrix asks of a client, whatever transport it uses. */
interface Visitor {
  names(): Promise<string[]>;
  echo(tool: string, text: string): Promise<unknown>;
}

interface Place {
  readonly gateway: RunningGateway;
  readonly config: object;
}

const upstreams: Readonly<Record<string, (scope: TestScope) => Promise<CountingServer<object>>>> = {
  legacystdio: (scope) => countingStdio(scope, 'legacy'),
  modernstdio: (scope) => countingStdio(scope, 'modern'),
  legacyhttp: (scope) => countingHttp(scope, 'legacy'),
  modernhttp: (scope) => countingHttp(scope, 'modern'),
  sse: (scope) => countingUrl(scope, 'legacy', 'sse'),
  legacywebsocket: (scope) => countingUrl(scope, 'legacy', 'websocket'),
  modernwebsocket: (scope) => countingUrl(scope, 'modern', 'websocket'),
};

const textOf = (result: unknown): unknown => (result as { content?: { text: string }[] }).content?.[0]?.text;

function visitorOf(client: Client | ClientV2): Visitor {
  return {
    names: async () => (await (client as Client).listTools()).tools.map(({ name }) => name),
    echo: async (name, text) => textOf(await (client as Client).callTool({ name, arguments: { text } })),
  };
}

async function overV1(scope: TestScope, transport: Transport): Promise<Visitor> {
  const client = new Client({ name: 'visitor', version: '1.0.0' });
  scope.after(() => client.close());
  await client.connect(transport);
  return visitorOf(client);
}

const transports: Readonly<Record<string, (scope: TestScope, place: Place) => Promise<Visitor>>> = {
  'Streamable HTTP, SDK v1': async (scope, { gateway }) => visitorOf(await connectV1(scope, gateway.url)),
  'Streamable HTTP, SDK v2 with sessions': async (scope, { gateway }) =>
    visitorOf(await connectV2(scope, gateway.url, 'legacy')),
  'Streamable HTTP, SDK v2 of 2026-07-28': async (scope, { gateway }) =>
    visitorOf(await connectV2(scope, gateway.url, 'modern')),
  'HTTP with SSE, SDK v1': (scope, { gateway }) => overV1(scope, sdkTransport.sse(gateway.origin)),
  'HTTP with SSE, SDK v2': async (scope, { gateway }) => {
    const client = new ClientV2({ name: 'visitor', version: '1.0.0' });
    scope.after(() => client.close());
    await client.connect(sdkTransport.sseV2(gateway.origin));
    return visitorOf(client);
  },
  'WebSocket, SDK v1': (scope, { gateway }) => overV1(scope, sdkTransport.websocket(gateway.origin)),
  'WebSocket of 2024-11-05': async (scope, { gateway }) => {
    const socket = await openWebSocket(scope, gateway.origin);
    await initialize(socket, '2024-11-05');
    return {
      names: async () => (await socket.request('tools/list')).result.tools.map(({ name }: { name: string }) => name),
      echo: async (name, text) =>
        textOf((await socket.request('tools/call', { name, arguments: { text } })).result ?? {}),
    };
  },
  'WebSocket of 2026-07-28': async (scope, { gateway }) => {
    const socket = await openWebSocket(scope, gateway.origin);
    const ask = (method: string, params: Record<string, unknown> = {}) =>
      socket.request(method, modernMessage(method, params).params);
    return {
      names: async () => (await ask('tools/list')).result.tools.map(({ name }: { name: string }) => name),
      echo: async (name, text) => textOf((await ask('tools/call', { name, arguments: { text } })).result ?? {}),
    };
  },
  stdio: async (scope, { config }) => {
    const file = join(await tempFolder(scope), 'switchyard.json');
    await writeFile(file, JSON.stringify(config));
    return overV1(scope, stdioTransport(file));
  },
  REST: async (_scope, { gateway }) => ({
    names: async () => {
      const { tools } = (await (await fetch(`${gateway.origin}/tools`)).json()) as { tools: { name: string }[] };
      return tools.map(({ name }) => name);
    },
    echo: async (name, text) => {
      const response = await fetch(`${gateway.origin}/tools/${name}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ text }),
      });
      return textOf(await response.json());
    },
  }),
  'the same process': async (scope, { config }) => {
    const gateway = createGateway({ ...config, port: false, admin: false, log: { level: 'silent' } });
    scope.after(() => gateway.stop());
    await gateway.start();
    return overV1(scope, gateway.connect() as Transport);
  },
};

describe('any client meets any server', () => {
  it('over every transport, to every kind of upstream, in every family', async (scope) => {
    const servers = new Map<string, CountingServer<object>>();
    for (const [name, start] of Object.entries(upstreams)) servers.set(name, await start(scope));
    const mcpServers = Object.fromEntries([...servers].map(([name, { entry }]) => [name, entry]));
    const gateway = await startGateway(scope, { mcpServers });
    for (const [transport, enter] of Object.entries(transports)) {
      const visitor = await enter(scope, { gateway, config: { mcpServers } });
      await eventually(`${transport}: all servers are listed`, async () => {
        const names = await visitor.names();
        return [...servers.keys()].every((name) => names.includes(`${name}__echo`));
      });
      for (const name of servers.keys()) {
        const text = `${transport} → ${name} "\u0000"`;
        assert.equal(await visitor.echo(`${name}__echo`, text), text);
      }
    }
    for (const [name, server] of servers) {
      assert.equal(server.calls('echo').length, Object.keys(transports).length, `${name}: each call was executed once`);
    }
  });
});
