import { Composer } from '../protocol/composer.js';
import { EVENT_CLOSE, EVENT_OPEN, flatten, KEEP_ALIVE } from '../protocol/event-frames.js';
import { type Exchange, Framing } from '../request/exchange.js';
import type { Count, Milliseconds } from '../units.js';
import type { Session } from './sessions.js';

export interface StandaloneStreamsOptions {
  /** `limits.maxStreams`: streams open at once. */
  readonly maxStreams: Count;
  /** `limits.maxClientBufferBytes`: notifications are not added to a queue that is longer. */
  readonly maxClientBufferBytes: number;
  /** Time between keep-alive comments in milliseconds; default 15,000. */
  readonly keepAliveMs?: Milliseconds;
}

/**
 * The standalone event streams (GET) of legacy sessions, at most one per session. One timer writes the keep-alive
 * comments of all. A client that does not take its notifications loses them, counted, and the slow-client rule of the
 * front end cuts it in the end.
 */
export class StandaloneStreams {
  readonly #options: StandaloneStreamsOptions;
  readonly #streams = new Map<Exchange, Session>();
  readonly #composer = new Composer();
  #timer: NodeJS.Timeout | null = null;
  #lost = 0;

  constructor(options: StandaloneStreamsOptions) {
    this.#options = options;
  }

  /** Streams open now. */
  get size(): Count {
    return this.#streams.size;
  }

  /** Notifications that slow clients did not get. */
  get lost(): Count {
    return this.#lost;
  }

  /**
   * Registers the stream that `exchange` has opened (its head is sent by the caller).
   *
   * @returns false when the session has one already or `maxStreams` are open: nothing is registered
   */
  add(session: Session, exchange: Exchange): boolean {
    if (session.stream !== null || this.#streams.size >= this.#options.maxStreams) return false;
    session.stream = exchange;
    this.#streams.set(exchange, session);
    if (this.#timer === null) {
      this.#timer = setInterval(() => this.#keepAlive(), this.#options.keepAliveMs ?? 15_000);
      this.#timer.unref();
    }
    return true;
  }

  /**
   * Brings a new stream's head on its way: uWebSockets.js sends it with the first bytes that follow, which may be long
   * in coming.
   */
  start(exchange: Exchange): void {
    if (exchange.framing === Framing.sse) exchange.reply?.write(KEEP_ALIVE, 0, KEEP_ALIVE.byteLength);
  }

  /** Forgets a stream, whose client left or which was ended; false when it is not registered. */
  remove(exchange: Exchange): boolean {
    const session = this.#streams.get(exchange);
    if (session === undefined) return false;
    this.#streams.delete(exchange);
    session.stream = null;
    if (this.#streams.size === 0 && this.#timer !== null) {
      clearInterval(this.#timer);
      this.#timer = null;
    }
    return true;
  }

  /** Whether the session has a stream open that messages can go to. */
  has(session: Session): boolean {
    return session.stream !== null;
  }

  /** Sends one message on a session's stream; false when it has none or its client is too slow. */
  sendTo(session: Session, message: Uint8Array): boolean {
    return session.stream !== null && this.#write(session.stream, message);
  }

  /** Sends one message on every stream, or on those whose session satisfies `wanted`. */
  broadcast(message: Uint8Array, wanted?: (session: Session) => boolean): void {
    for (const [exchange, session] of this.#streams) {
      if (wanted === undefined || wanted(session)) this.#write(exchange, message);
    }
  }

  /** Ends the stream of one session, as its DELETE does. @returns its exchange, for the caller to release, or null */
  end(session: Session): Exchange | null {
    const exchange = session.stream;
    if (exchange === null) return null;
    this.remove(exchange);
    exchange.reply?.endStream();
    return exchange;
  }

  /** Ends all streams; `ended` is called for each exchange, for the caller to release. */
  endAll(ended: (exchange: Exchange) => void): void {
    for (const session of [...this.#streams.values()]) {
      const exchange = this.end(session);
      if (exchange !== null) ended(exchange);
    }
  }

  #write(exchange: Exchange, message: Uint8Array): boolean {
    const { reply } = exchange;
    if (reply === null || reply.buffered() > this.#options.maxClientBufferBytes) {
      this.#lost += 1;
      return false;
    }
    const composer = this.#composer.reset();
    if (exchange.framing === Framing.sse) {
      composer.put(EVENT_OPEN).put(message);
      flatten(composer, EVENT_OPEN.length);
      composer.put(EVENT_CLOSE);
    } else {
      composer.put(message);
      flatten(composer, 0);
    }
    reply.write(composer.bytes, 0, composer.length);
    return true;
  }

  #keepAlive(): void {
    for (const exchange of [...this.#streams.keys()]) {
      const { reply, framing } = exchange;
      if (framing !== Framing.sse) continue;
      // A queue means that the connection is being tested already.
      if (reply !== null && reply.buffered() === 0) reply.write(KEEP_ALIVE, 0, KEEP_ALIVE.byteLength);
    }
  }
}
