import type { Exchange, Reply } from '../../exchange/index.js';
import type { CallListener, HttpCall } from './call.js';
import type { FrontHandler } from './handler.js';

/**
 * Base of a Reply that turns one whole answer of the stages into something else than the answer to its HTTP request.
 * Nothing is streamed: stages open a stream here only to end it without an answer, as after a cancellation.
 */
export abstract class OneShotReply implements Reply, CallListener {
  protected readonly call: HttpCall;
  readonly #handler: FrontHandler;
  #exchange: Exchange | null;

  /** Takes `call` from its exchange, and makes the message in `exchange` one without the headers of Streamable HTTP. */
  constructor(call: HttpCall, exchange: Exchange, handler: FrontHandler) {
    this.call = call;
    this.#exchange = exchange;
    this.#handler = handler;
    exchange.client.headerless = true;
    exchange.client.sessionId = '';
    exchange.message.versionHeader = '';
    exchange.client.remoteAddress = call.remoteAddress();
    call.exchange = null;
    call.listener = this;
  }

  /** The answer of the stages; called at most once, and `bytes[start, end)` is valid during the call. */
  protected abstract answer(
    exchange: Exchange,
    status: number,
    head: readonly string[],
    bytes: Uint8Array,
    start: number,
    end: number,
  ): void;

  send(status: number, head: readonly string[], bytes: Uint8Array, start: number, end: number): void {
    const exchange = this.#detach();
    if (exchange !== null) this.answer(exchange, status, head, bytes, start, end);
  }

  openStream(): void {}

  write(): boolean {
    return true;
  }

  endStream(): void {}

  buffered(): number {
    return 0;
  }

  abort(): void {
    if (this.#detach() !== null) this.call.abort();
  }

  rebind(exchange: Exchange): void {
    this.#exchange = exchange;
  }

  acknowledged(): void {}

  drained(): void {}

  disconnected(): void {
    const exchange = this.#detach();
    if (exchange !== null) this.#handler.aborted(exchange);
  }

  #detach(): Exchange | null {
    const exchange = this.#exchange;
    if (exchange === null) return null;
    this.#exchange = null;
    this.call.listener = null;
    return exchange;
  }
}
