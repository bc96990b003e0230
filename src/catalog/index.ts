/** The main thread's side of the catalog: collects discoveries, builds catalogs in the control pool, puts them in force. */

import { isTombstone, TOMBSTONE } from '../config/numbering.js';
import { allProviders } from '../config/snapshot/endpoint-auth.js';
import type { ServerSnapshot, Snapshot } from '../config/snapshot/index.js';
import type { PinnedTools } from '../config/snapshot/pinning.js';
import { restrictsLists } from '../config/snapshot/restrictions.js';
import { packageVersion } from '../package-root.js';
import type { ListedSpellings } from '../protocol/uri.js';
import type { Bytes, Count, Milliseconds } from '../units.js';
import type { Discovery } from '../upstream/core/types.js';
import { buildCatalog } from './build.js';
import { ClientLists } from './client-lists.js';
import { ListCompiler, type ListThreads } from './compiler.js';
import { type PatternFault, rulePatterns } from './pattern-faults.js';
import { PreparedCatalog } from './prepared.js';
import { grantFaults, type RouteFault } from './route-faults.js';
import type { CatalogBuild, CatalogInput, CatalogProblem, CompiledDiscovery } from './types.js';

/** Longest merged `instructions`, which models read first. */
const MAX_INSTRUCTIONS: Bytes = 8 * 1024;
/** Logged collisions that are remembered; beyond them some are logged once more. */
const MAX_COLLISIONS: Count = 10_000;
const MAX_RETRY_MS: Milliseconds = 60_000;
/** Of a server that is not in the lockfile: all its tools are new. */
const NO_PINS: PinnedTools = new Map();

/** The lists that differ from the previous catalog, for list_changed. */
export interface CatalogChanges {
  readonly tools: boolean;
  readonly prompts: boolean;
  /** Resources or resource templates. */
  readonly resources: boolean;
}

/** What operators should know of a catalog. */
export type CatalogFinding = CatalogProblem | RouteFault | PatternFault;

/** Compiles and builds in other threads: the control pool. */
export interface CatalogThreads extends ListThreads {
  buildCatalog(input: CatalogInput): Promise<CatalogBuild>;
}

/** Distributes new catalogs: UpstreamChanges. */
export interface CatalogListener {
  /** Brings the table of a new catalog to the workers. The old one stays in force until the promise resolves. */
  distribute(next: PreparedCatalog): Promise<void> | void;
  /** The new catalog is in force: sends list_changed (earlier, clients would fetch the old lists) and logs new problems. */
  catalogChanged(catalog: PreparedCatalog, changes: CatalogChanges, fresh: readonly CatalogFinding[]): void;
  /** Compiling, building or distributing failed: the old catalog stays in force, and the build is retried. */
  catalogFailed(error: unknown): void;
}

export interface CatalogOptions {
  /** Default: this thread, synchronously. */
  readonly threads?: CatalogThreads;
  /** Pause before a failed build is retried, doubled each time up to a minute; default one second. */
  readonly retryMs?: Milliseconds;
}

type CatalogSnapshot = Pick<
  Snapshot,
  'auth' | 'cache' | 'name' | 'catalog' | 'lock' | 'order' | 'rateLimits' | 'routes' | 'views'
> & {
  readonly limits: Pick<Snapshot['limits'], 'maxTools' | 'maxClientLists' | 'maxListBytes'>;
  readonly servers: readonly ServerSnapshot[];
};

/**
 * Lists are compiled by server (compiler.ts), and the catalog is built from the compiled lists. Builds run one at a time;
 * changes during a build go into the next one, so a burst of changes costs two builds. Versions grow by one with each
 * build, also across configurations. One per gateway.
 */
export class Catalog implements ListedSpellings {
  readonly #options: CatalogOptions;
  #snapshot: CatalogSnapshot;
  /** By server index of the current snapshot; as the servers sent them, and compiled. */
  #lists = new Map<number, Discovery>();
  #discoveries = new Map<number, CompiledDiscovery>();
  readonly #clientLists = new ClientLists();
  readonly #compiler: ListCompiler;
  /** Counts updates by server, so that a slow compilation never replaces a newer one. */
  readonly #updates = new Map<number, number>();
  #compiling = 0;
  #compileFailures = 0;
  #version = 0;
  #dirty = true;
  #failures = 0;
  #running: Promise<void> | null = null;
  #current: PreparedCatalog | null = null;
  #reported = new Set<string>();
  readonly #collisions = new Set<string>();
  #listener: CatalogListener | null = null;

  constructor(snapshot: CatalogSnapshot, options: CatalogOptions = {}) {
    this.#snapshot = snapshot;
    this.#options = options;
    this.#compiler = new ListCompiler(options.threads);
  }

  /** Sets what distributes new catalogs. Once, before {@link start}: the stages that use the listener read this catalog. */
  attach(listener: CatalogListener): void {
    this.#listener = listener;
  }

