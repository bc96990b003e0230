/**
 * Streams that stay open without a request in flight: standalone streams and `subscriptions/listen`. Each has an
 * exchange of its own outside the exchange table, so that waiting clients take no room from calls.
 */
import type { Current } from '../../config/current.js';
import type { LimitsSnapshot } from '../../config/snapshot.js';
import { handOver } from '../../request/exchange/handover.js';
import { Exchange, Phase } from '../../request/exchange/index.js';
import type { VerdictRecord } from '../../shared/verdict-record.js';
import type { Count } from '../../units.js';

/** What {@link LongLivedStreams} reads of the configuration. */
export interface LongLivedStreamsConfig {
  readonly limits: Pick<LimitsSnapshot, 'maxStreams'>;
}

/** Ends streams whose token is no longer accepted (src/session/rights.ts). */
export interface StreamRights {
  hold(exchange: Exchange, token: string, verdict: VerdictRecord): void;
  release(exchange: Exchange): void;
}

/** Slot of an exchange that is in no table. */
const NO_SLOT = -1;

/** Whether the exchange is that of a standing stream. */
export function isLongLived(exchange: Exchange): boolean {
  return exchange.slot === NO_SLOT;
}

/** Bounded by `limits.maxStreams`; one per front. */
export class LongLivedStreams {
  readonly #config: Current<LongLivedStreamsConfig>;
  readonly #open = new Set<Exchange>();
  // Only while it is used: an iterator that rests holds on to what the set has dropped since.
  #next: SetIterator<Exchange> | null = null;
  #generation = 0;
  #rights: StreamRights | null = null;

  constructor(config: Current<LongLivedStreamsConfig>) {
    this.#config = config;
  }

  /** Streams opened from now on end with their right. Once, after both were made: rights end streams. */
  attach(rights: StreamRights): void {
    this.#rights = rights;
  }

  /** Streams open now. */
  get size(): Count {
    return this.#open.size;
  }

  /** Whether `maxStreams` are open. */
  get isFull(): boolean {
    return this.#open.size >= this.#config.current.limits.maxStreams;
  }

  /**
   * Makes the exchange of a stream out of the request that asked for it. `from` has no client any more and goes back to
   * its table, uncounted: the new exchange stands for the request, in phase streaming.
   */
  open(from: Exchange): Exchange {
    const exchange = new Exchange(NO_SLOT);
    const { remoteAddress } = from.client;
    handOver(from, exchange);
    this.#generation = (this.#generation + 1) & 0x7fffffff;
    exchange.generation = this.#generation;
    exchange.phase = Phase.streaming;
    exchange.client.streaming = true;
    exchange.client.status = 200;
    exchange.client.quietSince = performance.now();
    exchange.client.remoteAddress = remoteAddress;
    exchange.message.verb = from.message.verb;
    exchange.message.flags = from.message.flags;
    exchange.message.spans.words.set(from.message.spans.words);
    exchange.verdict.assign(from.verdict);
    this.#open.add(exchange);
    this.#rights?.hold(exchange, exchange.client.token, exchange.verdict);
    return exchange;
  }

  /** The stream is over. */
  release(exchange: Exchange): void {
    exchange.phase = Phase.free;
    exchange.client.reply = null;
    exchange.client.streaming = false;
    exchange.client.session = null;
    this.#open.delete(exchange);
    this.#rights?.release(exchange);
  }

  /** Calls `visit` for some `count` streams; the next call goes on where this one ended. */
  visitSome(count: Count, visit: (exchange: Exchange) => void): void {
    for (let visited = 0; visited < count; visited += 1) {
      this.#next ??= this.#open.values();
      const next = this.#next.next();
      if (next.done === true) {
        this.#next = null;
        return;
      }
      visit(next.value);
    }
  }
}
