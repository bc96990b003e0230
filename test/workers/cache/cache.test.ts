import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Method } from '../../../native/layout.js';
import type { CacheRule } from '../../../src/config/snapshot/index.js';
import { type AnswerHead, CacheOutcome } from '../../../src/shared/cache/answer-head.js';
import { CACHE_EVENTS } from '../../../src/shared/cache/events.js';
import { VerdictRecord } from '../../../src/shared/ring/verdict-record.js';
import type { CachePurge } from '../../../src/shared/ring/worker-messages.js';
import { Lookup, PurgeScope, ResponseCache } from '../../../workers/cache/index.js';
import { copyKey, hashQuery, isKeyOf } from '../../../workers/cache/key.js';
import { snapshot } from '../fixture.js';
import { CacheFixture, type Parts, queryOf } from './fixture.js';

describe('response cache', () => {
  it('makes a leader, stores its result, and returns it until its time is over', () => {
    const fixture = new CacheFixture();
    assert.equal(fixture.lookup(), Lookup.lead);
    fixture.store('one');
    assert.equal(fixture.lookup(), Lookup.hit);
    assert.equal(fixture.result, 'one');
    fixture.now += 99;
    assert.equal(fixture.lookup(), Lookup.hit);
    fixture.now += 1;
    assert.equal(fixture.lookup(), Lookup.lead);
    assert.deepEqual(
      [fixture.total('cacheHits'), fixture.total('cacheMisses'), fixture.total('cacheStored')],
      [2, 2, 1],
    );
  });

  it('keeps keys apart: name, arguments, route, subject, era and method', () => {
    const fixture = new CacheFixture();
    const others: Parts[] = [
      {},
      { name: 'tool2' },
      { args: '{"a":2}' },
      { args: '{"a": 1}' },
      { route: 1 },
      { subject: 7 },
      { kind: 11 },
      { server: 1 },
      { view: 1 },
      { group: 1 },
      { headers: 'a' },
      { name: 'tool{', args: '"a":1}' },
    ];
    others.forEach((parts, i) => {
      assert.equal(fixture.lookup(parts), Lookup.lead, JSON.stringify(parts));
      fixture.store(`result ${i}`);
    });
    others.forEach((parts, i) => {
      assert.equal(fixture.lookup(parts), Lookup.hit);
      assert.equal(fixture.result, `result ${i}`);
    });
  });

  it('never returns the result of another key with the same hash', () => {
    const fixture = new CacheFixture();
    const hash = [1, 2] as const;
    assert.equal(fixture.lookup({ args: '{"a":1}', hash }), Lookup.lead);
    assert.equal(fixture.lookup({ args: '{"a":2}', hash }), Lookup.bypass, 'no waiting for another key');
    fixture.store('one');
    assert.equal(fixture.lookup({ args: '{"a":2}', hash }), Lookup.lead);
    fixture.store('two');
    assert.equal(fixture.lookup({ args: '{"a":2}', hash }), Lookup.hit);
    assert.equal(fixture.result, 'two');
  });

  it('compares every part of a key, whatever the hashes are', () => {
    const query = queryOf();
    const key = copyKey(query, hashQuery(query));
    assert.ok(isKeyOf(key, query));
    const others: Parts[] = [
      { name: 'tooL' },
      { args: '{"a":2}' },
      { route: 1 },
      { subject: 7 },
      { kind: 11 },
      { server: 1 },
      { view: 1 },
      { group: 1 },
      { headers: 'a' },
    ];
    for (const parts of others) assert.equal(isKeyOf(key, queryOf(parts)), false, JSON.stringify(parts));
    const longer = queryOf({ headers: 'ab' });
    assert.equal(isKeyOf(copyKey(queryOf({ headers: 'a' }), 0), longer), false);
    assert.ok(isKeyOf(copyKey(queryOf({ headers: 'a' }), 0), { ...longer, headersLength: 1 }));
  });

  it('coalesces calls: one leads, the others wait and get its result', () => {
    const fixture = new CacheFixture();
    assert.equal(fixture.lookup(), Lookup.lead);
    for (let i = 0; i < 5; i += 1) assert.equal(fixture.lookup(), Lookup.wait);
    fixture.store('shared');
    assert.deepEqual(
      fixture.answers,
      [1, 2, 3, 4, 5].map((slot) => [slot, 'shared']),
    );
    assert.equal(fixture.total('cacheCoalesced'), 5);
    assert.equal(fixture.cache.flights, 0);
  });

  it('makes the next one the leader when the leader has no result; the others wait on', () => {
    const fixture = new CacheFixture();
    fixture.lookup();
    const first = fixture.cache.key;
    for (let i = 0; i < 3; i += 1) fixture.lookup();
    fixture.cache.release(first, false, fixture.now);
    assert.equal(fixture.leads.length, 1);
    const [slot, key] = fixture.leads[0] ?? [-1, -1];
    assert.equal(slot, 1);
    assert.notEqual(key, first);
    fixture.store('late', first);
    assert.deepEqual(fixture.answers, [], 'the result of the first leader is ignored');
    fixture.store('good', key);
    assert.deepEqual(fixture.answers, [
      [2, 'good'],
      [3, 'good'],
    ]);
  });

  it('bounds waiting in number and in time', () => {
    const fixture = new CacheFixture({ maxWaiters: 2, waitMs: 50 });
    fixture.lookup();
    assert.deepEqual([fixture.lookup(), fixture.lookup(), fixture.lookup()], [Lookup.wait, Lookup.wait, Lookup.bypass]);
    fixture.now += 49;
    fixture.cache.expire(fixture.now);
    assert.equal(fixture.leads.length, 0);
    fixture.now += 1;
    fixture.cache.expire(fixture.now);
    assert.deepEqual(
      fixture.leads.map(([slot]) => slot),
      [1],
    );
    fixture.now += 50;
    fixture.cache.expire(fixture.now);
    assert.deepEqual(
      fixture.leads.map(([slot]) => slot),
      [1, 2],
    );
    fixture.now += 50;
    fixture.cache.expire(fixture.now);
    assert.equal(fixture.cache.flights, 0);
    assert.equal(fixture.lookup(), Lookup.lead);
  });

  it('answers no call that was cancelled', () => {
    const fixture = new CacheFixture();
    fixture.lookup();
    fixture.lookup();
    fixture.lookup();
    fixture.cache.cancel(1, 1);
    fixture.cache.cancel(2, 99);
    fixture.store('x');
    assert.deepEqual(fixture.answers, [[2, 'x']]);
  });

  it('serves stale results to all while the call of the first one refreshes', () => {
    const fixture = new CacheFixture();
    const rule = { ttlMs: 100, staleMs: 50 };
    fixture.lookup({}, rule);
    fixture.store('old');
    fixture.now += 120;
    assert.equal(fixture.lookup({}, rule), Lookup.lead);
    assert.deepEqual([fixture.result, fixture.head.outcome], ['old', CacheOutcome.stale], 'the first one has it too');
    const key = fixture.cache.key;
    assert.equal(fixture.lookup({}, rule), Lookup.stale);
    assert.equal(fixture.result, 'old');
    fixture.store('new', key);
    assert.equal(fixture.lookup({}, rule), Lookup.hit);
    assert.equal(fixture.result, 'new');
    fixture.now += 149;
    assert.equal(fixture.lookup({}, rule), Lookup.lead);
    assert.equal(fixture.lookup({}, rule), Lookup.stale);
    fixture.now += 1;
    assert.equal(fixture.lookup({}, rule), Lookup.wait, 'too old to be served');
    assert.deepEqual([fixture.total('cacheStale'), fixture.total('cacheMisses')], [4, 1]);
    fixture.cache.release(fixture.cache.key, false, fixture.now);
    assert.equal(fixture.cache.size, 0, 'nor is it kept');
  });

  it('serves what is old at once as the upstream says, and to no other that waited', () => {
    for (const [hints, meanwhile] of [
      [{ freshMs: 0, staleMs: 500 }, Lookup.stale],
      [{ freshMs: 0, staleIfErrorMs: 500 }, Lookup.bypass],
    ] as const) {
      const fixture = new CacheFixture();
      assert.deepEqual([fixture.lookup(), fixture.lookup()], [Lookup.lead, Lookup.wait]);
      fixture.store('own', fixture.cache.key, hints);
      assert.deepEqual([fixture.forwarded, fixture.answers], [[1], []]);
      assert.deepEqual([fixture.lookup(), fixture.lookup()], [Lookup.lead, meanwhile]);
      fixture.now += 500;
      fixture.cache.release(fixture.cache.key, true, fixture.now);
      assert.equal(fixture.lookup(), Lookup.lead);
      assert.equal(fixture.cache.answer.length, 0, 'its time is over');
    }
  });

  it('is bounded in bytes and in the size of an entry', () => {
    const fixture = new CacheFixture({ maxBytes: 20_000, maxEntryBytes: 5_000 });
    fixture.lookup({ args: 'large' });
    fixture.store('x'.repeat(5_001));
    assert.equal(fixture.lookup({ args: 'large' }), Lookup.lead);
    fixture.lookup({ args: 'z'.repeat(6_000) });
    fixture.store('small');
    assert.equal(fixture.total('cacheStored'), 0);
    for (let i = 0; i < 50; i += 1) {
      fixture.lookup({ args: `${i}` });
      fixture.store('y'.repeat(1_000));
    }
    const kept = Array.from({ length: 50 }, (_, i) => fixture.lookup({ args: `${i}` })).filter(
      (outcome) => outcome === Lookup.hit,
    );
    assert.ok(kept.length >= 10 && kept.length <= 16, `${kept.length}`);
    assert.ok(fixture.total('cacheEvicted') > 30);
    for (let i = 0; i < 50; i += 1) {
      fixture.lookup({ args: `${i}${'z'.repeat(1_000)}` });
      fixture.store('y');
    }
    assert.ok(fixture.cache.size <= 20, 'keys count too');
    const roomy = new CacheFixture({ maxBytes: 8_000_000, maxEntryBytes: 4_000_000 });
    roomy.lookup();
    roomy.store('x'.repeat(1_000_001));
    assert.equal(roomy.cache.size, 0, 'no verdict could carry it');
  });

  it('numbers keys otherwise than the worker that it replaces, and than before a reload', () => {
    const keys = [
      [1, 0],
      [2, 0],
      [1, 1],
    ].map(([incarnation, lastId]) => {
      const { events } = new CacheFixture();
      const waiters = { answer: () => {}, lead: () => {}, forward: () => {} };
      const cache = new ResponseCache(snapshot().cache, 1_000, incarnation!, events, waiters, lastId);
      assert.equal(cache.lookup(queryOf(), { ...snapshot().cache.rule }, 0, new VerdictRecord()), Lookup.lead);
      assert.equal(cache.lastId, lastId! + 1);
      return cache.key;
    });
    assert.equal(new Set(keys).size, 3);
  });

  it('stores nothing across an invalidation, but answers the calls that wait', () => {
    const fixture = new CacheFixture();
    fixture.lookup({ args: '1' });
    fixture.store('one');
    fixture.lookup({ args: '2' });
    fixture.lookup({ args: '2' });
    const key = fixture.cache.key;
    fixture.cache.clear();
    assert.equal(fixture.lookup({ args: '1' }), Lookup.lead);
    fixture.store('before', key);
    assert.deepEqual(fixture.answers, [[2, 'before']]);
    assert.equal(fixture.lookup({ args: '2' }), Lookup.lead);
  });

  it('follows the time that the upstream says, unless it is told not to', () => {
    const hints = { freshMs: 50, resultTtlMs: 50 };
    const fixture = new CacheFixture();
    fixture.lookup();
    fixture.store('short', fixture.cache.key, hints);
    fixture.now += 20;
    assert.equal(fixture.lookup(), Lookup.hit);
    assert.deepEqual([fixture.head.ageMs, fixture.head.freshMs, fixture.head.resultTtlMs], [20, 30, 30]);
    fixture.now += 30;
    assert.equal(fixture.lookup(), Lookup.lead);
    const deaf = new CacheFixture({ respectCacheControl: false });
    deaf.lookup();
    deaf.store('short', deaf.cache.key, hints);
    deaf.now += 80;
    assert.equal(deaf.lookup(), Lookup.hit);
    assert.deepEqual([deaf.head.freshMs, deaf.head.resultTtlMs], [20, 0], 'the client hears nothing longer than that');
    deaf.lookup({ name: 'long' });
    deaf.store('long', deaf.cache.key, { freshMs: 500, resultTtlMs: 500, staleMs: 500, staleIfErrorMs: 500 });
    deaf.now += 20;
    assert.equal(deaf.lookup({ name: 'long' }), Lookup.hit);
    assert.deepEqual([deaf.head.freshMs, deaf.head.resultTtlMs], [80, 80], 'nor longer than the rule');
    deaf.now += 80;
    assert.equal(deaf.lookup({ name: 'long' }), Lookup.lead);
    assert.equal(deaf.cache.answer.length, 0);
  });

  it('forwards those who wait for an answer that is not for them, and lets later calls not wait', () => {
    const rows: [Partial<CacheRule>, Partial<AnswerHead>][] = [
      [{}, { freshMs: 0 }],
      [{ staleMs: 500 }, { freshMs: 0 }],
      [{ public: true }, { isPrivate: true }],
    ];
    for (const [rule, hints] of rows) {
      const fixture = new CacheFixture();
      const lookups = [0, 1, 2].map(() => fixture.lookup({}, rule));
      assert.deepEqual(lookups, [Lookup.lead, Lookup.wait, Lookup.wait]);
      fixture.store('own', fixture.cache.key, hints);
      assert.deepEqual(fixture.forwarded, [1, 2]);
      assert.deepEqual(fixture.answers, []);
      assert.equal(fixture.lookup({}, rule), Lookup.bypass);
      fixture.now += 10_000;
      assert.equal(fixture.lookup({}, rule), Lookup.lead, 'the upstream may say something else now');
    }
  });

  it('stores under a rule for each principal what its upstream calls private', () => {
    const fixture = new CacheFixture();
    fixture.lookup();
    fixture.store('own', fixture.cache.key, { isPrivate: true });
    assert.equal(fixture.lookup(), Lookup.hit);
  });

  it('serves an answer after a failure no longer than it may, although the upstream is not asked again yet', () => {
    const fixture = new CacheFixture();
    const rule = { ttlMs: 100, staleIfErrorMs: 50 };
    fixture.lookup({}, rule);
    fixture.store('old');
    fixture.now += 120;
    fixture.lookup({}, rule);
    fixture.cache.release(fixture.cache.key, true, fixture.now);
    fixture.now += 29;
    assert.equal(fixture.lookup({}, rule), Lookup.stale);
    fixture.now += 1;
    assert.equal(fixture.lookup({}, rule), Lookup.lead);
    assert.equal(fixture.cache.answer.length, 0);
  });

  it('keeps an answer for the case that the upstream fails', () => {
    const fixture = new CacheFixture();
    const rule = { ttlMs: 100, staleIfErrorMs: 5_000 };
    fixture.lookup({}, rule);
    assert.equal(fixture.cache.answer.length, 0, 'there is no older answer yet');
    fixture.store('old');
    fixture.now += 101;
    assert.equal(fixture.lookup({}, rule), Lookup.lead);
    assert.equal(fixture.result, 'old');
    const { key } = fixture.cache;
    assert.equal(fixture.lookup({}, rule), Lookup.wait, 'it is not served while the upstream may answer');
    fixture.cache.release(key, true, fixture.now);
    assert.deepEqual(fixture.answers, [[2, 'old']]);
    assert.equal(fixture.lookup({}, rule), Lookup.stale, 'nor is the upstream asked again at once');
    assert.equal(fixture.head.outcome, CacheOutcome.error);
    fixture.now += 1_000;
    assert.equal(fixture.lookup({}, rule), Lookup.lead);
    fixture.cache.release(fixture.cache.key, false, fixture.now);
    fixture.now += 5_000;
    assert.equal(fixture.lookup({}, rule), Lookup.lead);
    assert.equal(fixture.cache.answer.length, 0, 'it is too old');
    fixture.lookup({}, rule);
    fixture.cache.release(fixture.cache.key, true, fixture.now);
    assert.equal(fixture.leads.length, 1, 'the one that waits asks the upstream itself');
  });

  it('drops what a purge covers, also of calls under way', () => {
    const keys: Parts[] = [{}, { name: 'other' }, { subject: 7 }, { kind: 2 * Method.resourcesRead }, { server: 1 }];
    const everything = {
      type: 'purge',
      server: -1,
      kinds: ['tools', 'prompts', 'resources'],
      principal: null,
    } as const;
    const rows: [Partial<CachePurge>, string[] | null, boolean[]][] = [
      [{}, null, [true, true, true, true, true]],
      [{}, ['tool'], [true, false, true, true, true]],
      [{ kinds: ['resources'] }, null, [false, false, false, true, false]],
      [{ server: 1 }, null, [false, false, false, false, true]],
      [{ principal: 'subject 7' }, null, [false, false, true, false, false]],
      [{ kinds: ['prompts'] }, null, [false, false, false, false, false]],
    ];
    for (const [changes, names, dropped] of rows) {
      const scope = new PurgeScope({ ...everything, name: null, ...changes }, names);
      const fixture = new CacheFixture();
      for (const parts of keys) {
        fixture.lookup(parts);
        fixture.store('x', fixture.cache.key, { server: parts.server ?? 0 });
      }
      assert.equal(fixture.cache.purge(scope), dropped.filter(Boolean).length);
      assert.deepEqual(
        keys.map((parts) => fixture.lookup(parts) === Lookup.lead),
        dropped,
      );
      assert.equal(fixture.total('cachePurged'), dropped.filter(Boolean).length);
      assert.equal(fixture.total('cacheEvicted'), 0);
    }
    const fixture = new CacheFixture();
    fixture.lookup();
    fixture.lookup();
    fixture.cache.purge(new PurgeScope({ ...everything, name: null }, ['tool']));
    fixture.store('from before the purge');
    assert.deepEqual(fixture.answers, [[1, 'from before the purge']]);
    assert.equal(fixture.lookup(), Lookup.lead);
    fixture.cache.purge(new PurgeScope({ ...everything, name: null, server: 1 }, null));
    fixture.store('of another server');
    assert.equal(fixture.lookup(), Lookup.hit);
    const server = (number: number) => new PurgeScope({ ...everything, name: null, server: number }, null);
    fixture.cache.clear();
    fixture.lookup();
    fixture.cache.purge(server(1));
    fixture.store('from before the purge', fixture.cache.key, { server: 1 });
    assert.equal(fixture.lookup(), Lookup.lead);
    for (let i = 0; i < 9; i += 1) fixture.cache.purge(server(1));
    fixture.store('of another server');
    assert.equal(fixture.lookup(), Lookup.lead, 'there were too many to be remembered');
  });

  it('counts what happens by route', () => {
    const fixture = new CacheFixture({ maxEntries: 1 });
    for (const parts of [{ route: 1 }, { route: 1 }, { route: -1 }]) {
      if (fixture.lookup(parts) === Lookup.lead) fixture.store('x');
    }
    const none = { hit: 0, stale: 0, coalesced: 0, miss: 0, stored: 0, evicted: 0, purged: 0 };
    const rowsOf = () =>
      fixture.events.take()?.map(({ route: name, counts }) => ({
        name,
        ...Object.fromEntries(CACHE_EVENTS.map((event, position) => [event, counts[position]])),
      }));
    assert.deepEqual(rowsOf(), [
      { name: '', ...none, miss: 1, stored: 1 },
      { name: 'b', ...none, hit: 1, miss: 1, stored: 1, evicted: 1 },
    ]);
    assert.equal(rowsOf(), undefined);
    fixture.lookup({ route: -1 });
    assert.deepEqual(rowsOf(), [{ name: '', ...none, hit: 1 }], 'each once');
  });

  it('bypasses everything when it is disabled', () => {
    assert.equal(new CacheFixture({ enabled: false }).lookup(), Lookup.bypass);
    assert.equal(new CacheFixture({ maxBytes: 0 }).lookup(), Lookup.bypass);
  });
});

it('a key is not that of another variant, whatever their hashes', () => {
  const query = queryOf();
  const key = copyKey(query, 0);
  assert.equal(isKeyOf(key, query), true);
  assert.equal(isKeyOf(key, { ...query, group: 1 }), false);
});
