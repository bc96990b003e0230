import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { Capability } from '../../../src/protocol/client-capabilities.js';
import { ControlError } from '../../../src/upstream/core/control.js';
import type { ClientIdentity, ListenFilter } from '../../../src/upstream/core/types.js';
import { JOURNAL_VARIABLE, readJournal } from '../../support/call-journal.js';
import {
  eventually,
  freePort,
  type RunningProcess,
  startProcess,
  type TestScope,
  tempFolder,
} from '../../support/process.js';
import { rawUpstream } from '../../support/raw-upstream.js';
import { dedicatedCount, httpOf, type PoolFixture, pidOf, serverOf, startPool, stdioOf } from '../fixture.js';

type Family = 'legacy' | 'modern';

const WATCHED = fileURLToPath(new URL('../../support/watched-server.js', import.meta.url));

interface Watched extends PoolFixture {
  /** Arguments of what went into the journal under that name. */
  journal(name: string): unknown[];
  /** Lets the server change a resource. */
  touch(uri: string): Promise<void>;
}

async function journalOf(scope: TestScope) {
  const file = join(await tempFolder(scope), 'journal.jsonl');
  const journal = (name: string): unknown[] =>
    readJournal(file)
      .filter((entry) => entry.name === name)
      .map(({ args }) => args);
  return { file, journal };
}

async function overStdio(scope: TestScope, family: Family): Promise<Watched> {
  const { file, journal } = await journalOf(scope);
  const endpoint = stdioOf(process.execPath, [WATCHED, family, 'stdio'], { [JOURNAL_VARIABLE]: file });
  return started(startPool(scope, [serverOf([endpoint])]), journal);
}

async function overHttp(scope: TestScope, family: Family): Promise<Watched & { restart(): Promise<void> }> {
  const { file, journal } = await journalOf(scope);
  const port = await freePort();
  const start = async (): Promise<RunningProcess> => {
    const env = { PORT: String(port), [JOURNAL_VARIABLE]: file };
    const running = startProcess(scope, process.execPath, [WATCHED, family, 'http'], { env });
    await running.waitForLine(/^listening on/);
    return running;
  };
  let running = await start();
  const pool = startPool(scope, [serverOf([httpOf(`http://127.0.0.1:${port}/mcp`)])]);
  const restart = async (): Promise<void> => {
    await running.stop('SIGKILL');
    running = await start();
  };
  return Object.assign(await started(pool, journal), { restart });
}

async function started(pool: PoolFixture, journal: Watched['journal']): Promise<Watched> {
  await pool.ready();
  const touch = async (uri: string): Promise<void> => {
    const { error } = await pool.call('touch', { uri }).done;
    assert.equal(error, null);
  };
  return Object.assign(pool, { journal, touch });
}

const quiet = () => new Promise((resolve) => setTimeout(resolve, 100));

for (const open of [overStdio, overHttp]) {
  test(`legacy ${open.name}: many clients make one subscription, the last one ends it`, async (t) => {
    const pool = await open(t, 'legacy');
    const server = pool.server();
    await Promise.all(Array.from({ length: 100 }, () => server.watch('resource', 'test://a', null)));
    await server.watch('resource', 'test://b', null);
    assert.deepEqual(pool.journal('test://a'), ['subscribe']);
    await pool.touch('test://a');
    await eventually('the update', () => pool.updatedResources.length > 0);
    await quiet();
    assert.deepEqual(pool.updatedResources, ['test://a']);
    assert.deepEqual(pool.updateOwners, [null]);
    for (let index = 0; index < 99; index += 1) server.unwatch('resource', 'test://a', null);
    await quiet();
    assert.deepEqual(pool.journal('test://a'), ['subscribe']);
    server.unwatch('resource', 'test://a', null);
    await eventually('the end of the subscription', () => pool.journal('test://a').length === 2);
    // One too many changes nothing.
    server.unwatch('resource', 'test://a', null);
    await server.watch('resource', 'test://a', null);
    assert.deepEqual(pool.journal('test://a'), ['subscribe', 'unsubscribe', 'subscribe']);
    assert.deepEqual(pool.journal('test://b'), ['subscribe']);
  });
}

test('legacy: what is wanted while the end of it is on its way is followed in the end', async (t) => {
  const pool = await overHttp(t, 'legacy');
  const server = pool.server();
  for (let round = 0; round < 20; round += 1) {
    await server.watch('resource', 'test://a', null);
    server.unwatch('resource', 'test://a', null);
  }
  await server.watch('resource', 'test://a', null);
  await quiet();
  assert.equal(pool.journal('test://a').at(-1), 'subscribe');
  await pool.touch('test://a');
  await eventually('the update', () => pool.updatedResources.length === 1);
});

