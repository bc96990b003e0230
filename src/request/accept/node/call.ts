import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { BufferBudget, Holder } from '../../../shared/buffer-budget.js';
import { HeldBytes } from '../../../shared/held-bytes.js';
import type { Exchange } from '../../exchange/index.js';
import type { CallListener, HttpCall, Refusal } from '../http/call.js';
import { RequestHead } from '../http/head.js';
import type { Target } from '../http/paths.js';

/** Bytes queued in a response below which the next piece is written without waiting for the client. */
const PIECE_BYTES = 65_536;

/** What a call needs of the front end it belongs to. */
export interface NodeCallOwner {
  readonly draining: boolean;
  readonly maxClientBufferBytes: number;
  readonly maxResponseBytes: number;
  readonly budget: BufferBudget;
  /** There is no room for the body that is coming. */
  crowdedOut(call: NodeCall): void;
  gone(call: NodeCall): void;
  drained(call: NodeCall): void;
  over(call: NodeCall): void;
}

/** One request on node:http and the Reply of its exchange. */
export class NodeCall implements HttpCall, Holder {
  readonly head = new RequestHead();
  readonly body: HeldBytes;
  /** Bytes of the answer that the client has not taken, as the budget counts them. */
  held = 0;
  leaving = false;
  readonly startedAt = performance.now();
  exchange: Exchange | null = null;
  listener: CallListener | null = null;
  target: Target | null = null;
  refusal: Refusal | null = null;
  verb = 0;
  /** The whole body has arrived. */
  bodyDone = false;
  /** Nothing more is read, the connection ends with the answer. */
  closing = false;
  /** The client has not taken everything. */
  blocked = false;
  progressAt = 0;

  readonly #owner: NodeCallOwner;
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  #streaming = false;
  #finished = false;
  #isClosed = false;
  #pending = 0;
  /** A stage was told to wait for the client. */
  #isWaited = false;

  constructor(owner: NodeCallOwner, request: IncomingMessage, response: ServerResponse) {
    this.#owner = owner;
    this.body = new HeldBytes(owner.budget, () => owner.crowdedOut(this));
    this.#request = request;
    this.#response = response;
    response.on('close', () => this.#close());
    response.on('drain', () => this.#drain());
    response.on('error', ignore);
    request.on('error', ignore);
  }

  get socket(): Socket {
    return this.#request.socket;
  }

  remoteAddress(): string {
    const address = this.socket.remoteAddress ?? '';
    return address.startsWith('::ffff:') ? address.slice(7) : address;
  }

  send(status: number, head: readonly string[], bytes: Uint8Array, start: number, end: number): void {
    if (this.#finished || this.#streaming) return;
    this.detach();
    this.#writeHead(status, head, end - start);
    this.#finished = true;
    this.#response.end(hasNoBody(status) ? undefined : Buffer.from(bytes.subarray(start, end)));
    this.#observe();
  }

  openStream(status: number, head: readonly string[]): void {
    if (this.#finished || this.#streaming) return;
    this.#streaming = true;
    this.#writeHead(status, head, -1);
    this.#response.flushHeaders();
  }

  write(bytes: Uint8Array, start: number, end: number): boolean {
    if (this.#finished || !this.#streaming || end <= start) return true;
    this.#pending += end - start;
    const size = end - start;
    this.#response.write(Buffer.from(bytes.subarray(start, end)), () => {
      this.#pending -= size;
      this.progressAt = performance.now();
      this.#count();
      // The stream may have had room all the time; whoever waits does so for ours.
      if (this.#isWaited && this.#response.writableLength === 0) this.#drain();
    });
    this.#observe();
    if (this.#response.writableLength > this.#owner.maxClientBufferBytes + this.#owner.maxResponseBytes) {
      this.#request.socket.destroy();
      return false;
    }
    const buffered = this.buffered();
    this.#isWaited = buffered > this.#owner.maxClientBufferBytes || this.#owner.budget.isTight(buffered);
    return !this.#isWaited;
  }

  endStream(): void {
    if (this.#finished || !this.#streaming) return;
    this.detach();
    this.#finished = true;
    this.#response.end();
    this.#observe();
  }

  adopt(exchange: Exchange): void {
    if (this.exchange?.client.peer === this) this.exchange.client.peer = null;
    this.exchange = exchange;
  }

  taken(): void {}

  buffered(): number {
    return this.#response.writableLength;
  }

  abort(): void {
    this.detach();
    this.#request.socket.destroy();
  }

  /** Parts from the exchange, which is over or goes on without a client. */
  detach(): Exchange | null {
    const { exchange } = this;
    if (exchange !== null && exchange.client.peer === this) exchange.client.peer = null;
    this.exchange = null;
    return exchange;
  }

  /** The connection has become something else than HTTP: nothing more is written here. */
  upgraded(): void {
    this.detach();
    this.#finished = true;
    this.blocked = false;
    this.#response.detachSocket(this.socket);
    this.letGo();
    this.#owner.over(this);
  }

  /** What waits for this client has to make room: its connection is cut. */
  evicted(): void {
    this.cut();
  }

  /** Gives back what it holds, for good. */
  letGo(): void {
    this.#isClosed = true;
    this.body.clear();
    this.#owner.budget.set(this, 0);
  }

  /** Cuts the connection of a client that does not take or send what it should. */
  cut(): void {
    this.#request.socket.destroy();
  }

  #writeHead(status: number, head: readonly string[], length: number): void {
    const response = this.#response;
    for (let at = 0; at < head.length; at += 2) response.setHeader(head[at]!, head[at + 1]!);
    if (length >= 0 && !hasNoBody(status)) response.setHeader('content-length', length);
    if (this.closing || this.#owner.draining || !this.bodyDone) {
      response.setHeader('connection', 'close');
      if (!this.bodyDone) this.#request.resume();
    }
    response.writeHead(status);
  }

  #observe(): void {
    this.#count();
    if (this.#response.writableLength <= PIECE_BYTES || this.blocked) return;
    this.blocked = true;
    this.progressAt = performance.now();
  }

  #count(): void {
    // Callbacks of writes come after the end of the connection, too.
    if (!this.#isClosed) this.#owner.budget.set(this, this.#response.writableLength);
  }

  #drain(): void {
    this.#count();
    this.blocked = false;
    this.#isWaited = false;
    if ((this.exchange !== null || this.listener !== null) && this.#streaming) this.#owner.drained(this);
  }

  #close(): void {
    this.#finished = true;
    this.blocked = false;
    this.letGo();
    this.#owner.over(this);
    this.#owner.gone(this);
  }
}

/** RFC 9110 sections 15.3.5 and 15.4.5. */
function hasNoBody(status: number): boolean {
  return status === 204 || status === 304;
}

function ignore(): void {}
