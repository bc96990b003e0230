import type { ServerSnapshot } from '../config/snapshot.js';
import type { ErrorCode } from '../errors.js';
import { Era } from '../protocol/revisions.js';
import type { Exchange } from '../request/exchange.js';
import type { Milliseconds } from '../units.js';
import { BackOff } from './back-off.js';
import {
  type Balancer,
  ConsecutiveFailureBreaker,
  type HealthBoard,
  LocalHealthBoard,
  WeightedRoundRobin,
} from './balance.js';
import { ControlError } from './control.js';
import { createEndpoint } from './create-endpoint.js';
import { discover, sameDiscovery } from './discovery.js';
import type { BaseEndpoint, EndpointContext, EndpointOwner } from './endpoint.js';
import {
  type Discovery,
  type Endpoint,
  type LaneClient,
  SHARED,
  type UpstreamEvents,
  type WatchKind,
} from './types.js';

/** Changes that come in a burst are read once. */
const COALESCE_MS: Milliseconds = 50;
/** Shortest time for one list request, for servers with a small connect timeout. */
const LIST_MS: Milliseconds = 10_000;

/** One server of the configuration: a namespace with its endpoints. */
export class UpstreamServer implements EndpointOwner {
  readonly index: number;
  readonly config: ServerSnapshot;
  readonly name: string;
  readonly requestTimeoutMs: Milliseconds;
  readonly endpoints: BaseEndpoint[];
  readonly endpointCount: number;
  readonly health: HealthBoard;
  /** What was discovered last. */
  discovery: Discovery | null = null;

  readonly #context: EndpointContext;
  readonly #events: UpstreamEvents;
  readonly #balancer: Balancer;
  readonly #backOff = new BackOff(500);
  #timer: NodeJS.Timeout | null = null;
  #logLevel: string | null = null;
  #reading = false;
  #again = false;
  #stopped = false;

  constructor(context: EndpointContext, events: UpstreamEvents, index: number, config: ServerSnapshot) {
    this.#context = context;
    this.#events = events;
    this.index = index;
    this.config = config;
    this.name = config.name;
    this.requestTimeoutMs = config.requestTimeoutMs;
    this.health = new LocalHealthBoard(config.endpoints.length);
    this.endpoints = config.endpoints.map((endpoint, position) => {
      const at = { server: index, index: position };
      const breaker = new ConsecutiveFailureBreaker();
      return createEndpoint(context, this, at, endpoint, breaker, SHARED);
    });
    this.endpointCount = this.endpoints.length;
    this.#balancer = new WeightedRoundRobin(this.endpoints);
  }

  start(): void {
    for (const endpoint of this.endpoints) endpoint.start();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    await Promise.all(this.endpoints.map((endpoint) => endpoint.stop()));
  }

