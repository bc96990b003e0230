import { type Decoder, Flag } from '../../../native/layout.js';
import type { Spans } from '../../../native/spans.js';
import type { Current } from '../../config/snapshot/current.js';
import type { LimitsSnapshot, ServerSnapshot } from '../../config/snapshot/index.js';
import type { ErrorCode } from '../../errors.js';
import { Era, REVISIONS, Revision } from '../../protocol/revisions.js';
import type { Exchange } from '../../request/exchange/index.js';
import type { ExchangeTable } from '../../request/exchange/table.js';
import type { Count, Milliseconds } from '../../units.js';
import type { Breaker } from '../balance/breaker.js';
import type { Background } from './background.js';
import { Contact, type ContactSubject } from './contact.js';
import { ControlError, type ControlReply } from './control.js';
import type { CredentialSource } from './credentials.js';
import type { DeferredFailures } from './deferred-failures.js';
import { type EndpointStats, noStats } from './endpoint-stats.js';
import type { Handshake } from './handshake.js';
import { type LimitObserver, NotificationLimit } from './limits/notification-limit.js';
import type { ReadTurns } from './limits/read-turns.js';
import { reasonSentence } from './reasons.js';
import type {
  ConnectionProfile,
  Endpoint,
  EndpointState,
  ListenFilter,
  Transport,
  UpstreamSink,
  WatchKind,
} from './types.js';

/** The part of a logger (pino's interface) that upstreams use. */
export interface UpstreamLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

/** What all endpoints of a pool share. */
export interface EndpointContext {
  readonly table: ExchangeTable;
  readonly decoder: Decoder;
  readonly sink: UpstreamSink;
  readonly log: UpstreamLog;
  readonly config: Current<{ readonly limits: LimitsSnapshot }>;
  readonly deferred: DeferredFailures;
  readonly credentials: CredentialSource;
  readonly turns: ReadTurns;
  readonly background: Background;
  /** Time between the steps by which a stdio child is stopped, ms. */
  readonly stopGraceMs: Milliseconds;
  /** Masks the secrets of the configuration in reasons. */
  readonly secrets: { scrub(text: string): string };
  /** Time limit of a call by route index, ms; 0 = the server's limit. A reload replaces the list. */
  routeTimeouts: readonly Milliseconds[];
  /** Level from which on legacy servers send log messages; null = not set. Changed by the pool. */
  logLevel: string | null;
}

/** What an endpoint reports to: its server, or the dedicated endpoints of one. */
export interface EndpointOwner {
  readonly config: ServerSnapshot;
  stateChanged(endpoint: BaseEndpoint): void;
  /** The handshake is complete; lists can be read. */
  initialized(endpoint: BaseEndpoint): void;
  listChanged(endpoint: BaseEndpoint): void;
  resourceUpdated(endpoint: BaseEndpoint, uri: string, bytes: Uint8Array, length: number): void;
  taskChanged(endpoint: BaseEndpoint, taskId: string, bytes: Uint8Array, length: number): void;
  /** The server has sent a request to a client. @param method method id (native/layout.ts) */
  clientAsked(endpoint: BaseEndpoint, method: number): void;
  /** The server answered a call with an error, or a tool with an error result. `bytes` is valid during the call. */
  callFailed(endpoint: BaseEndpoint, bytes: Uint8Array, length: number): void;
  /** Whether a client follows the resource or task at this endpoint. */
  follows(endpoint: BaseEndpoint, kind: WatchKind, id: string): boolean;
  /** Whether no other endpoint of the server is usable. */
  isLast(endpoint: BaseEndpoint): boolean;
  /**
   * The transport was auto-detected and is the wrong one (detection.ts; `tryOtherTransport` was called): the endpoint is
   * replaced. Not called for dedicated endpoints.
   */
  wrongTransport?(endpoint: BaseEndpoint): void;
}

/** Longest wait for the response to `tasks/cancel`. */
const TASK_CANCEL_MS: Milliseconds = 10_000;
/** Why an endpoint with a tripped circuit breaker gets no calls. */
const BREAKER_OPEN = 'the circuit breaker is open after repeated failures';

/** A client is not asked to try again sooner. */
const LEAST_RETRY_MS: Milliseconds = 1_000;
/** Progress extends the deadline of a call up to this multiple of its time limit, and at least to this time. */
const PROGRESS_FACTOR = 10;
const LONGEST_PROGRESS_MS: Milliseconds = 3_600_000;

