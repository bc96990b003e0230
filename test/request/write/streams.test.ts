import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Era, MODERN, Revision } from '../../../src/protocol/revisions.js';
import { Accepts, Exchange, Framing, Phase, type SessionLike } from '../../../src/request/exchange/index.js';
import { EventStreams, NO_LOG } from '../../../src/request/write/streams.js';
import { EventLog } from '../../../src/session/streams/event-log.js';
import { RecordingReply } from '../../support/recording-reply.js';
import { parseMessages } from '../../support/rpc.js';

const sessions = { eventLogBytes: 10_000, eventLogTotalBytes: 10_000, retryMs: 500 };

function call(revision: number) {
  const exchange = new Exchange(0);
  const reply = new RecordingReply();
  exchange.client.reply = reply;
  exchange.client.accepts = Accepts.json | Accepts.sse;
  exchange.client.revision = revision;
  exchange.client.era = revision === MODERN ? Era.modern : Era.legacy;
  if (revision !== MODERN) exchange.client.session = { id: 'session' } as SessionLike;
  return { exchange, reply };
}

function streamsWith(log = NO_LOG): EventStreams {
  return new EventStreams(log, { variantHead: () => [] });
}

function send(streams: EventStreams, exchange: Exchange, message: string): void {
  streams.begin(exchange).put(Buffer.from(message));
  streams.send(exchange);
}

test('a stream is opened once, with the head that its client needs', () => {
  const streams = streamsWith();
  const { exchange, reply } = call(MODERN);
  exchange.client.origin = 'https://app.example';
  streams.open(exchange);
  assert.equal(exchange.phase, Phase.streaming);
  assert.ok(reply.head.includes('text/event-stream') && reply.head.includes('vary'));
  reply.head = [];
  streams.open(exchange);
  assert.equal(reply.head.length, 0);
  assert.equal(reply.text.length, 0, 'nothing but the head');
  send(streams, exchange, '{"a":1}');
  assert.equal(reply.text, 'event: message\ndata: {"a":1}\n\n');
  streams.begin(exchange).put(Buffer.from('{}'));
  streams.sendLast(exchange);
  assert.ok(reply.ended);
  assert.equal(exchange.client.events, 2);
  assert.equal(exchange.client.bytesOut, reply.text.length);
});

test('whoever takes only JSON has no stream', () => {
  const streams = streamsWith(new EventLog({ current: { sessions } }));
  const { exchange } = call(Revision.r2025_11_25);
  exchange.client.accepts = Accepts.json;
  assert.equal(streams.takes(exchange), false);
  exchange.client.accepts = Accepts.json | Accepts.sse;
  assert.equal(streams.takes(exchange), true);
  exchange.client.reply = null;
  assert.equal(streams.takes(exchange), false, 'a client that left before there was a stream cannot come back');
});

test('a stream goes on without its client when the client may come back', () => {
  const log = new EventLog({ current: { sessions } });
  const streams = streamsWith(log);
  const { exchange, reply } = call(Revision.r2025_06_18);
  streams.open(exchange);
  send(streams, exchange, '{"n":1}');
  assert.match(reply.text, /^event: message\ndata: \{"n":1\}\nid: .*\n\n$/);
  exchange.client.reply = null;
  assert.equal(streams.takes(exchange), true);
  send(streams, exchange, '{"n":\n2}');
  streams.begin(exchange).put(Buffer.from('{"n":3}'));
  streams.sendLast(exchange);
  const kept: string[] = [];
  const stream = log.find(exchange.client.eventStream)!;
  log.replay(stream, 1, (_id, message) => void kept.push(Buffer.from(message).toString()));
  assert.deepEqual(kept, ['{"n": 2}', '{"n":3}']);
  assert.ok(stream.hasEnded);
});

test('a transport with frames of its own gets bare messages, one a write', () => {
  const streams = streamsWith(new EventLog({ current: { sessions } }));
  const { exchange, reply } = call(Revision.r2025_11_25);
  exchange.client.framing = Framing.message;
  const writes: string[] = [];
  reply.write = (bytes, start, end) => {
    writes.push(Buffer.from(bytes.subarray(start, end)).toString());
    return true;
  };
  streams.open(exchange);
  send(streams, exchange, '{"a":\r\n1}');
  send(streams, exchange, '{"b":2}');
  assert.deepEqual(writes, ['{"a":  1}', '{"b":2}']);
});

test('whatever JSON a message is, its event has one line of data that means the same', () => {
  const streams = streamsWith(new EventLog({ current: { sessions: { ...sessions, eventLogBytes: 1_000_000 } } }));
  fc.assert(
    fc.property(fc.jsonValue(), fc.constantFrom('', '\n', '\r\n', '\t'), fc.boolean(), (value, indent, isModern) => {
      const { exchange, reply } = call(isModern ? MODERN : Revision.r2025_11_25);
      streams.open(exchange);
      const message = JSON.stringify({ value }, null, 1).replaceAll('\n', indent);
      send(streams, exchange, message);
      const [found] = parseMessages(reply.text, 'text/event-stream');
      assert.deepEqual(found, JSON.parse(message));
      assert.equal(reply.text.match(/^data: ./gm)?.length, 1);
      assert.equal(/^id: /m.test(reply.text), !isModern);
    }),
  );
});