test('legacy stdio: subscriptions are made again by a child that was restarted', async (t) => {
  const pool = await overStdio(t, 'legacy');
  await pool.server().watch('resource', 'test://a', null);
  const pid = pidOf(pool);
  process.kill(pid, 'SIGKILL');
  await eventually('a second subscription', () => pool.journal('test://a').length === 2);
  await pool.touch('test://a');
  await eventually('the update', () => pool.updatedResources.length === 1);
});

test('legacy HTTP: subscriptions are made again in the session after a restart', async (t) => {
  const pool = await overHttp(t, 'legacy');
  await pool.server().watch('resource', 'test://a', null);
  await pool.restart();
  await eventually('a second subscription', () => pool.journal('test://a').length === 2, 20_000);
  await pool.touch('test://a');
  await eventually('the update', () => pool.updatedResources.length === 1);
});

test('legacy HTTP: a subscription that is refused for a while after a lost session is made later', async (t) => {
  let subscriptions = 0;
  const upstream = await rawUpstream(
    t,
    ({ message: { method } }, answer) => {
      if (method === 'tools/call') answer.response.writeHead(404).end();
      else if (method === 'resources/subscribe') {
        subscriptions += 1;
        if (subscriptions === 2) answer.response.writeHead(503).end();
        else answer.result({});
      } else answer.result({ resources: [], resourceTemplates: [] });
    },
    { capabilities: { resources: { subscribe: true } } },
  );
  const pool = startPool(t, [serverOf([httpOf(upstream.url)])]);
  await pool.ready();
  await pool.server().watch('resource', 'test://a', null);
  await pool.call('call').done;
  await eventually('the subscription in the new session', () => subscriptions === 3);
});

test('modern HTTP: everything is folded into one listen, changes are collected', async (t) => {
  const pool = await overHttp(t, 'modern');
  const server = pool.server();
  await eventually('the listen for the lists', () => pool.journal('subscriptions/listen').length === 1);
  assert.deepEqual(pool.journal('subscriptions/listen').at(-1), {
    toolsListChanged: true,
    resourcesListChanged: true,
  });
  const uris = Array.from({ length: 50 }, (_, index) => `test://${index}`);
  await Promise.all(uris.flatMap((uri) => [server.watch('resource', uri, null), server.watch('resource', uri, null)]));
  const listens = pool.journal('subscriptions/listen') as { resourceSubscriptions?: string[] }[];
  assert.equal(listens.length, 2);
  assert.deepEqual(listens[1]!.resourceSubscriptions, uris);
  await pool.touch('test://7');
  await pool.touch('test://nobody');
  await eventually('the update', () => pool.updatedResources.length > 0);
  await quiet();
  assert.deepEqual(pool.updatedResources, ['test://7']);
  for (const uri of uris) server.unwatch('resource', uri, null);
  await quiet();
  assert.equal(pool.journal('subscriptions/listen').length, 2);
  for (const uri of uris.slice(1)) server.unwatch('resource', uri, null);
  await eventually('a third listen', () => pool.journal('subscriptions/listen').length === 3);
  await pool.touch('test://7');
  await pool.touch('test://0');
  await eventually('the update', () => pool.updatedResources.length === 2);
  await quiet();
  assert.deepEqual(pool.updatedResources, ['test://7', 'test://0']);
});

test('modern HTTP: nothing is lost while one listen takes the place of another', async (t) => {
  const pool = await overHttp(t, 'modern');
  const server = pool.server();
  await server.watch('resource', 'test://always', null);
  for (let round = 0; round < 30; round += 1) {
    const change = server.watch('resource', `test://${round}`, null);
    await pool.touch('test://always');
    await change;
  }
  const updates = () => pool.updatedResources.filter((uri) => uri === 'test://always').length;
  await eventually('every update', () => updates() >= 30);
});

test('modern HTTP: the listen is opened again by a server that was restarted', async (t) => {
  const pool = await overHttp(t, 'modern');
  await pool.server().watch('resource', 'test://a', null);
  const before = pool.journal('subscriptions/listen').length;
  await pool.restart();
  await eventually('another listen', () => pool.journal('subscriptions/listen').length > before, 20_000);
  await eventually('the update', async () => {
    await pool.touch('test://a').catch(() => {});
    return pool.updatedResources.includes('test://a');
  });
});

test('modern stdio: followed through one listen on the pipe', async (t) => {
  const pool = await overStdio(t, 'modern');
  await pool.server().watch('resource', 'test://a', null);
  await pool.touch('test://a');
  await eventually('the update', () => pool.updatedResources.length === 1);
});

const STATEFUL = fileURLToPath(new URL('../fixtures/stateful.js', import.meta.url));

