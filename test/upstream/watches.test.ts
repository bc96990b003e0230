import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Capability } from '../../src/protocol/client-capabilities.js';
import { ControlError } from '../../src/upstream/control.js';
import type { LaneClient } from '../../src/upstream/types.js';
import { JOURNAL_VARIABLE, readJournal } from '../support/call-journal.js';
import {
  eventually,
  freePort,
  type RunningProcess,
  startProcess,
  type TestScope,
  tempFolder,
} from '../support/process.js';
import { type Harness, httpOf, serverOf, startPool, stdioOf } from './harness.js';

type Family = 'legacy' | 'modern';

const WATCHED = fileURLToPath(new URL('../support/watched-server.js', import.meta.url));

interface Watched extends Harness {
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

async function started(pool: Harness, journal: Watched['journal']): Promise<Watched> {
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
  const pid = pool.server().endpoints[0]!.details()['pid'] as number;
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

const STATEFUL = fileURLToPath(new URL('./fixtures/stateful.js', import.meta.url));

function clientOf(sessionId: string, capabilities = 0): LaneClient {
  return { sessionId, subject: new Int32Array(4), capabilities };
}

test('isolated: a client follows on its own lane, and updates say whose they are', async (t) => {
  const isolation = 'session';
  const pool = startPool(t, [serverOf([stdioOf(process.execPath, [STATEFUL])], { isolation, laneIdleMs: 100 })]);
  await pool.ready();
  const server = pool.server();
  const [a, b] = [clientOf('a', Capability.sampling), clientOf('b')];
  await server.watch('resource', 'test://x', a);
  const lanes = () => server.snapshotState()['lanes'];
  assert.equal(lanes(), 1);
  const session = { id: 'a', capabilityMask: Capability.sampling } as never;
  await pool.call('touch', { uri: 'test://x' }, { session }).done;
  await eventually('the update', () => pool.updatedResources.length === 1);
  assert.equal(pool.updateOwners[0]?.sessionId, 'a');
  // It is not idle as long as something is followed on it, and starts again by itself when its child is killed.
  await server.watch('resource', 'test://x', b);
  server.unwatch('resource', 'test://x', b);
  await eventually('only the first lane left', () => lanes() === 1);
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
  await eventually('no lane left', () => lanes() === 0);
});

test('a refusal reaches everybody who waits, and leaves nothing behind', async (t) => {
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
  assert.equal(server.snapshotState()['watches'], 0);
});

test('a server without subscriptions, or without a connection, is not waited for', async (t) => {
  const child = fileURLToPath(new URL('./fixtures/child.js', import.meta.url));
  const pool = startPool(t, [
    serverOf([stdioOf(process.execPath, [child, 'plain'])]),
    serverOf([stdioOf(process.execPath, [child, 'exit'])]),
  ]);
  await pool.ready(0);
  await assert.rejects(pool.server(0).watch('resource', 'test://a', null), { kind: 'rpc', number: -32_601 });
  await assert.rejects(pool.server(1).watch('resource', 'test://a', null), { kind: 'closed' });
});
