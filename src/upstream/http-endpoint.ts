import { Flag, Kind, Method, ScanStatus, SPAN_COUNT, Span } from '../../native/layout.js';
import type { UrlEndpointSnapshot } from '../config/snapshot.js';
import type { ErrorCode } from '../errors.js';
import { Era, Revision } from '../protocol/revisions.js';
import type { Exchange } from '../request/exchange.js';
import type { Milliseconds } from '../units.js';
import { BackOff } from './back-off.js';
import type { Breaker } from './balance.js';
import { CallQueue, recycle } from './call-queue.js';
import { ControlError, type ControlReply, controlMessage, FIRST_CALL_ID, parseId, UPSTREAM_DEPTH } from './control.js';
import { BaseEndpoint, type EndpointContext, type EndpointOwner } from './endpoint.js';
import { type ConnectionListener, type ConnectionTarget, HttpConnection } from './http-connection.js';
import { HttpControl } from './http-control.js';
import { HttpEvents } from './http-events.js';
import { greetHttp } from './http-handshake.js';
import { HttpHeads, withCredentials } from './http-heads.js';
import { isSessionLost } from './http-session.js';
import { answerToRequest, updatedUri } from './server-messages.js';
import type { LaneProfile } from './types.js';

/** How long the rest of an answer is read after its response, so that the connection can be kept. */
const DRAIN_MS: Milliseconds = 1_000;
/** Shortest time between two sessions opened because one was lost. */
const RECOVERY_MS: Milliseconds = 1_000;
/** How long the end of a session may take; it is a courtesy. */
const SESSION_END_MS: Milliseconds = 500;

/** One Streamable HTTP origin: keep-alive connections for calls, and control traffic beside them. */
export class HttpEndpoint extends BaseEndpoint implements ConnectionListener {
  readonly transport = 'http';
  readonly #configured: Readonly<Record<string, string>>;
  readonly #target: ConnectionTarget;
  readonly #control: HttpControl;
  readonly #events: HttpEvents;
  readonly #queue: CallQueue;
  readonly #spans = new Int32Array(SPAN_COUNT);
  readonly #connections: HttpConnection[] = [];
  readonly #free: HttpConnection[] = [];
  readonly #backOff = new BackOff();
  /** Upstream ids of calls that were repeated because their session was lost. */
  readonly #repeated = new Set<number>();
  #heads: HttpHeads;
  #era: Era | null = null;
  #nextId = 0;
  #timer: NodeJS.Timeout | undefined;
  #greeting = false;
  #recoverAfter: Milliseconds = 0;
  #stopping = false;

