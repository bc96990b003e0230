/**
 * The response cache: results of earlier calls, and identical calls at the same time answered by one of them.
 *
 * Each worker has its own cache; the front sends all calls with the same arguments to the same worker, so that a result is in
 * one place. A key is route, name, arguments, principal (unless the route is public), method and family. Tables are keyed by a
 * number made of their hashes, and everything is compared exactly before a result is used.
 *
 * A call whose result is not stored becomes the leader of its key: it goes upstream and reports its result. Others with the
 * same key wait for it, at most `maxWaiters` of them and at most `waitMs`. A result older than its `ttlMs` but within `staleMs`
 * is served to all but the first caller, who becomes the leader: no call waits for a refresh.
 *
 * A change of the catalog (an upstream sent `list_changed`) or of the configuration empties the cache.
 */

import { LRUCache } from 'lru-cache';
import { type CodeOf, codes } from '../../src/codes.js';
import type { CacheSnapshot, RouteSnapshot } from '../../src/config/snapshot.js';
import { Counter, type Counters } from '../../src/shared/counters.js';
import type { VerdictRecord } from '../../src/shared/verdict-record.js';
import { type CacheQuery, copyKey, hashQuery, isKeyOf, type Key } from './key.js';

export type { CacheQuery } from './key.js';

/** Outcome of {@link ResponseCache.lookup}. */
export const Lookup = codes('Lookup', {
  /** `result` is the answer. */
  hit: 0,
  /** As `hit`, but the result is older than its time to live. */
  stale: 1,
  /** The caller is the leader of the key with the number `key`. */
  lead: 2,
  /** The caller waits: a method of {@link CacheWaiters} is called for it later. */
  wait: 3,
  /** Forward the call without the cache. */
  bypass: 4,
});
export type Lookup = CodeOf<typeof Lookup>;

/** How calls that wait for a leader continue. */
export interface CacheWaiters {
  /** The leader has brought the result. */
  answer(waiter: VerdictRecord, result: Buffer): void;
  /** The leader has failed or taken too long: this call becomes the leader of `key`. */
  lead(waiter: VerdictRecord, key: number): void;
}

/** The cache rule of a route. */
export type CacheRule = NonNullable<RouteSnapshot['cache']>;

interface Entry {
  readonly key: Key;
  readonly result: Buffer;
  /** Monotonic milliseconds. */
  readonly freshUntil: number;
  readonly staleUntil: number;
}

/** One call upstream whose result others wait for. */
interface Flight {
  readonly id: number;
  readonly key: Key;
  readonly ttlMs: number;
  readonly staleMs: number;
  /** Verdicts of the calls that wait, with slot and generation of each. */
  readonly waiters: VerdictRecord[];
  /** When the leader's time is over, monotonic milliseconds. */
  readonly until: number;
  /** A result of a flight from before an invalidation is not stored. */
  readonly generation: number;
}

/** What an entry costs besides its bytes. */
const OVERHEAD = 256;
const KEY_MASK = 0xfffff;

/** See the file comment. Used by the decider; one per worker and snapshot. */
export class ResponseCache {
  /** The result of a hit. */
  result: Buffer = Buffer.alloc(0);
  /** The key number of the leader that the last look-up made. */
  key = 0;
  readonly #limits: CacheSnapshot;
  readonly #counters: Counters;
  readonly #waiters: CacheWaiters;
  readonly #entries: LRUCache<number, Entry> | null;
  readonly #byKey = new Map<number, Flight>();
  readonly #byId = new Map<number, Flight>();
  readonly #maxResult: number;
  readonly #idBase: number;
  #lastId = 0;
  #generation = 0;

