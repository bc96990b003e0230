import { Kind, ScanStatus } from '../../../native/layout.js';
import { Spans } from '../../../native/spans.js';
import type { UrlEndpointSnapshot } from '../../config/snapshot.js';
import type { ErrorCode } from '../../errors.js';
import { UPSTREAM_DEPTH } from '../../protocol/depth.js';
import { Era, Revision } from '../../protocol/revisions.js';
import type { Exchange } from '../../request/exchange/index.js';
import { VerdictFlag } from '../../shared/records.js';
import type { Count, Milliseconds } from '../../units.js';
import { BackOff } from '../balance/back-off.js';
import type { Breaker } from '../balance/breaker.js';
import { ControlError, type ControlReply, controlMessage, parseId } from '../core/control.js';
import { detectionBackOff, handshakeReason, suggestsSse, tryOtherTransport } from '../core/detection.js';
import { BaseEndpoint, type EndpointContext, type EndpointOwner } from '../core/endpoint.js';
import { initializeParams } from '../core/handshake.js';
import { addressOf, HttpHeads } from '../core/http-heads.js';
import type { ConnectionProfile, ListenFilter } from '../core/types.js';
import { Attribution, type CallsInFlight } from '../messages/attribution.js';
import { ServerMessages } from '../messages/server-messages.js';
import type { CallStream } from './call-stream.js';
import { HttpCalls } from './calls.js';
import type { ConnectionListener, HttpConnection } from './connection.js';
import { HttpControl } from './control.js';
import { HttpEvents } from './events.js';
import { httpHandshake } from './handshake.js';
import { interpretRefusal } from './refusals.js';
import { ResumedStream, type ResumeListener } from './resume.js';
import { isSessionLost } from './session.js';
import type { SessionObserver } from './standalone-stream.js';
import { type ConnectionTarget, connectionTarget } from './target.js';

/** Shortest time between two sessions that are opened because the one before was lost. */
const RECOVERY_MS: Milliseconds = 1_000;
/** Longest wait for the DELETE of a session when the endpoint is stopped. */
const SESSION_END_MS: Milliseconds = 500;

