import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { test } from 'node:test';
import { type WebSocket, WebSocketServer } from 'ws';
import { packageRoot } from '../../../src/package-root.js';
import { eventually, type TestScope } from '../../support/process.js';
import { countingUrl } from '../../support/upstreams.js';
import { namesOf, type PoolFixture, serverOf, startPool, webSocketOf } from '../fixture.js';

const textOf = (response: { result: { content: { text: string }[] } }): string => response.result.content[0]!.text;
const state = (pool: PoolFixture) => pool.server().endpoints[0]!;

/** Answers handshakes and calls of a legacy server; `call` may do anything else. */
// biome-ignore lint/suspicious/noExplicitAny: whatever the gateway sends
function serve(socket: WebSocket, call: (message: any, socket: WebSocket) => void): void {
  socket.on('error', () => {});
  socket.on('message', (data) => {
    const message = JSON.parse((data as Buffer).toString());
    const say = (body: object) => socket.send(JSON.stringify({ jsonrpc: '2.0', id: message.id, ...body }));
    if (message.method === 'initialize') {
      say({ result: { protocolVersion: '2025-06-18', capabilities: {}, serverInfo: { name: 's', version: '1' } } });
    } else if (message.method === 'tools/call') call(message, socket);
    else if (message.id !== undefined) say({ error: { code: -32_601, message: 'no' } });
  });
}

/** A server of the test's own making. */
async function scripted(scope: TestScope, connected: (socket: WebSocket, request: IncomingMessage) => void) {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0 });
  await once(server, 'listening');
  server.on('connection', connected);
  scope.after(() => {
    for (const client of server.clients) client.terminate();
    server.close();
  });
  return { url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`, server };
}

for (const family of ['legacy', 'modern'] as const) {
  test(`the SDK's ${family} server over WebSocket is initialized, discovered and called`, async (t) => {
    const server = await countingUrl(t, family, 'websocket');
    const pool = startPool(t, [serverOf([webSocketOf(server.url)])]);
    const discovery = await pool.ready();
    assert.equal(discovery.era, family === 'modern' ? 1 : 0);
    assert.deepEqual(namesOf(discovery.templates), ['city']);
    assert.equal(textOf((await pool.call('echo', { text: 'grüße' }).done).response), 'grüße');
    const slow = await pool.call('slow', { ms: 40, steps: 4 }, { progress: true }).done;
    assert.deepEqual(
      slow.notifications.map(({ params }) => params.progress),
      [1, 2, 3, 4],
    );
    await pool.call('add_tool', { name: 'another' }).done;
    await eventually('the new tool', () => namesOf(pool.discoveries.at(-1)!.tools).includes('another'));
    const { exchange } = pool.call('hang');
    await eventually('the call arrived', () => server.calls('hang').length === 1);
    state(pool).cancel(exchange);
    await eventually('the call is cancelled', () => server.calls('hang').some(({ event }) => event === 'cancelled'));
  });

  test(`the SDK's ${family} server over WebSocket is used again after it was killed`, async (t) => {
    const server = await countingUrl(t, family, 'websocket');
    const pool = startPool(t, [serverOf([webSocketOf(server.url)])]);
    await pool.ready();
    const waiting = pool.call('hang');
    await eventually('the call arrived', () => server.calls('hang').length === 1);
    server.process.child.kill('SIGKILL');
    const { error, sent } = await waiting.done;
    assert.deepEqual([error, sent], ['GW_UPSTREAM_CLOSED', true]);
    await eventually('no connection', () => state(pool).reason === 'cannot be reached (ECONNREFUSED)');
    assert.equal((await pool.call('echo', { text: 'nobody' }).done).error, 'GW_UPSTREAM_DOWN');
    await server.restart();
    await eventually('ready again', () => state(pool).state === 'ready');
    assert.equal(textOf((await pool.call('echo', { text: 'back' }).done).response), 'back');
  });
}

test('the sub-protocol, the headers and the credentials are sent, no extension is offered', async (t) => {
  let headers: IncomingMessage['headers'] = {};
  const { url } = await scripted(t, (socket, request) => {
    headers = request.headers;
    serve(socket, () => {});
  });
  const pool = startPool(t, [
    serverOf([
      webSocketOf(url.replace('//', '//user:p%40ss@'), { 'X-Key': 'k', Upgrade: 'h2c', 'Sec-WebSocket-Key': 'x' }),
    ]),
  ]);
  await eventually('ready', () => state(pool).state === 'ready');
  assert.equal(headers['sec-websocket-protocol'], 'mcp');
  assert.equal(headers['x-key'], 'k');
  assert.equal(headers.upgrade, 'websocket');
  assert.notEqual(headers['sec-websocket-key'], 'x');
  assert.equal(headers.authorization, `Basic ${Buffer.from('user:p@ss').toString('base64')}`);
  assert.equal(headers['sec-websocket-extensions'], undefined);
});

