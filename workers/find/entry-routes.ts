/**
 * Which route applies to a catalog entry. It is judged by all the names that it has or had, with its first look-up; from then on
 * only what depends on the call is compared. The outcome is in fields, so that nothing is allocated per call.
 */
import type { ServerSnapshot, Snapshot } from '../../src/config/snapshot/index.js';
import { judgedTemplate } from '../../src/protocol/uri.js';
import { type CatalogTable, EntryFlag } from '../../src/shared/catalog-table.js';
import { packedText } from '../../src/shared/packed.js';
import type { PatternSet } from '../../src/shared/patterns/set.js';
import type { RouteConditions } from './conditions.js';
import { earlier, type NamedRoutes } from './named-routes.js';
import { everyName, unchangedNames } from './spellings.js';

const NOT_COMPUTED = -2;
/** The route of an entry depends on the call. */
const DEPENDS = -3;
const NO_ROUTES: readonly number[] = [];

/** The routes of an entry whose route depends on the call. */
interface Candidates {
  /** The routes by each name of the entry, in order, up to the first that asks for nothing else. */
  readonly lists: readonly Int32Array[];
  /** So many of the first lists decide the route; of the others only the scopes are needed. */
  readonly deciding: number;
  /** Routes that are about the own name of the entry. */
  readonly byOwnName: readonly number[];
}

/** See the file comment. One per finder. */
export class EntryRoutes {
  /** The route of the last look-up, -1 = none. */
  route = -1;
  /** It is about the own name of the entry: the first server of the call is the entry's, not the route's first. */
  isByOwnName = false;
  /** Further routes whose scopes are needed: those of other names. May have {@link route} and -1 in it. */
  readonly also: number[] = [];
  /** Whether the call is about a task: routes that may have applied to the call that made it are needed too. */
  isAboutTask = false;

  readonly #snapshot: Snapshot;
  readonly #catalog: CatalogTable;
  readonly #conditions: RouteConditions;
  /** By entry, from its first look-up on. */
  readonly #routeOf: Int32Array;
  readonly #ownNames: Uint8Array;
  readonly #alsoOf = new Map<number, readonly number[]>();
  readonly #candidates = new Map<number, Candidates>();

  constructor(snapshot: Snapshot, catalog: CatalogTable, conditions: RouteConditions) {
    this.#snapshot = snapshot;
    this.#catalog = catalog;
    this.#conditions = conditions;
    this.#routeOf = new Int32Array(catalog.kind.length).fill(NOT_COMPUTED);
    this.#ownNames = new Uint8Array(catalog.kind.length);
  }

  /** Forgets the last look-up. */
  reset(): void {
    this.route = -1;
    this.isByOwnName = false;
    this.isAboutTask = false;
    // To set the length of an empty array takes as long as a look-up.
    if (this.also.length > 0) this.also.length = 0;
  }

  /** Looks up a tool or prompt. */
  named(entry: number, routes: NamedRoutes): void {
    if (this.#routeOf[entry] === NOT_COMPUTED) this.#judge(entry, routes);
    this.#choose(entry);
  }

  /** Looks up a resource template by its own text, which a request spells as `bytes[start, end)`. */
  template(entry: number, routes: PatternSet, bytes: Uint8Array, start: number, end: number): void {
    if (this.#routeOf[entry] === NOT_COMPUTED) {
      const name = Buffer.from(judgedTemplate(packedText(this.#catalog.publicNames, entry)));
      const list = this.#upToFixed([...routes.all(name, 0, name.length), ...routes.all(bytes, start, end)]);
      this.#store(entry, [list], 1, NO_ROUTES);
    }
    this.#choose(entry);
  }

  /** The first route of a list that the call has everything for, -1 = none. */
  pick(list: ArrayLike<number>): number {
    const conditions = this.#conditions;
    for (let i = 0; i < list.length; i += 1) {
      if (conditions.accepts(list[i]!)) return list[i]!;
      if (conditions.isUndecided && this.isAboutTask) this.also.push(list[i]!);
    }
    return -1;
  }

  #choose(entry: number): void {
    const route = this.#routeOf[entry]!;
    if (route !== DEPENDS) {
      this.route = route;
      this.isByOwnName = this.#ownNames[entry] === 1;
      if (this.#alsoOf.size > 0) for (const other of this.#alsoOf.get(entry) ?? NO_ROUTES) this.also.push(other);
      return;
    }
    const { lists, deciding, byOwnName } = this.#candidates.get(entry)!;
    for (let i = 0; i < lists.length; i += 1) {
      const picked = this.pick(lists[i]!);
      if (i < deciding) this.route = earlier(this.route, picked);
      this.also.push(picked);
    }
    this.isByOwnName = byOwnName.includes(this.route);
  }

  /** The route is the first one for any public name that the entry has or had; the scopes of the first one for each are needed. */
  #judge(entry: number, routes: NamedRoutes): void {
    const { publicNames, server: servers, upstreamNames } = this.#catalog;
    const server = servers[entry]!;
    const owner = this.#snapshot.servers[server];
    const name = packedText(publicNames, entry);
    const own = packedText(upstreamNames, entry);
    const address = `${owner?.name ?? ''}:${own}`;
    const former = this.formerNames(entry, owner, own);
    const found = [name, ...former].map((text) => routes.ofEntry([text, address], server, own));
    const deciding = found.length;
    // What is called by its bare name or, because another server's entry has its name, by its address, keeps the rules for these.
    if (former.length > 0) found.push(routes.of(own));
    else if (name === address && owner !== undefined) {
      for (const text of [own, ...everyName(this.#snapshot.catalog, owner, own)]) found.push(routes.of(text));
    }
    const lists = found.map((list) => this.#upToFixed(list));
    const names = [name, address, ...former];
    const deciders = new Set(lists.slice(0, deciding).flatMap((list) => [...list]));
    const byOwnName = [...deciders].filter((route) => routes.isByOwnName(route, names));
    this.#store(entry, lists, deciding, byOwnName);
  }

  #store(entry: number, lists: readonly Int32Array[], deciding: number, byOwnName: readonly number[]): void {
    if (lists.some(([first]) => first !== undefined && this.#conditions.has(first))) {
      this.#candidates.set(entry, { lists, deciding, byOwnName });
      this.#routeOf[entry] = DEPENDS;
      return;
    }
    const firsts = lists.map(([first = -1]) => first);
    const route = firsts.slice(0, deciding).reduce(earlier, -1);
    this.#routeOf[entry] = route;
    if (byOwnName.includes(route)) this.#ownNames[entry] = 1;
    const others = [...new Set(firsts)].filter((other) => other >= 0 && other !== route);
    if (others.length > 0) this.#alsoOf.set(entry, others);
  }

  /** Routes in order up to the first that asks for nothing but a name: those behind it never apply. */
  #upToFixed(routes: readonly number[]): Int32Array {
    const last = routes.findIndex((route) => !this.#conditions.has(route));
    return Int32Array.from(last < 0 ? routes : routes.slice(0, last + 1));
  }

  /** The public names that an entry would have if its characters, length and name were left as they are; empty = as it has. */
  formerNames(entry: number, owner: ServerSnapshot | undefined, own: string): string[] {
    if (owner === undefined || (this.#catalog.flags[entry]! & EntryFlag.renamed) === 0) return [];
    return unchangedNames(this.#snapshot.catalog, owner, own);
  }
}
