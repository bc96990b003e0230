import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Revision } from '../../../src/protocol/revisions.js';
import type { Client } from '../../../src/request/exchange/index.js';
import { Exchange, Framing, type SessionLike } from '../../../src/request/exchange/index.js';
import { EventLog, parseEventId } from '../../../src/session/streams/event-log.js';

/** What the log counts for an event besides its bytes. */
const ENTRY = 256;

function logOf(eventLogBytes: number, eventLogTotalBytes = 1_000_000): EventLog {
  return new EventLog({ current: { sessions: { eventLogBytes, eventLogTotalBytes, retryMs: 1000 } } });
}

function callOf(sessionId: string, revision: number = Revision.r2025_11_25): Exchange {
  const exchange = new Exchange(1);
  exchange.client.session = { id: sessionId } as SessionLike;
  exchange.client.revision = revision;
  return exchange;
}

function opened(log: EventLog, sessionId: string): Exchange {
  const exchange = callOf(sessionId);
  exchange.client.eventStream = log.opened(exchange);
  return exchange;
}

function keep(log: EventLog, exchange: Exchange, text: string): string {
  const bytes = Buffer.from(`>>${text}<<`);
  const id = log.keep(exchange, bytes, 2, bytes.length - 2);
  bytes.fill(0);
  return Buffer.from(id!).toString();
}

function replayed(log: EventLog, exchange: Exchange, after: number): [string, string][] {
  const found: [string, string][] = [];
  const stream = log.find(exchange.client.eventStream);
  if (stream === null) return found;
  log.replay(stream, after, (id, message) => {
    found.push([Buffer.from(id).toString(), Buffer.from(message).toString()]);
  });
  return found;
}

test('events are kept by stream, under ids that only this process issues', () => {
  const log = logOf(10_000);
  const [one, two] = [opened(log, 'session'), opened(log, 'session')];
  const ids = [keep(log, one, 'a'), keep(log, two, 'b'), keep(log, one, 'c')];
  assert.deepEqual(replayed(log, one, 0), [
    [ids[0], 'a'],
    [ids[2], 'c'],
  ]);
  assert.deepEqual(replayed(log, one, 1), [[ids[2], 'c']]);
  assert.deepEqual(replayed(log, two, 0), [[ids[1], 'b']]);
  for (const id of ids) {
    const parsed = parseEventId(id!.slice('id: '.length))!;
    assert.ok(parsed.isOwn && !parsed.isStandalone);
  }
  assert.deepEqual(
    ids.map((id) => parseEventId(id!.slice(4))!.event),
    [1, 1, 2],
  );
  for (const garbage of ['', '1', 'x-c1-1', '00000000-d1-1', '00000000-c1', `${ids[0]!.slice(4)} `, '00000000-c-1']) {
    assert.equal(parseEventId(garbage), null, garbage);
  }
  assert.equal(parseEventId('00000000-s1-z')!.event, 35);
});

test('nothing is kept for clients that cannot resume, or with a size of 0', () => {
  const log = logOf(10_000);
  const rows: Partial<Pick<Client, 'session' | 'revision' | 'framing' | 'link'>>[] = [
    { session: null },
    { revision: Revision.r2024_11_05 },
    { framing: Framing.message },
    { link: { subject: null, end: () => {} } },
  ];
  for (const members of rows) {
    const call = callOf('session');
    Object.assign(call.client, members);
    assert.equal(log.opened(call), 0, Object.keys(members)[0]);
  }
  assert.equal(logOf(0).opened(callOf('session')), 0);
  assert.equal(logOf(100, 0).opened(callOf('session')), 0);
  assert.equal(log.keep(callOf('session'), Buffer.from('x'), 0, 1), null);
  assert.equal(log.streams, 0);
});

