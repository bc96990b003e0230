import type { RouteSnapshot } from '../../src/config/snapshot/index.js';
import { CACHE_EVENTS, type CacheEvent, NO_ROUTE, type RouteCacheEvents } from '../../src/shared/cache/events.js';
import { Counter, type Counters } from '../../src/shared/counters.js';

const COUNTER_OF: Readonly<Record<CacheEvent, number>> = {
  hit: Counter.cacheHits,
  stale: Counter.cacheStale,
  coalesced: Counter.cacheCoalesced,
  miss: Counter.cacheMisses,
  stored: Counter.cacheStored,
  evicted: Counter.cacheEvicted,
  purged: Counter.cachePurged,
};
const POSITION = Object.fromEntries(CACHE_EVENTS.map((event, position) => [event, position])) as Record<
  CacheEvent,
  number
>;

/** Counts events of one worker's cache: in the shared counters at once, and by route until the front takes them. */
export class CacheEvents {
  readonly #counters: Counters;
  readonly #routes: readonly RouteSnapshot[];
  /** Counts of each route, those without a route first. */
  readonly #counts: Float64Array;
  #hasAny = false;

  constructor(counters: Counters, routes: readonly RouteSnapshot[]) {
    this.#counters = counters;
    this.#routes = routes;
    this.#counts = new Float64Array((routes.length + 1) * CACHE_EVENTS.length);
  }

  /** @param route index in the snapshot, -1 = none */
  add(event: CacheEvent, route: number): void {
    this.#counters.add(COUNTER_OF[event]);
    this.#counts[(route + 1) * CACHE_EVENTS.length + POSITION[event]]! += 1;
    this.#hasAny = true;
  }

  /** The counts since the last call; null = there was nothing. */
  take(): RouteCacheEvents[] | null {
    if (!this.#hasAny) return null;
    const rows: RouteCacheEvents[] = [];
    for (let route = -1; route < this.#routes.length; route += 1) {
      const at = (route + 1) * CACHE_EVENTS.length;
      const counts = [...this.#counts.subarray(at, at + CACHE_EVENTS.length)];
      if (counts.some((count) => count > 0)) rows.push({ route: this.#routes[route]?.name ?? NO_ROUTE, counts });
    }
    this.#counts.fill(0);
    this.#hasAny = false;
    return rows;
  }
}