  /** Whether a resource or template is listed under exactly this spelling, which is not the normal form. */
  isListed(uri: string): boolean {
    return this.current.listsUnusual(uri);
  }

  /** The spelling in which an upstream lists a resource; of one that is not listed its normal form. */
  listedAs(uri: string): string {
    return this.current.listedAs(uri);
  }

  /** The catalog in force. @throws before {@link start} has finished */
  get current(): PreparedCatalog {
    if (this.#current === null) throw new Error('the catalog has not been started');
    return this.#current;
  }

  /** The newest lists of all servers as they sent them, those for some clients only behind those for all. */
  get lists(): readonly Discovery[] {
    return [...this.#lists.values(), ...this.#clientLists.discoveries];
  }

  /** Builds the first catalog, without any lists. */
  async start(): Promise<PreparedCatalog> {
    await this.#schedule();
    return this.current;
  }

  /**
   * Replaces the lists of a server. Until they are compiled, the catalog keeps the old ones. Resolves when a catalog with
   * these lists, or newer ones, is in force.
   */
  async update(discovery: Discovery): Promise<void> {
    const { server } = discovery;
    const config = this.#snapshot.servers[server];
    if (config === undefined || isTombstone(config)) return;
    const update = (this.#updates.get(server) ?? 0) + 1;
    this.#updates.set(server, update);
    this.#lists.set(server, discovery);
    this.#compiling += 1;
    try {
      const compiled = await this.#compile(discovery);
      // A reload meanwhile may have removed the server; a server that stays keeps its number.
      if (this.#snapshot.servers[server]?.name !== config.name || this.#updates.get(server) !== update) return;
      this.#discoveries.set(server, compiled);
      this.#compileFailures = 0;
      this.#dirty = true;
    } catch (error) {
      this.#listener?.catalogFailed(error);
      const again = (): void => {
        if (this.#updates.get(server) === update) void this.update(discovery);
      };
      setTimeout(again, this.#pause(this.#compileFailures)).unref();
      this.#compileFailures += 1;
      return;
    } finally {
      this.#compiling -= 1;
    }
    await this.#schedule();
  }

  /**
   * The lists of clients for which some servers have lists of their own.
   *
   * @param own those lists, at most one for each server
   * @param view position in `Snapshot.views`
   * @returns the name of the list set for `PreparedCatalog.page`; it is in the catalog in force, unless the build failed
   */
  async listSet(own: readonly Discovery[], view: number): Promise<string> {
    const lists = this.#clientLists;
    const name = lists.nameOf(own, view);
    const compiled = await Promise.all(own.map((discovery) => this.#compileOwn(discovery)));
    lists.use(name, view, own, compiled, this.#snapshot.limits.maxClientLists);
    if (this.current.hasListSet(name)) return name;
    this.#dirty = true;
    await this.#schedule();
    return name;
  }

  async #compileOwn(discovery: Discovery): Promise<CompiledDiscovery> {
    return this.#clientLists.compiled(discovery) ?? this.#compile(discovery);
  }

  #compile(discovery: Discovery): Promise<CompiledDiscovery> {
    const { catalog, lock, servers } = this.#snapshot;
    const server = servers[discovery.server] ?? TOMBSTONE;
    const pins = lock === null ? null : (lock.servers.get(server.name) ?? NO_PINS);
    return this.#compiler.compile(discovery, server, catalog.schemas, pins);
  }

  /** Removes the lists of a server until it is discovered again. */
  async remove(server: number): Promise<void> {
    this.#updates.set(server, (this.#updates.get(server) ?? 0) + 1);
    this.#clientLists.keep((other) => other !== server);
    this.#lists.delete(server);
    if (!this.#discoveries.delete(server)) return;
    this.#dirty = true;
    await this.#schedule();
  }

  /**
   * Follows a reload. Discoveries of servers that kept their name are kept, if `kept` returns that they are the same
   * upstream.
   */
  async reconfigure(snapshot: CatalogSnapshot, kept: (before: number, after: number) => boolean): Promise<void> {
    const { catalog, lock, servers: before } = this.#snapshot;
    const moved = new Map<number, CompiledDiscovery>();
    const movedLists = new Map<number, Discovery>();
    snapshot.servers.forEach((server, after) => {
      if (isTombstone(server)) return;
      const old = before.findIndex(({ name }) => name === server.name);
      if (old < 0 || !kept(old, after)) return;
      const discovery = this.#discoveries.get(old);
      const lists = this.#lists.get(old);
      if (discovery !== undefined) moved.set(after, { ...discovery, server: after });
      if (lists !== undefined) movedLists.set(after, old === after ? lists : { ...lists, server: after });
    });
    this.#snapshot = snapshot;
    this.#lists = movedLists;
    this.#clientLists.keep((server) => snapshot.servers[server]?.name === before[server]?.name && kept(server, server));
    this.#discoveries = moved;
    this.#dirty = true;
    await this.#schedule();
    if (catalog.schemas !== snapshot.catalog.schemas || lock?.digest !== snapshot.lock?.digest) {
      await this.#compileAgain();
    }
  }

  /** The lists that are there, by the rules of the snapshot in force. */
  async #compileAgain(): Promise<void> {
    for (const discovery of this.#clientLists.discoveries) {
      try {
        this.#clientLists.replace(discovery, await this.#compile(discovery));
      } catch (error) {
        this.#listener?.catalogFailed(error);
      }
    }
    await Promise.all([...this.#lists.values()].map((discovery) => this.update(discovery)));
    this.#dirty = true;
    await this.#schedule();
  }

  /** Resolves when no compilation or build is pending. */
  async settled(): Promise<void> {
    while (this.#running !== null || this.#compiling > 0) {
      await (this.#running ?? new Promise((resolve) => setTimeout(resolve, 1)));
    }
  }

  /** Starts building unless a build runs, which then builds again before it ends. */
  #schedule(): Promise<void> {
    if (!this.#dirty) return this.#running ?? Promise.resolve();
    this.#running ??= this.#run();
    return this.#running;
  }

  async #run(): Promise<void> {
    try {
      while (this.#dirty) {
        this.#dirty = false;
        try {
          await this.#rebuild();
          this.#failures = 0;
        } catch (error) {
          if (this.#current === null) throw error;
          this.#listener?.catalogFailed(error);
          this.#retryLater();
        }
      }
    } finally {
      this.#running = null;
    }
  }

  /** Retries without waiting for another change: the cause may be temporary, such as a thread that died. */
  #retryLater(): void {
    const pause = this.#pause(this.#failures);
    this.#failures += 1;
    setTimeout(() => {
      this.#dirty = true;
      // Never rejects: there is a catalog in force.
      void this.#schedule();
    }, pause).unref();
  }

  #pause(failures: number): Milliseconds {
    return Math.min(MAX_RETRY_MS, (this.#options.retryMs ?? 1_000) * 2 ** failures);
  }

  async #rebuild(): Promise<void> {
    this.#version += 1;
    const ttlMs = this.#snapshot.catalog.ttlMs;
    const input = this.#input();
    const build = await (this.#options.threads?.buildCatalog(input) ?? buildCatalog(input));
    const next = new PreparedCatalog(build, ttlMs, this.#snapshot.limits.maxListBytes);
    await this.#listener?.distribute(next);
    const previous = this.#current;
    this.#current = next;
    const differs = (list: number): boolean => previous?.fingerprints[list] !== next.fingerprints[list];
    const changes = { tools: differs(0), prompts: differs(1), resources: differs(2) || differs(3) };
    this.#listener?.catalogChanged(next, changes, this.#fresh(next));
  }

  #input(): CatalogInput {
    const { catalog, limits, name, routes, servers, views } = this.#snapshot;
    const { lists: clientLists, sets: listSets } = this.#clientLists.input();
    return {
      version: this.#version,
      gatewayName: name,
      gatewayVersion: packageVersion,
      rules: catalog,
      maxTools: limits.maxTools,
      maxInstructions: MAX_INSTRUCTIONS,
      servers: servers.map((server) => ({
        name: server.name,
        prefix: server.prefix,
        priority: server.priority,
        include: server.include,
        exclude: server.exclude,
        rename: server.rename,
        passesMethods: server.methods.length > 0,
      })),
      routes,
      rulePatterns: rulePatterns(this.#snapshot),
      routeFaults: grantFaults(routes, allProviders(this.#snapshot)),
      discoveries: inOrder([...this.#discoveries.values()], this.#snapshot.order ?? []),
      clientLists,
      listSets,
      views,
      isRestricted: restrictsLists(this.#snapshot),
    };
  }

  /**
   * Findings that the previous catalog did not have, so that each is logged once; a collision once for all, since the lists of
   * one of its servers may come and go.
   */
  #fresh({ problems, patternFaults, routeFaults }: PreparedCatalog): CatalogFinding[] {
    const seen = new Set<string>();
    const fresh = [...problems, ...routeFaults, ...patternFaults].filter((finding) => {
      const key = JSON.stringify(finding);
      if ('kind' in finding && finding.kind === 'collision') return this.#isNewCollision(key);
      seen.add(key);
      return !this.#reported.has(key);
    });
    this.#reported = seen;
    return fresh;
  }

  #isNewCollision(key: string): boolean {
    if (this.#collisions.has(key)) return false;
    if (this.#collisions.size >= MAX_COLLISIONS) this.#collisions.clear();
    this.#collisions.add(key);
    return true;
  }
}

/** In the order of the configuration: lists and ties between equal names follow it. */
function inOrder(discoveries: CompiledDiscovery[], order: readonly number[]): CompiledDiscovery[] {
  const places = new Map(order.map((server, place) => [server, place]));
  const position = ({ server }: CompiledDiscovery): number => places.get(server) ?? server;
  return discoveries.sort((a, b) => position(a) - position(b));
}
