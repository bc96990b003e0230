import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { ServerSnapshot } from '../../../src/config/snapshot/index.js';
import { Capability } from '../../../src/protocol/client-capabilities.js';
import type { SessionLike } from '../../../src/request/exchange/index.js';
import { eventually, isAlive, startProcess, type TestScope, tempFolder } from '../../support/process.js';
import { rawUpstream } from '../../support/raw-upstream.js';
import { countingHttp, countingStdio } from '../../support/upstreams.js';
import {
  type CallOptions,
  dedicatedCount,
  httpOf,
  type Outcome,
  type PoolFixture,
  pidOf,
  serverOf,
  sseOf,
  startPool,
  stdioOf,
  webSocketOf,
} from '../fixture.js';

const NONE = new Uint8Array(0);

function sessionOf(id: string, capabilityMask = 0, subject = 0): SessionLike {
  return {
    id,
    revision: 4,
    capabilities: NONE,
    capabilityMask,
    clientInfo: NONE,
    subject: Int32Array.of(subject, 0, 0, 0),
    viewBase: '',
    logLevel: -1,
    lastUsed: 0,
    hasWaitingRequests: false,
  };
}

interface Stateful extends PoolFixture {
  /** Process ids of all children that were ever started. */
  pids(): number[];
  dedicated(): number;
}

async function startStateful(scope: TestScope, more: Partial<ServerSnapshot>, mode = ''): Promise<Stateful> {
  const file = join(await tempFolder(scope), 'pids');
  const script = fileURLToPath(new URL('../fixtures/stateful.js', import.meta.url));
  const args = mode === '' ? [script] : [script, mode];
  const endpoint = stdioOf(process.execPath, args, { PID_FILE: file });
  const pool = startPool(scope, [serverOf([endpoint], more)]);
  await pool.ready();
  return Object.assign(pool, {
    pids: () => readFileSync(file, 'utf8').trim().split('\n').map(Number),
    dedicated: () => dedicatedCount(pool),
  });
}

// biome-ignore lint/suspicious/noExplicitAny: what the fixture answers
async function said(outcome: Outcome): Promise<any> {
  const { response, error } = await outcome.done;
  assert.equal(error, null);
  return JSON.parse(response.result.content[0].text);
}

const as = (session: SessionLike, subject = 0): CallOptions => ({ session, subject });

test('a server that all clients share is offered no capabilities and keeps one state for all', async (t) => {
  const pool = await startStateful(t, { isolation: 'shared' });
  const session = sessionOf('a', Capability.sampling);
  await said(pool.call('remember', { value: 1 }, as(session)));
  const { declared, remembered } = await said(pool.call('recall', {}, as(sessionOf('b'))));
  assert.deepEqual(declared, {});
  assert.equal(remembered, 1);
  assert.equal(pool.pids().length, 1);
  assert.equal(pool.server().needsCapabilities, false);
});

test('isolation by session: each session has a child of its own, which is offered the capabilities of its client', async (t) => {
  const pool = await startStateful(t, { isolation: 'session' });
  const sessions = [
    sessionOf('a', Capability.sampling),
    sessionOf('b', Capability.elicitationForm | Capability.roots | Capability.rootsListChanged),
    sessionOf('c'),
  ];
  for (const session of sessions) {
    await said(pool.call('remember', { value: session.id }, as(session)));
  }
  const states = await Promise.all(sessions.map((session) => said(pool.call('recall', {}, as(session)))));
  assert.deepEqual(
    states.map(({ remembered, declared }) => [remembered, declared]),
    [
      ['a', { sampling: {} }],
      ['b', { elicitation: { form: {} }, roots: { listChanged: true } }],
      ['c', {}],
    ],
  );
  assert.equal(new Set(states.map(({ pid }) => pid)).size, 3);
  assert.equal(pool.dedicated(), 3);
  assert.equal(pool.pids().length, 4);
});

