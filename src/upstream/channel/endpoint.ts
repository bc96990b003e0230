import { Flag, Method, ScanStatus } from '../../../native/layout.js';
import type { Spans } from '../../../native/spans.js';
import type { ErrorCode } from '../../errors.js';
import { ASKABLE } from '../../protocol/client-capabilities.js';
import { Era } from '../../protocol/revisions.js';
import type { Exchange } from '../../request/exchange/index.js';
import type { Bytes, Count, Milliseconds } from '../../units.js';
import type { Breaker } from '../balance/breaker.js';
import { CallQueue, recycle } from '../balance/queue.js';
import { ControlError, type ControlReply, cancelledParams, FIRST_CALL_ID, parseId } from '../core/control.js';
import type { CredentialError } from '../core/credentials.js';
import { BaseEndpoint, type EndpointContext, type EndpointOwner } from '../core/endpoint.js';
import { LateTasks } from '../core/late-tasks.js';
import { MessageCost } from '../core/limits/notification-limit.js';
import { MessageReader, type MessageReceiver } from '../core/message-reader.js';
import { Opening } from '../core/opening.js';
import { type ConnectionProfile, isDedicated, type ListenFilter } from '../core/types.js';
import { Attribution, type CallsInFlight } from '../messages/attribution.js';
import { ServerMessages } from '../messages/server-messages.js';
import { channelHandshake, ProbeEnded } from './handshake.js';
import type { Channel, ChannelListener, ChannelOptions } from './index.js';
import { JunkReports } from './junk-reports.js';
import { ChannelListen } from './listen.js';
import { LostAnswers } from './lost-answers.js';
import { ChannelRequests } from './requests.js';
import { ChannelRestarts } from './restarts.js';
import { Salvage, type SalvageReceiver } from './salvage.js';
import type { SkippedMessage } from './skipped-message.js';
import { type UnreadCall, UnreadCalls } from './unread-calls.js';

const NO_CALLS: readonly UnreadCall[] = [];

/**
 * An endpoint with one {@link Channel} for all its traffic, opened again when it ends. At most one channel is open at a time;
 * it reports here.
 */
