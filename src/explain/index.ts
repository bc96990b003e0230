/** Says which rule lets a call in, allows, limits, caches, routes and rewrites it, and why. */
import { METHODS } from '../../native/layout.js';
import { CacheRules, Objection } from '../../workers/cache/index.js';
import type { CachedKind } from '../../workers/cache/rules.js';
import { EVERYTHING } from '../config/schema/routes.js';
import type { RouteSnapshot, Snapshot } from '../config/snapshot/index.js';
import type { PatternText } from '../config/snapshot/match.js';
import { ERROR_CODES, ERRORS, type ErrorCode } from '../errors.js';
import type { CatalogTable } from '../shared/catalog-table.js';
import { limitInWords } from '../shared/limiters/words.js';
import { packedText } from '../shared/packed.js';
import { Verdict } from '../shared/ring/records.js';
import type { Milliseconds } from '../units.js';
import type { ExplainedCall } from './question.js';
import { type Decided, decide } from './trial.js';

export { callOf } from './body.js';
export { type ExplainedCall, QuestionError } from './question.js';

/** One limit that a call takes from. */
export interface ExplainedLimit {
  /** The configuration key. */
  readonly key: string;
  /** As `5 a second, 10 at once`. */
  readonly limit: string;
}

/** See the file comment. */
export interface Explanation {
  readonly method: string;
  readonly name: string;
  /** Path of the view that the call comes to; `null` = the endpoint that offers everything. */
  readonly view: string | null;
  readonly isAllowed: boolean;
  /** Why not. */
  readonly refusal: {
    readonly code: ErrorCode;
    readonly sentence: string;
    readonly scopes: readonly string[];
    /** The client does not get this reason, but the answer for what does not exist. */
    readonly isHidden: boolean;
  } | null;
  readonly client: {
    /** `null` = anonymous, or without a credential. */
    readonly subject: string | null;
    readonly scopes: readonly string[];
    readonly permissions: readonly string[];
    /** How clients authenticate. */
    readonly auth: string;
  };
  /** What the name stands for; `null` = nothing that is listed. */
  readonly target: { readonly server: string; readonly own: string; readonly isReading: boolean } | null;
  /** The route that applies; `null` = none. */
  readonly route: { readonly name: string; readonly position: number; readonly match: readonly string[] } | null;
  /** Routes before it that match the name, and what the call lacks for them. */
  readonly passedOver: readonly { readonly route: string; readonly lacks: string }[];
  /** Routes that match other names of the target, whose scopes and permissions are needed too. */
  readonly alsoNeeded: readonly string[];
  readonly requiredScopes: readonly string[];
  readonly permissions: readonly string[];
  readonly limits: readonly ExplainedLimit[];
  readonly cache: { readonly ttlMs: Milliseconds; readonly staleMs: Milliseconds; readonly public: boolean } | null;
  /** Why the answer is not stored, a sentence without its end; `null` = it is. */
  readonly notStored: string | null;
  readonly variant: {
    readonly group: string;
    /** Share of the calls, 0 to 1. */
    readonly share: number;
    /** The group counts for one call only. */
    readonly isRandom: boolean;
    readonly header: string | null;
  } | null;
  /** Servers that get the call, in fail-over order; empty = the gateway answers itself, or nobody. */
  readonly servers: readonly string[];
  /** 0 = no limit. */
  readonly timeoutMs: Milliseconds;
  /** Transformations of the call. There are none yet. */
  readonly rewrites: readonly string[];
  /** Rules read the arguments of the call. */
  readonly readsArguments: boolean;
}

/** What is explained, and by which rules. */
export interface ExplainInput {
  readonly call: ExplainedCall;
  readonly snapshot: Snapshot;
  readonly catalog: CatalogTable;
}

/**
 * Explains a call.
 *
 * @throws QuestionError for a call that no client could send
 */
