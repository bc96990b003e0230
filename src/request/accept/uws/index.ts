import { createServer } from 'node:net';
import { Chunks, type UwsReads, uwsReads } from '../../../../native/index.js';
import type { Snapshot } from '../../../config/snapshot.js';
import type { ErrorCode } from '../../../errors.js';
import type { BufferBudget } from '../../../shared/buffer-budget.js';
import type { Milliseconds } from '../../../units.js';
import { Verb } from '../../exchange/index.js';
import { ALLOW_HEAD, EMPTY, MALFORMED, NO_HEAD } from '../http/answers.js';
import { preflightHead } from '../http/cors.js';
import type { FrontEnd, FrontEndOptions, FrontHandler } from '../http/handler.js';
import { PLAIN_PATHS } from '../http/paths.js';
import { Router } from '../router/index.js';
import { loadUws, type UwsApp, type UwsModule, type UwsRequest, type UwsResponse } from './binding.js';
import { UwsCall, type UwsCallOwner } from './call.js';
import { UwsWebSockets } from './websocket.js';

/** Calls kept for reuse. */
const MAX_POOL = 4096;
const SWEEP_MS = 1000;
const FLUSH_MS = 200;

/**
 * The front end on uWebSockets.js.
 *
 * What it does by itself and cannot be told otherwise: a connection that sends nothing, or a body below 16 KB/s, is
 * cut after about 10 s; so is one that takes none of an answer; a request that arrives while the one before it on the
 * connection is not answered (pipelining) cuts the connection; heads it cannot parse get 400, 431 or 505, or no
 * answer until the connection times out. Its decoder takes chunked bodies that are none (RFC 9112 section 7.1), so the
 * framing is judged on the bytes that were read; where those cannot be seen, chunked bodies are refused.
 */
export class UwsFrontEnd implements FrontEnd, UwsCallOwner {
  readonly kind = 'uws';
  readonly address: { readonly host: string; readonly port: number };
  draining = false;

  readonly #uws: UwsModule;
  readonly #app: UwsApp;
  readonly budget: BufferBudget;
  readonly #handler: FrontHandler;
  readonly #doors: Router;
  readonly #webSockets: UwsWebSockets;
  /** Null = what is read cannot be seen. */
  readonly #reads: UwsReads | null;
  readonly #pool: UwsCall[] = [];
  readonly #watched = new Set<UwsCall>();
  readonly #sweep: NodeJS.Timeout;
  #listenSocket: object | null = null;
  #connections = 0;
  /** Calls whose answer is not complete. */
  #active = 0;
  #closed = false;

