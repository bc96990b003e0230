import type { Current } from '../../config/current.js';
import type { LimitsSnapshot } from '../../config/snapshot.js';
import { Composer } from '../../protocol/composer.js';
import { EVENT_CLOSE, EVENT_OPEN, flatten, KEEP_ALIVE, LINE_END } from '../../protocol/event-frames.js';
import { type Exchange, Framing } from '../../request/exchange/index.js';
import type { Count, Milliseconds } from '../../units.js';
import type { Session } from '../sessions.js';
import { EventLog, type EventLogConfig, type LoggedStream } from './event-log.js';
import { LongLivedStreams } from './long-lived.js';

/** What {@link StandaloneStreams} reads of the configuration. */
export interface StandaloneStreamsConfig extends EventLogConfig {
  readonly limits: Pick<LimitsSnapshot, 'maxStreams' | 'maxClientBufferBytes'>;
}

/** How long messages are kept for a client whose stream broke; after that it has to open a new stream. */
const EVENTS_KEPT_MS: Milliseconds = 300_000;
/** How long after its stream broke a client still receives requests of upstreams, by resuming the stream. */
const REQUESTS_KEPT_MS: Milliseconds = 30_000;

/** A stream that broke and may be resumed. */
interface Disconnected {
  readonly stream: number;
  readonly since: Milliseconds;
}

/**
 * The standalone event streams (GET) of legacy sessions, at most one per session; one object per front. Messages beyond
 * `limits.maxClientBufferBytes` are dropped, and the slow-client rule of the front end closes the connection eventually.
 */
export class StandaloneStreams {
  /** The events of resumable streams. */
  readonly log: EventLog;
  /** These streams and those of `subscriptions/listen`. */
  readonly longLived: LongLivedStreams;
  readonly #config: Current<StandaloneStreamsConfig>;
  readonly #now: () => Milliseconds;
  readonly #streams = new Map<Exchange, Session>();
  /** In the order in which they broke. */
  readonly #disconnected = new Map<Session, Disconnected>();
  readonly #composer = new Composer();

  /** @param now monotonic milliseconds; default `performance.now` */
  constructor(config: Current<StandaloneStreamsConfig>, now: () => Milliseconds = () => performance.now()) {
    this.#config = config;
    this.#now = now;
    this.log = new EventLog(config);
    this.longLived = new LongLivedStreams(config);
  }

  /** Streams open now. */
  get size(): Count {
    return this.#streams.size;
  }

  /**
   * Opens the standalone stream of a session.
   *
   * @param from the GET; the caller releases it when a stream was opened
   * @param head of the response
   * @returns the exchange of the stream; null = the session has a stream already, or `maxStreams` are open
   */
  open(session: Session, from: Exchange, head: readonly string[]): Exchange | null {
    if (session.stream !== null || this.longLived.isFull) return null;
    const disconnected = this.#disconnected.get(session);
    if (disconnected !== undefined) this.#discard(session, disconnected);
    const exchange = this.#begin(session, from, head);
    exchange.client.eventStream = this.log.openedStandalone(exchange);
    this.#writeRaw(exchange, this.log.primingEvent(exchange) ?? KEEP_ALIVE);
    return exchange;
  }

