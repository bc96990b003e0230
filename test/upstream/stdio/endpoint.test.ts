import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { LimitsSnapshot, ServerSnapshot } from '../../../src/config/snapshot/index.js';
import { Exchange } from '../../../src/request/exchange/index.js';
import { packedText } from '../../../src/shared/packed.js';
import { eventually, type TestScope, tempFolder } from '../../support/process.js';
import { namesOf, type PoolFixture, serverOf, startPool, stdioOf } from '../fixture.js';

const CHILD = fileURLToPath(new URL('../fixtures/child.js', import.meta.url));

function startChild(
  scope: TestScope,
  mode: string,
  more: Partial<ServerSnapshot> = {},
  limits: Partial<LimitsSnapshot> = {},
  env: Record<string, string> = {},
): PoolFixture {
  return startPool(scope, [serverOf([stdioOf(process.execPath, [CHILD, mode], env)], more)], limits);
}

async function startStoppable(scope: TestScope, limits: Partial<LimitsSnapshot> = {}) {
  const file = join(await tempFolder(scope), 'pids');
  const pool = startChild(scope, 'plain', {}, limits, { PID_FILE: file });
  await pool.ready();
  return { pool, pid: Number(readFileSync(file, 'utf8').trim()) };
}

const textOf = (response: { result: { content: { text: string }[] } }): string => response.result.content[0]!.text;

test('lists are read page by page and keep their bytes', async (t) => {
  const pool = startChild(t, 'plain');
  const { tools, instructions, era } = await pool.ready();
  assert.equal(era, 0);
  assert.equal(instructions, 'do as you like');
  assert.equal(packedText(tools, 0), '{"name":"call" , "inputSchema":{"type":"object"},"x":1.0e2}');
  assert.deepEqual(namesOf(tools), ['call', 'last']);
});

test('100 calls in flight come back to their callers in crossed order', async (t) => {
  const pool = startChild(t, 'plain', { maxConnections: 200 });
  await pool.ready();
  const calls = Array.from({ length: 100 }, (_, index) => pool.call('call', { do: 'wait', ms: 100 - index }));
  const outcomes = await Promise.all(calls.map((call) => call.done));
  assert.deepEqual(
    outcomes.map(({ response }) => textOf(response)),
    Array.from({ length: 100 }, (_, index) => String(100 - index)),
  );
  assert.ok(outcomes.every(({ reports }) => reports === 1));
  assert.equal(pool.pool.inFlight, 0);
  assert.equal(pool.table.inUse, 0);
});

test('junk on standard output is counted and logged escaped, and calls go on', async (t) => {
  const pool = startChild(t, 'plain');
  await pool.ready();
  const { response } = await pool.call('call', { do: 'junk' }).done;
  assert.equal(textOf(response), 'after junk');
  assert.equal(pool.server().endpoints[0]!.stats.junkLines, 5);
  const lines = pool.log.map(({ fields }) => fields['line']).filter((line) => line !== undefined);
  assert.ok(lines.includes('\\x1b[31mred\\x1b[0m'));
  assert.ok(lines.includes('\\xff\\xfe\\x80'));
});

test('JSON with the id of a call that is no answer fails the call', async (t) => {
  const pool = startChild(t, 'plain');
  await pool.ready();
  assert.equal((await pool.call('call', { do: 'bad' }).done).error, 'GW_UPSTREAM_PROTOCOL');
});

test('second responses and responses without a call are dropped and counted; an id as a string is accepted', async (t) => {
  const pool = startChild(t, 'plain');
  await pool.ready();
  assert.equal(textOf((await pool.call('call', { do: 'twice' }).done).response), 'first');
  assert.equal(textOf((await pool.call('call', { do: 'stranger' }).done).response), 'mine');
  assert.equal(textOf((await pool.call('call', { do: 'string-id' }).done).response), 'string');
  assert.equal(pool.server().endpoints[0]!.stats.unknownIds, 2);
});

test('a child that ends fails its calls at once and is started again', async (t) => {
  const pool = startChild(t, 'plain');
  await pool.ready();
  const waiting = pool.call('call', { do: 'hang' });
  const { error, sent } = await pool.call('call', { do: 'exit' }).done;
  assert.equal(error, 'GW_UPSTREAM_CLOSED');
  assert.equal(sent, true);
  assert.equal((await waiting.done).error, 'GW_UPSTREAM_CLOSED');
  assert.equal(pool.call('call', {}).error, 'GW_UPSTREAM_DOWN');
  await eventually('another child', () => pool.server().endpoints[0]!.state === 'ready');
  assert.equal(textOf((await pool.call('call', { a: 1 }).done).response), '{"a":1}');
  assert.equal(pool.server().endpoints[0]!.stats.restarts, 1);
  assert.equal(pool.discoveries.length, 1, 'nothing changed, so nothing is announced');
});