test('TLS is verified', async (t) => {
  const file = (name: string) => readFileSync(join(packageRoot, 'test/upstream/fixtures', name));
  const http = createTlsServer({ cert: file('tls-certificate.pem'), key: file('tls-key.pem') });
  const server = new WebSocketServer({ server: http });
  server.on('connection', (socket) => serve(socket, () => {}));
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
  t.after(() => http.close());
  const pool = startPool(t, [serverOf([webSocketOf(`wss://127.0.0.1:${(http.address() as AddressInfo).port}/mcp`)])]);
  await eventually('refused', () => /cannot be reached \(.*(CERT|SIGNED|ALTNAME).*\)/.test(state(pool).reason));
});

test('an answer that is no upgrade is a state', async (t) => {
  const http = createServer();
  http.on('upgrade', (_request: IncomingMessage, socket: Duplex) => {
    socket.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n');
  });
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
  t.after(() => http.close());
  const { port } = http.address() as AddressInfo;
  const pool = startPool(t, [serverOf([webSocketOf(`ws://127.0.0.1:${port}/denied`)])]);
  await eventually('the reason', () => state(pool).reason === 'answered 403');
});

test('a server without the sub-protocol is refused', async (t) => {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0, handleProtocols: () => false });
  await once(server, 'listening');
  t.after(() => server.close());
  const url = `ws://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const pool = startPool(t, [serverOf([webSocketOf(url)])]);
  await eventually('refused', () => state(pool).reason === 'cannot be reached (no WebSocket handshake)');
});

test('a connection that does not get through in time is given up', async (t) => {
  const http = createServer();
  http.on('upgrade', () => {});
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
  t.after(() => {
    http.closeAllConnections();
    http.close();
  });
  const url = `ws://127.0.0.1:${(http.address() as AddressInfo).port}/`;
  const pool = startPool(t, [serverOf([webSocketOf(url)], { connectTimeoutMs: 200 })]);
  await eventually('given up', () => state(pool).state === 'backoff');
});

test('close codes are shown; the connection is opened again after each of them', async (t) => {
  const codes = [1_000, 1_001, 1_008, 1_011, 1_013, 4_000];
  const { url } = await scripted(t, (socket) =>
    serve(socket, (message) => socket.close(message.params.arguments.code)),
  );
  const pool = startPool(t, [serverOf([webSocketOf(url)])]);
  for (const code of codes) {
    await eventually('ready', () => state(pool).state === 'ready');
    assert.equal((await pool.call('x', { code }).done).error, 'GW_UPSTREAM_CLOSED');
  }
  assert.deepEqual(
    pool.states.filter((each) => each.state === 'backoff').map(({ reason }) => reason),
    codes.map((code) => `closed the connection (${code})`),
  );
});

test('broken frames end the connection', async (t) => {
  let broken: Buffer = Buffer.alloc(0);
  const { url } = await scripted(t, (socket, request) => serve(socket, () => request.socket.write(broken)));
  const pool = startPool(t, [serverOf([webSocketOf(url)])]);
  for (const bytes of [
    [0xf1, 0x00],
    [0x81, 0x81, 1, 2, 3, 4, 5],
    [0x83, 0x00],
    [0x80, 0x00],
  ]) {
    broken = Buffer.from(bytes);
    await eventually('ready', () => state(pool).state === 'ready');
    assert.equal((await pool.call('x', {}).done).error, 'GW_UPSTREAM_CLOSED');
  }
  const reasons = pool.states.filter((each) => each.state === 'backoff').map(({ reason }) => reason);
  assert.deepEqual(new Set(reasons), new Set(['broke the WebSocket protocol']));
});

test('a binary message is junk, also when it holds JSON', async (t) => {
  const { url } = await scripted(t, (socket) =>
    serve(socket, ({ id }) => {
      const answer = (text: string) =>
        JSON.stringify({ jsonrpc: '2.0', id, result: { content: [{ type: 'text', text }] } });
      socket.send(Buffer.from(answer('binary')), { binary: true });
      socket.send(answer('text'));
    }),
  );
  const pool = startPool(t, [serverOf([webSocketOf(url)])]);
  await eventually('ready', () => state(pool).state === 'ready');
  assert.equal(textOf((await pool.call('x', {}).done).response), 'text');
  assert.equal(state(pool).stats.junkLines, 1);
});

