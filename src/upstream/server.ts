import type { EndpointSnapshot, ServerSnapshot } from '../config/snapshot/index.js';
import { loginsOf } from '../config/snapshot/user-logins.js';
import type { ErrorCode } from '../errors.js';
import { Era } from '../protocol/revisions.js';
import { TASKS_EXTENSION } from '../protocol/tasks-extension.js';
import type { Exchange } from '../request/exchange/index.js';
import { IndexSet } from '../shared/index-set.js';
import type { Milliseconds } from '../units.js';
import { ControlError } from './core/control.js';
import type { BaseEndpoint, EndpointContext, EndpointOwner } from './core/endpoint.js';
import type { EndpointTotals } from './core/endpoint-stats.js';
import {
  type ClientIdentity,
  type ConnectionOwner,
  type ConnectionProfile,
  DISCOVERY_PROFILE,
  type Discovery,
  type Endpoint,
  type ListChanges,
  SHARED_PROFILE,
  type WatchKind,
} from './core/types.js';
import { createEndpoint } from './create-endpoint.js';
import { ListReader, type ListSource } from './discovery/lists.js';
import { EndpointChoice, type ServerHealth } from './endpoint-choice.js';
import { type ClientHost, ClientNeeds, type ClientUseReport } from './isolation/client-needs.js';
import { DedicatedEndpoints, type DedicatedHost, type ListedEndpoint } from './isolation/dedicated.js';
import { LogLevel } from './log-level.js';
import { StateLog } from './state-log.js';
import { announces } from './subscriptions/follower.js';
import { Watches } from './subscriptions/watches.js';

const NONE = new IndexSet();

/** What a server reports to. */
export interface ServerObserver {
  /** The lists were read for the first time, or have changed. */
  discovered(server: UpstreamServer, discovery: Discovery): void;
  /** See `UpstreamEvents.resourceUpdated`. */
  resourceUpdated(
    server: UpstreamServer,
    uri: string,
    bytes: Uint8Array,
    length: number,
    owner: ConnectionOwner | null,
  ): void;
  /** See `UpstreamEvents.ownListsChanged`. */
  ownListsChanged(server: UpstreamServer, owner: ConnectionOwner | null, changes: ListChanges): void;
  /** See `UpstreamEvents.taskChanged`. */
  taskChanged(server: UpstreamServer, taskId: string, bytes: Uint8Array, length: number): void;
  /** See `UpstreamEvents.stateChanged`. */
  stateChanged(server: UpstreamServer): void;
}

/** One server of the configuration: a namespace with its endpoints. Created by `Replacements`. */
export class UpstreamServer implements EndpointOwner, DedicatedHost, ListSource, ClientHost {
  readonly index: number;
  config: ServerSnapshot;
  readonly name: string;
  requestTimeoutMs: Milliseconds;
  readonly endpoints: BaseEndpoint[];
  readonly endpointCount: number;
  /** Whether {@link choose} depends on `exchange.client`: false where no dedicated endpoint can be needed. */
  needsCapabilities: boolean;
  readonly wantsLogin: boolean;

  readonly context: EndpointContext;
  readonly #observer: ServerObserver;
  readonly #choice: EndpointChoice;
  /** Used within one choice. */
  readonly #excluded = new IndexSet();
  readonly #lists: ListReader;
  readonly #logLevel: LogLevel;
  /** By index of their base. */
  readonly #dedicated: readonly DedicatedEndpoints[];
  /** Changes of the lists, and what is followed at the endpoints that clients share. */
  readonly #watches: Watches;
  readonly #clients: ClientNeeds;
  /** Why {@link choose} has just found no dedicated endpoint, or null. */
  #refusal: ErrorCode | null = null;
  /** Logs changes of the endpoints that clients share. */
  readonly #stateLog: StateLog;
  readonly #dedicatedLog: StateLog;
  #stopped = false;
  /** All endpoints failed once, or the first reading of the lists. */
  #hasFailed = false;
  #hasSwitchedTransport = false;

