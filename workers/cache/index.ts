/**
 * The response cache: results of earlier calls, and identical calls at the same time answered by one of them.
 *
 * Each worker has its own cache; the front sends all calls with the same name and arguments to the same worker, so that a result is
 * in one place. Tables are keyed by a number made of the hashes of a key (key.ts), and everything is compared exactly before a
 * result is used.
 *
 * A call whose result is not stored becomes the leader of its key: it goes upstream and reports its result. Others with the
 * same key wait for it, at most `maxWaiters` of them and at most `waitMs`. A result older than its time to live but within `staleMs`
 * is served to all; the call of the first one leads all the same, without its client: no client waits for a refresh. Where the leader's upstream fails, a
 * result within `staleIfErrorMs` is served to it and to those who wait. Where a result must not be shared, those who wait are
 * forwarded, and for a while calls with that key are not made to wait for each other.
 *
 * A purge (of an operator, by a changed resource, by changed lists of a server) drops the results that it covers; a revocation or a
 * change of the configuration drops all.
 */

import { LRUCache } from 'lru-cache';
import { type CodeOf, codes } from '../../src/codes.js';
import type { CacheRule, CacheSnapshot } from '../../src/config/snapshot/index.js';
import { ANSWER_HEAD_BYTES, AnswerHead, CacheOutcome } from '../../src/shared/cache/answer-head.js';
import type { VerdictRecord } from '../../src/shared/ring/verdict-record.js';
import { Entry, entryBytes, passEntry, timesOf } from './entry.js';
import type { CacheEvents } from './events.js';
import { type CacheQuery, copyKey, hashQuery, isKeyOf, type Key } from './key.js';
import { NameIndex } from './name-index.js';
import type { PurgeScope } from './purge.js';

export { CacheEvents } from './events.js';
export type { CacheQuery } from './key.js';
export { PurgeScope } from './purge.js';
export { CacheRules, Objection } from './rules.js';

/** Outcome of {@link ResponseCache.lookup}. */
export const Lookup = codes('Lookup', {
  /** `answer` is the answer. */
  hit: 0,
  /** As `hit`, but the result is older than its time to live. */
  stale: 1,
  /**
   * The caller is the leader of the key with the number `key`. Unless it is empty, `answer` serves if its upstream fails, or, with
   * the outcome `stale` in its head, at once.
   */
  lead: 2,
  /** The caller waits: a method of {@link CacheWaiters} is called for it later. */
  wait: 3,
  /** Forward the call without the cache. */
  bypass: 4,
});
export type Lookup = CodeOf<typeof Lookup>;

/** How calls that wait for a leader continue. */
export interface CacheWaiters {
  /** The leader has brought the answer, with its head. */
  answer(waiter: VerdictRecord, answer: Buffer): void;
  /** The leader has failed or taken too long: this call becomes the leader of `key`. */
  lead(waiter: VerdictRecord, key: number): void;
  /** The answer of the leader is not for others. */
  forward(waiter: VerdictRecord): void;
}

/** One call upstream whose result others wait for. */
interface Flight {
  readonly id: number;
  readonly key: Key;
  readonly rule: CacheRule;
  /** Verdicts of the calls that wait, with slot and generation of each. */
  readonly waiters: VerdictRecord[];
  /** When the leader's time is over, monotonic milliseconds. */
  readonly until: number;
  /** The purges that came meanwhile and may cover its result; null = all results were dropped. */
  purges: PurgeScope[] | null;
}

const KEY_MASK = 0xfffff;
/** Purges that a flight remembers; after more its result is not stored, whichever server gives it. */
const MAX_PURGES = 8;
const NO_ANSWER = Buffer.alloc(0);

/** See the file comment. Used by the decider; one per worker and snapshot. */
export class ResponseCache {
  /** The answer of a hit, with its head. */
  answer: Buffer = NO_ANSWER;
  /** The key number of the leader that the last look-up made. */
  key = 0;
  readonly #limits: CacheSnapshot;
  readonly #events: CacheEvents;
  readonly #waiters: CacheWaiters;
  readonly #entries: LRUCache<number, Entry> | null;
  readonly #names = new NameIndex();
  readonly #byKey = new Map<number, Flight>();
  readonly #byId = new Map<number, Flight>();
  readonly #head = new AnswerHead();
  readonly #maxAnswer: number;
  readonly #idBase: number;
  #lastId = 0;

