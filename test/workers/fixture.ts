/** Snapshots, catalogs and exchanges for tests of the policy: real types, small values. */
import { buildTable, type NameRow } from '../../src/catalog/table.js';
import { compileSnapshot } from '../../src/config/compile/index.js';
import { loadConfigObject } from '../../src/config/load.js';
import type {
  LimitRule,
  RateLimitsSnapshot,
  RouteSnapshot,
  ServerSnapshot,
  Snapshot,
  ToolLimitSnapshot,
  ViewSnapshot,
} from '../../src/config/snapshot/index.js';
import { type CatalogTable, EntryFlag, EntryKind } from '../../src/shared/catalog-table.js';
import { serverSnapshot } from '../config/support.js';

export function server(name: string, changes: Partial<ServerSnapshot> = {}): ServerSnapshot {
  return serverSnapshot({
    name,
    prefix: name,
    endpoints: [{ transport: 'http', detect: false, url: 'http://127.0.0.1:1/mcp', headers: {}, weight: 1 }],
    ...changes,
  });
}

export function route(name: string, changes: Partial<RouteSnapshot> = {}): RouteSnapshot {
  return {
    name,
    tools: [],
    prompts: [],
    resources: [],
    methods: [],
    conditions: null,
    servers: [],
    requiredScopes: [],
    whenDenied: 'challenge',
    permissions: [],
    variants: null,
    rateLimit: null,
    clientRateLimit: null,
    rateLimitOverride: null,
    maxConcurrent: 0,
    priority: 'normal',
    cache: null,
    requestTimeoutMs: 0,
    idempotent: false,
    ...changes,
  };
}

/** A view that offers everything, but for the changes. */
export function view(changes: Partial<ViewSnapshot> = {}): ViewSnapshot {
  const all = {
    servers: null,
    tools: [],
    prompts: [],
    resources: [],
    hasPrefixes: true,
    requiredScopes: [],
    auth: null,
  };
  return { path: '/mcp', base: '', ...all, ...changes };
}

export function rateLimits(changes: Partial<RateLimitsSnapshot> = {}): RateLimitsSnapshot {
  return { ...DEFAULTS.rateLimits, maxClients: 1000, ...changes };
}

/** A token bucket. */
export function tokenBucket(rate: number, burst: number): LimitRule {
  return { algorithm: 'token-bucket', rate, burst };
}

/** `rateLimits.perTool[]` for all clients together. */
export function toolLimit(tools: readonly string[], rule: LimitRule): ToolLimitSnapshot {
  return { tools, rule, perClient: null, cost: 1 };
}

const DEFAULTS = compileSnapshot(loadConfigObject({ mcpServers: {} }));

/** A snapshot with two servers, `files` and `search`, no authentication and no rate limits. */
export function snapshot(changes: Partial<Snapshot> = {}): Snapshot {
  return {
    ...DEFAULTS,
    name: 'test',
    port: 0,
    admin: null,
    workers: 1,
    servers: [server('files'), server('search')],
    rateLimits: rateLimits(),
    cache: {
      ...DEFAULTS.cache,
      enabled: true,
      maxBytes: 1_000_000,
      maxEntryBytes: 64_000,
      maxEntries: 1000,
      maxWaiters: 100,
      waitMs: 2000,
    },
    limits: {
      ...DEFAULTS.limits,
      maxInFlight: 2000,
      maxMemo: 1024,
      maxToolMetrics: 100,
      // A busy machine is no defect.
      workerHangMs: 10_000,
      decideMs: 20_000,
      ringBytes: 262_144,
    },
    ...changes,
  };
}

export type EntryRow = readonly [
  kind: keyof typeof EntryKind,
  server: number,
  publicName: string,
  upstreamName?: string,
  flags?: number,
];

export function catalog(
  rows: readonly EntryRow[],
  version = 1,
  undiscovered: readonly number[] = [],
  serverNames: readonly string[] = ['files', 'search'],
): CatalogTable {
  const columns = {
    kind: rows.map(([kind]) => EntryKind[kind]),
    server: rows.map(([, server]) => server),
    publicNames: rows.map(([, , name]) => name),
    upstreamNames: rows.map(([, , name, upstream]) => upstream ?? name.replace(/^[^_]*__/, '')),
    flags: rows.map(([, , , , flags]) => flags ?? 0),
  };
  const names = rows.map(
    ([kind, server, name, upstream = '', flags = 0], entry): NameRow => ({
      kind: EntryKind[kind],
      name,
      entry,
      address: kind === 'tool' ? `${serverNames[server]}:${columns.upstreamNames[entry]}` : '',
      aliases: (flags & EntryFlag.renamed) === 0 ? [] : [upstream, `${name.replace(/__.*/, '')}__${upstream}`],
    }),
  );
  // A second view has them too.
  return buildTable(version, columns, [names, names], undiscovered);
}

/** Two tools, a prompt, a resource and a template. */
export const sampleCatalog: CatalogTable = catalog([
  ['tool', 0, 'files__read'],
  ['tool', 1, 'search__find', 'find', 1],
  ['prompt', 0, 'files__greet'],
  ['resource', 0, 'file:///etc/motd', 'file:///etc/motd'],
  ['template', 0, 'file:///home/{+path}', 'file:///home/{+path}'],
]);