  constructor(context: EndpointContext, observer: ServerObserver, index: number, config: ServerSnapshot) {
    this.context = context;
    this.#observer = observer;
    this.index = index;
    this.config = config;
    this.name = config.name;
    this.needsCapabilities = config.clientCredentials;
    this.wantsLogin = loginsOf(config).length > 0;
    this.requestTimeoutMs = config.requestTimeoutMs;
    this.endpoints = config.endpoints.map((endpoint, position) => {
      const at = { server: index, index: position };
      const profile = ['shared', 'auto'].includes(config.isolation) ? SHARED_PROFILE : DISCOVERY_PROFILE;
      return createEndpoint(context, this, at, endpoint, profile);
    });
    this.endpointCount = this.endpoints.length;
    this.#choice = new EndpointChoice(this.endpoints);
    this.#dedicated = config.endpoints.map((_, position) => new DedicatedEndpoints(this, position));
    this.#watches = new Watches(this.endpoints, true);
    this.#clients = new ClientNeeds(this);
    this.#lists = new ListReader(this, context);
    this.#logLevel = new LogLevel(context, config.name);
    this.#stateLog = new StateLog(context.log, config.name);
    this.#dedicatedLog = new StateLog(context.log, config.name);
  }

  /** The result of the last discovery. */
  get discovery(): Discovery | null {
    return this.#lists.discovery;
  }

  /** Whether it is of 2025-11-25 and makes tasks of tool calls; otherwise `execution.taskSupport` counts for nothing. */
  get runsTasks(): boolean {
    const { era, capabilities } = this.discovery ?? {};
    const tasks = capabilities?.['tasks'] as { requests?: { tools?: { call?: unknown } } } | null | undefined;
    return era === Era.legacy && typeof tasks?.requests?.tools?.call === 'object';
  }

  /** Whether it is modern and may answer tool calls of clients that take tasks with one (tasks extension). */
  get answersWithTasks(): boolean {
    const { era, capabilities } = this.discovery ?? {};
    const { extensions } = (capabilities ?? {}) as { extensions?: Record<string, unknown> };
    return era === Era.modern && extensions?.[TASKS_EXTENSION] !== undefined;
  }

  /** Whether its first discovery has not failed: it is under way, or was made. */
  get mayBeListed(): boolean {
    return !this.#hasFailed;
  }

  /** Sets the lists of an earlier run, before {@link start}. */
  restore(discovery: Discovery): void {
    this.#lists.restore(discovery);
  }

  /** Calls in flight on all endpoints, also dedicated ones. */
  get inFlight(): number {
    let count = 0;
    for (const endpoint of this.endpoints) count += endpoint.inFlight;
    for (const dedicated of this.#dedicated) count += dedicated.inFlight;
    return count;
  }

  /** Applies a configuration with the same endpoints; only rules about names and calls differ. */
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
   * A ready endpoint that is not in `exchange.tried` and whose breaker allows a call, or null. Where
   * {@link needsCapabilities} is set, a dedicated endpoint of the exchange's client, which may still be starting.
   */
  choose(exchange: Exchange): Endpoint | null {
    if (!this.#needsDedicated(exchange)) {
      this.#refusal = null;
      return this.#choice.choose(exchange.call.tried);
    }
    return this.#chooseDedicated(exchange);
  }

  #needsDedicated({ client }: Exchange): boolean {
    return this.needsCapabilities && this.#clients.needsDedicated(client.capabilities);
  }

  /** Under `auto` the answers of a dedicated endpoint are for its client alone. Workers decide it for the other scopes. */
  sharesAnswers(endpoint: Pick<Endpoint, 'index'>): boolean {
    return this.config.isolation !== 'auto' || this.endpoints[endpoint.index] === endpoint;
  }

  /** See {@link ClientNeeds.lists}. */
  ownLists(exchange: Exchange): Promise<Discovery | null> | null {
    return this.needsCapabilities ? this.#clients.lists(exchange) : null;
  }

  /** See {@link ClientHost}. */
  forLists(exchange: Exchange): ListedEndpoint | null {
    for (const dedicated of this.#dedicated) {
      const found = dedicated.forLists(exchange, false);
      if (found !== null) return found;
    }
    const base = this.#choice.choose(NONE);
    const dedicated = base === null ? undefined : this.#dedicated[base.index];
    return dedicated?.isNeeded === true ? dedicated.forLists(exchange, true) : null;
  }

  /** See {@link ClientNeeds.report}. */
  get clientUse(): ClientUseReport {
    return this.#clients.report();
  }

