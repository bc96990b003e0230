import { Flag, Kind, ScanStatus } from '../../../native/layout.js';
import type { Spans } from '../../../native/spans.js';
import type { Exchange } from '../../request/exchange/index.js';
import type { Count } from '../../units.js';
import { errorUnderId, parseId } from '../core/control.js';
import type { EndpointContext } from '../core/endpoint.js';
import type { LateTasks } from '../core/late-tasks.js';
import { MessageReader, type MessageReceiver } from '../core/message-reader.js';
import type { UpstreamSink } from '../core/types.js';
import type { ServerMessages } from '../messages/server-messages.js';
import type { CallStream, CallStreamListener } from './call-stream.js';
import type { HttpJunk } from './junk.js';

/** What responses are reported to, the endpoint. */
export interface CallMessageListener {
  /** The response to the call of a stream; `spans` is the scan of `bytes[0, length)`. */
  responded(stream: CallStream, exchange: Exchange, bytes: Uint8Array, length: number, spans: Spans): void;
  /** What should be the response to the call is no JSON-RPC message. */
  unreadable(stream: CallStream, exchange: Exchange): void;
  /** See `BaseEndpoint`. */
  prolong(exchange: Exchange): void;
  /** See `BaseEndpoint`. */
  finishLarge(exchange: Exchange, complete: boolean): void;
}

/**
 * Reads the messages in the response to a call, be it an event stream or one body: finds the response, passes on notifications
 * and requests of the server, and skips the rest. Owned by the endpoint.
 */
export class CallMessages implements CallStreamListener, MessageReceiver {
  readonly #listener: CallMessageListener;
  readonly #sink: UpstreamSink;
  readonly #messages: ServerMessages;
  readonly #junk: HttpJunk;
  readonly #lateTasks: LateTasks;
  readonly #reader: MessageReader;
  #stream: CallStream | null = null;

  /** @param maxBatch most messages of one batch */
  constructor(
    listener: CallMessageListener,
    messages: ServerMessages,
    junk: HttpJunk,
    lateTasks: LateTasks,
    { decoder, sink }: Pick<EndpointContext, 'decoder' | 'sink'>,
    maxBatch: Count,
  ) {
    this.#sink = sink;
    this.#listener = listener;
    this.#messages = messages;
    this.#junk = junk;
    this.#lateTasks = lateTasks;
    this.#reader = new MessageReader(decoder, maxBatch, this);
  }

  /** One event, or the body; `bytes[0, length)` is valid only during the call, and may be changed. */
  document(stream: CallStream, bytes: Uint8Array, length: number): void {
    if (stream.exchange === null && !this.#lateTasks.expects(stream.upstreamId)) {
      this.#messages.unknownResponse();
      return;
    }
    this.#stream = stream;
    this.#reader.read(bytes, length);
  }

  largeStart(stream: CallStream, bytes: Uint8Array, length: number): boolean {
    const { exchange } = stream;
    return exchange !== null && this.#sink.largeStart(exchange, bytes, length);
  }

  largePart(stream: CallStream, bytes: Uint8Array, start: number, end: number): void {
    const { exchange } = stream;
    if (exchange === null) return;
    this.#listener.prolong(exchange);
    this.#sink.largePart(exchange, bytes, start, end);
  }

  largeEnd(stream: CallStream, complete: boolean): void {
    const { exchange } = stream;
    stream.exchange = null;
    if (complete) stream.drain();
    if (exchange !== null) this.#listener.finishLarge(exchange, complete);
  }

  receiveResponse(bytes: Uint8Array, length: number, spans: Spans): void {
    const stream = this.#stream;
    const exchange = stream?.exchange ?? null;
    const id = parseId(bytes, spans.idStart, spans.idEnd);
    if (stream === null) this.#messages.unknownResponse();
    else if (exchange === null) {
      if (id === stream.upstreamId && this.#lateTasks.answered(id, bytes, spans)) stream.drain();
      else this.#messages.unknownResponse();
    } else if (id === stream.upstreamId) this.#listener.responded(stream, exchange, bytes, length, spans);
    else if (id < 0 && (spans.flags & Flag.isErrorResponse) !== 0) {
      // The server did not read the id, and there is no other request that it could answer here.
      const error = errorUnderId(bytes, spans, stream.upstreamId);
      this.document(stream, error, error.length);
    } else this.#messages.unknownResponse();
  }

  receiveNotification(bytes: Uint8Array, length: number, spans: Spans): void {
    this.receiveRequest(bytes, length, spans);
  }

  receiveRequest(bytes: Uint8Array, length: number, spans: Spans): void {
    const exchange = this.#stream?.exchange ?? null;
    if (exchange === null) this.#messages.unknownResponse();
    else this.#messages.receive(exchange, bytes, length, spans);
  }

  receiveUnreadable(bytes: Uint8Array, length: number, status: number, spans: Spans): void {
    const stream = this.#stream;
    const exchange = stream?.exchange ?? null;
    const hasId = status !== ScanStatus.notJson && spans.idStart >= 0 && (spans.flags & Flag.idIsString) === 0;
    const isOfServer = spans.kind === Kind.request || spans.kind === Kind.notification;
    if (stream !== null && exchange !== null && hasId && !isOfServer) {
      if (parseId(bytes, spans.idStart, spans.idEnd) === stream.upstreamId) {
        this.#listener.unreadable(stream, exchange);
        return;
      }
    }
    this.#junk.skip(bytes, length);
  }
}
