import type { Snapshot } from '../../../config/snapshot/index.js';
import type { ErrorCode } from '../../../errors.js';
import { originHead } from '../../../protocol/origin-head.js';
import { RequestId } from '../../../protocol/request-id.js';
import { METADATA_PATH, metadataDocument } from '../../../protocol/resource-metadata.js';
import type { BufferBudget } from '../../../shared/buffer-budget.js';
import type { Bytes, Milliseconds } from '../../../units.js';
import { Verb } from '../../exchange/index.js';
import type { ExchangeTable } from '../../exchange/table.js';
import { handshakeError, type WebSocketHandshake } from '../connection/websocket.js';
import { ALLOW_HEAD, EMPTY, NO_HEAD } from '../http/answers.js';
import type { CallOwner, HttpCall, Refusal } from '../http/call.js';
import { AcceptContext } from '../http/context.js';
import { preflightHead } from '../http/cors.js';
import type { FrontHandler, LoginAnswer } from '../http/handler.js';
import { PAGE_HEAD, startPage } from '../http/page.js';
import { CALLBACK_PATH, LOGIN_PATH, PROBE_PATHS, ROOT_PATH, resourcePath, targetOf } from '../http/paths.js';
import { Router } from './index.js';

/** It depends on `Host` where the configuration has no `publicUrl`. */
const METADATA_HEAD: readonly string[] = Object.freeze([
  'content-type',
  'application/json',
  'cache-control',
  'no-store',
]);

const SWEEP_MS: Milliseconds = 1000;

/**
 * The way of a request from its head to the handler, the same on both front ends. An adapter for one HTTP server derives
 * from it, makes the calls, and reports in this order:
 *
 * 1. {@link receive}: the head is complete. It is checked ({@link headError}) and routed, and declared length, media type
 *    and coding of a POST are checked; a request without a body is served at once.
 * 2. {@link readBody}, of the adapter: 100 (Continue) where the client awaits it, the framing of chunks where the server
 *    below does not check it, then the pieces.
 * 3. {@link append}: a piece of the body arrived. Its size is bounded by `limits.maxBodyBytes` and the budget.
 * 4. {@link serve}: the body is whole. The call gets its exchange, and the handler the message.
 *
 * Each step may end in {@link refuse}, which answers and ends the connection.
 */
export abstract class HttpFrontEnd<Call extends HttpCall> implements CallOwner {
  readonly budget: BufferBudget;
  isDraining = false;
  protected readonly context: AcceptContext;
  protected readonly router: Router;
  readonly #sweep: NodeJS.Timeout;

  constructor(snapshot: Snapshot, handler: FrontHandler, table: ExchangeTable) {
    this.budget = table.budget;
    this.context = new AcceptContext(snapshot, handler, table);
    this.router = new Router(this.context);
    this.#sweep = setInterval(() => this.cutSlow(), SWEEP_MS);
    this.#sweep.unref();
  }

  /** Whether the framing of chunked bodies is checked; otherwise they are refused. */
  abstract readonly takesChunks: boolean;

  /** Has the body of a POST read. */
  protected abstract readBody(call: Call): void;

  /**
   * Refuses a request and ends its connection.
   *
   * @param allow the methods that the path takes, for GW_METHOD_NOT_ALLOWED
   */
  protected abstract refuse(call: Call, code: ErrorCode, allow?: string): void;

  /** Cuts the connections of clients that have taken or sent too little for `limits.slowClientMs`; called every second. */
  protected abstract cutSlow(): void;

  abstract finished(call: Call): void;

  get maxClientBufferBytes(): Bytes {
    return this.context.rules.maxClientBufferBytes;
  }

  get maxResponseBytes(): Bytes {
    return this.context.rules.maxResponseBytes;
  }

  reconfigure(snapshot: Snapshot): void {
    this.context.reconfigure(snapshot);
  }

  bodyEvicted(call: Call): void {
    if (!call.isClosing) this.refuse(call, 'GW_BUFFERS_FULL');
    call.body.clear();
  }

