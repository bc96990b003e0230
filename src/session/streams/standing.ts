/**
 * Streams that stay open without a request in flight: standalone streams and `subscriptions/listen`. Each has an
 * exchange of its own outside the exchange table, so that waiting clients take no room from calls.
 */
import type { LimitsSnapshot } from '../../config/snapshot.js';
import { handOver } from '../../request/exchange/handover.js';
import { Exchange, Phase } from '../../request/exchange/index.js';
import type { Count } from '../../units.js';
import type { Rights } from '../rights.js';

/** Slot of an exchange that is in no table. */
const NO_SLOT = -1;

/** Whether the exchange is that of a standing stream. */
export function isStanding(exchange: Exchange): boolean {
  return exchange.slot === NO_SLOT;
}

/** Bounded by `limits.maxStreams`; one per front. */
export class StandingStreams {
  readonly #limits: Pick<LimitsSnapshot, 'maxStreams'>;
  readonly #open = new Set<Exchange>();
  // Only while it is used: an iterator that rests holds on to what the set has dropped since.
  #next: SetIterator<Exchange> | null = null;
  #generation = 0;
  #rights: Pick<Rights, 'hold' | 'release'> | null = null;

  constructor(limits: Pick<LimitsSnapshot, 'maxStreams'>) {
    this.#limits = limits;
  }

  /** Streams opened from now on end with their right. Once, after both were made: rights end streams. */
  attach(rights: Pick<Rights, 'hold' | 'release'>): void {
    this.#rights = rights;
  }

  /** Streams open now. */
  get size(): Count {
    return this.#open.size;
  }

  /** Whether `maxStreams` are open. */
  get full(): boolean {
    return this.#open.size >= this.#limits.maxStreams;
  }

  /**
   * Makes the exchange of a stream out of the request that asked for it. `from` has no client any more and goes back to
   * its table, uncounted: the new exchange stands for the request, in phase streaming.
   */
  take(from: Exchange): Exchange {
    const exchange = new Exchange(NO_SLOT);
    const { remoteAddress } = from.client;
    handOver(from, exchange);
    this.#generation = (this.#generation + 1) & 0x7fffffff;
    exchange.generation = this.#generation;
    exchange.phase = Phase.streaming;
    exchange.client.token = from.client.token;
    exchange.client.streaming = true;
    exchange.client.status = 200;
    exchange.client.quietSince = performance.now();
    exchange.client.remoteAddress = remoteAddress;
    exchange.message.verb = from.message.verb;
    exchange.client.era = from.client.era;
    exchange.client.revision = from.client.revision;
    exchange.client.session = from.client.session;
    exchange.client.sessionId = from.client.sessionId;
    exchange.client.capabilities = from.client.capabilities;
    exchange.message.flags = from.message.flags;
    exchange.message.spans.set(from.message.spans);
    exchange.verdict.set(from.verdict);
    this.#open.add(exchange);
    this.#rights?.hold(exchange, from.client.token, exchange.verdict);
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
