import { Flag, Method, ScanStatus, Span } from '../../../native/layout.js';
import type { ErrorCode } from '../../errors.js';
import { Era } from '../../protocol/revisions.js';
import type { Exchange } from '../../request/exchange/index.js';
import type { Bytes, Milliseconds } from '../../units.js';
import type { BackOff, RestartBudget } from '../balance/back-off.js';
import type { Breaker } from '../balance/breaker.js';
import { CallQueue, recycle } from '../balance/queue.js';
import {
  ControlError,
  type ControlReply,
  controlMessage,
  FIRST_CALL_ID,
  PendingControls,
  parseId,
} from '../core/control.js';
import { BaseEndpoint, type EndpointContext, type EndpointOwner } from '../core/endpoint.js';
import { initializeParams } from '../core/handshake.js';
import { escaped, LogLimit } from '../core/log-limit.js';
import { MessageCost } from '../core/notification-limit.js';
import { answerToRequest } from '../core/server-messages.js';
import type { ConnectionProfile, ListenFilter } from '../core/types.js';
import { ChangeNotices } from '../subscriptions/change-notices.js';
import { ChannelCalls } from './calls.js';
import { channelHandshake, ProbeEnded } from './handshake.js';
import type { Channel, ChannelListener } from './index.js';
import { ChannelListen } from './listen.js';
import { ChannelReader } from './reader.js';
import { ChannelRestarts } from './restarts.js';

/** Longest time a timer can run: a listen is open until it ends. */
const FOR_EVER: Milliseconds = 2 ** 31 - 1;

/** What differs by the kind of channel. */
export interface ChannelOptions {
  /** Bounds how often a channel that ended is opened again; null = with pauses only. */
  readonly budget: RestartBudget | null;
  /** Those pauses. */
  readonly backOff: BackOff;
  /** Nobody speaks 2026-07-28 over it: no probe. */
  readonly legacyOnly: boolean;
}

