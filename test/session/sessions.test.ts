import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Exchange } from '../../src/request/exchange/index.js';
import { SessionSealer } from '../../src/session/seal.js';
import { type Session, SessionTable } from '../../src/session/sessions.js';

const SECRET = 'a secret that is long enough to be one';
const CAPABILITIES = Buffer.from('{"elicitation":{}}');
const INFO = Buffer.from('{"name":"c","version":"1"}');
const NOBODY = new Int32Array(4);

interface Clocked {
  readonly table: SessionTable;
  readonly dropped: Session[];
  now: number;
  wall: number;
}

function tableWith(maxSessions: number, ttlSeconds = 3600, secrets = [SECRET]): Clocked {
  const dropped: Session[] = [];
  const clocked = { now: 0, wall: 1_800_000_000, dropped } as unknown as { -readonly [K in keyof Clocked]: Clocked[K] };
  clocked.table = new SessionTable({
    sealer: new SessionSealer(secrets),
    ttlSeconds,
    maxSessions,
    now: () => clocked.now,
    wallSeconds: () => clocked.wall,
  });
  clocked.table.attach({ sessionDropped: (session) => dropped.push(session) });
  return clocked;
}

function create(clocked: Clocked, subject = NOBODY): Session {
  const session = clocked.table.create(3, CAPABILITIES, INFO, subject);
  assert.ok(session !== null);
  return session;
}

test('a session is found by its id as the same object, and by another process with the same secret', () => {
  const one = tableWith(10);
  const session = create(one, Int32Array.of(1, 2, 3, 4));
  session.logLevel = 3;
  assert.equal(one.table.open(session.id), session);

  const other = tableWith(10).table.open(session.id);
  assert.ok(other !== null);
  assert.equal(other.id, session.id);
  assert.equal(other.revision, 3);
  assert.deepEqual(Buffer.from(other.capabilities), CAPABILITIES);
  assert.deepEqual(Buffer.from(other.clientInfo), INFO);
  assert.deepEqual(other.subject, Int32Array.of(1, 2, 3, 4));
  assert.equal(other.logLevel, -1);
  assert.equal(tableWith(10, 3600, [`${SECRET}!`]).table.open(session.id), null);
});

test('input buffers may change after create', () => {
  const clocked = tableWith(10);
  const bytes = Buffer.from(CAPABILITIES);
  const subject = Int32Array.of(1, 2, 3, 4);
  const session = clocked.table.create(1, bytes, INFO, subject);
  bytes.fill(0);
  subject.fill(0);
  assert.deepEqual(Buffer.from(session!.capabilities), CAPABILITIES);
  assert.deepEqual(session!.subject, Int32Array.of(1, 2, 3, 4));
});

test('an ended session stays ended until its seal has expired', () => {
  const clocked = tableWith(10, 100);
  const session = create(clocked);
  clocked.table.end(session);
  assert.equal(clocked.table.open(session.id), null);
  assert.equal(clocked.table.size, 0);
  assert.deepEqual(clocked.dropped, [session]);
  clocked.wall += 101;
  clocked.table.sweep(1000);
  assert.equal(clocked.table.revoked, 0);
  assert.equal(clocked.table.open(session.id), null);
});

test('ended sessions are remembered up to the bound', () => {
  const clocked = tableWith(20);
  const sessions = Array.from({ length: 50 }, () => {
    const session = create(clocked);
    clocked.table.end(session);
    return session;
  });
  assert.ok(clocked.table.revoked <= 20);
  assert.equal(clocked.table.open(sessions.at(-1)!.id), null);
});

test('sessions that were not used for the ttl are dropped; used ones and those with a stream are kept', () => {
  const clocked = tableWith(10, 100);
  const [idle, used, streaming] = [create(clocked), create(clocked), create(clocked)];
  streaming.streams = [new Exchange(0)];
  clocked.now = clocked.wall = 90_000;
  used.lastUsed = clocked.now;
  clocked.now = 100_001;
  clocked.table.sweep(1000);
  assert.deepEqual(clocked.dropped, [idle]);
  assert.equal(clocked.table.open(used.id), used);
  assert.equal(clocked.table.open(streaming.id), streaming);
});

test('a sweep in turns reaches every session, also those made meanwhile', () => {
  const clocked = tableWith(100, 100);
  for (let made = 0; made < 25; made += 1) create(clocked);
  clocked.now = 100_001;
  const fresh = create(clocked);
  clocked.table.sweep(10);
  assert.equal(clocked.table.size, 16);
  clocked.table.sweep(10);
  assert.equal(clocked.table.size, 6);
  clocked.table.sweep(10);
  assert.equal(clocked.table.size, 1);
  clocked.now = 300_000;
  clocked.table.sweep(10);
  assert.deepEqual(clocked.dropped.at(-1), fresh);
  assert.equal(clocked.table.size, 0);
});

