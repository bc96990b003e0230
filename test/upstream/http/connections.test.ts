import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer as createTcpServer, type Socket } from 'node:net';
import { test } from 'node:test';
import { eventually, freePort } from '../../support/process.js';
import { rawUpstream, type Script } from '../../support/raw-upstream.js';
import { countingHttp } from '../../support/upstreams.js';
import { httpOf, namesOf, serverOf, startPool } from '../fixture.js';
import { respond, startRaw } from '../raw-pool.js';

for (const family of ['legacy', 'modern'] as const) {
  test(`${family}: changed lists of a real server are read again`, async (t) => {
    const { url } = await countingHttp(t, family);
    const pool = startPool(t, [serverOf([httpOf(url)])]);
    await pool.ready();
    // The stream for changes opens beside the first list.
    await new Promise((resolve) => setTimeout(resolve, 200));
    await pool.call('add_tool', { name: 'late' }).done;
    await eventually('the new tool', () => pool.discoveries.some(({ tools }) => namesOf(tools).includes('late')));
  });
}

test('a refused connection is unreachable, nothing was sent, and the circuit opens', async (t) => {
  const upstream = await rawUpstream(t, (request, answer) => answer.json(respond(request, {})), { family: 'modern' });
  const pool = startPool(t, [serverOf([httpOf(upstream.url)])]);
  await pool.ready();
  await upstream.close();
  for (let round = 0; round < 5; round += 1) {
    const { error, sent } = await pool.call('call').done;
    assert.deepEqual([error, sent], ['GW_UPSTREAM_UNREACHABLE', false]);
  }
  assert.equal((await pool.call('call').done).error, 'GW_CIRCUIT_OPEN');
  const again = await rawUpstream(t, (request, answer) => answer.json(respond(request, {})), {
    family: 'modern',
    port: upstream.port,
  });
  await eventually('closed again', async () => (await pool.call('call').done).error === null);
  assert.equal(pool.server().endpoints[0]!.breaker.state, 'closed');
  await again.close();
});

test('calls go to the next endpoint when one cannot be reached', async (t) => {
  const script: Script = (request, answer) => answer.json(respond(request, { port: answer.socket.localPort }));
  const first = await rawUpstream(t, script, { family: 'modern' });
  const second = await rawUpstream(t, script, { family: 'modern' });
  const pool = startPool(t, [serverOf([httpOf(first.url), httpOf(second.url)])]);
  await pool.ready();
  const ports = new Set<number>();
  for (let round = 0; round < 4; round += 1) ports.add((await pool.call('call').done).response.result.port);
  assert.deepEqual(ports, new Set([first.port, second.port]));
  await first.close();
  // Until the end of the kept connection has been seen, a call may still go out on it.
  await new Promise((resolve) => setTimeout(resolve, 50));
  let unreachable = 0;
  for (let round = 0; round < 20; round += 1) {
    const { error, response } = await pool.call('call').done;
    if (error === 'GW_UPSTREAM_UNREACHABLE') unreachable += 1;
    else assert.deepEqual([error, response?.result.port], [null, second.port]);
  }
  assert.equal(unreachable, 5, 'the breaker of the first opens after five, the second is never paused');
});

test('an upstream that is down at the start is used once it is up', async (t) => {
  const port = await freePort();
  const pool = startPool(t, [serverOf([httpOf(`http://127.0.0.1:${port}/mcp`)])]);
  await eventually('backoff', () => pool.server().endpoints[0]!.state === 'backoff');
  assert.match(pool.server().endpoints[0]!.reason, /cannot be reached \(ECONNREFUSED\)/);
  await rawUpstream(t, () => {}, { family: 'legacy', port });
  assert.ok(await pool.ready());
});

test('an upstream that never answers the handshake is given up after the connect timeout', async (t) => {
  const sockets = new Set<Socket>();
  const server = createTcpServer((socket) => sockets.add(socket.on('error', () => {})));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  const { port } = server.address() as { port: number };
  const pool = startPool(t, [serverOf([httpOf(`http://127.0.0.1:${port}/mcp`)], { connectTimeoutMs: 200 })]);
  await eventually('backoff', () => pool.server().endpoints[0]!.state === 'backoff');
  assert.equal(pool.server().endpoints[0]!.reason, 'the upstream did not answer in time');
});

test('401 to the handshake is a reason, not an era', async (t) => {
  const server = createTcpServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', () =>
      socket.end('HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\nconnection: close\r\n\r\n'),
    );
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const { port } = server.address() as { port: number };
  const pool = startPool(t, [serverOf([httpOf(`http://127.0.0.1:${port}/mcp`)])]);
  await eventually('backoff', () => pool.server().endpoints[0]!.state === 'backoff');
  assert.equal(pool.server().endpoints[0]!.reason, 'the upstream answered 401');
});

