/** The main thread's side of the catalog: collects discoveries, has them built elsewhere, puts the result in force. */
import { isTombstone } from '../config/numbering.js';
import type { ServerSnapshot, Snapshot } from '../config/snapshot.js';
import { packageVersion } from '../package-root.js';
import type { Bytes, Milliseconds } from '../units.js';
import type { Discovery } from '../upstream/core/types.js';
import { buildCatalog } from './build.js';
import type { CompiledList, ListsInput } from './compile-lists.js';
import { ListCompiler } from './compiler.js';
import { PreparedCatalog } from './prepared.js';
import type { CatalogBuild, CatalogInput, CatalogProblem, CompiledDiscovery } from './types.js';

/** Longest merged `instructions`: what models read before everything else has to stay short. */
const MAX_INSTRUCTIONS: Bytes = 8 * 1024;
const MAX_RETRY_MS: Milliseconds = 60_000;

/** What differs from the catalog before, as clients are told (list_changed). */
export interface CatalogChanges {
  readonly tools: boolean;
  readonly prompts: boolean;
  /** Resources or resource templates. */
  readonly resources: boolean;
}

export interface CatalogOptions {
  /** Compiles the lists of one server in the control pool; default: at once, on this thread. */
  readonly compile?: (input: ListsInput) => Promise<CompiledList[]>;
  /** Builds in the control pool; default: at once, on this thread. */
  readonly build?: (input: CatalogInput) => Promise<CatalogBuild>;
  /**
   * Called before a new catalog comes into force, to bring its table to the workers; the old one stays in force until
   * the promise resolves.
   */
  readonly distribute?: (next: PreparedCatalog) => Promise<void> | void;
  /**
   * Called once the new catalog is in force: the moment to send list_changed (sent earlier, clients would fetch the
   * old lists) and to log the problems that are new.
   */
  readonly changed?: (catalog: PreparedCatalog, changes: CatalogChanges, fresh: readonly CatalogProblem[]) => void;
  /** Compiling, a build or its distribution failed: the old catalog stays in force, and it is tried again. */
  readonly failed?: (error: unknown) => void;
  /** Pause before a failed build is tried again, doubled each time up to a minute; default one second. */
  readonly retryMs?: Milliseconds;
}

type CatalogSnapshot = Pick<Snapshot, 'name' | 'catalog' | 'order'> & {
  readonly limits: Pick<Snapshot['limits'], 'maxTools'>;
  readonly servers: readonly ServerSnapshot[];
};

/**
 * Lists are compiled by server (compiler.ts), the catalog is built from what is compiled. Builds run one at a time; what arrives meanwhile goes into the next one, so a burst of changes costs two builds.
 * Versions grow by one with each build, also across configurations.
 */
export class Catalog {
  readonly #options: CatalogOptions;
  #snapshot: CatalogSnapshot;
  /** By server index of the current snapshot. */
  #discoveries = new Map<number, CompiledDiscovery>();
  readonly #compiler: ListCompiler;
  /** Counts updates by server, so that lists which took long to compile never replace newer ones. */
  readonly #updates = new Map<number, number>();
  #compiling = 0;
  #compileFailures = 0;
  #version = 0;
  #dirty = true;
  #failures = 0;
  #running: Promise<void> | null = null;
  #current: PreparedCatalog | null = null;
  #reported = new Set<string>();

  constructor(snapshot: CatalogSnapshot, options: CatalogOptions = {}) {
    this.#snapshot = snapshot;
    this.#options = options;
    this.#compiler = new ListCompiler(options.compile);
  }

