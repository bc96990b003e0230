/** `limits.maxBufferedBytes`: a bound over all calls and streams, counted, seen, and given back. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { describe, it } from 'node:test';
import { idle, listed, statsOf } from '../faults/observe.js';
import { type GatewayAddresses, gatewayHere, startGateway } from '../support/gateway.js';
import { eventually, type TestScope } from '../support/process.js';
import { rawRequest } from '../support/raw-http.js';
import { type Answer, rawUpstream, type Script } from '../support/raw-upstream.js';
import { modernHeaders, modernMessage, type RpcReply, rpc } from '../support/rpc.js';
import { initialize, openWebSocket } from '../support/transports.js';

const KIB = 1024;
const MAX = 1024 * KIB;
const JSON_TYPE = { 'content-type': 'application/json' };

async function start(
  scope: TestScope,
  frontEnd: 'uws' | 'node',
  script: Script,
  limits: object = {},
): Promise<GatewayAddresses> {
  const upstream = await rawUpstream(scope, script);
  const mcpServers = { peer: { url: upstream.url } };
  const gateway = await gatewayHere(scope, { mcpServers, limits: { maxBufferedBytes: MAX, ...limits } }, { frontEnd });
  await listed(gateway);
  return gateway;
}

function call(gateway: GatewayAddresses, args: object = {}): Promise<RpcReply> {
  const message = modernMessage('tools/call', { name: 'peer__call', arguments: args });
  return rpc(gateway.url, message, modernHeaders(message));
}

/** The beginning of an answer that cannot be passed on in parts, of so many bytes. */
function begin(id: number, { response }: Answer, bytes: number): void {
  response.writeHead(200, JSON_TYPE);
  response.write(`{"jsonrpc":"2.0","id":${id},"error":{"code":1,"message":"`.padEnd(bytes, 'x'));
}

async function emptied(gateway: GatewayAddresses): Promise<void> {
  await eventually('everything is given back', async () => (await statsOf(gateway)).buffers.bytes === 0);
}

