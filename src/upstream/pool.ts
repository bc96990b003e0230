import type { Decoder } from '../../native/layout.js';
import { CurrentScrubber } from '../config/scrubber.js';
import type { Current } from '../config/snapshot/current.js';
import type { Snapshot } from '../config/snapshot/index.js';
import { LEVELS, NO_LEVEL } from '../protocol/levels.js';
import type { Exchange } from '../request/exchange/index.js';
import type { ExchangeTable } from '../request/exchange/table.js';
import type { Count, Milliseconds } from '../units.js';
import { type Background, inlineBackground } from './core/background.js';
import type { CredentialSource } from './core/credentials.js';
import { DeferredFailures } from './core/deferred-failures.js';
import { BaseEndpoint, type EndpointContext, type UpstreamLog } from './core/endpoint.js';
import { ReadTurns } from './core/limits/read-turns.js';
import type { UpstreamEvents, UpstreamSink } from './core/types.js';
import { UpstreamCredentials } from './credentials/index.js';
import { withoutLink } from './credentials/login-credential.js';
import { Replacements } from './replacement.js';
import type { UpstreamServer } from './server.js';

/** What a pool works with. */
export interface UpstreamPoolParts {
  readonly config: Current<Snapshot>;
  readonly table: ExchangeTable;
  readonly decoder: Decoder;
  readonly sink: UpstreamSink;
  readonly events: UpstreamEvents;
  readonly log: UpstreamLog;
  /** Makes the credentials of endpoints; default: those of the configured headers only. */
  readonly credentials?: CredentialSource;
  /** Scans large responses and list pages in another thread; default: in this one. */
  readonly background?: Background;
  /** Time between the steps by which a stdio child is stopped (end of input, TERM, KILL), ms; default 2,000. */
  readonly stopGraceMs?: Milliseconds;
}

/** `info`. */
const DEFAULT_LEVEL = 1;

/** Time between two checks of all deadlines: a call ends at most this much late. */
const SWEEP_MS: Milliseconds = 50;

/**
 * The upstream pool: all servers of a snapshot with their endpoints, and the deadlines of all calls. One for each gateway,
 * which owns it.
 */
export class UpstreamPool {
  /** Credentials that are not fixed. */
  readonly credentials: UpstreamCredentials;
  readonly #context: EndpointContext;
  readonly #replacements: Replacements;
  readonly #table: ExchangeTable;
  #sweep: NodeJS.Timeout | undefined;
  #logLevel: number = NO_LEVEL;
  #now: Milliseconds = 0;
  #closing: Promise<void> | null = null;

  constructor(parts: UpstreamPoolParts) {
    const { config, table, decoder, sink, events, log } = parts;
    const { routes, servers } = config.current;
    this.#table = table;
    this.credentials = new UpstreamCredentials(log, config, (server, ticket) => {
      this.#retry(server);
      events.loggedIn(ticket);
    });
    const secrets = new CurrentScrubber(config);
    this.#context = {
      table,
      decoder,
      sink,
      log,
      config,
      deferred: new DeferredFailures(),
      credentials: this.credentials,
      turns: new ReadTurns(config),
      background: parts.background ?? inlineBackground(decoder),
      stopGraceMs: parts.stopGraceMs ?? 2_000,
      secrets: { scrub: (text) => withoutLink(secrets.scrub(text)) },
      routeTimeouts: routes.map((route) => route.requestTimeoutMs),
      logLevel: null,
    };
    this.#replacements = new Replacements(this.#context, events, servers);
  }

  /** By number; a server without endpoints stands where the configuration has none any more (tombstone). */
  get servers(): readonly UpstreamServer[] {
    return this.#replacements.servers;
  }

  /** Whether a server whose endpoints a reload changed has not been replaced yet. */
  get changing(): boolean {
    return this.#replacements.isPending;
  }

  /** Whether the first discovery of a server, or of its replacement, has not failed. */
  mayBeListed(server: number): boolean {
    return this.#replacements.mayBeListed(server);
  }

  /**
   * Applies another snapshot with the same numbers of servers (src/config/numbering.ts): unchanged servers go on, new ones
   * start, changed ones are replaced when their replacement is ready. Removed ones serve until {@link retire}.
   */
  replace(snapshot: Snapshot): void {
    this.#context.routeTimeouts = snapshot.routes.map((route) => route.requestTimeoutMs);
    this.credentials.retain(snapshot.servers);
    this.#replacements.replace(snapshot);
  }

  /** Lets servers that the snapshot does not have finish their calls, up to `limits.drainMs`, and stops them. */
  retire(snapshot: Snapshot): void {
    this.#replacements.retire(snapshot);
  }

  /** Starts every endpoint and returns at once; the outcome is reported through `UpstreamEvents`. */
  start(): void {
    if (this.#sweep !== undefined || this.#closing !== null) return;
    for (const server of this.servers) server.start();
    this.#sweep = setInterval(() => this.#tick(), SWEEP_MS);
    this.#sweep.unref();
  }

  /**
   * Sets the log level of legacy servers to `level` (0 debug ... 7 emergency) if it is more verbose than the current one,
   * and at least to `info`: other clients may expect log messages without having set a level. Which client gets which
   * message is decided for each call.
   */
  wantLogLevel(level: number): void {
    if (level >= this.#logLevel) return;
    this.#logLevel = Math.min(level, DEFAULT_LEVEL);
    this.#context.logLevel = LEVELS[this.#logLevel] ?? null;
    this.#replacements.forEach((server) => {
      server.logLevelChanged();
    });
  }

  /** A legacy session has ended: its dedicated endpoints take no more calls and are stopped. */
  sessionEnded(sessionId: string): void {
    this.#replacements.forEach((server) => {
      server.sessionEnded(sessionId);
    });
  }

  /** The roots of a legacy session's client have changed: notifies its dedicated endpoints. */
  rootsChanged(sessionId: string): void {
    this.#replacements.forEach((server) => {
      server.rootsChanged(sessionId);
    });
  }

  /** Calls in flight at all servers. */
  get inFlight(): Count {
    let count = 0;
    this.#replacements.forEach((server) => {
      count += server.inFlight;
    });
    return count;
  }

  /**
   * Ends the pool: waits for calls in flight, then closes connections and stops children. The remaining calls fail.
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
    await this.#replacements.stop();
    this.credentials.close();
    clearInterval(this.#sweep);
  }

  /** A user has logged in at a server: endpoints that failed for want of that connect at once, and calls wait for them. */
  #retry(name: string): void {
    for (const endpoint of this.servers.flatMap((server) => (server.name === name ? server.endpoints : []))) {
      endpoint.failedTries = 0;
      endpoint.retry();
    }
  }

  #tick(): void {
    this.#now = performance.now();
    this.#replacements.forEach(this.#tickServer);
    this.#replacements.tick(this.#now);
    if (this.inFlight > 0) this.#table.forEach(this.#expire);
  }

  readonly #tickServer = (server: UpstreamServer): void => server.tick(this.#now);

  readonly #expire = (exchange: Exchange): void => {
    // While the client answers a request of the server, which may take a person's time, that request's limit applies.
    if (exchange.call.deadline === 0 || exchange.call.openRequests > 0 || this.#now < exchange.call.deadline) return;
    const { upstream } = exchange.call;
    if (upstream instanceof BaseEndpoint) upstream.expire(exchange);
  };
}