export abstract class ChannelEndpoint
  extends BaseEndpoint
  implements ChannelListener, MessageReceiver, CallsInFlight, SalvageReceiver
{
  callCount: Count = 0;

  readonly #restarts: ChannelRestarts;
  readonly #lateTasks = new LateTasks(this);
  readonly #reader: MessageReader;
  readonly #attribution: Attribution;
  readonly #messages: ServerMessages;
  readonly #requests = new ChannelRequests();
  readonly #lost = new LostAnswers(this, this.#requests);
  readonly #salvage: Salvage;
  readonly #listen: ChannelListen;
  readonly #queue: CallQueue;
  readonly #maxActive: Count;
  readonly #neverProbe: boolean;
  readonly #unread = new UnreadCalls();
  readonly #junk: JunkReports;
  #channel: Channel | null = null;
  #probeEnded = false;
  #isInitialized = false;
  /** Null when calls are sent, and where the server does not belong to one client that it may ask. */
  #opening: Opening | null = null;
  /** The handshake on the channel probes the era: where the channel ends by that, the next one goes without. */
  #isProbing = false;
  /** Why the gateway itself ended the channel, else ''. */
  #terminationReason = '';
  #stopping = false;
  /** What the buffer budget counts of the channel's queue. */
  #countedBytes: Bytes = 0;

  constructor(
    context: EndpointContext,
    owner: EndpointOwner,
    at: { server: number; index: number; weight: number },
    breaker: Breaker,
    profile: ConnectionProfile,
    options: ChannelOptions,
  ) {
    super(context, owner, at, breaker, profile);
    const { maxQueue, maxConnections, connectTimeoutMs } = owner.config;
    this.#neverProbe = profile.legacyOnly || options.legacyOnly;
    // A lazy endpoint is started by a call, which has to wait.
    this.#queue = new CallQueue(profile.lazy ? Math.max(1, maxQueue) : maxQueue);
    this.#maxActive = profile.exclusive ? 1 : maxConnections;
    this.#restarts = new ChannelRestarts(this, options.budget, options.backOff);
    this.#attribution = new Attribution(this, profile, false);
    this.#messages = new ServerMessages(this, owner, context.sink, this.#attribution);
    this.#junk = new JunkReports(context, this.names, this.stats, this.notificationLimit);
    this.#salvage = new Salvage(this, this.#lost, owner.config);
    this.#listen = new ChannelListen(this.#requests, this.#messages, connectTimeoutMs);
    this.#reader = new MessageReader(context.decoder, context.config.current.limits.maxBatch, this);
  }

  /** Opens a channel that reports here. @throws Error when that is impossible from the start */
  protected abstract open(): Channel;
  /** The reason that is shown when a channel has ended. */
  protected reasonFor(reason: string): string {
    return reason;
  }
  /** The name of the other side in log lines, such as `stdio child`. */
  protected abstract readonly peerName: string;

  /** Some servers exit on the probe, so the first end may be the fault of it. */
  override get hasFailed(): boolean {
    const isProbe = !this.#neverProbe && this.handshake === null && this.stats.restarts <= 1 && !this.#stopping;
    return super.hasFailed && !isProbe;
  }

  start(): void {
    if (this.#stopping || this.#channel !== null) return;
    this.setConnecting();
    this.#terminationReason = '';
    this.#isInitialized = false;
    this.hasDeclinedOpening = false;
    this.#isProbing = false;
    try {
      this.#attach(this.open());
    } catch (error) {
      this.#restart(`cannot be started (${(error as NodeJS.ErrnoException).code ?? 'error'})`);
      this.#failCalls('GW_UPSTREAM_DOWN', this.isAwaitable(performance.now()));
    }
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    this.#restarts.stop();
    this.setState('stopped', '');
    if (this.#channel === null) this.#failCalls('GW_UPSTREAM_DOWN');
    await this.#channel?.stop();
  }

  call(exchange: Exchange, bytes: Buffer, method: number): void {
    this.accept(exchange);
    if (this.state === 'ready' && this.#channel !== null) {
      if (this.callCount < this.#maxActive) this.#send(exchange, bytes);
      else this.#enqueue(exchange, bytes, method);
    } else if ((this.profile.lazy && this.state === 'connecting') || this.isAwaitable(performance.now())) {
      this.#enqueue(exchange, bytes, method);
    } else {
      this.context.deferred.add(this, exchange, 'GW_UPSTREAM_DOWN');
    }
  }

  /** Both do nothing: the channel is shared by all calls, so one slow client must not hold back the others. */
  pause(): void {}
  resume(): void {}

  request(method: string, params: object | null, options: { timeoutMs: Milliseconds }): Promise<ControlReply> {
    return this.#requests.request(method, params, options.timeoutMs, this.era === Era.modern);
  }

  reply(bytes: Buffer): void {
    this.#channel?.write(bytes, null, 0);
    this.#opening?.answered();
  }

  override retry(): void {
    if (this.#channel === null && (this.state === 'backoff' || this.state === 'failed')) this.#restarts.now();
  }

  /** Calls wait up to `connectTimeoutMs` each, where the family of the server is known from an earlier handshake. */
  override isAwaitable(now: Milliseconds): boolean {
    const { connectTimeoutMs, maxQueue } = this.owner.config;
    if (this.handshake === null || maxQueue === 0 || this.state === 'ready' || this.state === 'stopped') return false;
    return this.retryAt - now < connectTimeoutMs;
  }

  override listen(filter: ListenFilter): Promise<ListenFilter> {
    if (this.state !== 'ready' || this.era !== Era.modern) return super.listen(filter);
    return this.#listen.open(filter);
  }

  override get isSettled(): boolean {
    return this.#attribution.isSettled;
  }

  override get isInitialized(): boolean {
    return this.#isInitialized;
  }

  override tick(now: Milliseconds): void {
    this.#restarts.tick(now);
    if (this.#queue.size > 0 && this.state !== 'ready') this.#expireWaiting(now);
    this.#countQueued();
    this.#messages.tick();
  }

  /** The call in flight on the current channel with that id, or null. */
  override callOf(id: number): Exchange | null {
    const exchange = super.callOf(id);
    return exchange !== null && exchange.call.connection === this.#channel ? exchange : null;
  }

  /** Whether the call was written on the current channel and has not ended. */
  isInFlight(exchange: Exchange): boolean {
    return exchange.call.connection !== null && exchange.call.connection === this.#channel && this.holds(exchange);
  }

  callsInFlight(): Exchange[] {
    return this.calls().filter((exchange) => exchange.call.connection === this.#channel);
  }

  opened(): void {
    void this.#handshake();
  }

  message(bytes: Uint8Array, length: number): void {
    this.#reader.read(bytes, length);
  }

  malformed(bytes: Uint8Array): void {
    this.#junk.malformed(this.peerName, bytes);
  }

  skipped(message: SkippedMessage): void {
    const hasFailed = this.#lost.skipped(message, this.context.config.current.limits.maxLineBytes);
    this.#junk.skipped(this.peerName, message, hasFailed);
  }

  messageEndless(): void {
    this.#terminate('GW_RESPONSE_TOO_LARGE', 'sent a message that does not end (limits.maxLineBytes)');
  }

  rejected(id: number, error: ErrorCode, sent: boolean, detail: string): void {
    if (id === 0) return;
    if (id < FIRST_CALL_ID) {
      this.#requests.fail(id, new ControlError('closed', detail || 'the upstream refused the message'));
      return;
    }
    const exchange = this.callOf(id);
    if (exchange !== null) this.fail(exchange, error, sent, detail);
  }

  unread(owner: Exchange, id: number, message: Buffer): boolean {
    return !this.#stopping && this.callOf(id) === owner && this.#unread.add(owner, message);
  }

  closed(reason: string, error: CredentialError | null = null): void {
    if (this.#channel === null) return;
    this.#attach(null);
    this.#countQueued();
    this.#listen.reset();
    this.#requests.failAll(new ControlError('closed', `the upstream ${reason}`));
    // The state comes first: calls that fail over must not be sent here.
    if (!this.#stopping) {
      this.stats.restarts += 1;
      this.#restart(this.#terminationReason === '' ? this.reasonFor(reason) : this.#terminationReason);
    }
    const isAwaitable = !this.#stopping && this.isAwaitable(performance.now());
    if (this.#isInitialized) this.context.sink.disconnected(this);
    const unread = this.#stopping ? NO_CALLS : this.#unread.take();
    this.#failCalls('GW_UPSTREAM_CLOSED', isAwaitable, unread, error);
    for (const { exchange, message } of unread) {
      exchange.call.connection = null;
      exchange.call.sent = false;
      this.#enqueue(exchange, message, 0);
    }
  }

  receiveResponse(bytes: Uint8Array, length: number, spans: Spans): void {
    const id = parseId(bytes, spans.idStart, spans.idEnd);
    if (id >= 0 && id < FIRST_CALL_ID) {
      if (!this.#requests.settle(id, bytes, length, spans)) this.#messages.unknownResponse();
      return;
    }
    const exchange = this.callOf(id);
    if (exchange?.call.upstreamId === id) this.finish(exchange, bytes, length, spans);
    else if (!this.#lateTasks.answered(id, bytes, spans)) this.#messages.unknownResponse();
  }

  receiveNotification(bytes: Uint8Array, length: number, spans: Spans): void {
    const method = spans.method;
    if (method === Method.acknowledged) {
      this.#listen.acknowledged(bytes, length);
    } else if (method === Method.cancelled && this.era === Era.modern) {
      // A modern server ends a listen in this way; it sends no requests that it could cancel.
      if (!this.notificationLimit.admit(MessageCost.notification)) return;
      this.#listen.cancelled(parseId(bytes, spans.requestIdStart, spans.requestIdEnd));
    } else {
      this.#messages.notification(null, bytes, length, spans);
    }
  }

  receiveRequest(bytes: Uint8Array, length: number, spans: Spans): void {
    let call: Exchange | null = null;
    if (this.#opening !== null) {
      this.#opening.asked();
      // An endpoint that is leased to one call was started for it, or for the lists of its client.
      if (this.profile.exclusive) call = this.calls()[0] ?? null;
      this.hasDeclinedOpening ||= this.profile.exclusive && call === null;
    }
    this.#messages.request(call, bytes, length, spans);
  }

  receiveUnreadable(bytes: Uint8Array, length: number, status: number, spans: Spans): void {
    if (status === ScanStatus.notJson) {
      this.#salvage.unreadable(bytes.subarray(0, length));
      return;
    }
    this.malformed(bytes.subarray(0, length));
    if (spans.idStart < 0) return;
    if ((spans.flags & Flag.idIsString) !== 0) return;
    // JSON with the id of a call, but no response: the call fails now instead of at its deadline.
    const exchange = this.callOf(parseId(bytes, spans.idStart, spans.idEnd));
    if (exchange !== null) this.fail(exchange, 'GW_UPSTREAM_PROTOCOL', true);
  }

  protected withdraw(exchange: Exchange, reason: string): void {
    if (this.#queue.remove(exchange)) return;
    // A call whose failure is deferred (no channel, no room) was never written.
    if (!this.isInFlight(exchange) || this.#channel?.withdraw(exchange) !== false) return;
    if (this.#lateTasks.expect(exchange.call)) return;
    this.#requests.notify('notifications/cancelled', cancelledParams(exchange.call.upstreamId, reason));
    this.#attribution.cancelled();
  }

  /** The next call that waits is sent. */
  protected callEnded(exchange: Exchange): void {
    this.#unread.ended(exchange);
    if (exchange.call.connection === null || exchange.call.connection !== this.#channel) return;
    this.callCount -= 1;
    this.#attribution.ended(exchange);
    if (this.#queue.size > 0) this.#sendQueued();
  }

  #attach(channel: Channel | null): void {
    this.#channel = channel;
    this.#requests.attach(channel);
  }

  #enqueue(exchange: Exchange, bytes: Buffer, method: number): void {
    if (!this.#queue.push(exchange, bytes, method, '', null))
      this.context.deferred.add(this, exchange, 'GW_UPSTREAM_BUSY');
  }

  #send(exchange: Exchange, bytes: Buffer): void {
    const channel = this.#channel;
    if (channel === null || !channel.write(bytes, exchange, exchange.call.upstreamId)) {
      this.context.deferred.add(this, exchange, 'GW_UPSTREAM_BUSY');
      return;
    }
    exchange.call.connection = channel;
    this.#countQueued();
    this.callCount += 1;
    this.#attribution.written(exchange);
  }

  #sendQueued(): void {
    // As long as writes fail: a call that was never written is followed by no other when it ends.
    while (this.#queue.size > 0 && this.state === 'ready' && this.callCount < this.#maxActive) {
      const next = this.#queue.shift();
      if (next === null) return;
      const { exchange, bytes } = next;
      recycle(next);
      if (exchange !== null) this.#send(exchange, bytes);
    }
  }

  async #handshake(): Promise<void> {
    const channel = this.#channel;
    if (channel === null || this.#stopping) return;
    this.#isProbing = !this.#neverProbe && !this.#probeEnded;
    try {
      const handshake = await channelHandshake(this.#requests, {
        legacyOnly: !this.#isProbing,
        timeoutMs: this.owner.config.connectTimeoutMs,
        profile: this.profile,
      });
      if (this.#channel !== channel || this.#stopping) return;
      this.#isInitialized = true;
      this.#isProbing = false;
      if (isDedicated(this.profile) && (this.profile.capabilities & ASKABLE) !== 0) {
        await this.#open();
        if (this.#channel !== channel || this.#stopping) return;
      }
      this.#restarts.ready();
      this.becomeReady(handshake);
      this.#sendQueued();
    } catch (error) {
      this.#probeEnded = error instanceof ProbeEnded;
      if (this.#channel !== channel || this.#stopping) return;
      this.#terminationReason = `the handshake failed: ${(error as Error).message}`;
      void channel.terminate();
    }
  }

  async #open(): Promise<void> {
    const opening = new Opening();
    this.#opening = opening;
    await opening.settled((timeoutMs) => this.#requests.request('ping', null, timeoutMs, false));
    if (this.#opening === opening) this.#opening = null;
  }

  /** A message cannot be read, and nothing that follows it. */
  #terminate(error: ErrorCode, reason: string): void {
    const channel = this.#channel;
    if (channel === null) return;
    const { maxLineBytes, maxBufferedBytes } = this.context.config.current.limits;
    this.context.log.warn({ ...this.names, maxLineBytes, maxBufferedBytes }, `${this.peerName} ${reason}`);
    this.#terminationReason = reason;
    // The pause is known when the channel has closed.
    this.setState('backoff', reason);
    this.#failCalls(error);
    void channel.terminate();
  }

  /** Counts the bytes that wait to be written. */
  #countQueued(): void {
    const queued = this.#channel?.queued ?? 0;
    this.context.table.budget.add(queued - this.#countedBytes);
    this.#countedBytes = queued;
  }

  #restart(reason: string): void {
    const { state, pauseMs } = this.#restarts.schedule(this.#isInitialized);
    this.setUnavailable(state, reason, pauseMs, !this.#isProbing);
  }

  /** Fails calls that have waited for the connection for too long. */
  #expireWaiting(now: Milliseconds): void {
    for (const exchange of this.calls()) {
      if (now - exchange.call.sentAt < this.owner.config.connectTimeoutMs || !this.#queue.remove(exchange)) continue;
      this.fail(exchange, 'GW_UPSTREAM_DOWN', false);
    }
  }

  /**
   * @param keepWaiting calls that were not written wait for the next channel
   * @param spared calls that are sent again
   */
  #failCalls(error: ErrorCode, keepWaiting = false, spared = NO_CALLS, why: CredentialError | null = null): void {
    if (!keepWaiting) {
      for (let waiting = this.#queue.shift(); waiting !== null; waiting = this.#queue.shift()) recycle(waiting);
    }
    if (this.inFlight > 0) {
      for (const exchange of this.calls()) {
        if (spared.some((call) => call.exchange === exchange)) continue;
        if (keepWaiting && exchange.call.connection === null && !exchange.call.sent) continue;
        const { sent } = exchange.call;
        this.fail(exchange, sent ? error : (why?.code ?? 'GW_UPSTREAM_DOWN'), sent, sent ? '' : (why?.message ?? ''));
      }
    }
    this.callCount = 0;
    this.#attribution.reset();
  }
}