function clientOf(sessionId: string, capabilities = 0): ClientIdentity {
  return { sessionId, subject: new Int32Array(4), capabilities, token: '' };
}

test('isolated: a client follows on its dedicated child, and updates carry its owner', async (t) => {
  const isolation = 'session';
  const pool = startPool(t, [serverOf([stdioOf(process.execPath, [STATEFUL])], { isolation, dedicatedIdleMs: 100 })]);
  await pool.ready();
  const server = pool.server();
  const [a, b] = [clientOf('a', Capability.sampling), clientOf('b')];
  await server.watch('resource', 'test://x', a);
  const dedicated = () => dedicatedCount(pool);
  assert.equal(dedicated(), 1);
  const session = { id: 'a', capabilityMask: Capability.sampling } as never;
  await pool.call('touch', { uri: 'test://x' }, { session }).done;
  await eventually('the update', () => pool.updatedResources.length === 1);
  assert.equal(pool.updateOwners[0]?.sessionId, 'a');
  // It is not idle as long as something is followed on it, and starts again by itself when its child is killed.
  await server.watch('resource', 'test://x', b);
  server.unwatch('resource', 'test://x', b);
  await eventually('only the first child left', () => dedicated() === 1);
  const recall = async () => {
    const { response } = await pool.call('recall', {}, { session }).done;
    return response === undefined ? null : JSON.parse(response.result.content[0].text);
  };
  const before = await recall();
  process.kill(before.pid, 'SIGKILL');
  const after = await eventually('subscribed again', async () => {
    const state = await recall();
    return state?.subscribed.length === 1 ? state : null;
  });
  assert.notEqual(after.pid, before.pid);
  server.unwatch('resource', 'test://x', a);
  await eventually('no dedicated child left', () => dedicated() === 0);
});

test('a refusal rejects all waiting requests, and leaves nothing behind', async (t) => {
  const pool = startPool(t, [serverOf([stdioOf(process.execPath, [STATEFUL])])]);
  await pool.ready();
  const server = pool.server();
  const attempts = Array.from({ length: 5 }, () => server.watch('resource', 'secret:x', null));
  for (const outcome of await Promise.allSettled(attempts)) {
    assert.equal(outcome.status, 'rejected');
    assert.ok(outcome.reason instanceof ControlError);
    assert.deepEqual([outcome.reason.kind, outcome.reason.number], ['rpc', -32_602]);
  }
  await assert.rejects(server.watch('task', 'x', null), { kind: 'rpc', number: -32_601 });
  const [endpoint] = server.endpoints;
  assert.equal(server.follows(endpoint!, 'resource', 'secret:x') || server.follows(endpoint!, 'task', 'x'), false);
});

test('a server without subscriptions, or without a connection, is not waited for', async (t) => {
  const child = fileURLToPath(new URL('../fixtures/child.js', import.meta.url));
  const pool = startPool(t, [
    serverOf([stdioOf(process.execPath, [child, 'plain'])]),
    serverOf([stdioOf(process.execPath, [child, 'exit'])]),
  ]);
  await pool.ready(0);
  await assert.rejects(pool.server(0).watch('resource', 'test://a', null), { kind: 'rpc', number: -32_601 });
  await assert.rejects(pool.server(1).watch('resource', 'test://a', null), { kind: 'closed' });
});

test('replicas: everything is followed at each of them, and by those that are left', async (t) => {
  const { file, journal } = await journalOf(t);
  const replica = stdioOf(process.execPath, [WATCHED, 'legacy', 'stdio'], { [JOURNAL_VARIABLE]: file });
  const pool = startPool(t, [serverOf([replica, replica])]);
  await pool.ready();
  const server = pool.server();
  await Promise.all([server.watch('resource', 'test://a', null), server.watch('resource', 'test://a', null)]);
  await eventually('both subscribed', () => journal('test://a').length === 2);
  const pid = pidOf(pool);
  process.kill(pid, 'SIGKILL');
  await eventually('one of them gone', () => server.endpoints[0]!.state !== 'ready');
  await server.watch('resource', 'test://b', null);
  await eventually('both follow both', () => journal('test://a').length === 3 && journal('test://b').length === 2);
  server.unwatch('resource', 'test://a', null);
  server.unwatch('resource', 'test://a', null);
  await eventually('both told of the end', () => journal('test://a').length === 5);
});

const URIS = ['test://a', 'test://b', 'test://c'];
const steps = fc.array(
  fc.record({ uri: fc.constantFrom(...URIS), watch: fc.boolean(), pauseMs: fc.constantFrom(0, 0, 0, 1, 25) }),
  { maxLength: 30 },
);

