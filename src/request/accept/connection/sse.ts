/**
 * The transport for HTTP with SSE (MCP 2024-11-05): a GET opens the stream on which all messages to the client come, and
 * names the path where the client posts its own. Closing the stream closes the connection.
 */
import { randomBytes } from 'node:crypto';
import { Composer } from '../../../protocol/composer.js';
import { EVENT_CLOSE, EVENT_OPEN, EVENT_STREAM_HEAD, flatten, KEEP_ALIVE } from '../../../protocol/event-frames.js';
import { originHead } from '../../../protocol/origin-head.js';
import type { Bytes, Count } from '../../../units.js';
import { Accepts, type Exchange, Framing } from '../../exchange/index.js';
import { CONNECTION_ENDED, JSON_HEAD } from '../http/answers.js';
import type { CallListener, HttpCall } from '../http/call.js';
import type { AcceptContext } from '../http/context.js';
import type { FrontHandler } from '../http/handler.js';
import { MESSAGES_PATH } from '../http/paths.js';
import { ClientConnection } from './index.js';
import { ConnectionReply } from './reply.js';
import { ConnectionRequest } from './request.js';
import type { ConnectionWire } from './wire.js';

const ACCEPTED = Buffer.from('Accepted');
const ACCEPTED_HEAD: readonly string[] = Object.freeze(['content-type', 'text/plain; charset=utf-8']);
/** Random bytes of a connection's id, which is its only secret. */
const ID_BYTES: Count = 24;

const composer = new Composer();

/** The connections of {@link SseTransport}. */
interface SseConnections {
  /** The stream of the connection `id` has ended. Called once. */
  closed(id: string): void;
}

/** The event stream of one connection. */
class SseWire implements ConnectionWire, CallListener {
  readonly framing = Framing.sse;
  connection: ClientConnection | null = null;
  readonly #call: HttpCall;
  readonly #id: string;
  readonly #connections: SseConnections;
  #isOpen = true;

  constructor(call: HttpCall, id: string, connections: SseConnections) {
    this.#call = call;
    this.#id = id;
    this.#connections = connections;
    call.listener = this;
  }

  send(bytes: Uint8Array, start: number, end: number, framed: boolean): void {
    if (!this.#isOpen) return;
    if (framed) {
      this.#call.write(bytes, start, end);
      return;
    }
    composer.reset().put(EVENT_OPEN).range(bytes, start, end);
    flatten(composer, EVENT_OPEN.length);
    composer.put(EVENT_CLOSE);
    this.#call.write(composer.bytes, 0, composer.length);
  }

  buffered(): Bytes {
    return this.#isOpen ? this.#call.buffered() : 0;
  }

  remoteAddress(): string {
    return this.#isOpen ? this.#call.remoteAddress() : '';
  }

  /** Ends the stream; with a slow client the connection is cut, and what it has not taken is lost. */
  close(_code?: number, sentence = ''): void {
    if (!this.#isOpen) return;
    const call = this.#call;
    const isSlow = call.buffered() > 0;
    if (sentence !== '') {
      const comment = Buffer.from(`: ${sentence}\n\n`);
      call.write(comment, 0, comment.byteLength);
    }
    this.#end();
    call.listener = null;
    if (isSlow) call.abort();
    else call.endStream();
  }

  drained(): void {
    this.connection?.drained();
  }

  disconnected(): void {
    if (this.#isOpen) this.#end();
  }

  #end(): void {
    this.#isOpen = false;
    this.#connections.closed(this.#id);
    this.connection?.closed();
  }
}

/** The request for a connection. */
class SseRequest extends ConnectionRequest {
  readonly #transport: SseTransport;

  constructor(call: HttpCall, exchange: Exchange, handler: FrontHandler, transport: SseTransport) {
    super(call, exchange, handler);
    this.#transport = transport;
  }

  protected override authorized(exchange: Exchange): void {
    this.#transport.connect(this.call, exchange);
  }
}

/** The Reply of a posted message: refusals answer the POST, everything else comes on the stream. */
class PostReply extends ConnectionReply implements CallListener {
  readonly #handler: FrontHandler;
  /** The POST; null once it is answered. */
  #call: HttpCall | null;

  constructor(connection: ClientConnection, exchange: Exchange, handler: FrontHandler, call: HttpCall) {
    super(connection, exchange, false);
    this.#call = call;
    this.#handler = handler;
    exchange.client.remoteAddress = call.remoteAddress();
    call.exchange = null;
    call.listener = this;
    connection.attach(this);
  }

  override send(status: number, head: readonly string[], bytes: Uint8Array, start: number, end: number): void {
    const call = status < 400 ? null : this.#takeCall();
    if (call === null) {
      this.acknowledged();
      super.send(status, head, bytes, start, end);
      return;
    }
    this.detach();
    call.send(status, head, bytes, start, end);
    this.connection.finished(this);
  }

  override openStream(): void {
    this.acknowledged();
  }

  override endStream(): void {
    this.acknowledged();
    super.endStream();
  }

  override acknowledged(): void {
    const call = this.#takeCall();
    if (call === null) return;
    const origin = this.exchange?.client.origin ?? '';
    const head = origin === '' ? ACCEPTED_HEAD : [...ACCEPTED_HEAD, ...originHead(origin)];
    call.send(202, head, ACCEPTED, 0, ACCEPTED.byteLength);
  }

  /** The stream ended, possibly before the POST was answered. */
  override closed(): Exchange | null {
    const call = this.#takeCall();
    if (call !== null) call.send(404, JSON_HEAD, CONNECTION_ENDED, 0, CONNECTION_ENDED.byteLength);
    return super.closed();
  }

  /** The client disconnected before the POST was answered. */
  disconnected(): void {
    this.#call = null;
    const exchange = this.detach();
    if (exchange === null) return;
    this.#handler.aborted(exchange);
    this.connection.finished(this);
  }

  drained(): void {}

  #takeCall(): HttpCall | null {
    const call = this.#call;
    if (call === null) return null;
    this.#call = null;
    call.listener = null;
    return call;
  }
}

/** A connection and its stream. */
interface OpenConnection {
  readonly connection: ClientConnection;
  readonly wire: SseWire;
  /** Position in `Snapshot.views`. */
  readonly view: number;
}

/** See the file comment; one per front end. */
export class SseTransport implements SseConnections {
  readonly #context: AcceptContext;
  readonly #connections = new Map<string, OpenConnection>();
  #timer: NodeJS.Timeout | null = null;

