/**
 * Sends comments on idle event streams, because proxies and clients close idle connections. For a call that takes long
 * the response becomes a stream (MCP Streamable HTTP leaves the choice of JSON or a stream to the server).
 */
import type { Current } from '../../config/snapshot/current.js';
import type { LimitsSnapshot } from '../../config/snapshot/index.js';
import { KEEP_ALIVE } from '../../protocol/event-frames.js';
import { Accepts, type Exchange, Framing, MessageFlag, Phase } from '../../request/exchange/index.js';
import type { ExchangeTable } from '../../request/exchange/table.js';
import type { Milliseconds } from '../../units.js';
import type { LongLivedStreams } from './long-lived.js';

/** Turns the response to a call into a stream: EventStreams of the write stage. */
export interface AnswerStreams {
  open(exchange: Exchange): void;
}

/** What {@link KeepAlive} works with. */
export interface KeepAliveParts {
  readonly config: Current<{ readonly limits: Pick<LimitsSnapshot, 'keepAliveMs'> }>;
  readonly table: ExchangeTable;
  readonly longLived: LongLivedStreams;
  readonly answers: AnswerStreams;
}

/** Turns of one pass over all exchanges and streams; a pass takes half of `keepAliveMs`. */
const TURNS = 8;
const MAX_TURN_MS: Milliseconds = 1_000;
const MIN_TURN_MS: Milliseconds = 5;

/** See the file comment. One timer for all streams; each turn checks a part of them. One per front. */
export class KeepAlive {
  readonly #parts: KeepAliveParts;
  #timer: NodeJS.Timeout;
  #slot = 0;
  #now: Milliseconds = 0;

  constructor(parts: KeepAliveParts) {
    this.#parts = parts;
    this.#timer = this.#schedule();
  }

  close(): void {
    clearTimeout(this.#timer);
  }

  #schedule(): NodeJS.Timeout {
    const timer = setTimeout(this.#turn, this.#turnMs());
    timer.unref();
    return timer;
  }

  #turnMs(): Milliseconds {
    const { keepAliveMs } = this.#parts.config.current.limits;
    // 0 = no comments; a reload may change that.
    if (keepAliveMs === 0) return MAX_TURN_MS;
    return Math.min(MAX_TURN_MS, Math.max(MIN_TURN_MS, keepAliveMs / (2 * TURNS)));
  }

  readonly #turn = (): void => {
    const { config, table, longLived } = this.#parts;
    const { keepAliveMs } = config.current.limits;
    this.#now = performance.now();
    if (keepAliveMs > 0) {
      const turns = Math.max(1, Math.floor(keepAliveMs / 2 / this.#turnMs()));
      if (table.inUse > 0) {
        this.#slot = table.visitSome(this.#slot, Math.ceil(table.capacity / turns), this.#call);
      }
      longLived.visitSome(Math.ceil(longLived.size / turns), this.#stream);
    }
    this.#timer = this.#schedule();
  };

  readonly #call = (exchange: Exchange): void => {
    const { phase } = exchange;
    if (phase !== Phase.sending && phase !== Phase.streaming && phase !== Phase.asking) return;
    if (exchange.client.streaming) {
      this.#stream(exchange);
      return;
    }
    const canStream =
      exchange.client.reply !== null &&
      exchange.client.framing === Framing.sse &&
      exchange.client.link === null &&
      exchange.client.batch === null &&
      (exchange.client.accepts & Accepts.sse) !== 0 &&
      (exchange.message.flags & MessageFlag.noAnswer) === 0;
    if (!canStream || this.#now - exchange.client.startedAt < this.#parts.config.current.limits.keepAliveMs) return;
    this.#parts.answers.open(exchange);
    this.#comment(exchange);
  };

  readonly #stream = (exchange: Exchange): void => {
    if (this.#now - exchange.client.quietSince >= this.#parts.config.current.limits.keepAliveMs)
      this.#comment(exchange);
  };

  #comment(exchange: Exchange): void {
    const { reply } = exchange.client;
    // Queued bytes keep the connection active already.
    if (reply === null || exchange.client.framing !== Framing.sse || reply.buffered() > 0) return;
    exchange.client.quietSince = this.#now;
    exchange.client.bytesOut += KEEP_ALIVE.length;
    reply.write(KEEP_ALIVE, 0, KEEP_ALIVE.length);
  }
}
