import { createServer } from 'node:net';
import { Chunks, type EarlyRefusals, type UwsReads, uwsReads } from '../../../../native/index.js';
import type { Snapshot } from '../../../config/snapshot/index.js';
import type { ErrorCode } from '../../../errors.js';
import type { Count, Milliseconds } from '../../../units.js';
import { Verb } from '../../exchange/index.js';
import type { ExchangeTable } from '../../exchange/table.js';
import { MALFORMED } from '../http/answers.js';
import type { FrontEnd, FrontHandler } from '../http/handler.js';
import { ENDPOINT_PATH, ROOT_PATH } from '../http/paths.js';
import { HttpFrontEnd, verbOf } from '../router/front-end.js';
import { loadUws, type UwsApp, type UwsModule, type UwsRequest, type UwsResponse } from './binding.js';
import { UwsCall, type UwsCallOwner } from './call.js';
import { type UwsHandshakes, UwsWebSockets } from './websocket.js';

/** Calls kept for reuse. */
const MAX_POOL: Count = 4096;
/** Longest time that a body which is too large is read and dropped before its answer, where the answer cannot come first. */
const DROP_MS: Milliseconds = 5_000;
/** Time for answers that are given to the server to reach their clients. */
const FLUSH_MS: Milliseconds = 200;

/**
 * The front end on uWebSockets.js.
 *
 * Behaviour of uWebSockets.js that cannot be configured: a connection that sends nothing, or a body below 16 KB/s, is
 * cut after about 10 s; so is one that takes none of an answer; a request that arrives while the one before it on the
 * connection is not answered (pipelining) cuts the connection; heads that it cannot parse get 400, 431 or 505, or no
 * answer until the connection times out. Its decoder accepts chunked bodies with invalid framing (RFC 9112 section 7.1),
 * so the framing is checked on the bytes that were read; where those cannot be seen, chunked bodies are refused.
 */
export class UwsFrontEnd extends HttpFrontEnd<UwsCall> implements FrontEnd, UwsCallOwner, UwsHandshakes {
  readonly kind = 'uws';
  readonly address: { readonly host: string; readonly port: number };

  readonly #uws: UwsModule;
  readonly #app: UwsApp;
  readonly #webSockets: UwsWebSockets;
  /** Null = what is read cannot be seen. */
  readonly #reads: UwsReads | null;
  readonly #early: EarlyRefusals;
  readonly #pool: UwsCall[] = [];
  /** Calls whose client does not take what is written. */
  readonly #watched = new Set<UwsCall>();
  #listenSocket: object | null = null;
  #connections: Count = 0;
  /** Calls whose answer is not complete. */
  #active: Count = 0;
  #isClosed = false;

