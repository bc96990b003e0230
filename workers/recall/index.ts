/**
 * Recall: results that were given before, and calls that are answered together.
 *
 * Each worker has its own cache; the front sends all calls with the same arguments to the same worker, so there is one
 * place where a result can be. A key is route, name, arguments, principal (unless the route is public) and era. Tables
 * are keyed by a number made of their hashes, and everything is compared exactly before a result is given out.
 *
 * A call that finds nothing leads: it goes upstream and reports its result. Others with the same key wait for it,
 * at most `maxWaiters` and at most `waitMs`. A result past its `ttlMs` but within `staleMs` is served as it is to
 * everybody but the first, who leads: nobody waits for a refresh.
 *
 * A change of the catalog (an upstream said `list_changed`) or of the configuration empties the cache.
 */

import { LRUCache } from 'lru-cache';
import type { CacheSnapshot, RouteSnapshot } from '../../src/config/snapshot.js';
import { Counter, type Counters } from '../../src/shared/counters.js';
import type { VerdictRecord } from '../../src/shared/verdict-record.js';

/** What {@link Recall.ask} found. */
export const Recalled = {
  /** `result` may be given out. */
  hit: 0,
  /** As `hit`, but past its time. */
  stale: 1,
  /** The caller leads under `key`. */
  lead: 2,
  /** The caller waits and will be told. */
  waits: 3,
  /** Not here: forward without the cache. */
  pass: 4,
} as const;

/** A caller that waits, with the head of the verdict it will get. */
export interface Waiter {
  readonly slot: number;
  readonly generation: number;
  readonly verdict: VerdictRecord;
}

/** How the policy answers callers that waited. */
export interface RecallEvents {
  /** The result is there. */
  answer(waiter: Waiter, result: Buffer): void;
  /** The leader failed or took too long: this one leads now, under `key`. */
  lead(waiter: Waiter, key: number): void;
}

/** The parts of a key, over bytes in place. */
export interface Question {
  readonly bytes: Buffer;
  readonly nameStart: number;
  readonly nameEnd: number;
  readonly argumentsStart: number;
  readonly argumentsEnd: number;
  readonly hashLow: number;
  readonly hashHigh: number;
  readonly route: number;
  /** Digest of the principal; all 0 for public entries. */
  readonly d0: number;
  readonly d1: number;
  readonly d2: number;
  readonly d3: number;
  /** Method and era. */
  readonly kind: number;
}

/** The exact key of an entry or a flight: the question with bytes of its own. */
interface Key {
  readonly number: number;
  readonly name: Buffer;
  readonly arguments: Buffer;
  readonly route: number;
  readonly d0: number;
  readonly d1: number;
  readonly d2: number;
  readonly d3: number;
  readonly kind: number;
}

interface Entry {
  readonly key: Key;
  readonly result: Buffer;
  /** Monotonic milliseconds. */
  readonly freshUntil: number;
  readonly staleUntil: number;
}

interface Flight {
  readonly id: number;
  readonly key: Key;
  readonly ttlMs: number;
  readonly staleMs: number;
  waiters: Waiter[];
  /** When the current leader has had its time, monotonic milliseconds. */
  until: number;
  /** Anything stored under a flight from before an invalidation is out of date. */
  readonly generation: number;
}

/** What an entry costs besides its bytes. */
const OVERHEAD = 256;
const KEY_MASK = 0xfffff;

/** See the file comment. */
export class Recall {
  /** The result of a hit. */
  result: Buffer = Buffer.alloc(0);
  /** The key number of a lead. */
  key = 0;
  readonly #limits: CacheSnapshot;
  readonly #counters: Counters;
  readonly #events: RecallEvents;
  readonly #entries: LRUCache<number, Entry> | null;
  readonly #byKey = new Map<number, Flight>();
  readonly #byId = new Map<number, Flight>();
  readonly #maxResult: number;
  readonly #idBase: number;
  #lastId = 0;
  #generation = 0;

