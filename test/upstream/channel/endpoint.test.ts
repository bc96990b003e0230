/** What holds on every channel that calls share: stdio, HTTP with SSE, WebSocket. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ServerSnapshot } from '../../../src/config/snapshot/index.js';
import { Capability } from '../../../src/protocol/client-capabilities.js';
import { packedText } from '../../../src/shared/packed.js';
import { eventually, type TestScope } from '../../support/process.js';
import { type ChannelTransport, startChannel } from '../channel-servers.js';
import { namesOf, type Outcome, type PoolFixture } from '../fixture.js';

const textOf = (response: { result: { content: { text: string }[] } }): string => response.result.content[0]!.text;

interface Cancellation {
  readonly params?: { readonly requestId: unknown; readonly reason?: string };
}

const statsOf = (pool: PoolFixture) => pool.server().endpoints[0]!.stats;

async function start(
  scope: TestScope,
  transport: ChannelTransport,
  more: Partial<ServerSnapshot> = {},
  limits: { maxLineBytes?: number; maxBufferedBytes?: number } = {},
): Promise<PoolFixture> {
  const pool = await startChannel(scope, transport, 'plain', more, limits);
  await pool.ready();
  return pool;
}

for (const transport of ['stdio', 'sse', 'websocket'] as const) {
  test(`${transport}: lists are read page by page and keep their bytes`, async (t) => {
    const pool = await startChannel(t, transport, 'plain');
    const { tools, era } = await pool.ready();
    assert.equal(era, 0);
    assert.equal(packedText(tools, 0), '{"name":"call" , "inputSchema":{"type":"object"},"x":1.0e2}');
    assert.deepEqual(namesOf(tools), ['call', 'last']);
    assert.equal(pool.server().endpoints[0]!.transport, transport);
  });

  test(`${transport}: 1,000 calls whose answers overtake one another come back to their callers`, async (t) => {
    const pool = await start(t, transport, { maxConnections: 512, maxQueue: 1_000 });
    const calls = Array.from({ length: 1_000 }, (_, index) =>
      pool.call('call', index % 3 === 0 ? { do: 'wait', ms: (index * 7) % 50, index } : { index }, {
        subject: index % 5,
      }),
    );
    const outcomes = await Promise.all(calls.map(({ done }) => done));
    for (const [index, { response, id, reports }] of outcomes.entries()) {
      assert.equal(response.id, id);
      assert.equal(reports, 1);
      const expected = index % 3 === 0 ? String((index * 7) % 50) : JSON.stringify({ index });
      assert.equal(textOf(response), expected);
    }
    assert.equal(statsOf(pool).unknownIds, 0);
    assert.equal(pool.table.inUse, 0);
  });

  test(`${transport}: junk is counted and logged, and calls go on`, async (t) => {
    const pool = await start(t, transport);
    assert.equal(textOf((await pool.call('call', { do: 'declared' }).done).response), '{}', 'all clients share it');
    assert.equal(textOf((await pool.call('call', { do: 'junk' }).done).response), 'after junk');
    assert.deepEqual([statsOf(pool).junkLines, statsOf(pool).unknownIds], [5, 2], 'two answers on one line are two');
    assert.ok(pool.log.some(({ fields }) => fields['line'] === '\\x1b[31mred\\x1b[0m'));
  });

  test(`${transport}: an answer over the limit fails its call alone, wherever its id stands`, async (t) => {
    const pool = await start(t, transport, {}, { maxLineBytes: 200_000 });
    const waiting = pool.call('call', { do: 'hang' });
    const forms = ['first', 'last', 'string', 'decoys', 'error'];
    for (const form of forms) {
      const { error, detail } = await pool.call('call', { do: 'large', bytes: 300_000, form }).done;
      assert.equal(error, 'GW_RESPONSE_TOO_LARGE', form);
      const [, size] = /^It has (\d+) bytes, limits\.maxLineBytes is 200000\.$/.exec(detail) ?? [];
      assert.ok(Number(size) > 300_000 && Number(size) < 300_500, detail);
      assert.equal(textOf((await pool.call('call', { a: 1 }).done).response), '{"a":1}');
    }
    assert.equal(waiting.reports, 0, 'other calls go on');
    const { restarts, skippedMessages } = statsOf(pool);
    assert.deepEqual({ restarts, skippedMessages }, { restarts: 0, skippedMessages: forms.length });
    const line = pool.log.find(({ message }) =>
      message.endsWith('sent a message over limits.maxLineBytes: it is skipped'),
    );
    assert.equal(line?.fields['maxLineBytes'], 200_000);
    pool.server().endpoints[0]!.cancel(waiting.exchange);
  });

  test(`${transport}: an answer over the limit whose id cannot be read fails the only call in flight`, async (t) => {
    const pool = await start(t, transport, {}, { maxLineBytes: 100_000 });
    const { error } = await pool.call('call', { do: 'large', bytes: 150_000, form: 'between' }).done;
    assert.equal(error, 'GW_RESPONSE_TOO_LARGE');
    const waiting = pool.call('call', { do: 'hang' });
    const lost = pool.call('call', { do: 'large', bytes: 150_000, form: 'between' });
    await eventually('it is skipped', () => statsOf(pool).skippedMessages === 2);
    assert.deepEqual([waiting.reports, lost.reports], [0, 0], 'it may be the answer of either');
  });

  test(`${transport}: what is over the limit and no answer fails no call; a request of the server is refused`, async (t) => {
    const pool = await start(t, transport, {}, { maxLineBytes: 100_000 });
    for (const form of ['request', 'notification', 'noise']) {
      const { response } = await pool.call('call', { do: 'large', bytes: 150_000, form, answer: true }).done;
      assert.equal(textOf(response), 'after it', form);
    }
    const heard = JSON.parse(textOf((await pool.call('call', { do: 'heard' }).done).response)) as object[];
    const refusal = heard.find((message) => 'error' in message) as { id: string; error: { message: string } };
    assert.equal(refusal.id, 'big');
    assert.match(refusal.error.message, /limits\.maxLineBytes is 100000/);
  });

  test(`${transport}: an answer that limits.maxBufferedBytes leaves no room for fails its call alone`, async (t) => {
    const pool = await start(t, transport, {}, { maxLineBytes: 40_000_000, maxBufferedBytes: 1_000_000 });
    const waiting = pool.call('call', { do: 'hang' });
    const { error } = await pool.call('call', { do: 'large', bytes: 20_000_000, form: 'last' }).done;
    // A WebSocket frame is held by ws, which the bound does not see.
    if (transport !== 'websocket') assert.equal(error, 'GW_BUFFERS_FULL');
    assert.equal(textOf((await pool.call('call', { a: 1 }).done).response), '{"a":1}');
    assert.equal(waiting.reports, 0);
    assert.ok(pool.table.budget.counts.bytes < 1_000, 'only what waits to be written is counted');
  });

  test(`${transport}: a message of exactly the limit is accepted`, async (t) => {
    const pool = await start(t, transport, {}, { maxLineBytes: 100_000 });
    const { response } = await pool.call('call', { padding: 'x'.repeat(90_000) }).done;
    assert.ok(textOf(response).length > 90_000);
  });

  test(`${transport}: JSON with the id of a call that is no answer fails the call`, async (t) => {
    const pool = await start(t, transport);
    assert.equal((await pool.call('call', { do: 'bad' }).done).error, 'GW_UPSTREAM_PROTOCOL');
  });

  test(`${transport}: second responses and responses without a call are dropped; an id as a string is accepted`, async (t) => {
    const pool = await start(t, transport);
    assert.equal(textOf((await pool.call('call', { do: 'twice' }).done).response), 'first');
    assert.equal(textOf((await pool.call('call', { do: 'stranger' }).done).response), 'mine');
    assert.equal(textOf((await pool.call('call', { do: 'string-id' }).done).response), 'string');
    assert.equal(statsOf(pool).unknownIds, 2);
  });

  test(`${transport}: a batch is split`, async (t) => {
    const pool = await start(t, transport);
    const { response, notifications } = await pool.call('call', { do: 'batch' }).done;
    assert.equal(textOf(response), 'batched');
    assert.deepEqual(
      notifications.map(({ params }) => params.data),
      ['in a batch'],
    );
    assert.equal(statsOf(pool).junkLines, 2, 'the list and the number within it');
  });

  for (const how of ['cut', 'close'] as const) {
    test(`${transport}: a connection that ends (${how}) fails its calls at once and is opened again`, async (t) => {
      const pool = await start(t, transport);
      const waiting = pool.call('call', { do: 'hang' });
      const { error, sent } = await pool.call('call', { do: how, code: 1_011 }).done;
      assert.deepEqual([error, sent], ['GW_UPSTREAM_CLOSED', true]);
      assert.equal((await waiting.done).error, 'GW_UPSTREAM_CLOSED');
      assert.deepEqual(pool.disconnected, [pool.server().endpoints[0]]);
      await eventually('another connection', () => pool.server().endpoints[0]!.state === 'ready');
      assert.equal(textOf((await pool.call('call', { a: 1 }).done).response), '{"a":1}');
      assert.equal(statsOf(pool).restarts, 1);
      assert.equal(pool.discoveries.length, 1, 'nothing changed, so nothing is announced');
    });
  }

  test(`${transport}: a cancelled call is withdrawn before it is sent, and cancelled upstream after`, async (t) => {
    const pool = await start(t, transport);
    const endpoint = pool.server().endpoints[0]!;
    const unsent = pool.call('call', { do: 'cut' });
    endpoint.cancel(unsent.exchange);
    const sent = pool.call('call', { do: 'hang' });
    await eventually('sent', () => sent.exchange.call.sent);
    endpoint.cancel(sent.exchange, 'changed my "mind"');
    const heard = await eventually('the cancellation', async () => {
      const all = JSON.parse(textOf((await pool.call('call', { do: 'heard' }).done).response)) as { method: string }[];
      return all.find(({ method }) => method === 'notifications/cancelled');
    });
    assert.deepEqual(heard, {
      jsonrpc: '2.0',
      method: 'notifications/cancelled',
      params: { requestId: sent.id, reason: 'changed my "mind"' },
    });
    assert.equal(unsent.reports + sent.reports, 0);
  });

  for (const params of [null, []]) {
    test(`${transport}: params of the server that are ${JSON.stringify(params)} count as absent`, async (t) => {
      const pool = await start(t, transport);
      const before = namesOf((await pool.ready()).tools).length;
      assert.equal(textOf((await pool.call('call', { do: 'empty-params', params }).done).response), 'said');
      await eventually('the list is read again', () => namesOf(pool.discoveries.at(-1)!.tools).length > before);
      await eventually('the pings are answered', async () => {
        const all = JSON.parse(textOf((await pool.call('call', { do: 'heard' }).done).response)) as { id?: number }[];
        return [78, 79, 80].every((id) => all.some((message) => message.id === id && 'result' in message));
      });
      assert.equal(statsOf(pool).junkLines, 0);
    });
  }

  test(`${transport}: calls wait when as many are in flight as may be, up to the queue`, async (t) => {
    const pool = await start(t, transport, { maxConnections: 2, maxQueue: 3 });
    const calls = Array.from({ length: 6 }, () => pool.call('call', { do: 'wait', ms: 30 }));
    const outcomes = await Promise.all(calls.map(({ done }) => done));
    assert.deepEqual(
      outcomes.map(({ error }) => error),
      [null, null, null, null, null, 'GW_UPSTREAM_BUSY'],
    );
    assert.equal(outcomes[5]!.sent, false);
  });

  test(`${transport}: progress goes to the call whose token it has`, async (t) => {
    const pool = await start(t, transport);
    const calls = [1, 2, 3].map(() => pool.call('call', { do: 'progress', ms: 10 }, { progress: true }));
    for (const { notifications, id, done } of calls) {
      await done;
      assert.deepEqual(
        notifications.map(({ params }) => [params.progressToken, params.progress]),
        [
          [id, 1],
          [id, 2],
          [id, 3],
        ],
      );
    }
  });

  test(`${transport}: ping is answered here; what else the server asks goes on with its call, and back`, async (t) => {
    const pool = await start(t, transport);
    const call = pool.call('call', { do: 'ask' });
    const { endpoint, callId, message } = await eventually('a question', () => pool.serverRequests[0]);
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

  test(`${transport}: a request of the server belongs to no call while it can be about another`, async (t) => {
    const pool = await start(t, transport);
    const callIds = async (call: Outcome): Promise<number[]> => {
      await call.done;
      return pool.serverRequests.splice(0).map(({ callId }) => callId);
    };
    const other = pool.call('call', { do: 'wait', ms: 200 });
    assert.deepEqual(await callIds(pool.call('call', { do: 'ask' })), [0], 'two are in flight');
    await other.done;
    const same = pool.call('call', { do: 'ask' });
    assert.deepEqual(await callIds(same), [same.id]);
    assert.deepEqual(await callIds(pool.call('call', { do: 'ask' }, { subject: 7 })), [0], 'another subject was here');
  });

  test(`${transport}: after a call was cancelled, a request of the server may still be about it`, async (t) => {
    const pool = await start(t, transport);
    const gone = pool.call('call', { do: 'hang' });
    await eventually('sent', () => gone.exchange.call.sent);
    pool.server().endpoints[0]!.cancel(gone.exchange);
    await pool.call('call', { do: 'ask' }).done;
    assert.deepEqual(
      pool.serverRequests.map(({ callId }) => callId),
      [0],
    );
  });

  test(`${transport}: other notifications are passed on with their call`, async (t) => {
    const pool = await start(t, transport);
    for (const [method, params] of [
      ['notifications/cancelled', { requestId: 'ask-1' }],
      ['notifications/elicitation/complete', { elicitationId: 'e' }],
      ['notifications/tasks/status', { taskId: 't' }],
    ] as const) {
      const call = pool.call('call', { do: 'note', method, params, ms: 20 });
      await call.done;
      assert.deepEqual(
        pool.serverNotifications.splice(0).map(({ callId, message }) => [callId, message.method, message.params]),
        [[call.id, method, params]],
      );
    }
    await pool.call('call', { do: 'note', method: 'notifications/tasks', params: { taskId: 'abc' } }).done;
    assert.deepEqual(pool.changedTasks, ['abc']);
  });

  test(`${transport}: a log message belongs to the only call in flight, and to none of two`, async (t) => {
    const pool = await start(t, transport);
    const alone = await pool.call('call', { do: 'log', text: 'mine' }).done;
    assert.deepEqual(
      alone.notifications.map(({ params }) => params.data),
      ['mine'],
    );
    const other = pool.call('call', { do: 'wait', ms: 100 });
    const crowded = await pool.call('call', { do: 'log', text: 'secret', ms: 20 }).done;
    assert.deepEqual([...crowded.notifications, ...(await other.done).notifications], []);
    assert.equal(statsOf(pool).droppedLogs, 1);
  });

  test(`${transport}: a dedicated connection declares the capabilities of its client; log messages belong to its latest call`, async (t) => {
    const pool = await start(t, transport, { isolation: 'session' });
    const session = { id: 'sealed', capabilityMask: Capability.roots | Capability.elicitationForm } as never;
    // The first calls wait while the connection is being made.
    const calls = [1, 2, 3].map((index) => pool.call('call', { index }, { session }));
    assert.deepEqual(
      (await Promise.all(calls.map(({ done }) => done))).map(({ response }) => textOf(response)),
      ['{"index":1}', '{"index":2}', '{"index":3}'],
    );
    const declared = await pool.call('call', { do: 'declared' }, { session }).done;
    assert.deepEqual(JSON.parse(textOf(declared.response)), { elicitation: { form: {} }, roots: {} });
    const earlier = pool.call('call', { do: 'wait', ms: 150 }, { session });
    const later = await pool.call('call', { do: 'log', text: 'for the later one', ms: 20 }, { session }).done;
    assert.deepEqual(
      later.notifications.map(({ params }) => params.data),
      ['for the later one'],
    );
    assert.deepEqual((await earlier.done).notifications, []);
    assert.equal(pool.serverRequests.length, 0);
    await pool.call('call', { do: 'ask' }, { session }).done;
    assert.equal(pool.serverRequests[0]!.endpoint.profile.owner?.sessionId, 'sealed');
  });

  test(`${transport}: on a leased connection all messages belong to the call`, async (t) => {
    const pool = await start(t, transport, { isolation: 'principal' });
    const capabilities = Capability.sampling;
    const calls = [1, 2].map((subject) => pool.call('call', { do: 'ask' }, { subject, capabilities }));
    await Promise.all(calls.map(({ done }) => done));
    const asked = pool.serverRequests.map(({ callId, endpoint }) => [callId, endpoint.profile.exclusive]);
    assert.deepEqual(asked.sort(), calls.map(({ id }) => [id, true]).sort());
    assert.equal(new Set(pool.serverRequests.map(({ endpoint }) => endpoint)).size, 2);
    const logs = [1, 2].map((subject) =>
      pool.call('call', { do: 'log', text: `for ${subject}`, ms: 20 }, { subject, capabilities }),
    );
    assert.deepEqual(
      (await Promise.all(logs.map(({ done }) => done))).map(({ notifications }) =>
        notifications.map(({ params }) => params.data),
      ),
      [['for 1'], ['for 2']],
    );
  });
}

for (const transport of ['stdio', 'websocket'] as const) {
  test(`${transport}, modern: changes come on one listen, which is opened again when the server ends it`, async (t) => {
    const pool = await startChannel(t, transport, 'modern');
    assert.equal((await pool.ready()).era, 1);
    await eventually('the listen', async () => {
      const { response } = await pool.call('call', { do: 'listening' }).done;
      return textOf(response) !== '[]';
    });
    await pool.call('call', { do: 'more-tools' }).done;
    await eventually('the new tool', () => pool.discoveries.length === 2);
    await pool.call('call', { do: 'end-subscription' }).done;
    await eventually('another listen', async () => {
      const { response } = await pool.call('call', { do: 'listening' }).done;
      return textOf(response) !== '[]';
    });
    await pool.call('call', { do: 'more-tools' }).done;
    await eventually('another tool', () => pool.discoveries.length === 3);
  });

  test(`${transport}, modern: the reason of a cancellation reaches the server`, async (t) => {
    const pool = await startChannel(t, transport, 'modern');
    await pool.ready();
    const { exchange, id } = pool.call('call', { do: 'hang' });
    await eventually('sent', () => exchange.call.sent);
    pool.server().endpoints[0]!.cancel(exchange, 'no longer needed');
    const heard = await eventually('the cancellation', async () => {
      const all = JSON.parse(textOf((await pool.call('call', { do: 'heard' }).done).response)) as Cancellation[];
      return all.find(({ params }) => params?.requestId === id);
    });
    assert.deepEqual(heard.params, { requestId: id, reason: 'no longer needed' });
  });

  test(`${transport}, modern: another filter takes the place of the one before without a gap`, async (t) => {
    const pool = await startChannel(t, transport, 'modern');
    await pool.ready();
    const endpoint = pool.server().endpoints[0]!;
    const listening = async () => JSON.parse(textOf((await pool.call('call', { do: 'listening' }).done).response));
    await eventually('the listen', async () => (await listening()).length === 1);
    const filter = {
      toolsListChanged: true,
      promptsListChanged: false,
      resourcesListChanged: false,
      resourceSubscriptions: ['test://a"b'],
      taskIds: ['t'],
    };
    const acknowledged = await endpoint.listen(filter);
    assert.deepEqual(acknowledged, { ...filter, taskIds: [] }, 'what the server honours');
    assert.deepEqual(
      (await listening()).map(({ notifications }: { notifications: object }) => notifications),
      [{ toolsListChanged: true, resourceSubscriptions: ['test://a"b'], taskIds: ['t'] }],
    );
    // The first one was cancelled only after the second one was acknowledged.
    const order = JSON.parse(textOf((await pool.call('call', { do: 'listen-order' }).done).response));
    assert.deepEqual(order, ['open', 'open', 'cancelled']);
    assert.deepEqual(
      await endpoint.listen({ ...filter, toolsListChanged: false, resourceSubscriptions: [], taskIds: [] }),
      {
        toolsListChanged: false,
        promptsListChanged: false,
        resourcesListChanged: false,
        resourceSubscriptions: [],
        taskIds: [],
      },
    );
    await eventually('no listen', async () => (await listening()).length === 0);
  });
}
