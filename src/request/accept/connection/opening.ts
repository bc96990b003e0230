import type { ClientLink, Exchange, Reply } from '../../exchange/index.js';
import type { CallListener, HttpCall } from '../http/call.js';
import type { FrontHandler } from '../http/handler.js';

/** Placeholder for a connection until its client is let in. */
export const UNOPENED: ClientLink = Object.freeze({ subject: null, end: () => {} });

/**
 * The Reply of an exchange that asks whether its client may open a connection: 200 opens it, everything else is the
 * answer to the HTTP request.
 */
export class Opening implements Reply, CallListener {
  readonly #call: HttpCall;
  readonly #handler: FrontHandler;
  readonly #open: (exchange: Exchange) => void;
  #exchange: Exchange | null;

  /** @param open called once when the connection may be opened; `call` is the caller's again */
  constructor(call: HttpCall, exchange: Exchange, handler: FrontHandler, open: (exchange: Exchange) => void) {
    this.#call = call;
    this.#exchange = exchange;
    this.#handler = handler;
    this.#open = open;
    exchange.client.remoteAddress = call.remoteAddress();
    exchange.client.reply = this;
    exchange.client.headerless = true;
    call.exchange = null;
    call.listener = this;
  }

  send(status: number, head: readonly string[], bytes: Uint8Array, start: number, end: number): void {
    const exchange = this.#take();
    if (exchange === null) return;
    if (status === 200) this.#open(exchange);
    else this.#call.send(status, head, bytes, start, end);
  }

  gone(): void {
    const exchange = this.#take();
    if (exchange !== null) this.#handler.aborted(exchange);
  }

  drained(): void {}

  openStream(): void {}

  write(): boolean {
    return true;
  }

  endStream(): void {}

  buffered(): number {
    return 0;
  }

  abort(): void {
    if (this.#take() !== null) this.#call.abort();
  }

  adopt(exchange: Exchange): void {
    this.#exchange = exchange;
  }

  taken(): void {}

  #take(): Exchange | null {
    const exchange = this.#exchange;
    this.#exchange = null;
    this.#call.listener = null;
    return exchange;
  }
}
