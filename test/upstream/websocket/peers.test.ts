/** Redirects and odd messages of servers over WebSocket. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { test } from 'node:test';
import { WebSocketServer } from 'ws';
import { packageVersion } from '../../../src/package-root.js';
import { eventually, type TestScope } from '../../support/process.js';
import { namesOf, type PoolFixture, serverOf, startPool, webSocketOf } from '../fixture.js';

const endpointOf = (pool: PoolFixture) => pool.server().endpoints[0]!;

/** A server that redirects all paths of `redirects`, and changes its responses. */
async function start(
  scope: TestScope,
  redirects: Readonly<Record<string, [status: number, location: string]>>,
  change: (text: string) => string = (text) => text,
) {
  const agents: (string | undefined)[] = [];
  const http = createServer();
  const sockets = new WebSocketServer({ noServer: true });
  const open = new Set<Duplex>();
  http.on('connection', (socket) => open.add(socket));
  http.on('upgrade', (request, socket, head) => {
    agents.push(request.headers['user-agent']);
    const redirect = redirects[request.url ?? ''];
    if (redirect !== undefined) {
      socket.end(
        `HTTP/1.1 ${redirect[0]} Moved\r\nlocation: ${redirect[1]}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n`,
      );
      return;
    }
    sockets.handleUpgrade(request, socket, head, (webSocket) => {
      webSocket.on('message', (data) => {
        const { id, method, params } = JSON.parse(String(data));
        if (id === undefined) return;
        const capabilities = { tools: {} };
        const result =
          method === 'initialize'
            ? { protocolVersion: params.protocolVersion, capabilities, serverInfo: { name: 'p', version: '1' } }
            : method === 'tools/list'
              ? { tools: [{ name: 'call', inputSchema: { type: 'object' } }] }
              : { ok: true };
        const isProbe = method === 'server/discover';
        const outcome = isProbe ? { error: { code: -32_601, message: 'no' } } : { result };
        webSocket.send(change(JSON.stringify({ jsonrpc: '2.0', id, ...outcome })));
      });
    });
  });
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
  scope.after(() => {
    http.close();
    for (const socket of open) socket.destroy();
  });
  const { port } = http.address() as AddressInfo;
  return { url: `ws://127.0.0.1:${port}/mcp`, port, agents };
}

test('redirects of the handshake on the same origin are followed', async (t) => {
  for (const status of [301, 302, 303, 307, 308]) {
    const server = await start(t, { '/mcp': [status, '/mcp/'], '/mcp/': [status, 'real'] });
    const pool = startPool(t, [serverOf([webSocketOf(server.url)])]);
    assert.deepEqual(namesOf((await pool.ready()).tools), ['call']);
    assert.equal((await pool.call('call').done).response?.result.ok, true);
    assert.deepEqual(server.agents, Array(3).fill(`switchyard/${packageVersion}`));
  }
});

test('others are named', async (t) => {
  const other = await start(t, {});
  const away = await start(t, { '/mcp': [308, `http://127.0.0.1:${other.port}/mcp`] });
  const pool = startPool(t, [serverOf([webSocketOf(away.url)])]);
  await eventually('the reason', () => endpointOf(pool).reason.includes(`ws://127.0.0.1:${other.port}/mcp`));
  assert.ok(pool.log.some(({ level, fields }) => level === 'warn' && fields['reason'] !== undefined));
  const circle = await start(t, { '/mcp': [307, '/mcp'] });
  const second = startPool(t, [serverOf([webSocketOf(circle.url)])]);
  await eventually('the reason', () => endpointOf(second).reason.includes('other redirects'));
  assert.deepEqual(other.agents, []);
});

test('messages with one meaning are taken for it', async (t) => {
  const changes: readonly ((text: string) => string)[] = [
    (text) => (text.includes('"result"') ? `${text.slice(0, -1)},"error":null}` : text),
    (text) => text.replace(/"id":(\d+)/, '"id":$1.0'),
    (text) => `\ufeff${text}`,
  ];
  for (const change of changes) {
    const server = await start(t, {}, change);
    const pool = startPool(t, [serverOf([webSocketOf(server.url)])]);
    assert.deepEqual(namesOf((await pool.ready()).tools), ['call']);
    assert.equal((await pool.call('call').done).response?.result.ok, true);
  }
});
