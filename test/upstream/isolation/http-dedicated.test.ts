/** One HTTP endpoint on behalf of a client: what it declares, when it starts, whom questions are for. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { Capability } from '../../../src/protocol/client-capabilities.js';
import type { SessionLike } from '../../../src/request/exchange/index.js';
import { packedCount } from '../../../src/shared/packed.js';
import { eventually, type TestScope } from '../../support/process.js';
import { type RawUpstream, rawUpstream, type Script } from '../../support/raw-upstream.js';
import { httpOf, type PoolFixture, serverOf, startPool } from '../fixture.js';
import { respond } from '../raw-pool.js';

const NONE = new Uint8Array(0);

function sessionOf(id: string): SessionLike {
  return {
    id,
    revision: 4,
    capabilities: NONE,
    capabilityMask: 0,
    clientInfo: NONE,
    subject: new Int32Array(4),
    viewBase: '',
    logLevel: -1,
    lastUsed: 0,
    hasWaitingRequests: false,
  };
}

async function startShared(
  scope: TestScope,
  script: Script,
  streams?: Script,
): Promise<{ upstream: RawUpstream; pool: PoolFixture }> {
  const upstream = await rawUpstream(scope, script, streams === undefined ? {} : { streams });
  const pool = startPool(scope, [serverOf([httpOf(upstream.url)])]);
  await pool.ready();
  return { upstream, pool };
}

test('nothing is declared on the connection that all clients share', async (t) => {
  const { upstream } = await startShared(t, () => {});
  assert.deepEqual(upstream.received('initialize')[0]!.message.params.capabilities, {});
});

test('a client with capabilities gets a session that declares them, without a probe, and its call waits for it', async (t) => {
  const { upstream, pool } = await startShared(t, (request, answer) => answer.json(respond(request, { ok: true })));
  const probes = upstream.received('server/discover').length;
  const capabilities = Capability.sampling | Capability.elicitationForm;
  const outcomes = await Promise.all([1, 2, 3].map(() => pool.call('call', {}, { capabilities }).done));
  assert.deepEqual(
    outcomes.map(({ response, error }) => response?.result ?? error),
    outcomes.map(() => ({ ok: true })),
  );
  assert.equal(upstream.received('server/discover').length, probes);
  const [, dedicated] = upstream.received('initialize');
  assert.deepEqual(Object.keys(dedicated!.message.params.capabilities).sort(), ['elicitation', 'sampling']);
});

test('a request on the standalone stream belongs to the only call in flight, or to none', async (t) => {
  let ask: (id: number) => void = () => {};
  const held: (() => void)[] = [];
  const { upstream, pool } = await startShared(
    t,
    (request, answer) => {
      if (request.message.method === undefined) answer.response.writeHead(202).end();
      else held.push(() => answer.json(respond(request, {})));
    },
    (_request, answer) => {
      const stream = answer.sse();
      stream.raw(': open\n\n');
      ask = (id) => stream.event({ jsonrpc: '2.0', id, method: 'roots/list' });
    },
  );
  await eventually('the stream', () => upstream.requests.some(({ method }) => method === 'GET'));
  ask(1);
  await eventually('asked', () => pool.serverRequests.length === 1);
  const first = pool.call('call');
  await eventually('one call', () => held.length === 1);
  ask(2);
  await eventually('asked', () => pool.serverRequests.length === 2);
  const second = pool.call('call');
  await eventually('two calls', () => held.length === 2);
  ask(3);
  await eventually('asked', () => pool.serverRequests.length === 3);
  for (const release of held) release();
  await Promise.all([first.done, second.done]);
  assert.deepEqual(
    pool.serverRequests.map(({ callId, message }) => [message.id, callId]),
    [
      [1, 0],
      [2, first.id],
      [3, 0],
    ],
  );
});

test('log messages on the standalone stream reach the client whose session it is, and no other', async (t) => {
  const sessions = new Map<string, (data: string) => void>();
  let opened = 0;
  const held: (() => void)[] = [];
  const upstream = await rawUpstream(t, (request, answer) => void held.push(() => answer.json(respond(request, {}))), {
    streams: (_request, answer) => {
      const stream = answer.sse();
      stream.raw(': open\n\n');
      opened += 1;
      sessions.set(`stream ${opened}`, (data) =>
        stream.event({ jsonrpc: '2.0', method: 'notifications/message', params: { level: 'info', data } }),
      );
    },
  });
  const pool = startPool(t, [serverOf([httpOf(upstream.url)], { isolation: 'session' })]);
  await pool.ready();
  const [ada, bob] = [sessionOf('ada'), sessionOf('bob')];
  const calls = [pool.call('call', {}, { session: ada }), pool.call('call', {}, { session: bob })];
  await eventually('both calls', () => held.length === 2);
  await eventually('a stream for each session', () => opened === 3);
  for (const [name, log] of sessions) log(name);
  const shared = pool.server().endpoints[0]!;
  await eventually('what belongs to nobody is dropped', () => shared.stats.droppedLogs === 1);
  await eventually('each has its own', () => calls.every(({ notifications }) => notifications.length === 1));
  for (const release of held) release();
  const outcomes = await Promise.all(calls.map(({ done }) => done));
  const heard = outcomes.map(({ notifications }) => notifications.map(({ params }) => params.data).join());
  assert.deepEqual(heard.sort(), ['stream 2', 'stream 3']);
});

test('responses to requests of a session that has ended are dropped, and its end is reported', async (t) => {
  const { upstream, pool } = await startShared(t, (request, answer) => {
    if (upstream.received('initialize').length === 1) answer.response.writeHead(404).end();
    else answer.json(respond(request, {}));
  });
  const endpoint = pool.server().endpoints[0]!;
  const lost = pool.disconnected.length;
  endpoint.reply(Buffer.from('{"jsonrpc":"2.0","id":1,"result":{}}'));
  await eventually('another session', () => upstream.received('initialize').length === 2);
  assert.equal(pool.disconnected.length, lost + 1);
  assert.equal(pool.disconnected.at(-1), endpoint);
  assert.equal((await pool.call('call').done).error, null);
});

test('answers to questions arrive, however many at once, also when a connection breaks', async (t) => {
  let broken = 0;
  const arrived = new Set<number>();
  const { pool } = await startShared(t, (request, answer) => {
    if (broken < 5) {
      broken += 1;
      answer.reset();
      return;
    }
    arrived.add(request.message.id);
    setTimeout(() => answer.response.writeHead(202).end(), 5);
  });
  const endpoint = pool.server().endpoints[0]!;
  for (let id = 1; id <= 600; id += 1) endpoint.reply(Buffer.from(`{"jsonrpc":"2.0","id":${id},"result":{}}`));
  await eventually('all of them', () => arrived.size === 600, 30_000);
});

test('a request of the gateway in a lost session leads to a new session', async (t) => {
  const { upstream, pool } = await startShared(t, (_request, answer) => {
    answer.response.writeHead(404, { 'content-type': 'application/json' });
    const error = { code: -32_001, message: 'Session not found' };
    answer.response.end(JSON.stringify({ jsonrpc: '2.0', id: null, error }));
  });
  const endpoint = pool.server().endpoints[0]!;
  await assert.rejects(endpoint.request('prompts/list', {}, { timeoutMs: 5_000 }));
  await eventually('another session', () => upstream.received('initialize').length === 2);
  assert.equal(endpoint.stats.sessionsLost, 1);
});

if (process.platform === 'linux') {
  test('TCP detects an upstream that vanished without closing', async (t) => {
    const { upstream, pool } = await startShared(t, () => {});
    void pool.call('call');
    await eventually('the call arrived', () => upstream.received('tools/call').length === 1);
    const port = upstream.port.toString(16).toUpperCase().padStart(4, '0');
    // Columns: slot, local, remote, state (01 = established), queues, timer (02 = keep-alive) and when it is due.
    const timers = readFileSync('/proc/net/tcp', 'latin1')
      .split('\n')
      .map((line) => line.trim().split(/\s+/))
      .filter(([, , remote, state]) => remote?.endsWith(`:${port}`) && state === '01')
      .map(([, , , , , timer]) => timer!.slice(0, 2));
    assert.ok(timers.length > 0);
    assert.deepEqual([...new Set(timers)], ['02']);
  });
}

for (const isolation of ['auto', 'session'] as const) {
  test(`a change that a session announces on the stream of its call re-reads the lists of all (${isolation})`, async (t) => {
    const tools = [{ name: 'call', inputSchema: { type: 'object' } }];
    const upstream = await rawUpstream(
      t,
      (request, answer) => {
        if (request.message.method === 'tools/list') {
          answer.result({ tools });
          return;
        }
        tools.push({ name: 'added', inputSchema: { type: 'object' } });
        const stream = answer.sse();
        stream.event({ jsonrpc: '2.0', method: 'notifications/tools/list_changed' });
        stream.event(JSON.parse(respond(request, {})));
        stream.end();
      },
      { tools: null, capabilities: { tools: { listChanged: true } } },
    );
    const pool = startPool(t, [serverOf([httpOf(upstream.url)], { isolation })]);
    assert.equal(packedCount((await pool.ready()).tools), 1);
    await pool.call('call', {}, { session: sessionOf('a'), capabilities: Capability.sampling }).done;
    assert.equal(upstream.received('initialize').length, 2, 'the call had a session of its own');
    await eventually('the new list', () => packedCount(pool.discoveries.at(-1)!.tools) === 2);
  });
}