test('bytes on an idle connection never answer the next call', async (t) => {
  const sockets: Socket[] = [];
  const { pool, upstream } = await startRaw(t, 'modern', (request, answer) => {
    sockets.push(answer.socket);
    answer.json(respond(request, { genuine: true }));
  });
  const before = upstream.connections;
  assert.deepEqual((await pool.call('call').done).response.result, { genuine: true });
  const forged = Array.from({ length: 20 }, (_, n) => {
    const body = JSON.stringify({ jsonrpc: '2.0', id: 65_536 * n, result: { forged: true } });
    return `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
  }).join('');
  await new Promise((resolve) => sockets[0]!.write(forged, resolve));
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.deepEqual((await pool.call('call').done).response.result, { genuine: true });
  assert.equal(upstream.connections - before, 2, 'the first connection was not used again');
});

test('a slow client stops the reading, and no event is lost', async (t) => {
  const { pool } = await startRaw(t, 'modern', (request, answer) => {
    const stream = answer.sse();
    for (let n = 0; n < 50; n += 1) {
      const params = { progressToken: request.message.id, progress: n };
      stream.event({ jsonrpc: '2.0', method: 'notifications/progress', params });
    }
    stream.raw(`data: ${respond(request, { ok: true })}\n\n`);
    stream.end();
  });
  const endpoint = pool.server().endpoints[0]!;
  let paused = 0;
  const { notifications, response } = await pool.call(
    'call',
    {},
    {
      onNotification: (exchange) => {
        paused += 1;
        endpoint.pause(exchange);
        setTimeout(() => endpoint.resume(exchange), 5);
      },
    },
  ).done;
  assert.equal(paused, 50);
  assert.deepEqual(response.result, { ok: true });
  assert.deepEqual(
    notifications.map(({ params }) => params.progress),
    Array.from({ length: 50 }, (_, n) => n),
  );
});

test('a stream that goes on after its response does not keep its connection', async (t) => {
  const { pool } = await startRaw(
    t,
    'modern',
    (request, answer) => answer.sse().raw(`data: ${respond(request, { ok: true })}\n\n`),
    { maxConnections: 1 },
  );
  assert.equal((await pool.call('call').done).error, null);
  assert.equal((await pool.call('call').done).error, null);
});

test('configured headers are sent, those of the transport cannot be overridden', async (t) => {
  const upstream = await rawUpstream(t, (request, answer) => answer.json(respond(request, {})), { family: 'modern' });
  const headers = { Authorization: 'Bearer ours', 'X-Team': 'a', 'Mcp-Session-Id': 'forged', Host: 'evil' };
  const pool = startPool(t, [serverOf([httpOf(upstream.url, headers)])]);
  await pool.ready();
  await pool.call('call').done;
  for (const request of upstream.requests) {
    assert.equal(request.headers.authorization, 'Bearer ours');
    assert.equal(request.headers['x-team'], 'a');
    assert.equal(request.headers['mcp-session-id'], undefined);
    assert.equal(request.headers.host, `127.0.0.1:${upstream.port}`);
  }
});

test('a call cancelled before there is a connection is never sent', async (t) => {
  const { pool, upstream } = await startRaw(t, 'modern', (request, answer) => answer.json(respond(request, {})), {
    maxConnections: 1,
  });
  const endpoint = pool.server().endpoints[0]!;
  const cancelled = pool.call('call');
  endpoint.cancel(cancelled.exchange);
  assert.equal(cancelled.exchange.call.sent, false);
  pool.table.release(cancelled.exchange);
  assert.equal((await pool.call('call').done).error, null);
  assert.equal(upstream.received('tools/call').length, 1);
  assert.equal(cancelled.reports, 0);
});

test('a header that cannot be written fails the call, not the gateway', async (t) => {
  const { pool } = await startRaw(t, 'modern', (request, answer) => answer.json(respond(request, {})));
  const { error, sent } = await pool.call('call', {}, { nameHeader: 'a\nx: y' }).done;
  assert.deepEqual([error, sent], ['GW_INTERNAL', false]);
  assert.equal((await pool.call('call').done).error, null);
});

test('an upstream that closes each connection is no failure', async (t) => {
  const { pool } = await startRaw(t, 'legacy', (request, answer) =>
    answer.json(respond(request, {}), { connection: 'close' }),
  );
  for (let round = 0; round < 5; round += 1) assert.equal((await pool.call('call').done).error, null);
});

test('legacy: a session is ended when the pool is', async (t) => {
  const { pool, upstream } = await startRaw(t, 'legacy', () => {});
  await pool.pool.close(0);
  const ended = upstream.requests.filter(({ method }) => method === 'DELETE');
  assert.deepEqual(
    ended.map(({ headers }) => headers['mcp-session-id']),
    ['raw-session'],
  );
});

test('closing fails the calls that are left and forgets nothing', async (t) => {
  const { pool } = await startRaw(t, 'legacy', () => {});
  const left = pool.call('call');
  await eventually('sent', () => left.exchange.call.sent);
  await pool.pool.close(50);
  assert.equal((await left.done).error, 'GW_UPSTREAM_CLOSED');
  assert.equal(pool.pool.inFlight, 0);
  assert.deepEqual(
    pool.server().endpoints.map(({ state }) => state),
    ['stopped'],
  );
});
