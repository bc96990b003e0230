/** Streams that break off and go on (MCP 2025-03-26, resumability; 2025-11-25, polling). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ServerSnapshot } from '../../../src/config/snapshot/index.js';
import { eventually, type TestScope } from '../../support/process.js';
import { type RawUpstream, rawUpstream, type Script } from '../../support/raw-upstream.js';
import { pollingServer } from '../../support/upstreams.js';
import { httpOf, type PoolFixture, serverOf, startPool } from '../fixture.js';
import { respond } from '../raw-pool.js';

const message = (data: string) => ({
  jsonrpc: '2.0',
  method: 'notifications/message',
  params: { level: 'info', data },
});

/** A legacy upstream; `resumed` answers GET with `Last-Event-ID`, others are refused. */
async function startResumable(
  scope: TestScope,
  script: Script,
  resumed: Script,
  more: Partial<ServerSnapshot> = {},
): Promise<{ upstream: RawUpstream; pool: PoolFixture }> {
  const upstream = await rawUpstream(scope, script, {
    streams: (request, answer) => {
      if (request.headers['last-event-id'] !== undefined) return resumed(request, answer);
      answer.response.writeHead(405).end();
    },
  });
  const pool = startPool(scope, [serverOf([httpOf(upstream.url, { 'x-key': 'k' })], more)]);
  await pool.ready();
  return { upstream, pool };
}

const resumes = (upstream: RawUpstream) =>
  upstream.requests.filter(({ method, headers }) => method === 'GET' && headers['last-event-id'] !== undefined);

test('a stream that the server closes after its first event is polled until the answer is there', async (t) => {
  let call = 0;
  let closedAt = 0;
  const waits: number[] = [];
  const { upstream, pool } = await startResumable(
    t,
    (request, answer) => {
      call = request.message.id;
      const stream = answer.sse();
      stream.raw('id: a-0\nretry: 120\ndata:\n\n');
      stream.end();
      closedAt = performance.now();
    },
    (_request, answer) => {
      waits.push(performance.now() - closedAt);
      const stream = answer.sse();
      const round = waits.length;
      if (round === 1) stream.raw(`id: a-1\ndata: ${JSON.stringify(message('working'))}\n\n`);
      else if (round === 3) stream.raw(`id: a-2\ndata: {"jsonrpc":"2.0","id":${call},"result":{"n":1}}\n\n`);
      stream.end();
      closedAt = performance.now();
    },
  );
  const { response, notifications, reports } = await pool.call('call').done;
  assert.deepEqual([response?.result, reports], [{ n: 1 }, 1]);
  assert.deepEqual(
    notifications.map(({ params }) => params.data),
    ['working'],
  );
  assert.deepEqual(
    resumes(upstream).map(({ headers }) => headers['last-event-id']),
    ['a-0', 'a-1', 'a-1'],
  );
  for (const { headers } of resumes(upstream)) {
    assert.equal(headers['mcp-session-id'], 'raw-session');
    assert.equal(headers['mcp-protocol-version'], '2025-11-25');
    assert.equal(headers.accept, 'text/event-stream');
    assert.equal(headers['x-key'], 'k');
  }
  // The server's clock and ours are the same here, so it can be told that nobody came early.
  for (const wait of waits) assert.ok(wait >= 119, `came after ${wait} ms`);
  assert.equal(upstream.received('tools/call').length, 1);
  await new Promise((resolve) => setTimeout(resolve, 300));
  assert.equal(resumes(upstream).length, 3, 'the stream has ended, and is not polled any more');
});

test('half an event is had again as a whole, and none twice', async (t) => {
  let call = 0;
  const second = `id: 2\ndata: ${JSON.stringify(message('second'))}\n\n`;
  const { upstream, pool } = await startResumable(
    t,
    (request, answer) => {
      call = request.message.id;
      answer.sse().raw(`id: 1\nretry: 20\ndata: ${JSON.stringify(message('first'))}\n\n${second.slice(0, -1)}`);
      setTimeout(() => answer.socket.destroy(), 20);
    },
    (_request, answer) => {
      const stream = answer.sse();
      stream.raw(`${second}id: 3\ndata: {"jsonrpc":"2.0","id":${call},"result":{}}\n\n`);
      stream.end();
    },
  );
  const { notifications, error } = await pool.call('call').done;
  assert.equal(error, null);
  assert.deepEqual(
    notifications.map(({ params }) => params.data),
    ['first', 'second'],
  );
  assert.deepEqual(
    resumes(upstream).map(({ headers }) => headers['last-event-id']),
    ['1'],
  );
});

