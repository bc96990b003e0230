/** `subscriptions/listen` towards modern HTTP upstreams: replaced without a gap, kept open, read. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ServerSnapshot } from '../../../src/config/snapshot/index.js';
import type { ListenFilter } from '../../../src/upstream/core/types.js';
import { eventually, type TestScope } from '../../support/process.js';
import { type Answer, type RawUpstream, type ReceivedRequest, rawUpstream } from '../../support/raw-upstream.js';
import { httpOf, type PoolFixture, serverOf, startPool } from '../fixture.js';

const NOTHING: ListenFilter = {
  toolsListChanged: false,
  promptsListChanged: false,
  resourcesListChanged: false,
  resourceSubscriptions: [],
  taskIds: [],
};

interface Listening {
  readonly id: number;
  readonly filter: Record<string, unknown>;
  readonly headers: ReceivedRequest['headers'];
  readonly stream: ReturnType<Answer['sse']>;
  readonly answer: Answer;
  /** Acknowledges, with the subset that is honoured. */
  acknowledge(honoured?: object): void;
  closed: boolean;
}

/** A modern upstream without list changes, so that only the test listens. */
async function start(
  scope: TestScope,
  onListen: (listening: Listening) => void,
  more: Partial<ServerSnapshot> = {},
): Promise<{ upstream: RawUpstream; pool: PoolFixture; listens: Listening[]; refuseNext(): void }> {
  const listens: Listening[] = [];
  let isRefused = false;
  const upstream = await rawUpstream(
    scope,
    (request, answer) => {
      if (request.message.method !== 'subscriptions/listen') {
        answer.result({ resultType: 'complete' });
        return;
      }
      if (isRefused) {
        isRefused = false;
        answer.response.writeHead(503).end();
        return;
      }
      const filter = request.message.params.notifications;
      const { id } = request.message;
      const stream = answer.sse();
      const _meta = { 'io.modelcontextprotocol/subscriptionId': id };
      const listening: Listening = {
        id,
        filter,
        headers: request.headers,
        stream,
        answer,
        closed: false,
        acknowledge: (honoured = filter) =>
          stream.event({
            jsonrpc: '2.0',
            method: 'notifications/subscriptions/acknowledged',
            params: { notifications: honoured, _meta },
          }),
      };
      answer.response.on('close', () => {
        listening.closed = true;
      });
      listens.push(listening);
      onListen(listening);
    },
    { family: 'modern' },
  );
  const pool = startPool(scope, [serverOf([httpOf(upstream.url)], more)]);
  await pool.ready();
  const refuseNext = (): void => {
    isRefused = true;
  };
  return { upstream, pool, listens, refuseNext };
}

const notify = (listening: Listening, method: string, params: object = {}): void =>
  listening.stream.event({
    jsonrpc: '2.0',
    method,
    params: { ...params, _meta: { 'io.modelcontextprotocol/subscriptionId': listening.id } },
  });

test('updates of a listen are reported, and the acknowledged filter is returned', async (t) => {
  const { pool, listens } = await start(t, (listening) =>
    listening.acknowledge({ toolsListChanged: true, resourceSubscriptions: ['a://1'] }),
  );
  const endpoint = pool.server().endpoints[0]!;
  const filter = { ...NOTHING, toolsListChanged: true, resourceSubscriptions: ['a://1', 'a://2'], taskIds: ['t'] };
  assert.deepEqual(await endpoint.listen(filter), {
    ...NOTHING,
    toolsListChanged: true,
    resourceSubscriptions: ['a://1'],
  });
  const [first] = listens;
  assert.deepEqual(first!.filter, {
    toolsListChanged: true,
    resourceSubscriptions: ['a://1', 'a://2'],
    taskIds: ['t'],
  });
  assert.equal(first!.headers['mcp-method'], 'subscriptions/listen');
  assert.equal('last-event-id' in first!.headers, false);
  notify(first!, 'notifications/resources/updated', { uri: 'a://1' });
  notify(first!, 'notifications/tasks', { taskId: 't', status: 'working' });
  await eventually('both', () => pool.changedTasks.length === 1);
  assert.deepEqual([pool.updatedResources, pool.changedTasks], [['a://1'], ['t']]);
});

