import type { ChunkedBody, UwsReads } from '../../../../native/index.js';
import type { BufferBudget, Holder } from '../../../shared/buffer-budget.js';
import { HeldBytes } from '../../../shared/held-bytes.js';
import type { Exchange } from '../../exchange/index.js';
import type { CallListener, HttpCall, Refusal } from '../http/call.js';
import { RequestHead } from '../http/head.js';
import type { Target } from '../http/paths.js';
import type { UwsResponse } from './binding.js';
import { addressText } from './peer-address.js';
import { statusLine } from './status-lines.js';

/** Answers up to this size are given to the socket at once; what does not fit is queued below us. */
const WHOLE_BYTES = 16_384;
/** Largest piece of a streamed answer given to the socket in one go, so that little is stuck below us. */
const PIECE_BYTES = 65_536;

/** What a call needs of the front end it belongs to. */
export interface UwsCallOwner {
  /** Answers carry `Connection: close`. */
  readonly draining: boolean;
  readonly maxClientBufferBytes: number;
  readonly maxResponseBytes: number;
  readonly budget: BufferBudget;
  /** A part of what was read from a connection has come through uWS. */
  handled(): void;
  body(call: UwsCall, chunk: ArrayBuffer, last: boolean): void;
  /** The framing of a chunked body has come to its end, or cannot be right. */
  framed(call: UwsCall, whole: boolean): void;
  /** The client is gone and `call.exchange`, if any, has to be told. */
  gone(call: UwsCall): void;
  drained(call: UwsCall): void;
  /** The client does not take what is written; watched until `call.blocked` is false. */
  watch(call: UwsCall): void;
  /** There is no room for the body that is coming. */
  crowdedOut(call: UwsCall): void;
  /** The call is over. */
  recycle(call: UwsCall): void;
}

/**
 * One request on uWebSockets.js and the Reply of its exchange. Calls are pooled: the callbacks that uWS takes are
 * bound once per object, not per request.
 *
 * uWS forgets `onAborted` and `onWritable` when a response ends but keeps `onData` until the body has arrived, so a
 * call that answers earlier is not used again (`bodyOpen`).
 */
export class UwsCall implements HttpCall, Holder, ChunkedBody {
  readonly head = new RequestHead();
  readonly body: HeldBytes;
  /** Bytes of the answer that the client has not taken, as the budget counts them. */
  held = 0;
  leaving = false;
  exchange: Exchange | null = null;
  listener: CallListener | null = null;
  target: Target | null = null;
  refusal: Refusal | null = null;
  response: UwsResponse | null = null;
  verb = 0;
  startedAt = 0;
  /** `onData` is attached and the last piece has not come. */
  bodyOpen = false;
  /** The answer has no body: the request is a HEAD. */
  headOnly = false;
  /** uWS still has the callbacks of the call, which is not used again. */
  isHeld = false;
  /** The request was the first thing that a read of its connection brought. */
  isFirst = false;
  /** Of its connection. */
  descriptor = 0;
  /** Identifies a chunked body whose framing is not known to be whole; 0 = none. */
  chunksId = 0;
  /** Where the answer is written past uWS, which is in the middle of what it has read; null = nowhere. */
  direct: UwsReads | null = null;
  /** The connection ends with this answer, and what still comes of the body is dropped. */
  closing = false;
  /** The client has not taken everything. */
  blocked = false;
  /** `performance.now()` when the client last took something while blocked. */
  progressAt = 0;

  readonly #owner: UwsCallOwner;
  #streaming = false;
  #writableSet = false;
  #ending = false;
  // A whole answer that did not fit at once: the rest of it, and its total size.
  #rest: Buffer | null = null;
  #restFrom = 0;
  #restTotal = 0;
  // Pieces of a streamed answer that wait for the client.
  readonly #queue: Buffer[] = [];
  #queued = 0;
  // Where writing goes on: an element of the queue, and a byte of it.
  #next = 0;
  #nextFrom = 0;
  #stuck = 0;
  // Arguments of the corked functions, which take none.
  #status = 200;
  #headList: readonly string[] = [];
  #bytes: Uint8Array = new Uint8Array(0);
  #accepted = true;
  #complete = true;

  constructor(owner: UwsCallOwner) {
    this.#owner = owner;
    this.body = new HeldBytes(owner.budget, () => owner.crowdedOut(this));
  }

  readonly onData = (chunk: ArrayBuffer, last: boolean): void => {
    if (last) this.bodyOpen = false;
    this.#owner.handled();
    if (this.response === null || this.closing) return;
    this.#owner.body(this, chunk, last);
  };

  framed(whole: boolean): void {
    if (whole) this.chunksId = 0;
    this.#owner.handled();
    if (this.response === null || this.closing) return;
    this.#owner.framed(this, whole);
  }