  disconnected(call: Call): void {
    const { listener } = call;
    if (listener !== null) {
      call.listener = null;
      listener.disconnected();
      return;
    }
    const exchange = call.detach();
    if (exchange !== null) this.context.handler.aborted(exchange);
  }

  drained(call: Call): void {
    if (call.listener !== null) call.listener.drained();
    else if (call.exchange !== null) this.context.handler.drained(call.exchange);
  }

  /**
   * Whether a WebSocket handshake on a path (`isWebSocketPath`) is valid, and allowed by the rules for any request; otherwise it is refused.
   */
  acceptsHandshake(call: Call, path: string, handshake: WebSocketHandshake): boolean {
    const { rules } = this.context;
    call.path = path;
    let code = this.headError(call, 'GET', path);
    call.target = targetOf(path, '', rules);
    if (code === null && !rules.transports.websocket) code = 'GW_NOT_FOUND';
    code ??= handshakeError(handshake);
    if (code !== null) this.refuse(call, code);
    return code === null;
  }

  /** Step 1: the head of a request is complete. */
  protected receive(call: Call, method: string, path: string, query: string): void {
    const code = this.headError(call, method, path);
    if (code !== null) {
      this.refuse(call, code);
      return;
    }
    if (method !== 'POST' && this.#answersItself(call, method, path, query)) return;
    const refusal = this.router.route(call, method, path, query);
    if (refusal !== null) this.#refuseAfterBody(call, refusal);
    else if (method === 'POST') this.readBody(call);
    else this.router.serve(call, EMPTY, 0);
  }

  /** See {@link Router.headError}. */
  protected headError(call: Call, method: string, path: string): ErrorCode | null {
    return this.router.headError(call.head, method, path);
  }

  /** Step 3: a piece of the body arrived, and is copied. @returns false when it is too large, and refused */
  protected append(call: Call, piece: Uint8Array): boolean {
    if (call.body.append(piece, this.context.rules.maxBodyBytes)) return true;
    this.refuseLarge(call, piece);
    return false;
  }

  /** Refuses a body that is too large, with the id of its request where that has come. @param piece the last one */
  protected refuseLarge(call: Call, piece: Uint8Array): void {
    const id = new RequestId();
    id.feed(call.body.bytes, 0, call.body.length);
    id.feed(piece);
    call.requestId = id.token;
    this.refuse(call, 'GW_BODY_TOO_LARGE');
  }

  /** Step 4: the body is whole; `bytes[0, length)` is valid during the call. */
  protected serve(call: Call, bytes: Uint8Array, length: number): void {
    const { refusal } = call;
    if (refusal !== null) this.refuse(call, refusal.code, refusal.allow);
    else this.router.serve(call, bytes, length);
  }

  /** Step 4 for a body that was collected by {@link append}; stages that need it longer copy it. */
  protected serveBody(call: Call): void {
    this.serve(call, call.body.bytes, call.body.length);
    call.body.clear();
  }

  /** Ends the calls of {@link cutSlow}. */
  protected stopSweep(): void {
    clearInterval(this.#sweep);
  }

  /** Refuses a request for another reason than its framing: a chunked body is read first, because its framing may be invalid. */
  #refuseAfterBody(call: Call, refusal: Refusal): void {
    if (!call.head.isChunked || call.head.awaitsContinue || !this.takesChunks) {
      this.refuse(call, refusal.code, refusal.allow);
      return;
    }
    call.refusal = refusal;
    this.readBody(call);
  }

  /** Answers HEAD, OPTIONS, probes, browsers and logins, which no transport serves. @returns false for other requests */
  #answersItself(call: Call, method: string, path: string, query: string): boolean {
    const { handler, rules } = this.context;
    if (method === 'HEAD' && this.#challengesHead(call, path, query)) return true;
    if (method !== 'OPTIONS' && path.startsWith(METADATA_PATH) && this.#answersMetadata(call, method, path))
      return true;
    if (path === ROOT_PATH && (method === 'HEAD' || (method === 'GET' && !call.head.opensStream(rules)))) {
      const page = startPage(rules, call.head.host);
      call.send(200, PAGE_HEAD, page, 0, page.byteLength);
      return true;
    }
    if (method === 'HEAD' || (method === 'GET' && PROBE_PATHS.has(path))) {
      const answer = PROBE_PATHS.has(path) ? handler.plain(path) : null;
      const body = Buffer.from(answer?.body ?? '');
      const head = answer === null ? NO_HEAD : ['content-type', answer.contentType];
      call.send(answer?.status ?? 404, head, body, 0, body.byteLength);
      return true;
    }
    if (method === 'GET' && (path === LOGIN_PATH || path === CALLBACK_PATH)) {
      const answer = handler.login(path, query, call.head.cookie);
      if (answer !== null) void sendPage(call, answer);
      return answer !== null;
    }
    if (method !== 'OPTIONS') return false;
    const { origin, preflightHeaders } = call.head;
    const head = origin === '' ? ALLOW_HEAD : preflightHead(origin, preflightHeaders, rules.credentialNames);
    call.send(204, head, EMPTY, 0, 0);
    return true;
  }

  /**
   * Answers HEAD on an endpoint or a stream where clients have to authenticate: some ask so how they can. The probes and the page
   * for browsers are not among those.
   */
  #challengesHead(call: Call, path: string, query: string): boolean {
    const { handler, rules } = this.context;
    const target = targetOf(path, query, rules);
    if (target === null || rules.auth[target.view]?.isRequired !== true) return false;
    call.target = target;
    call.path = resourcePath(path, target);
    const exchange = this.context.bind(call);
    if (exchange === null) return true;
    exchange.message.detail = target.methods.join(', ');
    handler.refuse(exchange, exchange.client.caller.token === '' ? 'GW_UNAUTHENTICATED' : 'GW_METHOD_NOT_ALLOWED');
    return true;
  }

  /** Answers a request for the protected-resource metadata (RFC 9728). @returns false when the path names no resource */
  #answersMetadata(call: Call, method: string, path: string): boolean {
    const { rules } = this.context;
    const resource = path.slice(METADATA_PATH.length);
    const target = resource === '' ? null : targetOf(resource, '', rules);
    const isResource = resource === '' || (target !== null && resourcePath(resource, target) !== '');
    if (!isResource || (method !== 'GET' && method !== 'HEAD')) return false;
    const metadata = rules.auth[target?.view ?? 0]?.metadata() ?? null;
    if (metadata === null) return false;
    const { host, origin } = call.head;
    const document = Buffer.from(metadataDocument(rules.publicUrl, host, resource, metadata));
    call.send(200, [...METADATA_HEAD, ...originHead(origin)], document, 0, document.byteLength);
    return true;
  }
}

/** Sends a page to a browser once it is there. It is not to be framed, kept, or named to other sites: its address is a secret. */
async function sendPage(call: HttpCall, answer: Promise<LoginAnswer>): Promise<void> {
  let isGone = false;
  call.listener = {
    drained: () => {},
    disconnected: () => {
      isGone = true;
    },
  };
  const { body, contentType, cookie, location, status } = await answer;
  if (isGone) return;
  call.listener = null;
  const bytes = Buffer.from(body);
  const type = PAGE_HEAD.with(1, contentType);
  const safe = [
    'referrer-policy',
    'no-referrer',
    'content-security-policy',
    "default-src 'none'; frame-ancestors 'none'",
  ];
  const head = [...type, ...safe];
  if (location !== '') head.push('location', location);
  if (cookie !== '') head.push('set-cookie', cookie);
  call.send(status, head, bytes, 0, bytes.byteLength);
}

/** The verb of a method; methods besides GET, HEAD and DELETE that are served are POST. */
export function verbOf(method: string): Verb {
  if (method === 'GET' || method === 'HEAD') return Verb.get;
  return method === 'DELETE' ? Verb.delete : Verb.post;
}