  /**
   * Resumes a stream and replays the events after `after`. If the old connection of the stream is still open, it is
   * closed: it may be half open, and the client has left it.
   *
   * @returns as {@link open}, with the exchange of the old connection that was closed, if any
   */
  resume(
    session: Session,
    from: Exchange,
    head: readonly string[],
    stream: LoggedStream,
    after: Count,
  ): { exchange: Exchange; ended: Exchange | null } | null {
    if (session.stream === null && this.longLived.isFull) return null;
    const { stream: old } = session;
    const ended = old !== null && old.client.eventStream === stream.number ? old : null;
    if (old !== null && ended === null) return null;
    if (ended !== null) {
      this.#remove(ended, session);
      ended.client.reply?.endStream();
    }
    this.#disconnected.delete(session);
    const exchange = this.#begin(session, from, head);
    exchange.client.eventStream = stream.number;
    this.#writeRaw(exchange, KEEP_ALIVE);
    this.log.replay(stream, after, (id, message) => this.#event(exchange, message, id));
    return { exchange, ended };
  }

  /** The client of a stream disconnected; it may resume. @returns false when the exchange is none of these streams */
  disconnected(exchange: Exchange): boolean {
    const session = this.#streams.get(exchange);
    if (session === undefined) return false;
    this.#remove(exchange, session);
    if (exchange.client.eventStream === 0) return true;
    if (this.#disconnected.size >= this.#config.current.limits.maxStreams) {
      for (const [oldest, disconnected] of this.#disconnected) {
        this.#discard(oldest, disconnected);
        break;
      }
    }
    this.#disconnected.set(session, { stream: exchange.client.eventStream, since: this.#now() });
    return true;
  }

  /**
   * Sends one message on a session's stream, or keeps it for a client that disconnected less than
   * {@link REQUESTS_KEPT_MS} ago.
   *
   * @returns false when there is no stream, or its client is too slow
   */
  sendTo(session: Session, message: Uint8Array): boolean {
    if (session.stream !== null) return this.#write(session.stream, new Uint8Array(message));
    const disconnected = this.#disconnected.get(session);
    if (disconnected === undefined || this.#now() - disconnected.since > REQUESTS_KEPT_MS) return false;
    return this.log.keepShared(disconnected.stream, new Uint8Array(message)) !== null;
  }

  /**
   * Sends one notification on a session's stream, or keeps it until the stream is resumed; without a stream it is dropped.
   *
   * @param message must not change afterwards
   */
  notify(session: Session, message: Uint8Array): void {
    if (session.stream !== null) {
      this.#write(session.stream, message);
      return;
    }
    const disconnected = this.#disconnected.get(session);
    if (disconnected === undefined) return;
    if (this.#now() - disconnected.since > EVENTS_KEPT_MS) this.#discard(session, disconnected);
    else this.log.keepShared(disconnected.stream, message);
  }

  /** {@link notify} for all sessions with a stream that is open or may be resumed. */
  broadcast(message: Uint8Array): void {
    for (const exchange of this.#streams.keys()) this.#write(exchange, message);
    for (const session of [...this.#disconnected.keys()]) this.notify(session, message);
  }

  /** Writes a sentence for people as a comment, which clients ignore (WHATWG HTML section 9.2.6). */
  comment(exchange: Exchange, sentence: string): void {
    this.#writeRaw(exchange, Buffer.from(`: ${sentence}\n\n`));
  }

  /** Ends the stream of one session. @returns its exchange, for the caller to release, or null */
  end(session: Session): Exchange | null {
    const exchange = session.stream;
    if (exchange === null) return null;
    this.#remove(exchange, session);
    this.log.dropStream(exchange.client.eventStream);
    exchange.client.reply?.endStream();
    return exchange;
  }

  /** Ends all streams; `ended` is called for each exchange, for the caller to release. */
  endAll(ended: (exchange: Exchange) => void): void {
    for (const session of [...this.#streams.values()]) {
      const exchange = this.end(session);
      if (exchange !== null) ended(exchange);
    }
  }

  /** Drops the events of a session whose state is dropped. */
  sessionDropped(session: Session): void {
    this.#disconnected.delete(session);
    this.log.dropSession(session.id);
  }

  #begin(session: Session, from: Exchange, head: readonly string[]): Exchange {
    const exchange = this.longLived.open(from);
    session.stream = exchange;
    this.#streams.set(exchange, session);
    exchange.client.reply?.openStream(200, head);
    return exchange;
  }

  /** Writes bytes that are framed already. Every stream starts with some: uWebSockets.js delays the head until then. */
  #writeRaw(exchange: Exchange, bytes: Uint8Array): void {
    const { reply, framing } = exchange.client;
    if (reply === null || framing !== Framing.sse) return;
    exchange.client.bytesOut += bytes.length;
    reply.write(bytes, 0, bytes.length);
  }

  #remove(exchange: Exchange, session: Session): void {
    this.#streams.delete(exchange);
    session.stream = null;
  }

  #discard(session: Session, disconnected: Disconnected): void {
    this.#disconnected.delete(session);
    this.log.dropStream(disconnected.stream);
  }

  #write(exchange: Exchange, message: Uint8Array): boolean {
    const { reply } = exchange.client;
    const id = exchange.client.eventStream === 0 ? null : this.log.keepShared(exchange.client.eventStream, message);
    if (reply === null || reply.buffered() > this.#config.current.limits.maxClientBufferBytes) {
      return false;
    }
    this.#event(exchange, message, id);
    return true;
  }

  #event(exchange: Exchange, message: Uint8Array, id: Uint8Array | null): void {
    writeMessage(this.#composer, exchange, message, id);
  }
}

/**
 * Writes one message on an open stream, in the framing of its transport.
 *
 * @param id the `id:` line of the event, or null
 */
export function writeMessage(composer: Composer, exchange: Exchange, message: Uint8Array, id: Uint8Array | null): void {
  composer.reset();
  const framed = exchange.client.framing === Framing.sse;
  if (framed) composer.put(EVENT_OPEN);
  const from = composer.length;
  composer.put(message);
  flatten(composer, from);
  if (framed && id !== null) composer.put(LINE_END).put(id);
  if (framed) composer.put(EVENT_CLOSE);
  exchange.client.events += 1;
  exchange.client.bytesOut += composer.length;
  exchange.client.quietSince = performance.now();
  exchange.client.reply?.write(composer.bytes, 0, composer.length);
}
