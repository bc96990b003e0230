/**
 * The data that crosses between the main thread and the control pool when a catalog is built. Everything that grows with
 * the number of items is packed into a few buffers, so that the main thread only transfers them.
 */

import type { CatalogRules, RouteSnapshot, ViewSnapshot } from '../config/snapshot/index.js';
import type { Rename } from '../protocol/names/forms.js';
import type { Naming } from '../protocol/names/index.js';
import type { Era } from '../protocol/revisions.js';
import type { CatalogTable } from '../shared/catalog-table.js';
import type { Packed } from '../shared/packed.js';
import type { Bytes, Count } from '../units.js';
import type { CompiledList } from './compile-lists.js';
import type { ServerInstructions } from './instructions.js';
import type { ListName } from './items/list-names.js';
import type { PatternFault, RulePattern } from './pattern-faults.js';
import type { RouteFault } from './route-faults.js';

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
  readonly rename: Rename | null;
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
  /** Compared with what is offered, for operators. */
  readonly routes: readonly RouteSnapshot[];
  /** As the routes, the patterns of other rules. */
  readonly rulePatterns: readonly RulePattern[];
  /** What the main thread found about the routes already. */
  readonly routeFaults: readonly RouteFault[];
  /** In the order of the configuration: lists and ties between equal names follow it. */
  readonly discoveries: readonly CompiledDiscovery[];
  /** Lists that servers offer to some clients only. Their names are in the table, their items in list sets. */
  readonly clientLists: readonly CompiledDiscovery[];
  readonly listSets: readonly ListSet[];
  /** The first offers everything. */
  readonly views: readonly ViewSnapshot[];
  /** Lists depend on what a client may call. */
  readonly isRestricted: boolean;
}

/** The lists in one view for clients for which some servers have lists of their own. */
export interface ListSet {
  readonly name: string;
  readonly view: number;
  /** Positions in `clientLists` that take the place of the discoveries of their servers. */
  readonly lists: readonly number[];
}

/** A problem with the lists of the upstreams, for operators. */
export interface CatalogProblem {
  readonly kind:
    | 'collision'
    | 'duplicate'
    | 'unusual-name'
    | 'dropped'
    | 'repaired'
    | 'schema'
    | 'limit'
    | 'unapproved';
  readonly list: ListName;
  readonly server: string;
  /** At most 128 characters of the upstream's name or URI. */
  readonly name: string;
  readonly detail: string;
}

/** A tool or prompt that is offered under another name than its own with the prefix. */
export interface RenamedItem {
  readonly list: ListName;
  readonly server: string;
  /** At most 128 characters of the upstream's name. */
  readonly name: string;
  readonly offered: string;
  readonly reason: Exclude<Naming['change'], ''>;
}

/** The pages of one list towards one client family. */
export interface BuiltList {
  readonly shape: ListShape;
  /** By item: its entry in the table, and where its text is in `pages.bytes`. */
  readonly entries: Int32Array;
  readonly starts: Int32Array;
  readonly ends: Int32Array;
  /** Whole `result` objects. */
  readonly pages: Packed;
  /** The cursors of all pages but the first. */
  readonly cursors: readonly string[];
  /** Position of the `ttlMs` digits in each page, -1 in legacy pages. */
  readonly ttlAt: number;
}

/** What is around the items of a list. */
export interface ListShape {
  /** What each page begins with, in latin-1. */
  readonly head: string;
  /** The member with the items. */
  readonly key: string;
  /** Items of one page; 0 = all. */
  readonly pageSize: Count;
  /** See BuiltList. */
  readonly ttlAt: number;
}

/** What one view offers. */
export interface BuiltView {
  /** By era (0 legacy, 1 modern) and position in {@link LISTS}. */
  readonly lists: readonly (readonly BuiltList[])[];
  /** `initialize` results by revision number, oldest first. */
  readonly initialize: readonly Uint8Array[];
  readonly discover: { readonly bytes: Uint8Array; readonly ttlAt: number };
  /** What the `instructions` of these results are made of. */
  readonly instructions: readonly ServerInstructions[];
  /** Length of their end, from `instructions` on. */
  readonly tailBytes: Bytes;
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
  /** By position in `Snapshot.views`. */
  readonly views: readonly BuiltView[];
  /** See `CatalogInput.maxInstructions`. */
  readonly maxInstructions: Bytes;
  /** Lists by era and position in {@link LISTS}, by the name of a list set. */
  readonly listSets: ReadonlyMap<string, readonly (readonly BuiltList[])[]>;
  /** `Date.now()` after which the modern results are stale; `Infinity` = `ttlMs` is the configured one. */
  readonly expiresAt: number;
  readonly capabilities: Capabilities;
  /** Digest of each list over all views, by position in {@link LISTS}. */
  readonly fingerprints: readonly string[];
  /** The first {@link MAX_PROBLEMS}; `problemCounts` counts all of them. */
  readonly problems: readonly CatalogProblem[];
  readonly problemCounts: Readonly<Record<string, Count>>;
  /** The first {@link MAX_PROBLEMS}; `renamedCount` counts all of them. */
  readonly renamed: readonly RenamedItem[];
  readonly renamedCount: Count;
  /** Routes that match nothing, can never be reached or need what nothing can grant; at most {@link MAX_PROBLEMS}. */
  readonly routeFaults: readonly RouteFault[];
  /** Patterns of other rules that match nothing; at most {@link MAX_PROBLEMS}. */
  readonly patternFaults: readonly PatternFault[];
  /** Offered items by server, in the order of {@link LISTS}. */
  readonly offered: readonly (readonly [Count, Count, Count, Count])[];
  /** See CatalogInput. */
  readonly isRestricted: boolean;
}

/** Problems that are kept for logs and /stats. */
export const MAX_PROBLEMS = 200;
