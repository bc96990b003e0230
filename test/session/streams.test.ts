import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Exchange, type Reply } from '../../src/request/exchange.js';
import { SessionSealer, SessionTable, StandaloneStreams } from '../../src/session/index.js';

const MESSAGE = Buffer.from('{"x":\n1}');
const EVENT = 'event: message\ndata: {"x": 1}\n\n';

class RecordingReply implements Reply {
  text = '';
  queued = 0;
  ended = false;
  send(): void {}
  openStream(): void {}
  write(bytes: Uint8Array, start: number, end: number): boolean {
    this.text += Buffer.from(bytes.subarray(start, end)).toString();
    return true;
  }
  endStream(): void {
    this.ended = true;
  }
  buffered(): number {
    return this.queued;
  }
  abort(): void {}
  adopt(): void {}
  taken(): void {}
}

const table = new SessionTable({
  sealer: new SessionSealer(['a secret that is long enough to be one']),
  ttlSeconds: 60,
  maxSessions: 100,
});

function open(streams: StandaloneStreams, slot: number) {
  const session = table.create(3, Buffer.from('{}'), Buffer.alloc(0), new Int32Array(4))!;
  const exchange = new Exchange(slot);
  const reply = new RecordingReply();
  exchange.reply = reply;
  return { session, exchange, reply, added: streams.add(session, exchange) };
}

test('a session has one stream; messages go to one, to some or to all', () => {
  const streams = new StandaloneStreams({ maxStreams: 10, maxClientBufferBytes: 1000 });
  const [one, two] = [open(streams, 0), open(streams, 1)];
  assert.ok(one.added && two.added);
  assert.equal(streams.add(one.session, new Exchange(2)), false);
  assert.equal(streams.sendTo(one.session, MESSAGE), true);
  streams.broadcast(MESSAGE, (session) => session === two.session);
  streams.broadcast(MESSAGE);
  assert.equal(one.reply.text, EVENT + EVENT);
  assert.equal(two.reply.text, EVENT + EVENT);

  assert.equal(streams.remove(one.exchange), true);
  assert.equal(streams.remove(one.exchange), false);
  assert.equal(streams.sendTo(one.session, MESSAGE), false);
  assert.equal(streams.end(two.session), two.exchange);
  assert.ok(two.reply.ended);
  assert.equal(streams.size, 0);
});

test('streams are bounded, and a client that takes nothing loses messages instead of growing a queue', () => {
  const streams = new StandaloneStreams({ maxStreams: 1, maxClientBufferBytes: 1000 });
  const one = open(streams, 0);
  assert.equal(open(streams, 1).added, false);
  one.reply.queued = 1001;
  assert.equal(streams.sendTo(one.session, MESSAGE), false);
  assert.equal(streams.lost, 1);
  assert.equal(one.reply.text, '');
  streams.endAll(() => {});
});

test('every stream gets keep-alive comments, from one timer that stops with the last stream', async () => {
  const streams = new StandaloneStreams({ maxStreams: 10, maxClientBufferBytes: 1000, keepAliveMs: 5 });
  const [one, two] = [open(streams, 0), open(streams, 1)];
  while (!one.reply.text.includes('\n\n: keep-alive\n\n') || two.reply.text === '') {
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  assert.match(one.reply.text, /^(: keep-alive\n\n)+$/);
  const ended: Exchange[] = [];
  streams.endAll((exchange) => ended.push(exchange));
  assert.deepEqual(ended, [one.exchange, two.exchange]);
  const length = one.reply.text.length;
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(one.reply.text.length, length);
});