  private constructor(
    uws: UwsModule,
    snapshot: Snapshot,
    handler: FrontHandler,
    table: ExchangeTable,
    early: EarlyRefusals,
  ) {
    super(snapshot, handler, table);
    this.#early = early;
    this.#uws = uws;
    this.#app = uws.App();
    this.#app.filter((response, change) => this.#count(response, change));
    this.#webSockets = new UwsWebSockets(this.#app, this.context, snapshot.limits, this);
    const post = (response: UwsResponse, request: UwsRequest): void =>
      this.receive(this.#open(response, request, Verb.post), 'POST', ENDPOINT_PATH, '');
    const other = (response: UwsResponse, request: UwsRequest): void => this.#other(response, request);
    this.#app.post(ENDPOINT_PATH, post).post(`${ENDPOINT_PATH}/`, post).post(ROOT_PATH, post).any('/*', other);
    const port = this.#listen(snapshot);
    this.address = { host: snapshot.host, port };
    const reads = uwsReads(MALFORMED);
    this.#reads = port > 0 && reads?.watch(port, early) === true ? reads : null;
  }

  /** @throws Error when uWebSockets.js does not load, or with a `code` of listen(2) when it cannot listen on the port */
  static async open(
    snapshot: Snapshot,
    handler: FrontHandler,
    table: ExchangeTable,
    early: EarlyRefusals,
  ): Promise<UwsFrontEnd> {
    const { host, port, limits } = snapshot;
    const front = new UwsFrontEnd(loadUws(limits.maxHeaderBytes), snapshot, handler, table, early);
    if (front.address.port > 0) return front;
    await front.close();
    // uWS gives no reason; node:net has one for the same attempt.
    await listenReason(host, port);
    throw Object.assign(new Error(`cannot listen on ${host}:${port}`), { code: 'EADDRINUSE' });
  }

  get takesChunks(): boolean {
    return this.#reads !== null;
  }

  connections(): Count {
    return this.#connections + this.#webSockets.size;
  }

  stopListening(): void {
    this.isDraining = true;
    this.#early.close();
    if (this.#listenSocket === null) return;
    this.#uws.us_listen_socket_close(this.#listenSocket);
    this.#listenSocket = null;
  }

  async close(graceMs: Milliseconds = 0): Promise<void> {
    this.stopListening();
    this.router.close();
    this.#webSockets.close();
    const until = performance.now() + graceMs;
    let quietSince = performance.now();
    while (this.#connections > 0 && performance.now() < until) {
      if (this.#active > 0) quietSince = performance.now();
      // Connections that are still open then are idle.
      else if (performance.now() - quietSince > FLUSH_MS) break;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.stopSweep();
    this.#reads?.unwatch(this.#early);
    this.#app.close();
  }

  parsed(): void {
    this.#reads?.handle();
  }

  bodyPiece(call: UwsCall, chunk: ArrayBuffer, isLast: boolean): void {
    const piece = new Uint8Array(chunk);
    if (isLast && call.body.length === 0 && call.chunksId === 0) {
      // The whole body came at once: it is not copied.
      if (piece.byteLength > this.context.rules.maxBodyBytes) this.refuseLarge(call, piece);
      else this.serve(call, piece, piece.byteLength);
      return;
    }
    // uWS calls a chunked body complete two bytes before its end.
    if (this.append(call, piece) && isLast && call.chunksId === 0) this.serveBody(call);
  }

  bodyDropped(call: UwsCall): void {
    if (call.refusal !== null) this.context.refuse(call, call.refusal.code, call.refusal.allow);
  }

  framed(call: UwsCall, isValid: boolean): void {
    if (!isValid) this.refuse(call, 'GW_FRAMING');
    else if (!call.isBodyOpen) this.serveBody(call);
  }

  watch(call: UwsCall): void {
    this.#watched.add(call);
  }

  finished(call: UwsCall): void {
    this.#watched.delete(call);
    this.#active -= 1;
    call.releaseBytes();
    this.#reads?.answered(call.descriptor);
    if (call.chunksId !== 0) this.#reads?.forget(call.chunksId);
    call.chunksId = 0;
    if (call.isBodyOpen || call.isHeld) return;
    call.reset();
    if (this.#pool.length < MAX_POOL) this.#pool.push(call);
  }

  openHandshake(response: UwsResponse, request: UwsRequest): UwsCall {
    return this.#open(response, request, Verb.get);
  }

  /** uWS does not report the connection of a WebSocket as closed to its filter. */
  upgraded(): void {
    this.#connections -= 1;
  }

  protected override readBody(call: UwsCall): void {
    if (!call.head.isChunked || this.#isChunked(call)) call.readBody();
  }

  /**
   * uWS continues to parse the bytes that came with a request even when the answer closes the connection: then another
   * request would be served after a refused one, whose end may be in doubt. So the answer is written past uWS and the
   * connection closed at once. Where that cannot be, the answer is delayed until those bytes are parsed, and uWS cuts the
   * connection at the next request. uWS closes a connection with what it has not read, which resets it, and the client
   * may lose the answer (RFC 9112 section 9.6); so a body that is only too large is read and dropped before.
   */
  protected override refuse(call: UwsCall, code: ErrorCode, allow?: string): void {
    call.isClosing = true;
    if (call.isFirst) {
      call.direct = this.#reads;
      this.context.refuse(call, code, allow);
      call.direct = null;
      return;
    }
    const { response } = call;
    const answer = (): void => {
      if (call.response === response) this.context.refuse(call, code, allow);
    };
    const isDropped = code === 'GW_BODY_TOO_LARGE' && !call.isBodyComplete;
    // A chunked body may have no end that is certain; one that waits for 100 (Continue) does not come.
    if (!isDropped || call.head.isChunked || call.head.awaitsContinue) {
      setImmediate(answer);
      return;
    }
    call.refusal = { code, allow: '' };
    if (!call.isBodyOpen) call.readBody();
    setTimeout(answer, DROP_MS).unref();
  }

  protected override cutSlow(): void {
    const { slowClientMs } = this.context.rules;
    const before = performance.now() - slowClientMs;
    this.#webSockets.cutSlow();
    for (const call of this.#watched) {
      if (!call.isBlocked) this.#watched.delete(call);
      else if (call.progressAt < before) call.cut();
    }
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
    if (change > 0 && this.connections() > this.context.rules.maxConnections) response.close();
  }

  /** A call for a request whose head has arrived, with its header lines. */
  #open(response: UwsResponse, request: UwsRequest, verb: Verb): UwsCall {
    const call = this.#pool.pop() ?? new UwsCall(this);
    if (this.#reads !== null) {
      call.isFirst = this.#reads.handle();
      call.descriptor = this.#reads.expectAnswer();
      call.isAdmitted = this.#reads.isAdmitted;
    }
    call.verb = verb;
    this.#active += 1;
    call.start(response, performance.now());
    call.head.attributeNames = this.context.rules.attributeNames;
    call.head.credentialNames = this.context.rules.credentialNames;
    request.forEach(call.head.add);
    return call;
  }

  #other(response: UwsResponse, request: UwsRequest): void {
    const method = request.getCaseSensitiveMethod();
    const call = this.#open(response, request, verbOf(method));
    call.isHead = method === 'HEAD';
    this.receive(call, method, request.getUrl(), request.getQuery());
  }

  /** Checks the framing of a chunked body as far as it has come; refuses what is invalid or cannot be seen. */
  #isChunked(call: UwsCall): boolean {
    if (this.#reads === null || !call.isFirst) {
      this.refuse(call, 'GW_LENGTH_REQUIRED');
      return false;
    }
    const { state, id } = this.#reads.check(call);
    if (state === Chunks.open) call.chunksId = id;
    if (state === Chunks.broken) this.refuse(call, 'GW_FRAMING');
    return state !== Chunks.broken;
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
