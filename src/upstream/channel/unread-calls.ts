import type { Exchange } from '../../request/exchange/index.js';

/** A call and its message. */
export interface UnreadCall {
  readonly exchange: Exchange;
  readonly message: Buffer;
}

/** Calls that the server has refused because it does not know the session: they are sent once more. Owned by the endpoint. */
export class UnreadCalls {
  /** Upstream ids of those in flight, also of those that were sent again. */
  readonly #ids = new Set<number>();
  #waiting: UnreadCall[] = [];

  /** @returns false when the call was sent again already */
  add(exchange: Exchange, message: Buffer): boolean {
    const { upstreamId } = exchange.call;
    if (this.#ids.has(upstreamId)) return false;
    this.#ids.add(upstreamId);
    this.#waiting.push({ exchange, message });
    return true;
  }

  /** Removes those that were not sent again yet. */
  take(): readonly UnreadCall[] {
    const taken = this.#waiting;
    if (taken.length > 0) this.#waiting = [];
    return taken;
  }

  /** A call has ended. */
  ended(exchange: Exchange): void {
    if (this.#ids.size === 0 || !this.#ids.delete(exchange.call.upstreamId)) return;
    this.#waiting = this.#waiting.filter((waiting) => waiting.exchange !== exchange);
  }
}
