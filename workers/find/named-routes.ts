/** The routes of tools or prompts: by public name, by address, and by the server's own name where the route names servers. */

import type { RouteSnapshot, Snapshot } from '../../src/config/snapshot/index.js';
import type { PatternText } from '../../src/config/snapshot/match.js';
import { PatternSet } from '../../src/shared/patterns/set.js';
import { compilePattern } from '../../src/shared/patterns/text.js';

/** See the file comment. Two per finder. */
export class NamedRoutes {
  readonly #all: PatternSet;
  /** Patterns of the routes that name a server, by its number. */
  readonly #own = new Map<number, PatternSet>();

  constructor({ routes }: Snapshot, patternsOf: (route: RouteSnapshot) => readonly PatternText[]) {
    this.#all = patternSet(routes, patternsOf, () => true);
    for (const server of new Set(routes.flatMap(serversOf))) {
      this.#own.set(
        server,
        patternSet(routes, patternsOf, (route) => serversOf(route).includes(server)),
      );
    }
  }

  /** All routes for a name or an address, in order. */
  of(name: string): number[] {
    const bytes = Buffer.from(name);
    return this.#all.all(bytes, 0, bytes.length);
  }

  /** Whether a route is one for none of `names`: it is about a server's own entry, and no other server gets the call. */
  isByOwnName(route: number, names: readonly string[]): boolean {
    return route >= 0 && names.every((name) => !this.of(name).includes(route));
  }

  /** All routes for an entry of a server, in order: by one of `names`, or by its own name where the route names the server. */
  ofEntry(names: readonly string[], server: number, own: string): number[] {
    const bytes = Buffer.from(own);
    const found = new Set(this.#own.get(server)?.all(bytes, 0, bytes.length));
    for (const name of names) for (const route of this.of(name)) found.add(route);
    return [...found].sort((a, b) => a - b);
  }
}

/** The earlier of two routes; -1 = none. */
export function earlier(a: number, b: number): number {
  return a < 0 || (b >= 0 && b < a) ? b : a;
}

function serversOf({ servers, variants }: RouteSnapshot): readonly number[] {
  return variants === null ? servers : [...servers, ...variants.groups.flatMap((group) => group.servers)];
}

function patternSet(
  routes: readonly RouteSnapshot[],
  patternsOf: (route: RouteSnapshot) => readonly PatternText[],
  concerns: (route: RouteSnapshot) => boolean,
): PatternSet {
  return new PatternSet(
    routes.flatMap((route, index) =>
      concerns(route) ? patternsOf(route).map((text) => [compilePattern(text), index] as const) : [],
    ),
  );
}