  /** The catalog in force. @throws before {@link start} has finished */
  get current(): PreparedCatalog {
    if (this.#current === null) throw new Error('the catalog has not been started');
    return this.#current;
  }

  /** Builds the first catalog, with no server known yet. */
  async start(): Promise<PreparedCatalog> {
    await this.#schedule();
    return this.current;
  }

  /**
   * Takes over what a server lists now: its lists are compiled by themselves, and until they are ready the catalog goes on
   * with what is known of it. Resolves when a catalog with it (or a newer one) is in force.
   */
  async update(discovery: Discovery): Promise<void> {
    const { server } = discovery;
    const config = this.#snapshot.servers[server];
    if (config === undefined || isTombstone(config)) return;
    const update = (this.#updates.get(server) ?? 0) + 1;
    this.#updates.set(server, update);
    this.#compiling += 1;
    try {
      const compiled = await this.#compiler.compile(discovery, config);
      // A reload meanwhile may have taken the server away; one that stays keeps its number.
      if (this.#snapshot.servers[server]?.name !== config.name || this.#updates.get(server) !== update) return;
      this.#discoveries.set(server, compiled);
      this.#compileFailures = 0;
      this.#dirty = true;
    } catch (error) {
      this.#options.failed?.(error);
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

  /** Forgets what a server listed: its names are gone until it is discovered again. */
  async remove(server: number): Promise<void> {
    this.#updates.set(server, (this.#updates.get(server) ?? 0) + 1);
    if (!this.#discoveries.delete(server)) return;
    this.#dirty = true;
    await this.#schedule();
  }

  /**
   * Switches to another configuration. Discoveries of servers that kept their name, and of which `kept` says that they
   * are the same upstream, move along.
   */
  async reconfigure(snapshot: CatalogSnapshot, kept: (before: number, after: number) => boolean): Promise<void> {
    const before = this.#snapshot.servers;
    const moved = new Map<number, CompiledDiscovery>();
    snapshot.servers.forEach((server, after) => {
      if (isTombstone(server)) return;
      const old = before.findIndex(({ name }) => name === server.name);
      const discovery = this.#discoveries.get(old);
      if (discovery !== undefined && kept(old, after)) moved.set(after, { ...discovery, server: after });
    });
    this.#snapshot = snapshot;
    this.#discoveries = moved;
    this.#dirty = true;
    await this.#schedule();
  }

  /** Resolves when nothing waits to be built. */
  async settled(): Promise<void> {
    while (this.#running !== null || this.#compiling > 0) {
      await (this.#running ?? new Promise((resolve) => setTimeout(resolve, 1)));
    }
  }

  /** Starts building unless a build runs, which then sees what has changed before it ends. */
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
          this.#options.failed?.(error);
          this.#retryLater();
        }
      }
    } finally {
      this.#running = null;
    }
  }

  /** A thread may have died of something that is over; lists must not stay old for want of another change. */
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
    const build = await (this.#options.build?.(input) ?? buildCatalog(input));
    const next = new PreparedCatalog(build, ttlMs);
    await this.#options.distribute?.(next);
    const previous = this.#current;
    this.#current = next;
    const differs = (list: number): boolean => previous?.fingerprints[list] !== next.fingerprints[list];
    const changes = { tools: differs(0), prompts: differs(1), resources: differs(2) || differs(3) };
    this.#options.changed?.(next, changes, this.#fresh(next));
  }

  #input(): CatalogInput {
    const { name, catalog, limits, servers } = this.#snapshot;
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
        passesMethods: server.methods.length > 0,
      })),
      discoveries: inOrder([...this.#discoveries.values()], this.#snapshot.order ?? []),
    };
  }

  /** Problems that the catalog before did not have: each is logged once. */
  #fresh(catalog: PreparedCatalog): CatalogProblem[] {
    const seen = new Set<string>();
    const fresh = catalog.problems.filter((problem) => {
      const key = JSON.stringify([problem.kind, problem.list, problem.server, problem.name, problem.detail]);
      seen.add(key);
      return !this.#reported.has(key);
    });
    this.#reported = seen;
    return fresh;
  }
}

/** In the order of the configuration: lists and ties between equal names follow it. */
function inOrder(discoveries: CompiledDiscovery[], order: readonly number[]): CompiledDiscovery[] {
  const places = new Map(order.map((server, place) => [server, place]));
  const position = ({ server }: CompiledDiscovery): number => places.get(server) ?? server;
  return discoveries.sort((a, b) => position(a) - position(b));
}
