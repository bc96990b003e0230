/** `rateLimits` and the limits of routes. */
import type { z } from 'zod';
import type { ConfigPath } from '../problems.js';
import { SESSION_HEADER } from '../reserved-headers.js';
import type { limitSchema, rateLimitsSchema } from '../schema/rate-limits.js';
import type { ClientKey, ConcurrencySnapshot, LimitRule, RateLimitsSnapshot } from '../snapshot/index.js';
import { scopeList } from './auth.js';
import type { Compilation } from './compilation.js';
import { globs, patterns, uriPatterns } from './patterns.js';

/** One rate limit as it is written. */
type WrittenLimit = z.output<typeof limitSchema>;
type WrittenRateLimits = z.output<typeof rateLimitsSchema>;
type WrittenKey = NonNullable<NonNullable<WrittenRateLimits['perClient']>['key']>;

/** How much more clients may send that is no call, unless `rateLimits.other` says it. */
const OTHER_FACTOR = 10;
const MOST = 1e9;

/** Compiles `rateLimits`. */
export function compileRateLimits(compilation: Compilation): RateLimitsSnapshot {
  const { rateLimits } = compilation.loaded.config;
  const path = ['rateLimits'];
  const perClient = compilePerClient(compilation, rateLimits);
  return {
    count: rateLimits.count,
    global: compileLimit(compilation, rateLimits.global, [...path, 'global']),
    ...perClient,
    perTool: rateLimits.perTool.map((entry, i) => compileTool(compilation, entry, [...path, 'perTool', i])),
    rules: rateLimits.rules.map((entry, i) => compileRule(compilation, entry, [...path, 'rules', i])),
    other: compileOther(compilation, rateLimits, perClient.perClient),
    headers: rateLimits.headers,
    maxClients: rateLimits.maxClients,
  };
}

/** Compiles `rateLimits.concurrency`. @param rateLimits the compiled ones, whose key is the default */
export function compileConcurrency(compilation: Compilation, rateLimits: RateLimitsSnapshot): ConcurrencySnapshot {
  const { global, key, perClient } = compilation.loaded.config.rateLimits.concurrency;
  if (key === undefined) return { global, perClient, key: rateLimits.key };
  return { global, perClient, key: clientKey(compilation, key, ['rateLimits', 'concurrency', 'key']) };
}

/** Compiles one limit that may be left out. */
export function compileLimit(
  compilation: Compilation,
  written: WrittenLimit | undefined,
  path: ConfigPath,
): LimitRule | null {
  return written === undefined ? null : compileWritten(compilation, written, path);
}

function compileWritten(compilation: Compilation, written: WrittenLimit, path: ConfigPath): LimitRule | null {
  const { algorithm = 'token-bucket', burst, limit, rate, windowMs } = written;
  const isWindow = algorithm !== 'token-bucket';
  const refuse = (text: string, at: ConfigPath = path): null => {
    compilation.problem(at, text);
    return null;
  };
  if (rate !== undefined) {
    if (isWindow) return refuse(`belongs to token-bucket; ${algorithm} has "limit" and "windowMs"`, [...path, 'rate']);
    if (limit !== undefined || windowMs !== undefined) {
      return refuse('needs either "rate", or "limit" and "windowMs"');
    }
    return { algorithm, rate, burst: burst ?? Math.max(1, Math.ceil(rate)) };
  }
  if (limit === undefined || windowMs === undefined) {
    return refuse(isWindow ? 'needs "limit" and "windowMs"' : 'needs "rate", or "limit" and "windowMs"');
  }
  if (!isWindow) return { algorithm, rate: (limit / windowMs) * 1000, burst: burst ?? limit };
  if (burst !== undefined && burst > limit) return refuse('must not be more than "limit"', [...path, 'burst']);
  return { algorithm, limit, windowMs, burst: burst ?? limit };
}

