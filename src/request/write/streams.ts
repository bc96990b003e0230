/**
 * The event-stream half of write: opens the stream of an answer, puts messages on it and ends it. What goes around a
 * message depends on the transport (Framing); the events of some streams are kept, so that their client can come back
 * for them (MCP 2025-03-26 and later, resumability).
 */
import { Composer } from '../../protocol/composer.js';
import { EVENT_CLOSE, EVENT_OPEN, EVENT_STREAM_HEAD, flatten, LINE_END } from '../../protocol/event-frames.js';
import { originHead } from '../../protocol/origin-head.js';
import { Era } from '../../protocol/revisions.js';
import type { VerdictRecord } from '../../shared/ring/verdict-record.js';
import { Accepts, type Exchange, Framing, Phase, Verb } from '../exchange/index.js';
import { NO_HEAD } from './heads.js';
import { type AnswerLimits, NO_LIMITS } from './limit-fields.js';

/** Keeps the events of streams whose clients may come back: src/session/streams/event-log.ts. */
export interface StreamLog {
  /** A stream opens. @returns its number; 0 = its events are not kept and have no ids */
  opened(exchange: Exchange): number;
  /** What a new stream begins with (an event that gives its id, the time to wait before a reconnect), or null. */
  primingEvent(exchange: Exchange): Uint8Array | null;
  /** Keeps the message `bytes[start, end)`. @returns the line that gives its event's id; null = it was not kept */
  keep(exchange: Exchange, bytes: Uint8Array, start: number, end: number): Uint8Array | null;
  /** Nothing more follows on the stream. */
  closed(exchange: Exchange): void;
}

/** Names the variants of calls: src/control/route-history.ts. */
export interface VariantNames {
  /** The response header that names the variant of a verdict that has one. */
  variantHead(verdict: VerdictRecord): readonly string[];
}

/** No events are kept. */
export const NO_LOG: StreamLog = { opened: () => 0, primingEvent: () => null, keep: () => null, closed: () => {} };

/** See the file comment; one per front, with the composer that its messages are put together in. */
export class EventStreams {
  readonly composer = new Composer();
  readonly #log: StreamLog;
  readonly #variants: VariantNames;
  readonly #limits: AnswerLimits;

  /** @param limits default: nothing is said about rate limits */
  constructor(log: StreamLog, variants: VariantNames, limits: AnswerLimits = NO_LIMITS) {
    this.#log = log;
    this.#variants = variants;
    this.#limits = limits;
  }

  /** Whether a message can be sent before the answer: there is a stream, or the client takes one. */
  takes(exchange: Exchange): boolean {
    if (exchange.client.reply === null) return keeps(exchange);
    return (exchange.client.accepts & Accepts.sse) !== 0;
  }

  /** Empties the composer for the next message of `exchange`, which goes on its stream if it has one. */
  begin(exchange: Exchange): Composer {
    const composer = this.composer.reset();
    return isFramed(exchange) ? composer.put(EVENT_OPEN) : composer;
  }

  /** Bytes in the composer before the message of `exchange`. */
  prefix(exchange: Exchange): number {
    return isFramed(exchange) ? EVENT_OPEN.length : 0;
  }

  /**
   * Starts the stream of an answer if it is not open yet; the client must take one ({@link takes}).
   *
   * @param head further fields of the head
   */
  open(exchange: Exchange, head: readonly string[] = NO_HEAD): void {
    if (exchange.client.streaming) return;
    exchange.client.streaming = true;
    if (exchange.phase !== Phase.asking) exchange.enter(Phase.streaming);
    exchange.client.status = 200;
    exchange.client.quietSince = performance.now();
    const { reply } = exchange.client;
    const fields = head.length === 0 ? EVENT_STREAM_HEAD : [...EVENT_STREAM_HEAD, ...head];
    reply?.openStream(200, this.head(exchange, fields));
    if (exchange.client.framing !== Framing.sse || exchange.client.era !== Era.legacy) return;
    exchange.client.eventStream = this.#log.opened(exchange);
    if (exchange.client.eventStream === 0) return;
    const greeting = this.#log.primingEvent(exchange);
    if (greeting !== null) this.#write(exchange, greeting, greeting.length);
  }

  /** Sends what the composer holds as one message; the stream is open. */
  send(exchange: Exchange): void {
    const { composer } = this;
    const from = this.prefix(exchange);
    flatten(composer, from);
    exchange.client.events += 1;
    if (exchange.client.eventStream !== 0) {
      const id = this.#log.keep(exchange, composer.bytes, from, composer.length);
      if (id !== null) composer.put(LINE_END).put(id);
    }
    if (exchange.client.framing === Framing.sse) composer.put(EVENT_CLOSE);
    this.#write(exchange, composer.bytes, composer.length);
  }

  /** Sends what the composer holds as the last message and ends the stream. */
  sendLast(exchange: Exchange): void {
    this.send(exchange);
    this.end(exchange);
  }

  /** Ends the stream. */
  end(exchange: Exchange): void {
    if (exchange.client.eventStream !== 0) this.#log.closed(exchange);
    // The last write may have found that the client is disconnected.
    exchange.client.reply?.endStream();
  }

  /** A head with the name of the variant, what the client's origin needs, and what is left of the rate limits. */
  head(exchange: Exchange, head: readonly string[]): readonly string[] {
    const { client, verdict } = exchange;
    const fields = verdict.buckets.count === 0 ? NO_HEAD : this.#limits.success(verdict);
    const variant = verdict.variant < 0 ? NO_HEAD : this.#variants.variantHead(verdict);
    if (client.origin === '') return fields.length + variant.length === 0 ? head : [...head, ...fields, ...variant];
    const exposed = variant.length === 0 ? NO_HEAD : ['access-control-expose-headers', variant[0]!];
    return [...head, ...fields, ...variant, ...originHead(client.origin), ...exposed];
  }

  #write(exchange: Exchange, bytes: Uint8Array, length: number): void {
    const { reply } = exchange.client;
    if (reply === null) return;
    exchange.client.bytesOut += length;
    exchange.client.quietSince = performance.now();
    if (!reply.write(bytes, 0, length)) exchange.call.upstream?.pause(exchange);
  }
}

/** Whether an answer has to be a stream, because its client accepts nothing else. */
export function needsStream({ client: { accepts }, message: { verb } }: Exchange): boolean {
  return (accepts & (Accepts.json | Accepts.sse)) === Accepts.sse && verb === Verb.post;
}

/** Whether the stream goes on without its client, which may come back for the events. */
export function keeps(exchange: Exchange): boolean {
  return exchange.client.streaming && exchange.client.eventStream !== 0;
}

function isFramed(exchange: Exchange): boolean {
  return exchange.client.streaming && exchange.client.framing === Framing.sse;
}