test('a stream that has ended is dropped with its last event, an open one is kept', () => {
  const log = logOf(3 * (ENTRY + 1));
  const [over, current] = [opened(log, 's'), opened(log, 's')];
  keep(log, over, 'a');
  log.closed(over);
  for (const text of ['b', 'c', 'd', 'e']) keep(log, current, text);
  assert.equal(log.find(over.client.eventStream), null);
  assert.deepEqual(
    replayed(log, current, 0).map(([, text]) => text),
    ['c', 'd', 'e'],
  );
  assert.equal(log.find(current.client.eventStream)!.evicted, 1);
  const empty = opened(log, 's');
  log.closed(empty);
  assert.equal(log.find(empty.client.eventStream), null);
  log.dropSession('s');
  assert.deepEqual([log.bytes, log.events, log.streams], [0, 0, 0]);
});

test('a stream that ended without a response is not kept', () => {
  const log = logOf(10_000);
  const [broken, complete] = [opened(log, 's'), opened(log, 's')];
  for (const exchange of [broken, complete]) keep(log, exchange, 'a');
  log.closed(complete);
  for (const exchange of [broken, complete]) log.exchangeReleased(exchange);
  assert.equal(log.find(broken.client.eventStream), null);
  assert.equal(log.find(complete.client.eventStream)!.hasEnded, true);
  assert.equal(log.events, 1);
});

test('an event larger than the log is not kept, and a client that missed it cannot resume', () => {
  const log = logOf(1000);
  const call = opened(log, 's');
  keep(log, call, 'small');
  keep(log, call, 'x'.repeat(1000));
  const stream = log.find(call.client.eventStream)!;
  assert.deepEqual([stream.next, stream.evicted], [3, 2]);
  // The eviction of the smaller one before it does not change that.
  for (let count = 0; count < 5; count += 1) keep(log, opened(log, 's'), 'y'.repeat(200));
  assert.equal(log.find(call.client.eventStream)!.evicted, 2);
  log.closed(call);
  assert.equal(log.find(call.client.eventStream), null);
  log.dropSession('s');
  assert.deepEqual([log.bytes, log.events, log.streams], [0, 0, 0]);
});

test('property: after any steps both bounds hold and replays have no holes', () => {
  const step = fc.oneof(
    { weight: 8, arbitrary: fc.record({ do: fc.constant('keep' as const), at: fc.nat(7), size: fc.nat(300) }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('open' as const), at: fc.nat(2) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('close' as const), at: fc.nat(7) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('drop' as const), at: fc.nat(7) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('forget' as const), at: fc.nat(2) }) },
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
      const [own, total] = [4 * ENTRY, 8 * ENTRY];
      const log = logOf(own, total);
      const calls: { exchange: Exchange; sent: string[] }[] = [];
      for (const taken of steps) {
        const call = calls.length === 0 ? undefined : calls[taken.at % calls.length];
        if (taken.do === 'open') calls.push({ exchange: opened(log, `session ${taken.at}`), sent: [] });
        else if (taken.do === 'forget') log.dropSession(`session ${taken.at}`);
        else if (call === undefined) continue;
        else if (taken.do === 'close') log.closed(call.exchange);
        else if (taken.do === 'drop') log.dropStream(call.exchange.client.eventStream);
        else if (log.find(call.exchange.client.eventStream)?.hasEnded === false) {
          const text = `${call.sent.length} ${'x'.repeat(taken.size)}`;
          keep(log, call.exchange, text);
          call.sent.push(text);
        }
        let bytes = 0;
        let events = 0;
        const bySession = new Map<string, number>();
        for (const { exchange, sent } of calls) {
          const stream = log.find(exchange.client.eventStream);
          if (stream === null) continue;
          assert.equal(stream.next, sent.length + 1);
          const kept = replayed(log, exchange, stream.evicted).map(([, text]) => text);
          assert.deepEqual(kept, sent.slice(stream.evicted));
          for (const [, text] of replayed(log, exchange, 0)) {
            const size = text.length + ENTRY;
            bytes += size;
            events += 1;
            bySession.set(stream.sessionId, (bySession.get(stream.sessionId) ?? 0) + size);
          }
        }
        assert.deepEqual([log.bytes, log.events], [bytes, events]);
        assert.ok(bytes <= total);
        for (const size of bySession.values()) assert.ok(size <= own);
      }
      for (const id of [0, 1, 2]) log.dropSession(`session ${id}`);
      assert.deepEqual([log.bytes, log.events, log.streams], [0, 0, 0]);
    }),
  );
});
