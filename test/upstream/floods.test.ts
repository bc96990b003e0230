/** Upstreams that send as fast as they can: read in turns, limited, and no state lost. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { EndpointSnapshot, LimitsSnapshot } from '../../src/config/snapshot/index.js';
import { eventually, startProcess, type TestScope } from '../support/process.js';
import { httpOf, namesOf, type PoolFixture, serverOf, sseOf, startPool, stdioOf, webSocketOf } from './fixture.js';

const program = fileURLToPath(new URL('../support/flooding-server.js', import.meta.url));
const TRANSPORTS = ['stdio', 'http', 'sse', 'websocket'] as const;
type Transport = (typeof TRANSPORTS)[number];
const SENTENCE = /more than limits\.maxNotificationsPerSecond allows/;

async function endpointOf(scope: TestScope, transport: Transport, args: readonly string[]): Promise<EndpointSnapshot> {
  if (transport === 'stdio') return stdioOf(process.execPath, [program, transport, ...args]);
  const running = startProcess(scope, process.execPath, [program, transport, ...args]);
  const [, host] = await running.waitForLine(/^listening on http:\/\/(\S+)/);
  if (transport === 'websocket') return webSocketOf(`ws://${host}`);
  return transport === 'sse' ? sseOf(`http://${host}/sse`) : httpOf(`http://${host}/mcp`);
}

async function start(
  scope: TestScope,
  transport: Transport,
  args: readonly string[],
  limits: Partial<LimitsSnapshot> = {},
): Promise<PoolFixture> {
  const pool = startPool(scope, [serverOf([await endpointOf(scope, transport, args)])], limits);
  await pool.ready();
  return pool;
}

const statsOf = (pool: PoolFixture) => pool.server().endpoints[0]!.stats;
const sentences = (pool: PoolFixture): number => pool.log.filter(({ message }) => SENTENCE.test(message)).length;
/** The server has one more tool once its flood is over, and says so as its last message. */
const flooded = (pool: PoolFixture) =>
  eventually('the list behind the flood', () => namesOf(pool.discoveries.at(-1)!.tools).includes('flooded'), 60_000);

/** Messages handled in each turn of the event loop, by a count that grows with them. */
function perTurn(scope: TestScope, count: () => number): { most: number } {
  const seen = { most: 0 };
  let last = count();
  let stopped = false;
  const look = (): void => {
    const now = count();
    seen.most = Math.max(seen.most, now - last);
    last = now;
    if (!stopped) setImmediate(look);
  };
  setImmediate(look);
  scope.after(() => {
    stopped = true;
  });
  return seen;
}

const COUNT = 60_000;
const MESSAGES_A_TURN = 16;
const BUDGET = { readBudgetBytes: MESSAGES_A_TURN * 1_024 };
// A source may use one share when its socket is readable and the next one in the same turn of the loop.
const MOST = 2 * MESSAGES_A_TURN;

for (const transport of TRANSPORTS) {
  test(`${transport}: a flood is read in many small turns, to its end and in order`, async (t) => {
    const endpoint = await endpointOf(t, transport, ['--send', 'log', '--count', String(COUNT)]);
    const pool = startPool(t, [serverOf([endpoint])], { ...BUDGET, maxNotificationsPerSecond: 0 });
    const seen = perTurn(t, () => statsOf(pool).droppedLogs);
    await pool.ready();
    await flooded(pool);
    assert.equal(statsOf(pool).droppedLogs, COUNT, 'all of them came, none twice');
    assert.ok(seen.most <= MOST, `${seen.most} messages in one turn`);
    assert.equal(sentences(pool), 0);
  });

  test(`${transport}: responses pass during a flood, which is limited, reported once and followed by the right list`, async (t) => {
    const pool = await start(t, transport, ['--send', 'log', '--count', String(COUNT)], {
      maxNotificationsPerSecond: 100,
    });
    const outcomes = await Promise.all(Array.from({ length: 50 }, () => pool.call('call').done));
    for (const { response, reports } of outcomes) {
      assert.equal(response.result.content[0].text, 'done');
      assert.equal(reports, 1);
    }
    await flooded(pool);
    const { droppedLogs, droppedNotifications } = statsOf(pool);
    assert.equal(droppedLogs + droppedNotifications, COUNT);
    assert.ok(droppedNotifications > COUNT / 2);
    // One an episode: a machine that stands still for a second makes two of it.
    assert.ok(sentences(pool) >= 1 && sentences(pool) <= 5);
  });
}