test('a child that always ends is given up for a while', async (t) => {
  const pool = startChild(t, 'exit');
  await eventually('failed', () => pool.server().endpoints[0]!.state === 'failed', 15_000);
  assert.equal(pool.server().endpoints[0]!.reason, 'exited with code 7');
  assert.equal(pool.server().unavailable(new Exchange(0)), 'GW_UPSTREAM_NOT_CONNECTED');
  assert.equal(pool.states.filter(({ state }) => state === 'failed').length, 1);
  assert.ok(pool.states.filter(({ state }) => state === 'connecting').length <= 7);
});

test('a command that does not exist is a state, not a crash', async (t) => {
  const pool = startPool(t, [serverOf([stdioOf('switchyard-no-such-command', [])])]);
  await eventually('backoff', () => pool.server().endpoints[0]!.reason.includes('cannot be started'));
  const { reason } = pool.server().endpoints[0]!;
  const path = process.env['PATH'] ?? '';
  const shown = path.length > 1_000 ? `${path.slice(0, 1_000)}...` : path;
  assert.equal(reason, `cannot be started: spawn switchyard-no-such-command ENOENT (PATH ${shown})`);
});

test('the PATH in the reason is the one that was searched, and 127 of a program is its exit code', async (t) => {
  const own = { ...stdioOf('switchyard-no-such-command', []), env: { PATH: '/nowhere:/neither' } };
  const pool = startPool(t, [serverOf([own]), serverOf([stdioOf('sh', ['-c', 'exit 127'])], { name: 'other' })]);
  const reasonOf = (server: number): string => pool.server(server).endpoints[0]!.reason;
  await eventually('no program', () => reasonOf(0).endsWith('(PATH /nowhere:/neither)'));
  await eventually('an exit', () => reasonOf(1) === 'exited with code 127');
});

test('what the system refuses to start is a state too', async (t) => {
  const pool = startPool(t, [serverOf([stdioOf(process.execPath, ['a\0b'])])]);
  const endpoint = pool.server().endpoints[0]!;
  assert.deepEqual([endpoint.state, endpoint.reason], ['backoff', 'cannot be started (ERR_INVALID_ARG_VALUE)']);
});

test('a child that ends on a request before initialize is not probed again', async (t) => {
  const pool = startChild(t, 'strict');
  assert.equal((await pool.ready()).era, 0);
  assert.equal(pool.server().endpoints[0]!.stats.restarts, 1);
});

test('at the deadline the call fails and is cancelled at the child', async (t) => {
  const pool = startChild(t, 'plain');
  await pool.ready();
  const outcome = pool.call('call', { do: 'hang' }, { deadlineMs: 150 });
  const id = outcome.exchange.call.upstreamId;
  assert.equal((await outcome.done).error, 'GW_UPSTREAM_TIMEOUT');
  const heard = JSON.parse(textOf((await pool.call('call', { do: 'heard' }).done).response));
  assert.deepEqual(heard.at(-1), { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: id } });
});

test('a stopped child does not hold calls past their deadline', async (t) => {
  const { pool, pid } = await startStoppable(t);
  process.kill(pid, 'SIGSTOP');
  assert.equal((await pool.call('call', {}, { deadlineMs: 100 }).done).error, 'GW_UPSTREAM_TIMEOUT');
  process.kill(pid, 'SIGCONT');
  assert.equal(textOf((await pool.call('call', { a: 1 }).done).response), '{"a":1}');
});

test('a cancelled call is withdrawn before it is written, and cancelled upstream after', async (t) => {
  const pool = startChild(t, 'plain');
  await pool.ready();
  const endpoint = pool.server().endpoints[0]!;
  const unsent = pool.call('call', { do: 'exit' });
  endpoint.cancel(unsent.exchange);
  assert.equal(endpoint.inFlight, 0);
  const sent = pool.call('call', { do: 'hang' });
  await eventually('written', () => sent.exchange.call.sent);
  const id = sent.exchange.call.upstreamId;
  endpoint.cancel(sent.exchange);
  const heard = JSON.parse(textOf((await pool.call('call', { do: 'heard' }).done).response));
  assert.deepEqual(
    heard.filter(({ method }: { method: string }) => method === 'notifications/cancelled'),
    [{ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: id } }],
  );
  assert.equal(unsent.reports + sent.reports, 0);
});

