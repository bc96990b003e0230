/** Cacheable calls through the whole pool: two legs, one leader, results shared, nothing shared that must not be. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Counter } from '../../../src/shared/counters.js';
import { authOf } from '../../support/auth.js';
import { catalog, rateLimits, route, sampleCatalog, snapshot, tokenBucket, view } from '../../workers/fixture.js';
import { DispatchFixture } from './fixture.js';

const cacheable = (more: object = {}) => [
  route('cached', {
    tools: ['files__*'],
    cache: { ttlMs: 60_000, staleMs: 0, staleIfErrorMs: 0, public: false, ...more },
  }),
];
const tokens = [
  { token: 't1', subject: 'a', scopes: [] },
  { token: 't2', subject: 'b', scopes: [] },
];

async function withFixture(
  changes: ConstructorParameters<typeof DispatchFixture>[0],
  run: (fixture: DispatchFixture) => Promise<void>,
): Promise<void> {
  const fixture = new DispatchFixture({ routes: cacheable(), workers: 2, ...changes });
  try {
    await fixture.pool.ready();
    await run(fixture);
  } finally {
    await fixture.close();
  }
}

/** Opens a call, expects it to lead, and stores a result. */
async function leadAndStore(fixture: DispatchFixture, args: unknown, result: string, more: object = {}): Promise<void> {
  const { exchange, decided } = fixture.open({
    method: 'tools/call',
    params: { name: 'files__read', arguments: args },
    ...more,
  });
  assert.equal((await decided).verdict, 'lead');
  fixture.store(exchange, result);
  fixture.done(exchange);
}

