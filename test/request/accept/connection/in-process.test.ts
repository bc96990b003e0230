/** The in-process door; with a handler that stands for the stages. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Method } from '../../../../native/layout.js';
import { openLocalConnection } from '../../../../src/request/accept/connection/in-process.js';
import type { FrontHandler } from '../../../../src/request/accept/http/handler.js';
import { type Exchange, MessageFlag, Phase } from '../../../../src/request/exchange/index.js';
import { ExchangeTable } from '../../../../src/request/exchange/table.js';
import { eventually } from '../../../support/process.js';
import { TEST_LIMITS } from '../fixture.js';

function bench(request: (exchange: Exchange, body: string) => void, capacity = 16) {
  const table = new ExchangeTable(capacity);
  const events: string[] = [];
  const streams: Exchange[] = [];
  const handler: FrontHandler = {
    request: (exchange, bytes, length) => request(exchange, Buffer.from(bytes.subarray(0, length)).toString()),
    stream: (exchange) => {
      exchange.phase = Phase.streaming;
      streams.push(exchange);
    },
    terminate: (exchange) => table.release(exchange),
    refuse: (exchange, code) => answer(exchange, code),
    connected: () => {},
    disconnected: () => {},
    ended: (id) => events.push(`ended ${id}`),
    tooManyFrames: () => {},
    drained: () => {},
    aborted: (exchange) => {
      events.push('aborted');
      table.release(exchange);
    },
    plain: () => null,
  };
  const answer = (exchange: Exchange, text: string, head: readonly string[] = []): void => {
    const body = Buffer.from(text);
    exchange.client.reply!.send(200, head, body, 0, body.length);
    table.release(exchange);
  };
  const connection = openLocalConnection(handler, table, TEST_LIMITS, 'token');
  const messages: string[] = [];
  connection.onmessage = (message) => messages.push(String(message));
  return { table, events, streams, connection, messages, answer };
}

describe('a connection within the process', () => {
  it('takes objects, text and bytes, and answers later', async () => {
    const test = bench((exchange, body) => test.answer(exchange, body));
    test.connection.send({ a: 1 });
    test.connection.send('{"b":2}');
    test.connection.send(Buffer.from('{"c":3}'));
    assert.deepEqual(test.messages, [], 'not from within send');
    await eventually('all three', () => test.messages.length === 3);
    assert.deepEqual(test.messages, ['{"a":1}', '{"b":2}', '{"c":3}']);
  });

  it('has one session, a stream for it, and ends both', async () => {
    const seen: string[] = [];
    const held: Exchange[] = [];
    const test = bench((exchange, body) => {
      seen.push(`${body} in "${exchange.client.sessionId}"`);
      exchange.message.spans.method = body === 'initialize' ? Method.initialize : Method.ping;
      exchange.phase = Phase.deciding;
      held.push(exchange);
    });
    test.connection.send('initialize');
    test.connection.send('early');
    await new Promise((resolve) => setTimeout(resolve, 30));
    assert.deepEqual(seen, ['initialize in ""'], 'what follows waits');
    test.answer(held.shift()!, '{}', ['mcp-session-id', 's1']);
    await eventually('it goes on', () => seen.length === 2);
    assert.equal(seen[1], 'early in "s1"');
    assert.equal(test.streams.length, 1);
    assert.equal(test.streams[0]!.client.sessionId, 's1');
    const note = Buffer.from('{"method":"n"}');
    test.streams[0]!.client.reply!.openStream(200, []);
    assert.equal(test.streams[0]!.client.reply!.write(note, 0, note.length), true);
    await eventually('both', () => test.messages.length === 2);
    let isClosed = false;
    test.connection.onclose = () => {
      isClosed = true;
    };
    test.connection.close();
    test.connection.close();
    assert.deepEqual(test.events, ['aborted', 'aborted', 'ended s1']);
    assert.equal(test.table.inUse, 0);
    await eventually('onclose', () => isClosed);
    assert.throws(() => test.connection.send('{}'), /closed/);
  });

  it('is silent about a stream that it did not get, and about refused notifications', async () => {
    const test = bench((exchange, body) => {
      if (body === 'note') exchange.message.flags |= MessageFlag.noAnswer;
      exchange.message.spans.method = body === 'initialize' ? Method.initialize : Method.ping;
      test.answer(exchange, `to ${body}`, body === 'initialize' ? ['mcp-session-id', 's'] : []);
    });
    test.connection.send('initialize');
    await eventually('the stream is asked for', () => test.streams.length === 1);
    test.answer(test.streams[0]!, 'refused');
    test.connection.send('note');
    test.connection.send('call');
    await eventually('both answers', () => test.messages.length === 2);
    assert.deepEqual(test.messages, ['to initialize', 'to call']);
  });

  it('stays with its first session', async () => {
    const held: Exchange[] = [];
    const test = bench((exchange) => {
      // Both are decided at once, as with a remembered verdict.
      exchange.message.spans.method = Method.initialize;
      held.push(exchange);
    });
    test.connection.send('one');
    test.connection.send('two');
    for (const [index, exchange] of held.entries()) test.answer(exchange, '{}', ['mcp-session-id', `s${index}`]);
    assert.deepEqual(test.events, ['ended s1']);
    test.connection.close();
    assert.deepEqual(test.events, ['ended s1', 'ended s0']);
  });

  it('holds back what is more than half of all exchanges, in order', async () => {
    const held: [Exchange, string][] = [];
    const test = bench((exchange, body) => held.push([exchange, body]), 8);
    for (let index = 0; index < 20; index += 1) test.connection.send(String(index));
    assert.equal(held.length, 4);
    const taken: string[] = [];
    await eventually('all have come', () => {
      for (const [exchange, body] of held.splice(0, 2)) {
        taken.push(body);
        test.answer(exchange, body);
      }
      return taken.length === 20;
    });
    assert.deepEqual(
      taken,
      taken.map((_, index) => String(index)),
    );
    assert.equal(test.table.inUse, 0);
  });

  it('waits when other clients have every exchange', async () => {
    const test = bench((exchange, body) => test.answer(exchange, body), 2);
    const others = [test.table.acquire()!, test.table.acquire()!];
    test.connection.send('late');
    await new Promise((resolve) => setTimeout(resolve, 30));
    assert.deepEqual(test.messages, []);
    for (const exchange of others) test.table.release(exchange);
    await eventually('its turn', () => test.messages.length === 1);
  });

  it('is cut when it sends more than can be held', () => {
    const test = bench(() => {}, 2);
    for (let index = 0; index < 3; index += 1) test.connection.send(Buffer.alloc(TEST_LIMITS.maxBodyBytes, 0x20));
    let sent = 0;
    assert.throws(() => {
      for (sent = 0; sent < 100; sent += 1) test.connection.send(Buffer.alloc(TEST_LIMITS.maxBodyBytes, 0x20));
    }, /closed/);
    assert.ok(sent < 10);
    assert.equal(test.table.inUse, 0);
  });
});