  /**
   * @param maxResult longest result that a verdict can carry
   * @param incarnation distinguishes the key numbers of a worker from those of the one it replaced
   * @param lastId the key number to continue from: a result that a leader from before a reload reports must not be taken
   * for that of another call
   */
  constructor(
    limits: CacheSnapshot,
    maxResult: number,
    incarnation: number,
    counters: Counters,
    waiters: CacheWaiters,
    lastId = 0,
  ) {
    this.#lastId = lastId;
    this.#limits = limits;
    this.#maxResult = Math.min(maxResult, limits.maxEntryBytes);
    this.#counters = counters;
    this.#waiters = waiters;
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

  /** The last key number that was assigned. */
  get lastId(): number {
    return this.#lastId;
  }

  /** Leaders under way. */
  get flights(): number {
    return this.#byId.size;
  }

  /**
   * Looks for a result, and makes the caller a leader or lets it wait if there is none.
   *
   * @param caller the verdict of the call; copied if the call has to wait
   * @param now monotonic milliseconds
   */
  lookup(query: CacheQuery, rule: CacheRule, now: number, caller: VerdictRecord): Lookup {
    if (this.#entries === null) return Lookup.bypass;
    const number = hashQuery(query);
    const entry = this.#entries.get(number);
    let stale: Entry | null = null;
    if (entry !== undefined && isKeyOf(entry.key, query)) {
      if (now < entry.freshUntil) {
        this.#counters.add(Counter.cacheHits);
        this.result = entry.result;
        return Lookup.hit;
      }
      if (now < entry.staleUntil) stale = entry;
      else this.#entries.delete(number);
    }
    const flight = this.#byKey.get(number);
    if (flight === undefined) {
      this.#counters.add(Counter.cacheMisses);
      this.key = this.#open(copyKey(query, number), rule.ttlMs, rule.staleMs, [], now).id;
      return Lookup.lead;
    }
    if (!isKeyOf(flight.key, query)) return Lookup.bypass;
    if (stale !== null) {
      this.#counters.add(Counter.cacheStale);
      this.result = stale.result;
      return Lookup.stale;
    }
    if (flight.waiters.length >= this.#limits.maxWaiters) return Lookup.bypass;
    flight.waiters.push(caller.copy());
    return Lookup.wait;
  }

  /** The leader of `id` reports the result `bytes[start, end)`: stores it and answers those who wait. */
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
      this.#waiters.answer(waiter, result);
    }
  }

  /** The leader of `id` has no result to share: the next one becomes the leader. */
  release(id: number, now: number): void {
    const flight = this.#byId.get(id);
    if (flight === undefined) return;
    this.#end(flight);
    this.#passLead(flight, now);
  }

  /** The call with that slot and generation is cancelled: it stops waiting, if it does. */
  cancel(slot: number, generation: number): void {
    for (const flight of this.#byId.values()) {
      const at = flight.waiters.findIndex((waiter) => waiter.slot === slot && waiter.generation === generation);
      if (at >= 0) {
        flight.waiters.splice(at, 1);
        return;
      }
    }
  }

  /** Replaces the leaders whose time is over; to be called now and then. */
  expire(now: number): void {
    for (const flight of [...this.#byId.values()]) {
      if (now < flight.until) continue;
      this.#end(flight);
      this.#passLead(flight, now);
    }
  }

  /** Drops all results. Results under way will answer those who wait, but will not be stored. */
  clear(): void {
    this.#generation += 1;
    this.#entries?.clear();
  }

  /** Ends all flights before the cache is replaced. @returns the verdicts of the calls that waited */
  abandon(): VerdictRecord[] {
    const waiters = [...this.#byId.values()].flatMap((flight) => flight.waiters);
    this.#byId.clear();
    this.#byKey.clear();
    return waiters;
  }

  #open(key: Key, ttlMs: number, staleMs: number, waiters: VerdictRecord[], now: number): Flight {
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

  #passLead(flight: Flight, now: number): void {
    const [first, ...others] = flight.waiters;
    if (first === undefined) return;
    const next = this.#open(flight.key, flight.ttlMs, flight.staleMs, others, now);
    this.#waiters.lead(first, next.id);
  }
}
