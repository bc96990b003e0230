import type { ServerSnapshot } from '../config/snapshot.js';
import type { ErrorCode } from '../errors.js';
import { Era } from '../protocol/revisions.js';
import type { Exchange } from '../request/exchange/index.js';
import { IndexSet } from '../shared/index-set.js';
import { NO_ITEMS, packedCount } from '../shared/packed.js';
import type { Count, Milliseconds } from '../units.js';
import { type Balancer, WeightedRoundRobin } from './balance/balancer.js';
import { type Breaker, ConsecutiveFailureBreaker } from './balance/breaker.js';
import { type HealthBoard, LocalHealthBoard } from './balance/health.js';
import { ControlError } from './core/control.js';
import type { BaseEndpoint, EndpointContext, EndpointOwner, EndpointStats } from './core/endpoint.js';
import {
  type ClientIdentity,
  type ConnectionProfile,
  DISCOVERY_PROFILE,
  type Discovery,
  type Endpoint,
  SHARED_PROFILE,
  type UpstreamEvents,
  type WatchKind,
} from './core/types.js';
import { createEndpoint } from './create-endpoint.js';
import { COALESCE_MS, ListReader } from './discovery/lists.js';
import { DedicatedEndpoints, type DedicatedHost } from './isolation/dedicated.js';
import { announces } from './subscriptions/follower.js';
import { Watches } from './subscriptions/watches.js';

/** Time for setting the log level of an upstream. */
const LEVEL_MS: Milliseconds = 10_000;
const NONE_TRIED = new IndexSet();

/** See {@link UpstreamServer.totals}. */
export interface EndpointTotals {
  readonly inFlight: Count;
  readonly lanes: Count;
  readonly stats: EndpointStats;
  /** It sends more than `limits.maxNotificationsPerSecond` allows. */
  readonly overLimit: boolean;
}

/** One server of the configuration: a namespace with its endpoints. */
export class UpstreamServer implements EndpointOwner, DedicatedHost {
  readonly index: number;
  config: ServerSnapshot;
  readonly name: string;
  requestTimeoutMs: Milliseconds;
  readonly endpoints: BaseEndpoint[];
  readonly endpointCount: number;
  readonly health: HealthBoard;
  /**
   * Whether the choice of a lane depends on `exchange.capabilities`. False wherever no lane can be involved: then a call
   * costs nothing more.
   */
  needsCapabilities = false;

