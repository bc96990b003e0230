/**
 * Routes that do not do what their author means, for operators: those that match nothing that is offered, that can never be
 * reached, or whose scopes nothing can grant. A rule that protects nothing would fail in silence.
 */

import { unchangedNames } from '../../workers/find/spellings.js';
import type { AuthProvider, Grant } from '../config/auth-snapshot.js';
import { allProviders } from '../config/endpoint-auth.js';
import type { PatternText } from '../config/match.js';
import type { CatalogRules, RouteSnapshot, Snapshot } from '../config/snapshot.js';
import { acceptedForm, type Rename } from '../protocol/name-forms.js';
import { judgedTemplate, judgedUri } from '../protocol/uri.js';
import { type CatalogTable, EntryFlag, EntryKind } from '../shared/catalog-table.js';
import { packedCount, packedText } from '../shared/packed.js';
import { resourcePatterns, templatePatterns } from '../shared/patterns/resources.js';
import { compilePattern, shownPattern, type TextPattern } from '../shared/patterns/text.js';

/** One finding about a route. */
export interface RouteFault {
  /** Name of the route. */
  readonly route: string;
  readonly kind: 'no-match' | 'unreachable' | 'no-grant';
  /** A sentence. */
  readonly detail: string;
}

/** What routes are compared with. */
export interface RoutedServers {
  readonly routes: readonly RouteSnapshot[];
  readonly rules: CatalogRules;
  readonly servers: readonly {
    readonly name: string;
    readonly prefix: string | null;
    readonly rename: Rename | null;
    readonly passesMethods: boolean;
  }[];
}

type Kind = 'tools' | 'prompts' | 'resources' | 'methods';

const KINDS: readonly Kind[] = ['tools', 'prompts', 'resources', 'methods'];

/** Every finding that the configuration alone gives. */
export function configFaults(snapshot: Snapshot): RouteFault[] {
  const { catalog, routes, servers } = snapshot;
  const routed: RoutedServers = {
    routes,
    rules: catalog,
    servers: servers.map((server) => ({ ...server, passesMethods: server.methods.length > 0 })),
  };
  return [...routeFaults(routed, null), ...grantFaults(routes, allProviders(snapshot))];
}

/**
 * Routes whose `requiredScopes` no client can have. An issuer of JWTs can grant any.
 *
 * @param providers of all endpoints
 */
export function grantFaults(routes: readonly RouteSnapshot[], providers: readonly AuthProvider[]): RouteFault[] {
  const grants = providers.map(grantsOf);
  if (grants.includes(null)) return [];
  const tokens = grants.flatMap((of) => (of ?? []).map(({ scopes }) => new Set(scopes)));
  return routes.flatMap(({ failOverOf, name, requiredScopes }): RouteFault[] => {
    if (requiredScopes.length === 0 || failOverOf !== undefined) return [];
    if (tokens.some((scopes) => requiredScopes.every((scope) => scopes.has(scope)))) return [];
    const needed = `requires ${requiredScopes.join(' ')}`;
    const why =
      providers.length === 0
        ? 'with auth: none no client has a scope'
        : `no ${credentialsOf(providers)} has all of them`;
    return [{ route: name, kind: 'no-grant', detail: `${needed}, but ${why}: every call on it is refused` }];
  });
}

/** What the configuration itself grants; null = somebody else does, and can grant anything. */
function grantsOf(provider: AuthProvider): readonly Pick<Grant, 'scopes'>[] | null {
  switch (provider.type) {
    case 'bearer':
    case 'apiKey':
      return provider.tokens;
    case 'basic':
      return provider.users;
    case 'proxyHeader':
      return provider.scopesHeader === null ? [] : null;
    default:
      return null;
  }
}

/** What the credentials of some providers are called in the configuration. */
function credentialsOf(providers: readonly AuthProvider[]): string {
  const [only] = providers;
  if (providers.length !== 1 || only === undefined || only.type === 'proxyHeader') return 'client of auth';
  return only.type === 'basic'
    ? 'user of auth.users'
    : only.type === 'apiKey'
      ? 'key of auth.keys'
      : 'token of auth.tokens';
}

/**
 * Routes that match nothing or can never be reached.
 *
 * @param table what is offered; null = nothing is listed, and only what no server can offer is reported
 */
