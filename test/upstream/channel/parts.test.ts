/** The parts that channel endpoints are made of. */

import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import fc from 'fast-check';
import { decoder } from '../../../native/index.js';
import type { Spans } from '../../../native/spans.js';
import { Exchange } from '../../../src/request/exchange/index.js';
import { LineWriter } from '../../../src/upstream/channel/line-writer.js';
import { LostAnswers } from '../../../src/upstream/channel/lost-answers.js';
import {
  EMPTY_FILTER,
  isEmptyFilter,
  listenParams,
  readAcknowledged,
} from '../../../src/upstream/core/listen-filter.js';
import { MessageReader } from '../../../src/upstream/core/message-reader.js';

const turn = () => new Promise((resolve) => setImmediate(resolve));

test('property: a writer sends what was not withdrawn, in order, and marks just that as sent', async () => {
  const step = fc.oneof(
    fc.record({ do: fc.constant('write' as const), size: fc.integer({ min: 0, max: 40_000 }) }),
    fc.record({ do: fc.constant('own' as const), size: fc.integer({ min: 0, max: 100 }) }),
    fc.record({ do: fc.constant('withdraw' as const), which: fc.nat(20) }),
    fc.record({ do: fc.constant('turn' as const) }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const stream = new PassThrough({ highWaterMark: 2 ** 30 });
      const writer = new LineWriter(stream, 400_000);
      const expected: string[] = [];
      /** Calls that were written and not flushed, with their place in `expected`. */
      let open: { exchange: Exchange; message: string }[] = [];
      const all: { exchange: Exchange; sent: boolean }[] = [];
      let count = 0;
      for (const each of steps) {
        if (each.do === 'turn') {
          await turn();
          for (const { exchange } of open) all.find((known) => known.exchange === exchange)!.sent = true;
          open = [];
        } else if (each.do === 'withdraw') {
          const victim = open[each.which % (open.length + 1)];
          if (victim === undefined) continue;
          assert.equal(writer.withdraw(victim.exchange), true);
          expected.splice(expected.indexOf(victim.message), 1);
          open.splice(open.indexOf(victim), 1);
        } else {
          const message = `${count}${'x'.repeat(each.size)}`;
          const owner = each.do === 'write' ? new Exchange(count) : null;
          count += 1;
          const before = writer.queued;
          const taken = writer.write(Buffer.from(message), owner);
          assert.equal(taken, before + message.length + 1 <= 400_000);
          if (!taken) continue;
          expected.push(message);
          if (owner === null) continue;
          open.push({ exchange: owner, message });
          all.push({ exchange: owner, sent: false });
        }
      }
      await turn();
      for (const { exchange } of open) all.find((known) => known.exchange === exchange)!.sent = true;
      const written = (stream.read() as Buffer | null)?.toString() ?? '';
      assert.equal(written, expected.map((message) => `${message}\n`).join(''));
      for (const { exchange, sent } of all) assert.equal(exchange.call.sent, sent);
    }),
    { numRuns: 100 },
  );
});

test('a writer that is closed takes nothing and sends nothing more', async () => {
  const stream = new PassThrough();
  const writer = new LineWriter(stream, 1_000);
  const exchange = new Exchange(0);
  assert.equal(writer.write(Buffer.from('a'), exchange), true);
  writer.close();
  assert.equal(writer.write(Buffer.from('b'), null), false);
  await turn();
  assert.equal(stream.read(), null);
  assert.equal(exchange.call.sent, false);
  assert.equal(writer.withdraw(exchange), false);
});

/** What a reader reported, one line a message. */
function readAll(maxBatch: number, texts: readonly string[]): string[] {
  const seen: string[] = [];
  const note = (kind: string) => (bytes: Uint8Array, length: number, spans: Spans) => {
    const id = Buffer.from(bytes).toString('utf8', Math.max(0, spans.idStart), Math.max(0, spans.idEnd));
    seen.push(`${kind} ${length} ${id}`);
  };
  const unreadable = (_bytes: Uint8Array, length: number) => seen.push(`unreadable ${length}`);
  const reader = new MessageReader(decoder, maxBatch, {
    receiveResponse: note('response'),
    receiveNotification: note('notification'),
    receiveRequest: note('request'),
    receiveUnreadable: unreadable,
  });
  for (const text of texts) {
    const bytes = Buffer.from(text);
    // Bytes behind the message are not part of it.
    reader.read(Buffer.concat([bytes, Buffer.from('}]junk')]), bytes.length);
  }
  return seen;
}

