/**
 * The servers of a pool over reloads of the configuration. A server with the same endpoints goes on; a new one is started; one
 * whose endpoints changed serves until its replacement is ready (make before break); a removed one finishes its calls in
 * flight. Numbers of servers do not change (src/config/numbering.ts): a tombstone keeps the number of a removed server.
 */
import { isTombstone, sameUpstream, TOMBSTONE } from '../config/numbering.js';
import type { ServerSnapshot, Snapshot } from '../config/snapshot/index.js';
import type { Milliseconds } from '../units.js';
import type { EndpointContext } from './core/endpoint.js';
import type { ConnectionOwner, Discovery, ListChanges, UpstreamEvents } from './core/types.js';
import { type ServerObserver, UpstreamServer } from './server.js';

const POLL_MS: Milliseconds = 10;

interface Replacement {
  readonly server: UpstreamServer;
  /** `performance.now()` when it takes over although it is not ready. */
  readonly until: Milliseconds;
}

/** See the file comment. Owned by the pool; the servers report to it. */
export class Replacements implements ServerObserver {
  /** By number. */
  readonly servers: UpstreamServer[];
  readonly #context: EndpointContext;
  readonly #events: UpstreamEvents;
  readonly #pending = new Map<number, Replacement>();
  readonly #draining = new Set<UpstreamServer>();
  #closing = false;

  constructor(context: EndpointContext, events: UpstreamEvents, servers: readonly ServerSnapshot[]) {
    this.#context = context;
    this.#events = events;
    this.servers = servers.map((config, number) => this.#create(number, config));
  }

  /** Whether a replacement has not taken over yet. */
  get isPending(): boolean {
    return this.#pending.size > 0;
  }

  /** See `UpstreamPool.mayBeListed`. */
  mayBeListed(number: number): boolean {
    return this.servers[number]?.mayBeListed === true || this.#pending.get(number)?.server.mayBeListed === true;
  }

  /** Servers that serve, replacements, and servers that finish their calls. */
  forEach(visit: (server: UpstreamServer) => void): void {
    for (const server of this.servers) visit(server);
    for (const { server } of this.#pending.values()) visit(server);
    for (const server of this.#draining) visit(server);
  }

  /** Applies a snapshot. Servers that it does not have serve until {@link retire}: names may lead to them until then. */
  replace(snapshot: Snapshot): void {
    snapshot.servers.forEach((config, number) => {
      const server = this.servers[number];
      if (isTombstone(config)) {
        this.#cancel(number);
        if (server === undefined) this.servers[number] = this.#create(number, config);
      } else if (server === undefined || isTombstone(server)) {
        this.#cancel(number);
        this.servers[number] = this.#start(number, config);
      } else if (server.name !== config.name) {
        this.#cancel(number);
        this.servers[number] = this.#start(number, config);
        this.#drain(server);
        this.#events.replaced(number);
      } else if (sameUpstream(server.config, config)) {
        this.#cancel(number);
        server.reconfigure(config);
        // What has been mended meanwhile need not be in the configuration.
        server.retry();
      } else {
        this.#prepare(number, config);
      }
    });
  }

  /** Takes the servers that a snapshot does not have out of service. */
  retire(snapshot: Snapshot): void {
    this.servers.forEach((server, number) => {
      if (isTombstone(server) || !isTombstone(snapshot.servers[number] ?? TOMBSTONE)) return;
      this.servers[number] = this.#create(number, TOMBSTONE);
      this.#drain(server);
      this.#events.replaced(number);
    });
  }

  /** Lets replacements take over that are ready, or have had their time. */
  tick(now: Milliseconds): void {
    for (const [number, { server, until }] of this.#pending) {
      if (now >= until || server.readyEndpoint() !== null) this.#takeOver(number, server);
    }
  }

  /** Stops every server. */
  async stop(): Promise<void> {
    this.#closing = true;
    const stopped: Promise<void>[] = [];
    this.forEach((server) => {
      stopped.push(server.stop());
    });
    await Promise.all(stopped);
  }

  discovered(server: UpstreamServer, discovery: Discovery): void {
    if (!this.#isCurrent(server)) return;
    // The names of a replacement come into force together with it.
    if (this.servers[server.index] !== server) this.#takeOver(server.index, server);
    this.#events.discovered(discovery);
  }

  resourceUpdated(
    server: UpstreamServer,
    uri: string,
    bytes: Uint8Array,
    length: number,
    owner: ConnectionOwner | null,
  ): void {
    if (this.#isCurrent(server)) this.#events.resourceUpdated(server.index, uri, bytes, length, owner);
  }

  ownListsChanged(server: UpstreamServer, owner: ConnectionOwner | null, changes: ListChanges): void {
    if (this.#isCurrent(server)) this.#events.ownListsChanged(owner, changes);
  }

  stateChanged(server: UpstreamServer): void {
    if (this.#isCurrent(server)) this.#events.stateChanged(server.index);
  }

  taskChanged(server: UpstreamServer, taskId: string, bytes: Uint8Array, length: number): void {
    if (this.#isCurrent(server)) this.#events.taskChanged(server.index, taskId, bytes, length);
  }

  /** Reports of a server that is being drained would be attributed to the one that has its number now. */
  #isCurrent(server: UpstreamServer): boolean {
    return this.servers[server.index] === server || this.#pending.get(server.index)?.server === server;
  }

  #prepare(number: number, config: ServerSnapshot): void {
    const pending = this.#pending.get(number);
    if (pending !== undefined && sameUpstream(pending.server.config, config)) {
      pending.server.reconfigure(config);
      return;
    }
    this.#cancel(number);
    const server = this.#start(number, config);
    this.#pending.set(number, { server, until: performance.now() + config.connectTimeoutMs });
  }

  #takeOver(number: number, server: UpstreamServer): void {
    const before = this.servers[number];
    this.#pending.delete(number);
    this.servers[number] = server;
    if (before !== undefined) this.#drain(before);
    this.#events.replaced(number);
  }

  /** Another reload came before the replacement took over. */
  #cancel(number: number): void {
    const pending = this.#pending.get(number);
    if (pending === undefined) return;
    this.#pending.delete(number);
    this.#drain(pending.server);
  }

  #drain(server: UpstreamServer): void {
    this.#draining.add(server);
    void this.#stopWhenIdle(server);
  }

  async #stopWhenIdle(server: UpstreamServer): Promise<void> {
    const deadline = performance.now() + this.#context.config.current.limits.drainMs;
    while (server.inFlight > 0 && performance.now() < deadline && !this.#closing) {
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
    await server.stop();
    this.#draining.delete(server);
  }

  #start(number: number, config: ServerSnapshot): UpstreamServer {
    const server = this.#create(number, config);
    server.start();
    return server;
  }

  #create(number: number, config: ServerSnapshot): UpstreamServer {
    return new UpstreamServer(this.#context, this, number, config);
  }
}
