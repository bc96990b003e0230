import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Revision } from '../../../src/protocol/revisions.js';
import { type Exchange, Framing, Phase } from '../../../src/request/exchange/index.js';
import { ExchangeTable } from '../../../src/request/exchange/table.js';
import { SessionSealer } from '../../../src/session/seal.js';
import { SessionTable } from '../../../src/session/sessions.js';
import { StandaloneStreams } from '../../../src/session/streams/index.js';
import { KeepAlive } from '../../../src/session/streams/keep-alive.js';
import { isLongLived } from '../../../src/session/streams/long-lived.js';
import { eventually } from '../../support/process.js';
import { RecordingReply } from '../../support/recording-reply.js';

const MESSAGE = Buffer.from('{"x":\n1}');
const EVENT = 'event: message\ndata: {"x": 1}\n\n';
const FIRST_BYTES = ': keep-alive\n\n';
const HEAD = ['content-type', 'text/event-stream'];

const sessions = new SessionTable({
  sealer: new SessionSealer(['a secret that is long enough to be one']),
  ttlSeconds: 60,
  maxSessions: 100,
});
const table = new ExchangeTable(100);

function config({ maxStreams = 10, maxSessionStreams = 4, eventLogBytes = 0 } = {}) {
  return {
    current: {
      limits: { maxStreams, maxSessionStreams, maxClientBufferBytes: 1000 },
      sessions: { eventLogBytes, eventLogTotalBytes: 1_000_000, retryMs: 250 },
    },
  };
}

function newSession(revision: number = Revision.r2025_11_25) {
  return sessions.create(revision, Buffer.from('{}'), Buffer.alloc(0), new Int32Array(4))!;
}

function request(session: ReturnType<typeof newSession>, framing: Framing = Framing.sse) {
  const exchange = table.acquire()!;
  const reply = new RecordingReply();
  exchange.client.reply = reply;
  exchange.client.session = session;
  exchange.client.revision = session.revision;
  exchange.client.framing = framing;
  return { exchange, reply };
}

function open(streams: StandaloneStreams, session = newSession(), framing: Framing = Framing.sse) {
  const { exchange: from, reply } = request(session, framing);
  const opened = streams.open(session, from, HEAD);
  if (opened !== null) table.release(from);
  const ended = opened?.ended ?? [];
  for (const exchange of ended) streams.longLived.release(exchange);
  return { session, exchange: opened?.exchange as Exchange, reply, ended, opened: opened !== null };
}

test('messages go to the stream of one session or of all, in the framing of the transport', () => {
  const streams = new StandaloneStreams(config());
  const [one, two] = [open(streams), open(streams, newSession(), Framing.message)];
  assert.ok(one.opened && two.opened);
  assert.deepEqual(one.reply.head, HEAD);
  assert.equal(streams.sendTo(one.session, MESSAGE), true);
  streams.broadcast(MESSAGE);
  assert.equal(one.reply.text, FIRST_BYTES + EVENT + EVENT);
  assert.equal(two.reply.text, '{"x": 1}');

  assert.equal(streams.disconnected(one.exchange), true);
  assert.equal(streams.disconnected(one.exchange), false);
  assert.equal(streams.sendTo(one.session, MESSAGE), false);
  assert.deepEqual(streams.end(two.session), [two.exchange]);
  assert.ok(two.reply.ended);
  assert.equal(streams.size, 0);
});

test('a further stream of a session gets its messages; those before stay open, and take over where it ends', () => {
  const streams = new StandaloneStreams(config());
  for (const revision of [Revision.r2025_03_26, Revision.r2025_06_18, Revision.r2025_11_25]) {
    const first = open(streams, newSession(revision));
    const second = open(streams, first.session);
    const third = open(streams, first.session);
    assert.deepEqual([second.ended, third.ended, first.session.streams.length], [[], [], 3]);
    streams.sendTo(first.session, MESSAGE);
    streams.notify(first.session, MESSAGE);
    streams.broadcast(MESSAGE);
    assert.equal(third.reply.text, FIRST_BYTES + EVENT.repeat(3));
    assert.equal(first.reply.text + second.reply.text, FIRST_BYTES.repeat(2), 'a message is sent once');
    streams.disconnected(third.exchange);
    streams.sendTo(first.session, MESSAGE);
    assert.ok(second.reply.text.endsWith(EVENT) && !first.reply.text.endsWith(EVENT));
    assert.deepEqual(streams.end(first.session), [first.exchange, second.exchange]);
    assert.ok(first.reply.ended && second.reply.ended);
  }
});

