import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { eventually, type TestScope } from '../../support/process.js';
import { countingUrl, everythingSse } from '../../support/upstreams.js';
import { startUrlServer } from '../channel-servers.js';
import { namesOf, type PoolFixture, serverOf, sseOf, startPool } from '../fixture.js';

const textOf = (response: { result: { content: { text: string }[] } }): string => response.result.content[0]!.text;
const state = (pool: PoolFixture) => pool.server().endpoints[0]!;

/** A server of the test's own making. */
async function scripted(scope: TestScope, answer: (request: IncomingMessage, response: ServerResponse) => void) {
  const http = createServer(answer);
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
  scope.after(() => {
    http.closeAllConnections();
    http.close();
  });
  return `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
}

/** A server that knows the session of its newest stream, until it forgets it, and answers calls with its number. */
async function sessions(scope: TestScope, refuse: (response: ServerResponse) => void) {
  let session = 0;
  let isKnown = true;
  let isClosed = false;
  let stream: ServerResponse | undefined;
  const url = await scripted(scope, async (request, response) => {
    if (request.method === 'GET') {
      if (isClosed) return;
      session += 1;
      isKnown = true;
      stream = response;
      response.writeHead(200, { 'content-type': 'text/event-stream' }).write('event: endpoint\ndata: /messages\n\n');
      return;
    }
    let body = '';
    for await (const chunk of request) body += chunk;
    if (!isKnown) return refuse(response);
    response.writeHead(202).end();
    const { id, method, params } = JSON.parse(body);
    const results: Record<string, object> = {
      initialize: { protocolVersion: '2024-11-05', capabilities: { tools: {} } },
      'tools/list': { tools: [] },
    };
    const result = results[method] ?? { content: [{ type: 'text', text: `${params?.name} ${session}` }] };
    if (id !== undefined) stream?.write(`data: ${JSON.stringify({ jsonrpc: '2.0', id, result })}\n\n`);
  });
  return {
    url,
    forget: () => {
      isKnown = false;
    },
    /** Further streams are not answered. */
    close: () => {
      isClosed = true;
    },
  };
}

test("SDK v1's server over HTTP with SSE is initialized, discovered and called", async (t) => {
  const server = await countingUrl(t, 'legacy', 'sse');
  const pool = startPool(t, [serverOf([sseOf(server.url)])]);
  const discovery = await pool.ready();
  assert.deepEqual([discovery.era, discovery.revision], [0, 3]);
  assert.deepEqual(namesOf(discovery.prompts), ['greet']);
  assert.deepEqual(namesOf(discovery.templates), ['city']);
  const { response, reports } = await pool.call('echo', { text: 'grüße' }).done;
  assert.deepEqual([textOf(response), reports], ['grüße', 1]);
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

test("SDK v1's server over HTTP with SSE is used again after it was killed", async (t) => {
  const server = await countingUrl(t, 'legacy', 'sse');
  const pool = startPool(t, [serverOf([sseOf(server.url)])]);
  await pool.ready();
  const waiting = pool.call('hang');
  await eventually('the call arrived', () => server.calls('hang').length === 1);
  server.process.child.kill('SIGKILL');
  const { error, sent } = await waiting.done;
  assert.deepEqual([error, sent], ['GW_UPSTREAM_CLOSED', true]);
  await eventually('no connection', () => state(pool).reason.includes('ECONNREFUSED'));
  const down = await pool.call('echo', { text: 'nobody' }).done;
  assert.deepEqual([down.error, down.sent], ['GW_UPSTREAM_DOWN', false]);
  await server.restart();
  await eventually('ready again', () => state(pool).state === 'ready');
  assert.equal(textOf((await pool.call('echo', { text: 'back' }).done).response), 'back');
});

test('the reference server works over HTTP with SSE', async (t) => {
  const { url } = await everythingSse(t);
  const pool = startPool(t, [serverOf([sseOf(url)])]);
  assert.ok(namesOf((await pool.ready()).tools).includes('echo'));
  assert.match(textOf((await pool.call('echo', { message: 'hello' }).done).response), /hello/);
});

test('a call does not overtake the end of the handshake', async (t) => {
  const heard: string[] = [];
  let stream: ServerResponse | undefined;
  const url = await scripted(t, async (request, response) => {
    if (request.method === 'GET') {
      stream = response;
      response.writeHead(200, { 'content-type': 'text/event-stream' }).write('event: endpoint\ndata: /messages\n\n');
      return;
    }
    let body = '';
    for await (const chunk of request) body += chunk;
    const { id, method } = JSON.parse(body);
    // The server takes its time with what it is only told.
    if (method === 'notifications/initialized') await new Promise((resolve) => setTimeout(resolve, 300));
    heard.push(method);
    response.writeHead(202).end();
    const serverInfo = { name: 'slow to begin', version: '1' };
    const results: Record<string, object> = {
      initialize: { protocolVersion: '2024-11-05', capabilities: { tools: {} }, serverInfo },
      'tools/list': { tools: [] },
    };
    const result = results[method] ?? { content: [] };
    if (id !== undefined) stream?.write(`data: ${JSON.stringify({ jsonrpc: '2.0', id, result })}\n\n`);
  });
  const pool = startPool(t, [serverOf([sseOf(url)])]);
  await eventually('ready', () => state(pool).state === 'ready');
  await pool.call('any').done;
  await eventually('everything was heard', () => heard.includes('notifications/initialized'));
  const handshake = heard.filter((method) => method !== 'tools/list');
  assert.deepEqual(handshake, ['initialize', 'notifications/initialized', 'tools/call']);
});

test('an endpoint at another origin is refused, and nothing is sent there', async (t) => {
  let visits = 0;
  const other = await scripted(t, (_request, response) => {
    visits += 1;
    response.end();
  });
  for (const endpoint of [
    `${other}/messages`,
    `//${other.slice(7)}/messages`,
    'https://127.0.0.1/messages',
    'file:///etc/passwd',
  ]) {
    const server = await startUrlServer(t, 'sse', 'plain', { ENDPOINT: endpoint });
    const pool = startPool(t, [serverOf([sseOf(server.url)])]);
    await eventually(endpoint, () => state(pool).reason === 'named an endpoint of another origin');
    await pool.pool.close(0);
  }
  assert.equal(visits, 0);
});