export function routeFaults(routed: RoutedServers, table: CatalogTable | null): RouteFault[] {
  const offered = new Offered(routed, table);
  return routed.routes.flatMap((route, position): RouteFault[] => {
    const { name } = route;
    const earlier = unreachableBehind(route, routed.routes.slice(0, position));
    if (earlier !== null) {
      const detail = `can never be reached: ${earlier} comes first and matches everything it matches`;
      return [{ route: name, kind: 'unreachable', detail }];
    }
    const all = KINDS.flatMap((kind) => route[kind].map((text) => ({ kind, text })));
    const missing = all.filter(({ kind, text }) => !offered.has(kind, text, route.servers));
    const isWhole = missing.length === all.length;
    // A pattern for everything asks for nothing in particular.
    const told = missing.filter(({ text }) => isWhole || typeof text !== 'string' || !/^\*+$/.test(text));
    if (told.length === 0) return [];
    const what = told.slice(0, 5).map(({ kind, text }) => `${kind} ${shownPattern(text)}${offered.advice(kind, text)}`);
    const more = told.length > 5 ? ` and ${told.length - 5} more` : '';
    const means = table === null ? 'a server can offer' : 'is offered';
    const subject = isWhole ? 'matches nothing that' : 'has patterns that match nothing that';
    return [{ route: name, kind: 'no-match', detail: `${subject} ${means}: ${what.join(', ')}${more}` }];
  });
}

/** The names that routes are compared with. */
class Offered {
  readonly #routed: RoutedServers;
  readonly #table: CatalogTable | null;
  /** Servers whose names are not known. */
  readonly #unlisted: readonly number[];

  constructor(routed: RoutedServers, table: CatalogTable | null) {
    this.#routed = routed;
    this.#table = table;
    const known = routed.servers.flatMap(({ name }, server) => (name === '' ? [] : [server]));
    this.#unlisted = table === null ? known : table.undiscovered.filter((server) => known.includes(server));
  }

  /** Whether a pattern of a route to `servers` matches something, or may match what is not known. */
  has(kind: Kind, text: PatternText, servers: readonly number[]): boolean {
    if (kind === 'methods') return this.#routed.servers.some(({ passesMethods }) => passesMethods);
    if (kind === 'resources') return this.#hasResource(text, servers);
    const pattern = compilePattern(text);
    if (this.#unlisted.some((server) => this.#mayBeNamed(server, pattern, servers.includes(server)))) return true;
    const wanted = kind === 'tools' ? EntryKind.tool : EntryKind.prompt;
    return (
      this.#findEntry(wanted, (entry) => this.#namesOf(entry, servers).some((name) => matches(pattern, name))) >= 0
    );
  }

  /** What to write instead of a pattern that matches the own name of an entry. */
  advice(kind: Kind, text: PatternText): string {
    const table = this.#table;
    if (typeof text !== 'string' || table === null || (kind !== 'tools' && kind !== 'prompts')) return '';
    const pattern = compilePattern(text);
    const wanted = kind === 'tools' ? EntryKind.tool : EntryKind.prompt;
    const entry = this.#findEntry(wanted, (each) => matches(pattern, packedText(table.upstreamNames, each)));
    if (entry < 0) return '';
    const server = this.#routed.servers[table.server[entry]!]?.name ?? '';
    const offered = packedText(table.publicNames, entry);
    return ` (the own name of what is offered as ${offered}: write "${server}:${text}", or add servers: [${server}])`;
  }

  #findEntry(kind: number, test: (entry: number) => boolean): number {
    const table = this.#table;
    if (table === null) return -1;
    for (let entry = 0; entry < packedCount(table.publicNames); entry += 1) {
      if (table.kind[entry] === kind && test(entry)) return entry;
    }
    return -1;
  }

