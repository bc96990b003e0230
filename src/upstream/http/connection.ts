import type { ErrorCode } from '../../errors.js';
import { Composer } from '../../protocol/composer.js';
import type { SseParser } from '../../protocol/sse-parser.js';
import type { Exchange } from '../../request/exchange/index.js';
import { HeldBytes } from '../../shared/held-bytes.js';
import type { Bytes, Milliseconds } from '../../units.js';
import { CallEvents, type CallStream, type CallStreamListener, callParser } from './call-stream.js';
import { headerLine, NameLines } from './header-lines.js';
import { Media, type ResponseParser } from './response-parser.js';
import { Http1Socket, type SocketFailure, type SocketOwner } from './socket.js';
import type { ConnectionTarget } from './target.js';

/** What a connection reports to, its endpoint. The connection is free again when one of these is called. */
export interface ConnectionListener extends CallStreamListener {
  /**
   * The response is complete. `body` is the whole of it, null for one that was streamed or passed on in parts.
   *
   * @param json the content type was `application/json`
   */
  completed(connection: HttpConnection, status: number, json: boolean, body: Buffer | null): void;
  /** There will be no (further) response. */
  failed(connection: HttpConnection, error: ErrorCode): void;
}

/** Most bytes that are read of a response that is neither JSON nor a stream with status 200. */
const REFUSAL_BYTES: Bytes = 65_536;

/** `large` is a JSON body that is passed on in parts. */
const Mode = { none: 0, json: 1, sse: 2, refusal: 3, large: 4 } as const;

const NO_BYTES = Buffer.alloc(0);
const NO_HEADERS: readonly string[] = [];
const CONTENT_LENGTH = Buffer.from('content-length: ');
const HEAD_END = Buffer.from('\r\n\r\n');

const composer = new Composer();
const nameLines = new NameLines(4096);

/**
 * One keep-alive connection with one call at a time, and the bytes and headers of that call, in case it is sent again. Owned
 * by {@link HttpCalls}.
 */
export class HttpConnection implements SocketOwner, CallStream {
  /** The call in flight; null when idle, or when the response is to be dropped. */
  exchange: Exchange | null = null;
  /** The id that the response must have. */
  upstreamId = 0;
  /** The session of the call. */
  sessionId = '';
  method = 0;
  nameHeader = '';
  extraHeaders: readonly string[] | null = null;
  /** The bytes of the call in flight. */
  requestBytes: Buffer = NO_BYTES;
  /** `performance.now()` when the response was complete and the rest of its stream began to be dropped; 0 = not. */
  drainingSince: Milliseconds = 0;

  readonly #target: ConnectionTarget;
  readonly #listener: ConnectionListener;
  readonly #socket: Http1Socket;
  readonly #parser: SseParser;
  readonly #events: CallEvents;
  readonly #start: string;
  /** The list that `#head` was made from. */
  #headers: readonly string[] = NO_HEADERS;
  /** Request line and headers as bytes, up to the last line end. */
  #head: Buffer = NO_BYTES;
  #busy = false;
  #paused = false;
  #status = 0;
  #mode: number = Mode.none;
  #isJson = false;
  /** A body that arrived in one piece so far, in the shared read buffer; null = it is in `#held`. */
  #borrowed: Buffer | null = null;
  readonly #held: HeldBytes;
  /** Bytes of a body that were passed on in parts. */
  #passed: Bytes = 0;
  /** The body was not offered in parts yet. */
  #isOfferable = false;

  constructor(target: ConnectionTarget, listener: ConnectionListener) {
    this.#target = target;
    this.#listener = listener;
    const { hostname, port, protocol, host } = new URL(target.origin);
    const secure = protocol === 'https:';
    this.#socket = new Http1Socket(
      {
        host: hostname.startsWith('[') ? hostname.slice(1, -1) : hostname,
        port: port === '' ? (secure ? 443 : 80) : Number(port),
        secure,
        connectTimeoutMs: target.connectTimeoutMs,
        turns: target.turns,
      },
      this,
    );
    this.#start = `POST ${target.path} HTTP/1.1\r\nhost: ${host}\r\n`;
    this.#events = new CallEvents(this, listener);
    const evicted = (): void => {
      if (this.#busy) this.#abort('GW_BUFFERS_FULL');
    };
    this.#held = new HeldBytes(target.budget, evicted);
    this.#parser = callParser(this.#events, target, this.#socket.share, evicted);
  }