export function explain(call: ExplainedCall, snapshot: Snapshot, catalog: CatalogTable): Explanation {
  const actual = decide(call, snapshot, catalog);
  // An operator is to see why a call is refused, whatever the client is told.
  const decided = actual.verdict.kind === Verdict.deny ? decide(call, challenging(snapshot), catalog) : actual;
  const { verdict, finder } = decided;
  const { routes, servers } = snapshot;
  const isKnown = verdict.error < 0 || !ERROR_CODES[verdict.error]?.startsWith('GW_UNAUTHENTICATED');
  const route = isKnown ? (routes[finder.route] ?? null) : null;
  const needed = isKnown ? [finder.route, ...finder.alsoRoutes].flatMap((number) => routes[number] ?? []) : [];
  const view = snapshot.views[decided.view];
  const scopes = [view?.requiredScopes ?? [], ...needed.map(({ requiredScopes }) => requiredScopes)].flat();
  const nameOf = (server: number): string => servers[server]?.name ?? '';
  const group = route?.variants?.groups[finder.variant];
  return {
    method: call.method,
    name: call.name,
    view: decided.view === 0 ? null : (view?.path ?? null),
    isAllowed: verdict.kind !== Verdict.deny,
    refusal: refusalOf(decided, actual),
    client: {
      subject: decided.auth.providers.length === 0 ? null : call.subject,
      scopes: call.scopes,
      permissions: call.permissions,
      auth: decided.auth.providers.map(({ type }) => type).join(', ') || 'none',
    },
    target: isKnown ? targetOf(decided, snapshot, catalog) : null,
    route: route === null ? null : { name: route.name, position: finder.route + 1, match: matchOf(route, snapshot) },
    passedOver: isKnown ? passedOver(decided, snapshot) : [],
    alsoNeeded: needed.slice(route === null ? 0 : 1).map(({ name }) => name),
    requiredScopes: [...new Set(scopes)],
    permissions: [...new Set(needed.flatMap(({ permissions }) => permissions))].filter(
      (permission) => permission === (finder.isReading ? 'read' : 'write'),
    ),
    limits: decided.limits.map(({ path, rule }) => ({ key: path, limit: limitInWords(rule) })),
    cache: verdict.kind === Verdict.lead ? route?.cache || snapshot.cache.rule : null,
    notStored: verdict.kind === Verdict.lead ? null : notStored(call, decided, snapshot, catalog),
    variant: variantOf(decided, route),
    servers: serversOf(verdict.kind, group?.servers ?? route?.servers ?? [], verdict.server).map(nameOf),
    timeoutMs: route?.requestTimeoutMs || (servers[verdict.server]?.requestTimeoutMs ?? 0),
    rewrites: [],
    readsArguments: decided.readsArguments,
  };
}

/** @param actual what the client is told */
function refusalOf({ verdict, payload }: Decided, actual: Decided): Explanation['refusal'] {
  if (verdict.kind !== Verdict.deny) return null;
  const code = ERROR_CODES[verdict.error] ?? 'GW_INTERNAL';
  const scopes = payload.split(' ').filter((scope) => scope !== '');
  return { code, sentence: ERRORS[code].sentence, scopes, isHidden: verdict.error !== actual.verdict.error };
}

/** The rules without those that hide. */
function challenging(snapshot: Snapshot): Snapshot {
  return { ...snapshot, routes: snapshot.routes.map((route) => ({ ...route, whenDenied: 'challenge' as const })) };
}

function targetOf({ finder }: Decided, { servers }: Snapshot, catalog: CatalogTable): Explanation['target'] {
  const { entry, isReading } = finder;
  if (entry < 0) return null;
  const server = servers[catalog.server[entry] ?? -1]?.name ?? '';
  return { server, own: packedText(catalog.upstreamNames, entry), isReading };
}

const CACHED_KINDS: Readonly<Record<string, CachedKind>> = {
  'tools/call': 'tools',
  'prompts/get': 'prompts',
  'resources/read': 'resources',
};

