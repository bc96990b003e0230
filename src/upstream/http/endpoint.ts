import { Flag } from '../../../native/layout.js';
import { Spans } from '../../../native/spans.js';
import type { UrlEndpointSnapshot } from '../../config/snapshot/index.js';
import type { ErrorCode } from '../../errors.js';
import { UPSTREAM_DEPTH } from '../../protocol/depth.js';
import { Era, Revision } from '../../protocol/revisions.js';
import type { Exchange } from '../../request/exchange/index.js';
import type { Count, Milliseconds } from '../../units.js';
import { BackOff } from '../balance/back-off.js';
import type { Breaker } from '../balance/breaker.js';
import { ControlError, type ControlReply, controlMessage } from '../core/control.js';
import { callFailure, isCredentialStatus, withAdvice } from '../core/credentials.js';
import { BaseEndpoint, type EndpointContext, type EndpointOwner } from '../core/endpoint.js';
import { Answer, answerOf } from '../core/http/answer.js';
import { detectionBackOff, handshakeReason, suggestsSse, tryOtherTransport } from '../core/http/detection.js';
import { addressOf, HttpHeads } from '../core/http/heads.js';
import { isRedirect } from '../core/http/location.js';
import { LateTasks } from '../core/late-tasks.js';
import { isGone } from '../core/lost-session.js';
import { reasonOf } from '../core/reasons.js';
import type { ConnectionProfile, ListenFilter } from '../core/types.js';
import { Attribution, type CallsInFlight } from '../messages/attribution.js';
import { ServerMessages } from '../messages/server-messages.js';
import { type CallMessageListener, CallMessages } from './call-messages.js';
import type { CallStream } from './call-stream.js';
import { type CallsListener, HttpCalls } from './calls.js';
import { HttpConnection } from './connection.js';
import { HttpControl } from './control.js';
import { HttpEvents } from './events.js';
import { httpHandshake } from './handshake.js';
import { HttpJunk } from './junk.js';
import { SessionOpening } from './opening.js';
import { CallRedirects } from './redirects.js';
import { interpretRefusal, scanRefusal } from './refusals.js';
import { CallRepeats, type SessionKeeper } from './repeats.js';
import { ResumedStream, type ResumeListener } from './resume.js';
import { isSessionError, sessionLoss } from './session.js';
import type { SessionObserver } from './standalone-stream.js';
import { type ConnectionTarget, connectionTarget } from './wire/target.js';
import { Withdrawals } from './withdrawals.js';

/** Shortest time between two sessions that are opened because the one before was lost. */
const RECOVERY_MS: Milliseconds = 1_000;
/** Longest wait for the DELETE of a session when the endpoint is stopped. */
const SESSION_END_MS: Milliseconds = 500;