  /** The id of the last event of the stream, '' if none had one (until the next call is sent). */
  get lastEventId(): string {
    return this.#mode === Mode.sse ? this.#parser.lastEventId : '';
  }

  /** The stream's `retry`: the pause before it is resumed, -1 = none. */
  get retryMs(): Milliseconds {
    return this.#mode === Mode.sse ? this.#parser.retryMs : -1;
  }

  /**
   * Sends a call. Failures are reported later, never within this call.
   *
   * @param headers the prepared list of the method: the same object each time
   */
  send(exchange: Exchange, bytes: Buffer, headers: readonly string[]): void {
    this.exchange = exchange;
    this.upstreamId = exchange.call.upstreamId;
    this.requestBytes = bytes;
    this.drainingSince = 0;
    this.#busy = true;
    this.#paused = false;
    this.#status = 0;
    this.#mode = Mode.none;
    if (headers !== this.#headers) {
      this.#headers = headers;
      this.#head = headBytes(this.#start, headers);
    }
    composer.reset().put(this.#head);
    if (!this.#ownHeaders()) {
      this.#abort('GW_INTERNAL');
      return;
    }
    composer.put(CONTENT_LENGTH).integer(bytes.length).put(HEAD_END).put(bytes);
    this.#socket.send(composer.take());
  }

  /** Adds the headers of this call. @returns false when one of them cannot be written */
  #ownHeaders(): boolean {
    const { nameHeader, extraHeaders } = this;
    if (nameHeader !== '' && !addLine(nameLines.of(nameHeader))) return false;
    if (extraHeaders === null) return true;
    for (let index = 0; index < extraHeaders.length; index += 2) {
      if (!addLine(headerLine(extraHeaders[index] ?? '', extraHeaders[index + 1] ?? ''))) return false;
    }
    return true;
  }

