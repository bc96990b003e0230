import type { ErrorCode } from '../../errors.js';
import type { Exchange } from '../../request/exchange/index.js';

/** An endpoint that could not send a call. */
export interface FailingEndpoint {
  /** Whether the call is still there. */
  holds(exchange: Exchange): boolean;
  fail(exchange: Exchange, error: ErrorCode, sent: boolean): void;
}

/** Reports failures that are found within {@link Endpoint.call} after it has returned. One for each pool. */
export class DeferredFailures {
  #entries: { endpoint: FailingEndpoint; exchange: Exchange; id: number; error: ErrorCode }[] = [];
  #scheduled = false;

  add(endpoint: FailingEndpoint, exchange: Exchange, error: ErrorCode): void {
    this.#entries.push({ endpoint, exchange, id: exchange.call.upstreamId, error });
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(this.#run);
  }

  readonly #run = (): void => {
    this.#scheduled = false;
    const entries = this.#entries;
    this.#entries = [];
    for (const { endpoint, exchange, id, error } of entries) {
      if (endpoint.holds(exchange) && exchange.call.upstreamId === id)
        endpoint.fail(exchange, error, exchange.call.sent);
    }
  };
}
