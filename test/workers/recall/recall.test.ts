import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { typescriptDecoder } from '../../../native/index.js';
import type { CacheSnapshot } from '../../../src/config/snapshot.js';
import { Counter, Counters, counterMemory } from '../../../src/shared/counters.js';
import { VerdictRecord } from '../../../src/shared/verdict-record.js';
import { type Question, Recall, Recalled, type Waiter } from '../../../workers/recall/index.js';
import { snapshot } from '../support/fixtures.js';

interface Asked {
  readonly name?: string;
  readonly args?: string;
  readonly route?: number;
  readonly subject?: number;
  readonly kind?: number;
  /** Overrides the hash, to make keys collide. */
  readonly hash?: readonly [number, number];
}

function question({ name = 'tool', args = '{"a":1}', route = 0, subject = 0, kind = 10, hash }: Asked = {}): Question {
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
    d0: subject,
    d1: 0,
    d2: 0,
    d3: 0,
    kind,
  };
}

class Rig {
  readonly counters = new Counters(counterMemory(1, 1), 0);
  readonly answers: [slot: number, result: string][] = [];
  readonly leads: [slot: number, key: number][] = [];
  readonly recall: Recall;
  now = 1000;
  #slot = 0;

  constructor(changes: Partial<CacheSnapshot> = {}) {
    this.recall = new Recall({ ...snapshot().cache, ...changes }, 1_000_000, 1, this.counters, {
      answer: ({ slot }, result) => this.answers.push([slot, result.toString()]),
      lead: ({ slot }, key) => this.leads.push([slot, key]),
    });
  }

  ask(asked: Asked = {}, rule: { ttlMs?: number; staleMs?: number } = {}): number {
    const slot = this.#slot;
    this.#slot += 1;
    const waiter = (): Waiter => ({ slot, generation: 1, verdict: new VerdictRecord() });
    return this.recall.ask(question(asked), { ttlMs: 100, staleMs: 0, public: false, ...rule }, this.now, waiter);
  }

  store(text = 'result', key = this.recall.key): void {
    const bytes = Buffer.from(`xx${text}yy`);
    this.recall.store(key, bytes, 2, bytes.length - 2, this.now);
    bytes.fill(0);
  }

  total(name: keyof typeof Counter): number {
    return this.counters.total(Counter[name]);
  }
}