test('a new listen is acknowledged before the old one is closed, so that nothing is missed', async (t) => {
  const order: string[] = [];
  const { pool, listens } = await start(t, (listening) => {
    const number = listens.length;
    listening.answer.response.on('close', () => order.push(`closed ${number}`));
    setTimeout(() => {
      // What happens now is announced on the old one.
      if (number === 2) notify(listens[0]!, 'notifications/resources/updated', { uri: 'a://between' });
      order.push(`acknowledged ${number}`);
      listening.acknowledge();
    }, 20);
  });
  const endpoint = pool.server().endpoints[0]!;
  await endpoint.listen({ ...NOTHING, resourceSubscriptions: ['a://between'] });
  await endpoint.listen({ ...NOTHING, resourceSubscriptions: ['a://between', 'a://new'] });
  await eventually('the old one is closed', () => order.length === 3);
  assert.deepEqual(order, ['acknowledged 1', 'acknowledged 2', 'closed 1']);
  assert.deepEqual(pool.updatedResources, ['a://between']);
  await endpoint.listen(NOTHING);
  await eventually('the new one is closed too', () => listens.every(({ closed }) => closed));
  assert.equal(listens.length, 2);
});

test('a listen that is refused leaves the old one as it is', async (t) => {
  const { pool, listens } = await start(t, (listening) => {
    if (listens.length === 1) listening.acknowledge();
    else listening.stream.end();
  });
  const endpoint = pool.server().endpoints[0]!;
  await endpoint.listen({ ...NOTHING, resourceSubscriptions: ['a://1'] });
  await assert.rejects(endpoint.listen({ ...NOTHING, resourceSubscriptions: ['a://2'] }), /subscription/);
  notify(listens[0]!, 'notifications/resources/updated', { uri: 'a://1' });
  await eventually('an update', () => pool.updatedResources.length === 1);
  assert.equal(listens[0]!.closed, false);
});

for (const end of ['ends', 'cuts', 'cuts and refuses for a while'] as const) {
  test(`a listen that the upstream ${end} is opened again with the same filter, and the lists are read`, async (t) => {
    const { upstream, pool, listens, refuseNext } = await start(t, (listening) => listening.acknowledge());
    const endpoint = pool.server().endpoints[0]!;
    await endpoint.listen({ ...NOTHING, toolsListChanged: true, resourceSubscriptions: ['a://1'] });
    const lists = upstream.received('tools/list').length;
    if (end.includes('refuses')) refuseNext();
    if (end === 'ends') {
      listens[0]!.stream.event({ jsonrpc: '2.0', id: listens[0]!.id, result: { resultType: 'complete' } });
      listens[0]!.stream.end();
    } else listens[0]!.answer.socket.destroy();
    await eventually('another listen', () => listens.length === 2);
    assert.deepEqual(listens[1]!.filter, listens[0]!.filter);
    assert.notEqual(listens[1]!.id, listens[0]!.id);
    await eventually('the lists are read', () => upstream.received('tools/list').length > lists);
    // Whoever follows the resource looks again, because it may have changed meanwhile.
    await eventually('an update', () => pool.updatedResources.length === 1);
    notify(listens[1]!, 'notifications/resources/updated', { uri: 'a://1' });
    await eventually('another update', () => pool.updatedResources.length === 2);
    assert.deepEqual(pool.updatedResources, ['a://1', 'a://1']);
  });
}

test('a listen that is never acknowledged is given up', async (t) => {
  const { pool, listens } = await start(t, () => {}, { connectTimeoutMs: 300 });
  await assert.rejects(pool.server().endpoints[0]!.listen({ ...NOTHING, taskIds: ['t'] }), /in time/);
  await eventually('it is closed', () => listens[0]!.closed);
  assert.equal(listens.length, 1);
});
