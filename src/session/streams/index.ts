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

/** How long messages are kept for the client of a broken stream; after that it has to begin a new one. */
const EVENTS_KEPT_MS: Milliseconds = 300_000;
/** How long a request of an upstream counts on the client of a broken stream to come back for it. */
const REQUESTS_KEPT_MS: Milliseconds = 30_000;

/** A stream whose client is gone and may come back. */
interface Disconnected {
  readonly stream: number;
  readonly since: Milliseconds;
}

/**
 * The standalone event streams (GET) of legacy sessions, at most one per session. A client that does not take its
 * notifications loses them, counted, and the slow-client rule of the front end cuts it in the end.
 */
export class StandaloneStreams {
  /** The events that clients may come back for. */
  readonly log: EventLog;
  /** These streams and those of `subscriptions/listen`. */
  readonly longLived: LongLivedStreams;
  readonly #config: Current<StandaloneStreamsConfig>;
  readonly #now: () => Milliseconds;
  readonly #streams = new Map<Exchange, Session>();
  /** Longest broken first. */
  readonly #disconnected = new Map<Session, Disconnected>();
  readonly #composer = new Composer();
  #dropped = 0;

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

  /** Notifications that slow clients did not get. */
  get dropped(): Count {
    return this.#dropped;
  }

  /**
   * Opens the stream that `from` asks for.
   *
   * @param head of the answer
   * @returns its exchange; `from` goes back to its table. null = the session has a stream already or there are
   * `maxStreams`: nothing has happened
   */
  open(session: Session, from: Exchange, head: readonly string[]): Exchange | null {
    if (session.stream !== null || this.longLived.isFull) return null;
    const broken = this.#disconnected.get(session);
    if (broken !== undefined) this.#discard(session, broken);
    const exchange = this.#begin(session, from, head);
    exchange.client.eventStream = this.log.openedStandalone(exchange);
    this.#start(exchange, this.log.primingEvent(exchange));
    return exchange;
  }

  /**
   * Opens the stream once more that `from` resumes, and sends what came after the event `after`. If the old one is still
   * open, the client knows better: it ends.
   *
   * @returns as {@link open}, with the exchange that has ended, if any
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
    this.#start(exchange, null);
    this.log.replay(stream, after, (id, message) => this.#event(exchange, message, id));
    return { exchange, ended };
  }

  /** Forgets a stream whose client left, until it comes back; false when it is not registered. */
  disconnected(exchange: Exchange): boolean {
    const session = this.#streams.get(exchange);
    if (session === undefined) return false;
    this.#remove(exchange, session);
    if (exchange.client.eventStream === 0) return true;
    if (this.#disconnected.size >= this.#config.current.limits.maxStreams) {
      for (const [longest, broken] of this.#disconnected) {
        this.#discard(longest, broken);
        break;
      }
    }
    this.#disconnected.set(session, { stream: exchange.client.eventStream, since: this.#now() });
    return true;
  }

  /** Whether the session has a stream open that messages can go to. */
  has(session: Session): boolean {
    return session.stream !== null;
  }

  /**
   * Sends one message on a session's stream, or keeps it for a client that was there a moment ago.
   *
   * @returns false when there is none, or its client is too slow
   */
  sendTo(session: Session, message: Uint8Array): boolean {
    if (session.stream !== null) return this.#write(session.stream, new Uint8Array(message));
    const broken = this.#disconnected.get(session);
    if (broken === undefined || this.#now() - broken.since > REQUESTS_KEPT_MS) return false;
    return this.log.keepShared(broken.stream, new Uint8Array(message)) !== null;
  }

  /**
   * Sends one notification on a session's stream, or keeps it for its client; without a stream it is lost.
   *
   * @param message must not change any more
   */
  notify(session: Session, message: Uint8Array): void {
    if (session.stream !== null) {
      this.#write(session.stream, message);
      return;
    }
    const broken = this.#disconnected.get(session);
    if (broken === undefined) return;
    if (this.#now() - broken.since > EVENTS_KEPT_MS) this.#discard(session, broken);
    else this.log.keepShared(broken.stream, message);
  }

  /** {@link notify} for all sessions that have a stream, or had one and may come back for it. */
  broadcast(message: Uint8Array): void {
    for (const exchange of this.#streams.keys()) this.#write(exchange, message);
    for (const session of [...this.#disconnected.keys()]) this.notify(session, message);
  }

  /** Writes a sentence for a person on a stream that is about to end; its client's program skips it. */
  comment(exchange: Exchange, sentence: string): void {
    const { reply, framing } = exchange.client;
    if (reply === null || framing !== Framing.sse) return;
    const bytes = Buffer.from(`: ${sentence}\n\n`);
    exchange.client.bytesOut += bytes.length;
    reply.write(bytes, 0, bytes.length);
  }

  /** Ends the stream of one session, as its DELETE does. @returns its exchange, for the caller to release, or null */
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

  /** The session's state is dropped: nobody can come back for its events. */
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

  /** uWebSockets.js sends the head with the first bytes that follow, which may be long in coming: some follow at once. */
  #start(exchange: Exchange, greeting: Uint8Array | null): void {
    const { reply, framing } = exchange.client;
    if (reply === null || framing !== Framing.sse) return;
    const bytes = greeting ?? KEEP_ALIVE;
    exchange.client.bytesOut += bytes.length;
    reply.write(bytes, 0, bytes.length);
  }

  #remove(exchange: Exchange, session: Session): void {
    this.#streams.delete(exchange);
    session.stream = null;
  }

  #discard(session: Session, broken: Disconnected): void {
    this.#disconnected.delete(session);
    this.log.dropStream(broken.stream);
  }

  #write(exchange: Exchange, message: Uint8Array): boolean {
    const { reply } = exchange.client;
    const id = exchange.client.eventStream === 0 ? null : this.log.keepShared(exchange.client.eventStream, message);
    if (reply === null || reply.buffered() > this.#config.current.limits.maxClientBufferBytes) {
      this.#dropped += 1;
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
 * Writes one message on an open stream, framed as its transport wants it.
 *
 * @param id the line of the event's id, or null
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