describe('cacheable calls', () => {
  it('lead once and are answered from the cache afterwards, by the worker of their arguments', () =>
    withFixture({}, async (fixture) => {
      for (let n = 0; n < 20; n += 1) await leadAndStore(fixture, { n }, `{"content":${n}}`);
      for (let n = 0; n < 20; n += 1) {
        const { verdict, payload } = await fixture.call('files__read', { n });
        assert.equal(verdict, 'cached');
        assert.equal(payload, `{"content":${n}}`);
      }
      assert.equal(fixture.pool.counters.total(Counter.cacheHits), 20);
      assert.equal((await fixture.call('search__find')).verdict, 'forward');
    }));

  it('that come together are answered together', () =>
    withFixture({}, async (fixture) => {
      const calls = Array.from({ length: 50 }, () =>
        fixture.open({ method: 'tools/call', params: { name: 'files__read', arguments: { q: 1 } } }),
      );
      const leader = await Promise.race(calls.map(({ decided }) => decided));
      assert.equal(leader.verdict, 'lead');
      fixture.store(leader.exchange, '{"content":[]}');
      const all = await Promise.all(calls.map(({ decided }) => decided));
      assert.equal(all.filter(({ verdict }) => verdict === 'lead').length, 1);
      const others = all.filter(({ verdict }) => verdict === 'cached');
      assert.equal(others.length, 49);
      for (const { payload } of others) assert.equal(payload, '{"content":[]}');
      for (const { exchange } of calls) fixture.done(exchange);
      for (const count of fixture.nexts.values()) assert.equal(count, 1);
    }));

  it('lead one after the other when results cannot be kept', () =>
    withFixture({}, async (fixture) => {
      const calls = Array.from({ length: 5 }, () =>
        fixture.open({ method: 'tools/call', params: { name: 'files__read' } }),
      );
      const leaders: number[] = [];
      await Promise.all(
        calls.map(async ({ exchange, decided }) => {
          assert.equal((await decided).verdict, 'lead');
          leaders.push(exchange.slot);
          fixture.dispatcher.release(exchange, false);
          fixture.done(exchange);
        }),
      );
      assert.equal(leaders.length, 5);
    }));

  it('of a client that left while it waited, or before it could lead, hold up nobody', () =>
    withFixture({}, async (fixture) => {
      const open = () => fixture.open({ method: 'tools/call', params: { name: 'files__read' } });
      const leader = open();
      await leader.decided;
      const waiting = open();
      const last = open();
      // A call of another name at the same worker: when it is answered, those before it on the ring were looked at.
      for (let n = 0; n < 8; n += 1) await leadAndStore(fixture, { n }, '{}');
      fixture.dispatcher.forget(waiting.exchange);
      fixture.done(waiting.exchange);
      fixture.dispatcher.release(leader.exchange, false);
      fixture.done(leader.exchange);
      assert.equal((await last.decided).verdict, 'lead');
      fixture.done(last.exchange);
      assert.equal(fixture.nexts.has(`${waiting.exchange.slot}.${waiting.exchange.generation}`), false);
    }));

  it('are shared between subjects only where the route says public', async () => {
    const auth = authOf({ type: 'bearer', tokens });
    await withFixture({ auth }, async (fixture) => {
      await leadAndStore(fixture, {}, '"of a"', { token: 't1' });
      assert.equal((await fixture.call('files__read', {}, { token: 't1' })).payload, '"of a"');
      await leadAndStore(fixture, {}, '"of b"', { token: 't2' });
      assert.equal((await fixture.call('files__read', {}, { token: 't2' })).payload, '"of b"');
    });
    await withFixture({ auth, routes: cacheable({ public: true }) }, async (fixture) => {
      await leadAndStore(fixture, {}, '"of all"', { token: 't1' });
      assert.equal((await fixture.call('files__read', {}, { token: 't2' })).payload, '"of all"');
    });
  });

  it('are kept apart by view and by the headers that are part of the key, whatever else the caller sends', () => {
    const cache = { ...snapshot().cache, includeHeaders: [1] };
    const views = [view(), view({ base: '/users' })];
    return withFixture({ cache, views, attributes: ['x-other', 'x-user-id'] }, async (fixture) => {
      const callers = [
        { view: 0, attributes: '\nann' },
        { view: 1, attributes: '\nann' },
        { view: 0, attributes: '\nbob' },
        { view: 0, attributes: '' },
      ];
      for (const [n, caller] of callers.entries()) await leadAndStore(fixture, {}, `"${n}"`, caller);
      for (const [n, caller] of callers.entries()) {
        assert.equal((await fixture.call('files__read', {}, caller)).payload, `"${n}"`);
      }
      const other = await fixture.call('files__read', {}, { view: 0, attributes: 'x\nann' });
      assert.equal(other.payload, '"0"', 'another header makes no difference');
    });
  });

  it('are found again whatever the order of members, and are not looked up with further params', () =>
    withFixture({}, async (fixture) => {
      await leadAndStore(fixture, { a: 1, b: { c: 'é', d: [] } }, '"x"');
      const raw = (params: string) => `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":${params}}`;
      const params = '"arguments": {"b":{"d":[ ],"c":"\\u00e9"},"a":1}, "_meta":{"x":{"y":"}"}}, "name":"files__read"';
      assert.equal((await fixture.ask({ raw: raw(`{${params}}`) })).payload, '"x"');
      for (const more of [',"task":{"ttl":1}', ',"\\u0074ask":{}', ',"x":[{"name":"files__read"}]']) {
        assert.equal((await fixture.ask({ raw: raw(`{${params}${more}}`) })).verdict, 'forward', more);
        assert.equal((await fixture.ask({ raw: raw(`{${more.slice(1)},${params}}`) })).verdict, 'forward', more);
      }
    }));

  it('give the leader the answer that is kept for the case that its upstream fails', () => {
    const routes = cacheable({ ttlMs: 1, staleIfErrorMs: 60_000 });
    return withFixture({ routes }, async (fixture) => {
      const { exchange, decided } = fixture.open({ method: 'tools/call', params: { name: 'files__read' } });
      assert.equal((await decided).payload, '');
      fixture.store(exchange, '"old"', { freshMs: 0 });
      fixture.done(exchange);
      const again = fixture.open({ method: 'tools/call', params: { name: 'files__read' } });
      const { verdict, leftover } = await again.decided;
      assert.deepEqual([verdict, leftover], ['lead', '"old"']);
      fixture.dispatcher.release(again.exchange, true);
      fixture.done(again.exchange);
      const during = await fixture.ask({ method: 'tools/call', params: { name: 'files__read' } });
      assert.deepEqual([during.verdict, during.payload], ['cached', '"old"']);
    });
  });

  it('are kept apart by era', () =>
    withFixture({}, async (fixture) => {
      await leadAndStore(fixture, {}, '"legacy"');
      await leadAndStore(fixture, {}, '"modern"', { modern: true });
      assert.equal((await fixture.call('files__read', {})).payload, '"legacy"');
      assert.equal((await fixture.call('files__read', {}, { modern: true })).payload, '"modern"');
    }));

  it('are invalidated by a new configuration and a revocation, and not by a catalog', () =>
    withFixture({}, async (fixture) => {
      const steps = [
        () => fixture.dispatcher.reconfigure({ ...fixture.pool.snapshot, version: 2 }),
        () => fixture.pool.epochs.revoke(),
      ];
      for (const step of steps) {
        await leadAndStore(fixture, {}, '"x"');
        assert.equal((await fixture.call('files__read', {})).verdict, 'cached');
        step();
      }
      await leadAndStore(fixture, {}, '"x"');
      fixture.dispatcher.setCatalog({ ...sampleCatalog, version: 2 });
      assert.equal((await fixture.call('files__read', {})).verdict, 'cached');
    }));

  it('with arguments or results too large for the ring go without the cache', () =>
    withFixture({ limits: { ...snapshot().limits, ringBytes: 65_536 } }, async (fixture) => {
      for (let i = 0; i < 2; i += 1) {
        const { verdict, body } = await fixture.call('files__read', { text: 'x'.repeat(200_000) });
        assert.equal(verdict, 'forward');
        assert.ok(body.length > 200_000);
      }
      await leadAndStore(fixture, {}, `"${'y'.repeat(100_000)}"`);
      await leadAndStore(fixture, {}, '"small"');
      assert.equal((await fixture.call('files__read', {})).payload, '"small"');
    }));

  it('count against the limits, whether answered from the cache or not', () =>
    withFixture({ rateLimits: rateLimits({ global: tokenBucket(1e-6, 4), maxClients: 1 }) }, async (fixture) => {
      await leadAndStore(fixture, {}, '"x"');
      const verdicts = [];
      for (let i = 0; i < 5; i += 1) verdicts.push((await fixture.call('files__read', {})).verdict);
      assert.deepEqual(verdicts, ['cached', 'cached', 'cached', 'deny', 'deny']);
    }));

  it('that continue an earlier one are never cached, nor confuse the memo', () =>
    withFixture({}, async (fixture) => {
      await leadAndStore(fixture, {}, '"x"');
      for (let i = 0; i < 3; i += 1) {
        assert.equal((await fixture.call('files__read', {}, { continued: true })).verdict, 'forward');
        assert.equal((await fixture.call('files__read', {})).verdict, 'cached');
      }
    }));
});