/** One Streamable HTTP endpoint: keep-alive connections for calls, and control traffic apart from them. */
export class HttpEndpoint
  extends BaseEndpoint
  implements CallsListener, ResumeListener, CallMessageListener, CallsInFlight, SessionObserver, SessionKeeper
{
  readonly transport = 'http';
  readonly #config: UrlEndpointSnapshot;
  readonly #configured: Readonly<Record<string, string>>;
  readonly #target: ConnectionTarget;
  readonly #control: HttpControl;
  readonly #events: HttpEvents;
  readonly #attribution: Attribution;
  readonly #messages: ServerMessages;
  readonly #callMessages: CallMessages;
  readonly #redirects: CallRedirects;
  readonly #calls: HttpCalls;
  readonly #spans = new Spans();
  readonly #backOff: BackOff;
  readonly #repeats: CallRepeats;
  readonly #opening: SessionOpening;
  readonly #withdrawals: Withdrawals;
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
    const { connectTimeoutMs, maxQueue } = owner.config;
    const maxConnections = profile.exclusive ? 1 : owner.config.maxConnections;
    this.#config = config;
    const { url, headers } = addressOf(config);
    this.#configured = headers;
    const credentials = context.credentials.of(owner.config, config, profile);
    this.#target = connectionTarget(url, credentials, connectTimeoutMs, context);
    this.#control = new HttpControl(this.#target, context.decoder, {
      maxStreams: maxConnections,
      maxNotifications: context.config.current.limits.maxServerRequests,
    });
    this.#attribution = new Attribution(this, profile, true);
    this.#messages = new ServerMessages(this, owner, context.sink, this.#attribution);
    this.#redirects = new CallRedirects(this.#target.location);
    const junk = new HttpJunk(this, context.log, this.names);
    const lateTasks = new LateTasks(this);
    this.#callMessages = new CallMessages(this, this.#messages, junk, lateTasks, context, this.#target.maxBatch);
    const streams = {
      junk,
      control: this.#control,
      configured: this.#configured,
      decoder: context.decoder,
      target: this.#target,
      acknowledgeMs: connectTimeoutMs,
    };
    this.#opening = new SessionOpening(this, this.#messages, this.#control, this.#configured);
    this.#events = new HttpEvents(streams, this.#opening, this);
    const heads = new HttpHeads(this.#configured, { era: Era.legacy, versionHeader: '', sessionId: '' });
    const limits = { maxConnections, maxQueue };
    this.#calls = new HttpCalls(this.#target, this, this.#callMessages, limits, heads);
    this.#repeats = new CallRepeats(this.#calls, this, credentials);
    this.#withdrawals = new Withdrawals(this.#calls, this.#control, this.#attribution, lateTasks);
    this.#era = profile.legacyOnly ? Era.legacy : null;
    this.#backOff = config.detect ? detectionBackOff(config) : new BackOff();
  }

  start(): void {
    if (this.#stopping || this.#isHandshaking) return;
    clearTimeout(this.#timer);
    this.#isHandshaking = true;
    if (this.state !== 'ready') this.setConnecting();
    void this.#handshake();
  }

  async stop(): Promise<void> {
    if (this.#stopping) return;
    this.#stopping = true;
    clearTimeout(this.#timer);
    this.setState('stopped', '');
    this.#events.stop();
    this.context.sink.disconnected(this);
    const { heads } = this.#calls;
    this.#calls.close();
    const ended = heads.sessionId === '' ? null : this.#control.endSession(heads.forControl(''), SESSION_END_MS);
    for (const exchange of this.calls()) {
      const { connection, sent } = exchange.call;
      this.withdraw(exchange, '');
      (connection as CallStream | null)?.abandon();
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
    } else if (!this.#calls.submit(exchange, bytes, method, nameHeader, extraHeaders)) {
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
    const headers = heads.forControl(method, (params as { readonly taskId?: string } | null)?.taskId);
    let reply: ControlReply;
    try {
      reply = await this.#control.post(body, id, headers, options.timeoutMs);
    } catch (error) {
      if (error instanceof ControlError && isSessionError(error) && this.#repeats.isLossOf(method))
        this.recover(heads.sessionId);
      throw error;
    }
    const isLost = sessionLoss(reply.status, heads.sessionId, reply.bytes, reply.spans) === 'lost';
    if (!isLost) this.#repeats.served(method);
    else if (this.#repeats.isLossOf(method)) {
      this.recover(heads.sessionId);
      throw new ControlError('closed', 'the upstream has lost the session');
    }
    return reply;
  }

  /** Modern upstreams get no responses: they send no requests (MCP 2026-07-28, Streamable HTTP). */
  reply(bytes: Buffer): void {
    const isOpen = this.state === 'ready' && !this.#isHandshaking && this.era !== Era.modern;
    if (isOpen || this.#opening.isUnderWay) void this.#deliver(bytes);
  }

  async #deliver(bytes: Buffer): Promise<void> {
    const { heads } = this.#calls;
    const status = await this.#control.notify(bytes, heads.forControl(''));
    this.#opening.answered();
    if (isGone(status)) this.recover(heads.sessionId);
  }

  override get isInitialized(): boolean {
    return super.isInitialized || this.#opening.isUnderWay;
  }

  /** See {@link SessionObserver}. */
  sessionLost(): void {
    this.recover(this.#calls.heads.sessionId);
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

  responded(stream: CallStream, exchange: Exchange, bytes: Uint8Array, length: number, spans: Spans): void {
    if ((spans.flags & Flag.isErrorResponse) !== 0 && stream instanceof HttpConnection) {
      const body = Buffer.from(bytes.buffer, bytes.byteOffset, length);
      const answer = { status: 200, body, spans, id: stream.upstreamId, sessionId: stream.sessionId };
      if (this.#repeats.repeat(stream, exchange, answer, true)) return;
    }
    stream.drain();
    this.finish(exchange, bytes, length, spans);
  }

  unreadable(stream: CallStream, exchange: Exchange): void {
    stream.abandon();
    this.fail(exchange, 'GW_UPSTREAM_PROTOCOL', true);
  }

  streamEnded(stream: ResumedStream, status: number): void {
    const { exchange, sessionId } = stream;
    stream.exchange = null;
    if (exchange === null) return;
    if (isGone(status)) this.recover(sessionId);
    this.fail(exchange, stream.failure ?? 'GW_UPSTREAM_TRUNCATED', true);
  }

  completed(connection: HttpConnection, status: number, body: Buffer | null): void {
    const { exchange } = connection;
    if (exchange === null) {
      if (body !== null) this.#callMessages.document(connection, body, body.length);
      this.#calls.release(connection);
    } else if (body === null) {
      connection.exchange = null;
      this.#truncated(connection, exchange);
    } else if (isRedirect(status)) {
      connection.exchange = null;
      this.#redirected(connection, exchange, status);
    } else if (answerOf(status, false) === Answer.refusal) {
      connection.exchange = null;
      this.#refused(connection, exchange, status, body);
    } else {
      this.#callMessages.document(connection, body, body.length);
      const isAnswered = connection.exchange === null;
      connection.exchange = null;
      this.#calls.release(connection);
      if (!isAnswered) this.fail(exchange, 'GW_UPSTREAM_PROTOCOL', true);
    }
  }

  failed(connection: HttpConnection, error: ErrorCode): void {
    const { exchange } = connection;
    connection.exchange = null;
    if (exchange === null) {
      this.#calls.release(connection);
    } else if (error === 'GW_UPSTREAM_TRUNCATED') {
      this.#truncated(connection, exchange);
    } else if (error === 'GW_UPSTREAM_CLOSED' && !this.#stopping && this.#repeats.mayRepeat(exchange)) {
      // A server restarts, or closes an idle connection while a call is in flight.
      this.#repeats.sendAgain(connection, exchange, false);
    } else {
      this.#calls.release(connection);
      this.fail(exchange, error, exchange.call.sent);
    }
  }

  unauthorized(exchange: Exchange, error: unknown): void {
    const { code, detail } = callFailure(error, this.#target.credentials.advice);
    this.fail(exchange, code, false, detail);
  }

  protected withdraw(exchange: Exchange, reason: string): void {
    this.#withdrawals.withdraw(exchange, this.era, reason);
  }

  protected override finish(exchange: Exchange, bytes: Uint8Array, length: number, spans: Spans): void {
    if ((spans.flags & Flag.isErrorResponse) === 0) this.#repeats.answered(exchange.call.upstreamId);
    super.finish(exchange, bytes, length, spans);
  }

  protected callEnded(exchange: Exchange): void {
    this.#attribution.ended(exchange);
    this.#repeats.ended(exchange.call.upstreamId);
    this.#redirects.ended(exchange.call.upstreamId);
  }

  /** A stream ended without the response. Where its events have ids, it is resumed (resume.ts). */
  #truncated(connection: HttpConnection, exchange: Exchange): void {
    const { resumePoint: at, sessionId } = connection;
    const handshake = this.handshake;
    const resumable = this.era === Era.legacy && this.revision >= Revision.r2025_03_26;
    if (
      !resumable ||
      at === null ||
      handshake === null ||
      sessionId !== this.#calls.heads.sessionId ||
      this.#stopping
    ) {
      this.#calls.release(connection);
      this.fail(exchange, 'GW_UPSTREAM_TRUNCATED', true);
      return;
    }
    const stream = new ResumedStream({ exchange, sessionId, at }, this.#target, this, this.#callMessages);
    exchange.call.connection = stream;
    this.#calls.release(connection);
    void stream.run(this.#control, this.#configured, handshake);
  }

  #refused(connection: HttpConnection, exchange: Exchange, status: number, body: Buffer): void {
    const { upstreamId: id, sessionId } = connection;
    const { decoder } = this.context;
    const spans = this.#spans;
    const refusal = { status, body, spans: scanRefusal(decoder, body, spans), id, sessionId };
    if (this.#repeats.retry(connection, exchange, refusal)) return;
    this.#calls.release(connection);
    const { error, response, reprobe } = interpretRefusal({ ...refusal, era: this.era });
    if (reprobe) this.#reprobe();
    const advice = isCredentialStatus(status) ? this.#target.credentials.advice : '';
    if (response === null) this.fail(exchange, error, true, advice);
    else {
      decoder.scan(response, response.length, spans.words, UPSTREAM_DEPTH);
      this.finish(exchange, response, response.length, spans);
    }
  }

  /** A redirect that can be followed is followed: the call was not executed. */
  #redirected(connection: HttpConnection, exchange: Exchange, status: number): void {
    if (this.#redirects.follow(connection, status)) {
      if (!this.#calls.resend(connection, exchange)) this.fail(exchange, 'GW_UPSTREAM_BUSY', false);
      return;
    }
    this.#calls.release(connection);
    this.#reprobe();
    this.fail(exchange, 'GW_UPSTREAM_REDIRECTED', true);
  }

  /** See {@link SessionKeeper}. */
  isReplaced(heads: HttpHeads | null): boolean {
    return !this.#stopping && (this.#isHandshaking || heads !== this.#calls.heads);
  }

  /**
   * Opens a new session, unless the lost one was replaced already; after a pause where the server loses sessions in a row.
   *
   * @returns whether there is or will be another session
   */
  recover(lostSession: string): boolean {
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
    const { location } = this.#target;
    location.handshakeStarted();
    try {
      const handshake = await httpHandshake(this.#control, this.#configured, {
        era: this.#era,
        timeoutMs: this.owner.config.connectTimeoutMs,
        profile: this.profile,
      });
      if (this.#stopping) return;
      // Calls that wait were composed for a server of the other era.
      if (this.state === 'ready' && handshake.era !== this.era) this.#failQueue(null);
      this.#era = handshake.era;
      this.#backOff.reset();
      this.#calls.use(new HttpHeads(this.#configured, handshake), handshake.era);
      this.#events.start(handshake);
      const settled = this.#opening.settled(handshake, this.#events);
      if (settled !== null) await settled;
      if (this.#stopping) return;
      this.#isHandshaking = false;
      this.becomeReady(handshake);
      this.#calls.sendQueued();
    } catch (error) {
      this.#isHandshaking = false;
      if (this.#stopping) return;
      location.handshakeFailed();
      // The detected era may be out of date: the next attempt detects it again.
      if (!this.profile.legacyOnly) this.#era = null;
      if (this.#config.detect && !this.profile.lazy && suggestsSse(error)) {
        tryOtherTransport(this.#config, reasonOf(error));
        this.#failQueue(null);
        this.owner.wrongTransport?.(this);
        return;
      }
      const reason = withAdvice(handshakeReason(this.#config, error), error, this.#target.credentials.advice);
      const pauseMs = this.setUnavailable('backoff', reason, this.#backOff.next());
      this.#failQueue(error);
      this.#timer = setTimeout(() => this.start(), pauseMs);
    }
  }

  #failQueue(error: unknown): void {
    for (const exchange of this.#calls.takeQueued()) this.unauthorized(exchange, error);
  }
}
