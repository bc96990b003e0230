import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type RequestListener, request as requestOf } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import type { EndpointSnapshot, UrlEndpointSnapshot } from '../../../../src/config/snapshot/index.js';
import { Exchange } from '../../../../src/request/exchange/index.js';
import { ControlError } from '../../../../src/upstream/core/control.js';
import { detectionBackOff, suggestsSse } from '../../../../src/upstream/core/http/detection.js';
import { eventually, freePort, startProcess, type TestScope } from '../../../support/process.js';
import { countingUrl, everythingSse } from '../../../support/upstreams.js';
import { startUrlServer } from '../../channel-servers.js';
import { httpOf, namesOf, type PoolFixture, serverOf, sseOf, startPool } from '../../fixture.js';

const guessed = (url: string): EndpointSnapshot => ({ transport: 'http', detect: true, url, headers: {}, weight: 1 });
const state = (pool: PoolFixture) => pool.server().endpoints[0]!;
const textOf = (response: { result: { content: { text: string }[] } }): string => response.result.content[0]!.text;

async function listen(scope: TestScope, answer: RequestListener): Promise<string> {
  const http = createServer(answer);
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
  scope.after(() => {
    http.closeAllConnections();
    http.close();
  });
  return `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
}

test('only what an older server answers to a POST suggests the older transport', () => {
  const answers: [ControlError, boolean][] = [
    [new ControlError('http', '', 400), true],
    [new ControlError('http', '', 404), true],
    [new ControlError('http', '', 405), true],
    [new ControlError('http', '', 500), false],
    [new ControlError('http', '', 406), false],
    [new ControlError('refused', '', 401), false],
    [new ControlError('rpc', '', -32_000), true],
    [new ControlError('rpc', '', -32_601), true],
    [new ControlError('rpc', '', -32_020), false],
    [new ControlError('rpc', '', -32_021), false],
    [new ControlError('rpc', '', -32_022), false],
    [new ControlError('unreachable', ''), false],
    [new ControlError('timeout', ''), false],
    [new ControlError('invalid', ''), false],
    [new ControlError('rpc', '', -32_602, { supported: ['2031-01-01'] }), false],
    [new ControlError('http', '', 400, undefined, 'Unsupported protocol version, supported: 2031-01-01'), false],
  ];
  for (const [error, verdict] of answers) assert.equal(suggestsSse(error), verdict, `${error.kind} ${error.number}`);
  assert.equal(suggestsSse(new Error('other')), false);
});

for (const family of ['legacy', 'modern'] as const) {
  test(`a ${family} Streamable HTTP server is found at the first attempt`, async (t) => {
    const { url } = await countingUrl(t, family, 'http');
    const pool = startPool(t, [serverOf([guessed(url)])]);
    await pool.ready();
    assert.equal(state(pool).transport, 'http');
    assert.deepEqual(
      pool.states.map((each) => each.state),
      ['ready'],
    );
  });
}

test("a server over HTTP with SSE is found: SDK v1's, the reference server, and any other", async (t) => {
  const ours = await countingUrl(t, 'legacy', 'sse');
  const reference = await everythingSse(t);
  const scripted = await startUrlServer(t, 'sse');
  for (const { url } of [ours, reference, scripted]) {
    const pool = startPool(t, [serverOf([guessed(url)])]);
    const { tools } = await pool.ready();
    assert.ok(namesOf(tools).length > 0);
    assert.equal(state(pool).transport, 'sse');
    await pool.pool.close(0);
  }
});

test('the detected transport is kept while it works, also over a restart of the server', async (t) => {
  let posts = 0;
  const sse = await startUrlServer(t, 'sse');
  const target = new URL(sse.url);
  // In front of it, so that what arrives can be counted.
  const url = await listen(t, (request, response) => {
    if (request.method === 'POST' && request.url === '/sse') posts += 1;
    const options = { host: target.hostname, port: target.port, path: request.url, method: request.method };
    const onward = requestOf(options, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response).on('error', () => {});
      answer.on('close', () => response.destroy());
    });
    onward.on('error', () => response.destroy());
    request.pipe(onward);
  });
  const pool = startPool(t, [serverOf([guessed(`${url}/sse`)])]);
  await pool.ready();
  const before = posts;
  await sse.restart();
  await eventually('ready again', () => state(pool).stats.restarts > 0 && state(pool).state === 'ready');
  assert.equal(textOf((await pool.call('call', { a: 1 }).done).response), '{"a":1}');
  assert.equal(posts, before);
});

test('an upstream that changes its transport is detected again, both ways', async (t) => {
  const port = await freePort();
  const server = new URL('../../../support/legacy-server.js', import.meta.url).pathname;
  const run = async (transport: string) => {
    const running = startProcess(t, process.execPath, [server, transport], { env: { PORT: String(port) } });
    await running.waitForLine(/^listening on/);
    return running;
  };
  // The same path for both: the server of one answers 404 to the other.
  const first = await run('http');
  const pool = startPool(t, [serverOf([guessed(`http://127.0.0.1:${port}/sse`)])]);
  await pool.ready();
  assert.equal(state(pool).transport, 'http');
  await first.stop('SIGKILL');
  const second = await run('sse');
  await pool.call('echo', { text: 'who is there?' }).done;
  await eventually('sse', () => state(pool).transport === 'sse' && state(pool).state === 'ready');
  assert.equal(textOf((await pool.call('echo', { text: 'old' }).done).response), 'old');
  await second.stop('SIGKILL');
  await run('http');
  await eventually('http', () => state(pool).transport === 'http' && state(pool).state === 'ready');
  assert.equal(textOf((await pool.call('echo', { text: 'new' }).done).response), 'new');
});