test('an endpoint that is no URI, or never comes, is refused', async (t) => {
  const odd = await startUrlServer(t, 'sse', 'plain', { ENDPOINT: 'http://[' });
  const first = startPool(t, [serverOf([sseOf(odd.url)])]);
  await eventually('refused', () => state(first).reason === 'named an endpoint that is no URI');
  const silent = await scripted(t, (_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' }).write(': nothing yet\n\n');
  });
  const second = startPool(t, [serverOf([sseOf(silent)], { connectTimeoutMs: 200 })]);
  await eventually('refused', () => state(second).reason === 'named no endpoint in time');
});

test('a response that is no event stream leads to another attempt', async (t) => {
  let requests = 0;
  const url = await scripted(t, (request, response) => {
    requests += 1;
    if (request.url === '/html') response.writeHead(200, { 'content-type': 'text/html' }).end('<html>');
    else if (request.url === '/elsewhere') response.writeHead(302, { location: '/html' }).end();
    else response.writeHead(401, { 'www-authenticate': 'Bearer realm="secret"' }).end();
  });
  for (const [path, reason] of [
    ['/html', 'answered with no event stream: <html>; if it is a server of Streamable HTTP, set type: http'],
    ['/elsewhere', 'answered with no event stream: <html>; if it is a server of Streamable HTTP, set type: http'],
    ['/', 'answered 401'],
  ] as const) {
    requests = 0;
    const pool = startPool(t, [serverOf([sseOf(url + path)])]);
    await eventually(reason, () => state(pool).reason === reason && requests >= 2);
    await pool.pool.close(0);
  }
});

test('configured headers and credentials go with the stream and with each message', async (t) => {
  const seen: IncomingMessage['headers'][] = [];
  const url = await scripted(t, (request, response) => {
    seen.push(request.headers);
    if (request.method === 'GET') {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).write('event: endpoint\ndata: /m?x=1#frag\n\n');
    } else {
      response.writeHead(202).end();
    }
  });
  startPool(t, [serverOf([sseOf(url.replace('//', '//user:p%40ss@'), { 'x-key': 'k', 'Content-Type': 'text/odd' })])]);
  await eventually('both', () => seen.length >= 2);
  const basic = `Basic ${Buffer.from('user:p@ss').toString('base64')}`;
  assert.deepEqual(
    seen.slice(0, 2).map((headers) => [headers['x-key'], headers.authorization, headers['content-type']]),
    [
      ['k', basic, undefined],
      ['k', basic, 'application/json'],
    ],
  );
});

