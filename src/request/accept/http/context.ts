import type { Snapshot } from '../../../config/snapshot/index.js';
import type { ErrorCode } from '../../../errors.js';
import { type Exchange, MessageFlag, setId } from '../../exchange/index.js';
import type { ExchangeTable } from '../../exchange/table.js';
import { OVERLOADED, OVERLOADED_HEAD } from './answers.js';
import type { HttpCall } from './call.js';
import type { FrontHandler } from './handler.js';
import { AcceptRules } from './rules.js';

/**
 * What the transports of one front end share: the rules in force, the exchanges, and the handler of requests. Nothing
 * else in accept depends on the snapshot after start.
 */
export class AcceptContext {
  readonly handler: FrontHandler;
  readonly table: ExchangeTable;
  rules: AcceptRules;

  constructor(snapshot: Snapshot, handler: FrontHandler, table: ExchangeTable) {
    this.rules = new AcceptRules(snapshot);
    this.handler = handler;
    this.table = table;
  }

  /** Puts the rules of another snapshot into force. */
  reconfigure(snapshot: Snapshot): void {
    this.rules = new AcceptRules(snapshot);
  }

  /**
   * An exchange for a call, with what its head says. The caller gives it a Reply.
   *
   * @returns null when all exchanges are in use; the call is answered with 503 then
   */
  acquire(call: HttpCall): Exchange | null {
    const exchange = this.table.acquire();
    if (exchange === null) this.refuseOverloaded(call);
    else {
      call.head.fill(exchange, this.rules, call, call.verb, call.startedAt, call.target?.view ?? 0);
      exchange.client.path = call.path;
      if (call.isAdmitted) exchange.message.flags |= MessageFlag.admitted;
      const { credentials } = this.rules.auth[exchange.client.caller.view]!;
      if (credentials.ignoredProxy !== '') {
        this.handler.ignoredProxy(credentials.ignoredProxy);
        credentials.ignoredProxy = '';
      }
    }
    return exchange;
  }

  /** The same with the call itself as the Reply. */
  bind(call: HttpCall): Exchange | null {
    const exchange = this.acquire(call);
    if (exchange === null) return null;
    exchange.client.peer = call;
    exchange.client.reply = call;
    call.exchange = exchange;
    return exchange;
  }

  /**
   * Answers a call with the error `code`.
   *
   * @param allow the methods that the path takes, for GW_METHOD_NOT_ALLOWED
   */
  refuse(call: HttpCall, code: ErrorCode, allow = ''): void {
    const exchange = this.bind(call);
    if (exchange === null) return;
    exchange.message.detail = allow;
    setId(exchange, call.requestId);
    this.handler.refuse(exchange, code);
  }

  /** Answers a call with 503 without an exchange. */
  refuseOverloaded(call: HttpCall): void {
    call.send(503, OVERLOADED_HEAD, OVERLOADED, 0, OVERLOADED.byteLength);
  }
}