  /**
   * @param maxResult longest result that can be given out
   * @param incarnation distinguishes the key numbers of a worker from those of the one it replaced
   * @param lastId where the key numbers go on: a result that a leader from before a reload brings must not be taken
   * for that of another call
   */
  constructor(
    limits: CacheSnapshot,
    maxResult: number,
    incarnation: number,
    counters: Counters,
    events: RecallEvents,
    lastId = 0,
  ) {
    this.#lastId = lastId;
    this.#limits = limits;
    this.#maxResult = Math.min(maxResult, limits.maxEntryBytes);
    this.#counters = counters;
    this.#events = events;
    this.#idBase = (incarnation & 0x7ff) << 20;
    this.#entries =
      limits.enabled && limits.maxBytes > 0
        ? new LRUCache<number, Entry>({
            max: Math.max(1, limits.maxEntries),
            maxSize: limits.maxBytes,
            maxEntrySize: Math.max(1, Math.min(limits.maxEntryBytes + OVERHEAD, limits.maxBytes)),
            sizeCalculation: ({ key, result }) => result.length + key.name.length + key.arguments.length + OVERHEAD,
            dispose: (_entry, _key, reason) => {
              if (reason === 'evict') counters.add(Counter.cacheEvicted);
            },
          })
        : null;
  }

  /** The last key number that was given out. */
  get lastId(): number {
    return this.#lastId;
  }

  /** Flights under way; for tests and statistics. */
  get flights(): number {
    return this.#byId.size;
  }

  /**
   * Looks for a result.
   *
   * @param waiter makes the record of the caller if it has to wait
   * @param now monotonic milliseconds
   * @returns one of {@link Recalled}
   */
  ask(question: Question, route: NonNullable<RouteSnapshot['cache']>, now: number, waiter: () => Waiter): number {
    if (this.#entries === null) return Recalled.pass;
    const number = numberOf(question);
    const entry = this.#entries.get(number);
    let stale: Entry | null = null;
    if (entry !== undefined && sameKey(entry.key, question)) {
      if (now < entry.freshUntil) {
        this.#counters.add(Counter.cacheHits);
        this.result = entry.result;
        return Recalled.hit;
      }
      if (now < entry.staleUntil) stale = entry;
      else this.#entries.delete(number);
    }
    const flight = this.#byKey.get(number);
    if (flight === undefined) {
      this.#counters.add(Counter.cacheMisses);
      return this.#lead(question, number, route, now);
    }
    if (!sameKey(flight.key, question)) return Recalled.pass;
    if (stale !== null) {
      this.#counters.add(Counter.cacheStale);
      this.result = stale.result;
      return Recalled.stale;
    }
    if (flight.waiters.length >= this.#limits.maxWaiters) return Recalled.pass;
    flight.waiters.push(waiter());
    return Recalled.waits;
  }

  /** The leader of `id` has a result: `bytes[start, end)`. */
  store(id: number, bytes: Buffer, start: number, end: number, now: number): void {
    const flight = this.#byId.get(id);
    if (flight === undefined) return;
    this.#end(flight);
    const result = Buffer.allocUnsafeSlow(end - start);
    bytes.copy(result, 0, start, end);
    if (flight.generation === this.#generation && result.length <= this.#maxResult) {
      const freshUntil = now + flight.ttlMs;
      this.#entries?.set(flight.key.number, {
        key: flight.key,
        result,
        freshUntil,
        staleUntil: freshUntil + flight.staleMs,
      });
      this.#counters.add(Counter.cacheStored);
    }
    for (const waiter of flight.waiters) {
      this.#counters.add(Counter.cacheCoalesced);
      this.#events.answer(waiter, result);
    }
  }

  /** The leader of `id` has no result to share: the next one leads. */
  release(id: number, now: number): void {
    const flight = this.#byId.get(id);
    if (flight === undefined) return;
    this.#end(flight);
    this.#next(flight, now);
  }