test('a further stream ends those that take no bytes, the oldest beyond the limit, and all of the first revision', () => {
  const streams = new StandaloneStreams(config({ maxSessionStreams: 2, eventLogBytes: 10_000 }));
  const [one, session] = [open(streams), newSession(Revision.r2024_11_05)];
  const two = open(streams, one.session);
  const three = open(streams, one.session);
  assert.deepEqual([three.ended, one.reply.ended, two.reply.ended], [[one.exchange], true, false]);
  two.reply.queued = 1;
  three.reply.queued = 1;
  const four = open(streams, one.session);
  assert.deepEqual([four.ended, two.reply.ended, three.reply.ended], [[two.exchange, three.exchange], true, true]);
  assert.deepEqual(one.session.streams, [four.exchange]);

  const old = open(streams, session);
  assert.deepEqual(open(streams, session).ended, [old.exchange]);
  streams.endAll(() => {});
  assert.equal(streams.log.streams, 1, 'of those that ended for another one the last may be resumed');
  streams.sessionDropped(one.session);
  assert.equal(streams.log.streams, 0);
});

test('a stream that ended for another one is resumed beside it, as the newest', () => {
  const streams = new StandaloneStreams(config({ maxSessionStreams: 2, eventLogBytes: 10_000 }));
  const first = open(streams);
  streams.sendTo(first.session, MESSAGE);
  first.reply.queued = 1;
  const second = open(streams, first.session);
  assert.deepEqual(second.ended, [first.exchange]);
  const { exchange: from, reply } = request(first.session);
  const stream = streams.log.find(first.exchange.client.eventStream)!;
  const resumed = streams.resume(first.session, from, HEAD, stream, 0)!;
  assert.deepEqual([resumed.ended, first.session.streams], [[], [second.exchange, resumed.exchange]]);
  assert.match(reply.text, /"x": 1/);
  streams.sendTo(first.session, Buffer.from('{"y":2}'));
  assert.match(reply.text, /"y":2/);
  assert.doesNotMatch(second.reply.text, /"[xy]"/);
  streams.endAll(() => {});
});

test('where all streams are in use a session replaces its own, and others are refused', () => {
  const streams = new StandaloneStreams(config({ maxStreams: 2 }));
  const [one, two] = [open(streams), open(streams)];
  const further = open(streams, one.session);
  assert.deepEqual([further.ended, streams.longLived.size], [[one.exchange], 2]);
  assert.equal(open(streams).opened, false);
  assert.ok(!two.reply.ended);
  streams.endAll(() => {});
});

test('a stream uses no slot of the exchange table, and its Reply moves with it', () => {
  const streams = new StandaloneStreams(config());
  const before = table.inUse;
  const { exchange, reply } = open(streams);
  assert.equal(table.inUse, before);
  assert.ok(isLongLived(exchange));
  assert.equal(reply.owner, exchange);
  assert.equal(streams.longLived.size, 1);
  streams.longLived.release(exchange);
  assert.equal(streams.longLived.size, 0);
  assert.equal(exchange.phase, Phase.free);
});

test('streams are bounded, and messages to a client that does not read are dropped instead of queued', () => {
  const streams = new StandaloneStreams(config({ maxStreams: 1 }));
  const one = open(streams);
  assert.equal(open(streams).opened, false);
  one.reply.queued = 1001;
  assert.equal(streams.sendTo(one.session, MESSAGE), false);
  assert.equal(one.reply.text, FIRST_BYTES);
  streams.endAll(() => {});
});

