/**
 * The upstream pool: every server of a snapshot with its endpoints, and the one clock that all calls are measured by.
 */
import type { Decoder } from '../../native/layout.js';
import type { LimitsSnapshot, Snapshot } from '../config/snapshot.js';
import { LEVELS, NO_LEVEL } from '../protocol/levels.js';
import type { Exchange } from '../request/exchange/index.js';
import type { ExchangeTable } from '../request/exchange/table.js';
import type { Milliseconds } from '../units.js';
import { type Background, inlineBackground } from './core/background.js';
import { BaseEndpoint, DeferredFailures, type EndpointContext, type UpstreamLog } from './core/endpoint.js';
import { ReadTurns } from './core/read-turns.js';
import type { UpstreamEvents, UpstreamSink } from './core/types.js';
import { Replacements } from './replacement.js';
import type { UpstreamServer } from './server.js';

export type { EndpointStats, UpstreamLog } from './core/endpoint.js';
export { UpstreamServer } from './server.js';

/** What a pool needs. */
export interface UpstreamPoolOptions {
  readonly snapshot: Snapshot;
  readonly table: ExchangeTable;
  readonly decoder: Decoder;
  readonly sink: UpstreamSink;
  readonly events: UpstreamEvents;
  readonly log: UpstreamLog;
  /** Default: the snapshot's. What is read at each use; a reload changes its members. */
  readonly limits?: LimitsSnapshot;
  /** Reads large answers in another thread; default: in this one. */
  readonly background?: Background;
  /** Time between the steps by which a stdio child is stopped (end of input, TERM, KILL), ms; default 2,000. */
  readonly stopGraceMs?: Milliseconds;
}

/** `info`. */
const DEFAULT_LEVEL = 1;

/** How often deadlines are looked at: a call ends at most this much late. */
const SWEEP_MS: Milliseconds = 50;

/** See the file comment. */
export class UpstreamPool {
  readonly #context: EndpointContext;
  readonly #succession: Replacements;
  readonly #table: ExchangeTable;
  #sweep: NodeJS.Timeout | undefined;
  #logLevel: number = NO_LEVEL;
  #now: Milliseconds = 0;
  #closing: Promise<void> | null = null;

  constructor(options: UpstreamPoolOptions) {
    const { snapshot } = options;
    const limits = options.limits ?? snapshot.limits;
    this.#table = options.table;
    this.#context = {
      table: options.table,
      decoder: options.decoder,
      sink: options.sink,
      log: options.log,
      limits,
      later: new DeferredFailures(),
      turns: new ReadTurns(limits),
      background: options.background ?? inlineBackground(options.decoder),
      stopGraceMs: options.stopGraceMs ?? 2_000,
      routeTimeouts: snapshot.routes.map((route) => route.requestTimeoutMs),
    };
    this.#succession = new Replacements(this.#context, options.events, snapshot.servers, (server) => {
      if (this.#logLevel < NO_LEVEL) server.setLogLevel(LEVELS[this.#logLevel]!);
    });
  }

  /** By number; where a configuration has none any more stands one without endpoints. */
  get servers(): readonly UpstreamServer[] {
    return this.#succession.servers;
  }

  /** Whether servers whose endpoints a reload changed have yet to take over. */
  get changing(): boolean {
    return this.#succession.changing;
  }

  /**
   * Follows another snapshot of the same numbering (src/config/numbering.ts): unchanged servers go on, new ones start,
   * changed ones are succeeded. Those that are gone serve until {@link retire}.
   */
  replace(snapshot: Snapshot): void {
    this.#context.routeTimeouts = snapshot.routes.map((route) => route.requestTimeoutMs);
    this.#succession.replace(snapshot);
  }

  /** Lets servers that the snapshot does not have finish their calls, up to `limits.drainMs`, and stops them. */
  retire(snapshot: Snapshot): void {
    this.#succession.retire(snapshot);
  }

  /** Starts every endpoint and returns at once; `events` tells what becomes of them. */
  start(): void {
    if (this.#sweep !== undefined || this.#closing !== null) return;
    for (const server of this.servers) server.start();
    this.#sweep = setInterval(() => this.#tick(), SWEEP_MS);
    this.#sweep.unref();
  }

  /** @throws RangeError for an index that the snapshot does not have */
  server(index: number): UpstreamServer {
    const server = this.servers[index];
    if (server === undefined) throw new RangeError(`there is no server ${index}`);
    return server;
  }

  /**
   * Somebody wants log messages from this level on (0 debug ... 7 emergency). Upstreams are asked for the most verbose
   * level anybody wanted, at least `info`, because others may rely on what is sent without being asked for.
   */
  wantLogLevel(level: number): void {
    if (level >= this.#logLevel) return;
    this.#logLevel = Math.min(level, DEFAULT_LEVEL);
    this.#succession.forEach((server) => {
      server.setLogLevel(LEVELS[this.#logLevel]!);
    });
  }

  /** A legacy session is over: its lanes take no more calls and are stopped. */
  sessionEnded(sessionId: string): void {
    this.#succession.forEach((server) => {
      server.sessionEnded(sessionId);
    });
  }

  /** The client of a legacy session says that its roots changed: the servers on its lanes are told. */
  rootsChanged(sessionId: string): void {
    this.#succession.forEach((server) => {
      server.rootsChanged(sessionId);
    });
  }

  /** Calls in flight over all servers. */
  get inFlight(): number {
    let count = 0;
    this.#succession.forEach((server) => {
      count += server.inFlight;
    });
    return count;
  }

  /** For /stats. */
  snapshotState(): Record<string, unknown>[] {
    return this.servers.map((server) => server.snapshotState());
  }

  /**
   * Ends the pool: waits for calls in flight, then closes connections and stops children. Calls that are left fail.
   *
   * @param drainMs longest wait for calls in flight; 0 = none
   */
  close(drainMs: Milliseconds): Promise<void> {
    this.#closing ??= this.#close(drainMs);
    return this.#closing;
  }

  async #close(drainMs: Milliseconds): Promise<void> {
    const deadline = performance.now() + drainMs;
    while (this.inFlight > 0 && performance.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    await this.#succession.stop();
    clearInterval(this.#sweep);
  }

  #tick(): void {
    this.#now = performance.now();
    this.#succession.forEach(this.#tickServer);
    this.#succession.tick(this.#now);
    if (this.inFlight > 0) this.#table.forEach(this.#expire);
  }

  readonly #tickServer = (server: UpstreamServer): void => server.tick(this.#now);

  readonly #expire = (exchange: Exchange): void => {
    // A person may be thinking: while the client is asked, its own time limit holds.
    if (exchange.deadline === 0 || exchange.openRequests > 0 || this.#now < exchange.deadline) return;
    const { upstream } = exchange;
    if (upstream instanceof BaseEndpoint) upstream.expire(exchange);
  };
}
