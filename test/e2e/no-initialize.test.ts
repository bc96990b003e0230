/** Clients of connections that never initialize: what needs no session is served, and no error speaks of headers. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { createGateway } from '../../src/index.js';
import { openAnswer } from '../support/event-stream.js';
import { startGateway } from '../support/gateway.js';
import { eventually, type TestScope, tempFolder } from '../support/process.js';
import { type Message, modernMessage, modernRpc, rpc } from '../support/rpc.js';
import { openStdio, openWebSocket } from '../support/transports.js';
import { countingStdio } from '../support/upstreams.js';

interface Peer {
  send(message: object | string): void;
  messages(): Message[];
}

async function gatewayOn(scope: TestScope, frontEnd: 'uws' | 'node', config: object) {
  const gateway = await startGateway(scope, config, { frontEnd });
  await eventually('the upstream is listed', async () => {
    const { message } = await modernRpc(gateway.url, 'tools/list');
    return message.result.tools.length > 0;
  });
  return gateway;
}

const transports: { name: string; open(scope: TestScope, config: object): Promise<Peer> }[] = [
  ...(['uws', 'node'] as const).flatMap((frontEnd) => [
    {
      name: `WebSocket on ${frontEnd}`,
      open: async (scope: TestScope, config: object) => {
        const { origin } = await gatewayOn(scope, frontEnd, config);
        const socket = await openWebSocket(scope, origin);
        return { send: (message: object | string) => socket.send(message), messages: () => socket.messages };
      },
    },
    {
      name: `HTTP with SSE on ${frontEnd}`,
      open: async (scope: TestScope, config: object) => {
        const { origin } = await gatewayOn(scope, frontEnd, config);
        const stream = await openAnswer(scope, `${origin}/sse`);
        await stream.until('sessionId=');
        const path = /data: (\S+)/.exec(stream.text)?.[1] ?? '';
        const refused: Message[] = [];
        return {
          send: (message: object | string) =>
            void rpc(`${origin}${path}`, message).then((reply) => refused.push(...reply.messages)),
          messages: () => [
            ...refused,
            ...[...stream.text.matchAll(/^data: (\{.*)$/gm)].map(([, text = '']) => JSON.parse(text)),
          ],
        };
      },
    },
  ]),
  {
    name: 'stdio',
    open: async (scope, config) => {
      const file = join(await tempFolder(scope), 'switchyard.json');
      await writeFile(file, JSON.stringify(config));
      const client = openStdio(scope, file);
      return { send: (message) => client.send(message), messages: () => client.messages };
    },
  },
  {
    name: 'in-process',
    open: async (scope, config) => {
      const gateway = createGateway({ ...config, port: false, admin: false });
      await gateway.start();
      scope.after(() => gateway.stop());
      const client = gateway.connect();
      const messages: Message[] = [];
      client.onmessage = (message: Message) => void messages.push(message);
      await client.start();
      return {
        send: (message) => void client.send((typeof message === 'string' ? JSON.parse(message) : message) as never),
        messages: () => messages,
      };
    },
  },
];

for (const transport of transports) {
  describe(`a client on ${transport.name} that never initializes`, () => {
    for (const family of ['legacy', 'modern'] as const) {
      it(`is served as one without capabilities, ${family} server`, async (scope) => {
        const { entry, calls } = await countingStdio(scope, family);
        const peer = await transport.open(scope, { mcpServers: { peer: entry } });
        const ask = async (id: string, method: string, params?: object): Promise<Message> => {
          peer.send({ jsonrpc: '2.0', id, method, ...(params === undefined ? {} : { params }) });
          return eventually(`the answer to ${id}`, () => peer.messages().find((message) => message.id === id));
        };
        const first = await ask('list', 'tools/list');
        assert.ok(Array.isArray(first.result.tools), JSON.stringify(first));
        let turn = 0;
        await eventually('the tools are listed', async () => {
          turn += 1;
          return (await ask(`list-${turn}`, 'tools/list')).result.tools.length > 0;
        });
        const echo = await ask('echo', 'tools/call', { name: 'peer__echo', arguments: { text: 'hi' } });
        assert.equal(echo.result.content[0].text, 'hi');
        assert.deepEqual((await ask('ping', 'ping')).result, {});
        const slow = { name: 'peer__slow', arguments: { ms: 20, steps: 2 }, _meta: { progressToken: 'p' } };
        await ask('slow', 'tools/call', slow);
        assert.equal(peer.messages().filter(({ method }) => method === 'notifications/progress').length, 2);
        peer.send({ jsonrpc: '2.0', id: 'h', method: 'tools/call', params: { name: 'peer__hang', arguments: {} } });
        await eventually('the call arrived', () => calls('hang').length === 1);
        peer.send({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 'h' } });
        await eventually('it was cancelled', () => calls('hang').length === 2);

        for (const [method, params] of [
          ['resources/subscribe', { uri: 'memo://x' }],
          ['resources/unsubscribe', { uri: 'memo://x' }],
          ['logging/setLevel', { level: 'info' }],
        ] as const) {
          const { error } = await ask(method, method, params);
          assert.equal(error.data.code, 'GW_NOT_INITIALIZED', method);
          assert.match(error.message, /send initialize first/);
        }
        const params = { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'x', version: '1' } };
        assert.equal((await ask('late', 'initialize', params)).result.protocolVersion, '2025-06-18');
        assert.deepEqual((await ask('level', 'logging/setLevel', { level: 'info' })).result, {});
      });
    }

    it('reads no error about headers', async (scope) => {
      const { entry } = await countingStdio(scope, 'legacy');
      const peer = await transport.open(scope, { mcpServers: { peer: entry } });
      const faults: (object | string)[] = [
        { jsonrpc: '2.0', id: 1, method: 'nothing' },
        { jsonrpc: '2.0', id: 2, method: 'tools/call', params: { name: 'unknown' } },
        { jsonrpc: '2.0', id: 3, method: 'tools/call' },
        { jsonrpc: '2.0', id: 4, method: 'resources/subscribe', params: { uri: 'memo://x' } },
        { jsonrpc: '2.0', id: 5, method: 'logging/setLevel', params: { level: 'loud' } },
        { jsonrpc: '2.0', id: 6, method: 'subscriptions/listen' },
        modernMessage('tools/list', {}, { id: 7, version: '2031-01-01' }),
        modernMessage('initialize', {}, { id: 8 }),
        modernMessage('resources/read', {}, { id: 9 }),
        { jsonrpc: '2.0', id: 10, method: 'completion/complete' },
        { jsonrpc: '2.0', id: 11 },
      ];
      for (const fault of faults) peer.send(fault);
      await eventually(
        'an error for each',
        () => peer.messages().filter(({ error }) => error !== undefined).length >= 10,
      );
      for (const { error } of peer.messages()) {
        assert.doesNotMatch(error?.message ?? '', /header|mcp-|\baccept\b|retry-after|\bGET\b|\bPOST\b/i);
      }
    });
  });
}