test('calls wait when as many are in flight as may be, up to the queue', async (t) => {
  const pool = startChild(t, 'plain', { maxConnections: 2, maxQueue: 3 });
  await pool.ready();
  const calls = Array.from({ length: 6 }, (_, index) => pool.call('call', { do: 'wait', ms: 30, index }));
  const outcomes = await Promise.all(calls.map((call) => call.done));
  assert.deepEqual(
    outcomes.map(({ error }) => error),
    [null, null, null, null, null, 'GW_UPSTREAM_BUSY'],
  );
  assert.equal(outcomes[5]!.sent, false);
});

test('a child that reads nothing fills its pipe, not the memory', async (t) => {
  const { pool, pid } = await startStoppable(t, { maxPipeBytes: 300_000 });
  process.kill(pid, 'SIGSTOP');
  const padding = 'x'.repeat(50_000);
  const calls = Array.from({ length: 40 }, () => pool.call('call', { padding }, { deadlineMs: 300 }));
  const outcomes = await Promise.all(calls.map((call) => call.done));
  const busy = outcomes.filter(({ error }) => error === 'GW_UPSTREAM_BUSY');
  assert.ok(busy.length >= 30, `${busy.length} of 40 were refused`);
  assert.ok(busy.every(({ sent }) => sent === false));
  assert.ok(outcomes.every(({ error }) => error === 'GW_UPSTREAM_BUSY' || error === 'GW_UPSTREAM_TIMEOUT'));
  process.kill(pid, 'SIGCONT');
});

test('progress goes to the call whose token it has', async (t) => {
  const pool = startChild(t, 'plain');
  await pool.ready();
  const calls = [1, 2, 3].map(() => pool.call('call', { do: 'progress', ms: 10 }, { progress: true }));
  for (const { notifications, exchange, done } of calls) {
    const token = exchange.call.upstreamId;
    await done;
    assert.deepEqual(
      notifications.map(({ params }) => [params.progressToken, params.progress]),
      [
        [token, 1],
        [token, 2],
        [token, 3],
      ],
    );
  }
});

test('progress prolongs a call', async (t) => {
  const pool = startChild(t, 'plain', { requestTimeoutMs: 300 });
  await pool.ready();
  const { response } = await pool.call('call', { do: 'progress', ms: 150 }, { progress: true, deadlineMs: 300 }).done;
  assert.equal(textOf(response), 'done');
});

test('a log message belongs to the only call in flight, and to none of two', async (t) => {
  const pool = startChild(t, 'plain');
  await pool.ready();
  const alone = await pool.call('call', { do: 'log', text: 'mine' }).done;
  assert.deepEqual(
    alone.notifications.map(({ params }) => params.data),
    ['mine'],
  );
  const other = pool.call('call', { do: 'wait', ms: 100 });
  const crowded = await pool.call('call', { do: 'log', text: 'secret', ms: 20 }).done;
  assert.deepEqual(crowded.notifications, []);
  assert.deepEqual((await other.done).notifications, []);
  assert.equal(pool.server().endpoints[0]!.stats.droppedLogs, 1);
});

test("a log message right after another subject's call belongs to no call", async (t) => {
  const pool = startChild(t, 'plain');
  await pool.ready();
  await pool.call('call', {}, { subject: 1 }).done;
  const { notifications } = await pool.call('call', { do: 'log', text: 'whose?' }, { subject: 2 }).done;
  assert.deepEqual(notifications, []);
});

test('ping is answered here; what else the child asks is passed on with the call it belongs to', async (t) => {
  const pool = startChild(t, 'plain');
  await pool.ready();
  const call = pool.call('call', { do: 'ask' });
  const { endpoint, callId, message } = (await eventually('a question', () => pool.serverRequests[0]))!;
  assert.deepEqual([callId, message.id, message.method], [call.id, 'ask-1', 'sampling/createMessage']);
  endpoint.reply(Buffer.from('{"jsonrpc":"2.0","id":"ask-1","result":{"x":1.0}}'));
  await call.done;
  const heard = await eventually('both answers', async () => {
    const all = JSON.parse(textOf((await pool.call('call', { do: 'heard' }).done).response)) as { id?: unknown }[];
    const answers = all.filter(({ id }) => id !== undefined);
    return answers.length === 2 ? answers.sort((a, b) => String(a.id).localeCompare(String(b.id))) : null;
  });
  assert.deepEqual(heard, [
    { jsonrpc: '2.0', id: 77, result: {} },
    { jsonrpc: '2.0', id: 'ask-1', result: { x: 1 } },
  ]);
});

