/** What a Streamable HTTP upstream says besides answers, on the stream of a call or on one that belongs to none. */
import { Kind, Method, Span } from '../../../native/layout.js';
import { Era } from '../../protocol/revisions.js';
import type { Exchange } from '../../request/exchange/index.js';
import type { Milliseconds } from '../../units.js';
import { controlMessage, parseId } from '../core/control.js';
import type { BaseEndpoint, EndpointContext, EndpointOwner } from '../core/endpoint.js';
import { MessageCost } from '../core/notification-limit.js';
import { answerToRequest } from '../core/server-messages.js';
import type { ListenFilter } from '../core/types.js';
import { ChangeNotices } from '../subscriptions/change-notices.js';

/** How long after a call was taken back what the server asks beside its calls may still be about it. */
const ABANDONED_MS: Milliseconds = 10_000;

/** What {@link HttpServerMessages} needs of its endpoint. */
export interface ServerMessagesHost {
  /** The call in flight with that id, or null. */
  callOf(id: number): Exchange | null;
  /** All calls in flight. */
  calls(): Exchange[];
  /** Hands over a notification that belongs to a call. */
  relay(exchange: Exchange, bytes: Uint8Array, length: number, spans: Int32Array, isProgress: boolean): void;
  /** Sends an answer to the upstream. */
  reply(bytes: Buffer): void;
}

/** See the file comment. */
export class HttpServerMessages {
  readonly #endpoint: BaseEndpoint;
  readonly #context: EndpointContext;
  readonly #host: ServerMessagesHost;
  readonly #changes: ChangeNotices;
  #abandonedUntil: Milliseconds = 0;

  constructor(endpoint: BaseEndpoint, context: EndpointContext, owner: EndpointOwner, host: ServerMessagesHost) {
    this.#endpoint = endpoint;
    this.#context = context;
    this.#host = host;
    this.#changes = new ChangeNotices(endpoint, owner, endpoint.notificationLimit);
  }

  /** A request or notification on the stream of a call, to which it belongs (MCP 2025-11-25, Streamable HTTP). */
  onCall(exchange: Exchange, bytes: Uint8Array, length: number, spans: Int32Array): void {
    if (spans[Span.kind] === Kind.request) {
      this.#asked(exchange, bytes, length, spans);
      return;
    }
    switch (spans[Span.method]) {
      case Method.progress:
        if (!this.#admitted()) return;
        if (parseId(bytes, spans[Span.progressTokenStart]!, spans[Span.progressTokenEnd]!) !== exchange.upstreamId) {
          this.#endpoint.stats.unknownIds += 1;
        } else this.#host.relay(exchange, bytes, length, spans, true);
        break;
      case Method.message:
        if (this.#admitted()) this.#host.relay(exchange, bytes, length, spans, false);
        break;
      default:
        this.#change(exchange, bytes, length, spans);
    }
  }

  /** A message on a stream that belongs to no call. */
  onOwnStream(bytes: Uint8Array, length: number, spans: Int32Array): void {
    if (spans[Span.kind] === Kind.request) {
      this.#asked(this.#onlyCall(), bytes, length, spans);
    } else if (spans[Span.kind] !== Kind.notification) {
      if (spans[Span.kind] === Kind.response) this.unknown();
    } else if (spans[Span.method] === Method.progress) {
      if (!this.#admitted()) return;
      // Some servers send progress here; the token says which call it is for.
      const exchange = this.#host.callOf(
        parseId(bytes, spans[Span.progressTokenStart]!, spans[Span.progressTokenEnd]!),
      );
      if (exchange !== null) this.#host.relay(exchange, bytes, length, spans, true);
    } else if (spans[Span.method] === Method.message) {
      if (!this.#admitted()) return;
      const exchange = this.#loggingCall();
      if (exchange !== null) this.#host.relay(exchange, bytes, length, spans, false);
      else this.#endpoint.stats.droppedLogs += 1;
    } else {
      this.#change(this.#onlyCall(), bytes, length, spans);
    }
  }

  /** An answer that belongs to no call. */
  unknown(): void {
    this.#endpoint.stats.unknownIds += 1;
    this.#endpoint.notificationLimit.take(MessageCost.notification);
  }

  /** Changes may have been missed: whoever follows something looks again. */
  missed(filter: ListenFilter | null): void {
    this.#changes.missed(filter?.resourceSubscriptions ?? []);
  }

  /** Periodic work. */
  tick(): void {
    this.#changes.tick();
  }

  #admitted(): boolean {
    return this.#endpoint.notificationLimit.admit(MessageCost.notification);
  }

  /** A modern server asks for nothing in this way. */
  #asked(exchange: Exchange | null, bytes: Uint8Array, length: number, spans: Int32Array): void {
    if (!this.#endpoint.notificationLimit.admit(MessageCost.request) || this.#endpoint.era === Era.modern) return;
    if (spans[Span.method] === Method.ping) this.#host.reply(answerToRequest(bytes, spans));
    else this.#context.sink.serverRequest(this.#endpoint, exchange, bytes, length, spans);
  }

  #change(exchange: Exchange | null, bytes: Uint8Array, length: number, spans: Int32Array): void {
    if (this.#changes.take(spans[Span.method]!, bytes, length) || !this.#admitted()) return;
    this.#context.sink.serverNotification(this.#endpoint, exchange, bytes, length, spans);
  }

  /** What takes back a call that the server has seen; it may go on for a while as if nothing had happened. */
  cancellation(exchange: Exchange): Buffer {
    this.#abandonedUntil = performance.now() + ABANDONED_MS;
    return controlMessage(null, 'notifications/cancelled', { requestId: exchange.upstreamId }, false);
  }

  /**
   * The call that whatever is said now must be about, or null when there is none or more than one, or where it may be
   * about a call of another client that has just ended or was taken back.
   */
  #onlyCall(): Exchange | null {
    if (this.#endpoint.inFlight !== 1) return null;
    const only = this.#host.calls()[0] ?? null;
    const { profile, recentClients } = this.#endpoint;
    if (only === null || profile.exclusive || profile.owner !== null) return only;
    const now = performance.now();
    if (now < this.#abandonedUntil) return null;
    return recentClients === null || recentClients.only(only, now) ? only : null;
  }

  /**
   * The call that a log message is about. Without a client to whom the session belongs nobody knows: it may be about the
   * call before.
   */
  #loggingCall(): Exchange | null {
    const { exclusive, owner } = this.#endpoint.profile;
    if (!exclusive && owner === null) return null;
    let latest: Exchange | null = null;
    for (const exchange of this.#host.calls())
      if (latest === null || exchange.sentAt > latest.sentAt) latest = exchange;
    return latest;
  }
}
