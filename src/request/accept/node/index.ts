import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Snapshot } from '../../../config/snapshot/index.js';
import type { ErrorCode } from '../../../errors.js';
import type { Count, Milliseconds } from '../../../units.js';
import type { ExchangeTable } from '../../exchange/table.js';
import type { FrontEnd, FrontHandler } from '../http/handler.js';
import { HttpFrontEnd, verbOf } from '../router/front-end.js';
import { NodeCall, type NodeCallOwner } from './call.js';
import { type NodeHandshakes, NodeWebSockets } from './websocket.js';

/** Idle connections and unfinished heads are cut after this time, as uWebSockets.js does. */
const IDLE_MS: Milliseconds = 10_000;
/** A body must come faster than this on average once it is older than `IDLE_MS`, as with uWebSockets.js. */
const BODY_BYTES_PER_MS = 16;
/** How often node:http checks for idle connections. */
const CHECK_MS: Milliseconds = 1000;
/** TCP probes find peers that disconnected without a FIN behind idle streams. */
const KEEP_ALIVE_PROBE_MS: Milliseconds = 15_000;

/** The front end on node:http, for platforms where the uWebSockets.js binary does not load. */
export class NodeFrontEnd extends HttpFrontEnd<NodeCall> implements FrontEnd, NodeCallOwner, NodeHandshakes {
  readonly kind = 'node';
  readonly takesChunks = true;

  readonly #server: Server;
  readonly #host: string;
  readonly #webSockets: NodeWebSockets;
  readonly #calls = new Set<NodeCall>();
  /** Connections that end with the answer under way: what follows on them must not be read as a request. */
  readonly #ending = new WeakSet<Socket>();
  readonly #counted = new WeakSet<Socket>();
  #connections: Count = 0;
  /** The port, kept for after {@link stopListening}. */
  #lastPort = 0;

