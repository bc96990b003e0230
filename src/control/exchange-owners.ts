import type { Exchange } from '../request/exchange/index.js';
import type { ExchangeTable } from '../request/exchange/table.js';
import type { StandaloneStreams } from '../session/streams/index.js';
import { isLongLived } from '../session/streams/long-lived.js';

/** Releases each exchange to its owner: the table, or the long-lived streams. The write stage calls it. */
export class ExchangeOwners {
  readonly #table: ExchangeTable;
  readonly #streams: StandaloneStreams;

  constructor(table: ExchangeTable, streams: StandaloneStreams) {
    this.#table = table;
    this.#streams = streams;
  }

  /** The request of its client is answered, and its call goes on without a client. */
  suspended(exchange: Exchange): void {
    this.#table.suspended(exchange);
  }

  release(exchange: Exchange): void {
    if (isLongLived(exchange)) {
      this.#streams.longLived.release(exchange);
      return;
    }
    if (exchange.client.eventStream !== 0) this.#streams.log.exchangeReleased(exchange);
    this.#table.release(exchange);
  }
}
