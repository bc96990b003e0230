import type { RouteConditions } from './conditions.js';

/** The routes of one catalog entry, of which it depends on the call which one applies. Made with its first look-up. */
export interface EntryRoutes {
  /** The routes by each name of the entry, in order, up to the first that asks for nothing else. */
  readonly lists: readonly Int32Array[];
  /** So many of the first lists decide the route; of the others only the scopes are needed. */
  readonly deciding: number;
  /** Routes that are about the own name of the entry. */
  readonly byOwnName: readonly number[];
}

/** The routes in order up to the first that asks for nothing but a name: those behind it never apply. */
export function candidates(routes: readonly number[], conditions: RouteConditions): Int32Array {
  const last = routes.findIndex((route) => !conditions.has(route));
  return Int32Array.from(last < 0 ? routes : routes.slice(0, last + 1));
}

/** The route of a list that does not depend on the call: the first one, -1 = none; undefined = it depends on the call. */
export function fixedRoute(list: Int32Array, conditions: RouteConditions): number | undefined {
  const first = list[0];
  if (first === undefined) return -1;
  return conditions.has(first) ? undefined : first;
}