  private constructor(options: FrontEndOptions, uws: UwsModule) {
    this.#uws = uws;
    this.budget = options.table.budget;
    this.#handler = options.handler;
    this.#doors = new Router(options.snapshot, options.table, options.handler);
    this.#app = uws.App();
    this.#app.filter((response, change) => this.#count(response, change));
    const endpoint = (response: UwsResponse, request: UwsRequest): void => this.#post(response, request);
    const other = (response: UwsResponse, request: UwsRequest): void => this.#other(response, request);
    this.#webSockets = new UwsWebSockets({
      app: this.#app,
      table: options.table,
      handler: options.handler,
      rules: () => this.#doors.rules,
      limits: options.snapshot.limits,
      upgrade: (response, request) => this.#upgrade(response, request),
      refuse: (call, code) => this.#refuse(call, code),
      upgraded: () => {
        this.#connections -= 1;
      },
    });
    this.#app.post('/mcp', endpoint).post('/mcp/', endpoint).any('/*', other);
    const port = this.#listen(options.snapshot);
    this.address = { host: options.snapshot.host, port };
    const reads = uwsReads(MALFORMED);
    this.#reads = port > 0 && reads?.watch(port) === true ? reads : null;
    this.#sweep = setInterval(() => this.#cutSlow(), SWEEP_MS);
    this.#sweep.unref();
  }

  /** @throws Error when uWebSockets.js does not load, or with a `code` of listen(2) when the port cannot be had */
  static async open(options: FrontEndOptions): Promise<UwsFrontEnd> {
    const { host, port, limits } = options.snapshot;
    const front = new UwsFrontEnd(options, loadUws(limits.maxHeaderBytes));
    if (front.address.port > 0) return front;
    await front.close();
    // uWS does not say why; node does when it tries the same.
    await listenReason(host, port);
    throw Object.assign(new Error(`cannot listen on ${host}:${port}`), { code: 'EADDRINUSE' });
  }

  /** Chunked bodies can be judged; otherwise they are refused. */
  get takesChunks(): boolean {
    return this.#reads !== null;
  }

  get maxClientBufferBytes(): number {
    return this.#doors.rules.maxClientBufferBytes;
  }

  get maxResponseBytes(): number {
    return this.#doors.rules.maxResponseBytes;
  }

  connections(): number {
    return this.#connections + this.#webSockets.size;
  }

  reconfigure(snapshot: Snapshot): void {
    this.#doors.reconfigure(snapshot);
  }

  stopListening(): void {
    this.draining = true;
    if (this.#listenSocket === null) return;
    this.#uws.us_listen_socket_close(this.#listenSocket);
    this.#listenSocket = null;
  }

  async close(graceMs: Milliseconds = 0): Promise<void> {
    this.stopListening();
    this.#doors.close();
    this.#webSockets.close();
    const until = performance.now() + graceMs;
    let quietSince = performance.now();
    while (this.#connections > 0 && performance.now() < until) {
      if (this.#active > 0) quietSince = performance.now();
      // Answers that were given away may still be on their way in the server; connections that stay then are idle.
      else if (performance.now() - quietSince > FLUSH_MS) break;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#sweep);
    this.#app.close();
  }

  handled(): void {
    this.#reads?.handle();
  }

  body(call: UwsCall, chunk: ArrayBuffer, last: boolean): void {
    const limit = this.#doors.rules.maxBodyBytes;
    if (last && call.body.length === 0 && call.chunksId === 0) {
      if (chunk.byteLength > limit) this.#refuse(call, 'GW_BODY_TOO_LARGE');
      else this.#dispatch(call, new Uint8Array(chunk), chunk.byteLength);
      return;
    }
    if (!call.body.append(new Uint8Array(chunk), limit)) {
      this.#refuse(call, 'GW_BODY_TOO_LARGE');
      return;
    }
    // uWS calls a chunked body complete two bytes before its end.
    if (last && call.chunksId === 0) this.#whole(call);
  }

  framed(call: UwsCall, whole: boolean): void {
    if (!whole) this.#refuse(call, 'GW_FRAMING');
    else if (!call.bodyOpen) this.#whole(call);
  }

  #whole(call: UwsCall): void {
    this.#dispatch(call, call.body.bytes, call.body.length);
    // Who needs the body longer has copied it.
    call.body.clear();
  }

  gone(call: UwsCall): void {
    this.#watched.delete(call);
    const { listener } = call;
    if (listener !== null) {
      call.listener = null;
      listener.disconnected();
      return;
    }
    const exchange = call.detach();
    if (exchange !== null) this.#handler.aborted(exchange);
  }

  drained(call: UwsCall): void {
    this.#watched.delete(call);
    if (call.listener !== null) call.listener.drained();
    else this.#handler.drained(call.exchange!);
  }

  watch(call: UwsCall): void {
    this.#watched.add(call);
  }

  crowdedOut(call: UwsCall): void {
    if (call.response !== null && !call.closing) this.#refuse(call, 'GW_BUFFERS_FULL');
    call.body.clear();
  }

  recycle(call: UwsCall): void {
    this.#watched.delete(call);
    this.#active -= 1;
    call.letGo();
    this.#reads?.answered(call.descriptor);
    if (call.chunksId !== 0) this.#reads!.forget(call.chunksId);
    call.chunksId = 0;
    if (call.bodyOpen || call.isHeld) return;
    call.reset();
    if (this.#pool.length < MAX_POOL) this.#pool.push(call);
  }

  #listen(snapshot: Snapshot): number {
    let port = 0;
    this.#app.listen(snapshot.host, snapshot.port, this.#uws.LIBUS_LISTEN_EXCLUSIVE_PORT, (socket) => {
      if (socket === false) return;
      this.#listenSocket = socket;
      port = this.#uws.us_socket_local_port(socket);
    });
    return port;
  }

  #count(response: UwsResponse, change: number): void {
    this.#connections += change;
    if (change > 0 && this.connections() > this.#doors.rules.maxConnections) response.close();
  }

  #take(response: UwsResponse, request: UwsRequest, verb: Verb): UwsCall {
    const call = this.#pool.pop() ?? new UwsCall(this);
    if (this.#reads !== null) {
      call.isFirst = this.#reads.handle();
      call.descriptor = this.#reads.owe();
    }
    call.response = response;
    call.verb = verb;
    call.startedAt = performance.now();
    this.#active += 1;
    response.onAborted(call.onAborted);
    request.forEach(call.head.add);
    return call;
  }

  #post(response: UwsResponse, request: UwsRequest): void {
    const call = this.#take(response, request, Verb.post);
    const { head } = call;
    const code = this.#doors.headCode(head, 'POST', '/mcp');
    if (code !== null) {
      this.#refuse(call, code);
      return;
    }
    const bodyCode = head.bodyCode(this.#doors.rules);
    if (bodyCode === null) this.#receive(call, response);
    else this.#refuseBody(call, response, bodyCode);
  }

  #other(response: UwsResponse, request: UwsRequest): void {
    const method = request.getCaseSensitiveMethod();
    const path = request.getUrl();
    const verb = method === 'GET' || method === 'HEAD' ? Verb.get : method === 'DELETE' ? Verb.delete : Verb.post;
    const call = this.#take(response, request, verb);
    call.headOnly = method === 'HEAD';
    const code = this.#doors.headCode(call.head, method, path);
    if (code !== null) this.#refuse(call, code);
    else if (call.headOnly || (method === 'GET' && PLAIN_PATHS.has(path))) this.#plain(call, path);
    else if (method === 'OPTIONS') this.#preflight(call, request.getHeader('access-control-request-headers'));
    else this.#lead(call, response, method, path, request.getQuery());
  }

  #lead(call: UwsCall, response: UwsResponse, method: string, path: string, query: string): void {
    const refuse = (code: ErrorCode, allow?: string): void => this.#refuseBody(call, response, code, allow);
    if (!this.#doors.lead(call, method, path, query, refuse)) return;
    if (method === 'POST') this.#receive(call, response);
    else this.#doors.serve(call, EMPTY, 0);
  }

  /** A WebSocket handshake, whose head is judged as any other. @returns its call; null when it is refused */
  #upgrade(response: UwsResponse, request: UwsRequest): UwsCall | null {
    const call = this.#take(response, request, Verb.get);
    let code = this.#doors.headCode(call.head, 'GET', '/ws');
    if (code === null && !this.#doors.rules.transports.websocket) code = 'GW_NOT_FOUND';
    if (code === null) return call;
    this.#refuse(call, code);
    return null;
  }

  #receive(call: UwsCall, response: UwsResponse): void {
    if (call.head.chunked && !this.#isChunked(call)) return;
    call.bodyOpen = true;
    response.onData(call.onData);
  }

  /** Judges the framing of a chunked body as far as it has come; refuses what is broken or cannot be seen. */
  #isChunked(call: UwsCall): boolean {
    if (this.#reads === null || !call.isFirst) {
      this.#refuse(call, 'GW_LENGTH_REQUIRED');
      return false;
    }
    const { state, id } = this.#reads.check(call);
    if (state === Chunks.open) call.chunksId = id;
    if (state === Chunks.broken) this.#refuse(call, 'GW_FRAMING');
    return state !== Chunks.broken;
  }

  #dispatch(call: UwsCall, bytes: Uint8Array, length: number): void {
    if (call.refusal !== null) {
      this.#refuse(call, call.refusal.code, call.refusal.allow);
      return;
    }
    if (call.target !== null) {
      this.#doors.serve(call, bytes, length);
      return;
    }
    const exchange = this.#doors.exchange(call);
    if (exchange !== null) this.#handler.request(exchange, bytes, length);
  }

  /** Refuses a request for another reason than its framing: a chunked body is read first, to know that it is none. */
  #refuseBody(call: UwsCall, response: UwsResponse, code: ErrorCode, allow?: string): void {
    const { head } = call;
    if (!head.chunked || head.awaitsContinue || this.#reads === null) {
      this.#refuse(call, code, allow);
      return;
    }
    call.refusal = { code, allow };
    this.#receive(call, response);
  }

  /**
   * Refuses a request and ends its connection.
   *
   * uWS goes on parsing the bytes that came with a request even when the answer closes the connection: then another
   * request would be served after a refused one, whose end may be in doubt. So the answer is written past uWS and the
   * connection closed at once. Where that cannot be, the answer is owed until those bytes are gone through, and uWS
   * cuts the connection at the next request.
   */
  #refuse(call: UwsCall, code: ErrorCode, allow?: string): void {
    call.closing = true;
    if (call.isFirst) {
      call.direct = this.#reads;
      this.#doors.refuse(call, code, allow);
      call.direct = null;
      return;
    }
    const { response } = call;
    setImmediate(() => {
      if (call.response === response) this.#doors.refuse(call, code, allow);
    });
  }

  #preflight(call: UwsCall, asked: string): void {
    const origin = call.head.origin;
    const head = origin === '' ? ALLOW_HEAD : preflightHead(origin, asked);
    call.send(204, head, EMPTY, 0, 0);
  }

  #plain(call: UwsCall, path: string): void {
    const answer = PLAIN_PATHS.has(path) ? this.#handler.plain(path) : null;
    const body = Buffer.from(answer?.body ?? '');
    const head = answer === null ? NO_HEAD : ['content-type', answer.contentType];
    call.send(answer?.status ?? 404, head, body, 0, body.byteLength);
  }

  #cutSlow(): void {
    const { slowClientMs } = this.#doors.rules;
    const before = performance.now() - slowClientMs;
    this.#webSockets.cutSlow(slowClientMs);
    for (const call of this.#watched) {
      if (!call.blocked) this.#watched.delete(call);
      else if (call.progressAt < before) call.response?.close();
    }
  }
}

/** Rejects with the error of listen(2); resolves when there is none. */
function listenReason(host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen({ host, port }, () => server.close(() => resolve()));
  });
}
