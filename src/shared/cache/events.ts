/** What happens in the response cache, counted by route: workers count, the front adds up. */
import type { Count } from '../../units.js';

/** Kinds of events. */
export const CACHE_EVENTS = ['hit', 'stale', 'coalesced', 'miss', 'stored', 'evicted', 'purged'] as const;
/** One of {@link CACHE_EVENTS}. */
export type CacheEvent = (typeof CACHE_EVENTS)[number];

/** Events of one route. */
export interface RouteCacheEvents {
  /** Name of the route; {@link NO_ROUTE} = calls without a route. */
  readonly route: string;
  /** Number of each of {@link CACHE_EVENTS}, in that order. */
  readonly counts: readonly Count[];
}

/** Stands for the calls that no route matches; a route can have no such name. */
export const NO_ROUTE = '';
/** Routes with counts of their own; the events of further ones are added up under {@link OTHER_ROUTES}. */
export const MAX_ROUTES: Count = 200;
/** See {@link MAX_ROUTES}. */
export const OTHER_ROUTES = '(other)';

/** The sums over all workers; one per gateway. */
export class CacheEventTotals {
  readonly #counts = new Map<string, Count[]>();

  add(events: readonly RouteCacheEvents[]): void {
    for (const { route, counts } of events) {
      const name = this.#counts.has(route) || this.#counts.size < MAX_ROUTES ? route : OTHER_ROUTES;
      const sums = this.#counts.get(name) ?? CACHE_EVENTS.map(() => 0);
      this.#counts.set(
        name,
        sums.map((sum, event) => sum + (counts[event] ?? 0)),
      );
    }
  }

  /** The sums so far, of routes with any event. */
  rows(): RouteCacheEvents[] {
    return [...this.#counts].map(([route, counts]) => ({ route, counts }));
  }
}