for (const status of [400, 404, 405]) {
  test(`a server that refuses with ${status} to resume gets no further request`, async (t) => {
    const { upstream, pool } = await startResumable(
      t,
      (_request, answer) => {
        const stream = answer.sse();
        stream.raw('id: 1\nretry: 20\ndata:\n\n');
        stream.end();
      },
      (_request, answer) => void answer.response.writeHead(status).end(),
    );
    const { error, sent, reports } = await pool.call('call').done;
    assert.deepEqual([error, sent, reports], ['GW_UPSTREAM_TRUNCATED', true, 1]);
    assert.equal(resumes(upstream).length, 1);
    // 404 says that the session is gone as well.
    const sessions = status === 404 ? 2 : 1;
    await eventually('the session', () => upstream.received('initialize').length === sessions);
  });
}

test('refusals that may pass are waited for, and count anew after each stream that was opened', async (t) => {
  let call = 0;
  const statuses = [429, 503, 408, 200, 429, 503, 408, 200];
  const { upstream, pool } = await startResumable(
    t,
    (request, answer) => {
      call = request.message.id;
      const stream = answer.sse();
      stream.raw('id: 1\nretry: 1\ndata:\n\n');
      stream.end();
    },
    (_request, answer) => {
      const status = statuses.shift() ?? 200;
      if (status !== 200) {
        answer.response.writeHead(status).end();
        return;
      }
      const stream = answer.sse();
      stream.raw(': open\n\n');
      if (statuses.length === 0) stream.event({ jsonrpc: '2.0', id: call, result: { n: 1 } });
      stream.end();
    },
  );
  assert.deepEqual((await pool.call('call').done).response?.result, { n: 1 });
  assert.equal(resumes(upstream).length, 8);
});

test('a server that cannot be reached any more is given up after some attempts', async (t) => {
  const { upstream, pool } = await startResumable(
    t,
    (_request, answer) => {
      const stream = answer.sse();
      stream.raw('id: 1\nretry: 1\ndata:\n\n');
      stream.end();
    },
    (_request, answer) => answer.reset(),
  );
  assert.equal((await pool.call('call').done).error, 'GW_UPSTREAM_TRUNCATED');
  assert.equal(resumes(upstream).length, 5);
});

test('at its deadline a call that is being resumed is given up, here and there', async (t) => {
  const { upstream, pool } = await startResumable(
    t,
    (_request, answer) => {
      const stream = answer.sse();
      stream.raw('id: 1\nretry: 20\ndata:\n\n');
      stream.end();
    },
    (_request, answer) => answer.sse().raw(': open\n\n'),
  );
  const outcome = pool.call('call', {}, { deadlineMs: 300 });
  await eventually('resumed', () => resumes(upstream).length === 1);
  assert.equal((await outcome.done).error, 'GW_UPSTREAM_TIMEOUT');
  await eventually('the stream is closed', () => upstream.aborted === 1);
  const [note] = await eventually('cancelled', () => {
    const notes = upstream.received('notifications/cancelled');
    return notes.length > 0 ? notes : null;
  });
  assert.equal(note!.message.params.requestId, outcome.id);
  assert.equal(pool.table.inUse, 0);
});

test('a stream of a session that was lost meanwhile is not resumed in the next one', async (t) => {
  let sessions = 0;
  let cut = (): void => {};
  const upstream = await rawUpstream(
    t,
    ({ message }, answer) => {
      switch (message.method) {
        case 'initialize': {
          sessions += 1;
          const { protocolVersion } = message.params;
          const serverInfo = { name: 'forgetful', version: '1' };
          answer.result(
            { protocolVersion, capabilities: { tools: {} }, serverInfo },
            { 'mcp-session-id': `s-${sessions}` },
          );
          break;
        }
        case 'tools/list':
          answer.result({ tools: [] });
          break;
        case 'tools/call':
          if (sessions > 1) answer.result({});
          else if (message.params.name !== 'long') answer.response.writeHead(404).end();
          else {
            answer.sse().raw('id: 1\nretry: 20\ndata:\n\n');
            cut = () => answer.socket.destroy();
          }
          break;
        default:
          answer.response.writeHead(message.id === undefined ? 202 : 404).end();
      }
    },
    { family: 'none', streams: (_request, answer) => void answer.response.writeHead(405).end() },
  );
  const pool = startPool(t, [serverOf([httpOf(upstream.url)])]);
  await pool.ready();
  const long = pool.call('long');
  await eventually('its stream is open', () => upstream.received('tools/call').length === 1);
  assert.equal((await pool.call('call').done).error, null);
  assert.equal(sessions, 2);
  cut();
  assert.equal((await long.done).error, 'GW_UPSTREAM_TRUNCATED');
  assert.equal(resumes(upstream).length, 0);
});

