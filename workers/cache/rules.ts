import type { CacheRule, Snapshot } from '../../src/config/snapshot.js';
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

const State = { unknown: 0, stored: 1, notStored: 2 } as const;
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
  /** Whether the global rule applies to a tool or prompt, by entry; found out at its first call. */
  readonly #stateOf: Uint8Array;

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
    this.#stateOf = new Uint8Array(isGlobal ? catalog.kind.length : 0);
  }

  /**
   * The rule by which the answer of a call is stored, or null.
   *
   * @param name the URI of a resource is `bytes[start, end)`
   */
  ruleOf(kind: CachedKind, target: Target, bytes: Uint8Array, start: number, end: number): CacheRule | null {
    if (!this.#isOn) return null;
    const { cache, routes } = this.#snapshot;
    const route = target.route < 0 ? undefined : routes[target.route];
    let rule = route?.cache ?? null;
    if (rule === false) return null;
    if (rule === null) {
      if (!cache[kind]) return null;
      const isStored =
        kind === 'resources' ? this.#storesUri(bytes, start, end) : this.#storesEntry(kind, target.entry);
      if (!isStored) return null;
      rule = cache.rule;
    }
    if (this.#isIsolated(target.server, rule.public)) return null;
    if (route !== undefined) {
      const { servers } = route.variants?.groups[target.variant] ?? route;
      for (let i = 0; i < servers.length; i += 1) if (this.#isIsolated(servers[i]!, rule.public)) return null;
    }
    return rule;
  }

  #storesUri(bytes: Uint8Array, start: number, end: number): boolean {
    if (this.#notResources.first(bytes, start, end) >= 0) return false;
    return this.#resources === null || this.#resources.first(bytes, start, end) >= 0;
  }

  /** Tools and prompts that are not listed are not stored: their annotations and further names are not known. */
  #storesEntry(kind: CachedKind, entry: number): boolean {
    if (entry < 0) return false;
    if (this.#stateOf[entry] === State.unknown) {
      this.#stateOf[entry] = this.#judge(kind, entry) ? State.stored : State.notStored;
    }
    return this.#stateOf[entry] === State.stored;
  }

  #judge(kind: CachedKind, entry: number): boolean {
    const { flags, publicNames, server, upstreamNames } = this.#catalog;
    const owner = this.#snapshot.servers[server[entry]!];
    const own = packedText(upstreamNames, entry);
    const names = [packedText(publicNames, entry), `${owner?.name ?? ''}:${own}`];
    const unprefixed = `${owner?.prefix ?? ''}${this.#snapshot.catalog.separator}${own}`;
    if ([...names, own, unprefixed].some((name) => matches(this.#notNamed, name))) return false;
    if (this.#named !== null) return names.some((name) => matches(this.#named!, name));
    if (kind !== 'tools') return true;
    return (flags[entry]! & SAFE) === SAFE && (flags[entry]! & EntryFlag.destructive) === 0;
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
