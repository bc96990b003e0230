import { Catalog, type CatalogListener } from '../../src/catalog/index.js';
import type { PreparedCatalog } from '../../src/catalog/prepared.js';
import type { CatalogRules, ServerSnapshot, Snapshot, ViewSnapshot } from '../../src/config/snapshot/index.js';
import { Era } from '../../src/protocol/revisions.js';
import { type Packed, packedCount, packedText, packShared } from '../../src/shared/packed.js';
import type { Discovery } from '../../src/upstream/core/types.js';
import { serverSnapshot } from '../config/support.js';
import { authOf } from '../support/auth.js';
import { snapshot as wholeSnapshot } from '../workers/fixture.js';

export const RULES: CatalogRules = {
  separator: '__',
  conflict: 'prefix',
  names: 'strict',
  maxNameLength: 64,
  namePrefixRoom: 16,
  pageSize: 0,
  ttlMs: 60_000,
  startupWaitMs: 0,
  firstListWaitMs: 0,
  manifestFile: null,
  schemas: 'as-is',
  pinning: null,
};

/** The part of a snapshot that a catalog reads. */
export type CatalogSnapshot = Pick<
  Snapshot,
  'auth' | 'cache' | 'name' | 'catalog' | 'lock' | 'rateLimits' | 'routes' | 'servers' | 'views'
> & {
  limits: { maxTools: number; readonly maxClientLists: number; readonly maxListBytes: number };
};

export function server(name: string, change: Partial<ServerSnapshot> = {}): ServerSnapshot {
  return serverSnapshot({ name, prefix: name, ...change });
}

/** A view that offers everything, but for the changes. */
export function view(change: Partial<ViewSnapshot> = {}): ViewSnapshot {
  const all = {
    servers: null,
    tools: [],
    prompts: [],
    resources: [],
    hasPrefixes: true,
    requiredScopes: [],
    auth: null,
  };
  return { path: '/mcp', base: '', ...all, ...change };
}

export function snapshot(servers: readonly ServerSnapshot[], rules: Partial<CatalogRules> = {}): CatalogSnapshot {
  const { cache, rateLimits } = wholeSnapshot();
  return {
    auth: authOf(),
    cache,
    rateLimits,
    name: 'gateway',
    catalog: { ...RULES, ...rules },
    lock: null,
    routes: [],
    servers,
    views: [view()],
    limits: { maxTools: 20_000, maxClientLists: 256, maxListBytes: 1_000_000 },
  };
}

interface Lists {
  tools?: readonly (string | object)[];
  prompts?: readonly (string | object)[];
  resources?: readonly (string | object)[];
  templates?: readonly (string | object)[];
}

/** A discovery; items are raw JSON texts or values. */
export function discovery(index: number, lists: Lists, change: Partial<Discovery> = {}): Discovery {
  const raw = (items: readonly (string | object)[] = []): Packed =>
    packShared(items.map((item) => (typeof item === 'string' ? item : JSON.stringify(item))));
  return {
    server: index,
    era: Era.legacy,
    revision: 3,
    capabilities: { tools: {} },
    instructions: null,
    serverInfo: null,
    tools: raw(lists.tools),
    prompts: raw(lists.prompts),
    resources: raw(lists.resources),
    templates: raw(lists.templates),
    ttlMs: 0,
    cacheScope: 'public',
    ...change,
  };
}

export function tool(name: string, more: object = {}): object {
  return { name, inputSchema: { type: 'object' }, ...more };
}

export function pageText(
  catalog: PreparedCatalog,
  method: number,
  revision: number,
  cursor: string | null = null,
): string | null {
  const page = catalog.page(method, revision, cursor === null ? null : Buffer.from(JSON.stringify(cursor)));
  return page === null ? null : Buffer.from(page).toString('utf8');
}

// biome-ignore lint/suspicious/noExplicitAny: results of any shape are looked at
export function pageValue(catalog: PreparedCatalog, method: number, revision: number, cursor?: string): any {
  return JSON.parse(pageText(catalog, method, revision, cursor ?? null)!);
}

/** A catalog in force, with these discoveries. */
export async function catalogOf(from: CatalogSnapshot, ...discoveries: Discovery[]): Promise<PreparedCatalog> {
  const catalog = new Catalog(from);
  await catalog.start();
  for (const found of discoveries) await catalog.update(found);
  return catalog.current;
}

/** A result as an object. */
// biome-ignore lint/suspicious/noExplicitAny: results of any shape are looked at
export function value(bytes: Uint8Array): any {
  return JSON.parse(Buffer.from(bytes).toString('utf8'));
}

/** The texts of a column. */
export function texts(column: Packed): string[] {
  return Array.from({ length: packedCount(column) }, (_, index) => packedText(column, index));
}

/** Names at the upstream as the content of JSON strings, by entry. */
export function upstreamNames(catalog: PreparedCatalog): string[] {
  return Array.from(catalog.table.kind, (_, entry) => String(catalog.upstreamName(entry)));
}

/** Values of `Mcp-Name`, by entry. */
export function nameHeaders(catalog: PreparedCatalog): string[] {
  return Array.from(catalog.table.kind, (_, entry) => catalog.nameHeader(entry));
}

/** A catalog whose listener is `listener`; what it leaves out does nothing. */
export function listened(catalog: Catalog, listener: Partial<CatalogListener>): Catalog {
  catalog.attach({ distribute: () => {}, catalogChanged: () => {}, catalogFailed: () => {}, ...listener });
  return catalog;
}