  private constructor(snapshot: Snapshot, handler: FrontHandler, table: ExchangeTable) {
    super(snapshot, handler, table);
    this.#host = snapshot.host;
    const { rules } = this.context;
    const server = createServer({
      insecureHTTPParser: false,
      requireHostHeader: true,
      maxHeaderSize: rules.maxHeaderBytes + 2048,
      headersTimeout: IDLE_MS,
      keepAliveTimeout: IDLE_MS,
      requestTimeout: 0,
      connectionsCheckingInterval: CHECK_MS,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: KEEP_ALIVE_PROBE_MS,
    });
    // One more than allowed, so that too many are refused with an answer instead of being cut.
    server.maxHeadersCount = rules.maxHeaders + 1;
    server.maxConnections = rules.maxConnections;
    const listener = (request: IncomingMessage, response: ServerResponse): void => this.#request(request, response);
    server.on('request', listener).on('checkContinue', listener).on('checkExpectation', listener);
    server.on('connection', (socket) => this.#count(socket));
    this.#server = server;
    this.#webSockets = new NodeWebSockets(server, this.context, this);
  }

  /** @throws Error with `code` EADDRINUSE (or another of listen(2)) when it cannot listen on the port */
  static async open(snapshot: Snapshot, handler: FrontHandler, table: ExchangeTable): Promise<NodeFrontEnd> {
    const front = new NodeFrontEnd(snapshot, handler, table);
    try {
      await new Promise<void>((resolve, reject) => {
        front.#server.once('error', reject);
        front.#server.listen({ host: snapshot.host, port: snapshot.port, backlog: 512 }, resolve);
      });
    } catch (error) {
      front.stopSweep();
      throw error;
    }
    return front;
  }

  get address(): { readonly host: string; readonly port: number } {
    return { host: this.#host, port: this.#port() };
  }

  connections(): Count {
    return this.#connections;
  }

  override reconfigure(snapshot: Snapshot): void {
    super.reconfigure(snapshot);
    this.#server.maxConnections = this.context.rules.maxConnections;
  }

  stopListening(): void {
    if (this.isDraining) return;
    this.#port();
    this.isDraining = true;
    this.#server.close();
    this.#server.closeIdleConnections();
  }

  async close(graceMs: Milliseconds = 0): Promise<void> {
    this.stopListening();
    this.router.close();
    this.#webSockets.close();
    const until = performance.now() + graceMs;
    while (this.#connections > 0 && performance.now() < until) {
      this.#server.closeIdleConnections();
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    this.stopSweep();
    this.#server.closeAllConnections();
  }

  bodyPiece(call: NodeCall, piece: Uint8Array): void {
    this.append(call, piece);
  }

  bodyEnd(call: NodeCall, hasTrailers: boolean): void {
    if (!hasTrailers) {
      this.serveBody(call);
      return;
    }
    // Other readers support no trailer fields; uWebSockets.js does not either.
    this.refuse(call, 'GW_FRAMING');
    call.body.clear();
  }

  finished(call: NodeCall): void {
    this.#calls.delete(call);
  }

  openHandshake(request: IncomingMessage, response: ServerResponse): NodeCall {
    const call = this.#open(request, response, 'GET');
    call.isBodyComplete = true;
    return call;
  }

  protected override headError(call: NodeCall, method: string, path: string): ErrorCode | null {
    // HTTP/1.0 has no Host rule, no chunks and no kept connections; uWebSockets.js refuses it too.
    const code = call.httpVersion === '1.1' ? super.headError(call, method, path) : 'GW_FRAMING';
    if (code === null) call.isBodyComplete = !call.head.hasBody;
    return code;
  }

  protected override readBody(call: NodeCall): void {
    call.readBody();
  }

  protected override refuse(call: NodeCall, code: ErrorCode, allow?: string): void {
    call.isClosing = true;
    this.#ending.add(call.socket);
    this.context.refuse(call, code, allow);
  }

  protected override cutSlow(): void {
    const now = performance.now();
    const before = now - this.context.rules.slowClientMs;
    this.#webSockets.cutSlow();
    for (const call of this.#calls) {
      const age = now - call.startedAt;
      const hasSlowBody = !call.isBodyComplete && age > IDLE_MS && call.body.length < age * BODY_BYTES_PER_MS;
      if (hasSlowBody || (call.isBlocked && call.progressAt < before)) call.cut();
    }
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
    if (address !== null) this.#lastPort = address.port;
    return this.#lastPort;
  }

  #request(request: IncomingMessage, response: ServerResponse): void {
    if (this.#ending.has(request.socket)) return;
    const method = request.method ?? '';
    const call = this.#open(request, response, method);
    const target = requestTarget(request);
    if (target === null) this.refuse(call, 'GW_FRAMING');
    else this.receive(call, method, target.path, target.query);
  }

  /** A call for a request whose head has arrived, with its header lines. */
  #open(request: IncomingMessage, response: ServerResponse, method: string): NodeCall {
    const call = new NodeCall(this, request, response);
    this.#calls.add(call);
    call.verb = verbOf(method);
    call.head.attributeNames = this.context.rules.attributeNames;
    call.head.credentialNames = this.context.rules.credentialNames;
    const raw = request.rawHeaders;
    for (let at = 0; at + 1 < raw.length; at += 2) call.head.add((raw[at] ?? '').toLowerCase(), raw[at + 1] ?? '');
    return call;
  }
}

/** Path and query; `null` for a target of another host or in another form (RFC 9112 section 3.2). */
function requestTarget(request: IncomingMessage): { readonly path: string; readonly query: string } | null {
  let target = request.url ?? '';
  if (!target.startsWith('/')) {
    const prefix = `http://${request.headers.host ?? ''}/`.toLowerCase();
    if (!target.toLowerCase().startsWith(prefix)) return null;
    target = target.slice(prefix.length - 1);
  }
  const query = target.indexOf('?');
  return query < 0 ? { path: target, query: '' } : { path: target.slice(0, query), query: target.slice(query + 1) };
}