test('a message that the server refuses fails its call and no other', async (t) => {
  const server = await startUrlServer(t, 'sse');
  const pool = startPool(t, [serverOf([sseOf(server.url)])]);
  await pool.ready();
  const other = pool.call('call', { do: 'wait', ms: 200 });
  for (const [status, error] of [
    [400, 'GW_UPSTREAM_PROTOCOL'],
    [401, 'GW_UPSTREAM_REFUSED'],
    [429, 'GW_UPSTREAM_BUSY'],
    [500, 'GW_UPSTREAM_PROTOCOL'],
    [502, 'GW_UPSTREAM_UNAVAILABLE'],
    [503, 'GW_UPSTREAM_UNAVAILABLE'],
  ] as const) {
    const outcome = await pool.call('call', { refuse: status }).done;
    assert.deepEqual([outcome.error, outcome.sent, outcome.reports], [error, true, 1]);
  }
  assert.equal(textOf((await other.done).response), '200');
  assert.equal(state(pool).stats.restarts, 0);
});

test('a session that the server does not know any more is opened again, and the call is repeated once', async (t) => {
  for (const [status, words] of [
    [404, 'Could not find session'],
    [404, ''],
    [410, 'Gone'],
    [400, 'No transport found for sessionId'],
    [401, '{"jsonrpc":"2.0","id":null,"error":{"code":-32001,"message":"Session not found"}}'],
    [422, 'unknown session'],
  ] as const) {
    const server = await sessions(t, (response) => response.writeHead(status).end(words));
    const pool = startPool(t, [serverOf([sseOf(server.url)])]);
    await pool.ready();
    server.forget();
    const [first, second] = await Promise.all([pool.call('a').done, pool.call('b').done]);
    assert.deepEqual([first.error, textOf(first.response), first.reports], [null, 'a 2', 1], words);
    // It may have been executed, unless it was refused too.
    assert.ok(second.error === null || second.error === 'GW_UPSTREAM_CLOSED' || second.error === 'GW_UPSTREAM_DOWN');
    assert.equal(state(pool).stats.restarts, 1);
    await pool.pool.close(0);
  }
});

test('a call that is refused in every session says nothing about the session', async (t) => {
  const server = await startUrlServer(t, 'sse');
  const pool = startPool(t, [serverOf([sseOf(server.url)])]);
  await pool.ready();
  const refused = await pool.call('call', { refuse: 404 }).done;
  assert.deepEqual([refused.error, refused.sent, refused.reports], ['GW_UPSTREAM_PROTOCOL', true, 1]);
  assert.deepEqual([state(pool).stats.restarts, state(pool).state], [1, 'ready']);
  assert.equal(textOf((await pool.call('call', { a: 1 }).done).response), '{"a":1}');
});

test('a call that waits for another session can be cancelled, and ends with the endpoint', async (t) => {
  const server = await sessions(t, (response) => response.writeHead(404).end());
  const pool = startPool(t, [serverOf([sseOf(server.url)])]);
  await pool.ready();
  server.forget();
  server.close();
  const [cancelled, ended] = [pool.call('a'), pool.call('b')];
  await eventually('the session is lost', () => state(pool).stats.restarts === 1);
  state(pool).cancel(cancelled.exchange);
  assert.equal(pool.pool.inFlight, ended.reports === 0 ? 1 : 0);
  await pool.pool.close(0);
  const { error, reports } = await ended.done;
  assert.ok(error === 'GW_UPSTREAM_DOWN' || error === 'GW_UPSTREAM_CLOSED', String(error));
  assert.deepEqual([reports, cancelled.reports, pool.pool.inFlight], [1, 0, 0]);
});