/** An endpoint all of whose traffic goes over one {@link Channel}, which is opened again when it ends. */
export abstract class ChannelEndpoint extends BaseEndpoint {
  /** What its channels report to. There is never more than one that has not ended. */
  protected readonly listener: ChannelListener;
  readonly #restarts: ChannelRestarts;
  readonly #reader: ChannelReader;
  readonly #calls: ChannelCalls;
  readonly #controls = new PendingControls();
  readonly #listen: ChannelListen;
  readonly #queue: CallQueue;
  readonly #maxActive: number;
  readonly #neverProbe: boolean;
  readonly #junkLimit = new LogLimit();
  readonly #changes: ChangeNotices;
  #channel: Channel | null = null;
  /** The last one could stand no request before `initialize`. */
  #probeEnded = false;
  /** A handshake was done on the channel. */
  #greeted = false;
  /** Why the gateway itself ended the channel, '' if it did not. */
  #complaint = '';
  #stopping = false;
  /** What the budget counts of the channel's queue. */
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
    // A lane starts with the call that needs it, so one may wait in any case.
    this.#queue = new CallQueue(profile.lazy ? Math.max(1, maxQueue) : maxQueue);
    this.#maxActive = profile.exclusive ? 1 : maxConnections;
    this.#changes = new ChangeNotices(this, owner, this.notificationLimit);
    this.#restarts = new ChannelRestarts(() => this.start(), options.budget, options.backOff);
    this.#calls = new ChannelCalls({ has: (exchange) => this.#has(exchange), all: () => this.#written() });
    this.#listen = new ChannelListen(
      {
        open: (params) => this.#openListen(params),
        cancel: (id) => this.#cancelListen(id),
        reopened: () => this.owner.listChanged(this),
      },
      connectTimeoutMs,
    );
    this.#reader = new ChannelReader(context.decoder, context.limits.maxBatch, {
      response: (bytes, length, spans) => this.#response(bytes, length, spans),
      notification: (bytes, length, spans) => this.#notification(bytes, length, spans),
      request: (bytes, length, spans) => this.#request(bytes, length, spans),
      unreadable: (bytes, length, status, spans) => this.#unreadable(bytes.subarray(0, length), status, spans),
    });
    this.listener = {
      opened: () => void this.#greet(),
      message: (bytes, length) => this.#reader.read(bytes, length),
      junk: (bytes) => this.#junk(bytes),
      tooLong: () => this.#giveUp('GW_UPSTREAM_PROTOCOL', 'sent a message over limits.maxLineBytes'),
      crowdedOut: () =>
        this.#giveUp('GW_BUFFERS_FULL', 'sent a message that there was no room for (limits.maxBufferedBytes)'),
      refused: (id, error, sent) => this.#refused(id, error, sent),
      ended: (reason) => this.#ended(reason),
    };
  }

  /** Opens a channel that reports to `listener`. @throws Error when that is impossible from the start */
  protected abstract open(): Channel;
  /** The reason that is shown when a channel has ended. */
  protected reasonFor(reason: string): string {
    return reason;
  }
  /** How log lines call the other side, such as `stdio child`. */
  protected abstract readonly noun: string;

  start(): void {
    if (this.#stopping || this.#channel !== null) return;
    this.setState('connecting', '');
    this.#complaint = '';
    this.#greeted = false;
    try {
      this.#channel = this.open();
    } catch (error) {
      this.#again(`cannot be started (${(error as NodeJS.ErrnoException).code ?? 'error'})`);
      this.#failCalls('GW_UPSTREAM_DOWN');
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
      if (this.#calls.active < this.#maxActive) this.#send(exchange, bytes);
      else this.#enqueue(exchange, bytes, method);
    } else if (this.profile.lazy && this.state === 'connecting') {
      this.#enqueue(exchange, bytes, method);
    } else {
      this.context.later.add(this, exchange, 'GW_UPSTREAM_DOWN');
    }
  }

  /** The channel is shared by all calls: one slow client must not hold back the others. */
  pause(): void {}
  resume(): void {}

  request(method: string, params: object | null, options: { timeoutMs: Milliseconds }): Promise<ControlReply> {
    return this.#ask(method, params, options.timeoutMs, this.era === Era.modern);
  }

  reply(bytes: Buffer): void {
    this.#channel?.write(bytes, null, 0);
  }

  override listen(filter: ListenFilter): Promise<ListenFilter> {
    if (this.state !== 'ready' || this.era !== Era.modern) return super.listen(filter);
    return this.#listen.open(filter);
  }

  details(): Record<string, unknown> {
    const channel = this.#channel;
    return { ...channel?.details, queued: this.#queue.size, pipeBytes: channel?.queued ?? 0 };
  }

  override tick(now: Milliseconds): void {
    this.#restarts.tick(now);
    this.#countQueued();
    this.#changes.tick();
  }

  protected withdraw(exchange: Exchange): void {
    if (this.#queue.remove(exchange)) return;
    // A call that failed at once (channel down, pipe full) waits for its report and was never counted.
    if (!this.#has(exchange)) return;
    if (!this.#channel!.withdraw(exchange)) {
      this.#notify('notifications/cancelled', { requestId: exchange.upstreamId });
      this.#calls.abandoned();
    }
    this.#settled(exchange);
  }

  #enqueue(exchange: Exchange, bytes: Buffer, method: number): void {
    if (!this.#queue.push(exchange, bytes, method, '', null))
      this.context.later.add(this, exchange, 'GW_UPSTREAM_BUSY');
  }

  #send(exchange: Exchange, bytes: Buffer): void {
    const channel = this.#channel!;
    if (!channel.write(bytes, exchange, exchange.upstreamId)) {
      this.context.later.add(this, exchange, 'GW_UPSTREAM_BUSY');
      return;
    }
    exchange.connection = channel;
    this.#countQueued();
    this.#calls.written(exchange);
  }

  /** A call is over: the next one that waits may go. */
  #settled(exchange: Exchange): void {
    this.#calls.settled(exchange);
    if (this.#queue.size > 0) this.#sendQueued();
  }

  #sendQueued(): void {
    // More than one where the pipe is full: those that fail at once end nothing that would let the next one go.
    while (this.#queue.size > 0 && this.state === 'ready' && this.#calls.active < this.#maxActive) {
      const next = this.#queue.shift();
      if (next === null) return;
      const waiting = next.exchange!;
      const { bytes } = next;
      recycle(next);
      this.#send(waiting, bytes);
    }
  }

  async #greet(): Promise<void> {
    const channel = this.#channel;
    if (channel === null || this.#stopping) return;
    try {
      const handshake = await channelHandshake(
        (method, params, timeoutMs, modern) => this.#ask(method, params, timeoutMs, modern),
        (method) => this.#notify(method, null),
        {
          legacyOnly: this.#neverProbe || this.#probeEnded,
          timeoutMs: this.owner.config.connectTimeoutMs,
          initialize: initializeParams(this.profile),
        },
      );
      if (this.#channel !== channel || this.#stopping) return;
      this.#greeted = true;
      this.#restarts.ready();
      this.initialized(handshake);
      this.#sendQueued();
    } catch (error) {
      this.#probeEnded = error instanceof ProbeEnded;
      if (this.#channel !== channel || this.#stopping) return;
      this.#complaint = `the handshake failed: ${(error as Error).message}`;
      void channel.terminate();
    }
  }

  #ask(method: string, params: object | null, timeoutMs: Milliseconds, modern: boolean): Promise<ControlReply> {
    const { id, reply } = this.#controls.open(timeoutMs);
    if (this.#channel?.write(controlMessage(id, method, params, modern), null, id) !== true) {
      this.#controls.fail(id, new ControlError('closed', 'the upstream takes no input'));
    }
    return reply;
  }

  #notify(method: string, params: object | null): void {
    this.#channel?.write(controlMessage(null, method, params, false), null, 0);
  }

  #openListen(params: object): { id: number; reply: Promise<ControlReply> } | null {
    const { id, reply } = this.#controls.open(FOR_EVER);
    const message = controlMessage(id, 'subscriptions/listen', params, true);
    if (this.#channel?.write(message, null, id) === true) return { id, reply };
    this.#controls.fail(id, new ControlError('closed', 'the upstream takes no input'));
    return null;
  }

  #cancelListen(id: number): void {
    this.#notify('notifications/cancelled', { requestId: id });
    // It may be answered or not; nobody waits for that.
    this.#controls.fail(id, new ControlError('closed', 'the subscription was cancelled'));
  }

  #response(bytes: Uint8Array, length: number, spans: Int32Array): void {
    const id = parseId(bytes, spans[Span.idStart]!, spans[Span.idEnd]!);
    if (id >= 0 && id < FIRST_CALL_ID) {
      if (!this.#controls.settle(id, bytes, length, spans)) this.#unknown();
      return;
    }
    const exchange = this.callOf(id);
    if (exchange === null || exchange.connection !== this.#channel) {
      this.#unknown();
      return;
    }
    this.#settled(exchange);
    this.finish(exchange, bytes, length, spans);
  }

  #notification(bytes: Uint8Array, length: number, spans: Int32Array): void {
    const method = spans[Span.method]!;
    if (this.#changes.take(method, bytes, length)) return;
    if (method === Method.acknowledged) this.#listen.acknowledged(bytes, length);
    else if (this.notificationLimit.admit(MessageCost.notification)) this.#beside(method, bytes, length, spans);
  }

  /** A notification that is neither a change nor part of a handshake. */
  #beside(method: number, bytes: Uint8Array, length: number, spans: Int32Array): void {
    switch (method) {
      case Method.progress: {
        const token = parseId(bytes, spans[Span.progressTokenStart]!, spans[Span.progressTokenEnd]!);
        const exchange = this.callOf(token);
        if (exchange === null || exchange.connection !== this.#channel) this.stats.unknownIds += 1;
        else this.relay(exchange, bytes, length, spans, true);
        break;
      }
      case Method.message: {
        const exchange = this.#loggedBy();
        if (exchange === null) this.stats.droppedLogs += 1;
        else this.relay(exchange, bytes, length, spans, false);
        break;
      }
      case Method.cancelled: {
        const id = parseId(bytes, spans[Span.requestIdStart]!, spans[Span.requestIdEnd]!);
        if (this.era === Era.modern) this.#listen.cancelled(id);
        else this.context.sink.serverNotification(this, this.#asking(), bytes, length, spans);
        break;
      }
      default:
        if (this.era === Era.legacy) this.context.sink.serverNotification(this, this.#asking(), bytes, length, spans);
    }
  }

  /** A request of the server. Modern ones have nothing to ask on a channel. */
  #request(bytes: Uint8Array, length: number, spans: Int32Array): void {
    if (!this.notificationLimit.admit(MessageCost.request)) return;
    if (spans[Span.method] === Method.ping || this.era === Era.modern || !this.#greeted) {
      this.reply(answerToRequest(bytes, spans));
    } else {
      this.context.sink.serverRequest(this, this.#asking(), bytes, length, spans);
    }
  }

  /** Whom a log message is for; messages of that kind name no request. */
  #loggedBy(): Exchange | null {
    const { exclusive, owner } = this.profile;
    return exclusive || owner !== null ? this.#calls.latest() : this.#calls.only();
  }

  /** The call that a question of the server belongs to, null when it cannot be told. */
  override get isSettled(): boolean {
    return this.#calls.quiet;
  }

  #asking(): Exchange | null {
    return this.#calls.asking(this.profile.exclusive || this.profile.owner !== null);
  }

  #unreadable(bytes: Uint8Array, status: number, spans: Int32Array): void {
    this.#junk(bytes);
    if (status === ScanStatus.notJson || spans[Span.idStart]! < 0) return;
    // JSON with an id of ours, but no answer that can be passed on: the caller need not wait for the deadline.
    const exchange = this.callOf(parseId(bytes, spans[Span.idStart]!, spans[Span.idEnd]!));
    if (exchange === null || exchange.connection !== this.#channel) return;
    if ((spans[Span.flags]! & Flag.idIsString) !== 0) return;
    this.#settled(exchange);
    this.fail(exchange, 'GW_UPSTREAM_PROTOCOL', true);
  }

  /** An answer that belongs to no call. */
  #unknown(): void {
    this.stats.unknownIds += 1;
    this.notificationLimit.take(MessageCost.notification);
  }

  #junk(bytes: Uint8Array): void {
    this.stats.junkLines += 1;
    this.notificationLimit.take(MessageCost.notification);
    const suppressed = this.#junkLimit.admit(performance.now());
    if (suppressed < 0) return;
    this.context.log.warn(
      { ...this.names, line: escaped(bytes), suppressed },
      `${this.noun} sent something that is no message`,
    );
  }

  /** A message cannot be held, and nothing behind it read: the channel ends. */
  #giveUp(error: ErrorCode, complaint: string): void {
    const channel = this.#channel;
    if (channel === null) return;
    const { maxLineBytes, maxBufferedBytes } = this.context.limits;
    this.context.log.warn({ ...this.names, maxLineBytes, maxBufferedBytes }, `${this.noun} ${complaint}`);
    this.#complaint = complaint;
    this.setState('backoff', complaint);
    this.#failCalls(error);
    void channel.terminate();
  }

  /** Counts what waits on its way to the other side. */
  #countQueued(): void {
    const queued = this.#channel?.queued ?? 0;
    this.context.table.budget.add(queued - this.#countedBytes);
    this.#countedBytes = queued;
  }

  #refused(id: number, error: ErrorCode, sent: boolean): void {
    if (id === 0) return;
    if (id < FIRST_CALL_ID) {
      this.#controls.fail(id, new ControlError('closed', 'the upstream refused the message'));
      return;
    }
    const exchange = this.callOf(id);
    if (exchange === null || exchange.connection !== this.#channel) return;
    this.#settled(exchange);
    this.fail(exchange, error, sent);
  }

  #ended(reason: string): void {
    if (this.#channel === null) return;
    this.#channel = null;
    this.#countQueued();
    this.#listen.reset();
    this.#controls.failAll(new ControlError('closed', `the upstream ${reason}`));
    // The state comes first: calls that fail over must not come back here.
    if (!this.#stopping) {
      this.stats.restarts += 1;
      this.#again(this.#complaint === '' ? this.reasonFor(reason) : this.#complaint);
    }
    if (this.#greeted) this.context.sink.disconnected(this);
    this.#failCalls('GW_UPSTREAM_CLOSED');
  }

  #again(reason: string): void {
    this.setState(this.#restarts.again(), reason);
  }

  #failCalls(error: ErrorCode): void {
    this.#calls.clear();
    if (this.inFlight === 0) return;
    for (let waiting = this.#queue.shift(); waiting !== null; waiting = this.#queue.shift()) recycle(waiting);
    for (const exchange of this.calls()) this.fail(exchange, exchange.sent ? error : 'GW_UPSTREAM_DOWN', exchange.sent);
  }

  #has(exchange: Exchange): boolean {
    return exchange.connection !== null && exchange.connection === this.#channel && this.holds(exchange);
  }

  #written(): Exchange[] {
    return this.calls().filter((exchange) => exchange.connection === this.#channel);
  }
}
