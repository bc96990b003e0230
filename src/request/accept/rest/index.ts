/**
 * The REST transport: requests become messages of the newest revision, results and errors become HTTP answers. Nothing is
 * streamed: progress and input requests need MCP.
 */
import type { HttpCall } from '../http/call.js';
import type { AcceptContext } from '../http/context.js';
import type { RestCall } from '../http/rest-paths.js';
import { callMessage, listMessage } from './messages.js';
import { OpenApi } from './openapi.js';
import { RestReply } from './reply.js';

/** See the file comment; one per front end. */
export class RestTransport {
  readonly #context: AcceptContext;
  readonly #openApi: OpenApi;

  constructor(context: AcceptContext) {
    this.#context = context;
    this.#openApi = new OpenApi(context);
  }

  /** Serves one request; `bytes[0, length)` is its body, valid during the call only. */
  serve(call: HttpCall, rest: RestCall, query: string, bytes: Uint8Array, length: number): void {
    const { verb, method } = rest;
    if (method === '') {
      this.#openApi.serve(call);
      return;
    }
    const exchange = this.#context.acquire(call);
    if (exchange === null) return;
    const { handler, rules } = this.#context;
    exchange.client.reply = new RestReply(call, exchange, handler, verb === 'GET');
    if (call.head.refusesJson(rules)) {
      handler.refuse(exchange, 'GW_NOT_ACCEPTABLE_JSON');
      return;
    }
    const message =
      verb === 'GET' ? listMessage(method, new URLSearchParams(query).get('cursor')) : callMessage(rest, bytes, length);
    if (typeof message === 'string') handler.refuse(exchange, message);
    else handler.request(exchange, message, message.byteLength);
  }
}