/** One Streamable HTTP endpoint: keep-alive connections for calls, and control traffic apart from them. */
export class HttpEndpoint
  extends BaseEndpoint
  implements ConnectionListener, ResumeListener, CallsInFlight, SessionObserver
{
  readonly transport = 'http';
  readonly #config: UrlEndpointSnapshot;
  readonly #configured: Readonly<Record<string, string>>;
  readonly #target: ConnectionTarget;
  readonly #control: HttpControl;
  readonly #events: HttpEvents;
  readonly #attribution: Attribution;
  readonly #messages: ServerMessages;
  readonly #calls: HttpCalls;
  readonly #spans = new Spans();
  readonly #backOff: BackOff;
  /** Upstream ids of calls in flight that were sent a second time. */
  readonly #repeated = new Set<number>();
  #era: Era | null;
  #timer: NodeJS.Timeout | undefined;
  #isHandshaking = false;
  #recoverAfter: Milliseconds = 0;
  #stopping = false;

  constructor(
    context: EndpointContext,
    owner: EndpointOwner,
    at: { server: number; index: number },
    config: UrlEndpointSnapshot,
    breaker: Breaker,
    profile: ConnectionProfile,
  ) {
    super(context, owner, { ...at, weight: config.weight }, breaker, profile);
    const { connectTimeoutMs, maxConnections, maxQueue } = owner.config;
    this.#config = config;
    const { url, headers } = addressOf(config);
    this.#configured = headers;
    const connections = profile.exclusive ? 1 : maxConnections;
    this.#target = connectionTarget(url, connectTimeoutMs, context);
    this.#control = new HttpControl(this.#target, context.decoder, {
      maxStreams: connections,
      maxNotifications: context.config.current.limits.maxServerRequests,
    });
    this.#attribution = new Attribution(this, profile, true);
    this.#messages = new ServerMessages(this, owner, context.sink, this.#attribution);
    const streams = {
      control: this.#control,
      configured: this.#configured,
      decoder: context.decoder,
      target: this.#target,
      acknowledgeMs: connectTimeoutMs,
    };
    this.#events = new HttpEvents(streams, this.#messages, this);
    const heads = new HttpHeads(this.#configured, { era: Era.legacy, revision: Revision.none, sessionId: '' });
    this.#calls = new HttpCalls(this.#target, this, { maxConnections: connections, maxQueue }, heads);
    this.#era = profile.legacyOnly ? Era.legacy : null;
    this.#backOff = config.detect ? detectionBackOff(config) : new BackOff();
  }

  start(): void {
    if (this.#stopping || this.#isHandshaking) return;
    clearTimeout(this.#timer);
    this.#isHandshaking = true;
    if (this.state !== 'ready') this.setState('connecting', '');
    void this.#handshake();
  }

  async stop(): Promise<void> {
    if (this.#stopping) return;
    this.#stopping = true;
    clearTimeout(this.#timer);
    this.setState('stopped', '');
    this.#events.stop();
    this.context.sink.disconnected(this);
    this.#calls.close();
    const { heads } = this.#calls;
    const ended = heads.sessionId === '' ? null : this.#control.endSession(heads.forControl(''), SESSION_END_MS);
    for (const exchange of this.calls()) {
      const { sent } = exchange.call;
      this.withdraw(exchange);
      this.fail(exchange, 'GW_UPSTREAM_CLOSED', sent);
    }
    await ended;
    this.#calls.destroy();
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
    if (this.state !== 'ready' && !(this.profile.lazy && this.state === 'connecting' && !this.#stopping)) {
      this.context.deferred.add(this, exchange, 'GW_UPSTREAM_DOWN');
      return;
    }
    if (!this.#calls.submit(exchange, bytes, method, nameHeader, extraHeaders)) {
      this.context.deferred.add(this, exchange, 'GW_UPSTREAM_BUSY');
    }
  }

  pause(exchange: Exchange): void {
    (exchange.call.connection as CallStream | null)?.pause();
  }

  resume(exchange: Exchange): void {
    (exchange.call.connection as CallStream | null)?.resume();
  }

  async request(method: string, params: object | null, options: { timeoutMs: Milliseconds }): Promise<ControlReply> {
    const id = this.#control.nextId();
    const body = controlMessage(id, method, params, this.era === Era.modern);
    const { heads } = this.#calls;
    let reply: ControlReply;
    try {
      reply = await this.#control.post(body, id, heads.forControl(method), options.timeoutMs);
    } catch (error) {
      if (error instanceof ControlError && error.kind === 'http' && error.number === 404)
        this.#recover(heads.sessionId);
      throw error;
    }
    if (!isSessionLost(reply.status, heads.sessionId, reply.bytes, reply.spans)) return reply;
    this.#recover(heads.sessionId);
    throw new ControlError('closed', 'the upstream has lost the session');
  }

  /** Modern upstreams get no responses: they send no requests (MCP 2026-07-28, Streamable HTTP). */
  reply(bytes: Buffer): void {
    if (this.state !== 'ready' || this.#isHandshaking || this.era === Era.modern) return;
    void this.#deliver(bytes);
  }

  async #deliver(bytes: Buffer): Promise<void> {
    const { heads } = this.#calls;
    const status = await this.#control.notify(bytes, heads.forControl(''));
    if (status === 404) this.#recover(heads.sessionId);
  }

  /** See {@link SessionObserver}. */
  sessionLost(): void {
    this.#recover(this.#calls.heads.sessionId);
  }

  get callCount(): Count {
    return this.inFlight;
  }

  isInFlight(exchange: Exchange): boolean {
    return this.holds(exchange);
  }

  callsInFlight(): Exchange[] {
    return this.calls();
  }

  override listen(filter: ListenFilter): Promise<ListenFilter> {
    return this.#events.listen(filter);
  }

  override tick(now: Milliseconds): void {
    this.#calls.tick(now);
    this.#messages.tick();
  }

  document(stream: CallStream, bytes: Uint8Array, length: number): void {
    const { exchange } = stream;
    const spans = this.#spans;
    if (exchange === null) {
      this.#messages.unknownResponse();
      return;
    }
    const status = this.context.decoder.scan(bytes, length, spans.words, UPSTREAM_DEPTH);
    const kind = status === ScanStatus.ok ? spans.kind : Kind.none;
    if (kind === Kind.response) {
      if (parseId(bytes, spans.idStart, spans.idEnd) !== stream.upstreamId) {
        this.#messages.unknownResponse();
        return;
      }
      stream.drain(performance.now());
      this.finish(exchange, bytes, length, spans);
    } else if (kind === Kind.notification || kind === Kind.request) {
      this.#messages.receive(exchange, bytes, length, spans);
    } else {
      this.#refuse(stream, exchange);
    }
  }

  largeStart(stream: CallStream, bytes: Uint8Array, length: number): boolean {
    const { exchange } = stream;
    return exchange !== null && this.context.sink.largeStart(exchange, bytes, length);
  }

  largePart(stream: CallStream, bytes: Uint8Array, start: number, end: number): void {
    const { exchange } = stream;
    if (exchange === null) return;
    this.prolong(exchange);
    this.context.sink.largePart(exchange, bytes, start, end);
  }

  largeEnd(stream: CallStream, complete: boolean): void {
    const { exchange } = stream;
    stream.exchange = null;
    if (complete) stream.drain(performance.now());
    if (exchange !== null) this.finishLarge(exchange, complete);
  }

  streamEnded(stream: ResumedStream, status: number): void {
    const { exchange, sessionId } = stream;
    stream.exchange = null;
    if (exchange === null) return;
    if (status === 404) this.#recover(sessionId);
    this.fail(exchange, stream.failure ?? 'GW_UPSTREAM_TRUNCATED', true);
  }

  completed(connection: HttpConnection, status: number, json: boolean, body: Buffer | null): void {
    const { exchange, upstreamId, sessionId } = connection;
    if (exchange === null) {
      this.#calls.release(connection);
      return;
    }
    connection.exchange = null;
    if (body === null) {
      this.#truncated(connection, exchange);
      return;
    }
    const spans = this.#spans;
    const isResponse =
      json &&
      this.context.decoder.scan(body, body.length, spans.words, UPSTREAM_DEPTH) === ScanStatus.ok &&
      spans.kind === Kind.response;
    if (status === 200) {
      const isOurs = isResponse && parseId(body, spans.idStart, spans.idEnd) === upstreamId;
      this.#calls.release(connection);
      if (isOurs) this.finish(exchange, body, body.length, spans);
      else this.fail(exchange, 'GW_UPSTREAM_PROTOCOL', true);
      return;
    }
    if (isSessionLost(status, sessionId, body, isResponse ? spans : null) && !this.#repeated.has(upstreamId)) {
      this.#repeatInNewSession(connection, exchange);
      return;
    }
    this.#calls.release(connection);
    this.#refusal(exchange, { status, body, spans: isResponse ? spans : null, id: upstreamId, sessionId });
  }

  failed(connection: HttpConnection, error: ErrorCode): void {
    const { exchange } = connection;
    connection.exchange = null;
    if (exchange === null) {
      this.#calls.release(connection);
    } else if (error === 'GW_UPSTREAM_TRUNCATED') {
      this.#truncated(connection, exchange);
    } else if (error === 'GW_UPSTREAM_CLOSED' && this.#mayRepeat(exchange)) {
      this.#sendAgain(connection, exchange);
    } else {
      this.#calls.release(connection);
      this.fail(exchange, error, exchange.call.sent);
    }
  }

  protected withdraw(exchange: Exchange): void {
    if (this.#calls.remove(exchange)) return;
    const stream = exchange.call.connection as CallStream | null;
    if (stream === null || stream.exchange !== exchange) return;
    // A modern server takes the end of the stream as cancellation, a legacy one needs a notification (MCP, cancellation).
    if (this.era === Era.legacy && exchange.call.sent) {
      this.#attribution.cancelled();
      const cancellation = controlMessage(
        null,
        'notifications/cancelled',
        { requestId: exchange.call.upstreamId },
        false,
      );
      void this.#control.notify(cancellation, this.#calls.heads.forControl(''));
    }
    stream.abandon();
  }

  protected callEnded(exchange: Exchange): void {
    this.#attribution.ended(exchange);
    if (this.#repeated.size > 0) this.#repeated.delete(exchange.call.upstreamId);
  }

  /** A message that cannot be passed on, on the stream of a call. */
  #refuse(stream: CallStream, exchange: Exchange): void {
    stream.abandon();
    this.fail(exchange, 'GW_UPSTREAM_PROTOCOL', true);
  }

  /** A stream ended without the response. Where its events have ids, it is resumed (resume.ts). */
  #truncated(connection: HttpConnection, exchange: Exchange): void {
    const { lastEventId, retryMs, sessionId } = connection;
    const handshake = this.handshake;
    const resumable = this.era === Era.legacy && this.revision >= Revision.r2025_03_26 && lastEventId !== '';
    if (!resumable || handshake === null || sessionId !== this.#calls.heads.sessionId || this.#stopping) {
      this.#calls.release(connection);
      this.fail(exchange, 'GW_UPSTREAM_TRUNCATED', true);
      return;
    }
    const stream = new ResumedStream({ exchange, sessionId, at: { lastEventId, retryMs } }, this.#target, this);
    exchange.call.connection = stream;
    this.#calls.release(connection);
    void stream.run(this.#control, this.#configured, handshake);
  }

  #refusal(
    exchange: Exchange,
    answer: { status: number; body: Buffer; spans: Spans | null; id: number; sessionId: string },
  ): void {
    const { error, reprobe } = interpretRefusal({ ...answer, era: this.era });
    if (reprobe) this.#reprobe();
    if (error !== null) this.fail(exchange, error, true);
    else if (answer.spans !== null) this.finish(exchange, answer.body, answer.body.length, answer.spans);
  }

  /** The session is unknown to the upstream, so the call was not executed: sends it again in a new session. */
  #repeatInNewSession(connection: HttpConnection, exchange: Exchange): void {
    if (this.#recover(connection.sessionId)) {
      this.#sendAgain(connection, exchange);
    } else {
      this.#calls.release(connection);
      this.fail(exchange, 'GW_UPSTREAM_PROTOCOL', true);
    }
  }

  /**
   * Whether a call whose connection was closed without a response may be sent again: it is safe to repeat, and the client has
   * received no events of it. This happens when a server restarts, or closes an idle connection while a call is in flight.
   */
  #mayRepeat(exchange: Exchange): boolean {
    if (this.#stopping || exchange.client.events > 0 || this.#repeated.has(exchange.call.upstreamId)) return false;
    return (exchange.verdict.flags & VerdictFlag.safe) !== 0;
  }

  #sendAgain(connection: HttpConnection, exchange: Exchange): void {
    this.#repeated.add(connection.upstreamId);
    if (!this.#calls.resend(connection, exchange)) this.fail(exchange, 'GW_UPSTREAM_BUSY', false);
  }

  /**
   * Opens a new session, unless the lost one was replaced already; after a pause where the server loses sessions in a row.
   *
   * @returns whether there is or will be another session
   */
  #recover(lostSession: string): boolean {
    if (lostSession === '' || this.#stopping || this.state !== 'ready') return false;
    if (this.#isHandshaking || lostSession !== this.#calls.heads.sessionId) return true;
    this.stats.sessionsLost += 1;
    this.context.log.info(this.names, 'upstream session lost, opening another');
    this.#renew();
    return true;
  }

  /** Detects the era again. */
  #reprobe(): void {
    if (this.#isHandshaking || this.#stopping || performance.now() < this.#recoverAfter) return;
    if (!this.profile.legacyOnly) this.#era = null;
    this.#renew();
  }

  /** Starts a new handshake; calls wait for it. */
  #renew(): void {
    const now = performance.now();
    const wait = this.#recoverAfter - now;
    this.#recoverAfter = Math.max(now, this.#recoverAfter) + RECOVERY_MS;
    this.#events.stop();
    this.context.sink.disconnected(this);
    this.#isHandshaking = true;
    this.#calls.isHeld = true;
    this.#timer = setTimeout(() => void this.#handshake(), Math.max(0, wait));
  }

  async #handshake(): Promise<void> {
    try {
      const handshake = await httpHandshake(this.#control, this.#configured, {
        era: this.#era,
        timeoutMs: this.owner.config.connectTimeoutMs,
        initialize: initializeParams(this.profile),
      });
      if (this.#stopping) return;
      this.#isHandshaking = false;
      // Calls that wait were composed for a server of the other era.
      if (this.state === 'ready' && handshake.era !== this.era) this.#failQueue();
      this.#era = handshake.era;
      this.#backOff.reset();
      this.#calls.use(new HttpHeads(this.#configured, handshake), handshake.era);
      this.#events.start(handshake);
      this.becomeReady(handshake);
      this.#calls.sendQueued();
    } catch (error) {
      this.#isHandshaking = false;
      if (this.#stopping) return;
      // The detected era may be out of date: the next attempt detects it again.
      if (!this.profile.legacyOnly) this.#era = null;
      if (this.#config.detect && !this.profile.lazy && suggestsSse(error)) {
        tryOtherTransport(this.#config, (error as ControlError).message);
        this.#failQueue();
        this.setState('backoff', 'the upstream does not support Streamable HTTP');
        this.owner.wrongTransport?.(this);
        return;
      }
      this.setState('backoff', handshakeReason(this.#config, error));
      this.#failQueue();
      this.#timer = setTimeout(() => this.start(), this.retryingIn(this.#backOff.next()));
    }
  }

  #failQueue(): void {
    for (const exchange of this.#calls.takeQueued()) this.fail(exchange, 'GW_UPSTREAM_DOWN', false);
  }
}
