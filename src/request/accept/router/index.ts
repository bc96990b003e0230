import type { ErrorCode } from '../../../errors.js';
import { Verb } from '../../exchange/index.js';
import { SseTransport } from '../connection/sse.js';
import type { HttpCall, Refusal } from '../http/call.js';
import type { AcceptContext } from '../http/context.js';
import type { RequestHead } from '../http/head.js';
import { PROBE_PATHS, resourcePath, targetOf } from '../http/paths.js';
import { RestTransport } from '../rest/index.js';

/** Methods that give a body no meaning; a body without meaning is read differently (RFC 9110 section 9.3). */
const BODILESS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'DELETE', 'OPTIONS', 'TRACE']);

/**
 * Routes requests to their transport: Streamable HTTP, HTTP with SSE, REST. One per front end, which calls
 * {@link headError}, {@link route} and {@link serve} in this order.
 */
export class Router {
  readonly #context: AcceptContext;
  readonly #sse: SseTransport;
  readonly #rest: RestTransport;

  constructor(context: AcceptContext) {
    this.#context = context;
    this.#sse = new SseTransport(context);
    this.#rest = new RestTransport(context);
  }

  /** Ends the connections that requests have opened. */
  close(): void {
    this.#sse.close();
  }

  /**
   * Checks the head of a request before anything is answered, whatever its path and method: framing, size, `Host`,
   * `Origin`.
   *
   * @returns why it is refused; null = it is not
   */
  headError(head: RequestHead, method: string, path: string): ErrorCode | null {
    const { rules } = this.#context;
    if (!head.hasValidFraming(rules)) return 'GW_FRAMING';
    const code = head.originError(rules, PROBE_PATHS.has(path));
    if (code !== null) return code;
    return head.hasBody && (head.isChunked ? method !== 'POST' : BODILESS.has(method)) ? 'GW_FRAMING' : null;
  }

  /**
   * Finds the target of a request, writes it to `call.target`, and checks method and declared body.
   *
   * @returns why it is refused; null = it may be served once its body is there
   */
  route(call: HttpCall, method: string, path: string, query: string): Refusal | null {
    const { rules } = this.#context;
    const target = targetOf(path, query, rules);
    if (target === null) return { code: 'GW_NOT_FOUND', allow: '' };
    call.target = target;
    call.path = resourcePath(path, target);
    let code: ErrorCode | null = null;
    if (!target.methods.includes(method)) code = 'GW_METHOD_NOT_ALLOWED';
    // Valid handshakes of WebSockets do not come here.
    else if (target.route === 'websocket') code = 'GW_WEBSOCKET_HANDSHAKE';
    else if (method === 'POST') code = call.head.bodyError(rules);
    // The answer to a message of a connection has its id, which is in the body: it is read up to the limit.
    if (code === 'GW_BODY_TOO_LARGE' && target.route === 'messages' && !call.head.awaitsContinue) code = null;
    return code === null ? null : { code, allow: target.methods.join(', ') };
  }

  /** Serves a request that {@link route} has not refused; `bytes[0, length)` is its body, valid during the call. */
  serve(call: HttpCall, bytes: Uint8Array, length: number): void {
    const { target } = call;
    if (target === null) return;
    switch (target.route) {
      case 'endpoint':
        this.#serveEndpoint(call, bytes, length);
        return;
      case 'sse':
        this.#sse.open(call);
        return;
      case 'messages':
        this.#sse.post(call, target.query, bytes, length);
        return;
      case 'rest':
        this.#rest.serve(call, target.rest, target.query, bytes, length);
        return;
      case 'websocket':
        // Refused by route().
        return;
      default:
        target satisfies never;
    }
  }

  #serveEndpoint(call: HttpCall, bytes: Uint8Array, length: number): void {
    const exchange = this.#context.bind(call);
    if (exchange === null) return;
    const { handler } = this.#context;
    if (call.verb === Verb.post) handler.request(exchange, bytes, length);
    else if (call.verb === Verb.get) handler.stream(exchange);
    else handler.terminate(exchange);
  }
}
