/**
 * Servers after a reload of the configuration. One whose endpoints are the same goes on as it runs; one that is new is
 * started; one whose endpoints changed serves until its successor can; one that is gone finishes its calls in flight.
 * Numbers of servers stay (src/config/numbering.ts).
 */
import { isVacant, sameUpstream, VACANT } from '../config/numbering.js';
import type { ServerSnapshot, Snapshot } from '../config/snapshot.js';
import type { Milliseconds } from '../units.js';
import type { EndpointContext } from './core/endpoint.js';
import type { UpstreamEvents } from './core/types.js';
import { UpstreamServer } from './server.js';

const POLL_MS: Milliseconds = 10;

interface Successor {
  readonly server: UpstreamServer;
  /** `performance.now()` when it takes over although it is not ready. */
  readonly until: Milliseconds;
}

/** See the file comment. One per pool. */
export class Replacements {
  /** By number. */
  readonly servers: UpstreamServer[];
  readonly #context: EndpointContext;
  readonly #events: UpstreamEvents;
  readonly #successors = new Map<number, Successor>();
  readonly #leaving = new Set<UpstreamServer>();
  /** Puts a server that was made here into the state that the pool wants all servers in. */
  readonly #prepare: (server: UpstreamServer) => void;
  #closing = false;

  constructor(
    context: EndpointContext,
    events: UpstreamEvents,
    servers: readonly ServerSnapshot[],
    prepare: (server: UpstreamServer) => void,
  ) {
    this.#context = context;
    this.#events = events;
    this.#prepare = prepare;
    this.servers = [];
    servers.forEach((config, number) => {
      this.servers.push(this.#make(number, config));
    });
  }

  /** Whether a server that changed is still waiting to take over. */
  get changing(): boolean {
    return this.#successors.size > 0;
  }

  /** Servers that serve, that are about to, and that finish what they have. */
  forEach(visit: (server: UpstreamServer) => void): void {
    for (const server of this.servers) visit(server);
    for (const { server } of this.#successors.values()) visit(server);
    for (const server of this.#leaving) visit(server);
  }

  /**
   * Follows a snapshot. Servers that are gone from it serve on until {@link retire}: names that lead to them may be in
   * force a little longer than the snapshot before.
   */
  replace(snapshot: Snapshot): void {
    snapshot.servers.forEach((config, number) => {
      const server = this.servers[number];
      if (isVacant(config)) {
        this.#dismiss(number);
        if (server === undefined) this.servers[number] = this.#make(number, config);
      } else if (server === undefined || isVacant(server)) {
        this.#dismiss(number);
        this.servers[number] = this.#start(number, config);
      } else if (server.name !== config.name) {
        this.#dismiss(number);
        this.servers[number] = this.#start(number, config);
        this.#leave(server);
        this.#events.replaced?.(number);
      } else if (sameUpstream(server.config, config)) {
        this.#dismiss(number);
        server.reconfigure(config);
      } else {
        this.#succeed(number, config);
      }
    });
  }

  /** Takes the servers that a snapshot no longer has out of service. */
  retire(snapshot: Snapshot): void {
    this.servers.forEach((server, number) => {
      if (isVacant(server) || !isVacant(snapshot.servers[number] ?? VACANT)) return;
      this.servers[number] = this.#make(number, VACANT);
      this.#leave(server);
      this.#events.replaced?.(number);
    });
  }

  /** Lets those take over that can. */
  tick(now: Milliseconds): void {
    for (const [number, { server, until }] of this.#successors) {
      if (now >= until || server.endpoints.some(({ state }) => state === 'ready')) this.#promote(number, server);
    }
  }

  /** Ends every server. */
  async stop(): Promise<void> {
    this.#closing = true;
    const all: Promise<void>[] = [];
    this.forEach((server) => {
      all.push(server.stop());
    });
    await Promise.all(all);
  }

  #succeed(number: number, config: ServerSnapshot): void {
    const waiting = this.#successors.get(number);
    if (waiting !== undefined && sameUpstream(waiting.server.config, config)) {
      waiting.server.reconfigure(config);
      return;
    }
    this.#dismiss(number);
    const server = this.#start(number, config);
    this.#successors.set(number, { server, until: performance.now() + config.connectTimeoutMs });
  }

  #promote(number: number, server: UpstreamServer): void {
    const before = this.servers[number]!;
    this.#successors.delete(number);
    this.servers[number] = server;
    this.#leave(before);
    this.#events.replaced?.(number);
  }

  /** Another reload came before the successor served. */
  #dismiss(number: number): void {
    const waiting = this.#successors.get(number);
    if (waiting === undefined) return;
    this.#successors.delete(number);
    this.#leave(waiting.server);
  }

  #leave(server: UpstreamServer): void {
    this.#leaving.add(server);
    void this.#end(server);
  }

  async #end(server: UpstreamServer): Promise<void> {
    const deadline = performance.now() + this.#context.limits.drainMs;
    while (server.inFlight > 0 && performance.now() < deadline && !this.#closing) {
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
    await server.stop();
    this.#leaving.delete(server);
  }

  #start(number: number, config: ServerSnapshot): UpstreamServer {
    const server = this.#make(number, config);
    this.#prepare(server);
    server.start();
    return server;
  }

  #make(number: number, config: ServerSnapshot): UpstreamServer {
    // What a server says while it leaves would be taken for what its successor says.
    const serves = (): boolean => this.servers[number] === server || this.#successors.get(number)?.server === server;
    const events: UpstreamEvents = {
      discovered: (discovery) => {
        if (!serves()) return;
        // Names come into force with the server that has them.
        if (this.servers[number] !== server) this.#promote(number, server);
        this.#events.discovered(discovery);
      },
      stateChanged: (...change) => {
        if (serves()) this.#events.stateChanged(...change);
      },
      resourceUpdated: (...update) => {
        if (serves()) this.#events.resourceUpdated(...update);
      },
      taskChanged: (...change) => {
        if (serves()) this.#events.taskChanged(...change);
      },
    };
    const server = new UpstreamServer(this.#context, events, number, config);
    return server;
  }
}