test('messages of the gateway arrive in their order, calls begin in theirs', async (t) => {
  const arrived: string[] = [];
  let stream: ServerResponse | null = null;
  const url = await scripted(t, (request, response) => {
    if (request.method === 'GET') {
      stream = response.writeHead(200, { 'content-type': 'text/event-stream' });
      stream.write('event: endpoint\ndata: /m\n\n');
      return;
    }
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const message = JSON.parse(Buffer.concat(chunks).toString());
      arrived.push(message.method === 'tools/call' ? `call ${message.params.arguments.index}` : message.method);
      const result =
        message.method === 'initialize'
          ? { protocolVersion: '2024-11-05', capabilities: { tools: {} }, serverInfo: { name: 's', version: '1' } }
          : { tools: [], content: [] };
      // The answer overtakes the one to the POST, which is slow.
      if (message.id !== undefined)
        stream!.write(`data: ${JSON.stringify({ jsonrpc: '2.0', id: message.id, result })}\n\n`);
      setTimeout(() => response.writeHead(202).end(), 30);
    });
  });
  const pool = startPool(t, [serverOf([sseOf(url)], { maxConnections: 1, maxQueue: 100 })]);
  await pool.ready();
  assert.deepEqual(arrived.splice(0, 3), ['initialize', 'notifications/initialized', 'tools/list']);
  await Promise.all(Array.from({ length: 10 }, (_, index) => pool.call('x', { index }).done));
  assert.deepEqual(
    arrived.filter((what) => what.startsWith('call')),
    Array.from({ length: 10 }, (_, index) => `call ${index}`),
  );
});

test('a server that takes no messages fills the queue, not the memory', async (t) => {
  let posts = 0;
  let stream: ServerResponse | null = null;
  const url = await scripted(t, (request, response) => {
    if (request.method === 'GET') {
      stream = response.writeHead(200, { 'content-type': 'text/event-stream' });
      stream.write('event: endpoint\ndata: /m\n\n');
      return;
    }
    posts += 1;
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const message = JSON.parse(Buffer.concat(chunks).toString());
      if (message.method === 'tools/call') return;
      const result = { protocolVersion: '2024-11-05', capabilities: {}, serverInfo: { name: 's', version: '1' } };
      if (message.id !== undefined)
        stream!.write(`data: ${JSON.stringify({ jsonrpc: '2.0', id: message.id, result })}\n\n`);
      response.writeHead(202).end();
    });
  });
  const pool = startPool(t, [serverOf([sseOf(url)], { maxConnections: 4 })], { maxPipeBytes: 300_000 });
  await eventually('ready', () => state(pool).state === 'ready');
  await eventually('the handshake is over', () => posts >= 2);
  const padding = 'x'.repeat(100_000);
  const calls = Array.from({ length: 4 }, () => pool.call('x', { padding }, { deadlineMs: 300 }));
  const outcomes = await Promise.all(calls.map(({ done }) => done));
  assert.deepEqual(
    outcomes.map(({ error }) => error),
    ['GW_UPSTREAM_TIMEOUT', 'GW_UPSTREAM_TIMEOUT', 'GW_UPSTREAM_BUSY', 'GW_UPSTREAM_BUSY'],
  );
  await eventually('their POSTs are broken off', () => pool.table.budget.counts.bytes < 1_000);
});

test('POSTs without a response do not occupy places for ever', async (t) => {
  let stream: ServerResponse | null = null;
  const url = await scripted(t, (request, response) => {
    if (request.method === 'GET') {
      stream = response.writeHead(200, { 'content-type': 'text/event-stream' });
      stream.write('event: endpoint\ndata: /m\n\n');
      return;
    }
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const message = JSON.parse(Buffer.concat(chunks).toString());
      const initialized = { protocolVersion: '2024-11-05', capabilities: {}, serverInfo: { name: 's', version: '1' } };
      const result = message.method === 'initialize' ? initialized : { content: [] };
      if (message.id !== undefined)
        stream!.write(`data: ${JSON.stringify({ jsonrpc: '2.0', id: message.id, result })}\n\n`);
    });
  });
  const rules = { maxConnections: 1, connectTimeoutMs: 1_000, requestTimeoutMs: 1_000 };
  const pool = startPool(t, [serverOf([sseOf(url)], rules)]);
  await eventually('ready', () => state(pool).state === 'ready');
  const first = await pool.call('x', {}).done;
  const second = await pool.call('x', {}).done;
  assert.deepEqual([first.error, second.error, state(pool).stats.restarts], [null, null, 0]);
});