  /** The names of an entry that a pattern of a route to `servers` is compared with (workers/find). */
  #namesOf(entry: number, servers: readonly number[]): string[] {
    const table = this.#table!;
    const server = table.server[entry]!;
    const owner = this.#routed.servers[server];
    const own = packedText(table.upstreamNames, entry);
    const names = [packedText(table.publicNames, entry)];
    if (owner === undefined) return names;
    names.push(`${owner.name}:${own}`);
    if (servers.includes(server)) names.push(own);
    if ((table.flags[entry]! & EntryFlag.renamed) !== 0) names.push(...unchangedNames(this.#routed.rules, owner, own));
    return names;
  }

  #mayBeNamed(server: number, pattern: TextPattern, isRouted: boolean): boolean {
    const owner = this.#routed.servers[server];
    const { rules } = this.#routed;
    if (owner === undefined) return false;
    if (isRouted || owner.prefix === null || rules.conflict !== 'prefix') return true;
    const prefix = `${owner.prefix}${rules.separator}`;
    return [prefix, acceptedForm(prefix, rules), `${owner.name}:`].some((start) => mayStartWith(pattern, start));
  }

  /** Reads go to the servers of a route, or to the only server, whether the URI is listed or not. */
  #hasResource(text: PatternText, servers: readonly number[]): boolean {
    const table = this.#table;
    const all = this.#routed.servers.filter(({ name }) => name !== '');
    if (all.length === 0) return false;
    if (table === null || this.#unlisted.length > 0 || servers.length > 0 || all.length === 1) return true;
    const patterns = resourcePatterns(text);
    for (let entry = 0; entry < packedCount(table.publicNames); entry += 1) {
      const uri = packedText(table.publicNames, entry);
      if (table.kind[entry] === EntryKind.resource) {
        const judged = judgedUri(uri);
        if (patterns.some((pattern) => matches(pattern, judged))) return true;
      } else if (table.kind[entry] === EntryKind.template) {
        // Whether two patterns have a URI in common is told by what both start with.
        const starts = templatePatterns(judgedTemplate(uri)).map(({ prefix }) => Buffer.from(prefix).toString());
        if (starts.some((start) => patterns.some((pattern) => mayStartWith(pattern, start)))) return true;
      }
    }
    return false;
  }
}

function matches(pattern: TextPattern, text: string): boolean {
  const bytes = Buffer.from(text);
  return pattern.matches(bytes, 0, bytes.length);
}

/** Whether something that begins with `start` can match. */
function mayStartWith(pattern: TextPattern, start: string): boolean {
  const prefix = Buffer.from(pattern.prefix).toString();
  return pattern.exact ? prefix.startsWith(start) : prefix.startsWith(start) || start.startsWith(prefix);
}

/** The names of the earlier routes that match all that a route matches; null = something is left for it. */
function unreachableBehind(route: RouteSnapshot, earlier: readonly RouteSnapshot[]): string | null {
  const names = new Set<string>();
  let patterns = 0;
  for (const kind of KINDS) {
    for (const text of route[kind]) {
      patterns += 1;
      const cover = earlier.find((other) => other[kind].some((wide) => covers(kind, wide, other, text, route)));
      if (cover === undefined) return null;
      names.add(JSON.stringify(cover.name));
    }
  }
  return patterns === 0 ? null : [...names].join(' and ');
}

/** Whether everything that `text` matches on `route` is matched by `wide` on `other`. True only where that is certain. */
function covers(kind: Kind, wide: PatternText, other: RouteSnapshot, text: PatternText, route: RouteSnapshot): boolean {
  // What else a call must have depends on the call.
  if (other.conditions !== null || typeof wide !== 'string') return false;
  if (/^\*\*+$/.test(wide)) return true;
  // Own names count on routes to their server only.
  if (!route.servers.every((server) => kind === 'resources' || kind === 'methods' || other.servers.includes(server))) {
    return false;
  }
  if (wide === text) return true;
  if (typeof text !== 'string') return false;
  const isUri = kind === 'resources';
  const narrow = isUri ? resourcePatterns(text) : [compilePattern(text)];
  const cover = isUri ? resourcePatterns(wide) : [compilePattern(wide)];
  const end = /^[^*?\\{]*(\*+)$/.exec(wide)?.[1] ?? '';
  const isDeep = end.length > 1 || (isUri && end !== '');
  const isFlat = end !== '' && !isUri && !/\/|\*\*/.test(text);
  return narrow.every((pattern) => {
    const start = Buffer.from(pattern.prefix);
    if (pattern.exact) return cover.some((each) => each.matches(start, 0, start.length));
    if (!isDeep && !isFlat) return false;
    return cover.some(({ prefix }) => start.subarray(0, prefix.length).equals(prefix));
  });
}