test('a server with neither transport is tried with growing pauses', async (t) => {
  let gets = 0;
  const url = await listen(t, (request, response) => {
    if (request.method === 'GET') gets += 1;
    response.writeHead(404).end('nothing here');
  });
  const pool = startPool(t, [serverOf([guessed(url)])]);
  await eventually('four rounds', () => gets === 4);
  // The pauses are those of the configuration, so they grow over changes of the transport.
  const [config] = pool.server().config.endpoints;
  assert.ok(detectionBackOff(config as UrlEndpointSnapshot).next() > 200);
  const answer = 'the upstream answered 404: nothing here';
  const reason = `neither Streamable HTTP (${answer}) nor HTTP with SSE (${answer}); the URL has no path: try /mcp, or /sse with type: sse`;
  assert.ok(pool.states.some((each) => each.state === 'backoff' && each.reason === reason));
  assert.equal(pool.server().unavailable(new Exchange(0)), 'GW_UPSTREAM_NOT_CONNECTED');
});

test('an address of the other transport, or without a path, gets the sentence that helps', async (t) => {
  const url = await listen(t, (_request, response) => {
    response.writeHead(405).end('nothing here');
  });
  const rows: [path: string, transport: 'http' | 'sse', advice: string | null][] = [
    ['/sse', 'http', 'the URL is that of HTTP with SSE: set type: sse'],
    ['/v1/sse?key=1', 'http', 'the URL is that of HTTP with SSE: set type: sse'],
    ['/events', 'http', 'if it is a server of HTTP with SSE, set type: sse'],
    ['/mcp', 'sse', 'if it is a server of Streamable HTTP, set type: http'],
    ['', 'http', 'the URL has no path: try /mcp, or /sse with type: sse'],
    ['/', 'sse', 'the URL has no path: try /mcp, or /sse with type: sse'],
  ];
  for (const [path, transport, advice] of rows) {
    const endpoint = transport === 'http' ? httpOf(`${url}${path}`) : sseOf(`${url}${path}`);
    const pool = startPool(t, [serverOf([endpoint])]);
    const { reason } = await eventually(`${transport} ${path}`, () =>
      pool.states.find(({ state }) => state === 'backoff'),
    );
    assert.match(reason, /answered 405: nothing here; /);
    assert.ok(reason.endsWith(`; ${advice}`), reason);
  }
});

test('a refused credential or an address that cannot be reached says nothing about the transport', async (t) => {
  const url = await listen(t, (_request, response) => {
    response.writeHead(401).end();
  });
  for (const address of [`${url}/sse`, 'http://127.0.0.1:1/sse', 'http://127.0.0.1:1/']) {
    const pool = startPool(t, [serverOf([httpOf(address)])]);
    const { reason } = await eventually(address, () => pool.states.find(({ state }) => state === 'backoff'));
    assert.ok(!reason.includes('set type') && !reason.includes('no path'), reason);
  }
});
