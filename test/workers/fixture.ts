/** Snapshots, catalogs and exchanges for tests of the policy: real types, small values. */
import { buildTable } from '../../src/catalog/table.js';
import { compileSnapshot } from '../../src/config/compile/index.js';
import { loadConfigObject } from '../../src/config/load.js';
import type { RateLimitsSnapshot, RouteSnapshot, ServerSnapshot, Snapshot } from '../../src/config/snapshot.js';
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
    servers: [],
    requiredScopes: [],
    rateLimit: null,
    clientRateLimit: null,
    maxConcurrent: 0,
    priority: 'normal',
    cache: null,
    requestTimeoutMs: 0,
    idempotent: false,
    ...changes,
  };
}

export function rateLimits(changes: Partial<RateLimitsSnapshot> = {}): RateLimitsSnapshot {
  return { ...DEFAULTS.rateLimits, maxClients: 1000, ...changes };
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
    aliases: rows.flatMap(([, , name, upstream = '', flags = 0], entry) =>
      (flags & EntryFlag.renamed) === 0
        ? []
        : [upstream, `${name.replace(/__.*/, '')}__${upstream}`].map((alias) => ({ name: alias, entry })),
    ),
  };
  return buildTable(version, columns, serverNames, undiscovered);
}

/** Two tools, a prompt, a resource and a template. */
export const sampleCatalog: CatalogTable = catalog([
  ['tool', 0, 'files__read'],
  ['tool', 1, 'search__find', 'find', 1],
  ['prompt', 0, 'files__greet'],
  ['resource', 0, 'file:///etc/motd', 'file:///etc/motd'],
  ['template', 0, 'file:///home/{+path}', 'file:///home/{+path}'],
]);