function notStored(call: ExplainedCall, { finder }: Decided, snapshot: Snapshot, catalog: CatalogTable): string {
  const kind = CACHED_KINDS[call.method];
  if (kind === undefined) return `answers to ${call.method} never are`;
  const name = Buffer.from(call.name);
  switch (new CacheRules(snapshot, catalog).objection(kind, finder, name, 0, name.length)) {
    case Objection.off:
      return snapshot.cache.enabled
        ? 'cache.tools, cache.resources and cache.prompts are false'
        : 'cache.enabled is false';
    case Objection.route:
      return `the cache of route ${snapshot.routes[finder.route]?.name ?? finder.route} is false`;
    case Objection.kind:
      return `cache.${kind} is false`;
    case Objection.excluded:
      return 'cache.exclude matches it';
    case Objection.notNamed:
      return 'no pattern of cache.patterns matches it';
    case Objection.notListed:
      return 'it is not listed, so its annotations and other names are not known';
    case Objection.unsafe:
      return 'its annotations are not readOnlyHint: true and idempotentHint: true, and cache.patterns does not name it';
    case Objection.isolated:
      return `${snapshot.servers[finder.server]?.name ?? 'its server'} serves each client apart, or with credentials of its own`;
    default:
      return 'its URI is written in another way than usual';
  }
}

/** The routes that were asked about and lack something, each once, before the one that applies. */
function passedOver({ finder }: Decided, { routes }: Snapshot): Explanation['passedOver'] {
  const found = new Map<number, string>();
  for (const { route, lack } of finder.conditions.trace ?? []) {
    if (lack !== null && (finder.route < 0 || route < finder.route)) found.set(route, lack);
  }
  return [...found]
    .sort(([a], [b]) => a - b)
    .map(([route, lacks]) => ({ route: routes[route]?.name ?? String(route), lacks }));
}

function variantOf({ finder }: Decided, route: RouteSnapshot | null): Explanation['variant'] {
  const variants = route?.variants ?? null;
  const group = variants?.groups[finder.variant];
  if (variants === null || group === undefined) return null;
  const whole = variants.groups.reduce((sum, { weight }) => sum + weight, 0);
  const header = variants.responseHeader === null ? null : `${variants.responseHeader}: ${group.name}`;
  return { group: group.name, share: group.weight / whole, isRandom: finder.isRandom, header };
}

function serversOf(kind: number, ordered: readonly number[], first: number): number[] {
  if (kind === Verdict.local || kind === Verdict.deny || first < 0) return [];
  const at = ordered.indexOf(first);
  return at < 0 ? [first] : ordered.slice(at);
}

/** What a route matches, a text for each member of its `match`. */
function matchOf(route: RouteSnapshot, { attributes }: Snapshot): string[] {
  const names = (['tools', 'prompts', 'resources', 'methods'] as const).filter((kind) => route[kind].length > 0);
  const isAll = names.length === 4 && names.every((kind) => route[kind].includes(EVERYTHING[kind]));
  const match = isAll ? [] : names.map((kind) => `${kind} ${shown(route[kind])}`);
  const { conditions } = route;
  if (conditions === null) return match.length === 0 ? ['everything'] : match;
  const { headers, methods, arguments: tests } = conditions;
  if (methods !== null && isAll) match.push(`methods ${methods.map((method) => METHODS[method]).join(', ')}`);
  for (const { attribute, patterns } of headers) match.push(`header ${attributes[attribute]} ${shown(patterns)}`);
  for (const key of ['paths', 'principals', 'scopes', 'tags'] as const) {
    if (conditions[key].length > 0) match.push(`${key} ${shown(conditions[key])}`);
  }
  for (const { pointer, values } of tests) match.push(`argument /${pointer.join('/')} ${shown(values)}`);
  return match;
}

function shown(values: readonly (PatternText | number | boolean | null)[]): string {
  return values
    .map((value) => (typeof value === 'object' && value !== null ? `regex ${value.regex}` : String(value)))
    .join(' or ');
}
