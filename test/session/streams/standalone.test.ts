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

function config({ maxStreams = 10, eventLogBytes = 0 } = {}) {
  return {
    current: {
      limits: { maxStreams, maxClientBufferBytes: 1000 },
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
  const exchange = streams.open(session, from, HEAD);
  if (exchange !== null) table.release(from);
  return { session, exchange: exchange as Exchange, reply, opened: exchange !== null };
}

test('a session has one stream; messages go to one or to all, in the framing of the transport', () => {
  const streams = new StandaloneStreams(config());
  const [one, two] = [open(streams), open(streams, newSession(), Framing.message)];
  assert.ok(one.opened && two.opened);
  assert.deepEqual(one.reply.head, HEAD);
  assert.equal(open(streams, one.session).opened, false);
  assert.equal(streams.sendTo(one.session, MESSAGE), true);
  streams.broadcast(MESSAGE);
  assert.equal(one.reply.text, FIRST_BYTES + EVENT + EVENT);
  assert.equal(two.reply.text, '{"x": 1}');

  assert.equal(streams.disconnected(one.exchange), true);
  assert.equal(streams.disconnected(one.exchange), false);
  assert.equal(streams.sendTo(one.session, MESSAGE), false);
  assert.equal(streams.end(two.session), two.exchange);
  assert.ok(two.reply.ended);
  assert.equal(streams.size, 0);
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
  assert.equal(resumed.ended, null);
  assert.match(second.text, /^: keep-alive\n\nevent: message\ndata: \{"y":2\}\nid: .*-2\n\n$/);
  assert.equal(session.stream, resumed.exchange);

  // The old connection may be half open.
  const { exchange: again, reply: third } = request(session);
  const secondResume = streams.resume(session, again, HEAD, stream, 0)!;
  assert.equal(secondResume.ended, resumed.exchange);
  assert.ok(second.ended);
  assert.match(third.text, /"x": 1.*"y":2/s);
  streams.endAll(() => {});
});

test('a broken stream is discarded after a while, and when the client opens a new one', () => {
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