  readonly #context: EndpointContext;
  readonly #events: UpstreamEvents;
  readonly #balancer: Balancer;
  /** Used within one choice. */
  readonly #usable: Int32Array;
  readonly #excluded = new IndexSet();
  readonly #lists: ListReader;
  /** The lanes of each endpoint. */
  readonly #dedicated: readonly DedicatedEndpoints[];
  /** What is followed for everybody, and changes of the lists. */
  readonly #watches: Watches;
  /** Why {@link choose} has just found no lane, or null. */
  #refusal: ErrorCode | null = null;
  #logLevel: string | null = null;
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
      const profile = config.isolation === 'shared' ? SHARED_PROFILE : DISCOVERY_PROFILE;
      return createEndpoint(context, this, at, endpoint, breaker, profile);
    });
    this.endpointCount = this.endpoints.length;
    this.#usable = new Int32Array(this.endpointCount);
    this.#balancer = new WeightedRoundRobin(this.endpoints);
    this.#dedicated = config.endpoints.map(
      (_, position) => new DedicatedEndpoints(this, () => this.endpoints[position]!),
    );
    this.#watches = new Watches(
      config.endpoints.map((_, position) => () => this.endpoints[position]!),
      true,
    );
    this.#lists = new ListReader({
      server: index,
      config,
      limits: context.limits,
      log: context.log,
      background: context.background,
      endpoint: () => this.endpoints.find(({ state }) => state === 'ready') ?? null,
      found: (discovery) => events.discovered(discovery),
    });
  }

  /** What was discovered last. */
  get discovery(): Discovery | null {
    return this.#lists.discovery;
  }

  /** Calls in flight on all endpoints and lanes. */
  get inFlight(): number {
    let count = 0;
    for (const endpoint of this.endpoints) count += endpoint.inFlight;
    for (const lanes of this.#dedicated) count += lanes.inFlight;
    return count;
  }

  /** Follows a configuration with the same endpoints: what differs are rules about names and calls. */
  reconfigure(config: ServerSnapshot): void {
    this.config = config;
    this.requestTimeoutMs = config.requestTimeoutMs;
  }

  start(): void {
    for (const endpoint of this.endpoints) endpoint.start();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#lists.stop();
    this.#watches.close();
    await Promise.all([...this.endpoints, ...this.#dedicated].map((part) => part.stop()));
  }

  /**
   * A ready endpoint that `exchange.tried` does not name and whose breaker lets a call through, or null. Where
   * {@link needsCapabilities} is set it is a lane of the exchange's client, if need be one that is only being started.
   */
  choose(exchange: Exchange): Endpoint | null {
    // Who cannot be asked needs no lane where they are not for state.
    if (!this.needsCapabilities || (exchange.capabilities <= 0 && this.config.isolation === 'shared')) {
      this.#refusal = null;
      return this.#choose(exchange.tried);
    }
    return this.#chooseDedicated(exchange);
  }

  #choose(tried: IndexSet): BaseEndpoint | null {
    const { endpoints } = this;
    const usable = this.#usable;
    let count = 0;
    let chosen: BaseEndpoint | undefined;
    let now = -1;
    for (let index = 0; index < endpoints.length; index += 1) {
      const endpoint = endpoints[index];
      if (endpoint === undefined || endpoint.state !== 'ready' || tried.has(index)) continue;
      if (endpoint.breaker.tripped) {
        if (now < 0) now = performance.now();
        if (!endpoint.breaker.allows(now)) continue;
      }
      usable[count] = index;
      count += 1;
      chosen = endpoint;
    }
    if (count > 1) chosen = endpoints[this.#balancer.choose(usable, count)];
    if (chosen === undefined) return null;
    if (chosen.breaker.tripped) chosen.breaker.trialStarted(now);
    return chosen;
  }

  #chooseDedicated(exchange: Exchange): BaseEndpoint | null {
    this.#refusal = null;
    // A client stays with the endpoint that has its lane, and with it what the server remembers.
    for (let index = 0; index < this.#dedicated.length; index += 1) {
      if (exchange.tried.has(index)) continue;
      const lane = this.#dedicated[index]!.find(exchange);
      if (lane !== null) return lane;
    }
    const tried = this.#excluded;
    tried.assign(exchange.tried);
    while (true) {
      const base = this.#choose(tried);
      if (base === null) return null;
      const lanes = this.#dedicated[base.index]!;
      const chosen = lanes.isNeeded ? lanes.acquire(exchange) : base;
      if (chosen !== null) return chosen;
      this.#refusal = lanes.refusal;
      tried.add(base.index);
    }
  }

  /** Why {@link choose} finds none at the moment. */
  unavailable(): ErrorCode {
    if (this.#refusal !== null) return this.#refusal;
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

  /** See {@link EndpointOwner.wrongTransport}. What is known of the upstream's health goes over to the other endpoint. */
  wrongTransport(endpoint: BaseEndpoint): void {
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
    if (endpoint.state !== 'ready') this.#watches.endpointUnavailable();
    this.#events.stateChanged(this.index, endpoint.index, endpoint.state, endpoint.reason);
  }

  initialized(endpoint: BaseEndpoint): void {
    this.needsCapabilities = this.#dedicated.some((lanes) => lanes.isNeeded);
    if (this.#logLevel !== null) this.#sendLogLevel(endpoint, this.#logLevel);
    this.#watches.initialized(endpoint);
    this.#lists.schedule(0);
  }

  create(base: BaseEndpoint, owner: EndpointOwner, breaker: Breaker, profile: ConnectionProfile): BaseEndpoint {
    const { index, transport } = base;
    const config = this.config.endpoints[index]!;
    const settled =
      config.transport === 'stdio' || transport === 'stdio' ? config : { ...config, transport, detect: false };
    return createEndpoint(this.#context, owner, { server: this.index, index }, settled, breaker, profile);
  }

  dedicatedInitialized(endpoint: BaseEndpoint): void {
    if (this.#logLevel !== null) this.#sendLogLevel(endpoint, this.#logLevel);
  }

  /** A legacy session is over: its lanes take no more calls and are stopped. */
  sessionEnded(sessionId: string): void {
    for (const lanes of this.#dedicated) lanes.sessionEnded(sessionId);
  }

  /** The client of a legacy session says that its roots changed. */
  rootsChanged(sessionId: string): void {
    for (const lanes of this.#dedicated) lanes.rootsChanged(sessionId);
  }

  /**
   * Asks legacy endpoints for log messages from `level` on, now and after each new handshake; who gets which of them
   * is filtered per call. Modern endpoints are told in each request.
   */
  setLogLevel(level: string): void {
    this.#logLevel = level;
    const send = (endpoint: BaseEndpoint): void => {
      if (endpoint.state === 'ready') this.#sendLogLevel(endpoint, level);
    };
    this.endpoints.forEach(send);
    for (const lanes of this.#dedicated) lanes.forEach(send);
  }

  #sendLogLevel(endpoint: BaseEndpoint, level: string): void {
    if (endpoint.era !== Era.legacy || endpoint.handshake?.capabilities['logging'] === undefined) return;
    endpoint.request('logging/setLevel', { level }, { timeoutMs: LEVEL_MS }).catch((error: unknown) => {
      const reason = error instanceof ControlError ? error.message : String(error);
      this.#context.log.warn({ server: this.name, reason }, 'the log level of the upstream cannot be set');
    });
  }

  /** Whether {@link watch} may succeed; false = all endpoints are ready and announce no changes of this kind. */
  announces(kind: WatchKind): boolean {
    return this.endpoints.some((endpoint) => endpoint.state !== 'ready' || announces(endpoint, { kind }));
  }

  /**
   * Follows a resource or task of this server for a client; counted, so each `watch` that was fulfilled wants one
   * `unwatch` with the same arguments. Updates come through {@link UpstreamEvents}.
   *
   * @param client whose lane it is, where the server is isolated; null = nobody's, everybody's
   * @throws ControlError when the upstream refuses or offers no subscriptions (`rpc`, -32601): then nothing is followed
   */
  watch(kind: WatchKind, id: string, client: ClientIdentity | null): Promise<void> {
    const watches = this.#watchesOf(client, true);
    if (watches === null) return Promise.reject(new ControlError('closed', 'no lane of the upstream can be started'));
    return watches.add(kind, id);
  }

  /** Takes one {@link watch} back; the upstream is told when nobody follows any more. */
  unwatch(kind: WatchKind, id: string, client: ClientIdentity | null): void {
    this.#watchesOf(client, false)?.remove(kind, id);
  }

  /** A client's own lane where it has or needs one; without a lane null, or what everybody follows together. */
  #watchesOf(client: ClientIdentity | null, make: boolean): Watches | null {
    if (client === null || this.config.isolation === 'shared') return this.#watches;
    const involved = this.#dedicated.filter((lanes) => lanes.isNeeded);
    if (involved.length === 0) return this.#watches;
    for (const lanes of involved) {
      const known = lanes.watchesOf(client, false);
      if (known !== null) return known;
    }
    const base = make ? this.#choose(NONE_TRIED) : null;
    return base === null ? null : this.#dedicated[base.index]!.watchesOf(client, true);
  }

  listChanged(): void {
    this.#lists.schedule(COALESCE_MS);
  }

  resourceUpdated(endpoint: BaseEndpoint, uri: string, bytes: Uint8Array, length: number): void {
    this.#events.resourceUpdated(this.index, uri, bytes, length, endpoint.profile.owner);
  }

  taskChanged(_endpoint: BaseEndpoint, taskId: string, bytes: Uint8Array, length: number): void {
    this.#events.taskChanged(this.index, taskId, bytes, length);
  }

  follows(_endpoint: BaseEndpoint, kind: WatchKind, id: string): boolean {
    return this.#watches.has(kind, id);
  }

  tick(now: Milliseconds): void {
    for (const endpoint of this.endpoints) endpoint.tick(now);
    for (const lanes of this.#dedicated) lanes.tick(now);
  }

  /** An endpoint and its lanes together. */
  totals(index: number): EndpointTotals {
    const endpoint = this.endpoints[index]!;
    const lanes = this.#dedicated[index]!;
    return {
      inFlight: endpoint.inFlight + lanes.inFlight,
      lanes: lanes.size,
      stats: lanes.addTo(endpoint.stats),
      overLimit: endpoint.notificationLimit.exceeding || lanes.overLimit,
    };
  }

  /** What is known of it. Holds no secrets. */
  snapshotState(): Record<string, unknown> {
    return {
      name: this.name,
      tools: packedCount(this.discovery?.tools ?? NO_ITEMS),
      prompts: packedCount(this.discovery?.prompts ?? NO_ITEMS),
      resources: packedCount(this.discovery?.resources ?? NO_ITEMS),
      templates: packedCount(this.discovery?.templates ?? NO_ITEMS),
      lanes: this.#dedicated.reduce((count, lanes) => count + lanes.size, 0),
      watches: this.#watches.size,
      endpoints: this.endpoints.map((endpoint, index) => ({
        ...this.totals(index).stats,
        transport: endpoint.transport,
        state: endpoint.state,
        reason: endpoint.reason,
        era: endpoint.era === 1 ? 'modern' : 'legacy',
        revision: endpoint.revision,
        weight: endpoint.weight,
        inFlight: this.totals(index).inFlight,
        overLimit: this.totals(index).overLimit,
        breaker: endpoint.breaker.state,
        consecutiveFailures: this.health.consecutiveFailures(endpoint.index),
        ...endpoint.details(),
      })),
    };
  }
}
