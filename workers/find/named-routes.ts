/** The routes of tools or prompts: by public name, by address, and by the server's own name where the route names servers. */
import type { RouteSnapshot, Snapshot } from '../../src/config/snapshot.js';
import { compileGlob } from '../../src/shared/patterns/glob.js';
import { PatternSet } from '../../src/shared/patterns/set.js';

/** See the file comment. Two per finder. */
export class NamedRoutes {
  readonly #all: PatternSet;
  /** Patterns of the routes that name a server, by its number. */
  readonly #own = new Map<number, PatternSet>();

  constructor({ routes }: Snapshot, patternsOf: (route: RouteSnapshot) => readonly string[]) {
    this.#all = patternSet(routes, patternsOf, () => true);
    for (const server of new Set(routes.flatMap(({ servers }) => servers))) {
      this.#own.set(
        server,
        patternSet(routes, patternsOf, ({ servers }) => servers.includes(server)),
      );
    }
  }

  /** The first route for a name or an address, -1 = none. */
  first(name: string): number {
    const bytes = Buffer.from(name);
    return this.#all.first(bytes, 0, bytes.length);
  }

  /** Whether {@link firstOf} is a route for none of `names`: it is about this server's own entry, and no other server gets the call. */
  isByOwnName(route: number, names: readonly string[]): boolean {
    return route >= 0 && names.every((name) => this.first(name) !== route);
  }

  /** The first route for an entry of a server: by one of `names`, or by its own name where the route names the server. */
  firstOf(names: readonly string[], server: number, own: string): number {
    const bytes = Buffer.from(own);
    let route = this.#own.get(server)?.first(bytes, 0, bytes.length) ?? -1;
    for (const name of names) route = earlier(route, this.first(name));
    return route;
  }
}

/** The earlier of two routes; -1 = none. */
export function earlier(a: number, b: number): number {
  return a < 0 || (b >= 0 && b < a) ? b : a;
}

function patternSet(
  routes: readonly RouteSnapshot[],
  patternsOf: (route: RouteSnapshot) => readonly string[],
  concerns: (route: RouteSnapshot) => boolean,
): PatternSet {
  return new PatternSet(
    routes.flatMap((route, index) =>
      concerns(route) ? patternsOf(route).map((text) => [compileGlob(text), index] as const) : [],
    ),
  );
}
