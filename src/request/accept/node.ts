import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Snapshot } from '../../config/snapshot.js';
import type { ErrorCode } from '../../errors.js';
import type { Milliseconds } from '../../units.js';
import { type Exchange, Verb } from '../exchange.js';
import type { ExchangeTable } from '../exchanges.js';
import { ALLOW_HEAD, EMPTY, OVERLOADED, OVERLOADED_HEAD } from './answers.js';
import { preflightHead } from './cors.js';
import type { FrontEnd, FrontEndOptions, FrontHandler } from './handler.js';
import { NodeCall, type NodeCallOwner } from './node-call.js';
import { isEndpoint, PLAIN_PATHS } from './paths.js';
import { AcceptRules } from './rules.js';

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
  readonly #table: ExchangeTable;
  readonly #handler: FrontHandler;
  readonly #calls = new Set<NodeCall>();
  /** Connections that end with the answer under way: what follows on them must not be read as a request. */
  readonly #ending = new WeakSet<Socket>();
  readonly #sweep: NodeJS.Timeout;
  #rules: AcceptRules;
  #connections = 0;
  #portSeen = 0;

  private constructor(options: FrontEndOptions) {
    this.#host = options.snapshot.host;
    this.#table = options.table;
    this.#handler = options.handler;
    this.#rules = new AcceptRules(options.snapshot);
    const server = createServer({
      insecureHTTPParser: false,
      requireHostHeader: true,
      maxHeaderSize: this.#rules.maxHeaderBytes + 2048,
      headersTimeout: IDLE_MS,
      keepAliveTimeout: IDLE_MS,
      requestTimeout: 0,
      connectionsCheckingInterval: SWEEP_MS,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: KEEP_ALIVE_PROBE_MS,
    });
    // One more than allowed, so that too many are seen and refused instead of being cut without a word.
    server.maxHeadersCount = this.#rules.maxHeaders + 1;
    server.maxConnections = this.#rules.maxConnections;
    server.on('request', (request, response) => this.#request(request, response));
    server.on('checkContinue', (request, response) => this.#request(request, response));
    server.on('checkExpectation', (request, response) => this.#request(request, response));
    server.on('connection', (socket) => {
      this.#connections += 1;
      socket.on('close', () => {
        this.#connections -= 1;
      });
    });
    this.#server = server;
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
    return this.#rules.maxClientBufferBytes;
  }

  get maxResponseBytes(): number {
    return this.#rules.maxResponseBytes;
  }

  connections(): number {
    return this.#connections;
  }

  reconfigure(snapshot: Snapshot): void {
    this.#rules = new AcceptRules(snapshot);
    this.#server.maxConnections = this.#rules.maxConnections;
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
    const until = performance.now() + graceMs;
    while (this.#connections > 0 && performance.now() < until) {
      this.#server.closeIdleConnections();
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    clearInterval(this.#sweep);
    this.#server.closeAllConnections();
  }

  gone(call: NodeCall): void {
    const exchange = call.detach();
    if (exchange !== null) this.#handler.aborted(exchange);
  }

  drained(call: NodeCall): void {
    this.#handler.drained(call.exchange!);
  }

  over(call: NodeCall): void {
    this.#calls.delete(call);
  }

  #port(): number {
    const address = this.#server.address() as AddressInfo | null;
    if (address !== null) this.#portSeen = address.port;
    return this.#portSeen;
  }

  #request(request: IncomingMessage, response: ServerResponse): void {
    if (this.#ending.has(request.socket)) return;
    const method = request.method ?? '';
    const path = requestPath(request);
    if (method === 'HEAD' || (method === 'GET' && path !== null && PLAIN_PATHS.has(path))) {
      this.#plain(response, path);
      return;
    }
    const call = new NodeCall(this, request, response);
    this.#calls.add(call);
    call.verb = method === 'GET' ? Verb.get : method === 'DELETE' ? Verb.delete : Verb.post;
    const head = call.head;
    const raw = request.rawHeaders;
    for (let at = 0; at < raw.length; at += 2) head.add(raw[at]!.toLowerCase(), raw[at + 1]!);
    const rules = this.#rules;
    // HTTP/1.0 has no Host rule, no chunks and no kept connections; uWebSockets.js refuses it too.
    const plausible = path !== null && request.httpVersion === '1.1' && head.framingHolds(rules);
    let code: ErrorCode | null = plausible ? head.strangerCode(rules) : 'GW_FRAMING';
    if (code === null && method === 'OPTIONS') {
      this.#preflight(call, request);
      return;
    }
    if (code === null && !isEndpoint(path!)) code = 'GW_NOT_FOUND';
    if (code === null) {
      if (method === 'POST') code = head.bodyCode(rules);
      else if (call.verb === Verb.post) code = 'GW_METHOD_NOT_ALLOWED';
      else if (head.hasBody) code = 'GW_FRAMING';
    }
    if (code !== null) {
      this.#refuse(call, code);
      return;
    }
    if (call.verb === Verb.post) {
      this.#read(call, request, response);
      return;
    }
    call.bodyDone = true;
    const exchange = this.#exchange(call);
    if (exchange === null) return;
    if (call.verb === Verb.get) this.#handler.stream(exchange);
    else this.#handler.terminate(exchange);
  }

  #read(call: NodeCall, request: IncomingMessage, response: ServerResponse): void {
    if (request.headers.expect !== undefined) response.writeContinue();
    request.on('data', (chunk: Buffer) => {
      if (call.closing) return;
      if (!call.body.append(chunk, this.#rules.maxBodyBytes)) this.#refuse(call, 'GW_BODY_TOO_LARGE');
    });
    request.on('end', () => {
      if (call.closing) return;
      call.bodyDone = true;
      const exchange = this.#exchange(call);
      if (exchange === null) return;
      this.#handler.request(exchange, call.body.bytes, call.body.length);
    });
  }

  #refuse(call: NodeCall, code: ErrorCode): void {
    call.closing = true;
    this.#ending.add(call.socket);
    const exchange = this.#exchange(call);
    if (exchange !== null) this.#handler.refuse(exchange, code);
  }

  #exchange(call: NodeCall): Exchange | null {
    const exchange = this.#table.acquire();
    if (exchange === null) {
      call.send(503, OVERLOADED_HEAD, OVERLOADED, 0, OVERLOADED.byteLength);
      return null;
    }
    call.head.fill(exchange, this.#rules, call.verb, call.startedAt);
    exchange.peer = call;
    exchange.reply = call;
    call.exchange = exchange;
    return exchange;
  }

  #preflight(call: NodeCall, request: IncomingMessage): void {
    const origin = call.head.origin;
    const asked = request.headers['access-control-request-headers'];
    const head = origin === '' ? ALLOW_HEAD : preflightHead(origin, typeof asked === 'string' ? asked : '');
    call.bodyDone = !call.head.hasBody;
    call.send(204, head, EMPTY, 0, 0);
  }

  #plain(response: ServerResponse, path: string | null): void {
    const answer = path !== null && PLAIN_PATHS.has(path) ? this.#handler.plain(path) : null;
    const body = Buffer.from(answer?.body ?? '');
    if (answer !== null) response.setHeader('content-type', answer.contentType);
    if (this.draining) response.setHeader('connection', 'close');
    response.setHeader('content-length', body.byteLength);
    response.writeHead(answer?.status ?? 404);
    response.end(body);
  }

  #cutSlow(): void {
    const now = performance.now();
    const before = now - this.#rules.slowClientMs;
    for (const call of this.#calls) {
      const age = now - call.startedAt;
      const slowBody = !call.bodyDone && age > IDLE_MS && call.body.length < age * BODY_BYTES_PER_MS;
      if (slowBody || (call.blocked && call.progressAt < before)) call.cut();
    }
  }
}

/** The path without query; `null` for a target of another host or in another form (RFC 9112 section 3.2). */
function requestPath(request: IncomingMessage): string | null {
  let target = request.url ?? '';
  if (!target.startsWith('/')) {
    const prefix = `http://${request.headers.host ?? ''}/`.toLowerCase();
    if (!target.toLowerCase().startsWith(prefix)) return null;
    target = target.slice(prefix.length - 1);
  }
  const query = target.indexOf('?');
  return query < 0 ? target : target.slice(0, query);
}