test('isolation by principal: sessions and modern clients of one subject share, others do not', async (t) => {
  const pool = await startStateful(t, { isolation: 'principal' });
  const mine = [as(sessionOf('a', 0, 7), 7), as(sessionOf('b', 0, 7), 7), { subject: 7 }];
  await said(pool.call('remember', { value: 'mine' }, mine[0]));
  for (const options of mine) {
    assert.equal((await said(pool.call('recall', {}, options))).remembered, 'mine');
  }
  assert.equal((await said(pool.call('recall', {}, { subject: 8 }))).remembered, null);
  // The first words collide in the table of groups: subject and capabilities are distinguished all the same.
  const { remembered, declared } = await said(
    pool.call('recall', {}, { subject: 6, capabilities: Capability.sampling }),
  );
  assert.deepEqual([remembered, declared], [null, { sampling: {} }]);
});

test('a request of the server belongs to the call in flight: clients without a session lease a child for each call', async (t) => {
  const pool = await startStateful(t, { isolation: 'session', maxDedicated: 32 });
  pool.onServerRequest = ({ endpoint, exchange, message }) => {
    assert.equal(endpoint.profile.exclusive, true);
    const content = { of: exchange?.call.upstreamId };
    endpoint.reply(Buffer.from(JSON.stringify({ jsonrpc: '2.0', id: message.id, result: { content } })));
  };
  const options = { capabilities: Capability.elicitationForm, subject: 3 };
  for (let round = 0; round < 3; round += 1) {
    const calls = Array.from({ length: 12 }, (_, index) => pool.call('ask', { message: '?', ms: index % 4 }, options));
    for (const call of calls) assert.equal((await said(call)).answer.content.of, call.id);
  }
  assert.equal(pool.dedicated(), 12);
});

test('a request on the dedicated child of a session carries its owner', async (t) => {
  const pool = await startStateful(t, { isolation: 'session' });
  const owners = new Set<string>();
  pool.onServerRequest = ({ endpoint, message }) => {
    owners.add(endpoint.profile.owner!.sessionId);
    const content = { session: endpoint.profile.owner!.sessionId };
    endpoint.reply(Buffer.from(JSON.stringify({ jsonrpc: '2.0', id: message.id, result: { content } })));
  };
  const sessions = Array.from({ length: 6 }, (_, index) => sessionOf(`s${index}`, Capability.elicitationForm));
  const calls = sessions.flatMap((session) =>
    Array.from({ length: 5 }, () => ({ session, call: pool.call('ask', { message: '?' }, as(session)) })),
  );
  for (const { session, call } of calls) assert.equal((await said(call)).answer.content.session, session.id);
  assert.equal(owners.size, 6);
  assert.equal(pool.dedicated(), 6);
});

test('more sessions than dedicated children: idle ones are stopped, and no child is left over', async (t) => {
  const pool = await startStateful(t, { isolation: 'session', maxDedicated: 4 });
  for (let index = 0; index < 50; index += 1) {
    const session = sessionOf(`s${index}`);
    // A place is free again once a child that was stopped has gone.
    await eventually(`session ${index} served`, async () => {
      const { error, response } = await pool.call('remember', { value: index }, as(session)).done;
      assert.ok(error === null || error === 'GW_UPSTREAM_BUSY', String(error));
      return response;
    });
    assert.ok(pool.dedicated() <= 4);
  }
  // The four that were used last are still there.
  for (const index of [46, 47, 48, 49]) {
    assert.equal((await said(pool.call('recall', {}, as(sessionOf(`s${index}`))))).remembered, index);
  }
  const alive = async () => (await Promise.all(pool.pids().map(isAlive))).filter(Boolean).length;
  await eventually('all but five children gone', async () => (await alive()) === 5);
  await pool.pool.close(0);
  assert.equal(await alive(), 0);
});

