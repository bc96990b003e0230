/**
 * The data that crosses between the main thread and the control pool when a catalog is built. Everything that grows with
 * the number of items is packed into a few buffers, so that the main thread only transfers them.
 */

import type { CatalogRules } from '../config/snapshot.js';
import type { Era } from '../protocol/revisions.js';
import type { CatalogTable } from '../shared/catalog-table.js';
import type { Packed } from '../shared/packed.js';
import type { Bytes, Count } from '../units.js';
import type { CompiledList } from './compile-lists.js';

/** The four lists, in the order of `EntryKind`. */
export const LISTS = ['tools', 'prompts', 'resources', 'templates'] as const;
export type ListName = (typeof LISTS)[number];

/** The capabilities of the gateway: the union over its upstreams. */
export interface Capabilities {
  readonly tools: boolean;
  readonly prompts: boolean;
  readonly resources: boolean;
  readonly logging: boolean;
  readonly completions: boolean;
  /** Resources can be subscribed to. */
  readonly subscribe: boolean;
  /** Tasks of 2025-11-25 for tools. */
  readonly tasks: boolean;
}

/** Capabilities that are passed on to clients of the same family: settings by id or name. */
export interface PassedCapabilities {
  readonly extensions: Readonly<Record<string, unknown>>;
  readonly experimental: Readonly<Record<string, unknown>>;
}

/** A `Discovery` with compiled lists, in shared memory that every build reads without a copy. */
export interface CompiledDiscovery {
  readonly server: number;
  readonly era: Era;
  readonly capabilities: Capabilities;
  readonly passed: PassedCapabilities;
  readonly instructions: string | null;
  /** `Date.now()` until which the upstream's lists are fresh; `Infinity` = the upstream sent no `ttlMs`. */
  readonly expiresAt: number;
  readonly cacheScope: 'public' | 'private';
  /** By position in {@link LISTS}. */
  readonly lists: readonly CompiledList[];
}

/** What a build reads of a server. */
export interface CatalogServer {
  readonly name: string;
  readonly prefix: string | null;
  readonly priority: number;
  readonly include: readonly string[];
  readonly exclude: readonly string[];
  /** Unknown methods are passed to it, so its extensions are declared too. */
  readonly passesMethods: boolean;
}

export interface CatalogInput {
  readonly version: number;
  readonly gatewayName: string;
  readonly gatewayVersion: string;
  readonly rules: CatalogRules;
  /** Bound of each list; items beyond it are dropped and reported. */
  readonly maxTools: Count;
  /** Longest merged `instructions`. */
  readonly maxInstructions: Bytes;
  readonly servers: readonly CatalogServer[];
  /** In the order of the configuration: lists and ties between equal names follow it. */
  readonly discoveries: readonly CompiledDiscovery[];
  /** Lists that servers offer to some clients only. Their names are in the table, their items in views. */
  readonly clientLists: readonly CompiledDiscovery[];
  readonly views: readonly CatalogView[];
}

/** The lists of clients for which some servers have lists of their own. */
export interface CatalogView {
  readonly name: string;
  /** Positions in `clientLists` that take the place of the discoveries of their servers. */
  readonly lists: readonly number[];
}

/** A tool argument that is also sent as the header `Mcp-Param-{header}`. */
export interface HeaderParam {
  /** Property names from `arguments` down. */
  readonly path: readonly string[];
  readonly header: string;
  readonly type: 'string' | 'integer' | 'boolean';
}

/** A problem with the lists of the upstreams, for operators. */
export interface CatalogProblem {
  readonly kind: 'collision' | 'duplicate' | 'shortened' | 'unusual-name' | 'dropped' | 'repaired' | 'limit';
  readonly list: ListName;
  readonly server: string;
  /** At most 128 characters of the upstream's name or URI. */
  readonly name: string;
  readonly detail: string;
}

/** The pages of one list towards one client family. */
export interface BuiltList {
  /** Whole `result` objects. */
  readonly pages: Packed;
  /** The cursors of all pages but the first. */
  readonly cursors: readonly string[];
  /** Position of the `ttlMs` digits in each page, -1 in legacy pages. */
  readonly ttlAt: number;
}

/** A finished catalog as the control pool returns it. */
export interface CatalogBuild {
  readonly table: CatalogTable;
  /** By entry: the upstream's name as the content of a JSON string, without the quotes. */
  readonly escapedNames: Packed;
  /** By entry: the value of `Mcp-Name` towards a modern upstream. */
  readonly nameHeaders: Packed;
  /** By entry: its {@link HeaderParam}s as JSON, empty for none. */
  readonly headerParams: Packed;
  /** By era (0 legacy, 1 modern) and position in {@link LISTS}. */
  readonly lists: readonly (readonly BuiltList[])[];
  /** The same by the name of a view. */
  readonly views: ReadonlyMap<string, readonly (readonly BuiltList[])[]>;
  /** `initialize` results by revision number, oldest first. */
  readonly initialize: readonly Uint8Array[];
  readonly discover: { readonly bytes: Uint8Array; readonly ttlAt: number };
  /** `Date.now()` after which the modern results are stale; `Infinity` = `ttlMs` is the configured one. */
  readonly expiresAt: number;
  readonly capabilities: Capabilities;
  /** Digest of each list, by position in {@link LISTS}. */
  readonly fingerprints: readonly string[];
  /** The first {@link MAX_PROBLEMS}; `problemCounts` counts all of them. */
  readonly problems: readonly CatalogProblem[];
  readonly problemCounts: Readonly<Record<string, Count>>;
  /** Offered items by server, in the order of {@link LISTS}. */
  readonly offered: readonly (readonly [Count, Count, Count, Count])[];
}

/** Problems that are kept for logs and /stats. */
export const MAX_PROBLEMS = 200;