for (const transport of ['http', 'stdio'] as const) {
  test(`${transport}: a call with a flood of progress before its answer gets the answer, and what comes is in order`, async (t) => {
    const pool = await start(t, transport, ['--send', 'none', '--count', '5000'], { ...BUDGET });
    let most = 0;
    let inTurn = 0;
    const outcome = pool.call(
      'stream',
      {},
      {
        progress: true,
        onNotification: () => {
          if (inTurn === 0)
            setImmediate(() => {
              inTurn = 0;
            });
          inTurn += 1;
          most = Math.max(most, inTurn);
        },
      },
    );
    const { response, notifications } = await outcome.done;
    assert.equal(response.result.content[0].text, 'done');
    assert.equal(notifications.length, 5_000, 'it stays below the default of the limit');
    assert.ok(most <= MOST, `${most} messages in one turn`);
  });
}

test('http: progress of a call is limited as well, its answer is not', async (t) => {
  const pool = await start(t, 'http', ['--send', 'none', '--count', '20000'], { maxNotificationsPerSecond: 500 });
  const { response, notifications } = await pool.call('stream', {}, { progress: true }).done;
  assert.equal(response.result.content[0].text, 'done');
  assert.equal(notifications.length + statsOf(pool).droppedNotifications, 20_000);
  assert.ok(statsOf(pool).droppedNotifications > 0);
});

test('ten sources that flood share one turn of the loop', async (t) => {
  const args = ['--send', 'unknown', '--count', '20000'];
  const servers = await Promise.all(
    Array.from({ length: 10 }, async (_, index) =>
      serverOf([await endpointOf(t, TRANSPORTS[index % 4]!, args)], { name: `flood${index}` }),
    ),
  );
  const pool = startPool(t, servers, { ...BUDGET, maxNotificationsPerSecond: 0 });
  const total = (): number =>
    servers.reduce((sum, _, index) => sum + pool.server(index).endpoints[0]!.stats.unknownIds, 0);
  await eventually('the floods', () => total() > 1_000, 30_000);
  const seen = perTurn(t, total);
  await eventually('their end', () => total() === 200_000, 60_000);
  // Four that go on and as many as have just become readable, one share each.
  assert.ok(seen.most <= 14 * MESSAGES_A_TURN, `${seen.most} messages in one turn`);
});

test('stdio: what a child wrote before it ended is delivered before its end', async (t) => {
  const pool = startPool(t, [serverOf([stdioOf(process.execPath, ['-e', LAST_WORDS])])], {
    ...BUDGET,
    maxNotificationsPerSecond: 0,
  });
  await pool.ready();
  const { response, error } = await pool.call('last').done;
  assert.equal(error, null, 'the answer stood before the end of the output');
  assert.deepEqual(response.result, { content: [] });
});

/** A child that writes a pipe full of log messages, an answer, and ends. */
const LAST_WORDS = `
const log = JSON.stringify({ jsonrpc: '2.0', method: 'notifications/message', params: { level: 'info', data: 'x' } });
const lines = require('node:readline').createInterface({ input: process.stdin });
lines.on('line', (line) => {
  const { id, method, params } = JSON.parse(line);
  if (id === undefined) return;
  const results = {
    initialize: { protocolVersion: params?.protocolVersion, capabilities: { tools: {} }, serverInfo: { name: 'x', version: '1' } },
    'tools/list': { tools: [{ name: 'last', inputSchema: { type: 'object' } }] },
    'tools/call': { content: [] },
  };
  const answer = results[method]
    ? { jsonrpc: '2.0', id, result: results[method] }
    : { jsonrpc: '2.0', id, error: { code: -32601, message: 'unknown' } };
  const text = JSON.stringify(answer) + '\\n';
  if (method !== 'tools/call') process.stdout.write(text);
  else process.stdout.write((log + '\\n').repeat(600) + text, () => process.exit(0));
});
`;

test('the update of a followed resource is reported after the flood, and updates of others are dropped', async (t) => {
  const pool = await start(t, 'stdio', ['--send', 'none', '--count', '30000'], { maxNotificationsPerSecond: 1 });
  await pool.server().watch('resource', 'flood://clock', null);
  assert.equal((await pool.call('update').done).response.result.content[0].text, 'done');
  const told = (): number => pool.updatedResources.filter((uri) => uri === 'flood://clock').length;
  // One of them may have come while there was room; from there on they cost more than there is.
  await eventually('the last update', () => told() >= 2);
  assert.ok(told() < 1_000, `${told()} updates told`);
  assert.ok(pool.updatedResources.length - told() <= 1, 'those of a resource that nobody follows are dropped');
  assert.ok(statsOf(pool).droppedNotifications >= 14_999);
});

test('the limit shows in the state of the endpoint while it is exceeded', async (t) => {
  const pool = await start(t, 'websocket', ['--send', 'log'], { maxNotificationsPerSecond: 100 });
  await eventually('the limit', () => pool.server().totals(0).overLimit);
  assert.ok(pool.server().totals(0).stats.droppedNotifications > 0);
});