  /** A ready endpoint that `exchange.tried` does not name and whose breaker lets a call through, or null. */
  choose(exchange: Exchange): Endpoint | null {
    const { endpoints } = this;
    let usable = 0;
    let now = -1;
    for (let index = 0; index < endpoints.length; index += 1) {
      const endpoint = endpoints[index]!;
      if (endpoint.state !== 'ready' || (exchange.tried & (1 << index)) !== 0) continue;
      if (endpoint.breaker.tripped) {
        if (now < 0) now = performance.now();
        if (!endpoint.breaker.allows(now)) continue;
      }
      usable |= 1 << index;
    }
    if (usable === 0) return null;
    const chosen = endpoints[this.#balancer.choose(usable)]!;
    if (chosen.breaker.tripped) chosen.breaker.taken(now);
    return chosen;
  }

  /** Why {@link choose} finds none at the moment. */
  unavailable(): ErrorCode {
    for (const endpoint of this.endpoints)
      if (endpoint.state === 'ready' && endpoint.breaker.tripped) return 'GW_CIRCUIT_OPEN';
    return 'GW_UPSTREAM_DOWN';
  }

  /** Time until a paused endpoint may be tried again, ms; 0 = unknown or now. */
  retryAfterMs(): Milliseconds {
    const now = performance.now();
    const pauses = this.endpoints
      .filter((endpoint) => endpoint.state === 'ready' && endpoint.breaker.tripped)
      .map((endpoint) => endpoint.breaker.retryAfter(now));
    return pauses.length === 0 ? 0 : Math.min(...pauses);
  }

  isLast(endpoint: BaseEndpoint): boolean {
    const now = performance.now();
    return !this.endpoints.some((other) => other !== endpoint && other.state === 'ready' && other.breaker.allows(now));
  }

  /** See {@link EndpointOwner.unsuited}. What is known of the upstream's health goes over to the other endpoint. */
  unsuited(endpoint: BaseEndpoint): void {
    const { index, breaker, profile } = endpoint;
    if (this.#stopped || this.endpoints[index] !== endpoint) return;
    const config = this.config.endpoints[index]!;
    const other = createEndpoint(this.#context, this, { server: this.index, index }, config, breaker, profile);
    this.endpoints[index] = other;
    void endpoint.stop();
    other.start();
  }

  stateChanged(endpoint: BaseEndpoint): void {
    if (this.endpoints[endpoint.index] !== endpoint) return;
    this.#events.stateChanged(this.index, endpoint.index, endpoint.state, endpoint.reason);
  }

  greeted(endpoint: BaseEndpoint): void {
    if (this.#logLevel !== null) this.#sendLogLevel(endpoint, this.#logLevel);
    this.#schedule(0);
  }

  /**
   * Asks legacy endpoints for log messages from `level` on, now and after each new handshake; who gets which of them
   * is filtered per call. Modern endpoints are told in each request.
   */
  setLogLevel(level: string): void {
    this.#logLevel = level;
    for (const endpoint of this.endpoints) if (endpoint.state === 'ready') this.#sendLogLevel(endpoint, level);
  }

  #sendLogLevel(endpoint: BaseEndpoint, level: string): void {
    if (endpoint.era !== Era.legacy || endpoint.handshake?.capabilities['logging'] === undefined) return;
    endpoint.request('logging/setLevel', { level }, { timeoutMs: LIST_MS }).catch((error: unknown) => {
      const reason = error instanceof ControlError ? error.message : String(error);
      this.#context.log.warn({ server: this.name, reason }, 'the log level of the upstream cannot be set');
    });
  }

  /**
   * Follows a resource or task of this server for a client; counted, so each `watch` that was fulfilled wants one
   * `unwatch` with the same arguments. Updates come through {@link UpstreamEvents}.
   *
   * @param client whose lane it is, where the server is isolated; null = nobody's, everybody's
   * @throws ControlError when the upstream refuses or offers no subscriptions (`rpc`, -32601): then nothing is followed
   */
  watch(_kind: WatchKind, _id: string, _client: LaneClient | null): Promise<void> {
    return Promise.reject(new ControlError('rpc', 'the upstream offers no subscriptions', -32_601));
  }

  /** Takes one {@link watch} back; the upstream is told when nobody follows any more. */
  unwatch(_kind: WatchKind, _id: string, _client: LaneClient | null): void {}

  listChanged(): void {
    this.#schedule(COALESCE_MS);
  }

  resourceUpdated(endpoint: BaseEndpoint, uri: string, bytes: Uint8Array, length: number): void {
    this.#events.resourceUpdated(this.index, uri, bytes, length, endpoint.profile.owner);
  }

  taskChanged(_endpoint: BaseEndpoint, taskId: string, bytes: Uint8Array, length: number): void {
    this.#events.taskChanged(this.index, taskId, bytes, length);
  }

  tick(now: Milliseconds): void {
    for (const endpoint of this.endpoints) endpoint.tick(now);
  }

  /** For /stats. Holds no secrets. */
  snapshotState(): Record<string, unknown> {
    return {
      name: this.name,
      tools: this.discovery?.tools.length ?? 0,
      prompts: this.discovery?.prompts.length ?? 0,
      resources: this.discovery?.resources.length ?? 0,
      templates: this.discovery?.templates.length ?? 0,
      endpoints: this.endpoints.map((endpoint) => ({
        transport: endpoint.transport,
        state: endpoint.state,
        reason: endpoint.reason,
        era: endpoint.era === 1 ? 'modern' : 'legacy',
        revision: endpoint.revision,
        weight: endpoint.weight,
        inFlight: endpoint.inFlight,
        breaker: endpoint.breaker.state,
        consecutiveFailures: this.health.consecutiveFailures(endpoint.index),
        ...endpoint.stats,
        ...endpoint.details(),
      })),
    };
  }

  /** Lists are read once at a time; what changes meanwhile is read once more. */
  #schedule(delayMs: Milliseconds): void {
    if (this.#stopped) return;
    if (this.#reading) {
      this.#again = true;
      return;
    }
    if (this.#timer !== null) {
      if (delayMs > 0) return;
      clearTimeout(this.#timer);
    }
    this.#timer = setTimeout(() => {
      this.#timer = null;
      void this.#read();
    }, delayMs);
  }

  async #read(): Promise<void> {
    const endpoint = this.endpoints.find((candidate) => candidate.state === 'ready');
    if (endpoint === undefined || endpoint.handshake === null) return;
    this.#reading = true;
    const { log, limits } = this.#context;
    try {
      const found = await discover(
        { server: this.index, handshake: endpoint.handshake, transport: endpoint.transport, channel: endpoint },
        limits,
        Math.max(this.config.connectTimeoutMs, LIST_MS),
        {
          truncated: (method) =>
            log.warn({ server: this.name, method }, 'upstream list is longer than the limits allow'),
          dropped: (tool, why) => log.warn({ server: this.name, tool, why }, 'upstream tool is not offered'),
        },
      );
      this.#backOff.reset();
      if (!this.#stopped && (this.discovery === null || !sameDiscovery(this.discovery, found))) {
        this.discovery = found;
        this.#events.discovered(found);
      }
    } catch (error) {
      if (!this.#stopped) {
        const reason = error instanceof ControlError ? error.message : String(error);
        log.warn({ server: this.name, reason }, 'lists of the upstream cannot be read');
        this.#retry();
      }
    } finally {
      this.#reading = false;
      if (this.#again) {
        this.#again = false;
        this.#schedule(COALESCE_MS);
      }
    }
  }

  #retry(): void {
    if (this.#timer !== null) return;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      void this.#read();
    }, this.#backOff.next());
  }
}
