import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Bytes, Milliseconds } from '../../../units.js';
import { type CallOwner, HttpCall } from '../http/call.js';

/** Bytes queued in a response below which the next piece is written without waiting for the client. */
const PIECE_BYTES: Bytes = 65_536;

/** How long what a client still sends is read and dropped after the last answer, as with uWebSockets.js. */
const LINGER_MS: Milliseconds = 5_000;

/** What a call needs of the front end that it belongs to. */
export interface NodeCallOwner extends CallOwner {
  /** A piece of the body arrived. */
  bodyPiece(call: NodeCall, piece: Uint8Array): void;
  /** The body has ended. @param hasTrailers with fields behind it */
  bodyEnd(call: NodeCall, hasTrailers: boolean): void;
}

/** One request on node:http and the Reply of its exchange. */
export class NodeCall extends HttpCall<NodeCallOwner> {
  /** The whole body has arrived, or the request has none. */
  isBodyComplete = false;

  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  #isStreaming = false;
  #isFinished = false;
  #isClosed = false;
  /** A stage waits for {@link CallOwner.drained}. */
  #isAwaited = false;

  constructor(owner: NodeCallOwner, request: IncomingMessage, response: ServerResponse) {
    super(owner);
    this.startedAt = performance.now();
    this.#request = request;
    this.#response = response;
    response.on('close', () => this.#close());
    response.on('drain', () => this.#drain());
    response.on('error', ignore);
    request.on('error', ignore);
  }

  /** Has the body read; its pieces and its end go to the owner. */
  readBody(): void {
    const request = this.#request;
    if (this.head.awaitsContinue) this.#response.writeContinue();
    request.on('data', (piece: Buffer) => {
      if (!this.isClosing) this.owner.bodyPiece(this, piece);
    });
    request.on('end', () => {
      if (this.isClosing) return;
      this.isBodyComplete = true;
      this.owner.bodyEnd(this, request.rawTrailers.length > 0);
    });
  }

  get httpVersion(): string {
    return this.#request.httpVersion;
  }

  get socket(): Socket {
    return this.#request.socket;
  }

  remoteAddress(): string {
    const address = this.socket.remoteAddress ?? '';
    return address.startsWith('::ffff:') ? address.slice(7) : address;
  }

  send(status: number, head: readonly string[], bytes: Uint8Array, start: number, end: number): void {
    if (this.#isFinished || this.#isStreaming) return;
    this.detach();
    this.#writeHead(status, head, end - start);
    this.#isFinished = true;
    this.#response.end(hasNoBody(status) ? undefined : Buffer.from(bytes.subarray(start, end)));
    this.#observe();
  }

  openStream(status: number, head: readonly string[]): void {
    if (this.#isFinished || this.#isStreaming) return;
    this.#isStreaming = true;
    this.#writeHead(status, head, -1);
    this.#response.flushHeaders();
  }

  write(bytes: Uint8Array, start: number, end: number): boolean {
    if (this.#isFinished || !this.#isStreaming || end <= start) return true;
    this.#response.write(Buffer.from(bytes.subarray(start, end)), () => {
      this.progressAt = performance.now();
      this.#count();
      // The limits of the gateway are not those of the stream, which may not emit `drain`.
      if (this.#isAwaited && this.#response.writableLength === 0) this.#drain();
    });
    this.#observe();
    const buffered = this.buffered();
    if (this.isOverflowing(buffered)) {
      this.cut();
      return false;
    }
    this.#isAwaited = this.isCongested(buffered);
    return !this.#isAwaited;
  }

  endStream(): void {
    if (this.#isFinished || !this.#isStreaming) return;
    this.detach();
    this.#isFinished = true;
    this.#response.end();
    this.#observe();
  }

  buffered(): number {
    return this.#response.writableLength;
  }

  cut(): void {
    this.socket.destroy();
  }

  upgraded(): void {
    this.detach();
    this.#isFinished = true;
    this.#response.detachSocket(this.socket);
    this.#release();
  }

  #writeHead(status: number, head: readonly string[], length: number): void {
    const response = this.#response;
    for (let at = 0; at < head.length; at += 2) response.setHeader(head[at] ?? '', head[at + 1] ?? '');
    if (length >= 0 && !hasNoBody(status)) response.setHeader('content-length', length);
    if (this.isClosing || this.owner.isDraining || !this.isBodyComplete) {
      response.setHeader('connection', 'close');
      if (!this.isBodyComplete) {
        this.#request.resume();
        linger(this.socket);
      }
    }
    response.writeHead(status);
  }

  #observe(): void {
    this.#count();
    if (this.#response.writableLength <= PIECE_BYTES || this.isBlocked) return;
    this.isBlocked = true;
    this.progressAt = performance.now();
  }

  #count(): void {
    // Callbacks of writes come after the end of the connection, too.
    if (!this.#isClosed) this.owner.budget.set(this, this.#response.writableLength);
  }

  #drain(): void {
    this.#count();
    this.isBlocked = false;
    this.#isAwaited = false;
    if ((this.exchange !== null || this.listener !== null) && this.#isStreaming) this.owner.drained(this);
  }

  #close(): void {
    this.#isFinished = true;
    this.#release();
    this.owner.disconnected(this);
  }

  /** Returns the bytes that the call holds, for good. */
  #release(): void {
    this.#isClosed = true;
    this.isBlocked = false;
    this.releaseBytes();
    this.owner.finished(this);
  }
}

/**
 * Has a connection end its own side only after the last answer, and go on reading until the client ends its side. node:http
 * destroys it, which resets it where bytes are unread; then the client may lose the answer (RFC 9112 section 9.6).
 */
function linger(socket: Socket): void {
  socket.destroySoon = () => {
    socket.end();
    const timer = setTimeout(() => socket.destroy(), LINGER_MS);
    timer.unref();
    socket.once('close', () => clearTimeout(timer));
  };
}

/** RFC 9110 sections 15.3.5 and 15.4.5. */
function hasNoBody(status: number): boolean {
  return status === 204 || status === 304;
}

function ignore(): void {}