  readonly onAborted = (): void => {
    if (this.response === null) return;
    this.response = null;
    this.bodyOpen = false;
    this.blocked = false;
    this.#owner.gone(this);
    this.#owner.recycle(this);
  };

  readonly onWritable = (): boolean => {
    const response = this.response;
    if (response === null) return true;
    this.progressAt = performance.now();
    if (this.#rest !== null) {
      this.#bytes = this.#rest.subarray(response.getWriteOffset() - this.#restFrom);
      response.cork(this.#tryRest);
      if (this.#complete) this.#over();
      return this.#accepted;
    }
    // With this handler attached uWS leaves the draining of what it queued to us: uncorking writes it.
    response.cork(flush);
    this.#pump();
    return true;
  };

  send(status: number, head: readonly string[], bytes: Uint8Array, start: number, end: number): void {
    const response = this.response;
    if (response === null || this.#streaming) return;
    this.detach();
    if (this.direct?.answer(this.#lastAnswer(status, head, bytes.subarray(start, end))) === true) {
      // uWS holds the request for open until the connection is closed, and then calls onAborted.
      this.isHeld = true;
      this.#over();
      return;
    }
    this.#status = status;
    this.#headList = head;
    this.#bytes = start === 0 && end === bytes.byteLength ? bytes : bytes.subarray(start, end);
    if (end - start <= WHOLE_BYTES || this.closing || this.#owner.draining) {
      response.cork(this.#writeWhole);
      this.#over();
      return;
    }
    this.#restTotal = end - start;
    response.cork(this.#tryWhole);
    if (this.#complete) {
      this.#over();
      return;
    }
    this.#restFrom = response.getWriteOffset();
    this.#rest = Buffer.from(this.#bytes.subarray(this.#restFrom));
    this.#bytes = NO_BYTES;
    this.#attachWritable(response);
    this.#block();
    this.#owner.budget.set(this, this.#rest.byteLength);
  }

  openStream(status: number, head: readonly string[]): void {
    const response = this.response;
    if (response === null || this.#streaming) return;
    this.#streaming = true;
    this.#status = status;
    this.#headList = head;
    response.cork(this.#writeHead);
  }

  write(bytes: Uint8Array, start: number, end: number): boolean {
    if (this.response === null || !this.#streaming || end <= start) return true;
    if (this.blocked) {
      this.#enqueue(bytes, start, end);
    } else {
      this.#writePieces(bytes, start, end);
    }
    const buffered = this.buffered();
    const { budget, maxClientBufferBytes } = this.#owner;
    budget.set(this, buffered);
    return buffered <= maxClientBufferBytes && !budget.isTight(buffered);
  }

  endStream(): void {
    if (this.response === null || !this.#streaming) return;
    this.detach();
    this.#ending = true;
    if (!this.blocked) this.#finish();
  }

  adopt(exchange: Exchange): void {
    if (this.exchange?.client.peer === this) this.exchange.client.peer = null;
    this.exchange = exchange;
  }

  taken(): void {}

  buffered(): number {
    if (!this.blocked) return 0;
    if (this.#rest === null) return this.#queued + this.#stuck;
    return this.#restTotal - (this.response?.getWriteOffset() ?? this.#restTotal);
  }

  /** What waits for this client has to make room: its connection is cut. */
  evicted(): void {
    this.response?.close();
  }

  abort(): void {
    // uWS calls onAborted before close returns.
    this.detach();
    this.response?.close();
  }

  remoteAddress(): string {
    return this.response === null ? '' : addressText(Buffer.from(this.response.getRemoteAddress()));
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
    this.response = null;
    this.#owner.recycle(this);
  }

  /** Gives back what it holds. */
  letGo(): void {
    this.body.clear();
    this.#owner.budget.set(this, 0);
  }

  /** Makes the call ready for another request. */
  reset(): void {
    this.head.reset();
    this.exchange = null;
    this.listener = null;
    this.target = null;
    this.refusal = null;
    this.response = null;
    this.headOnly = false;
    this.isFirst = false;
    this.closing = false;
    this.blocked = false;
    this.#streaming = false;
    this.#writableSet = false;
    this.#ending = false;
    this.#rest = null;
    this.#queue.length = 0;
    this.#queued = 0;
    this.#next = 0;
    this.#nextFrom = 0;
    this.#stuck = 0;
    this.#bytes = NO_BYTES;
  }

  readonly #writeWhole = (): void => {
    const response = this.response!;
    this.#writeStart(response);
    const closing = this.closing || this.#owner.draining;
    // A length given to endWithoutBody leaves the response open in this version.
    if (this.headOnly && !closing) response.writeHeader('content-length', `${this.#bytes.byteLength}`).endWithoutBody();
    else if (this.headOnly) response.end(NO_BYTES, closing);
    // RFC 9110 section 8.6: no Content-Length with 204. Without a length uWS cannot close by itself, the client does.
    else if ((this.#status === 204 || this.#status === 304) && !closing) response.endWithoutBody();
    else response.end(this.#bytes, closing);
  };

  readonly #tryWhole = (): void => {
    const response = this.response!;
    this.#writeStart(response);
    this.#tryRest();
  };

  readonly #tryRest = (): void => {
    const [accepted, complete] = this.response!.tryEnd(this.#bytes, this.#restTotal);
    this.#accepted = accepted;
    this.#complete = complete;
  };

  readonly #writeHead = (): void => {
    this.#writeStart(this.response!);
  };

  readonly #writePiece = (): void => {
    this.#accepted = this.response!.write(this.#bytes);
  };

  readonly #writeQueue = (): void => {
    while (this.#next < this.#queue.length) {
      const piece = this.#queue[this.#next]!;
      const from = this.#nextFrom;
      const to = Math.min(piece.byteLength, from + PIECE_BYTES);
      const accepted = this.response!.write(piece.subarray(from, to));
      this.#queued -= to - from;
      this.#nextFrom = to;
      if (to === piece.byteLength) {
        this.#next += 1;
        this.#nextFrom = 0;
      }
      if (!accepted) {
        this.#stuck = to - from;
        return;
      }
    }
  };

  readonly #writeEnd = (): void => {
    // Asked to close the connection, uWS writes that header wherever it is, here between two chunks.
    this.response!.end(undefined, false);
  };

  /** A whole answer after which the connection is closed. */
  #lastAnswer(status: number, head: readonly string[], body: Uint8Array): Uint8Array {
    let text = `HTTP/1.1 ${statusLine(status)}\r\n`;
    for (let at = 0; at < head.length; at += 2) text += `${head[at]}: ${head[at + 1]}\r\n`;
    text += `Content-Length: ${body.byteLength}\r\nConnection: close\r\n\r\n`;
    return Buffer.concat([Buffer.from(text, 'latin1'), this.headOnly ? NO_BYTES : body]);
  }

  #writeStart(response: UwsResponse): void {
    if (this.#status !== 200) response.writeStatus(statusLine(this.#status));
    const head = this.#headList;
    for (let at = 0; at < head.length; at += 2) response.writeHeader(head[at]!, head[at + 1]!);
  }

  #writePieces(bytes: Uint8Array, start: number, end: number): void {
    let from = start;
    while (from < end) {
      const to = Math.min(end, from + PIECE_BYTES);
      this.#bytes = bytes.subarray(from, to);
      this.response!.cork(this.#writePiece);
      from = to;
      if (!this.#accepted) {
        this.#stuck = this.#bytes.byteLength;
        this.#bytes = NO_BYTES;
        this.#attachWritable(this.response!);
        if (from < end) this.#enqueue(bytes, from, end);
        if (this.response !== null) this.#block();
        return;
      }
    }
    this.#bytes = NO_BYTES;
  }

  #enqueue(bytes: Uint8Array, start: number, end: number): void {
    this.#queue.push(Buffer.from(bytes.subarray(start, end)));
    this.#queued += end - start;
    // The writer was told to stop at maxClientBufferBytes; one more message may follow, but not without end.
    if (this.#queued > this.#owner.maxClientBufferBytes + this.#owner.maxResponseBytes) {
      this.response?.close();
    }
  }

  /** Writes what waits until the client is slow again or nothing is left. */
  #pump(): void {
    this.#stuck = 0;
    this.response!.cork(this.#writeQueue);
    this.#queue.splice(0, this.#next);
    this.#next = 0;
    this.#owner.budget.set(this, this.buffered());
    if (this.#stuck > 0) return;
    this.blocked = false;
    if (this.#ending) this.#finish();
    else if (this.exchange !== null || this.listener !== null) this.#owner.drained(this);
  }

  #finish(): void {
    this.response!.cork(this.#writeEnd);
    this.#over();
  }

  #over(): void {
    this.response = null;
    this.blocked = false;
    this.#bytes = NO_BYTES;
    this.#rest = null;
    this.#owner.recycle(this);
  }

  #attachWritable(response: UwsResponse): void {
    if (this.#writableSet) return;
    this.#writableSet = true;
    response.onWritable(this.onWritable);
  }

  #block(): void {
    if (this.blocked) return;
    this.blocked = true;
    this.progressAt = performance.now();
    this.#owner.watch(this);
  }
}

const NO_BYTES = new Uint8Array(0);

function flush(): void {}
