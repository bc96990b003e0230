import type { ClientLink, Exchange } from '../../exchange/index.js';
import type { HttpCall } from '../http/call.js';
import type { FrontHandler } from '../http/handler.js';
import { OneShotReply } from '../http/one-shot-reply.js';

/** Placeholder until the connection is authorized. */
const UNAUTHORIZED: ClientLink = Object.freeze({ subject: null, end: () => {} });

/**
 * The Reply of an exchange that asks the policy whether its client may open a connection ({@link FrontHandler.stream}):
 * 200 opens it, every other status is the answer to the HTTP request.
 */
export abstract class ConnectionRequest extends OneShotReply {
  constructor(call: HttpCall, exchange: Exchange, handler: FrontHandler) {
    super(call, exchange, handler);
    exchange.client.link = UNAUTHORIZED;
  }

  /** Opens the connection on `call`; the exchange is valid during the call. */
  protected abstract authorized(exchange: Exchange): void;

  protected override answer(
    exchange: Exchange,
    status: number,
    head: readonly string[],
    bytes: Uint8Array,
    start: number,
    end: number,
  ): void {
    if (status === 200) this.authorized(exchange);
    else this.call.send(status, head, bytes, start, end);
  }
}
