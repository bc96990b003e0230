import type { Decoder } from '../../../native/layout.js';
import type { LimitsSnapshot, ServerSnapshot } from '../../config/snapshot.js';
import type { ErrorCode } from '../../errors.js';
import { Era, Revision } from '../../protocol/revisions.js';
import type { Exchange } from '../../request/exchange/index.js';
import type { ExchangeTable } from '../../request/exchange/table.js';
import { VerdictWord } from '../../shared/records.js';
import type { Milliseconds } from '../../units.js';
import type { Breaker } from '../balance/breaker.js';
import type { HealthBoard } from '../balance/health.js';
import type { Background } from './background.js';
import { type ControlChannel, ControlError, type ControlReply } from './control.js';
import type { Handshake } from './handshake.js';
import { NotificationLimit } from './notification-limit.js';
import type { ReadTurns } from './read-turns.js';
import { RecentClients } from './recent-clients.js';
import type {
  ConnectionProfile,
  Endpoint,
  EndpointState,
  ListenFilter,
  Transport,
  UpstreamSink,
  WatchKind,
} from './types.js';

/** The part of a logger (pino's shape) that upstreams use. */
export interface UpstreamLog {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** What all endpoints of a pool share. */
export interface EndpointContext {
  readonly table: ExchangeTable;
  readonly decoder: Decoder;
  readonly sink: UpstreamSink;
  readonly log: UpstreamLog;
  /** In force at this moment: a reload changes the members. */
  readonly limits: LimitsSnapshot;
  readonly later: DeferredFailures;
  /** Divides the event loop among what upstreams send. */
  readonly turns: ReadTurns;
  /** Reads large answers. */
  readonly background: Background;
  /** How long a child may take after each step of being stopped. */
  readonly stopGraceMs: Milliseconds;
  /** How long a route lets a call take, ms; 0 = the server's limit. By route index. */
  routeTimeouts: readonly Milliseconds[];
}

/** What an endpoint tells its server. */
export interface EndpointOwner {
  readonly config: ServerSnapshot;
  readonly health: HealthBoard;
  stateChanged(endpoint: BaseEndpoint): void;
  /** The handshake is done; lists can be read. */
  initialized(endpoint: BaseEndpoint): void;
  listChanged(endpoint: BaseEndpoint): void;
  resourceUpdated(endpoint: BaseEndpoint, uri: string, bytes: Uint8Array, length: number): void;
  taskChanged(endpoint: BaseEndpoint, taskId: string, bytes: Uint8Array, length: number): void;
  /** Whether a client follows the resource or task at this endpoint. */
  follows(endpoint: BaseEndpoint, kind: WatchKind, id: string): boolean;
  /** Whether no other endpoint of the server is usable. */
  isLast(endpoint: BaseEndpoint): boolean;
  /**
   * The endpoint's transport was guessed, and its upstream does not speak it (detection.ts, `tryOtherTransport` was called):
   * another endpoint takes its place. Lanes are never asked this.
   */
  wrongTransport?(endpoint: BaseEndpoint): void;
}

/** Counters of one endpoint. */
export interface EndpointStats {
  calls: number;
  failures: number;
  timeouts: number;
  cancelled: number;
  restarts: number;
  junkLines: number;
  unknownIds: number;
  droppedLogs: number;
  /** Over `limits.maxNotificationsPerSecond`. */
  droppedNotifications: number;
  sessionsLost: number;
}

/** A call may be prolonged by progress up to so many times its time limit. */
const PROGRESS_FACTOR = 10;

/** Failures found while a call is being made are reported after it returned, as {@link Endpoint.call} promises. */
export class DeferredFailures {
  #entries: { endpoint: BaseEndpoint; exchange: Exchange; id: number; error: ErrorCode }[] = [];
  #scheduled = false;

