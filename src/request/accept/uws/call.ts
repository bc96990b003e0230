import type { ChunkedBody, UwsReads } from '../../../../native/index.js';
import type { Bytes, Milliseconds } from '../../../units.js';
import { EMPTY } from '../http/answers.js';
import { type CallOwner, HttpCall } from '../http/call.js';
import type { UwsResponse } from './binding.js';
import { addressText } from './peer-address.js';
import { statusLine } from './status-lines.js';

/** Answers up to this size are given to uWS at once, which queues what the socket does not take. */
const WHOLE_BYTES: Bytes = 16_384;
/** Largest piece of a streamed answer given to uWS at once; it bounds what uWS queues. */
const PIECE_BYTES: Bytes = 65_536;

/** What a call needs of the front end that it belongs to. */
export interface UwsCallOwner extends CallOwner {
  /** uWS has parsed a part of what was read from a connection. */
  parsed(): void;
  /** A piece of the body arrived. */
  bodyPiece(call: UwsCall, chunk: ArrayBuffer, isLast: boolean): void;
  /** The body of a call that is closing has arrived, and was dropped. */
  bodyDropped(call: UwsCall): void;
  /** The framing of a chunked body is complete, or invalid. */
  framed(call: UwsCall, isValid: boolean): void;
  /** The client does not take what is written; watched until `call.isBlocked` is false. */
  watch(call: UwsCall): void;
}

/**
 * One request on uWebSockets.js and the Reply of its exchange. Calls are pooled: the callbacks that uWS takes are
 * bound once per object, not per request.
 *
 * uWS drops `onAborted` and `onWritable` when a response ends but keeps `onData` until the body has arrived, so a
 * call that answers earlier is not used again (`isBodyOpen`).
 */
export class UwsCall extends HttpCall<UwsCallOwner> implements ChunkedBody {
  response: UwsResponse | null = null;
  /** `onData` is attached and the last piece has not come. */
  isBodyOpen = false;
  /** The last piece of the body has come. */
  isBodyComplete = false;
  /** The answer has no body: the request is a HEAD. */
  isHead = false;
  /** uWS still has the callbacks of the call, which is not used again. */
  isHeld = false;
  /** The request is at the start of what a read of its connection returned. */
  isFirst = false;
  /** Of its connection. */
  descriptor = 0;
  /** Identifies a chunked body whose framing is not known to be complete; 0 = none. */
  chunksId = 0;
  /** Where the answer is written past uWS, which is in the middle of what it has read; null = nowhere. */
  direct: UwsReads | null = null;

  #isStreaming = false;
  #hasWritableHandler = false;
  #isEnding = false;
  // A whole answer that did not fit at once: the rest of it, and its total size.
  #rest: Buffer | null = null;
  #restFrom = 0;
  #restTotal = 0;
  // Pieces of a streamed answer that wait for the client.
  readonly #queue: Buffer[] = [];
  #queued = 0;
  // Where writing continues: an element of the queue, and a byte of it.
  #next = 0;
  #nextFrom = 0;
  #stuck = 0;
  // Arguments of the corked functions, which take none.
  #status = 200;
  #headList: readonly string[] = [];
  #bytes: Uint8Array = EMPTY;
  #isAccepted = true;
  #isComplete = true;

  /** Binds the call to the request that `response` answers. */
  start(response: UwsResponse, startedAt: Milliseconds): void {
    this.response = response;
    this.startedAt = startedAt;
    response.onAborted(this.onAborted);
  }

  /** Has the body read; its pieces go to {@link UwsCallOwner.bodyPiece}. */
  readBody(): void {
    this.isBodyOpen = true;
    this.response?.onData(this.onData);
  }

  readonly onData = (chunk: ArrayBuffer, last: boolean): void => {
    if (last) {
      this.isBodyOpen = false;
      this.isBodyComplete = true;
    }
    this.owner.parsed();
    if (this.response === null) return;
    if (!this.isClosing) this.owner.bodyPiece(this, chunk, last);
    else if (last) this.owner.bodyDropped(this);
  };

