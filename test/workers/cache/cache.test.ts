import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { typescriptDecoder } from '../../../native/index.js';
import type { CacheSnapshot } from '../../../src/config/snapshot.js';
import { Counter, Counters, counterMemory } from '../../../src/shared/counters.js';
import { VerdictRecord } from '../../../src/shared/verdict-record.js';
import { type CacheQuery, Lookup, ResponseCache } from '../../../workers/cache/index.js';
import { copyKey, isKeyOf } from '../../../workers/cache/key.js';
import { snapshot } from '../fixture.js';

interface Parts {
  readonly name?: string;
  readonly args?: string;
  readonly route?: number;
  readonly subject?: number;
  readonly kind?: number;
  /** Overrides the hash, to make keys collide. */
  readonly hash?: readonly [number, number];
}

function queryOf({ name = 'tool', args = '{"a":1}', route = 0, subject = 0, kind = 10, hash }: Parts = {}): CacheQuery {
  const bytes = Buffer.from(`${name}${args}`);
  const lanes = new Int32Array(2);
  const nameEnd = Buffer.byteLength(name);
  typescriptDecoder.hash(bytes, nameEnd, bytes.length, lanes);
  return {
    bytes,
    nameStart: 0,
    nameEnd,
    argumentsStart: nameEnd,
    argumentsEnd: bytes.length,
    hashLow: hash?.[0] ?? lanes[0]!,
    hashHigh: hash?.[1] ?? lanes[1]!,
    route,
    variant: -1,
    digest: Int32Array.of(subject, 0, 0, 0),
    kind,
  };
}

/** A cache with its clock; `answers` and `leads` are the calls that waited. */
class CacheFixture {
  readonly counters = new Counters(counterMemory(1, 1), 0);
  readonly answers: [slot: number, result: string][] = [];
  readonly leads: [slot: number, key: number][] = [];
  readonly cache: ResponseCache;
  now = 1000;
  #slot = 0;

  constructor(changes: Partial<CacheSnapshot> = {}) {
    this.cache = new ResponseCache({ ...snapshot().cache, ...changes }, 1_000_000, 1, this.counters, {
      answer: ({ slot }, result) => this.answers.push([slot, result.toString()]),
      lead: ({ slot }, key) => this.leads.push([slot, key]),
    });
  }

  lookup(parts: Parts = {}, rule: { ttlMs?: number; staleMs?: number } = {}): Lookup {
    const caller = new VerdictRecord();
    caller.slot = this.#slot;
    caller.generation = 1;
    this.#slot += 1;
    return this.cache.lookup(queryOf(parts), { ttlMs: 100, staleMs: 0, public: false, ...rule }, this.now, caller);
  }

  store(text = 'result', key = this.cache.key): void {
    const bytes = Buffer.from(`xx${text}yy`);
    this.cache.store(key, bytes, 2, bytes.length - 2, this.now);
    bytes.fill(0);
  }

  total(name: keyof typeof Counter): number {
    return this.counters.total(Counter[name]);
  }
}

describe('response cache', () => {
  it('makes a leader, stores its result, and returns it until its time is over', () => {
    const fixture = new CacheFixture();
    assert.equal(fixture.lookup(), Lookup.lead);
    fixture.store('one');
    assert.equal(fixture.lookup(), Lookup.hit);
    assert.equal(fixture.cache.result.toString(), 'one');
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
      { name: 'tool{', args: '"a":1}' },
    ];
    others.forEach((parts, i) => {
      assert.equal(fixture.lookup(parts), Lookup.lead, JSON.stringify(parts));
      fixture.store(`result ${i}`);
    });
    others.forEach((parts, i) => {
      assert.equal(fixture.lookup(parts), Lookup.hit);
      assert.equal(fixture.cache.result.toString(), `result ${i}`);
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
    assert.equal(fixture.cache.result.toString(), 'two');
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
    fixture.cache.release(first, fixture.now);
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

  it('serves stale results while one caller refreshes', () => {
    const fixture = new CacheFixture();
    const rule = { ttlMs: 100, staleMs: 50 };
    fixture.lookup({}, rule);
    fixture.store('old');
    fixture.now += 120;
    assert.equal(fixture.lookup({}, rule), Lookup.lead);
    const key = fixture.cache.key;
    assert.equal(fixture.lookup({}, rule), Lookup.stale);
    assert.equal(fixture.cache.result.toString(), 'old');
    fixture.store('new', key);
    assert.equal(fixture.lookup({}, rule), Lookup.hit);
    assert.equal(fixture.cache.result.toString(), 'new');
    fixture.now += 151;
    assert.equal(fixture.lookup({}, rule), Lookup.lead);
    assert.equal(fixture.lookup({}, rule), Lookup.wait, 'too old to be served');
    assert.equal(fixture.total('cacheStale'), 1);
  });

  it('is bounded in bytes and in the size of an entry', () => {
    const fixture = new CacheFixture({ maxBytes: 20_000, maxEntryBytes: 5_000 });
    fixture.lookup({ args: 'large' });
    fixture.store('x'.repeat(5_001));
    assert.equal(fixture.lookup({ args: 'large' }), Lookup.lead);
    for (let i = 0; i < 50; i += 1) {
      fixture.lookup({ args: `${i}` });
      fixture.store('y'.repeat(1_000));
    }
    const kept = Array.from({ length: 50 }, (_, i) => fixture.lookup({ args: `${i}` })).filter(
      (outcome) => outcome === Lookup.hit,
    );
    assert.ok(kept.length >= 10 && kept.length <= 16, `${kept.length}`);
    assert.ok(fixture.total('cacheEvicted') > 30);
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

  it('bypasses everything when it is disabled', () => {
    assert.equal(new CacheFixture({ enabled: false }).lookup(), Lookup.bypass);
    assert.equal(new CacheFixture({ maxBytes: 0 }).lookup(), Lookup.bypass);
  });
});

it('a key is not that of another variant, whatever their hashes', () => {
  const query = queryOf();
  const key = copyKey(query, 0);
  assert.equal(isKeyOf(key, query), true);
  assert.equal(isKeyOf(key, { ...query, variant: 1 }), false);
});
