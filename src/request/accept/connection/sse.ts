/**
 * The door for HTTP with SSE (MCP 2024-11-05): a GET opens the stream on which everything comes, and names the place
 * where the client posts its messages. The connection is as good as its stream.
 */
import { randomBytes } from 'node:crypto';
import { Composer } from '../../../protocol/composer.js';
import { EVENT_CLOSE, EVENT_OPEN, EVENT_STREAM_HEAD, flatten, KEEP_ALIVE } from '../../../protocol/event-frames.js';
import { VerdictWord } from '../../../shared/records.js';
import { Accepts, type Exchange, Framing } from '../../exchange/index.js';
import type { ExchangeTable } from '../../exchange/table.js';
import { CONNECTION_ENDED, JSON_HEAD, OVERLOADED, OVERLOADED_HEAD } from '../http/answers.js';
import type { CallListener, HttpCall } from '../http/call.js';
import { originHead } from '../http/cors.js';
import type { FrontHandler } from '../http/handler.js';
import { MESSAGES_PATH } from '../http/paths.js';
import type { AcceptRules } from '../http/rules.js';
import { ClientConnection, type ConnectionWire } from './index.js';
import { Opening, UNOPENED } from './opening.js';
import { ConnectionReply } from './reply.js';

const ACCEPTED = Buffer.from('Accepted');
const ACCEPTED_HEAD: readonly string[] = Object.freeze(['content-type', 'text/plain; charset=utf-8']);
/** Bytes of a connection's secret name. */
const ID_BYTES = 24;

const composer = new Composer();

/** A stream on which everything goes to its client. */
class SseWire implements ConnectionWire, CallListener {
  readonly framing = Framing.sse;
  connection: ClientConnection | null = null;
  readonly #call: HttpCall;
  readonly #over: () => void;
  #isOpen = true;

  /** @param over called once when the stream has ended */
  constructor(call: HttpCall, over: () => void) {
    this.#call = call;
    this.#over = over;
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

  buffered(): number {
    return this.#isOpen ? this.#call.buffered() : 0;
  }

  remoteAddress(): string {
    return this.#isOpen ? this.#call.remoteAddress() : '';
  }

  /** Ends the stream in good order; what the client has not taken may be lost with a slow one. */
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

  gone(): void {
    if (this.#isOpen) this.#end();
  }

  #end(): void {
    this.#isOpen = false;
    this.#over();
    this.connection?.closed();
  }
}

/** The Reply of a posted message: refusals answer the POST, everything else comes on the stream. */
class PostReply extends ConnectionReply implements CallListener {
  readonly #handler: FrontHandler;
  #call: HttpCall | null;

  constructor(connection: ClientConnection, exchange: Exchange, handler: FrontHandler, call: HttpCall) {
    super(connection, exchange, false);
    this.#call = call;
    this.#handler = handler;
    exchange.client.remoteAddress = call.remoteAddress();
    exchange.client.reply = this;
    call.exchange = null;
    call.listener = this;
    connection.attach(this);
  }

  override send(status: number, head: readonly string[], bytes: Uint8Array, start: number, end: number): void {
    const call = this.#call;
    if (call === null || status < 400) {
      this.taken();
      super.send(status, head, bytes, start, end);
      return;
    }
    this.#call = null;
    call.listener = null;
    this.detach();
    call.send(status, head, bytes, start, end);
    this.connection.over(this);
  }

  override openStream(): void {
    this.taken();
  }

  override endStream(): void {
    this.taken();
    super.endStream();
  }

  override taken(): void {
    const call = this.#call;
    if (call === null) return;
    this.#call = null;
    call.listener = null;
    const origin = this.exchange?.client.origin ?? '';
    const head = origin === '' ? ACCEPTED_HEAD : [...ACCEPTED_HEAD, ...originHead(origin)];
    call.send(202, head, ACCEPTED, 0, ACCEPTED.byteLength);
  }

  /** The stream ended before the message was taken. */
  override lost(): Exchange | null {
    const call = this.#call;
    this.#call = null;
    if (call !== null) {
      call.listener = null;
      call.send(404, JSON_HEAD, CONNECTION_ENDED, 0, CONNECTION_ENDED.byteLength);
    }
    return super.lost();
  }