  constructor(context: AcceptContext) {
    this.#context = context;
  }

  /** A GET: asks the policy whether its client may open a connection. */
  open(call: HttpCall): void {
    if (this.#isFull()) {
      this.#context.refuseOverloaded(call);
      return;
    }
    const exchange = this.#context.acquire(call);
    if (exchange === null) return;
    const { handler } = this.#context;
    exchange.client.reply = new SseRequest(call, exchange, handler, this);
    handler.stream(exchange);
  }

  /** A POST: one message of a connection. */
  post(call: HttpCall, query: string, bytes: Uint8Array, length: number): void {
    const open = this.#connections.get(new URLSearchParams(query).get('sessionId') ?? '');
    // A connection belongs to the view that its stream was opened at.
    if (open === undefined || open.view !== (call.target?.view ?? 0)) {
      this.#context.refuse(call, 'GW_SESSION_NOT_FOUND');
      return;
    }
    const exchange = this.#context.acquire(call);
    if (exchange === null) return;
    const { handler, rules } = this.#context;
    open.connection.join(exchange);
    const { client } = exchange;
    if (rules.attributeNames !== null) client.caller = client.caller.onConnection(open.connection.id);
    exchange.client.accepts = Accepts.json | Accepts.sse;
    exchange.client.reply = new PostReply(open.connection, exchange, handler, call);
    handler.request(exchange, bytes, length);
  }

  /** Ends all streams. */
  close(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    for (const { wire } of [...this.#connections.values()]) wire.close();
  }

  closed(id: string): void {
    this.#connections.delete(id);
  }

  /** Opens a connection on `call` for the client of `exchange`, which the policy has authorized. */
  connect(call: HttpCall, exchange: Exchange): void {
    // Other requests may have been authorized in the meantime.
    if (this.#isFull()) {
      this.#context.refuseOverloaded(call);
      return;
    }
    const { handler, table, rules } = this.#context;
    const { client, verdict } = exchange;
    const id = randomBytes(ID_BYTES).toString('base64url');
    const wire = new SseWire(call, id, this);
    const connection = new ClientConnection({ wire, handler, table, limits: rules, caller: client.caller, verdict });
    connection.subject = verdict.subject.slice();
    wire.connection = connection;
    this.#connections.set(id, { connection, wire, view: client.caller.view });
    const { origin } = client;
    call.openStream(200, origin === '' ? EVENT_STREAM_HEAD : [...EVENT_STREAM_HEAD, ...originHead(origin)]);
    this.#keepAlive();
    const event = Buffer.from(
      `event: endpoint\ndata: ${this.#context.rules.views.base(client.caller.view)}${MESSAGES_PATH}?sessionId=${id}\n\n`,
    );
    call.write(event, 0, event.byteLength);
  }

  #isFull(): boolean {
    return this.#connections.size >= this.#context.rules.maxStreams;
  }

  /**
   * Sends comments, so that connections to clients that disconnected without a FIN fail. The stream of a session has
   * comments of its own; these are for connections without a session.
   */
  #keepAlive(): void {
    const { keepAliveMs } = this.#context.rules;
    if (this.#timer !== null || keepAliveMs === 0) return;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      if (this.#connections.size === 0) return;
      for (const { connection, wire } of this.#connections.values()) {
        if (connection.sessionId === '' && wire.buffered() === 0) wire.send(KEEP_ALIVE, 0, KEEP_ALIVE.length, true);
      }
      this.#keepAlive();
    }, keepAliveMs);
    this.#timer.unref();
  }
}