describe('large results through a small ring', () => {
  it('wait for room and arrive whole', async () => {
    const fixture = new DispatchFixture(
      { routes: cacheable(), limits: { ...snapshot().limits, ringBytes: 65_536 } },
      catalog([['tool', 0, 'files__read']]),
    );
    try {
      const result = `"${'z'.repeat(20_000)}"`;
      await leadAndStore(fixture, {}, result);
      const all = await Promise.all(Array.from({ length: 60 }, () => fixture.call('files__read', {})));
      for (const { verdict, payload } of all) {
        assert.equal(verdict, 'cached');
        assert.equal(payload, result);
      }
    } finally {
      await fixture.close();
    }
  });
});

describe('a full ring', () => {
  it('keeps a bounded line, refuses the rest, and loses nothing', async () => {
    const fixture = new DispatchFixture({ limits: { ...snapshot().limits, ringBytes: 4096 } }, sampleCatalog, {
      memo: false,
      maxQueue: 20,
    });
    try {
      const all = await Promise.all(Array.from({ length: 200 }, () => fixture.call('files__read')));
      const forwarded = all.filter(({ verdict }) => verdict === 'forward').length;
      const refused = all.filter(({ error }) => error === 'GW_OVERLOADED').length;
      assert.equal(forwarded + refused, 200);
      assert.ok(forwarded >= 20 && refused > 0, `${forwarded} ${refused}`);
      assert.ok(fixture.pool.counters.total(Counter.ringFull) > 0);
      for (const count of fixture.nexts.values()) assert.equal(count, 1);
    } finally {
      await fixture.close();
    }
  });
});
