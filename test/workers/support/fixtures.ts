/** Snapshots, catalogs and exchanges for tests of the policy: real types, small values. */
import { buildTable } from '../../../src/catalog/table.js';
import type { RouteSnapshot, ServerSnapshot, Snapshot } from '../../../src/config/snapshot.js';
import { type CatalogTable, EntryKind } from '../../../src/shared/catalog-table.js';

export function server(name: string, changes: Partial<ServerSnapshot> = {}): ServerSnapshot {
  return {
    name,
    prefix: name,
    endpoints: [{ transport: 'http', detect: false, url: 'http://127.0.0.1:1/mcp', headers: {}, weight: 1 }],
    connectTimeoutMs: 1000,
    requestTimeoutMs: 1000,
    maxConnections: 8,
    maxQueue: 8,
    tags: [],
    include: [],
    exclude: [],
    priority: 0,
    isolation: 'shared',
    maxDedicated: 8,
    dedicatedIdleMs: 60_000,
    methods: [],
    ...changes,
  };
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
    cache: null,
    requestTimeoutMs: 0,
    idempotent: false,
    ...changes,
  };
}

/** A snapshot with two servers, `files` and `search`, no authentication and no limits. */
export function snapshot(changes: Partial<Snapshot> = {}): Snapshot {
  return {
    version: 1,
    name: 'test',
    host: '127.0.0.1',
    port: 0,
    listens: true,
    admin: null,
    workers: 1,
    frontEnd: 'auto',
    allowedHosts: [],
    allowedOrigins: [],
    auth: { type: 'none' },
    servers: [server('files'), server('search')],
    secrets: [],
    routes: [],
    rateLimits: { global: null, perClient: null, perTool: [], maxClients: 1000 },
    cache: {
      enabled: true,
      maxBytes: 1_000_000,
      maxEntryBytes: 64_000,
      maxEntries: 1000,
      maxWaiters: 100,
      waitMs: 2000,
    },
    limits: {
      maxBodyBytes: 4_194_304,
      maxHeaderBytes: 16_384,
      maxHeaders: 100,
      maxDepth: 64,
      maxBatch: 50,
      maxInFlight: 2000,
      maxResponseBytes: 1_000_000,
      maxLineBytes: 1_000_000,
      maxPipeBytes: 1_000_000,
      readBudgetBytes: 65_536,
      maxNotificationsPerSecond: 40_000,
      maxClientBufferBytes: 1_000_000,
      slowClientMs: 1000,
      smallFrameRate: 0,
      maxConnections: 100,
      maxSessions: 100,
      maxStreams: 100,
      maxMemo: 1024,
      maxTools: 10_000,
      maxPages: 100,
      maxToolMetrics: 100,
      drainMs: 1000,
      workerHangMs: 10_000,
      ringBytes: 262_144,
      decideMs: 20_000,
      maxServerRequests: 1_000,
      answerMs: 10_000,
      maxInputRounds: 8,
      maxParked: 100,
      maxParkedPerPrincipal: 50,
      parkMs: 10_000,
      maxHeldBytes: 1_048_576,
      maxBufferedBytes: 0,
      keepAliveMs: 15_000,
      maxRevoked: 100,
      maxSubscriptions: 100,
    },
    catalog: { separator: '__', conflict: 'prefix', maxNameLength: 64, pageSize: 0, ttlMs: 0, startupWaitMs: 0 },
    sessions: {
      secrets: [],
      ttlSeconds: 60,
      keyFile: null,
      eventLogBytes: 65_536,
      eventLogTotalBytes: 1_048_576,
      retryMs: 1000,
    },
    transports: { sse: true, websocket: true, rest: true },
    log: { level: 'silent', format: 'json', access: false },
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