/** What endpoints of all transports have in common: state, counters and the accounting of calls. */
export abstract class BaseEndpoint implements Endpoint, ContactSubject, LimitObserver {
  abstract readonly transport: Transport;
  readonly profile: ConnectionProfile;
  readonly server: number;
  readonly index: number;
  readonly weight: number;
  readonly breaker: Breaker;
  readonly stats: EndpointStats = noStats();
  state: EndpointState = 'connecting';
  reason = '';
  /** `performance.now()` of the next try to connect; 0 = none is scheduled. */
  retryAt: Milliseconds = 0;
  /** It was connected before. */
  wasReady = false;
  /** Which lists cannot be read, as one sentence; '' = all can. Calls are served all the same. */
  unreadableLists = '';
  /** What the server asked when it was initialized was refused, as there was no call that it could belong to. */
  hasDeclinedOpening = false;
  /** Tries to connect in a row that failed; 0 after a handshake. */
  failedTries: Count = 0;
  era: Era = Era.legacy;
  revision: number = Revision.none;
  inFlight = 0;
  /** Bounds the requests and notifications of the server. */
  readonly notificationLimit: NotificationLimit;
  /** The result of the last handshake, null before the first. */
  handshake: Handshake | null = null;
  /** Made when a call could not reach the upstream. */
  #contact: Contact | null = null;

  protected readonly context: EndpointContext;
  protected readonly owner: EndpointOwner;
  /** Fields of each log line. */
  protected readonly names: { readonly server: string; readonly endpoint: number };

  constructor(
    context: EndpointContext,
    owner: EndpointOwner,
    at: { server: number; index: number; weight: number },
    breaker: Breaker,
    profile: ConnectionProfile,
  ) {
    this.profile = profile;
    this.context = context;
    this.owner = owner;
    this.server = at.server;
    this.index = at.index;
    this.weight = at.weight;
    this.breaker = breaker;
    this.names = { server: owner.config.name, endpoint: at.index };
    this.notificationLimit = new NotificationLimit(context.config, this.stats, this);
  }

  abstract start(): void;
  /** Ends connections, children and calls. Settles when they have ended. */
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
   * Opens a listen in place of the current one (modern upstreams). The new one is acknowledged before the old one is
   * cancelled, so that no notification is lost; an empty filter only ends the old one. The endpoint keeps the listen open,
   * and reports `listChanged` when it was down for a while. It ends with the connection: the owner calls this again after
   * each `initialized`, one call at a time.
   *
   * @returns the filter that the upstream acknowledged, which may contain less
   * @throws ControlError when the upstream offers no such listen or cannot be reached; the old one stays open
   */
  listen(_filter: ListenFilter): Promise<ListenFilter> {
    return Promise.reject(new ControlError('invalid', 'the endpoint cannot listen'));
  }
  /**
   * Removes a call from the transport and cancels it upstream, in the way of transport and era.
   *
   * @param reason the client's, '' = none
   */
  protected abstract withdraw(exchange: Exchange, reason: string): void;
  /** A call has ended here, whatever its outcome; `exchange.connection` is still set. */
  protected abstract callEnded(exchange: Exchange): void;
  /** Tries to connect at once where a later try is scheduled. */
  retry(): void {
    if (this.state === 'backoff') this.start();
  }

  /** Whether a call may wait here for the connection, which is being opened or will be soon. */
  isAwaitable(_now: Milliseconds): boolean {
    return false;
  }

  /** Time until calls may succeed again, or the circuit breaker lets one through, at least 1 s; 0 = now. */
  retryInMs(now: Milliseconds): Milliseconds {
    if (this.state === 'stopped' || (this.state === 'ready' && !this.breaker.tripped)) return 0;
    const wait = this.state === 'ready' ? this.breaker.allowsInMs(now) : this.retryAt - now;
    return Math.max(LEAST_RETRY_MS, Math.ceil(wait));
  }

  /** Periodic work, some 20 times a second. */
  tick(_now: Milliseconds): void {}

  /** Whether no cancelled call is left that a request of the server could be about. */
  get isSettled(): boolean {
    return true;
  }

  /** Whether a handshake was made on the current connection. */
  get isInitialized(): boolean {
    return this.handshake !== null;
  }

  /** Whether the last attempt to become ready has failed. */
  get hasFailed(): boolean {
    return this.state !== 'connecting' && this.state !== 'ready';
  }

