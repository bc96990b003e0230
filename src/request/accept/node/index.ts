import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Snapshot } from '../../../config/snapshot.js';
import type { ErrorCode } from '../../../errors.js';
import type { BufferBudget } from '../../../shared/buffer-budget.js';
import type { Milliseconds } from '../../../units.js';
import { Verb } from '../../exchange/index.js';
import { ALLOW_HEAD, EMPTY, NO_HEAD } from '../http/answers.js';
import { preflightHead } from '../http/cors.js';
import type { FrontEnd, FrontEndOptions, FrontHandler } from '../http/handler.js';
import { PLAIN_PATHS } from '../http/paths.js';
import { Router } from '../router/index.js';
import { NodeCall, type NodeCallOwner } from './call.js';
import { NodeWebSockets } from './websocket.js';

/** Idle connections and unfinished heads are cut after this time, as uWebSockets.js does. */
const IDLE_MS = 10_000;
/** A body must come faster than this on average once it is older than `IDLE_MS`, as with uWebSockets.js. */
const BODY_BYTES_PER_MS = 16;
const SWEEP_MS = 1000;
/** TCP probes find peers that vanished without a word behind quiet streams. */
const KEEP_ALIVE_PROBE_MS = 15_000;

/** The front end on node:http, for platforms where the uWebSockets.js binary does not load. */
export class NodeFrontEnd implements FrontEnd, NodeCallOwner {
  readonly kind = 'node';
  draining = false;

  readonly #server: Server;
  readonly #host: string;
  readonly budget: BufferBudget;
  readonly #handler: FrontHandler;
  readonly #doors: Router;
  readonly #webSockets: NodeWebSockets;
  readonly #calls = new Set<NodeCall>();
  /** Connections that end with the answer under way: what follows on them must not be read as a request. */
  readonly #ending = new WeakSet<Socket>();
  readonly #counted = new WeakSet<Socket>();
  readonly #sweep: NodeJS.Timeout;
  #connections = 0;
  #portSeen = 0;