test('a message in fragments is one message', async (t) => {
  const { url } = await scripted(t, (socket) =>
    serve(socket, ({ id }) => {
      const answer = JSON.stringify({ jsonrpc: '2.0', id, result: { content: [{ type: 'text', text: 'whole' }] } });
      for (const letter of answer.slice(0, -1)) socket.send(letter, { fin: false });
      socket.send(answer.slice(-1), { fin: true });
    }),
  );
  const pool = startPool(t, [serverOf([webSocketOf(url)])]);
  await eventually('ready', () => state(pool).state === 'ready');
  assert.equal(textOf((await pool.call('x', {}).done).response), 'whole');
});

test('a message over the limit in fragments, with pings between them, fails its call alone', async (t) => {
  const { url } = await scripted(t, (socket) =>
    serve(socket, ({ id, params }) => {
      const { sizes } = params.arguments as { sizes: number[] };
      const tail = `"},"jsonrpc":"2.0","id":${id}}`;
      socket.send('{"result":{"text":"', { fin: false });
      for (const [index, size] of sizes.entries()) {
        socket.send('x'.repeat(size), { fin: false });
        if (index < 10) socket.ping('between');
      }
      socket.send(tail, { fin: true });
    }),
  );
  const pool = startPool(t, [serverOf([webSocketOf(url)])], { maxLineBytes: 100_000 });
  await pool.ready();
  for (const sizes of [[150_000], [60_000, 60_000], [0, 99_990], [10, 10, 200_000, 10], Array(500).fill(300)]) {
    const whole = sizes.reduce((a, b) => a + b, 0);
    const { error, detail } = await pool.call('call', { sizes }).done;
    assert.equal(error, 'GW_RESPONSE_TOO_LARGE', `${sizes.slice(0, 5)}`);
    assert.ok(Number(/has (\d+) bytes/.exec(detail)?.[1]) > whole, detail);
    assert.equal((await pool.call('call', { sizes: [10, 0] }).done).response.result.text, 'x'.repeat(10));
  }
  assert.equal(state(pool).stats.restarts, 0);
});

test('a peer that answers no pings is dead after two, one that does lives on', async (t) => {
  const { url } = await scripted(t, (socket) => serve(socket, (_message, socket) => socket.pause()));
  const pool = startPool(t, [serverOf([webSocketOf(url)])], { keepAliveMs: 100 });
  await eventually('ready', () => state(pool).state === 'ready');
  await new Promise((resolve) => setTimeout(resolve, 500));
  assert.equal(state(pool).stats.restarts, 0);
  assert.equal((await pool.call('x', {}).done).error, 'GW_UPSTREAM_CLOSED');
  assert.ok(pool.states.some(({ reason }) => reason === 'does not answer pings'));
});

test('a peer that reads nothing fills the queue, not the memory', async (t) => {
  const { url } = await scripted(t, (socket) => serve(socket, (_message, socket) => socket.pause()));
  const pool = startPool(t, [serverOf([webSocketOf(url)])], { maxPipeBytes: 1_000_000 });
  await eventually('ready', () => state(pool).state === 'ready');
  const padding = 'x'.repeat(400_000);
  const outcomes = [];
  for (let round = 0; round < 100; round += 1) {
    outcomes.push(pool.call('x', { padding }, { deadlineMs: 1_000 }));
    await new Promise((resolve) => setImmediate(resolve));
  }
  await Promise.all(outcomes.map(({ done }) => done));
  const busy = outcomes.filter(({ error }) => error === 'GW_UPSTREAM_BUSY');
  assert.ok(busy.length > 0 && busy.every(({ sent }) => sent === false), `${busy.length} were refused`);
  assert.ok(outcomes.every(({ error }) => error === 'GW_UPSTREAM_BUSY' || error === 'GW_UPSTREAM_TIMEOUT'));
});

test('stopping closes with a close frame', async (t) => {
  const codes: number[] = [];
  const { url } = await scripted(t, (socket) => {
    socket.on('close', (code) => codes.push(code));
    serve(socket, () => {});
  });
  const pool = startPool(t, [serverOf([webSocketOf(url)])]);
  await eventually('ready', () => state(pool).state === 'ready');
  await pool.pool.close(0);
  await eventually('closed', () => codes.length === 1);
  assert.deepEqual(codes, [1_000]);
});