  /** The POST broke off before its message was taken. */
  gone(): void {
    this.#call = null;
    const exchange = this.detach();
    if (exchange === null) return;
    this.#handler.aborted(exchange);
    this.connection.over(this);
  }

  drained(): void {}
}

/** See the file comment; one per front end. */
export class SseDoor {
  readonly #handler: FrontHandler;
  readonly #table: ExchangeTable;
  readonly #rules: () => AcceptRules;
  readonly #connections = new Map<string, { readonly connection: ClientConnection; readonly wire: SseWire }>();
  #timer: NodeJS.Timeout | null = null;

  constructor(handler: FrontHandler, table: ExchangeTable, rules: () => AcceptRules) {
    this.#handler = handler;
    this.#table = table;
    this.#rules = rules;
  }

  /** A GET: opens a connection, if the policy lets its client in. */
  open(call: HttpCall): void {
    const exchange = this.#table.acquire();
    if (exchange === null || this.#connections.size >= this.#rules().maxStreams) {
      if (exchange !== null) this.#table.release(exchange);
      call.send(503, OVERLOADED_HEAD, OVERLOADED, 0, OVERLOADED.byteLength);
      return;
    }
    call.head.fill(exchange, this.#rules(), call.verb, call.startedAt);
    exchange.client.sessionId = '';
    exchange.message.versionHeader = '';
    exchange.client.link = UNOPENED;
    exchange.client.reply = new Opening(call, exchange, this.#handler, (asked) => this.#opened(call, asked));
    this.#handler.stream(exchange);
  }

  /** A POST: one message of a connection. */
  post(call: HttpCall, query: string, bytes: Uint8Array, length: number): void {
    const known = this.#connections.get(new URLSearchParams(query).get('sessionId') ?? '');
    const exchange = this.#table.acquire();
    if (exchange === null) {
      call.send(503, OVERLOADED_HEAD, OVERLOADED, 0, OVERLOADED.byteLength);
      return;
    }
    call.head.fill(exchange, this.#rules(), call.verb, call.startedAt);
    if (known === undefined) {
      exchange.client.peer = call;
      exchange.client.reply = call;
      call.exchange = exchange;
      this.#handler.refuse(exchange, 'GW_SESSION_NOT_FOUND');
      return;
    }
    known.connection.join(exchange);
    exchange.client.accepts = Accepts.json | Accepts.sse;
    exchange.client.reply = new PostReply(known.connection, exchange, this.#handler, call);
    this.#handler.request(exchange, bytes, length);
  }

  /** Ends all streams. */
  close(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    for (const { wire } of [...this.#connections.values()]) wire.close();
  }

  #opened(call: HttpCall, exchange: Exchange): void {
    // Others may have been let in since this one asked.
    if (this.#connections.size >= this.#rules().maxStreams) {
      call.send(503, OVERLOADED_HEAD, OVERLOADED, 0, OVERLOADED.byteLength);
      return;
    }
    const id = randomBytes(ID_BYTES).toString('base64url');
    const wire = new SseWire(call, () => this.#connections.delete(id));
    const connection = new ClientConnection({
      wire,
      handler: this.#handler,
      table: this.#table,
      limits: this.#rules(),
      token: exchange.client.token,
      verdict: exchange.verdict,
    });
    connection.subject = exchange.verdict.slice(VerdictWord.subject0, VerdictWord.subject3 + 1);
    wire.connection = connection;
    this.#connections.set(id, { connection, wire });
    const { origin } = exchange.client;
    call.openStream(200, origin === '' ? EVENT_STREAM_HEAD : [...EVENT_STREAM_HEAD, ...originHead(origin)]);
    this.#keepAlive();
    const event = Buffer.from(`event: endpoint\ndata: ${MESSAGES_PATH}?sessionId=${id}\n\n`);
    call.write(event, 0, event.byteLength);
  }

  /**
   * Finds clients that are gone without a word. A session's stream has comments of its own; these are for those that
   * have not begun one.
   */
  #keepAlive(): void {
    const { keepAliveMs } = this.#rules();
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