  add(endpoint: BaseEndpoint, exchange: Exchange, error: ErrorCode): void {
    this.#entries.push({ endpoint, exchange, id: exchange.upstreamId, error });
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(this.#run);
  }

  readonly #run = (): void => {
    this.#scheduled = false;
    const entries = this.#entries;
    this.#entries = [];
    for (const { endpoint, exchange, id, error } of entries) {
      if (endpoint.holds(exchange) && exchange.upstreamId === id) endpoint.fail(exchange, error, exchange.sent);
    }
  };
}

/** What stdio and HTTP endpoints have in common: state, counters, and the accounting of calls. */
export abstract class BaseEndpoint implements Endpoint, ControlChannel {
  abstract readonly transport: Transport;
  readonly profile: ConnectionProfile;
  readonly server: number;
  readonly index: number;
  readonly weight: number;
  readonly breaker: Breaker;
  readonly stats: EndpointStats = {
    calls: 0,
    failures: 0,
    timeouts: 0,
    cancelled: 0,
    restarts: 0,
    junkLines: 0,
    unknownIds: 0,
    droppedLogs: 0,
    droppedNotifications: 0,
    sessionsLost: 0,
  };
  state: EndpointState = 'connecting';
  reason = '';
  era: number = Era.legacy;
  revision: number = Revision.none;
  inFlight = 0;
  /** Whose calls ended lately, where many clients share what can be asked beside calls. */
  readonly recentClients: RecentClients | null;
  /** Of what the upstream says besides answers. */
  readonly notificationLimit: NotificationLimit;
  /** The last handshake, null before the first. */
  handshake: Handshake | null = null;

  protected readonly context: EndpointContext;
  protected readonly owner: EndpointOwner;
  /** Fields put on each log line. */
  protected readonly names: { readonly server: string; readonly endpoint: number };

  constructor(
    context: EndpointContext,
    owner: EndpointOwner,
    at: { server: number; index: number; weight: number },
    breaker: Breaker,
    profile: ConnectionProfile,
  ) {
    this.profile = profile;
    this.recentClients = profile.capabilities !== 0 && profile.owner === null ? new RecentClients() : null;
    this.context = context;
    this.owner = owner;
    this.server = at.server;
    this.index = at.index;
    this.weight = at.weight;
    this.breaker = breaker;
    this.names = { server: owner.config.name, endpoint: at.index };
    this.notificationLimit = new NotificationLimit(context.limits, this.stats, () => {
      const { maxNotificationsPerSecond } = context.limits;
      const sentence = 'upstream sends more than limits.maxNotificationsPerSecond allows: what is over it is dropped';
      context.log.warn({ ...this.names, maxNotificationsPerSecond }, sentence);
    });
  }

  abstract start(): void;
  /** Ends everything. Settles when nothing of it is left. */
  abstract stop(): Promise<void>;
  abstract call(
    exchange: Exchange,
    bytes: Buffer,
    method: number,
    nameHeader: string,
    extraHeaders: readonly string[] | null,
  ): void;
  abstract request(method: string, params: object | null, options: { timeoutMs: Milliseconds }): Promise<ControlReply>;
  abstract reply(bytes: Buffer): void;
  abstract pause(exchange: Exchange): void;
  abstract resume(exchange: Exchange): void;
  /**
   * Modern upstreams: announces what to listen to, in place of what was asked before. The new listen is opened and
   * acknowledged before the old one is cancelled, so nothing is missed in between; a filter that names nothing only ends
   * the old one. From then on the endpoint keeps the listen open by itself, and tells its owner `listChanged` when it was
   * down for a while. It ends with the connection: the owner asks again after each `greeted`, and makes one call at a time.
   *
   * @returns what the upstream acknowledged, which may be less
   * @throws ControlError when the upstream offers no such listen or cannot be reached; the old one stays as it is
   */
  listen(_filter: ListenFilter): Promise<ListenFilter> {
    return Promise.reject(new ControlError('invalid', 'the endpoint cannot listen'));
  }
  /** Takes the call back from the transport, telling the upstream where its transport knows how to. */
  protected abstract withdraw(exchange: Exchange): void;
  /** Periodic work, some 20 times a second. */
  tick(_now: Milliseconds): void {}
  /** Members of /stats that only this transport has. */
  abstract details(): Record<string, unknown>;

  /** Whether nothing can be said here any more about a call that is over; where it can, a question has no certain owner. */
  get isSettled(): boolean {
    return true;
  }

