/** Calls while the channel of their server is opened again, and when that is tried. */
import assert from 'node:assert/strict';
import { mkdir, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { eventually, type TestScope, tempFolder } from '../../support/process.js';
import { startChannel } from '../channel-servers.js';
import { serverOf, snapshotOf, startPool, stdioOf } from '../fixture.js';

const CHILD = fileURLToPath(new URL('../fixtures/child.js', import.meta.url));
const textOf = (response: { result: { content: { text: string }[] } }): string => response.result.content[0]!.text;

for (const transport of ['stdio', 'sse', 'websocket'] as const) {
  test(`${transport}: calls wait while the server is started again, however often it ends after its handshake`, async (t) => {
    const pool = await startChannel(t, transport, 'plain');
    await pool.ready();
    const times = transport === 'stdio' ? 7 : 3;
    for (let time = 0; time < times; time += 1) {
      assert.equal((await pool.call('call', { do: 'cut' }).done).error, 'GW_UPSTREAM_CLOSED');
      const calls = [1, 2, 3].map((a) => pool.call('call', { a }, { awaits: true }));
      const outcomes = await Promise.all(calls.map(({ done }) => done));
      assert.deepEqual(
        outcomes.map(({ response }) => textOf(response)),
        ['{"a":1}', '{"a":2}', '{"a":3}'],
      );
    }
    assert.equal(pool.states.filter(({ state }) => state === 'failed').length, 0);
    assert.equal(pool.server().endpoints[0]!.stats.restarts, times);
  });

  test(`${transport}: a call that waits can be cancelled, and none waits where the configuration queues none`, async (t) => {
    const pool = await startChannel(t, transport, 'plain', { maxQueue: 0 });
    await pool.ready();
    await pool.call('call', { do: 'cut' }).done;
    const refused = pool.call('call', {}, { awaits: true });
    assert.deepEqual([(await refused.done).error, refused.sent], ['GW_UPSTREAM_DOWN', false]);

    const queued = await startChannel(t, transport, 'plain');
    await queued.ready();
    await queued.call('call', { do: 'cut' }).done;
    const waiting = queued.call('call', { a: 1 }, { awaits: true });
    queued.server().endpoints[0]!.cancel(waiting.exchange);
    assert.equal(textOf((await queued.call('call', { a: 2 }, { awaits: true }).done).response), '{"a":2}');
    assert.equal(waiting.reports, 0);
  });
}

/** A child that can be started only while its working directory exists. */
async function startInFolder(scope: TestScope, connectTimeoutMs: number) {
  const cwd = join(await tempFolder(scope), 'here');
  await mkdir(cwd);
  const server = serverOf([{ ...stdioOf(process.execPath, [CHILD, 'plain']), cwd }] as never, { connectTimeoutMs });
  const pool = startPool(scope, [server]);
  await pool.ready();
  return { cwd, server, pool };
}

test('a call waits no longer than connectTimeoutMs', async (t) => {
  const { pool, cwd } = await startInFolder(t, 2_000);
  await rmdir(cwd);
  await pool.call('call', { do: 'exit' }).done;
  const { error, sent, retryAfterMs } = await pool.call('call', {}, { awaits: true }).done;
  assert.deepEqual([error, sent], ['GW_UPSTREAM_DOWN', false]);
  assert.ok(retryAfterMs >= 1_000, `${retryAfterMs}`);
});

test('a server that is on hold says when it is tried again; a reload tries at once', async (t) => {
  const { pool, cwd, server } = await startInFolder(t, 10_000);
  await rmdir(cwd);
  await pool.call('call', { do: 'exit' }).done;
  const waiting = pool.call('call', {}, { awaits: true });
  const endpoint = pool.server().endpoints[0]!;
  await eventually('on hold', () => endpoint.state === 'failed', 15_000);
  assert.equal((await waiting.done).error, 'GW_UPSTREAM_DOWN', 'the hold is longer than it may wait');
  assert.ok(waiting.retryAfterMs > 50_000 && waiting.retryAfterMs <= 60_000, `${waiting.retryAfterMs}`);
  assert.ok(pool.server().retryInMs() > 40_000);
  assert.equal(pool.call('call', {}, { awaits: true }).error, 'GW_UPSTREAM_DOWN');
  await mkdir(cwd);
  pool.pool.replace(snapshotOf([server]));
  await eventually('ready', () => endpoint.state === 'ready');
  assert.equal(textOf((await pool.call('call', { a: 1 }).done).response), '{"a":1}');
});