  /** See {@link ChunkedBody}. */
  framed(isValid: boolean): void {
    if (isValid) this.chunksId = 0;
    this.owner.parsed();
    if (this.response === null || this.isClosing) return;
    this.owner.framed(this, isValid);
  }

  readonly onAborted = (): void => {
    if (this.response === null) return;
    this.response = null;
    this.isBodyOpen = false;
    this.isBlocked = false;
    this.owner.disconnected(this);
    this.owner.finished(this);
  };

  readonly onWritable = (): boolean => {
    const response = this.response;
    if (response === null) return true;
    this.progressAt = performance.now();
    if (this.#rest !== null) {
      this.#bytes = this.#rest.subarray(response.getWriteOffset() - this.#restFrom);
      response.cork(this.#tryRest);
      if (this.#isComplete) this.#finished();
      return this.#isAccepted;
    }
    // With this handler attached uWS does not write what it has queued by itself: uncorking writes it.
    response.cork(flush);
    this.#pump();
    return true;
  };

  send(status: number, head: readonly string[], bytes: Uint8Array, start: number, end: number): void {
    const response = this.response;
    if (response === null || this.#isStreaming) return;
    this.detach();
    if (this.direct?.answer(this.#lastAnswer(status, head, bytes.subarray(start, end))) === true) {
      // For uWS the request stays open until the connection is closed; then it calls onAborted.
      this.isHeld = true;
      this.#finished();
      return;
    }
    this.#status = status;
    this.#headList = head;
    this.#bytes = start === 0 && end === bytes.byteLength ? bytes : bytes.subarray(start, end);
    if (end - start <= WHOLE_BYTES || this.isClosing || this.owner.isDraining) {
      response.cork(this.#writeWhole);
      this.#finished();
      return;
    }
    this.#restTotal = end - start;
    response.cork(this.#tryWhole);
    if (this.#isComplete) {
      this.#finished();
      return;
    }
    this.#restFrom = response.getWriteOffset();
    this.#rest = Buffer.from(this.#bytes.subarray(this.#restFrom));
    this.#bytes = EMPTY;
    this.#attachWritable(response);
    this.#block();
    this.owner.budget.set(this, this.#rest.byteLength);
  }

  openStream(status: number, head: readonly string[]): void {
    const response = this.response;
    if (response === null || this.#isStreaming) return;
    this.#isStreaming = true;
    this.#status = status;
    this.#headList = head;
    response.cork(this.#writeHead);
  }

  write(bytes: Uint8Array, start: number, end: number): boolean {
    if (this.response === null || !this.#isStreaming || end <= start) return true;
    if (this.isBlocked) {
      this.#enqueue(bytes, start, end);
    } else {
      this.#writePieces(bytes, start, end);
    }
    const buffered = this.buffered();
    this.owner.budget.set(this, buffered);
    return !this.isCongested(buffered);
  }

  endStream(): void {
    if (this.response === null || !this.#isStreaming) return;
    this.detach();
    this.#isEnding = true;
    if (!this.isBlocked) this.#finish();
  }

  buffered(): number {
    if (!this.isBlocked) return 0;
    if (this.#rest === null) return this.#queued + this.#stuck;
    return this.#restTotal - (this.response?.getWriteOffset() ?? this.#restTotal);
  }

  cut(): void {
    // uWS calls onAborted before close returns.
    this.response?.close();
  }

  remoteAddress(): string {
    return this.response === null ? '' : addressText(Buffer.from(this.response.getRemoteAddress()));
  }

  upgraded(): void {
    this.detach();
    this.response = null;
    this.owner.finished(this);
  }

  /** Makes the call ready for another request. */
  reset(): void {
    this.head.reset();
    this.exchange = null;
    this.listener = null;
    this.target = null;
    this.refusal = null;
    this.requestId = EMPTY;
    this.response = null;
    this.isBodyComplete = false;
    this.isHead = false;
    this.isFirst = false;
    this.isClosing = false;
    this.isBlocked = false;
    this.#isStreaming = false;
    this.#hasWritableHandler = false;
    this.#isEnding = false;
    this.#rest = null;
    this.#queue.length = 0;
    this.#queued = 0;
    this.#next = 0;
    this.#nextFrom = 0;
    this.#stuck = 0;
    this.#bytes = EMPTY;
  }

  readonly #writeWhole = (): void => {
    const response = this.response!;
    this.#writeStart(response);
    const closing = this.isClosing || this.owner.isDraining;
    // A length given to endWithoutBody leaves the response open in this version.
    if (this.isHead && !closing) response.writeHeader('content-length', `${this.#bytes.byteLength}`).endWithoutBody();
    else if (this.isHead) response.end(EMPTY, closing);
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
    this.#isAccepted = accepted;
    this.#isComplete = complete;
  };

  readonly #writeHead = (): void => {
    this.#writeStart(this.response!);
  };

  readonly #writePiece = (): void => {
    this.#isAccepted = this.response!.write(this.#bytes);
  };

  readonly #writeQueue = (): void => {
    while (this.#next < this.#queue.length) {
      const piece = this.#queue[this.#next] ?? EMPTY;
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
    // With closeConnection uWS would write the header field `Connection` here, between two chunks.
    this.response!.end(undefined, false);
  };

  /** A whole answer after which the connection is closed. */
  #lastAnswer(status: number, head: readonly string[], body: Uint8Array): Uint8Array {
    let text = `HTTP/1.1 ${statusLine(status)}\r\n`;
    for (let at = 0; at < head.length; at += 2) text += `${head[at]}: ${head[at + 1]}\r\n`;
    text += `Content-Length: ${body.byteLength}\r\nConnection: close\r\n\r\n`;
    return Buffer.concat([Buffer.from(text, 'latin1'), this.isHead ? EMPTY : body]);
  }

  #writeStart(response: UwsResponse): void {
    if (this.#status !== 200) response.writeStatus(statusLine(this.#status));
    const head = this.#headList;
    for (let at = 0; at < head.length; at += 2) response.writeHeader(head[at] ?? '', head[at + 1] ?? '');
  }

  #writePieces(bytes: Uint8Array, start: number, end: number): void {
    let from = start;
    while (from < end) {
      const to = Math.min(end, from + PIECE_BYTES);
      this.#bytes = bytes.subarray(from, to);
      this.response!.cork(this.#writePiece);
      from = to;
      if (!this.#isAccepted) {
        this.#stuck = this.#bytes.byteLength;
        this.#bytes = EMPTY;
        this.#attachWritable(this.response!);
        if (from < end) this.#enqueue(bytes, from, end);
        if (this.response !== null) this.#block();
        return;
      }
    }
    this.#bytes = EMPTY;
  }

  #enqueue(bytes: Uint8Array, start: number, end: number): void {
    this.#queue.push(Buffer.from(bytes.subarray(start, end)));
    this.#queued += end - start;
    if (this.isOverflowing(this.#queued)) this.cut();
  }

  /** Writes the queue until the client is slow again or nothing is left. */
  #pump(): void {
    this.#stuck = 0;
    this.response!.cork(this.#writeQueue);
    this.#queue.splice(0, this.#next);
    this.#next = 0;
    this.owner.budget.set(this, this.buffered());
    if (this.#stuck > 0) return;
    this.isBlocked = false;
    if (this.#isEnding) this.#finish();
    else if (this.exchange !== null || this.listener !== null) this.owner.drained(this);
  }

  #finish(): void {
    this.response!.cork(this.#writeEnd);
    this.#finished();
  }

  #finished(): void {
    this.response = null;
    this.isBlocked = false;
    this.#bytes = EMPTY;
    this.#rest = null;
    this.owner.finished(this);
  }

  #attachWritable(response: UwsResponse): void {
    if (this.#hasWritableHandler) return;
    this.#hasWritableHandler = true;
    response.onWritable(this.onWritable);
  }

  #block(): void {
    if (this.isBlocked) return;
    this.isBlocked = true;
    this.progressAt = performance.now();
    this.owner.watch(this);
  }
}

function flush(): void {}
