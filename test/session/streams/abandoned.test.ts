/** Sessions that are never ended: their memory, and that it is freed. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Revision } from '../../../src/protocol/revisions.js';
import { Exchange } from '../../../src/request/exchange/index.js';
import { SessionSealer } from '../../../src/session/seal.js';
import { type Session, SessionTable } from '../../../src/session/sessions.js';
import { StandaloneStreams } from '../../../src/session/streams/index.js';
import { RecordingReply } from '../../support/recording-reply.js';

const COUNT = 50_000;
const INFO = Buffer.from('{"name":"client","version":"1.0.0"}');

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

function heapBytes(): number {
  // What the first one frees outside of the heap is given back in the second.
  collect();
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

test(`${COUNT} sessions that are abandoned with broken streams leave nothing behind`, () => {
  let now = 0;
  const streams = new StandaloneStreams({
    current: {
      limits: { maxStreams: COUNT, maxSessionStreams: 4, maxClientBufferBytes: 1000 },
      sessions: { eventLogBytes: 4096, eventLogTotalBytes: 4_000_000, retryMs: 1000 },
    },
  });
  const table = new SessionTable({
    sealer: new SessionSealer(['a secret that is long enough to be one']),
    ttlSeconds: 60,
    maxSessions: COUNT,
    now: () => now,
    wallSeconds: () => 1_000 + Math.floor(now / 1000),
  });
  table.attach({ sessionDropped: (session) => streams.sessionDropped(session) });
  const before = heapBytes();
  const sessions: Session[] = [];
  for (let count = 0; count < COUNT; count += 1) {
    sessions.push(table.create(Revision.r2025_11_25, Buffer.from('{}'), INFO, new Int32Array(4))!);
  }
  const each = (heapBytes() - before) / COUNT;
  assert.ok(each < 2048, `${Math.round(each)} bytes a session`);

  const from = new Exchange(0);
  for (const session of sessions) {
    from.client.reply = new RecordingReply();
    from.client.session = session;
    from.client.revision = session.revision;
    const { exchange } = streams.open(session, from, [])!;
    streams.sendTo(session, Buffer.from('{"n":1}'));
    streams.disconnected(exchange);
    streams.longLived.release(exchange);
  }
  from.client.session = null;
  assert.ok(streams.log.bytes > 3_900_000 && streams.log.bytes <= 4_000_000);
  assert.equal(streams.log.streams, COUNT);
  assert.equal(streams.longLived.size, 0);

  sessions.length = 0;
  now = 61_000;
  for (let turns = 0; turns < 2 * Math.ceil(COUNT / 1000); turns += 1) table.sweep(1000);
  table.close();
  assert.deepEqual([table.size, streams.log.streams, streams.log.events, streams.log.bytes], [0, 0, 0, 0]);
  const left = heapBytes() - before;
  assert.ok(left < 5_000_000, `${left} bytes are left`);
});
