/**
 * What both HTTP front ends do with a request once its head is read: where it leads, and the exchange that it becomes.
 */
import type { Snapshot } from '../../../config/snapshot.js';
import type { ErrorCode } from '../../../errors.js';
import { type Exchange, Verb } from '../../exchange/index.js';
import type { ExchangeTable } from '../../exchange/table.js';
import { SseDoor } from '../connection/sse.js';
import { OVERLOADED, OVERLOADED_HEAD } from '../http/answers.js';
import type { HttpCall } from '../http/call.js';
import type { FrontHandler } from '../http/handler.js';
import type { RequestHead } from '../http/head.js';
import { Door, PLAIN_PATHS, targetOf } from '../http/paths.js';
import { AcceptRules } from '../http/rules.js';
import { RestDoor } from '../rest/index.js';

const BODILESS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'DELETE', 'OPTIONS', 'TRACE']);

/** See the file comment; one per front end. */
export class Doors {
  rules: AcceptRules;
  readonly #table: ExchangeTable;
  readonly #handler: FrontHandler;
  readonly #sse: SseDoor;
  readonly #rest: RestDoor;

  constructor(snapshot: Snapshot, table: ExchangeTable, handler: FrontHandler) {
    this.rules = new AcceptRules(snapshot);
    this.#table = table;
    this.#handler = handler;
    this.#sse = new SseDoor(handler, table, () => this.rules);
    this.#rest = new RestDoor(handler, table, () => this.rules);
  }

  /** Puts another snapshot's rules into force. */
  reconfigure(snapshot: Snapshot): void {
    this.rules = new AcceptRules(snapshot);
  }

  /** Ends the connections that requests have opened. */
  close(): void {
    this.#sse.close();
  }

  /** The exchange of a call; null when there is none, and the call is answered. */
  exchange(call: HttpCall): Exchange | null {
    const exchange = this.#table.acquire();
    if (exchange === null) {
      call.send(503, OVERLOADED_HEAD, OVERLOADED, 0, OVERLOADED.byteLength);
      return null;
    }
    call.head.fill(exchange, this.rules, call.verb, call.startedAt);
    exchange.client.peer = call;
    exchange.client.reply = call;
    call.exchange = exchange;
    return exchange;
  }

  /** @param allow what the path takes, for GW_METHOD_NOT_ALLOWED */
  refuse(call: HttpCall, code: ErrorCode, allow = ''): void {
    const exchange = this.exchange(call);
    if (exchange === null) return;
    exchange.message.detail = allow;
    this.#handler.refuse(exchange, code);
  }

  /**
   * Judges the head of a request before anything is answered, whatever its path and method.
   *
   * @returns what speaks against it; null = nothing
   */
  headCode(head: RequestHead, method: string, path: string): ErrorCode | null {
    if (!head.framingHolds(this.rules)) return 'GW_FRAMING';
    const code = head.strangerCode(this.rules, PLAIN_PATHS.has(path));
    if (code !== null) return code;
    // Bodies of these methods mean nothing, and what means nothing is read differently (RFC 9110 section 9.3).
    return head.hasBody && (head.chunked ? method !== 'POST' : BODILESS.has(method)) ? 'GW_FRAMING' : null;
  }

  /**
   * Judges where a request leads: writes it to `call.target`, or refuses. A WebSocket handshake that comes here is none.
   *
   * @param refuse called with what speaks against it
   * @returns whether it may be served once its body is there
   */
  lead(
    call: HttpCall,
    method: string,
    path: string,
    query: string,
    refuse: (code: ErrorCode, allow?: string) => void,
  ): boolean {
    const target = targetOf(path, query, this.rules.transports);
    let code: ErrorCode | null = null;
    if (target === null) code = 'GW_NOT_FOUND';
    else if (!target.allow.split(', ').includes(method)) code = 'GW_METHOD_NOT_ALLOWED';
    else if (target.door === Door.websocket) code = 'GW_WEBSOCKET_HANDSHAKE';
    else if (method === 'POST') code = call.head.bodyCode(this.rules);
    if (code !== null) {
      refuse(code, target?.allow);
      return false;
    }
    call.target = target!.door === Door.endpoint ? null : target;
    return true;
  }

  /** Serves a request that {@link lead} has let through; `bytes[0, length)` is its body, valid during the call. */
  serve(call: HttpCall, bytes: Uint8Array, length: number): void {
    const { target } = call;
    if (target === null) this.#endpoint(call, bytes, length);
    else if (target.door === Door.sse) this.#sse.open(call);
    else if (target.door === Door.messages) this.#sse.post(call, target.query, bytes, length);
    else this.#rest.serve(call, target, bytes, length);
  }

  #endpoint(call: HttpCall, bytes: Uint8Array, length: number): void {
    const exchange = this.exchange(call);
    if (exchange === null) return;
    if (call.verb === Verb.post) this.#handler.request(exchange, bytes, length);
    else if (call.verb === Verb.get) this.#handler.stream(exchange);
    else this.#handler.terminate(exchange);
  }
}