  #chooseDedicated(exchange: Exchange): BaseEndpoint | null {
    this.#refusal = null;
    // A client stays with its dedicated endpoint, which has its state.
    for (let index = 0; index < this.#dedicated.length; index += 1) {
      const dedicated = this.#dedicated[index];
      if (dedicated === undefined || exchange.call.tried.has(index)) continue;
      const found = dedicated.find(exchange);
      if (found !== null) return found;
    }
    const tried = this.#excluded;
    tried.assign(exchange.call.tried);
    while (true) {
      const base = this.#choice.choose(tried);
      if (base === null) return null;
      const dedicated = this.#dedicated[base.index];
      if (dedicated === undefined || !dedicated.isNeeded) return base;
      const chosen = dedicated.acquire(exchange);
      if (chosen !== null) return chosen;
      this.#refusal = dedicated.refusalOf(exchange);
      exchange.call.detail = dedicated.refusalReason;
      tried.add(base.index);
    }
  }

  /** See `SendServer.chooseAwaitable`. A client that needs a dedicated endpoint does not wait at the shared one. */
  chooseAwaitable(exchange: Exchange): Endpoint | null {
    if (this.#refusal !== null || this.#needsDedicated(exchange)) return null;
    return this.#choice.awaitable();
  }

  /** See `SendServer`. */
  get isStarting(): boolean {
    return this.#choice.isStarting;
  }

  /** See `SendServer.retryInMs`. */
  retryInMs(): Milliseconds {
    return this.#choice.retryInMs();
  }

  /** Tries at once to connect the endpoints that wait for their next try. */
  retry(): void {
    for (const endpoint of this.endpoints) endpoint.retry();
  }

  /** See `SendServer.unavailable`. */
  unavailable({ call }: Exchange): ErrorCode {
    if (this.#refusal !== null) return this.#refusal;
    const advice = this.wantsLogin ? this.context.credentials.loginAdvice(this.config) : '';
    if (advice === '') return this.#choice.unavailable;
    call.detail = advice;
    return 'GW_UPSTREAM_LOGIN';
  }

  isLast(endpoint: BaseEndpoint): boolean {
    return this.#choice.isLast(endpoint);
  }

  /** See {@link EndpointOwner.wrongTransport}. The other endpoint keeps the circuit breaker. */
  wrongTransport(endpoint: BaseEndpoint): void {
    const { index, breaker, profile } = endpoint;
    if (this.#stopped || this.endpoints[index] !== endpoint) return;
    this.#hasFailed &&= this.#hasSwitchedTransport;
    this.#hasSwitchedTransport = true;
    const at = { server: this.index, index };
    const other = createEndpoint(this.context, this, at, this.#configOf(index), profile, breaker);
    this.endpoints[index] = other;
    other.inherit(endpoint);
    void endpoint.stop();
    other.start();
  }

  stateChanged(endpoint: BaseEndpoint): void {
    if (this.endpoints[endpoint.index] !== endpoint) return;
    if (endpoint.state !== 'ready') {
      this.#watches.endpointUnavailable();
      this.#hasFailed ||= this.endpoints.every(({ hasFailed }) => hasFailed);
    }
    this.#stateLog.changed(endpoint);
    this.#observer.stateChanged(this);
  }

  initialized(endpoint: BaseEndpoint): void {
    this.needsCapabilities = this.#dedicated.some(({ isNeeded }) => isNeeded);
    this.#clients.restarted();
    this.#logLevel.send(endpoint);
    this.#watches.initialized(endpoint);
    this.#lists.schedule();
  }

  create(base: BaseEndpoint, owner: EndpointOwner, profile: ConnectionProfile): BaseEndpoint {
    const { index, transport } = base;
    const config = this.#configOf(index);
    // With the transport that was detected.
    const fixed =
      config.transport === 'stdio' || transport === 'stdio' ? config : { ...config, transport, detect: false };
    // Connections to one origin share its breaker; children fail independently.
    const breaker = transport === 'stdio' ? undefined : base.breaker;
    return createEndpoint(this.context, owner, { server: this.index, index }, fixed, profile, breaker);
  }

  get health(): ServerHealth {
    return this.#choice;
  }

  dedicatedChanged(endpoint: BaseEndpoint): void {
    this.#dedicatedLog.changed(endpoint);
  }

  dedicatedInitialized(endpoint: BaseEndpoint): void {
    this.#logLevel.send(endpoint);
  }

  #configOf(index: number): EndpointSnapshot {
    const config = this.config.endpoints[index];
    if (config === undefined) throw new RangeError(`there is no endpoint ${index}`);
    return config;
  }

  /** A legacy session has ended: its dedicated endpoints take no more calls and are stopped. */
  sessionEnded(sessionId: string): void {
    for (const dedicated of this.#dedicated) dedicated.sessionEnded(sessionId);
  }

  /** The roots of a legacy session's client have changed. */
  rootsChanged(sessionId: string): void {
    for (const dedicated of this.#dedicated) dedicated.rootsChanged(sessionId);
  }

  /** The log level of the pool has changed: sends it to all endpoints. Each handshake sends it too. */
  logLevelChanged(): void {
    for (const endpoint of this.endpoints) this.#logLevel.send(endpoint);
    for (const dedicated of this.#dedicated) dedicated.forEach(this.#logLevel.send);
  }

  /** Whether {@link watch} may succeed; false = all endpoints are ready and none announces changes of this kind. */
  announces(kind: WatchKind): boolean {
    return this.endpoints.some((endpoint) => endpoint.state !== 'ready' || announces(endpoint, { kind }));
  }

  /**
   * Follows a resource or task of this server for a client. Counted: each `watch` that was fulfilled is reverted by one
   * `unwatch` with the same arguments. Updates are reported through `UpstreamEvents`.
   *
   * @param client where the server is isolated, it is followed at the dedicated endpoint of this client; null = none
   * @throws ControlError when the upstream refuses or offers no subscriptions (`rpc`, -32601): then nothing is followed
   */
  watch(kind: WatchKind, id: string, client: ClientIdentity | null): Promise<void> {
    const watches = this.#watchesOf(client, true);
    if (watches === null)
      return Promise.reject(new ControlError('closed', 'no dedicated endpoint of the upstream can be started'));
    return watches.add(kind, id);
  }

  /** Reverts one {@link watch}; the subscription ends with the last one. */
  unwatch(kind: WatchKind, id: string, client: ClientIdentity | null): void {
    const watches = this.#watchesOf(client, false);
    // It may have been followed at the shared endpoint before the server was found to make use of the client.
    const isThere = this.config.isolation !== 'auto' || watches?.has(kind, id) === true;
    (isThere ? watches : this.#watches)?.remove(kind, id);
  }

  /**
   * What is followed at the dedicated endpoint of a client, or at the shared endpoints if it needs none.
   *
   * @param create start a dedicated endpoint if it is needed
   * @returns null = it is needed, and there is none
   */
  #watchesOf(client: ClientIdentity | null, create: boolean): Watches | null {
    if (client === null || this.config.isolation === 'shared') return this.#watches;
    if (!this.#clients.needsDedicated(client.capabilities)) return this.#watches;
    const needed = this.#dedicated.filter(({ isNeeded }) => isNeeded);
    if (needed.length === 0) return this.#watches;
    for (const dedicated of needed) {
      const known = dedicated.watchesOf(client, false);
      if (known !== null) return known;
    }
    const base = create ? this.#choice.choose(NONE) : null;
    return base === null ? null : (this.#dedicated[base.index]?.watchesOf(client, true) ?? null);
  }

  readyEndpoint(): BaseEndpoint | null {
    return this.endpoints.find(({ state }) => state === 'ready') ?? null;
  }

  discovered(discovery: Discovery): void {
    this.#observer.discovered(this, discovery);
  }

  listsFailed(): void {
    this.#hasFailed = true;
  }

  listChanged(): void {
    this.#lists.changed();
  }

  ownListsChanged({ profile: { owner } }: BaseEndpoint, changes: ListChanges): void {
    this.#observer.ownListsChanged(this, owner, changes);
  }

  clientAsked(_endpoint: BaseEndpoint, method: number): void {
    this.#clients.asked(method);
  }

  callFailed(_endpoint: BaseEndpoint, bytes: Uint8Array, length: number): void {
    this.#clients.failed(bytes, length);
  }

  resourceUpdated(endpoint: BaseEndpoint, uri: string, bytes: Uint8Array, length: number): void {
    this.#observer.resourceUpdated(this, uri, bytes, length, endpoint.profile.owner);
  }

  taskChanged(_endpoint: BaseEndpoint, taskId: string, bytes: Uint8Array, length: number): void {
    this.#observer.taskChanged(this, taskId, bytes, length);
  }

  follows(_endpoint: BaseEndpoint, kind: WatchKind, id: string): boolean {
    return this.#watches.has(kind, id);
  }

  tick(now: Milliseconds): void {
    for (const endpoint of this.endpoints) endpoint.tick(now);
    for (const dedicated of this.#dedicated) dedicated.tick(now);
  }

  /** An endpoint together with its dedicated endpoints. @throws RangeError for an index that there is not */
  totals(index: number): EndpointTotals {
    const endpoint = this.endpoints[index];
    const dedicated = this.#dedicated[index];
    if (endpoint === undefined || dedicated === undefined) throw new RangeError(`there is no endpoint ${index}`);
    return {
      inFlight: endpoint.inFlight + dedicated.inFlight,
      dedicated: dedicated.size,
      stats: dedicated.addTo(endpoint.stats),
      overLimit: endpoint.notificationLimit.exceeding || dedicated.overLimit,
    };
  }
}