test('messages to a disconnected client are replayed when it resumes, and no others', () => {
  const streams = new StandaloneStreams(config({ eventLogBytes: 10_000 }));
  const { session, exchange, reply } = open(streams);
  const stranger = open(streams);
  streams.sendTo(session, MESSAGE);
  const ids = [...reply.text.matchAll(/^id: (.*)$/gm)].map(([, id]) => id);
  assert.equal(ids.length, 2, 'the priming event and the message');
  assert.match(reply.text, /^id: .*-0\nretry: 250\ndata: \n\nevent: message\ndata: \{"x": 1\}\nid: .*-1\n\n$/);

  streams.disconnected(exchange);
  streams.longLived.release(exchange);
  streams.broadcast(Buffer.from('{"y":2}'));
  streams.sendTo(stranger.session, Buffer.from('{"secret":true}'));
  const { exchange: from, reply: second } = request(session);
  const stream = streams.log.find(exchange.client.eventStream)!;
  const resumed = streams.resume(session, from, HEAD, stream, 1)!;
  assert.deepEqual(resumed.ended, []);
  assert.match(second.text, /^: keep-alive\n\nevent: message\ndata: \{"y":2\}\nid: .*-2\n\n$/);
  assert.equal(session.stream, resumed.exchange);

  // The old connection may be half open.
  const { exchange: again, reply: third } = request(session);
  const secondResume = streams.resume(session, again, HEAD, stream, 0)!;
  assert.deepEqual(secondResume.ended, [resumed.exchange]);
  assert.ok(second.ended);
  assert.match(third.text, /"x": 1.*"y":2/s);
  streams.endAll(() => {});
});

test('a broken stream is discarded after a while, and when the client opens another one', () => {
  let now = 0;
  const streams = new StandaloneStreams(config({ eventLogBytes: 10_000 }), () => now);
  const first = open(streams);
  streams.disconnected(first.exchange);
  now = 31_000;
  assert.equal(streams.sendTo(first.session, MESSAGE), false, 'an upstream does not wait for a disconnected client');
  streams.broadcast(MESSAGE);
  assert.equal(streams.log.events, 1);
  now = 301_000;
  streams.broadcast(MESSAGE);
  assert.equal(streams.log.events, 0);
  assert.equal(streams.log.find(first.exchange.client.eventStream), null);

  const second = open(streams);
  streams.disconnected(second.exchange);
  streams.broadcast(MESSAGE);
  open(streams, second.session);
  assert.equal(streams.log.find(second.exchange.client.eventStream), null);
  assert.equal(streams.log.events, 0);
  streams.endAll(() => {});
  assert.equal(streams.log.streams, 0);
});

test('only clients of 2025-11-25 get a priming event; those of 2024-11-05 get no ids', () => {
  const streams = new StandaloneStreams(config({ eventLogBytes: 10_000 }));
  const older = open(streams, newSession(Revision.r2025_06_18));
  const oldest = open(streams, newSession(Revision.r2024_11_05));
  streams.broadcast(MESSAGE);
  assert.match(older.reply.text, /^: keep-alive\n\nevent: message\ndata: \{"x": 1\}\nid: .*-1\n\n$/);
  assert.equal(oldest.reply.text, FIRST_BYTES + EVENT);
  streams.endAll(() => {});
});

test('every idle stream gets keep-alive comments until it ends', async () => {
  const streams = new StandaloneStreams(config());
  const [one, two, message] = [open(streams), open(streams), open(streams, newSession(), Framing.message)];
  const keepAlive = new KeepAlive({
    config: { current: { limits: { keepAliveMs: 20 } } },
    table,
    longLived: streams.longLived,
    answers: { open: () => assert.fail('no call is open') },
  });
  await eventually(
    'comments on both',
    () => /(: keep-alive\n\n){3}/.test(one.reply.text) && two.reply.text !== FIRST_BYTES,
  );
  assert.match(one.reply.text, /^(: keep-alive\n\n)+$/);
  assert.equal(message.reply.text, '');
  streams.endAll((exchange) => streams.longLived.release(exchange));
  const { length } = one.reply.text;
  const another = open(streams);
  await eventually('comments on another', () => /(: keep-alive\n\n){3}/.test(another.reply.text));
  assert.equal(one.reply.text.length, length);
  keepAlive.close();
});