test('200 sessions at once with 3 dedicated children: those without one get an error, the others are served', async (t) => {
  const pool = await startStateful(t, { isolation: 'session', maxDedicated: 3 });
  const calls = Array.from({ length: 200 }, (_, index) => pool.call('wait', { ms: 50 }, as(sessionOf(`s${index}`))));
  const outcomes = await Promise.all(calls.map(({ done }) => done));
  assert.equal(outcomes.filter(({ error }) => error === null).length, 3);
  assert.equal(outcomes.filter(({ error }) => error === 'GW_UPSTREAM_BUSY').length, 197);
  assert.equal(new Set(outcomes.filter(({ error }) => error === null).map(({ raw }) => String(raw))).size, 3);
  assert.equal(pool.pids().length, 4);
});

test('a dedicated child without calls is stopped after dedicatedIdleMs, one with a call in flight is not', async (t) => {
  const pool = await startStateful(t, { isolation: 'session', dedicatedIdleMs: 200 });
  const busy = pool.call('wait', { ms: 1_500 }, as(sessionOf('busy')));
  const pid = await said(pool.call('remember', { value: 1 }, as(sessionOf('idle'))));
  await eventually('the idle child gone', async () => !(await isAlive(pid)));
  assert.equal(pool.dedicated(), 1);
  await said(busy);
  await eventually('no dedicated child left', () => pool.dedicated() === 0);
  // It starts again when it is needed, without what it remembered.
  assert.equal((await said(pool.call('recall', {}, as(sessionOf('idle'))))).remembered, null);
});

test('a dedicated child ends with its session, after its calls', async (t) => {
  const pool = await startStateful(t, { isolation: 'session' });
  const session = sessionOf('a');
  const pid = await said(pool.call('remember', { value: 1 }, as(session)));
  const call = pool.call('wait', { ms: 100 }, as(session));
  pool.pool.sessionEnded('a');
  assert.equal(await said(call), pid);
  await eventually('the child gone', async () => !(await isAlive(pid)));
  assert.equal(pool.dedicated(), 0);
  assert.equal(pool.server().endpoints[0]!.state, 'ready');
});

test('a child that is killed fails its own call, and its session goes on with another', async (t) => {
  const pool = await startStateful(t, { isolation: 'session' });
  const [a, b] = [sessionOf('a'), sessionOf('b')];
  const pid = await said(pool.call('remember', { value: 1 }, as(a)));
  await said(pool.call('remember', { value: 2 }, as(b)));
  const call = pool.call('wait', { ms: 10_000 }, as(a));
  // It must have left, else it would be tried elsewhere.
  await eventually('the call written', () => call.exchange.call.sent);
  process.kill(pid, 'SIGKILL');
  const { error, sent } = await call.done;
  assert.deepEqual([error, sent], ['GW_UPSTREAM_CLOSED', true]);
  const after = await said(pool.call('recall', {}, as(a)));
  assert.notEqual(after.pid, pid);
  assert.equal(after.remembered, null);
  assert.equal((await said(pool.call('recall', {}, as(b)))).remembered, 2);
  assert.equal(pool.dedicated(), 2);
});

test('a dedicated child that cannot be started fails its calls, and is not started again at once', async (t) => {
  const pool = await startStateful(t, { isolation: 'session' }, 'unstartable');
  const calls = Array.from({ length: 3 }, () => pool.call('recall', {}, as(sessionOf('a'))));
  for (const { done } of calls) {
    const { error, sent, detail } = await done;
    assert.deepEqual([error, sent], ['GW_UPSTREAM_DOWN', false]);
    assert.match(detail, /^Reason: exited with code 3/);
  }
  await eventually('no dedicated child left', () => pool.dedicated() === 0);
  const before = pool.pids().length;
  for (let count = 0; count < 300; count += 1) {
    const { error, detail } = await pool.call('recall', {}, as(sessionOf('a'))).done;
    assert.equal(error, 'GW_UPSTREAM_DOWN');
    assert.match(detail, /^Reason: exited with code 3/, 'also while none is started');
  }
  const starts = pool.pids().length - before;
  assert.ok(starts <= 10, `${starts} starts for 300 calls`);
});

