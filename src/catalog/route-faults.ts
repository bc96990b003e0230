/**
 * Routes that do not do what their author means, for operators: those that match nothing that is offered, that can never be
 * reached, or whose scopes nothing can grant. A rule that protects nothing would fail in silence.
 */

import type { AuthProvider, Grant } from '../config/snapshot/auth.js';
import { allProviders } from '../config/snapshot/endpoint-auth.js';
import type { RouteSnapshot, Snapshot } from '../config/snapshot/index.js';
import type { PatternText } from '../config/snapshot/match.js';
import type { CatalogTable } from '../shared/catalog-table.js';
import { resourcePatterns } from '../shared/patterns/resources.js';
import { compilePattern, shownPattern } from '../shared/patterns/text.js';
import { KINDS, type Kind, Offered, type RoutedServers, routedServers } from './offered.js';

/** One finding about a route. */
export interface RouteFault {
  /** Name of the route. */
  readonly route: string;
  readonly kind: 'no-match' | 'unreachable' | 'no-grant';
  /** A sentence. */
  readonly detail: string;
}

/** Every finding that the configuration alone gives. */
export function configFaults(snapshot: Snapshot): RouteFault[] {
  const { routes } = snapshot;
  return [...routeFaults(routedServers(snapshot), null), ...grantFaults(routes, allProviders(snapshot))];
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
    const what = told
      .slice(0, 5)
      .map(({ kind, text }) => `${kind} ${shownPattern(text)}${offered.advice(kind, text, true)}`);
    const more = told.length > 5 ? ` and ${told.length - 5} more` : '';
    const subject = isWhole ? 'matches nothing' : 'has patterns that match nothing';
    return [{ route: name, kind: 'no-match', detail: `${subject} ${offered.meaning}: ${what.join(', ')}${more}` }];
  });
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