test('changed lists are read again, once for a burst', async (t) => {
  const pool = startChild(t, 'plain');
  await pool.ready();
  await pool.call('call', { do: 'more-tools' }).done;
  await eventually('the new tool', () => pool.discoveries.length === 2);
  assert.deepEqual(namesOf(pool.discoveries[1]!.tools), ['call', 'last', 'more0']);
  assert.equal((await pool.call('call', { do: 'updated' }).done).error, null);
  assert.deepEqual(pool.updatedResources, ['test://a"b']);
});

test('modern: changes are announced on a subscription, which is opened again when the child ends it', async (t) => {
  const pool = startChild(t, 'modern');
  assert.equal((await pool.ready()).era, 1);
  await pool.call('call', { do: 'more-tools' }).done;
  await eventually('the new tool', () => pool.discoveries.length === 2);
  assert.equal(textOf((await pool.call('call', { do: 'end-subscription' }).done).response), 'true');
  await pool.call('call', { do: 'more-tools' }).done;
  await eventually('another tool', () => pool.discoveries.length === 3);
});

test('a child gets a small environment and what is configured', async (t) => {
  process.env['SWITCHYARD_TEST_SECRET'] = 'hunter2';
  t.after(() => delete process.env['SWITCHYARD_TEST_SECRET']);
  const pool = startChild(t, 'plain', {}, {}, { CONFIGURED: 'yes' });
  await pool.ready();
  const environment = JSON.parse(textOf((await pool.call('call', { do: 'environment' }).done).response));
  assert.equal(environment.CONFIGURED, 'yes');
  assert.equal(environment.PATH, process.env['PATH']);
  assert.equal('SWITCHYARD_TEST_SECRET' in environment, false);
  const allowed = /^(HOME|LOGNAME|PATH|SHELL|TERM|USER|LANG|LC_.*|TZ|TMPDIR|CONFIGURED)$/;
  assert.deepEqual(
    Object.keys(environment).filter((name) => !allowed.test(name)),
    [],
  );
});

test('standard error goes to the log, cut and escaped', async (t) => {
  const pool = startChild(t, 'plain');
  await pool.ready();
  await pool.call('call', { do: 'stderr', text: `\u001b[31m${'x'.repeat(5_000)}` }).done;
  const line = await eventually('the line', () =>
    pool.log.find(({ message }) => message === 'stdio child wrote to standard error'),
  );
  assert.match(line.fields['stderr'] as string, /^\\x1b\[31mx{900,1000}\.\.\.$/);
});

test('the last line of standard error is logged without a line end, too', async (t) => {
  const pool = startChild(t, 'plain');
  await pool.ready();
  await pool.call('call', { do: 'stderr', text: 'one\ntwo\nKEY missing', cut: true }).done;
  const lines = await eventually('the lines', () => {
    const found = pool.log.filter(({ message }) => message === 'stdio child wrote to standard error');
    return found.length === 3 && found.map(({ fields }) => fields['stderr']);
  });
  assert.deepEqual(lines, ['one', 'two', 'KEY missing']);
});

test('a working directory that does not exist is named', async (t) => {
  const cwd = join(await tempFolder(t), 'nowhere');
  const server = serverOf([{ ...stdioOf(process.execPath, [CHILD, 'plain']), cwd }] as never);
  const pool = startPool(t, [server]);
  const { reason } = pool.server().endpoints[0]!;
  const reasons = (): string[] => pool.states.map((each) => each.reason);
  const expected = `cannot be started: its working directory ("cwd") "${cwd}" does not exist`;
  await eventually(`the reason, first ${reason}`, () => reasons().includes(expected));
});

test('progress prolongs a call for as long as it comes, and beyond ten times its time limit', async (t) => {
  const pool = startChild(t, 'plain', { requestTimeoutMs: 100 });
  await pool.ready();
  const endpoint = pool.server().endpoints[0]!;
  const call = pool.call('call', { do: 'hang' }, { progress: true, deadlineMs: 60_000 });
  const { exchange } = call;
  await eventually('sent', () => exchange.call.sent);
  // As if it had begun long ago.
  const now = performance.now();
  for (const [age, isProlonged] of [
    [50, true],
    [1_500, true],
    [3_000_000, true],
    [3_700_000, false],
  ] as const) {
    exchange.client.startedAt = now - age;
    exchange.call.deadline = now + 1;
    endpoint.relay(exchange, Buffer.from('{"method":"notifications/progress"}'), 35, exchange.message.spans, true);
    assert.equal(exchange.call.deadline > now + 50, isProlonged, `${age} ms`);
  }
  endpoint.cancel(exchange);
});