/** Whether something is written of a limit that may be left out of an object with other keys. */
function isWritten({ algorithm, burst, limit, rate, windowMs }: WrittenLimit): boolean {
  return [algorithm, burst, limit, rate, windowMs].some((value) => value !== undefined);
}

function compilePerClient(
  compilation: Compilation,
  { perClient: written }: WrittenRateLimits,
): Pick<RateLimitsSnapshot, 'perClient' | 'key' | 'clients'> {
  const path = ['rateLimits', 'perClient'];
  if (written === undefined) return { perClient: null, key: { by: 'principal' }, clients: [] };
  const named = Object.entries(written.clients);
  const isOptional = named.length > 0 || written.key !== undefined;
  const isLeftOut = isOptional && !isWritten(written);
  return {
    perClient: isLeftOut ? null : compileWritten(compilation, written, path),
    key: clientKey(compilation, written.key ?? 'principal', [...path, 'key']),
    clients: named.flatMap(([name, limit]) => {
      const rule = compileWritten(compilation, limit, [...path, 'clients', name]);
      return rule === null ? [] : [{ name, rule }];
    }),
  };
}

function clientKey(compilation: Compilation, written: WrittenKey, path: ConfigPath): ClientKey {
  if (written === 'principal' || written === 'address') return { by: written };
  const [header, at] = written === 'session' ? [SESSION_HEADER, path] : [written.header, [...path, 'header']];
  return { by: 'header', attribute: compilation.attribute(header, at) };
}

function compileTool(
  compilation: Compilation,
  written: WrittenRateLimits['perTool'][number],
  path: ConfigPath,
): RateLimitsSnapshot['perTool'][number] {
  const isOptional = written.perClient !== undefined || written.cost > 1;
  return {
    tools: globs(compilation, written.tools, [...path, 'tools']),
    rule: isOptional && !isWritten(written) ? null : compileWritten(compilation, written, path),
    perClient: compileLimit(compilation, written.perClient, [...path, 'perClient']),
    cost: written.cost,
  };
}

function compileRule(
  compilation: Compilation,
  written: WrittenRateLimits['rules'][number],
  path: ConfigPath,
): RateLimitsSnapshot['rules'][number] {
  const { exempt, key, match } = written;
  const matchPath = [...path, 'match'];
  if (exempt && (isWritten(written) || key !== undefined)) {
    compilation.problem([...path, 'exempt'], 'exempts from every limit; leave out the limit, or exempt');
  }
  return {
    match: {
      headers: Object.entries(match.headers).map(([header, values]) => ({
        attribute: compilation.attribute(header, [...matchPath, 'headers', header]),
        values: globs(compilation, values, [...matchPath, 'headers', header]),
      })),
      paths: globs(compilation, match.paths, [...matchPath, 'paths']),
      principals: globs(compilation, match.principals, [...matchPath, 'principals']),
      scopes: scopeList(match.scopes),
      tools: patterns(compilation, match.tools, [...matchPath, 'tools']),
      prompts: patterns(compilation, match.prompts, [...matchPath, 'prompts']),
      resources: uriPatterns(compilation, match.resources, [...matchPath, 'resources']),
    },
    rule: exempt ? null : compileWritten(compilation, written, path),
    key: key === undefined ? null : clientKey(compilation, key, [...path, 'key']),
  };
}

function compileOther(
  compilation: Compilation,
  { count, other }: WrittenRateLimits,
  perClient: LimitRule | null,
): LimitRule | null {
  const path = ['rateLimits', 'other'];
  if (other !== undefined && other !== false) {
    if (count === 'all') compilation.problem(path, 'has no effect with "count": "all"; leave one of them out');
    return compileWritten(compilation, other, path);
  }
  if (other === false || count === 'all' || perClient === null) return null;
  const burst = Math.min(MOST, perClient.burst * OTHER_FACTOR);
  if (perClient.algorithm === 'token-bucket') return { ...perClient, rate: perClient.rate * OTHER_FACTOR, burst };
  return { ...perClient, limit: Math.min(MOST, perClient.limit * OTHER_FACTOR), burst };
}