  constructor(
    context: EndpointContext,
    owner: EndpointOwner,
    at: { server: number; index: number },
    config: UrlEndpointSnapshot,
    breaker: Breaker,
    profile: LaneProfile,
  ) {
    super(context, owner, { ...at, weight: config.weight }, breaker, profile);
    const url = new URL(config.url);
    this.#configured = withCredentials(config.headers, url);
    this.#target = {
      origin: url.origin,
      path: url.pathname + url.search,
      connectTimeoutMs: owner.config.connectTimeoutMs,
      maxResponseBytes: context.limits.maxResponseBytes,
    };
    this.#control = new HttpControl(this.#target, context.decoder);
    this.#events = new HttpEvents(this.#control, this.#configured, {
      nextId: () => this.#controlId(),
      message: (bytes, length, spans) => this.#eventMessage(bytes, length, spans),
      reopened: () => owner.listChanged(this),
      sessionLost: () => void this.#recover(this.#heads.sessionId),
    });
    this.#queue = new CallQueue(owner.config.maxQueue);
    this.#heads = new HttpHeads(this.#configured, { era: Era.legacy, revision: Revision.none, sessionId: '' });
  }

  start(): void {
    if (this.#stopping || this.#greeting) return;
    this.#greeting = true;
    if (this.state !== 'ready') this.setState('connecting', '');
    void this.#greet();
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    clearTimeout(this.#timer);
    this.setState('stopped', '');
    this.#events.stop();
    const { sessionId } = this.#heads;
    const ended = sessionId === '' ? null : this.#control.endSession(this.#heads.forControl(''), SESSION_END_MS);
    for (const exchange of this.calls()) {
      const { sent } = exchange;
      this.withdraw(exchange);
      this.fail(exchange, 'GW_UPSTREAM_CLOSED', sent);
    }
    await ended;
    for (const connection of this.#connections) connection.destroy();
    await this.#control.destroy();
  }

  call(
    exchange: Exchange,
    bytes: Buffer,
    method: number,
    nameHeader: string,
    extraHeaders: readonly string[] | null,
  ): void {
    this.accept(exchange);
    if (this.state !== 'ready') {
      this.context.later.add(this, exchange, 'GW_UPSTREAM_DOWN');
      return;
    }
    const connection = this.#greeting ? null : this.#checkout();
    if (connection !== null) this.#send(connection, exchange, bytes, method, nameHeader, extraHeaders);
    else if (!this.#queue.push(exchange, bytes, method, nameHeader, extraHeaders)) {
      this.context.later.add(this, exchange, 'GW_UPSTREAM_BUSY');
    }
  }

  pause(exchange: Exchange): void {
    (exchange.connection as HttpConnection | null)?.pause();
  }

  resume(exchange: Exchange): void {
    (exchange.connection as HttpConnection | null)?.resume();
  }

  async request(method: string, params: object | null, options: { timeoutMs: Milliseconds }): Promise<ControlReply> {
    const id = this.#controlId();
    const body = controlMessage(id, method, params, this.era === Era.modern);
    const heads = this.#heads;
    try {
      return await this.#control.post(body, id, heads.forControl(method), options.timeoutMs);
    } catch (error) {
      if (error instanceof ControlError && error.number === 404) this.#recover(heads.sessionId);
      throw error;
    }
  }

  reply(bytes: Buffer): void {
    this.#control.note(bytes, this.#heads.forControl(''), this.owner.config.connectTimeoutMs);
  }

  details(): Record<string, unknown> {
    return { connections: this.#connections.length, idle: this.#free.length, queued: this.#queue.size };
  }

  override tick(now: Milliseconds): void {
    for (const connection of this.#connections) {
      if (connection.drainingSince > 0 && now - connection.drainingSince > DRAIN_MS) connection.abandon();
      connection.tick(now);
    }
  }

  document(connection: HttpConnection, bytes: Uint8Array, length: number): void {
    const { exchange } = connection;
    const spans = this.#spans;
    if (exchange === null) {
      this.stats.unknownIds += 1;
      return;
    }
    const status = this.context.decoder.scan(bytes, length, spans, UPSTREAM_DEPTH);
    if (status !== ScanStatus.ok) {
      this.#refuse(connection, exchange);
    } else if (spans[Span.kind] === Kind.response) {
      if (parseId(bytes, spans[Span.idStart]!, spans[Span.idEnd]!) !== connection.upstreamId) {
        this.stats.unknownIds += 1;
        return;
      }
      connection.drain(performance.now());
      this.#over(exchange);
      this.finish(exchange, bytes, length, spans);
    } else if (spans[Span.kind] === Kind.notification) {
      this.#notification(exchange, bytes, length, spans);
    } else if (spans[Span.kind] === Kind.request) {
      this.#answer(bytes, spans);
    } else {
      this.#refuse(connection, exchange);
    }
  }

  completed(connection: HttpConnection, status: number, json: boolean, body: Buffer | null): void {
    const { exchange, upstreamId, sessionId } = connection;
    if (exchange === null) {
      this.#idle(connection);
      return;
    }
    connection.exchange = null;
    if (body === null) {
      this.#idle(connection);
      this.fail(exchange, 'GW_UPSTREAM_TRUNCATED', true);
      return;
    }
    const spans = this.#spans;
    const isResponse =
      json &&
      this.context.decoder.scan(body, body.length, spans, UPSTREAM_DEPTH) === ScanStatus.ok &&
      spans[Span.kind] === Kind.response;
    if (status === 200) {
      const isOurs = isResponse && parseId(body, spans[Span.idStart]!, spans[Span.idEnd]!) === upstreamId;
      this.#idle(connection);
      if (isOurs) {
        this.#over(exchange);
        this.finish(exchange, body, body.length, spans);
      } else {
        this.fail(exchange, 'GW_UPSTREAM_PROTOCOL', true);
      }
      return;
    }
    if (isSessionLost(status, sessionId, body, isResponse ? spans : null) && !this.#repeated.has(upstreamId)) {
      this.#repeat(connection, exchange);
      return;
    }
    this.#idle(connection);
    this.#refusal(exchange, upstreamId, status, body, isResponse ? spans : null);
  }

  failed(connection: HttpConnection, error: ErrorCode): void {
    const { exchange } = connection;
    connection.exchange = null;
    this.#idle(connection);
    if (exchange !== null) this.fail(exchange, error, exchange.sent);
  }

  override fail(exchange: Exchange, error: ErrorCode, sent: boolean): void {
    this.#over(exchange);
    super.fail(exchange, error, sent);
  }

  protected withdraw(exchange: Exchange): void {
    if (this.#queue.remove(exchange)) return;
    const connection = exchange.connection as HttpConnection | null;
    if (connection === null || connection.exchange !== exchange) return;
    this.#over(exchange);
    // Closing the stream is cancellation for a modern server; a legacy one wants to be told (MCP, cancellation).
    if (this.era === Era.legacy && exchange.sent) {
      const note = controlMessage(null, 'notifications/cancelled', { requestId: exchange.upstreamId }, false);
      this.#control.note(note, this.#heads.forControl(''), this.owner.config.connectTimeoutMs);
    }
    connection.abandon();
  }

  #checkout(): HttpConnection | null {
    const free = this.#free.pop();
    if (free !== undefined) return free;
    if (this.#connections.length >= this.owner.config.maxConnections) return null;
    const connection = new HttpConnection(this.#target, this);
    this.#connections.push(connection);
    return connection;
  }

  #send(
    connection: HttpConnection,
    exchange: Exchange,
    bytes: Buffer,
    method: number,
    nameHeader: string,
    extraHeaders: readonly string[] | null,
  ): void {
    exchange.connection = connection;
    connection.method = method;
    connection.nameHeader = nameHeader;
    connection.extraHeaders = this.era === Era.modern ? extraHeaders : null;
    connection.sessionId = this.#heads.sessionId;
    connection.send(exchange, bytes, this.#heads.forMethod(method));
  }

  /** A connection is free: the next call that waits takes it. */
  #idle(connection: HttpConnection): void {
    if (this.#stopping) return;
    const next = this.#queue.size > 0 && !this.#greeting ? this.#queue.shift() : null;
    if (next === null) {
      this.#free.push(connection);
      return;
    }
    const { exchange, bytes, method, nameHeader, extraHeaders } = next;
    recycle(next);
    this.#send(connection, exchange!, bytes, method, nameHeader, extraHeaders);
  }

  /** The call is over: it counts as repeated no longer. */
  #over(exchange: Exchange): void {
    if (this.#repeated.size > 0) this.#repeated.delete(exchange.upstreamId);
  }

  /** An answer that cannot be passed on, in the middle of a stream. */
  #refuse(connection: HttpConnection, exchange: Exchange): void {
    connection.abandon();
    this.fail(exchange, 'GW_UPSTREAM_PROTOCOL', true);
  }

  #notification(exchange: Exchange, bytes: Uint8Array, length: number, spans: Int32Array): void {
    switch (spans[Span.method]) {
      case Method.progress:
        if (parseId(bytes, spans[Span.progressTokenStart]!, spans[Span.progressTokenEnd]!) !== exchange.upstreamId) {
          this.stats.unknownIds += 1;
        } else this.relay(exchange, bytes, length, spans, true);
        break;
      case Method.message:
        this.relay(exchange, bytes, length, spans, false);
        break;
      default:
        this.#change(bytes, length, spans);
    }
  }

  #change(bytes: Uint8Array, length: number, spans: Int32Array): void {
    switch (spans[Span.method]) {
      case Method.toolsListChanged:
      case Method.promptsListChanged:
      case Method.resourcesListChanged:
        this.owner.listChanged(this);
        break;
      case Method.resourceUpdated: {
        const uri = updatedUri(bytes, length);
        if (uri !== null) this.owner.resourceUpdated(this, uri, bytes, length);
        break;
      }
    }
  }

  /** What comes on a stream that belongs to no call. */
  #eventMessage(bytes: Uint8Array, length: number, spans: Int32Array): void {
    if (spans[Span.kind] === Kind.request) {
      this.#answer(bytes, spans);
    } else if (spans[Span.kind] === Kind.notification && spans[Span.method] === Method.progress) {
      // Some servers send progress here; the token says which call it is for.
      const exchange = this.callOf(parseId(bytes, spans[Span.progressTokenStart]!, spans[Span.progressTokenEnd]!));
      if (exchange !== null) this.relay(exchange, bytes, length, spans, true);
    } else if (spans[Span.kind] === Kind.notification && spans[Span.method] === Method.message) {
      this.stats.droppedLogs += 1;
    } else if (spans[Span.kind] === Kind.notification) {
      this.#change(bytes, length, spans);
    }
  }

  /** A request of a legacy server. */
  #answer(bytes: Uint8Array, spans: Int32Array): void {
    if (this.era === Era.modern) return;
    this.#control.note(answerToRequest(bytes, spans), this.#heads.forControl(''), this.owner.config.connectTimeoutMs);
  }

  /** An answer with a status other than 200. Nothing of it reaches the client but a JSON-RPC error meant for it. */
  #refusal(exchange: Exchange, id: number, status: number, body: Buffer, spans: Int32Array | null): void {
    if (status === 401 || status === 403) {
      this.fail(exchange, 'GW_UPSTREAM_REFUSED', true);
      return;
    }
    if (status >= 400 && status < 500 && spans !== null && (spans[Span.flags]! & Flag.isErrorResponse) !== 0) {
      const code = spans[Span.errorCode]!;
      if (code === -32_020 || code === -32_022) {
        // They describe our hop: what is believed of this upstream is wrong.
        this.#reprobe();
      } else if (parseId(body, spans[Span.idStart]!, spans[Span.idEnd]!) === id) {
        this.#over(exchange);
        this.finish(exchange, body, body.length, spans);
        return;
      }
    }
    const error = status === 429 ? 'GW_UPSTREAM_BUSY' : status === 503 ? 'GW_UPSTREAM_DOWN' : 'GW_UPSTREAM_PROTOCOL';
    this.fail(exchange, error, true);
  }

  /** The session is unknown to the upstream, so the call was not executed: once more in a new session. */
  #repeat(connection: HttpConnection, exchange: Exchange): void {
    const { requestBytes, method, nameHeader, extraHeaders, sessionId, upstreamId } = connection;
    if (!this.#recover(sessionId)) {
      this.#idle(connection);
      this.fail(exchange, 'GW_UPSTREAM_PROTOCOL', true);
      return;
    }
    this.#repeated.add(upstreamId);
    exchange.connection = null;
    exchange.sent = false;
    const queued = this.#queue.push(exchange, requestBytes, method, nameHeader, extraHeaders);
    this.#idle(connection);
    if (!queued) this.fail(exchange, 'GW_UPSTREAM_BUSY', false);
  }

  /**
   * Opens a new session, unless the lost one has been replaced meanwhile.
   *
   * @returns whether there is or will be another one; a server that loses them at once is not asked in a loop
   */
  #recover(lostSession: string): boolean {
    if (lostSession === '' || this.#stopping || this.state !== 'ready') return false;
    if (this.#greeting || lostSession !== this.#heads.sessionId) return true;
    const now = performance.now();
    if (now < this.#recoverAfter) return false;
    this.#recoverAfter = now + RECOVERY_MS;
    this.stats.sessionsLost += 1;
    this.context.log.info(this.names, 'upstream session lost, opening another');
    this.#events.stop();
    this.start();
    return true;
  }

  #reprobe(): void {
    const now = performance.now();
    if (this.#greeting || now < this.#recoverAfter) return;
    this.#recoverAfter = now + RECOVERY_MS;
    this.#era = null;
    this.#events.stop();
    this.start();
  }

  async #greet(): Promise<void> {
    try {
      const handshake = await greetHttp(this.#control, this.#configured, {
        era: this.#era,
        timeoutMs: this.owner.config.connectTimeoutMs,
        nextId: () => this.#controlId(),
      });
      if (this.#stopping) return;
      this.#greeting = false;
      this.#era = handshake.era;
      this.#heads = new HttpHeads(this.#configured, handshake);
      this.#backOff.reset();
      this.greeted(handshake);
      this.#events.start(handshake);
      this.#resumeQueue();
    } catch (error) {
      this.#greeting = false;
      if (this.#stopping) return;
      // A verdict can be out of date: the next attempt looks again.
      this.#era = null;
      this.setState('backoff', error instanceof ControlError ? error.message : 'the handshake failed');
      this.#failQueue();
      this.#timer = setTimeout(() => this.start(), this.#backOff.next());
    }
  }

  #resumeQueue(): void {
    while (this.#queue.size > 0) {
      const connection = this.#checkout();
      if (connection === null) return;
      this.#idle(connection);
    }
  }

  #failQueue(): void {
    for (let next = this.#queue.shift(); next !== null; next = this.#queue.shift()) {
      const exchange = next.exchange!;
      recycle(next);
      this.fail(exchange, 'GW_UPSTREAM_DOWN', false);
    }
  }

  #controlId(): number {
    this.#nextId = (this.#nextId % (FIRST_CALL_ID - 1)) + 1;
    return this.#nextId;
  }
}