test('the log level and changed roots reach the dedicated children of their clients', async (t) => {
  const pool = await startStateful(t, { isolation: 'session' });
  const [a, b] = [sessionOf('a', Capability.roots | Capability.rootsListChanged), sessionOf('b', Capability.roots)];
  await said(pool.call('remember', { value: 1 }, as(a)));
  pool.pool.wantLogLevel(0);
  await said(pool.call('remember', { value: 1 }, as(b)));
  pool.pool.rootsChanged('a');
  pool.pool.rootsChanged('b');
  const heard = async (session: SessionLike): Promise<string[]> =>
    (await said(pool.call('recall', {}, as(session)))).heard;
  assert.deepEqual(await heard(a), [
    'initialize',
    'notifications/initialized',
    'ping',
    'logging/setLevel',
    'notifications/roots/list_changed',
  ]);
  assert.deepEqual(await heard(b), ['initialize', 'notifications/initialized', 'ping', 'logging/setLevel']);
});

test('shared over legacy HTTP: clients with the same capabilities have one upstream session', async (t) => {
  const { url } = await countingHttp(t, 'legacy');
  const pool = startPool(t, [serverOf([httpOf(url)], { maxDedicated: 2 })]);
  await pool.ready();
  const dedicated = () => dedicatedCount(pool);
  assert.equal(pool.server().needsCapabilities, true);
  const echo = async (capabilities: number) => (await pool.call('echo', { text: 'x' }, { capabilities }).done).error;
  assert.equal(await echo(0), null);
  assert.equal(dedicated(), 0);
  for (const mask of [Capability.sampling, Capability.roots, Capability.sampling]) assert.equal(await echo(mask), null);
  assert.equal(dedicated(), 2);
  // With all dedicated sessions in use a call is made on the shared one, where its client can receive no requests.
  const busy = [Capability.sampling, Capability.roots].map((capabilities) =>
    pool.call('slow', { ms: 300 }, { capabilities }),
  );
  assert.equal(await echo(Capability.elicitationForm), null);
  for (const { done } of busy) await done;
  assert.equal(pool.server().totals(0).stats.calls, 7);
});

for (const transport of ['sse', 'websocket'] as const) {
  test(`${transport}: a session has a connection of its own, and its end is the end of that`, async (t) => {
    const script = fileURLToPath(new URL('../fixtures/stateful.js', import.meta.url));
    const server = startProcess(t, process.execPath, [script, 'plain', transport], {});
    const [, url] = await server.waitForLine(/^listening on (\S+)/);
    const endpoint = transport === 'sse' ? sseOf(url!) : webSocketOf(url!);
    const pool = startPool(t, [serverOf([endpoint], { isolation: 'session' })]);
    await pool.ready();
    pool.onServerRequest = ({ endpoint: dedicated, message }) => {
      const content = { session: dedicated.profile.owner!.sessionId };
      dedicated.reply(Buffer.from(JSON.stringify({ jsonrpc: '2.0', id: message.id, result: { content } })));
    };
    const sessions = ['a', 'b', 'c'].map((id) => sessionOf(id, Capability.elicitationForm));
    for (const session of sessions) await said(pool.call('remember', { value: session.id }, as(session)));
    const calls = sessions.map((session) => pool.call('ask', { message: '?' }, as(session)));
    for (const [index, call] of calls.entries()) {
      assert.equal((await said(call)).answer.content.session, sessions[index]!.id);
    }
    const states = await Promise.all(sessions.map((session) => said(pool.call('recall', {}, as(session)))));
    assert.deepEqual(
      states.map(({ pid, remembered }) => [pid, remembered]),
      [
        [2, 'a'],
        [3, 'b'],
        [4, 'c'],
      ],
    );
    pool.pool.sessionEnded('b');
    assert.deepEqual(
      [dedicatedCount(pool), (await said(pool.call('recall', {}, as(sessions[1]!)))).remembered],
      [2, null],
    );
  });
}