for (const frontEnd of ['uws', 'node'] as const) {
  describe(`${frontEnd}: limits.maxBufferedBytes`, () => {
    it('ends the largest answers, while small calls go on', async (t) => {
      const open: Answer[] = [];
      const upstream = await rawUpstream(t, ({ message }, answer) => {
        const { kib } = message.params.arguments;
        if (kib === undefined) answer.result({ content: [] });
        else {
          begin(message.id, answer, kib * KIB);
          open.push(answer);
        }
      });
      const config = { mcpServers: { peer: { url: upstream.url } }, limits: { maxBufferedBytes: MAX } };
      const gateway = await startGateway(t, config, { frontEnd });
      await listed(gateway);
      const held = [200, 200, 200].map((kib) => call(gateway, { kib }));
      await eventually('three answers have begun', async () => (await statsOf(gateway)).buffers.bytes > 600 * KIB);
      assert.doesNotMatch(gateway.output, /maxBufferedBytes/);
      // A buffer doubles: the largest one is over the bound by itself, the one before it makes room, too.
      const ended = await call(gateway, { kib: 800 });
      assert.equal(ended.status, 503);
      assert.equal(ended.headers.get('retry-after'), '1');
      assert.equal(ended.message.error.code, -32603);
      assert.equal(ended.message.error.data.code, 'GW_BUFFERS_FULL');
      assert.equal(ended.message.error.data.retryable, true);
      assert.deepEqual((await call(gateway)).message.result.content, []);
      const again = await call(gateway, { kib: 900 });
      assert.equal(again.message.error.data.code, 'GW_BUFFERS_FULL');

      const { buffers } = await statsOf(gateway);
      assert.ok(buffers.bytes > 600 * KIB && buffers.bytes <= MAX);
      assert.equal(buffers.maxBytes, MAX);
      assert.equal(buffers.refused, 2);
      const metrics = await (await fetch(`${gateway.adminUrl}/metrics`)).text();
      assert.match(metrics, new RegExp(`switchyard_buffered_bytes ${buffers.bytes}\\n`));
      assert.match(metrics, /switchyard_buffers_refused_total 2\n/);

      for (const { response } of open) response.end('"}}');
      for (const { message } of await Promise.all(held)) assert.equal(message.error.code, 1);
      await idle(gateway);
      await emptied(gateway);
      const lines = await eventually('it is in the log', () =>
        gateway.output.match(/limits\.maxBufferedBytes is reached/g),
      );
      assert.equal(lines.length, 1);
    });

    it('refuses bodies that there is no room for, and takes others', async (t) => {
      const gateway = await start(t, frontEnd, (_request, answer) => answer.result({ content: [] }));
      const head = `POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\nContent-Length: ${MAX}\r\n\r\n`;
      const sockets: Socket[] = [];
      const answers: string[] = [];
      for (let index = 0; index < 4; index += 1) {
        const socket = connect(gateway.port, '127.0.0.1');
        socket.on('error', () => {});
        socket.on('data', (chunk) => {
          answers[index] = (answers[index] ?? '') + chunk;
        });
        await once(socket, 'connect');
        socket.write(head);
        socket.write('x'.repeat(400 * KIB));
        sockets.push(socket);
      }
      const refused = await eventually('a body is refused', () => answers.find((text) => text?.includes('}}')));
      assert.match(refused, /^HTTP\/1\.1 503 /);
      assert.match(refused, /retry-after: 1\r\n/i);
      assert.match(refused, /GW_BUFFERS_FULL/);
      assert.equal((await call(gateway)).status, 200);
      const { buffers } = await statsOf(gateway);
      assert.ok(buffers.bytes > 0 && buffers.bytes <= MAX, `${buffers.bytes}`);
      for (const socket of sockets) socket.destroy();
      await emptied(gateway);
    });

    it('counts what clients do not take, and cuts the one that holds up the most', async (t) => {
      // More than the sockets of both sides take by themselves.
      const size = 24 * 1024 * KIB;
      const gateway = await start(
        t,
        frontEnd,
        ({ message }, answer) => {
          const text = 'x'.repeat(message.params.arguments.small === true ? 10 : size);
          answer.result({ content: [{ type: 'text', text }] });
        },
        { maxBufferedBytes: size, maxLineBytes: 2 * size, maxHeldBytes: 2 * size },
      );
      const message = modernMessage('tools/call', { name: 'peer__call', arguments: {} });
      const headers = { host: 'localhost', accept: 'application/json, text/event-stream', ...modernHeaders(message) };
      const body = JSON.stringify(message);
      const lines = Object.entries({ ...headers, 'content-type': 'application/json', 'content-length': body.length });
      const request = `POST /mcp HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n${body}`;
      const sockets: Socket[] = [];
      let closed = 0;
      for (let index = 0; index < 2; index += 1) {
        const socket = connect(gateway.port, '127.0.0.1');
        socket.pause();
        socket.on('error', () => {});
        socket.on('close', () => {
          closed += 1;
        });
        socket.write(request);
        sockets.push(socket);
      }
      await eventually('something had to make room', async () => (await statsOf(gateway)).buffers.refused > 0);
      assert.equal((await call(gateway, { small: true })).message.result.content[0].text.length, 10);
      for (const socket of sockets) socket.resume();
      await eventually('the clients are cut or served', async () => (await statsOf(gateway)).buffers.bytes === 0);
      for (const socket of sockets) socket.destroy();
      await eventually('both are gone', () => closed === 2);
      await idle(gateway);
    });

    it('is kept by connections that carry many messages', async (t) => {
      const gateway = await start(
        t,
        frontEnd,
        (_request, answer) => answer.result({ content: [{ type: 'text', text: 'x'.repeat(300 * KIB) }] }),
        { maxBufferedBytes: 64 * MAX },
      );
      const client = await openWebSocket(t, gateway.origin);
      await initialize(client);
      for (let round = 0; round < 20; round += 1) {
        const { result } = await client.request('tools/call', { name: 'peer__call', arguments: {} });
        assert.equal(result.content[0].text.length, 300 * KIB);
      }
      client.close();
      await idle(gateway);
      await emptied(gateway);
    });

    it('holds for the answers of a batch', async (t) => {
      const gateway = await start(t, frontEnd, (_request, answer) =>
        answer.result({ content: [{ type: 'text', text: 'x'.repeat(200 * KIB) }] }),
      );
      const version = '2025-03-26';
      const params = { protocolVersion: version, capabilities: {}, clientInfo: { name: 'x', version: '1' } };
      const opened = await rpc(gateway.url, { jsonrpc: '2.0', id: 1, method: 'initialize', params });
      const headers = { 'mcp-session-id': opened.headers.get('mcp-session-id')! };
      const batch = (count: number): object[] =>
        Array.from({ length: count }, (_, id) => ({
          jsonrpc: '2.0',
          id,
          method: 'tools/call',
          params: { name: 'peer__call', arguments: {} },
        }));
      assert.equal((await rpc(gateway.url, batch(2), headers)).messages.length, 2);
      const refused = await rpc(gateway.url, batch(20), headers);
      assert.equal(refused.status, 503);
      assert.equal(refused.message.error.data.code, 'GW_BUFFERS_FULL');
      await idle(gateway);
      await emptied(gateway);
    });

    it('returns to 0 after all kinds of requests, whole and broken off', async (t) => {
      const gateway = await start(
        t,
        frontEnd,
        ({ message }, answer) => {
          const { how } = message.params.arguments;
          if (how === 'reset') answer.reset();
          else if (how === 'cut') {
            begin(message.id, answer, 50 * KIB);
            setImmediate(() => answer.socket.destroy());
          } else answer.result({ content: [] });
        },
        { maxBufferedBytes: 64 * MAX },
      );
      const padding = 'y'.repeat(100 * KIB);
      const work: Promise<unknown>[] = [];
      for (let round = 0; round < 20; round += 1) {
        for (const how of ['reset', 'cut', 'whole']) work.push(call(gateway, { how, padding }));
        work.push(rpc(gateway.url, `{"jsonrpc":"2.0",${padding}`));
        const half = `POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 200000\r\n\r\n${padding}`;
        work.push(rawRequest(gateway.port, half, { waitMs: 50 }));
      }
      await Promise.all(work);
      await idle(gateway);
      await emptied(gateway);
    });
  });
}