  /** Whether a call of this exchange is in flight here. */
  holds(exchange: Exchange): boolean {
    return exchange.upstream === this;
  }

  cancel(exchange: Exchange): void {
    if (!this.holds(exchange)) return;
    this.stats.cancelled += 1;
    this.withdraw(exchange);
    this.breaker.neutral();
    this.#release(exchange);
  }

  /** The call took too long: stops it upstream and reports it. */
  expire(exchange: Exchange): void {
    this.stats.timeouts += 1;
    const { sent } = exchange;
    this.withdraw(exchange);
    this.fail(exchange, 'GW_UPSTREAM_TIMEOUT', sent);
  }

  /** Reports a call as failed and ends its stay here. */
  fail(exchange: Exchange, error: ErrorCode, sent: boolean): void {
    this.stats.failures += 1;
    this.owner.health.failed(this.index);
    this.breaker.failed(error, this.owner.isLast(this), performance.now());
    this.#release(exchange);
    this.context.sink.failed(exchange, error, sent);
  }

  protected accept(exchange: Exchange): void {
    this.inFlight += 1;
    this.stats.calls += 1;
    exchange.upstream = this;
    exchange.sent = false;
  }

  /** Hands over the response and ends the call's stay here. */
  protected finish(exchange: Exchange, bytes: Uint8Array, length: number, spans: Int32Array): void {
    // It was away for a while and may have come back as another.
    if (this.breaker.tripped) this.owner.listChanged(this);
    this.breaker.succeeded();
    this.owner.health.succeeded(this.index);
    this.#release(exchange);
    this.context.sink.message(exchange, bytes, length, spans);
  }

  /** The last part of a response was handed over, or the rest of it will not come: ends the call's stay here. */
  protected finishLarge(exchange: Exchange, complete: boolean): void {
    if (complete) {
      this.breaker.succeeded();
      this.owner.health.succeeded(this.index);
    } else {
      this.stats.failures += 1;
      this.owner.health.failed(this.index);
      this.breaker.failed('GW_UPSTREAM_TRUNCATED', this.owner.isLast(this), performance.now());
    }
    this.#release(exchange);
    this.context.sink.largeEnd(exchange, complete);
  }

  /** Hands over a notification that belongs to a call. */
  protected relay(exchange: Exchange, bytes: Uint8Array, length: number, spans: Int32Array, isProgress: boolean): void {
    if (isProgress) this.prolong(exchange);
    this.context.sink.message(exchange, bytes, length, spans);
  }

  /** The call in flight here with that id, or null. */
  protected callOf(id: number): Exchange | null {
    const exchange = id < 0 ? null : this.context.table.byUpstreamId(id);
    return exchange !== null && exchange.upstream === this ? exchange : null;
  }

  /** All calls in flight here. */
  protected calls(): Exchange[] {
    const found: Exchange[] = [];
    this.context.table.forEach((exchange) => {
      if (exchange.upstream === this) found.push(exchange);
    });
    return found;
  }

  protected setState(state: EndpointState, reason: string): void {
    if (this.state === state && this.reason === reason) return;
    this.state = state;
    this.reason = reason;
    this.owner.stateChanged(this);
  }

  protected initialized(handshake: Handshake): void {
    this.handshake = handshake;
    this.era = handshake.era;
    this.revision = handshake.revision;
    this.breaker.succeeded();
    this.setState('ready', '');
    this.owner.initialized(this);
  }

  /** Progress restarts the clock, but not for ever (MCP, timeouts: a hard maximum should remain). */
  protected prolong(exchange: Exchange): void {
    if (exchange.deadline <= 0) return;
    const route = exchange.verdict[VerdictWord.route]!;
    const limit = this.context.routeTimeouts[route] || this.owner.config.requestTimeoutMs;
    if (limit <= 0) return;
    const extended = Math.min(performance.now() + limit, exchange.startedAt + limit * PROGRESS_FACTOR);
    if (extended > exchange.deadline) exchange.deadline = extended;
  }

  #release(exchange: Exchange): void {
    this.inFlight -= 1;
    if (this.recentClients !== null) this.recentClients.ended(exchange, performance.now());
    exchange.upstream = null;
    exchange.connection = null;
  }
}