test('property: a batch is read as its messages one by one', () => {
  const message = fc.oneof(
    fc.integer({ min: 0, max: 9_999 }).map((id) => `{"jsonrpc":"2.0","id":${id},"result":{"a":[1,"]"]}}`),
    fc.constant('{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"},{"}}'),
    fc.integer({ min: 0, max: 9_999 }).map((id) => `{"jsonrpc":"2.0","id":"${id}","method":"ping"}`),
    fc.constantFrom('7', '{}', '"text"', '[{"jsonrpc":"2.0","method":"a"}]'),
  );
  const space = fc.constantFrom('', ' ', '\t', '\r\n');
  fc.assert(
    fc.property(fc.array(message, { minLength: 1, maxLength: 12 }), space, (messages, gap) => {
      const batch = `[${gap}${messages.join(`${gap},${gap}`)}${gap}]`;
      // On its own a list of one message is a batch; within a batch it is nothing.
      const single = messages.map((text) => (text.startsWith('[') ? `{"x":"${'y'.repeat(text.length - 8)}"}` : text));
      assert.deepEqual(readAll(12, [batch]), readAll(12, single));
    }),
    { numRuns: 300 },
  );
});

test('a batch over the limit is not read', () => {
  const note = '{"jsonrpc":"2.0","method":"notifications/message"}';
  assert.equal(readAll(3, [`[${note},${note},${note}]`]).length, 3);
  assert.deepEqual(readAll(3, [`[${note},${note},${note},${note}]`]), [`unreadable ${4 * note.length + 5}`]);
  assert.deepEqual(readAll(3, ['[]']), ['unreadable 2']);
});

test('property: a listen filter is acknowledged as it was asked for', () => {
  const texts = fc.uniqueArray(fc.string(), { maxLength: 5 });
  const filters = fc.record(
    {
      toolsListChanged: fc.boolean(),
      promptsListChanged: fc.boolean(),
      resourcesListChanged: fc.boolean(),
      resourceSubscriptions: texts,
      taskIds: texts,
    },
    { noNullPrototype: true },
  );
  fc.assert(
    fc.property(filters, fc.oneof(fc.nat(), fc.string()), (filter, id) => {
      const params = { ...listenParams(filter), _meta: { 'io.modelcontextprotocol/subscriptionId': id } };
      const bytes = Buffer.from(
        JSON.stringify({ jsonrpc: '2.0', method: 'notifications/subscriptions/acknowledged', params }),
      );
      assert.deepEqual(readAcknowledged(bytes, bytes.length), { id, filter });
      const { notifications } = params as unknown as { notifications: object };
      assert.equal(Object.keys(notifications).length === 0, isEmptyFilter(filter));
    }),
  );
  assert.equal(isEmptyFilter(EMPTY_FILTER), true);
});

test('an acknowledgement of any shape is read, and nothing is taken for acknowledged that it does not contain', () => {
  for (const params of [
    '{}',
    '{"notifications":null}',
    '{"notifications":[true]}',
    '{"notifications":{"toolsListChanged":"yes","taskIds":"t","resourceSubscriptions":[1,null]}}',
  ]) {
    const bytes = Buffer.from(
      `{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":${params}}`,
    );
    assert.deepEqual(readAcknowledged(bytes, bytes.length), { id: undefined, filter: EMPTY_FILTER });
  }
});

test('a destroyed response without an id fails what waits for one, if nothing else does', () => {
  for (const [calls, requests, expected] of [
    [[70_000], [], [70_000]],
    [[], [7], [7]],
    [[70_000], [7], []],
    [[70_000, 70_001], [], []],
    [[], [7, 8], []],
    [[], [], []],
  ] as const) {
    const failed: number[] = [];
    const exchanges = calls.map((id) => Object.assign(new Exchange(0), { call: { upstreamId: id } }) as Exchange);
    const lost = new LostAnswers(
      {
        callOf: (id) => exchanges.find(({ call }) => call.upstreamId === id) ?? null,
        callsInFlight: () => exchanges,
        fail: ({ call }) => void failed.push(call.upstreamId),
        reply: () => {},
      },
      { size: requests.length, onlyId: requests.at(0) ?? -1, fail: (id) => failed.push(id) > 0 },
    );
    const hasFailed = lost.lost({ id: '', kind: 'response', hasVersion: true }, 'GW_UPSTREAM_PROTOCOL', 'It was cut.');
    assert.deepEqual([failed, hasFailed], [expected, expected.length > 0]);
  }
});
