/** Requests and notifications of a server, the same over every transport. */

import { Kind, Method } from '../../../native/layout.js';
import type { Spans } from '../../../native/spans.js';
import { Era } from '../../protocol/revisions.js';
import type { Exchange } from '../../request/exchange/index.js';
import { isOfOneCall } from '../../request/exchange/table.js';
import { parseId } from '../core/control.js';
import type { BaseEndpoint, EndpointOwner } from '../core/endpoint.js';
import { MessageCost } from '../core/limits/notification-limit.js';
import type { ListenFilter, UpstreamSink } from '../core/types.js';
import type { Attribution } from './attribution.js';
import { ChangeNotices } from './change-notices.js';
import { answerToRequest } from './format.js';

/**
 * Distributes the requests and notifications of one endpoint's server: to the call that they belong to, to the owner of the
 * endpoint, to the sink. The endpoint calls it with each scanned message that is no response.
 */
export class ServerMessages {
  readonly #endpoint: BaseEndpoint;
  readonly #owner: EndpointOwner;
  readonly #sink: UpstreamSink;
  readonly #attribution: Attribution;
  readonly #changes: ChangeNotices;

  constructor(endpoint: BaseEndpoint, owner: EndpointOwner, sink: UpstreamSink, attribution: Attribution) {
    this.#endpoint = endpoint;
    this.#owner = owner;
    this.#sink = sink;
    this.#attribution = attribution;
    this.#changes = new ChangeNotices(endpoint, owner);
  }

  /** A scanned message that is no response to a call. @param call see {@link request} */
  receive(call: Exchange | null, bytes: Uint8Array, length: number, spans: Spans): void {
    if (spans.kind === Kind.request) this.request(call, bytes, length, spans);
    else if (spans.kind === Kind.notification) this.notification(call, bytes, length, spans);
    else if (spans.kind === Kind.response) this.unknownResponse();
  }

  /**
   * A request of the server. Only initialized legacy servers may send any but `ping`.
   *
   * @param call the call on whose stream it came; null = on a stream or connection of no call
   */
  request(call: Exchange | null, bytes: Uint8Array, length: number, spans: Spans): void {
    const endpoint = this.#endpoint;
    if (!endpoint.notificationLimit.admit(MessageCost.request)) return;
    if (spans.method === Method.ping || endpoint.era === Era.modern || !endpoint.isInitialized) {
      endpoint.reply(answerToRequest(bytes, spans));
    } else {
      this.#owner.clientAsked(endpoint, spans.method);
      this.#sink.serverRequest(endpoint, call ?? this.#requestingCall(spans.method), bytes, length, spans);
    }
  }

  /** A notification of the server. @param call see {@link request} */
  notification(call: Exchange | null, bytes: Uint8Array, length: number, spans: Spans): void {
    const method = spans.method;
    if (this.#changes.handle(method, bytes, length)) return;
    if (!this.#endpoint.notificationLimit.admit(MessageCost.notification)) return;
    if (method === Method.progress) this.#progress(call, bytes, length, spans);
    else if (method === Method.message) this.#logMessage(call, bytes, length, spans);
    else {
      const about = call ?? this.#attribution.requestingCall();
      this.#sink.serverNotification(this.#endpoint, about, bytes, length, spans);
    }
  }

  /** A response that belongs to no call. */
  unknownResponse(): void {
    this.#endpoint.stats.unknownIds += 1;
    this.#endpoint.notificationLimit.take(MessageCost.notification);
  }

  /**
   * A long-lived stream was down for a while: changes may have been missed.
   *
   * @param filter what was listened to; null = a standalone stream
   */
  reopened(filter: ListenFilter | null): void {
    this.#changes.missed(filter?.resourceSubscriptions ?? []);
  }

  /** Periodic work. */
  tick(): void {
    this.#changes.tick();
  }

  /** No call waits for the roots of a client: servers ask for them when they start and when they have changed. */
  #requestingCall(method: number): Exchange | null {
    const isOfSession = (this.#endpoint.profile.owner?.sessionId ?? '') !== '';
    return isOfSession && method === Method.rootsList ? null : this.#attribution.requestingCall();
  }

  /** The token names the call, also where a server sends progress on a stream of no call. */
  #progress(call: Exchange | null, bytes: Uint8Array, length: number, spans: Spans): void {
    const id = parseId(bytes, spans.progressTokenStart, spans.progressTokenEnd);
    const isOfCall = call !== null && isOfOneCall(call.call.upstreamId, id);
    const named = isOfCall ? call : call === null ? this.#endpoint.callOf(id) : null;
    if (named === null) this.#endpoint.stats.unknownIds += 1;
    else this.#endpoint.relay(named, bytes, length, spans, true);
  }

  #logMessage(call: Exchange | null, bytes: Uint8Array, length: number, spans: Spans): void {
    const about = call ?? this.#attribution.loggingCall();
    if (about === null) this.#endpoint.stats.droppedLogs += 1;
    else this.#endpoint.relay(about, bytes, length, spans, false);
  }
}