test('the table sweeps by itself', async () => {
  const clocked = tableWith(100, 1);
  create(clocked);
  clocked.now = 2000;
  while (clocked.table.size > 0) await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(clocked.dropped.length, 1);
  clocked.table.close();
});

test('a full table evicts a session that was not used since; its id restores it', () => {
  const clocked = tableWith(3);
  const [first, second, third] = [create(clocked), create(clocked), create(clocked)];
  clocked.now = 5;
  first.lastUsed = 5;
  const fourth = create(clocked);
  assert.deepEqual(clocked.dropped, [second]);
  assert.equal(clocked.table.size, 3);
  for (const kept of [first, third, fourth]) assert.equal(clocked.table.open(kept.id), kept);
  const again = clocked.table.open(second.id);
  assert.ok(again !== null && again !== second);
  assert.equal(clocked.table.size, 3);
});

test('no session is created when maxSessions have a stream', () => {
  const clocked = tableWith(2);
  for (let slot = 0; slot < 2; slot += 1) create(clocked).streams = [new Exchange(slot)];
  assert.equal(clocked.table.create(3, CAPABILITIES, INFO, NOBODY), null);
  assert.equal(clocked.table.size, 2);
});

test('long capabilities and client names are reduced so that the id stays short', () => {
  const clocked = tableWith(10);
  const capabilities = Buffer.from(JSON.stringify({ sampling: {}, roots: { listChanged: true }, x: 'y'.repeat(5000) }));
  const info = Buffer.from(JSON.stringify({ name: 'n'.repeat(2000), version: '1', icons: 'i'.repeat(9000) }));
  const session = clocked.table.create(3, capabilities, info, NOBODY);
  assert.ok(session !== null && session.id.length < 1000);
  assert.deepEqual(JSON.parse(Buffer.from(session.capabilities).toString()), {
    sampling: {},
    roots: { listChanged: true },
  });
  assert.deepEqual(JSON.parse(Buffer.from(session.clientInfo).toString()), { name: 'n'.repeat(64), version: '1' });

  const deep = Buffer.from(JSON.stringify({ elicitation: { form: 'f'.repeat(3000) }, experimental: {} }));
  const bare = clocked.table.create(3, deep, INFO, NOBODY);
  assert.deepEqual(JSON.parse(Buffer.from(bare!.capabilities).toString()), { elicitation: {} });
  const garbage = clocked.table.create(3, Buffer.alloc(4000, '['), Buffer.alloc(4000, '"'), NOBODY);
  assert.equal(Buffer.from(garbage!.capabilities).toString(), '{}');
});

test('an idle session takes less than 2 KB', () => {
  const clocked = tableWith(50_000);
  const collect = (globalThis as { gc?: () => void }).gc ?? (() => {});
  collect();
  const before = process.memoryUsage();
  for (let made = 0; made < 20_000; made += 1) create(clocked);
  collect();
  const after = process.memoryUsage();
  const each = (after.heapUsed + after.external - before.heapUsed - before.external) / 20_000;
  assert.ok(each < 2048, `${Math.round(each)} bytes`);
});

test('a bound is needed', () => {
  assert.throws(() => tableWith(0), RangeError);
});

test('sessions of a removed secret end at once, also those in the table; their state is dropped in turns', async () => {
  const [old, young] = [SECRET, `${SECRET}, but newer`];
  const clocked = tableWith(10_000, 3600, [old]);
  const sessions = Array.from({ length: 1_000 }, () => create(clocked));
  clocked.table.reconfigure(new SessionSealer([young, old]), 3600, 10_000);
  assert.equal(clocked.table.open(sessions[0]!.id), sessions[0], 'a kept secret stays valid');
  const later = create(clocked);
  clocked.table.reconfigure(new SessionSealer([young]), 3600, 10_000);
  for (const { id } of sessions) assert.equal(clocked.table.open(id), null);
  assert.equal(clocked.table.open(later.id), later);
  assert.ok(clocked.dropped.length < 1_000, 'not all in one turn');
  while (clocked.table.size > 1) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(clocked.dropped.length, 1_000);
  clocked.table.reconfigure(new SessionSealer([young, old]), 3600, 10_000);
  assert.ok(clocked.table.open(sessions[0]!.id) !== null, 'only the secret speaks for a session');
});