  /** Drops the response: closes the connection, which is free a moment later. */
  abandon(): void {
    this.exchange = null;
    if (!this.#busy) return;
    this.#abort('GW_CANCELLED');
  }

  pause(): void {
    if ((this.#mode !== Mode.sse && this.#mode !== Mode.large) || this.#paused) return;
    this.#paused = true;
    this.#socket.pause();
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#socket.resume();
  }

  /** The call will not be sent again: drops its bytes. */
  forgetCall(): void {
    this.requestBytes = NO_BYTES;
    this.extraHeaders = null;
  }

  /** The response was delivered; what follows on the stream is dropped. */
  drain(now: Milliseconds): void {
    this.exchange = null;
    this.drainingSince = now;
    this.resume();
  }

  /** Periodic work: closes an idle connection that the server is about to close. */
  tick(now: Milliseconds): void {
    this.#socket.tick(now);
  }

  destroy(): void {
    this.#socket.abort();
  }

  sent(): void {
    if (this.exchange !== null) this.exchange.call.sent = true;
  }

  head(response: ResponseParser): void {
    const { status, media, encoded } = response;
    this.#status = status;
    this.#isJson = media === Media.json && !encoded;
    this.#borrowed = null;
    this.#held.clear();
    this.#isOfferable = true;
    if (status === 200 && this.#isJson) this.#mode = Mode.json;
    else if (status === 200 && media === Media.eventStream && !encoded) {
      this.#mode = Mode.sse;
      this.#parser.reset();
      this.#events.reset();
    } else this.#mode = Mode.refusal;
  }

  body(bytes: Buffer, start: number, end: number): number {
    if (!this.#busy) return end;
    if (this.#mode === Mode.sse) {
      if (this.#parser.feed(bytes.subarray(start, end))) return start + this.#parser.consumed;
      this.#abort('GW_RESPONSE_TOO_LARGE');
    } else if (this.#mode === Mode.json) {
      if (!this.#add(bytes, start, end, this.#target.maxWholeBytes)) this.#abort('GW_RESPONSE_TOO_LARGE');
      else if (this.#held.length > this.#target.maxHeldBytes && this.#isOfferable) this.#offer();
    } else if (this.#mode === Mode.large) {
      this.#passed += end - start;
      if (this.#passed > this.#target.maxResponseBytes) this.#abort('GW_RESPONSE_TOO_LARGE');
      else this.#events.largePart(bytes, start, end);
    } else if (!this.#add(bytes, start, end, REFUSAL_BYTES)) {
      this.#refused();
    }
    return end;
  }

  read(): void {
    const borrowed = this.#borrowed;
    if (borrowed === null) return;
    this.#borrowed = null;
    this.#held.append(borrowed, borrowed.length);
  }

  complete(): void {
    if (!this.#busy) return;
    const body = this.#mode === Mode.sse || this.#mode === Mode.large ? null : this.#whole();
    if (this.#mode === Mode.large) this.#events.largeEnd(true);
    else this.#events.broken();
    const json = this.#isJson;
    this.#free();
    this.#listener.completed(this, this.#status, json, body);
  }

  failed(why: SocketFailure): void {
    if (!this.#busy) return;
    const answered = this.#mode === Mode.json || this.#mode === Mode.sse;
    this.#events.broken();
    this.#free();
    this.#listener.failed(this, errorOf(why, answered));
  }

  /** Closes the connection and reports the failure in a later turn. */
  #abort(error: ErrorCode): void {
    this.#busy = false;
    this.#socket.abort();
    this.#releaseBody();
    setImmediate(() => {
      this.#events.broken();
      this.#free();
      this.#listener.failed(this, error);
    });
  }

  /** The body of a refusal is too long to be a JSON-RPC error: only the status counts, and the rest is not read. */
  #refused(): void {
    this.#busy = false;
    this.#socket.abort();
    this.#releaseBody();
    setImmediate(() => {
      this.#free();
      this.#listener.completed(this, this.#status, false, NO_BYTES);
    });
  }

  #add(bytes: Buffer, start: number, end: number, limit: Bytes): boolean {
    if (this.#borrowed === null && this.#held.length === 0) {
      if (end - start > limit) return false;
      this.#borrowed = bytes.subarray(start, end);
      return true;
    }
    // A later piece: the first one has to be copied out of the shared buffer, and so has this one.
    this.read();
    return this.#held.append(bytes, limit, start, end);
  }

  /** The body is large: from here on it is passed on in parts, if that is possible. */
  #offer(): void {
    this.#isOfferable = false;
    const { bytes, length } = this.#held;
    if (!this.#events.largeStart(bytes, length, '')) return;
    this.#mode = Mode.large;
    this.#passed = length;
    this.#held.clear();
  }

  #whole(): Buffer {
    return this.#borrowed ?? this.#held.bytes.subarray(0, this.#held.length);
  }

  #releaseBody(): void {
    this.#borrowed = null;
    this.#held.clear();
    this.#parser.discard();
  }

  #free(): void {
    this.#busy = false;
    this.#releaseBody();
    this.drainingSince = 0;
    this.resume();
  }
}

function headBytes(start: string, headers: readonly string[]): Buffer {
  let text = start;
  for (let index = 0; index < headers.length; index += 2) text += `${headers[index]}: ${headers[index + 1]}\r\n`;
  return Buffer.from(text, 'latin1');
}

/** Appends one header line to the composer. @returns false if there is none, because it cannot be sent */
function addLine(line: Buffer | null): boolean {
  if (line === null) return false;
  composer.put(line);
  return true;
}

function errorOf(why: SocketFailure, answered: boolean): ErrorCode {
  if (why === 'unreachable') return 'GW_UPSTREAM_UNREACHABLE';
  if (why === 'protocol') return 'GW_UPSTREAM_PROTOCOL';
  return answered ? 'GW_UPSTREAM_TRUNCATED' : 'GW_UPSTREAM_CLOSED';
}