test('a slow client holds back a resumed stream', async (t) => {
  let call = 0;
  const { pool } = await startResumable(
    t,
    (request, answer) => {
      call = request.message.id;
      const stream = answer.sse();
      stream.raw('id: 1\nretry: 20\ndata:\n\n');
      stream.end();
    },
    async (_request, answer) => {
      const stream = answer.sse();
      for (let index = 0; index < 50; index += 1) {
        stream.event(message(`${index} ${'x'.repeat(40_000)}`));
        await new Promise((resolve) => setImmediate(resolve));
      }
      stream.event({ jsonrpc: '2.0', id: call, result: {} });
      stream.end();
    },
  );
  const endpoint = pool.server().endpoints[0]!;
  const outcome = pool.call(
    'call',
    {},
    {
      onNotification: (exchange) => {
        endpoint.pause(exchange);
        setTimeout(() => endpoint.resume(exchange), 1);
      },
    },
  );
  const { notifications, error } = await outcome.done;
  assert.equal(error, null);
  assert.deepEqual(
    notifications.map(({ params }) => Number.parseInt(params.data, 10)),
    Array.from({ length: 50 }, (_, index) => index),
  );
});

test('a modern stream is never resumed, whatever it gives', async (t) => {
  let gets = 0;
  const upstream = await rawUpstream(
    t,
    (_request, answer) => {
      const stream = answer.sse();
      stream.raw('id: 1\nretry: 20\ndata:\n\n');
      stream.end();
    },
    {
      family: 'modern',
      streams: (_request, answer) => {
        gets += 1;
        answer.response.writeHead(405).end();
      },
    },
  );
  const pool = startPool(t, [serverOf([httpOf(upstream.url)])]);
  await pool.ready();
  assert.equal((await pool.call('call').done).error, 'GW_UPSTREAM_TRUNCATED');
  await new Promise((resolve) => setTimeout(resolve, 60));
  assert.equal(gets, 0);
});

test('a standalone stream goes on where it broke off, in the time the server asks for', async (t) => {
  const seen: (string | undefined)[] = [];
  const upstream = await rawUpstream(t, (request, answer) => answer.json(respond(request, {})), {
    streams: (request, answer) => {
      seen.push(request.headers['last-event-id'] as string | undefined);
      const stream = answer.sse();
      const updated = {
        jsonrpc: '2.0',
        method: 'notifications/resources/updated',
        params: { uri: `test://${seen.length}` },
      };
      stream.raw(`id: s-${seen.length}\nretry: 30\ndata: ${JSON.stringify(updated)}\n\n`);
      if (seen.length < 3) stream.end();
    },
  });
  const pool = startPool(t, [serverOf([httpOf(upstream.url)])]);
  await pool.ready();
  await eventually('three streams', () => pool.updatedResources.length === 3);
  assert.deepEqual(seen, [undefined, 's-1', 's-2']);
  assert.deepEqual(pool.updatedResources, ['test://1', 'test://2', 'test://3']);
});

test('a standalone stream that broke off is opened again when the server does not refuse it any more', async (t) => {
  let gets = 0;
  const upstream = await rawUpstream(t, (request, answer) => answer.json(respond(request, {})), {
    streams: (_request, answer) => {
      gets += 1;
      if (gets === 2) {
        answer.response.writeHead(503).end();
        return;
      }
      answer.sse().raw(': open\n\n');
      if (gets === 1) setTimeout(() => answer.socket.destroy(), 20);
    },
  });
  await startPool(t, [serverOf([httpOf(upstream.url)])]).ready();
  await eventually('a third request for it', () => gets === 3);
});

test('a standalone stream whose events are not stored any more begins anew', async (t) => {
  const seen: (string | undefined)[] = [];
  const upstream = await rawUpstream(t, (request, answer) => answer.json(respond(request, {})), {
    streams: (request, answer) => {
      const last = request.headers['last-event-id'] as string | undefined;
      seen.push(last);
      if (last !== undefined) {
        answer.response.writeHead(400).end();
        return;
      }
      const stream = answer.sse();
      stream.raw('id: gone\nretry: 30\ndata:\n\n');
      if (seen.length === 1) stream.end();
    },
  });
  const pool = startPool(t, [serverOf([httpOf(upstream.url)])]);
  await pool.ready();
  await eventually('another stream', () => seen.length === 3);
  assert.deepEqual(seen, [undefined, 'gone', undefined]);
  assert.equal(upstream.received('initialize').length, 1);
});

test('a real server that closes the streams of its calls is polled', async (t) => {
  const server = await pollingServer(t);
  const pool = startPool(t, [serverOf([httpOf(server.url)])]);
  await pool.ready();
  const outcomes = await Promise.all(
    Array.from({ length: 20 }, (_, n) => pool.call('poll', { text: `t${n}`, ms: 50 + n * 5 }).done),
  );
  assert.deepEqual(
    outcomes.map(({ response, error }) => response?.result.content[0].text ?? error),
    outcomes.map((_, n) => `t${n}`),
  );
  assert.ok(outcomes.every(({ reports }) => reports === 1));
});