test('http: a session has an upstream session of its own, which ends with it', async (t) => {
  const upstream = await rawUpstream(t, ({ headers, message }, answer) => {
    answer.result({ content: [{ type: 'text', text: JSON.stringify([headers['mcp-session-id'], message.id]) }] });
  });
  const pool = startPool(t, [serverOf([httpOf(upstream.url)], { isolation: 'session', dedicatedIdleMs: 200 })]);
  await pool.ready();
  const [a, b] = [sessionOf('a', Capability.sampling), sessionOf('b', Capability.elicitationUrl)];
  for (const session of [a, b, a]) await said(pool.call('call', {}, as(session)));
  assert.deepEqual(
    upstream
      .received('initialize')
      .slice(1)
      .map(({ message }) => message.params.capabilities),
    [{ sampling: {} }, { elicitation: { url: {} } }],
  );
  pool.pool.sessionEnded('a');
  const ended = () => upstream.requests.filter(({ method }) => method === 'DELETE').length;
  await eventually('the session of a ended', () => ended() === 1);
  // The one of b ends when it was idle for long enough.
  await eventually('the session of b ended', () => ended() === 2);
  assert.equal(dedicatedCount(pool), 0);
});

test('a modern server has no dedicated connections, whatever its isolation, also beside a legacy one', async (t) => {
  const modern = await countingStdio(t, 'modern');
  const legacy = await countingStdio(t, 'legacy');
  const endpoints = [modern, legacy].map(({ entry }) => stdioOf(entry.command, entry.args, entry.env));
  const pool = startPool(t, [
    serverOf([endpoints[0]!], { isolation: 'session' }),
    serverOf(endpoints, { isolation: 'session', name: 'both' }),
  ]);
  await pool.ready(0);
  await pool.ready(1);
  assert.deepEqual([pool.server(0).needsCapabilities, pool.server(1).needsCapabilities], [false, true]);
  const options = { session: sessionOf('a', Capability.sampling) };
  assert.equal((await pool.call('echo', { text: 'x' }, options).done).error, null);
  assert.equal(dedicatedCount(pool), 0);
  // A session that has a dedicated child stays with it.
  const exchange = pool.table.acquire()!;
  exchange.client.session = options.session;
  exchange.client.capabilities = Capability.sampling;
  exchange.client.startedAt = performance.now();
  const chosen = Array.from({ length: 8 }, () => pool.server(1).choose(exchange)!);
  const firstDedicated = chosen.findIndex(({ profile }) => profile.owner !== null);
  assert.ok(firstDedicated >= 0 && firstDedicated <= 1, `the first dedicated child is number ${firstDedicated}`);
  assert.ok(chosen.slice(0, firstDedicated).every(({ era }) => era === 1));
  assert.equal(new Set(chosen.slice(firstDedicated)).size, 1);
});

test('replicas: sessions are spread over them, and each stays where it is', async (t) => {
  const script = fileURLToPath(new URL('../fixtures/stateful.js', import.meta.url));
  const replica = stdioOf(process.execPath, [script]);
  const pool = startPool(t, [serverOf([replica, replica], { isolation: 'session' })]);
  await pool.ready();
  const sessions = Array.from({ length: 6 }, (_, index) => sessionOf(`s${index}`));
  const places = new Set<number>();
  for (const session of sessions) {
    const call = pool.call('remember', { value: session.id }, as(session));
    places.add(call.exchange.call.endpoint);
    await said(call);
  }
  assert.deepEqual([...places].sort(), [0, 1]);
  for (let round = 0; round < 4; round += 1) {
    const states = await Promise.all(sessions.map((session) => said(pool.call('recall', {}, as(session)))));
    assert.deepEqual(
      states.map(({ remembered }) => remembered),
      sessions.map(({ id }) => id),
    );
  }
  // Dedicated children go on while the shared child is down.
  process.kill(pidOf(pool), 'SIGKILL');
  await eventually('one endpoint down', () => pool.server().endpoints[0]!.state !== 'ready');
  for (const session of sessions) {
    assert.equal((await said(pool.call('recall', {}, as(session)))).remembered, session.id);
  }
});
