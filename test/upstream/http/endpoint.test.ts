import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Exchange } from '../../../src/request/exchange/index.js';
import { packedCount } from '../../../src/shared/packed.js';
import { eventually } from '../../support/process.js';
import {
  RAW_TOOLS,
  type RawUpstream,
  type ReceivedRequest,
  rawUpstream,
  type Script,
} from '../../support/raw-upstream.js';
import { countingHttp } from '../../support/upstreams.js';
import { httpOf, serverOf, startPool } from '../fixture.js';
import { refuse, respond, startRaw } from '../raw-pool.js';

for (const family of ['legacy', 'modern'] as const) {
  test(`${family}: JSON answers keep their bytes, whole or in pieces`, async (t) => {
    const { pool } = await startRaw(t, family, async (request, answer) => {
      const body = `{ "result": {"n":1.0e2,"big":9007199254740993} ,"id":${request.message.id},"jsonrpc":"2.0"}`;
      if (request.message.params.arguments.split) {
        answer.response.writeHead(200, { 'content-type': 'Application/JSON; charset=utf-8' });
        answer.response.write(body.slice(0, 20));
        await new Promise((resolve) => setTimeout(resolve, 20));
        answer.response.end(body.slice(20));
      } else answer.json(body);
    });
    for (const split of [false, true]) {
      const { raw, exchange, reports } = await pool.call('call', { split }).done;
      const id = exchange.call.upstreamId;
      assert.equal(raw?.toString(), `{ "result": {"n":1.0e2,"big":9007199254740993} ,"id":${id},"jsonrpc":"2.0"}`);
      assert.equal(reports, 1);
    }
  });

  test(`${family}: events before the response reach the call, and the connection is kept`, async (t) => {
    const { upstream, pool } = await startRaw(t, family, (request, answer) => {
      const stream = answer.sse();
      stream.raw(': hello\n\nid: 1\ndata:\n\n');
      const progress = { progressToken: request.message.id, progress: 1 };
      stream.event({ jsonrpc: '2.0', method: 'notifications/progress', params: progress });
      const foreign = { progressToken: request.message.id + 1, progress: 1 };
      stream.event({ jsonrpc: '2.0', method: 'notifications/progress', params: foreign });
      stream.event({ jsonrpc: '2.0', method: 'notifications/message', params: { level: 'info', data: 'x' } });
      stream.raw(`data: ${respond(request, { ok: true })}\n\n`);
      stream.end();
    });
    const before = upstream.connections;
    for (let round = 0; round < 3; round += 1) {
      const { response, notifications } = await pool.call('call').done;
      assert.deepEqual(response.result, { ok: true });
      assert.deepEqual(
        notifications.map(({ method }) => method),
        ['notifications/progress', 'notifications/message'],
      );
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    assert.equal(upstream.connections - before, 1);
  });

  test(`${family}: what is no answer is refused, and nothing of it is passed on`, async (t) => {
    const { pool, upstream } = await startRaw(t, family, () => {});
    const scripts: Record<string, Script> = {
      'not JSON': (_request, answer) => answer.json('<html>secret</html>'),
      'HTML with 200': (_request, answer) => refuse(answer, 200, '<html>secret</html>', 'text/html'),
      'another id': (request, answer) =>
        answer.json(JSON.stringify({ jsonrpc: '2.0', id: request.message.id + 1, result: {} })),
      'a notification': (_request, answer) => answer.json('{"jsonrpc":"2.0","method":"x"}'),
      'two answers': (request, answer) => answer.json(respond(request, {}) + respond(request, {})),
      'an array without it': (_request, answer) => answer.json('[1, "x"]'),
      'an empty body': (_request, answer) => answer.json(''),
      '202': (_request, answer) => void answer.response.writeHead(202).end(),
      '500': (_request, answer) => refuse(answer, 500, '<html>secret</html>', 'text/html'),
      '400 without JSON-RPC': (_request, answer) => refuse(answer, 400, 'no', 'text/plain'),
      'a coding that it is not of': (request, answer) =>
        answer.json(respond(request, {}), { 'content-encoding': 'gzip' }),
      'an event with the id that is no response': (request, answer) =>
        answer.sse().raw(`data: {"jsonrpc":"2.0","id":${request.message.id},"result":{},"error":{}}\n\n`),
    };
    for (const [name, script] of Object.entries(scripts)) {
      upstream.script(script);
      const { error, sent, reports } = await pool.call('call').done;
      // A breaker that opens would hide the next row; a single endpoint stays in use for failures of this kind.
      assert.deepEqual([name, error, sent, reports], [name, 'GW_UPSTREAM_PROTOCOL', true, 1]);
    }
    upstream.script((_request, answer) => refuse(answer, 401, {}));
    assert.equal((await pool.call('call').done).error, 'GW_UPSTREAM_REFUSED');
    upstream.script((_request, answer) => refuse(answer, 403, {}));
    assert.equal((await pool.call('call').done).error, 'GW_UPSTREAM_REFUSED');
    upstream.script((_request, answer) => refuse(answer, 503, 'busy', 'text/plain'));
    assert.equal((await pool.call('call').done).error, 'GW_UPSTREAM_UNAVAILABLE');
    upstream.script((_request, answer) => refuse(answer, 429, 'busy', 'text/plain'));
    assert.equal((await pool.call('call').done).error, 'GW_UPSTREAM_BUSY');
  });

  test(`${family}: a stream that ends without the response is truncated`, async (t) => {
    const { pool, upstream } = await startRaw(t, family, () => {});
    const cuts: Record<string, (request: ReceivedRequest) => Buffer> = {
      'between events': () => Buffer.from(': nothing\n\n'),
      'before the blank line': (request) => Buffer.from(`data: ${respond(request, {})}\n`),
      'in the middle of a character': () =>
        Buffer.from('data: {"jsonrpc":"2.0","id":1,"result":{"text":"ü').subarray(0, -1),
    };
    for (const [name, bytes] of Object.entries(cuts)) {
      for (const end of ['end', 'destroy'] as const) {
        upstream.script((request, answer) => {
          answer.sse().raw(bytes(request));
          setTimeout(() => (end === 'end' ? answer.response.end() : answer.socket.destroy()), 10);
        });
        const { error, sent, notifications } = await pool.call('call').done;
        assert.deepEqual([name, end, error, sent], [name, end, 'GW_UPSTREAM_TRUNCATED', true]);
        assert.deepEqual(notifications, []);
      }
    }
  });

  test(`${family}: an event cut anywhere arrives whole`, async (t) => {
    const { pool } = await startRaw(t, family, async (request, answer) => {
      const stream = answer.sse();
      const bytes = Buffer.from(`event: message\r\ndata: ${respond(request, { text: 'grüße 🚀' })}\r\n\r\n`);
      for (const byte of bytes) {
        stream.raw(Buffer.from([byte]));
        await new Promise((resolve) => setImmediate(resolve));
      }
      stream.end();
    });
    assert.deepEqual((await pool.call('call').done).response.result, { text: 'grüße 🚀' });
  });

  test(`${family}: a second answer is dropped and counted`, async (t) => {
    const { pool } = await startRaw(t, family, (request, answer) => {
      const stream = answer.sse();
      stream.raw(`data: ${respond(request, { n: 1 })}\n\ndata: ${respond(request, { n: 2 })}\n\n`);
      stream.end();
    });
    const { response, reports } = await pool.call('call').done;
    assert.deepEqual([response.result, reports], [{ n: 1 }, 1]);
    assert.equal(pool.server().endpoints[0]!.stats.unknownIds, 1);
  });

  test(`${family}: a connection that breaks before the answer is closed, and the call was sent`, async (t) => {
    const { pool } = await startRaw(t, family, (_request, answer) => answer.reset());
    const { error, sent } = await pool.call('call').done;
    assert.deepEqual([error, sent], ['GW_UPSTREAM_CLOSED', true]);
  });

  test(`${family}: an answer over the limit is refused, JSON or event`, async (t) => {
    const { pool, upstream } = await startRaw(t, family, () => {}, {}, 10_000);
    const big = 'x'.repeat(200_000);
    upstream.script((request, answer) => answer.json(respond(request, { big })));
    assert.equal((await pool.call('call').done).error, 'GW_RESPONSE_TOO_LARGE');
    upstream.script((request, answer) => answer.sse().raw(`data: ${respond(request, { big })}\n\n`));
    assert.equal((await pool.call('call').done).error, 'GW_RESPONSE_TOO_LARGE');
  });

  test(`${family}: at the deadline the call fails and is stopped upstream`, async (t) => {
    const { pool, upstream } = await startRaw(t, family, () => {});
    const outcome = pool.call('call', {}, { deadlineMs: 100 });
    const id = outcome.exchange.call.upstreamId;
    const { error, sent } = await outcome.done;
    assert.deepEqual([error, sent], ['GW_UPSTREAM_TIMEOUT', true]);
    await eventually('the request is cut', () => upstream.aborted === 1);
    if (family === 'legacy') {
      const [note] = await eventually('cancelled', () => upstream.received('notifications/cancelled'));
      await eventually('cancelled', () => upstream.received('notifications/cancelled').length === 1);
      const received = note ?? upstream.received('notifications/cancelled')[0]!;
      assert.equal(received.message.params.requestId, id);
      assert.equal(received.headers['mcp-session-id'], 'raw-session');
    } else assert.equal(upstream.received('notifications/cancelled').length, 0);
  });

  test(`${family}: a cancelled call is not reported, and its connection serves the next`, async (t) => {
    const { pool, upstream } = await startRaw(t, family, () => {}, { maxConnections: 1 });
    const endpoint = pool.server().endpoints[0]!;
    const cancelled = pool.call('call');
    await eventually('arrived', () => upstream.received('tools/call').length === 1);
    endpoint.cancel(cancelled.exchange);
    pool.table.release(cancelled.exchange);
    upstream.script((request, answer) => answer.json(respond(request, { next: true })));
    assert.deepEqual((await pool.call('call').done).response.result, { next: true });
    assert.equal(cancelled.reports, 0);
    assert.equal(endpoint.inFlight, 0);
    await eventually('the request is cut', () => upstream.aborted === 1);
  });

  test(`${family}: 100 calls in flight, answered backwards, reach their callers`, async (t) => {
    const held: (() => void)[] = [];
    const { pool } = await startRaw(
      t,
      family,
      (request, answer) => {
        held.push(() => answer.json(respond(request, { back: request.message.params.arguments.n })));
        if (held.length === 100) for (const release of held.reverse()) release();
      },
      { maxConnections: 100 },
    );
    const calls = Array.from({ length: 100 }, (_, n) => pool.call('call', { n }));
    const outcomes = await Promise.all(calls.map((call) => call.done));
    assert.deepEqual(
      outcomes.map(({ response }) => response.result.back),
      Array.from({ length: 100 }, (_, n) => n),
    );
    assert.equal(pool.pool.inFlight, 0);
    assert.equal(pool.table.inUse, 0);
  });

  test(`${family}: calls wait for a connection, as many as may`, async (t) => {
    const { pool } = await startRaw(
      t,
      family,
      (request, answer) => void setTimeout(() => answer.json(respond(request, {})), 20),
      { maxConnections: 2, maxQueue: 3 },
    );
    const outcomes = await Promise.all(Array.from({ length: 7 }, () => pool.call('call').done));
    assert.deepEqual(
      outcomes.map(({ error }) => error),
      [null, null, null, null, null, 'GW_UPSTREAM_BUSY', 'GW_UPSTREAM_BUSY'],
    );
  });

  test(`${family}: JSON-RPC errors with a 4xx status are the answer`, async (t) => {
    const { pool } = await startRaw(t, family, (request, answer) =>
      refuse(answer, 404, { jsonrpc: '2.0', id: request.message.id, error: { code: -32_601, message: 'no' } }),
    );
    const { response, error } = await pool.call('call').done;
    assert.deepEqual([response?.error, error], [{ code: -32_601, message: 'no' }, null]);
  });
}

test('modern: calls carry the headers that mirror them', async (t) => {
  const { pool, upstream } = await startRaw(t, 'modern', (request, answer) => answer.json(respond(request, {})));
  await pool.call('call', {}, { nameHeader: '=?base64?w6Q=?=' }).done;
  const { headers } = upstream.received('tools/call')[0]!;
  assert.equal(headers['mcp-protocol-version'], '2026-07-28');
  assert.equal(headers['mcp-method'], 'tools/call');
  assert.equal(headers['mcp-name'], '=?base64?w6Q=?=');
  assert.equal(headers['content-type'], 'application/json');
  assert.equal(headers.accept, 'application/json, text/event-stream');
  assert.equal('mcp-session-id' in headers, false);
});

test('modern: an error about this hop is not passed on, and the era is looked at again', async (t) => {
  const { pool, upstream } = await startRaw(t, 'modern', (request, answer) =>
    refuse(answer, 400, { jsonrpc: '2.0', id: request.message.id, error: { code: -32_020, message: 'mismatch' } }),
  );
  const probes = upstream.received('server/discover').length;
  assert.equal((await pool.call('call').done).error, 'GW_UPSTREAM_PROTOCOL');
  await eventually('another probe', () => upstream.received('server/discover').length > probes);
  upstream.script((request, answer) =>
    refuse(answer, 400, {
      jsonrpc: '2.0',
      id: request.message.id,
      error: { code: -32_021, message: 'missing', data: { requiredCapabilities: { sampling: {} } } },
    }),
  );
  assert.equal((await pool.call('call').done).response.error.code, -32_021);
});

test('legacy: a lost session is opened again once, and the calls that met it are repeated', async (t) => {
  const { pool, upstream } = await startRaw(t, 'legacy', () => {});
  let lost = 0;
  upstream.script((request, answer) => {
    if (upstream.received('initialize').length === 1) {
      lost += 1;
      refuse(answer, 404, { jsonrpc: '2.0', id: null, error: { code: -32_001, message: 'Session not found' } });
    } else answer.json(respond(request, { n: request.message.params.arguments.n }));
  });
  const outcomes = await Promise.all([1, 2, 3].map((n) => pool.call('call', { n }).done));
  assert.deepEqual(
    outcomes.map(({ response, reports }) => [response?.result.n, reports]),
    [
      [1, 1],
      [2, 1],
      [3, 1],
    ],
  );
  assert.ok(lost >= 1);
  assert.equal(upstream.received('initialize').length, 2);
  assert.equal(pool.server().endpoints[0]!.stats.sessionsLost, 1);
});

test('legacy: a call is repeated once at a server that never knows its session', async (t) => {
  const { pool, upstream } = await startRaw(t, 'legacy', (_request, answer) =>
    refuse(answer, 404, 'gone', 'text/plain'),
  );
  assert.equal((await pool.call('call').done).error, 'GW_UPSTREAM_PROTOCOL');
  assert.equal(upstream.received('tools/call').length, 2);
});

test('legacy: a call whose client has had events of it is not repeated, though its session is lost', async (t) => {
  const { upstream, pool } = await startRaw(t, 'legacy', ({ message: { id } }, answer) => {
    const stream = answer.sse();
    stream.event({ jsonrpc: '2.0', method: 'notifications/message', params: { level: 'info', data: 'working' } });
    stream.event({ jsonrpc: '2.0', id, error: { code: -32_000, message: 'Session not found' } });
    stream.end();
  });
  const onNotification = ({ client }: Exchange): void => {
    client.events += 1;
  };
  const { response, notifications } = await pool.call('call', {}, { onNotification }).done;
  assert.deepEqual([response?.error.message, notifications.length], ['Session not found', 1]);
  await eventually('another session', () => upstream.received('initialize').length === 2);
  assert.equal(upstream.received('tools/call').length, 1);
});

test('legacy: a real server that forgot its sessions is healed', async (t) => {
  const server = await countingHttp(t, 'legacy');
  const pool = startPool(t, [serverOf([httpOf(server.url)])]);
  await pool.ready();
  await fetch(server.url.replace('/mcp', '/forget'), { method: 'POST' });
  const { response } = await pool.call('echo', { text: 'healed' }).done;
  assert.equal(response.result.content[0].text, 'healed');
  assert.equal(server.calls('echo').length, 1);
});

test('legacy: a real server that is killed and started again is used again', async (t) => {
  const server = await countingHttp(t, 'legacy');
  const pool = startPool(t, [serverOf([httpOf(server.url)])]);
  await pool.ready();
  const waiting = pool.call('hang');
  await eventually('the call arrived', () => server.calls('hang').length === 1);
  await server.restart();
  // Its answer had begun as a stream.
  assert.equal((await waiting.done).error, 'GW_UPSTREAM_TRUNCATED');
  await eventually('healed', async () => (await pool.call('echo', { text: 'x' }).done).error === null);
});

test('legacy: what a server asks on the stream of a call belongs to that call; ping is answered at once', async (t) => {
  const { pool, upstream } = await startRaw(t, 'legacy', async (request, answer) => {
    if (request.message.method === undefined) {
      answer.response.writeHead(202).end();
      return;
    }
    const stream = answer.sse();
    stream.event({ jsonrpc: '2.0', id: 2, method: 'ping' });
    stream.event({ jsonrpc: '2.0', id: 'q"1', method: 'elicitation/create', params: { message: 'm' } });
    stream.event({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 'q"1' } });
    await eventually('answers', () => answersOf(upstream).length === 2);
    stream.event({ jsonrpc: '2.0', id: request.message.id, result: {} });
    stream.end();
  });
  pool.onServerRequest = ({ endpoint }) =>
    endpoint.reply(Buffer.from('{"jsonrpc":"2.0","id":"q\\"1","result":{"action":"decline"}}'));
  const outcomes = await Promise.all([pool.call('call').done]);
  assert.equal(outcomes[0]!.error, null);
  assert.deepEqual(
    pool.serverRequests.map(({ callId, message }) => [callId, message.method]),
    [[outcomes[0]!.id, 'elicitation/create']],
  );
  assert.deepEqual(
    pool.serverNotifications.map(({ callId, message }) => [callId, message.method]),
    [[outcomes[0]!.id, 'notifications/cancelled']],
  );
  assert.deepEqual(
    answersOf(upstream).sort((a, b) => (String(a.id) < String(b.id) ? -1 : 1)),
    [
      { jsonrpc: '2.0', id: 2, result: {} },
      { jsonrpc: '2.0', id: 'q"1', result: { action: 'decline' } },
    ],
  );
  const replies = upstream.requests.filter(({ message }) => message?.method === undefined && message?.id !== undefined);
  for (const { headers } of replies) assert.equal(headers['mcp-session-id'], 'raw-session');
});

/** Answers that the gateway gave to requests of the upstream. */
function answersOf(upstream: RawUpstream) {
  return upstream.requests
    .map(({ message }) => message)
    .filter((message) => message?.id !== undefined && !message.method);
}

test('legacy: what a server asks before it answers a request of the gateway is answered, on the stream of that request', async (t) => {
  let list = (): void => {};
  const answers: unknown[] = [];
  const upstream = await rawUpstream(
    t,
    ({ message }, answer) => {
      if (message.method === 'tools/list') {
        const stream = answer.sse();
        stream.event({ jsonrpc: '2.0', id: 'alive', method: 'ping' });
        list = () => {
          stream.event({ jsonrpc: '2.0', id: message.id, result: { tools: RAW_TOOLS } });
          stream.end();
        };
      } else {
        answers.push(message);
        answer.response.writeHead(202).end();
        list();
      }
    },
    { tools: null },
  );
  const pool = startPool(t, [serverOf([httpOf(upstream.url)])]);
  assert.equal(packedCount((await pool.ready()).tools), RAW_TOOLS.length);
  assert.deepEqual(answers, [{ jsonrpc: '2.0', id: 'alive', result: {} }]);
});