  /** A caller that may wait is gone. */
  forget(slot: number, generation: number): void {
    for (const flight of this.#byId.values()) {
      const at = flight.waiters.findIndex((waiter) => waiter.slot === slot && waiter.generation === generation);
      if (at >= 0) {
        flight.waiters.splice(at, 1);
        return;
      }
    }
  }

  /** Lets the next callers lead whose leader has had its time; to be called now and then. */
  expire(now: number): void {
    for (const flight of [...this.#byId.values()]) {
      if (now < flight.until) continue;
      this.#end(flight);
      this.#next(flight, now);
    }
  }

  /** Forgets all results; those under way are given to those who wait, but not kept. */
  clear(): void {
    this.#generation += 1;
    this.#entries?.clear();
  }

  /** Lets everybody who waits go on without the cache: it is about to be replaced. */
  abandon(): Waiter[] {
    const waiters = [...this.#byId.values()].flatMap((flight) => flight.waiters);
    this.#byId.clear();
    this.#byKey.clear();
    return waiters;
  }

  #lead(question: Question, number: number, route: NonNullable<RouteSnapshot['cache']>, now: number): number {
    this.key = this.#open(ownKey(question, number), route.ttlMs, route.staleMs, [], now).id;
    return Recalled.lead;
  }

  #open(key: Key, ttlMs: number, staleMs: number, waiters: Waiter[], now: number): Flight {
    this.#lastId = (this.#lastId + 1) & KEY_MASK;
    const id = this.#idBase | this.#lastId;
    const until = now + this.#limits.waitMs;
    const flight: Flight = { id, key, ttlMs, staleMs, waiters, until, generation: this.#generation };
    this.#byKey.set(key.number, flight);
    this.#byId.set(id, flight);
    return flight;
  }

  #end(flight: Flight): void {
    this.#byId.delete(flight.id);
    if (this.#byKey.get(flight.key.number) === flight) this.#byKey.delete(flight.key.number);
  }

  #next(flight: Flight, now: number): void {
    const [first, ...others] = flight.waiters;
    if (first === undefined) return;
    const next = this.#open(flight.key, flight.ttlMs, flight.staleMs, others, now);
    this.#events.lead(first, next.id);
  }
}

function numberOf(question: Question): number {
  let low =
    question.hashLow ^ Math.imul(question.d0 ^ question.d2, 0x9e3779b1) ^ Math.imul(question.route + 1, 0x85ebca6b);
  let high =
    question.hashHigh ^ Math.imul(question.d1 ^ question.d3, 0xc2b2ae35) ^ Math.imul(question.kind, 0x27d4eb2f);
  for (let i = question.nameStart; i < question.nameEnd; i += 1) {
    low = Math.imul(low ^ question.bytes[i]!, 0x01000193);
    high = Math.imul(high ^ low, 0x2c1b3c6d);
  }
  return (high & 0x1fffff) * 4_294_967_296 + (low >>> 0);
}

function sameKey(key: Key, question: Question): boolean {
  const { bytes, nameStart, nameEnd, argumentsStart, argumentsEnd } = question;
  return (
    key.route === question.route &&
    key.kind === question.kind &&
    key.d0 === question.d0 &&
    key.d1 === question.d1 &&
    key.d2 === question.d2 &&
    key.d3 === question.d3 &&
    bytes.compare(key.name, 0, key.name.length, nameStart, nameEnd) === 0 &&
    bytes.compare(key.arguments, 0, key.arguments.length, argumentsStart, argumentsEnd) === 0
  );
}

function ownKey(question: Question, number: number): Key {
  const { bytes, nameStart, nameEnd, argumentsStart, argumentsEnd, route, kind, d0, d1, d2, d3 } = question;
  const own = (start: number, end: number): Buffer => {
    const copy = Buffer.allocUnsafeSlow(end - start);
    bytes.copy(copy, 0, start, end);
    return copy;
  };
  return {
    number,
    name: own(nameStart, nameEnd),
    arguments: own(argumentsStart, argumentsEnd),
    route,
    kind,
    d0,
    d1,
    d2,
    d3,
  };
}
