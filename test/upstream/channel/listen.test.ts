import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ChannelListen } from '../../../src/upstream/channel/listen.js';
import { ControlError, type ControlReply } from '../../../src/upstream/core/control.js';
import { EMPTY_FILTER } from '../../../src/upstream/core/listen-filter.js';
import type { ListenFilter } from '../../../src/upstream/core/types.js';
import { eventually, type TestScope } from '../../support/process.js';
import { replyOf } from '../fixture.js';

const TOOLS: ListenFilter = { ...EMPTY_FILTER, toolsListChanged: true };
const MORE: ListenFilter = { ...TOOLS, resourceSubscriptions: ['test://a'] };

/** A server as the listen sees it; `answer` says what it does with each listen that is opened. */
function start(scope: TestScope, answer: 'acknowledge' | 'nothing', ackMs = 5_000) {
  const opened: { id: number; params: { notifications: object }; end: (body: object) => void }[] = [];
  const cancelled: number[] = [];
  const world = { answer, reopened: 0, takes: true, opened, cancelled };
  const listen = new ChannelListen(
    {
      openListen(params) {
        if (!world.takes) return null;
        const id = opened.length + 1;
        let end: (body: object) => void = () => {};
        const reply = new Promise<ControlReply>((resolve) => {
          end = (body) => resolve(replyOf({ id, ...body }));
        });
        opened.push({ id, params: params as { notifications: object }, end });
        if (world.answer === 'acknowledge') setImmediate(() => acknowledge(id));
        return { id, reply };
      },
      cancelListen: (id) => cancelled.push(id),
    },
    {
      reopened: () => {
        world.reopened += 1;
      },
    },
    ackMs,
  );
  const acknowledge = (id: number | string): void => {
    const { notifications } = opened.at(-1)!.params;
    const params = { notifications, _meta: { 'io.modelcontextprotocol/subscriptionId': id } };
    const bytes = Buffer.from(JSON.stringify({ jsonrpc: '2.0', method: 'x', params }));
    listen.acknowledged(bytes, bytes.length);
  };
  scope.after(() => listen.reset());
  return { listen, acknowledge, world };
}

const COMPLETE = { result: { resultType: 'complete' } };

test('the old listen is cancelled only when the new one is acknowledged', async (t) => {
  const { listen, acknowledge, world } = start(t, 'acknowledge');
  assert.deepEqual(await listen.open(TOOLS), TOOLS);
  world.answer = 'nothing';
  const second = listen.open(MORE);
  assert.deepEqual([world.opened.length, world.cancelled], [2, []]);
  acknowledge('1');
  acknowledge(99);
  assert.deepEqual(world.cancelled, [], 'that was about another one');
  acknowledge('2');
  assert.deepEqual(await second, MORE);
  assert.deepEqual(world.cancelled, [1]);
  assert.deepEqual(await listen.open(EMPTY_FILTER), EMPTY_FILTER);
  assert.deepEqual([world.opened.length, world.cancelled], [2, [1, 2]]);
});

test('a refused listen leaves the old one as it is', async (t) => {
  const { listen, world } = start(t, 'acknowledge');
  await listen.open(TOOLS);
  world.answer = 'nothing';
  const refused = listen.open(MORE);
  world.opened[1]!.end({ error: { code: -32_603, message: 'Subscription limit reached' } });
  await assert.rejects(refused, (error) => error instanceof ControlError && error.number === -32_603);
  assert.deepEqual(world.cancelled, []);
  // And it is still kept open by itself.
  world.answer = 'acknowledge';
  world.opened[0]!.end(COMPLETE);
  await eventually('opened again', () => world.reopened === 1);
  assert.deepEqual(world.opened[2]!.params.notifications, { toolsListChanged: true });
});

test('a listen that is not acknowledged in time is cancelled', async (t) => {
  const { listen, world } = start(t, 'nothing', 50);
  await assert.rejects(listen.open(TOOLS), (error) => error instanceof ControlError && error.kind === 'timeout');
  assert.deepEqual(world.cancelled, [1]);
});

test('another filter takes the place of one that is being opened', async (t) => {
  const { listen, acknowledge, world } = start(t, 'nothing');
  const first = listen.open(TOOLS);
  first.catch(() => {});
  const second = listen.open(MORE);
  await assert.rejects(first, /another subscription/);
  assert.deepEqual(world.cancelled, [1]);
  acknowledge(2);
  assert.deepEqual(await second, MORE);
  assert.deepEqual(world.cancelled, [1]);
});

test('a listen that the server ends is opened again, but not after three short ones in a row', async (t) => {
  const { listen, world } = start(t, 'acknowledge');
  await listen.open(TOOLS);
  world.opened[0]!.end(COMPLETE);
  await eventually('asked again', () => world.reopened === 1);
  assert.equal(listen.cancelled(2), true, 'on a shared channel it may say so with a notification');
  await eventually('asked a third time', () => world.reopened === 2);
  world.opened[2]!.end(COMPLETE);
  await new Promise((resolve) => setTimeout(resolve, 600));
  assert.equal(world.opened.length, 3);
  assert.equal(listen.cancelled(3), false);
});

test('a listen that ends with an error is not opened again', async (t) => {
  const { listen, world } = start(t, 'acknowledge');
  await listen.open(TOOLS);
  world.opened[0]!.end({ error: { code: -32_601, message: 'no more' } });
  await new Promise((resolve) => setTimeout(resolve, 300));
  assert.equal(world.opened.length, 1);
});

test('the end of the channel ends all of it', async (t) => {
  const { listen, world } = start(t, 'nothing');
  const opening = listen.open(TOOLS);
  listen.reset();
  await assert.rejects(opening, (error) => error instanceof ControlError && error.kind === 'closed');
  world.takes = false;
  await assert.rejects(listen.open(TOOLS), (error) => error instanceof ControlError && error.kind === 'closed');
});
