import type { Current } from '../../config/snapshot/current.js';
import type { LimitsSnapshot } from '../../config/snapshot/index.js';
import { Composer } from '../../protocol/composer.js';
import { EVENT_CLOSE, EVENT_OPEN, flatten, KEEP_ALIVE, LINE_END } from '../../protocol/event-frames.js';
import { Revision } from '../../protocol/revisions.js';
import { type Exchange, Framing } from '../../request/exchange/index.js';
import type { Count, Milliseconds } from '../../units.js';
import type { Session } from '../sessions.js';
import { EventLog, type EventLogConfig, type LoggedStream } from './event-log.js';
import { LongLivedStreams } from './long-lived.js';

/** What {@link StandaloneStreams} reads of the configuration. */
export interface StandaloneStreamsConfig extends EventLogConfig {
  readonly limits: Pick<LimitsSnapshot, 'maxStreams' | 'maxSessionStreams' | 'maxClientBufferBytes'>;
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

/** A stream that was opened for a GET. */
export interface OpenedStream {
  readonly exchange: Exchange;
  /** Streams of the same session that ended for it; the caller releases their exchanges. */
  readonly ended: readonly Exchange[];
}

/**
 * The standalone event streams (GET) of legacy sessions, at most `limits.maxSessionStreams` per session; one object per
 * front. Each message goes to one of them, the newest. Messages beyond `limits.maxClientBufferBytes` are dropped, and the
 * slow-client rule of the front end closes the connection eventually.
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
   * Opens a standalone stream of a session, which gets its messages from now on.
   *
   * @param from the GET; the caller releases it when a stream was opened
   * @param head of the response
   * @returns null = `maxStreams` are open, all for other sessions
   */
  open(session: Session, from: Exchange, head: readonly string[]): OpenedStream | null {
    if (this.longLived.isFull && session.stream === null) return null;
    const disconnected = this.#disconnected.get(session);
    if (disconnected !== undefined) this.#discard(session, disconnected);
    const ended = this.#makeRoom(session, from.client.revision);
    const exchange = this.#begin(session, from, head);
    exchange.client.eventStream = this.log.openedStandalone(exchange);
    this.#writeRaw(exchange, this.log.primingEvent(exchange) ?? KEEP_ALIVE);
    return { exchange, ended };
  }

  /**
   * Resumes a stream and replays the events after `after`. If the old connection of the stream is still open, it is
   * closed: it may be half open, and the client has left it.
   *
   * @returns as {@link open}
   */
  resume(
    session: Session,
    from: Exchange,
    head: readonly string[],
    stream: LoggedStream,
    after: Count,
  ): OpenedStream | null {
    if (this.longLived.isFull && session.stream === null) return null;
    const old = session.streams.find(({ client }) => client.eventStream === stream.number);
    if (old !== undefined) {
      this.#remove(old, session);
      old.client.reply?.endStream();
    }
    if (this.#disconnected.get(session)?.stream === stream.number) this.#disconnected.delete(session);
    const ended = old === undefined ? this.#makeRoom(session, from.client.revision) : [old];
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
    this.#keepForResumption(session, exchange);
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
    for (const [exchange, session] of this.#streams) if (session.stream === exchange) this.#write(exchange, message);
    for (const session of [...this.#disconnected.keys()]) this.notify(session, message);
  }

  /** Writes a sentence for people as a comment, which clients ignore (WHATWG HTML section 9.2.6). */
  comment(exchange: Exchange, sentence: string): void {
    this.#writeRaw(exchange, Buffer.from(`: ${sentence}\n\n`));
  }

  /** Ends the streams of one session. @returns their exchanges, for the caller to release */
  end(session: Session): readonly Exchange[] {
    const { streams } = session;
    for (const exchange of streams) {
      this.#remove(exchange, session);
      this.log.dropStream(exchange.client.eventStream);
      exchange.client.reply?.endStream();
    }
    return streams;
  }

  /** Ends all streams; `ended` is called for each exchange, for the caller to release. */
  endAll(ended: (exchange: Exchange) => void): void {
    for (const session of new Set(this.#streams.values())) for (const exchange of this.end(session)) ended(exchange);
  }

  /** Drops the events of a session whose state is dropped. */
  sessionDropped(session: Session): void {
    this.#disconnected.delete(session);
    this.log.dropSession(session.id);
  }

  /**
   * Ends the streams of a session that a further one replaces: those whose clients take no bytes, which may be gone without
   * a word; all of a client whose revision knows one stream only; and the oldest beyond a limit. They may be resumed.
   */
  #makeRoom(session: Session, revision: number): Exchange[] {
    const { maxSessionStreams } = this.#config.current.limits;
    const ended: Exchange[] = [];
    const end = (exchange: Exchange): void => {
      this.#remove(exchange, session);
      this.#keepForResumption(session, exchange);
      exchange.client.reply?.endStream();
      ended.push(exchange);
    };
    for (const exchange of session.streams) {
      const takesBytes = (exchange.client.reply?.buffered() ?? 0) === 0;
      if (!takesBytes || revision < Revision.r2025_03_26) end(exchange);
    }
    for (const exchange of session.streams) {
      if (session.streams.length < maxSessionStreams && (!this.longLived.isFull || ended.length > 0)) break;
      end(exchange);
    }
    return ended;
  }

  #keepForResumption(session: Session, { client: { eventStream } }: Exchange): void {
    if (eventStream === 0) return;
    const before = this.#disconnected.get(session);
    if (before !== undefined) this.#discard(session, before);
    if (this.#disconnected.size >= this.#config.current.limits.maxStreams) {
      for (const [oldest, disconnected] of this.#disconnected) {
        this.#discard(oldest, disconnected);
        break;
      }
    }
    this.#disconnected.set(session, { stream: eventStream, since: this.#now() });
  }

  #begin(session: Session, from: Exchange, head: readonly string[]): Exchange {
    const exchange = this.longLived.open(from);
    session.streams = [...session.streams, exchange];
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
    session.streams = session.streams.filter((other) => other !== exchange);
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