  private constructor(options: FrontEndOptions) {
    this.#host = options.snapshot.host;
    this.budget = options.table.budget;
    this.#handler = options.handler;
    this.#doors = new Router(options.snapshot, options.table, options.handler);
    const { rules } = this.#doors;
    const server = createServer({
      insecureHTTPParser: false,
      requireHostHeader: true,
      maxHeaderSize: rules.maxHeaderBytes + 2048,
      headersTimeout: IDLE_MS,
      keepAliveTimeout: IDLE_MS,
      requestTimeout: 0,
      connectionsCheckingInterval: SWEEP_MS,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: KEEP_ALIVE_PROBE_MS,
    });
    // One more than allowed, so that too many are seen and refused instead of being cut without a word.
    server.maxHeadersCount = rules.maxHeaders + 1;
    server.maxConnections = rules.maxConnections;
    server.on('request', (request, response) => this.#request(request, response));
    server.on('checkContinue', (request, response) => this.#request(request, response));
    server.on('checkExpectation', (request, response) => this.#request(request, response));
    server.on('connection', (socket) => this.#count(socket));
    this.#server = server;
    this.#webSockets = new NodeWebSockets({
      server,
      table: options.table,
      handler: options.handler,
      rules: () => this.#doors.rules,
      upgrade: (request, response) => this.#upgrade(request, response),
      refuse: (call, code) => this.#refuse(call, code),
    });
    this.#sweep = setInterval(() => this.#cutSlow(), SWEEP_MS);
    this.#sweep.unref();
  }

  /** @throws Error with `code` EADDRINUSE (or another of listen(2)) when the port cannot be had */
  static async open(options: FrontEndOptions): Promise<NodeFrontEnd> {
    const front = new NodeFrontEnd(options);
    try {
      await new Promise<void>((resolve, reject) => {
        front.#server.once('error', reject);
        front.#server.listen({ host: options.snapshot.host, port: options.snapshot.port, backlog: 512 }, resolve);
      });
    } catch (error) {
      clearInterval(front.#sweep);
      throw error;
    }
    return front;
  }

  get address(): { readonly host: string; readonly port: number } {
    return { host: this.#host, port: this.#port() };
  }

  get maxClientBufferBytes(): number {
    return this.#doors.rules.maxClientBufferBytes;
  }

  get maxResponseBytes(): number {
    return this.#doors.rules.maxResponseBytes;
  }

  connections(): number {
    return this.#connections;
  }

  reconfigure(snapshot: Snapshot): void {
    this.#doors.reconfigure(snapshot);
    this.#server.maxConnections = this.#doors.rules.maxConnections;
  }

  stopListening(): void {
    if (this.draining) return;
    this.#port();
    this.draining = true;
    this.#server.close();
    this.#server.closeIdleConnections();
  }

  async close(graceMs: Milliseconds = 0): Promise<void> {
    this.stopListening();
    this.#doors.close();
    this.#webSockets.close();
    const until = performance.now() + graceMs;
    while (this.#connections > 0 && performance.now() < until) {
      this.#server.closeIdleConnections();
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    clearInterval(this.#sweep);
    this.#server.closeAllConnections();
  }

  gone(call: NodeCall): void {
    const { listener } = call;
    if (listener !== null) {
      call.listener = null;
      listener.disconnected();
      return;
    }
    const exchange = call.detach();
    if (exchange !== null) this.#handler.aborted(exchange);
  }

  drained(call: NodeCall): void {
    if (call.listener !== null) call.listener.drained();
    else this.#handler.drained(call.exchange!);
  }

  crowdedOut(call: NodeCall): void {
    if (!call.bodyDone && !call.closing) this.#refuse(call, 'GW_BUFFERS_FULL');
    call.body.clear();
  }

  over(call: NodeCall): void {
    this.#calls.delete(call);
  }

  /** A socket may come again, without its listeners (upgrade.ts). */
  #count(socket: Socket): void {
    if (!this.#counted.has(socket)) this.#connections += 1;
    this.#counted.add(socket);
    socket.once('close', () => {
      this.#connections -= 1;
    });
  }

  #port(): number {
    const address = this.#server.address() as AddressInfo | null;
    if (address !== null) this.#portSeen = address.port;
    return this.#portSeen;
  }

  #request(request: IncomingMessage, response: ServerResponse): void {
    if (this.#ending.has(request.socket)) return;
    const method = request.method ?? '';
    const target = requestTarget(request);
    const path = target?.path ?? null;
    const call = this.#take(request, response, method);
    const code = this.#headCode(call, request, path);
    if (code !== null) {
      this.#refuse(call, code);
      return;
    }
    call.bodyDone = !call.head.hasBody;
    if (method === 'HEAD' || (method === 'GET' && PLAIN_PATHS.has(path!))) {
      this.#plain(call, path!);
      return;
    }
    if (method === 'OPTIONS') {
      this.#preflight(call, request);
      return;
    }
    const refuse = (why: ErrorCode, allow?: string): void => this.#refuseBody(call, request, response, why, allow);
    if (!this.#doors.lead(call, method, path!, target!.query, refuse)) return;
    if (method === 'POST') this.#read(call, request, response);
    else this.#doors.serve(call, EMPTY, 0);
  }

  #take(request: IncomingMessage, response: ServerResponse, method: string): NodeCall {
    const call = new NodeCall(this, request, response);
    this.#calls.add(call);
    call.verb = method === 'GET' ? Verb.get : method === 'DELETE' ? Verb.delete : Verb.post;
    const raw = request.rawHeaders;
    for (let at = 0; at < raw.length; at += 2) call.head.add(raw[at]!.toLowerCase(), raw[at + 1]!);
    return call;
  }

  #headCode(call: NodeCall, request: IncomingMessage, path: string | null): ErrorCode | null {
    // HTTP/1.0 has no Host rule, no chunks and no kept connections; uWebSockets.js refuses it too.
    if (path === null || request.httpVersion !== '1.1') return 'GW_FRAMING';
    return this.#doors.headCode(call.head, request.method ?? '', path);
  }

  /** A WebSocket handshake, whose head is judged as any other. @returns its call; null when it is refused */
  #upgrade(request: IncomingMessage, response: ServerResponse): NodeCall | null {
    const call = this.#take(request, response, 'GET');
    call.bodyDone = true;
    let code = this.#headCode(call, request, requestTarget(request)?.path ?? null);
    if (code === null && !this.#doors.rules.transports.websocket) code = 'GW_NOT_FOUND';
    if (code === null) return call;
    this.#refuse(call, code);
    return null;
  }

  #read(call: NodeCall, request: IncomingMessage, response: ServerResponse): void {
    if (request.headers.expect !== undefined) response.writeContinue();
    request.on('data', (chunk: Buffer) => {
      if (call.closing) return;
      if (!call.body.append(chunk, this.#doors.rules.maxBodyBytes)) this.#refuse(call, 'GW_BODY_TOO_LARGE');
    });
    request.on('end', () => {
      if (call.closing) return;
      call.bodyDone = true;
      // Other readers know of no fields behind a body; uWebSockets.js does not either.
      if (request.rawTrailers.length > 0) this.#refuse(call, 'GW_FRAMING');
      else if (call.refusal !== null) this.#refuse(call, call.refusal.code, call.refusal.allow);
      else this.#doors.serve(call, call.body.bytes, call.body.length);
      // Who needs the body longer has copied it.
      call.body.clear();
    });
  }

  /** Refuses a request for another reason than its framing: a chunked body is read first, to know that it is none. */
  #refuseBody(
    call: NodeCall,
    request: IncomingMessage,
    response: ServerResponse,
    code: ErrorCode,
    allow?: string,
  ): void {
    if (!call.head.chunked || call.head.awaitsContinue) {
      this.#refuse(call, code, allow);
      return;
    }
    call.refusal = { code, allow };
    this.#read(call, request, response);
  }

  #refuse(call: NodeCall, code: ErrorCode, allow?: string): void {
    call.closing = true;
    this.#ending.add(call.socket);
    this.#doors.refuse(call, code, allow);
  }

  #preflight(call: NodeCall, request: IncomingMessage): void {
    const origin = call.head.origin;
    const asked = request.headers['access-control-request-headers'];
    const head = origin === '' ? ALLOW_HEAD : preflightHead(origin, typeof asked === 'string' ? asked : '');
    call.send(204, head, EMPTY, 0, 0);
  }

  #plain(call: NodeCall, path: string): void {
    const answer = PLAIN_PATHS.has(path) ? this.#handler.plain(path) : null;
    const body = Buffer.from(answer?.body ?? '');
    const head = answer === null ? NO_HEAD : ['content-type', answer.contentType];
    call.send(answer?.status ?? 404, head, body, 0, body.byteLength);
  }

  #cutSlow(): void {
    const now = performance.now();
    const { slowClientMs } = this.#doors.rules;
    const before = now - slowClientMs;
    this.#webSockets.cutSlow(slowClientMs);
    for (const call of this.#calls) {
      const age = now - call.startedAt;
      const slowBody = !call.bodyDone && age > IDLE_MS && call.body.length < age * BODY_BYTES_PER_MS;
      if (slowBody || (call.blocked && call.progressAt < before)) call.cut();
    }
  }
}

/** Path and query; `null` for a target of another host or in another form (RFC 9112 section 3.2). */
export function requestTarget(request: IncomingMessage): { readonly path: string; readonly query: string } | null {
  let target = request.url ?? '';
  if (!target.startsWith('/')) {
    const prefix = `http://${request.headers.host ?? ''}/`.toLowerCase();
    if (!target.toLowerCase().startsWith(prefix)) return null;
    target = target.slice(prefix.length - 1);
  }
  const query = target.indexOf('?');
  return query < 0 ? { path: target, query: '' } : { path: target.slice(0, query), query: target.slice(query + 1) };
}