for (const family of ['legacy', 'modern'] as const) {
  test(`${family}: whatever comes and goes, what was confirmed is followed until it is left`, async (t) => {
    const pool = await overHttp(t, family);
    const server = pool.server();
    const followed = (): string[] => {
      if (family === 'legacy') return URIS.filter((uri) => pool.journal(uri).at(-1) === 'subscribe');
      const last = pool.journal('subscriptions/listen').at(-1) as { resourceSubscriptions?: string[] };
      return [...(last.resourceSubscriptions ?? [])].sort();
    };
    await fc.assert(
      fc.asyncProperty(steps, async (given) => {
        const held: string[] = [];
        const pending: Promise<unknown>[] = [];
        for (const { uri, watch, pauseMs } of given) {
          const at = held.indexOf(uri);
          if (watch) pending.push(server.watch('resource', uri, null).then(() => held.push(uri)));
          else if (at >= 0) server.unwatch('resource', held.splice(at, 1)[0]!, null);
          if (pauseMs > 0) await new Promise((resolve) => setTimeout(resolve, pauseMs));
        }
        await Promise.all(pending);
        const wanted = [...new Set(held)].sort();
        pool.updatedResources.length = 0;
        await Promise.all(wanted.map((uri) => pool.touch(uri)));
        await eventually('an update for each', () => wanted.every((uri) => pool.updatedResources.includes(uri)));
        await eventually('nothing else followed', () => followed().join() === wanted.join());
        for (const uri of held) server.unwatch('resource', uri, null);
        await eventually('nothing followed', () => followed().length === 0);
        for (const uri of URIS) assert.equal(server.follows(server.endpoints[0]!, 'resource', uri), false);
      }),
      { numRuns: 25 },
    );
  });
}

/** A modern upstream that honours what `honour` leaves of the filter; null = it refuses. */
async function picky(scope: TestScope, honour: (filter: ListenFilter) => object | null) {
  const upstream = await rawUpstream(
    scope,
    ({ message }, answer) => {
      if (message.method !== 'subscriptions/listen') {
        answer.result({ resultType: 'complete', resources: [], resourceTemplates: [] });
        return;
      }
      const honoured = honour(message.params.notifications);
      if (honoured === null) {
        const error = { code: -32_601, message: 'Method not found' };
        answer.response.writeHead(404, { 'content-type': 'application/json' });
        answer.response.end(JSON.stringify({ jsonrpc: '2.0', id: message.id, error }));
        return;
      }
      const _meta = { 'io.modelcontextprotocol/subscriptionId': message.id };
      const params = { notifications: honoured, _meta };
      answer.sse().event({ jsonrpc: '2.0', method: 'notifications/subscriptions/acknowledged', params });
    },
    {
      family: 'modern',
      capabilities: {
        tools: { listChanged: true },
        resources: { subscribe: true },
        extensions: { 'io.modelcontextprotocol/tasks': {} },
      },
    },
  );
  const pool = startPool(scope, [serverOf([httpOf(upstream.url)])]);
  await pool.ready();
  return { server: pool.server(), listens: () => upstream.received('subscriptions/listen') };
}

test('modern: what the upstream does not honour is refused, the rest followed', async (t) => {
  const { server, listens } = await picky(t, ({ resourceSubscriptions = [], ...rest }) => ({
    ...rest,
    resourceSubscriptions: resourceSubscriptions.filter((uri) => uri !== 'test://b'),
  }));
  const outcomes = await Promise.allSettled([
    server.watch('resource', 'test://a', null),
    server.watch('resource', 'test://b', null),
    server.watch('task', 'task-1', null),
  ]);
  assert.deepEqual(
    outcomes.map(({ status }) => status),
    ['fulfilled', 'rejected', 'fulfilled'],
  );
  const [endpoint] = server.endpoints;
  assert.deepEqual(
    ['test://a', 'test://b'].map((uri) => server.follows(endpoint!, 'resource', uri)),
    [true, false],
  );
  assert.equal(server.follows(endpoint!, 'task', 'task-1'), true);
  const last = listens().at(-1)!.message.params.notifications;
  assert.deepEqual(last, {
    toolsListChanged: true,
    resourceSubscriptions: ['test://a', 'test://b'],
    taskIds: ['task-1'],
  });
});

test('modern: an upstream that refuses a listen gets another one only for a new request', async (t) => {
  const { server, listens } = await picky(t, () => null);
  await eventually('the first listen', () => listens().length === 1);
  await new Promise((resolve) => setTimeout(resolve, 600));
  assert.equal(listens().length, 1);
  await assert.rejects(server.watch('resource', 'test://a', null), ControlError);
  assert.equal(listens().length, 2);
  assert.equal(server.follows(server.endpoints[0]!, 'resource', 'test://a'), false);
});