  /**
   * @param maxResult longest answer that a verdict can carry
   * @param incarnation distinguishes the key numbers of a worker from those of the one it replaced
   * @param lastId the key number to continue from: a result that a leader from before a reload reports must not be taken
   * for that of another call
   */
  constructor(
    limits: CacheSnapshot,
    maxResult: number,
    incarnation: number,
    events: CacheEvents,
    waiters: CacheWaiters,
    lastId = 0,
  ) {
    this.#lastId = lastId;
    this.#limits = limits;
    this.#maxAnswer = Math.min(maxResult, limits.maxEntryBytes + ANSWER_HEAD_BYTES);
    this.#events = events;
    this.#waiters = waiters;
    this.#idBase = (incarnation & 0x7ff) << 20;
    this.#entries =
      limits.enabled && limits.maxBytes > 0
        ? new LRUCache<number, Entry>({
            max: Math.max(1, limits.maxEntries),
            maxSize: limits.maxBytes,
            maxEntrySize: Math.max(1, Math.min(entryBytes(limits.maxEntryBytes), limits.maxBytes)),
            sizeCalculation: (entry) => entry.size,
            dispose: ({ key }, number, reason) => {
              this.#names.remove(key.name, number);
              if (reason === 'evict') events.add('evicted', key.route);
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

  /** Entries, those included that are over. */
  get size(): number {
    return this.#entries?.size ?? 0;
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
    const found = this.#entries.get(number);
    const entry = found !== undefined && isKeyOf(found.key, query) ? found : undefined;
    if (entry !== undefined) {
      if (entry.isFresh(now)) {
        this.#events.add('hit', query.route);
        this.answer = entry.serve(now, CacheOutcome.hit);
        return Lookup.hit;
      }
      if (entry.passes(now)) return Lookup.bypass;
      if (entry.isRetryPaused(now)) return this.#serveStale(entry, now, CacheOutcome.error);
      if (entry.isOver(now)) this.#entries.delete(number);
    }
    const flight = this.#byKey.get(number);
    if (flight === undefined) {
      const servesStale = entry?.servesStale(now) ?? false;
      this.#events.add(servesStale ? 'stale' : 'miss', query.route);
      if (servesStale) this.answer = entry!.serve(now, CacheOutcome.stale);
      else this.answer = entry?.servesOnError(now) === true ? entry.serve(now, CacheOutcome.error) : NO_ANSWER;
      this.key = this.#open(copyKey(query, number), rule, [], now).id;
      return Lookup.lead;
    }
    if (!isKeyOf(flight.key, query)) return Lookup.bypass;
    if (entry?.servesStale(now) === true) return this.#serveStale(entry, now, CacheOutcome.stale);
    if (entry?.isShared === false || flight.waiters.length >= this.#limits.maxWaiters) return Lookup.bypass;
    flight.waiters.push(caller.copy());
    return Lookup.wait;
  }

  #serveStale(entry: Entry, now: number, outcome: CacheOutcome): Lookup {
    this.#events.add('stale', entry.key.route);
    this.answer = entry.serve(now, outcome);
    return Lookup.stale;
  }

  /** The leader of `id` reports the answer `bytes[start, end)`, its head in front: stores it and answers those who wait. */
  store(id: number, bytes: Buffer, start: number, end: number, now: number): void {
    const flight = this.#byId.get(id);
    if (flight === undefined) return;
    this.#end(flight);
    const head = this.#head;
    head.read(bytes, start);
    const entry = this.#entryOf(flight, bytes, start, end, now);
    if (!isPurged(flight, head.server)) {
      if (entry === null) this.#put(passEntry(flight.key, head, now));
      else if (end - start <= this.#maxAnswer && this.#put(entry)) this.#events.add('stored', entry.key.route);
    }
    if (entry?.isShared !== true) {
      for (const waiter of flight.waiters) this.#waiters.forward(waiter);
      return;
    }
    if (flight.waiters.length === 0) return;
    const answer = entry.serve(now, CacheOutcome.collapsed);
    for (const waiter of flight.waiters) {
      this.#events.add('coalesced', entry.key.route);
      this.#waiters.answer(waiter, answer);
    }
  }

  /** The entry of an answer; null = it is not for others, or not for later. `#head` has been read. */
  #entryOf({ key, rule }: Flight, bytes: Buffer, start: number, end: number, now: number): Entry | null {
    const head = this.#head;
    if (rule.public && head.isPrivate) return null;
    const times = timesOf(head, rule, this.#limits.respectCacheControl, now);
    const answer = Buffer.allocUnsafeSlow(end - start);
    bytes.copy(answer, 0, start, end);
    const entry = new Entry(key, head, answer, times);
    return entry.isOver(now) ? null : entry;
  }

  /** @returns false when it is larger than the limits allow */
  #put(entry: Entry): boolean {
    const { key } = entry;
    this.#entries?.set(key.number, entry);
    if (this.#entries?.peek(key.number) !== entry) return false;
    this.#names.add(key.name, key.number);
    return true;
  }

  /**
   * The leader of `id` has no result to share: the next one becomes the leader.
   *
   * @param hasFailed its upstream failed: those who wait get the answer that is kept for this case, if there is one
   */
  release(id: number, hasFailed: boolean, now: number): void {
    const flight = this.#byId.get(id);
    if (flight === undefined) return;
    this.#end(flight);
    const entry = hasFailed ? this.#entries?.peek(flight.key.number) : undefined;
    if (entry?.servesOnError(now) === true) {
      entry.failed(now);
      for (const waiter of flight.waiters) {
        this.#serveStale(entry, now, CacheOutcome.error);
        this.#waiters.answer(waiter, this.answer);
      }
      return;
    }
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

  /**
   * Drops the results that a purge covers. Those under way will answer the calls that wait, but will not be stored.
   *
   * @returns number of results that were dropped
   */
  purge(scope: PurgeScope): number {
    for (const flight of this.#byId.values()) {
      if (flight.purges === null || !scope.covers(flight.key, -1)) continue;
      if (flight.purges.length < MAX_PURGES) flight.purges.push(scope);
      else flight.purges = null;
    }
    const entries = this.#entries;
    if (entries === null) return 0;
    let count = 0;
    for (const number of scope.names === null ? [...entries.keys()] : this.#names.numbers(scope.names)) {
      const entry = entries.peek(number);
      if (entry === undefined || !scope.covers(entry.key, entry.server)) continue;
      entries.delete(number);
      this.#events.add('purged', entry.key.route);
      count += 1;
    }
    return count;
  }

  /** Drops all results. Results under way will answer those who wait, but will not be stored. */
  clear(): void {
    for (const flight of this.#byId.values()) flight.purges = null;
    this.#entries?.clear();
  }

  /** Ends all flights before the cache is replaced. @returns the verdicts of the calls that waited */
  abandon(): VerdictRecord[] {
    const waiters = [...this.#byId.values()].flatMap((flight) => flight.waiters);
    this.#byId.clear();
    this.#byKey.clear();
    return waiters;
  }

  #open(key: Key, rule: CacheRule, waiters: VerdictRecord[], now: number): Flight {
    this.#lastId = (this.#lastId + 1) & KEY_MASK;
    const id = this.#idBase | this.#lastId;
    const flight: Flight = { id, key, rule, waiters, until: now + this.#limits.waitMs, purges: [] };
    this.#byKey.set(key.number, flight);
    this.#byId.set(id, flight);
    return flight;
  }

  #end(flight: Flight): void {
    this.#byId.delete(flight.id);
    this.#byKey.delete(flight.key.number);
  }

  #passLead(flight: Flight, now: number): void {
    const [first, ...others] = flight.waiters;
    if (first === undefined) return;
    const next = this.#open(flight.key, flight.rule, others, now);
    this.#waiters.lead(first, next.id);
  }
}

/** Whether the result of a flight, which a server has given, was dropped before it came. */
function isPurged({ key, purges }: Flight, server: number): boolean {
  return purges === null || purges.some((scope) => scope.covers(key, server));
}
