import { type CodeOf, codes } from '../../src/codes.js';
import type { CacheRule, Snapshot } from '../../src/config/snapshot/index.js';
import { type CatalogTable, EntryFlag } from '../../src/shared/catalog-table.js';
import { packedText } from '../../src/shared/packed.js';
import { compileGlob } from '../../src/shared/patterns/glob.js';
import { resourcePatterns } from '../../src/shared/patterns/resources.js';
import { PatternSet } from '../../src/shared/patterns/set.js';
import type { TextPattern } from '../../src/shared/patterns/text.js';

/** The target of a call as far as rules depend on it: the finder. */
interface Target {
  readonly server: number;
  readonly route: number;
  readonly variant: number;
  readonly entry: number;
}

/** What calls are about. */
export type CachedKind = 'tools' | 'prompts' | 'resources';

/** Why the answer of a call is not stored. */
export const Objection = codes('Objection', {
  none: 0,
  /** `cache.enabled` is false, or nothing is to be stored. */
  off: 1,
  /** `cache: false` of its route. */
  route: 2,
  /** Its kind is not switched on. */
  kind: 3,
  /** `cache.exclude` matches. */
  excluded: 4,
  /** No pattern of `cache.patterns` matches. */
  notNamed: 5,
  /** It is not listed: its annotations and further names are not known. */
  notListed: 6,
  /** Its annotations do not say that it is read-only and idempotent. */
  unsafe: 7,
  /** The child or session of a server serves one session or principal only. */
  isolated: 8,
});
export type Objection = CodeOf<typeof Objection>;

/** In place of an objection: not found out yet. */
const UNKNOWN = 255;
const SAFE = EntryFlag.readOnly | EntryFlag.idempotent;

/** Which calls have their answers stored, and by which rule. One per worker, snapshot and catalog. */
export class CacheRules {
  /** Whether any answer can be stored. */
  readonly #isOn: boolean;
  readonly #snapshot: Snapshot;
  readonly #catalog: CatalogTable;
  readonly #named: PatternSet | null;
  readonly #notNamed: PatternSet;
  readonly #resources: PatternSet | null;
  readonly #notResources: PatternSet;
  /** The objection of the global rule to a tool or prompt, by entry; found out at its first call. */
  readonly #objectionTo: Uint8Array;

  constructor(snapshot: Snapshot, catalog: CatalogTable) {
    const { cache, routes } = snapshot;
    const { patterns, exclude, resourcePatterns: resources, resourceExclude } = cache;
    const isGlobal = cache.tools || cache.prompts || cache.resources;
    this.#isOn = cache.enabled && (isGlobal || routes.some((route) => route.cache !== null && route.cache !== false));
    this.#snapshot = snapshot;
    this.#catalog = catalog;
    this.#named = patterns.length === 0 ? null : patternSet(patterns, (text) => [compileGlob(text)]);
    this.#notNamed = patternSet(exclude, (text) => [compileGlob(text)]);
    this.#resources = patterns.length === 0 ? null : patternSet(resources, resourcePatterns);
    this.#notResources = patternSet(resourceExclude, resourcePatterns);
    this.#objectionTo = new Uint8Array(isGlobal ? catalog.kind.length : 0).fill(UNKNOWN);
  }

  /**
   * The rule by which the answer of a call is stored, or null.
   *
   * @param name the URI of a resource is `bytes[start, end)`
   */
  ruleOf(kind: CachedKind, target: Target, bytes: Uint8Array, start: number, end: number): CacheRule | null {
    if (this.objection(kind, target, bytes, start, end) !== Objection.none) return null;
    return this.#ruleOfRoute(target.route) || this.#snapshot.cache.rule;
  }

  /** Why {@link ruleOf} gives null; `none` = it does not. */
  objection(kind: CachedKind, target: Target, bytes: Uint8Array, start: number, end: number): Objection {
    if (!this.#isOn) return Objection.off;
    const { cache, routes } = this.#snapshot;
    const own = this.#ruleOfRoute(target.route);
    if (own === false) return Objection.route;
    if (own === null) {
      if (!cache[kind]) return Objection.kind;
      const found = kind === 'resources' ? this.#toUri(bytes, start, end) : this.#toEntry(kind, target.entry);
      if (found !== Objection.none) return found;
    }
    const isPublic = (own ?? cache.rule).public;
    if (this.#isIsolated(target.server, isPublic)) return Objection.isolated;
    const route = target.route < 0 ? undefined : routes[target.route];
    if (route !== undefined) {
      const { servers } = route.variants?.groups[target.variant] ?? route;
      for (let i = 0; i < servers.length; i += 1)
        if (this.#isIsolated(servers[i]!, isPublic)) return Objection.isolated;
    }
    return Objection.none;
  }

  /** null = the global rule applies. */
  #ruleOfRoute(route: number): CacheRule | false | null {
    return route < 0 ? null : (this.#snapshot.routes[route]?.cache ?? null);
  }

  #toUri(bytes: Uint8Array, start: number, end: number): Objection {
    if (this.#notResources.first(bytes, start, end) >= 0) return Objection.excluded;
    const isNamed = this.#resources === null || this.#resources.first(bytes, start, end) >= 0;
    return isNamed ? Objection.none : Objection.notNamed;
  }

  #toEntry(kind: CachedKind, entry: number): Objection {
    if (entry < 0) return Objection.notListed;
    if (this.#objectionTo[entry] === UNKNOWN) this.#objectionTo[entry] = this.#judge(kind, entry);
    return this.#objectionTo[entry] as Objection;
  }

  #judge(kind: CachedKind, entry: number): Objection {
    const { flags, publicNames, server, upstreamNames } = this.#catalog;
    const owner = this.#snapshot.servers[server[entry]!];
    const own = packedText(upstreamNames, entry);
    const names = [packedText(publicNames, entry), `${owner?.name ?? ''}:${own}`];
    const unprefixed = `${owner?.prefix ?? ''}${this.#snapshot.catalog.separator}${own}`;
    if ([...names, own, unprefixed].some((name) => matches(this.#notNamed, name))) return Objection.excluded;
    if (this.#named !== null) {
      return names.some((name) => matches(this.#named!, name)) ? Objection.none : Objection.notNamed;
    }
    const isSafe = (flags[entry]! & SAFE) === SAFE && (flags[entry]! & EntryFlag.destructive) === 0;
    return kind !== 'tools' || isSafe ? Objection.none : Objection.unsafe;
  }

  /** Whether the child or session of a server serves one session or principal only, so that its answers must not be shared. */
  #isIsolated(server: number, isPublic: boolean): boolean {
    const config = server < 0 ? undefined : this.#snapshot.servers[server];
    if (config === undefined) return false;
    const { isolation, clientCredentials } = config;
    // Two tokens of one subject may have different rights at the upstream.
    return clientCredentials || isolation === 'session' || (isolation === 'principal' && isPublic);
  }
}

function patternSet(texts: readonly string[], compile: (text: string) => readonly TextPattern[]): PatternSet {
  return new PatternSet(texts.flatMap((text) => compile(text).map((pattern) => [pattern, 0] as const)));
}

function matches(set: PatternSet, name: string): boolean {
  const bytes = Buffer.from(name);
  return set.first(bytes, 0, bytes.length) >= 0;
}