describe('recall', () => {
  it('leads, keeps, and gives out until the time is over', () => {
    const rig = new Rig();
    assert.equal(rig.ask(), Recalled.lead);
    rig.store('one');
    assert.equal(rig.ask(), Recalled.hit);
    assert.equal(rig.recall.result.toString(), 'one');
    rig.now += 99;
    assert.equal(rig.ask(), Recalled.hit);
    rig.now += 1;
    assert.equal(rig.ask(), Recalled.lead);
    assert.deepEqual([rig.total('cacheHits'), rig.total('cacheMisses'), rig.total('cacheStored')], [2, 2, 1]);
  });

  it('keeps keys apart: name, arguments, route, subject, era and method', () => {
    const rig = new Rig();
    const others: Asked[] = [
      {},
      { name: 'tool2' },
      { args: '{"a":2}' },
      { args: '{"a": 1}' },
      { route: 1 },
      { subject: 7 },
      { kind: 11 },
      { name: 'tool{', args: '"a":1}' },
    ];
    others.forEach((asked, i) => {
      assert.equal(rig.ask(asked), Recalled.lead, JSON.stringify(asked));
      rig.store(`result ${i}`);
    });
    others.forEach((asked, i) => {
      assert.equal(rig.ask(asked), Recalled.hit);
      assert.equal(rig.recall.result.toString(), `result ${i}`);
    });
  });

  it('gives nobody the result of another key with the same hash', () => {
    const rig = new Rig();
    const hash = [1, 2] as const;
    assert.equal(rig.ask({ args: '{"a":1}', hash }), Recalled.lead);
    assert.equal(rig.ask({ args: '{"a":2}', hash }), Recalled.pass, 'no waiting for another key');
    rig.store('one');
    assert.equal(rig.ask({ args: '{"a":2}', hash }), Recalled.lead);
    rig.store('two');
    assert.equal(rig.ask({ args: '{"a":2}', hash }), Recalled.hit);
    assert.equal(rig.recall.result.toString(), 'two');
  });

  it('answers calls together: one leads, the others wait and get its result', () => {
    const rig = new Rig();
    assert.equal(rig.ask(), Recalled.lead);
    for (let i = 0; i < 5; i += 1) assert.equal(rig.ask(), Recalled.waits);
    rig.store('shared');
    assert.deepEqual(
      rig.answers,
      [1, 2, 3, 4, 5].map((slot) => [slot, 'shared']),
    );
    assert.equal(rig.total('cacheCoalesced'), 5);
    assert.equal(rig.recall.flights, 0);
  });

  it('lets the next one lead when the leader has nothing, and the others go on waiting', () => {
    const rig = new Rig();
    rig.ask();
    const first = rig.recall.key;
    for (let i = 0; i < 3; i += 1) rig.ask();
    rig.recall.release(first, rig.now);
    assert.equal(rig.leads.length, 1);
    const [slot, key] = rig.leads[0]!;
    assert.equal(slot, 1);
    assert.notEqual(key, first);
    rig.store('late', first);
    assert.deepEqual(rig.answers, [], 'the first leader has no say any more');
    rig.store('good', key);
    assert.deepEqual(rig.answers, [
      [2, 'good'],
      [3, 'good'],
    ]);
  });

  it('bounds waiting in number and in time', () => {
    const rig = new Rig({ maxWaiters: 2, waitMs: 50 });
    rig.ask();
    assert.deepEqual([rig.ask(), rig.ask(), rig.ask()], [Recalled.waits, Recalled.waits, Recalled.pass]);
    rig.now += 49;
    rig.recall.expire(rig.now);
    assert.equal(rig.leads.length, 0);
    rig.now += 1;
    rig.recall.expire(rig.now);
    assert.deepEqual(
      rig.leads.map(([slot]) => slot),
      [1],
    );
    rig.now += 50;
    rig.recall.expire(rig.now);
    assert.deepEqual(
      rig.leads.map(([slot]) => slot),
      [1, 2],
    );
    rig.now += 50;
    rig.recall.expire(rig.now);
    assert.equal(rig.recall.flights, 0);
    assert.equal(rig.ask(), Recalled.lead);
  });

  it('forgets who left', () => {
    const rig = new Rig();
    rig.ask();
    rig.ask();
    rig.ask();
    rig.recall.forget(1, 1);
    rig.recall.forget(2, 99);
    rig.store('x');
    assert.deepEqual(rig.answers, [[2, 'x']]);
  });

  it('serves stale results while one caller refreshes', () => {
    const rig = new Rig();
    const rule = { ttlMs: 100, staleMs: 50 };
    rig.ask({}, rule);
    rig.store('old');
    rig.now += 120;
    assert.equal(rig.ask({}, rule), Recalled.lead);
    const key = rig.recall.key;
    assert.equal(rig.ask({}, rule), Recalled.stale);
    assert.equal(rig.recall.result.toString(), 'old');
    rig.store('new', key);
    assert.equal(rig.ask({}, rule), Recalled.hit);
    assert.equal(rig.recall.result.toString(), 'new');
    rig.now += 151;
    assert.equal(rig.ask({}, rule), Recalled.lead);
    assert.equal(rig.ask({}, rule), Recalled.waits, 'too old to be served');
    assert.equal(rig.total('cacheStale'), 1);
  });

  it('is bounded in bytes and in the size of an entry', () => {
    const rig = new Rig({ maxBytes: 20_000, maxEntryBytes: 5_000 });
    rig.ask({ args: 'large' });
    rig.store('x'.repeat(5_001));
    assert.equal(rig.ask({ args: 'large' }), Recalled.lead);
    for (let i = 0; i < 50; i += 1) {
      rig.ask({ args: `${i}` });
      rig.store('y'.repeat(1_000));
    }
    const kept = Array.from({ length: 50 }, (_, i) => rig.ask({ args: `${i}` })).filter(
      (outcome) => outcome === Recalled.hit,
    );
    assert.ok(kept.length >= 10 && kept.length <= 16, `${kept.length}`);
    assert.ok(rig.total('cacheEvicted') > 30);
  });

  it('keeps nothing across an invalidation, but answers who waits', () => {
    const rig = new Rig();
    rig.ask({ args: '1' });
    rig.store('one');
    rig.ask({ args: '2' });
    rig.ask({ args: '2' });
    const key = rig.recall.key;
    rig.recall.clear();
    assert.equal(rig.ask({ args: '1' }), Recalled.lead);
    rig.store('before', key);
    assert.deepEqual(rig.answers, [[2, 'before']]);
    assert.equal(rig.ask({ args: '2' }), Recalled.lead);
  });

  it('passes everything when it is switched off', () => {
    assert.equal(new Rig({ enabled: false }).ask(), Recalled.pass);
    assert.equal(new Rig({ maxBytes: 0 }).ask(), Recalled.pass);
  });
});