  /** Whether a call of this exchange is in flight here. */
  holds(exchange: Exchange): boolean {
    return exchange.call.upstream === this;
  }

  cancel(exchange: Exchange, reason = ''): void {
    if (!this.holds(exchange)) return;
    this.stats.cancelled += 1;
    this.withdraw(exchange, reason);
    this.#cancelTask(exchange);
    this.breaker.neutral();
    this.#release(exchange);
  }

  /** The call exceeded its time limit: cancels it upstream and reports it. */
  expire(exchange: Exchange): void {
    this.stats.timeouts += 1;
    const { sent } = exchange.call;
    this.withdraw(exchange, '');
    this.fail(exchange, 'GW_UPSTREAM_TIMEOUT', sent);
  }

  /** A task does not end with the request that waits for it (MCP 2025-11-25, task cancellation); nobody else asks for it. */
  #cancelTask({ call }: Exchange): void {
    if (call.taskId === '') return;
    // The task may have ended meanwhile.
    this.request('tasks/cancel', { taskId: call.taskId }, { timeoutMs: TASK_CANCEL_MS }).catch(() => {});
    call.taskId = '';
  }

  /** Reports a call as failed. @param detail sentences for the client, after the one of `error` */
  fail(exchange: Exchange, error: ErrorCode, sent: boolean, detail = ''): void {
    // The reason of the server is that of its shared endpoints.
    const isOwn = detail === '' && this.profile.lazy && this.state !== 'ready';
    exchange.call.detail = isOwn ? reasonSentence(this.reason) : detail;
    if (error === 'GW_UPSTREAM_DOWN') exchange.call.retryAfterMs = this.retryInMs(performance.now());
    this.stats.failures += 1;
    this.#cancelTask(exchange);
    this.#breakerFailed(error);
    if (error === 'GW_UPSTREAM_UNREACHABLE') {
      this.#contact ??= new Contact(this, this.owner.config.connectTimeoutMs);
      this.#contact.suspect();
    }
    this.#release(exchange);
    this.context.sink.failed(exchange, error, sent);
  }

  protected accept(exchange: Exchange): void {
    this.inFlight += 1;
    this.stats.calls += 1;
    exchange.call.upstream = this;
    exchange.call.sent = false;
    exchange.call.detail = '';
    exchange.call.retryAfterMs = 0;
  }

  /** Reports the response of a call. */
  protected finish(exchange: Exchange, bytes: Uint8Array, length: number, spans: Spans): void {
    if (this.breaker.tripped || this.reason !== '') this.#recovered();
    this.breaker.succeeded();
    if ((spans.flags & (Flag.isErrorResponse | Flag.isError)) !== 0) this.owner.callFailed(this, bytes, length);
    this.#release(exchange);
    this.context.sink.message(exchange, bytes, length, spans);
  }

  /** Ends a call whose response is passed on in parts. @param complete false = the rest of it will not arrive */
  finishLarge(exchange: Exchange, complete: boolean): void {
    if (complete) {
      if (this.breaker.tripped || this.reason !== '') this.#recovered();
      this.breaker.succeeded();
    } else {
      this.stats.failures += 1;
      this.#breakerFailed('GW_UPSTREAM_TRUNCATED');
    }
    this.#release(exchange);
    this.context.sink.largeEnd(exchange, complete);
  }

  /** Passes a notification on to the call that it belongs to. */
  relay(exchange: Exchange, bytes: Uint8Array, length: number, spans: Spans, isProgress: boolean): void {
    if (isProgress) this.prolong(exchange);
    this.context.sink.message(exchange, bytes, length, spans);
  }

  /** The call in flight here with that id, or null. */
  callOf(id: number): Exchange | null {
    const exchange = id < 0 ? null : this.context.table.byUpstreamId(id);
    return exchange !== null && exchange.call.upstream === this ? exchange : null;
  }

  /** All calls in flight here, also those that wait to be sent. */
  calls(): Exchange[] {
    const found: Exchange[] = [];
    this.context.table.forEach((exchange) => {
      if (exchange.call.upstream === this) found.push(exchange);
    });
    return found;
  }

  /** Why calls should not be sent here now, '' = they should. A reason beside `ready` is about the last contact. */
  get fault(): string {
    if (this.reason !== '' || this.state !== 'ready') return this.reason;
    return this.breaker.tripped ? BREAKER_OPEN : '';
  }

  protected setState(state: EndpointState, reason: string): void {
    const shown = reason === this.reason ? reason : this.context.secrets.scrub(reason);
    if (this.state === state && this.reason === shown) return;
    this.state = state;
    this.reason = shown;
    this.owner.stateChanged(this);
  }

  /** The reason that operators see: {@link fault}, else which lists cannot be read. */
  get shownReason(): string {
    return this.fault === '' ? this.unreadableLists : this.fault;
  }

  /** A try begins; the reason of the last one that failed stays until one succeeds. */
  protected setConnecting(): void {
    this.retryAt = 0;
    this.setState('connecting', this.reason);
  }

  /**
   * A try to connect has failed, or the connection has ended.
   *
   * @param retryInMs pause before the next try
   * @param counts false = the next try goes another way because of this one, which is no failure yet
   * @returns the pause
   */
  protected setUnavailable(
    state: 'backoff' | 'failed',
    reason: string,
    retryInMs: Milliseconds,
    counts = true,
  ): Milliseconds {
    this.retryAt = performance.now() + retryInMs;
    if (counts) this.failedTries += 1;
    this.setState(state, reason);
    return retryInMs;
  }

  get isCheckable(): boolean {
    return this.state === 'ready';
  }

  get isContactLost(): boolean {
    return this.state === 'ready' && this.reason !== '';
  }

  contactLost(reason: string, retryInMs: Milliseconds): void {
    this.retryAt = performance.now() + retryInMs;
    this.setState('ready', reason);
  }

  contactFound(): void {
    if (this.isContactLost) this.#recovered();
  }

  /** Takes over what is known of the endpoint in whose place it stands. */
  inherit({ reason, failedTries, wasReady }: BaseEndpoint): void {
    this.wasReady = wasReady;
    this.reason = reason;
    this.failedTries = failedTries;
  }

  /** The handshake is complete. */
  protected becomeReady(handshake: Handshake): void {
    this.#warnOfVersion(handshake);
    this.handshake = handshake;
    this.era = handshake.era;
    this.revision = handshake.revision;
    this.breaker.succeeded();
    this.wasReady = true;
    this.failedTries = 0;
    this.retryAt = 0;
    this.setState('ready', '');
    this.owner.initialized(this);
  }

  /** Once for each version that the server announces, not for each handshake and each dedicated endpoint. */
  #warnOfVersion({ unknownVersion, revision }: Handshake): void {
    const wasSaid = this.profile.owner !== null || unknownVersion === this.handshake?.unknownVersion;
    if (unknownVersion === '' || wasSaid) return;
    this.context.log.warn(
      { ...this.names, protocolVersion: unknownVersion, servedAs: REVISIONS[revision] },
      'upstream announces a protocol version that the gateway does not know: it is served as the nearest older one',
    );
  }

  /** Progress restarts the time limit, up to a maximum (MCP, timeouts). */
  prolong(exchange: Exchange): void {
    if (exchange.call.deadline <= 0) return;
    const limit = this.context.routeTimeouts[exchange.verdict.route] || this.owner.config.requestTimeoutMs;
    if (limit <= 0) return;
    const longest = Math.max(limit * PROGRESS_FACTOR, LONGEST_PROGRESS_MS);
    const extended = Math.min(performance.now() + limit, exchange.client.startedAt + longest);
    if (extended > exchange.call.deadline) exchange.call.deadline = extended;
  }

  /** See {@link LimitObserver}. */
  notificationLimitExceeded(): void {
    const { maxNotificationsPerSecond } = this.context.config.current.limits;
    this.context.log.warn(
      { ...this.names, maxNotificationsPerSecond },
      'upstream sends more than limits.maxNotificationsPerSecond allows: further notifications are dropped',
    );
  }

  #breakerFailed(error: ErrorCode): void {
    const wasTripped = this.breaker.tripped;
    this.breaker.failed(error, this.owner.isLast(this), performance.now());
    if (this.breaker.tripped !== wasTripped) this.owner.stateChanged(this);
  }

  /** The upstream answers after failures: it may have been replaced by one with other lists. */
  #recovered(): void {
    this.breaker.succeeded();
    this.reason = '';
    this.retryAt = 0;
    this.owner.stateChanged(this);
    this.owner.listChanged(this);
  }

  #release(exchange: Exchange): void {
    this.inFlight -= 1;
    this.callEnded(exchange);
    exchange.call.upstream = null;
    exchange.call.connection = null;
  }
}
