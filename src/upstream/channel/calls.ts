import type { Exchange } from '../../request/exchange/index.js';
import type { Count, Milliseconds } from '../../units.js';
import { LogOwnership } from './log-ownership.js';

/** How long after a call was taken back what the server asks may still be about it. */
const ABANDONED_MS: Milliseconds = 10_000;

/** What the endpoint knows of its calls. */
export interface CallsOnChannel {
  /** Whether the call was written and is not over. */
  has(exchange: Exchange): boolean;
  /** All that were written and are not over. */
  all(): Exchange[];
}

/**
 * The calls on a channel, as far as it matters to whom something belongs that names no call: a log message, a question of
 * the server. Where it cannot be told, it belongs to nobody.
 */
export class ChannelCalls {
  /** Calls written and not over. */
  active: Count = 0;
  readonly #calls: CallsOnChannel;
  readonly #ownership = new LogOwnership();
  /** The call that was written last. */
  #last: Exchange | null = null;
  #abandonedUntil: Milliseconds = 0;

  constructor(calls: CallsOnChannel) {
    this.#calls = calls;
  }

  written(exchange: Exchange): void {
    this.active += 1;
    this.#last = exchange;
    this.#ownership.seen(exchange);
  }

  /** A call is over, however it ended. */
  settled(exchange: Exchange): void {
    this.active -= 1;
    this.#ownership.seen(exchange);
  }

  /** A call was taken back that the server has seen: it may go on for a while as if nothing had happened. */
  abandoned(): void {
    this.#abandonedUntil = performance.now() + ABANDONED_MS;
  }

  /** Whether no call that was taken back can be meant any more by what the server asks. */
  get quiet(): boolean {
    return performance.now() >= this.#abandonedUntil;
  }

  /** The channel is over, and with it whatever was going on. */
  clear(): void {
    this.active = 0;
    this.#last = null;
    this.#abandonedUntil = 0;
  }

  /** The only call, if no other client's can be meant by what is said now. */
  only(): Exchange | null {
    return this.active === 1 && this.#ownership.exclusive() ? this.#one() : null;
  }

  /** The call that was written last of those in flight, on a channel where all are of one client. */
  latest(): Exchange | null {
    if (this.active === 0) return null;
    const last = this.#last;
    if (last !== null && this.#calls.has(last)) return last;
    let latest: Exchange | null = null;
    for (const exchange of this.#calls.all()) {
      if (latest === null || exchange.client.startedAt > latest.client.startedAt) latest = exchange;
    }
    return latest;
  }

  /**
   * The call that a question of the server belongs to: the only one, unless another that was taken back can be meant.
   *
   * @param oneClient all calls of the channel are of one client
   */
  asking(oneClient: boolean): Exchange | null {
    if (this.active !== 1 || !this.quiet) return null;
    return oneClient || this.#ownership.exclusive() ? this.#one() : null;
  }

  #one(): Exchange | null {
    const last = this.#last;
    if (last !== null && this.#calls.has(last)) return last;
    const all = this.#calls.all();
    return all.length === 1 ? all[0]! : null;
  }
}
