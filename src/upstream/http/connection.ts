import type { ErrorCode } from '../../errors.js';
import { Composer } from '../../protocol/composer.js';
import type { SseParser } from '../../protocol/sse-parser.js';
import type { Exchange } from '../../request/exchange/index.js';
import { HeldBytes } from '../../shared/held-bytes.js';
import type { Bytes, Milliseconds } from '../../units.js';
import { NO_HEADERS } from '../core/credentials.js';
import { Answer, answerOf, Coding } from '../core/http/answer.js';
import type { HttpHeads } from '../core/http/heads.js';
import { CallEvents, type CallStream, type CallStreamListener, callParser, READ_ON_MS } from './call-stream.js';
import type { ResumePoint } from './resume.js';
import { type DecodedListener, DecodedResponse } from './wire/decoded-response.js';
import { headerLine, NameLines } from './wire/header-lines.js';
import { postHead, serverOf } from './wire/request-head.js';
import type { ResponseParser } from './wire/response-parser.js';
import { Http1Socket, type SocketFailure, type SocketOwner } from './wire/socket.js';
import type { ConnectionTarget } from './wire/target.js';

/** What a connection reports to, its endpoint; messages go to a `CallStreamListener`. The connection is free again when one of these is called. */
export interface ConnectionListener {
  /** The response is complete. `body` is the whole of it, null for one that was streamed or passed on in parts. */
  completed(connection: HttpConnection, status: number, body: Buffer | null): void;
  /** There will be no (further) response. */
  failed(connection: HttpConnection, error: ErrorCode): void;
}

/** How long the rest of a stream is read after its response, so that the connection can be kept. */
const DRAIN_MS: Milliseconds = 1_000;
/** Most bytes that are read of a refusal. */
const REFUSAL_BYTES: Bytes = 65_536;

/** `large` is a body of messages that is passed on in parts. */
const Mode = { none: 0, messages: 1, events: 2, refusal: 3, large: 4 } as const;

const NO_BYTES = Buffer.alloc(0);
const CONTENT_LENGTH = Buffer.from('content-length: ');
const HEAD_END = Buffer.from('\r\n\r\n');

const composer = new Composer();
const nameLines = new NameLines(4096);

/**
 * One keep-alive connection with one call at a time, and the bytes and headers of that call, in case it is sent again. Owned
 * by {@link HttpCalls}.
 */
export class HttpConnection implements SocketOwner, CallStream, DecodedListener {
  /** The call in flight; null when idle, or when the response is to be dropped. */
  exchange: Exchange | null = null;
  /** The id that the response must have. */
  upstreamId = 0;
  /** The credentials that the call was sent with. */
  credentials: readonly string[] = NO_HEADERS;
  /** The headers of the session that the call was sent in, null before the first. */
  heads: HttpHeads | null = null;
  method = 0;
  nameHeader = '';
  extraHeaders: readonly string[] | null = null;
  /** The bytes of the call in flight. */
  requestBytes: Buffer = NO_BYTES;
  /** The call has ended, and `performance.now()` until when the rest of its response is read; 0 = it has not. */
  #readsUntil: Milliseconds = 0;
  /** Where the call was sent to. */
  url: URL;
  /** Where the response redirects to, '' = nowhere. */
  redirect = '';
  /** `WWW-Authenticate` of a response with a status of 401 or 403, '' = none. */
  challenge = '';

  readonly #target: ConnectionTarget;
  readonly #listener: ConnectionListener;
  readonly #socket: Http1Socket;
  readonly #parser: SseParser;
  readonly #events: CallEvents;
  /** The list that `#head` was made from. */
  #headers: readonly string[] = NO_HEADERS;
  /** Request line and headers as bytes, up to the last line end. */
  #head: Buffer = NO_BYTES;
  #busy = false;
  #paused = false;
  #status = 0;
  #mode: number = Mode.none;
  /** Decodes the body, null where it is not encoded. */
  #decoded: DecodedResponse | null = null;
  /** The encoded body has ended, '' = it has not. */
  #encodedEnd: '' | 'complete' | SocketFailure = '';
  /** A body that arrived in one piece so far, in the shared read buffer; null = it is in `#held`. */
  #borrowed: Buffer | null = null;
  readonly #held: HeldBytes;
  /** Bytes of a body that were passed on in parts. */
  #passed: Bytes = 0;
  /** The body was not offered in parts yet. */
  #isOfferable = false;

  constructor(target: ConnectionTarget, listener: ConnectionListener, messages: CallStreamListener) {
    this.#target = target;
    this.#listener = listener;
    const { location, connectTimeoutMs, turns } = target;
    this.url = location.current;
    this.#socket = new Http1Socket({ ...serverOf(this.url), connectTimeoutMs, turns }, this);
    this.#events = new CallEvents(this, messages);
    const evicted = (): void => {
      if (this.#busy) this.#abort('GW_BUFFERS_FULL');
    };
    this.#held = new HeldBytes(target.budget, evicted);
    this.#parser = callParser(this.#events, target, this.#socket.share, evicted);
  }

  /** The session of the call, '' = none. */
  get sessionId(): string {
    return this.heads?.sessionId ?? '';
  }

  /** Where the stream has ended, until the next call is sent; null = its events have no ids. */
  get resumePoint(): ResumePoint | null {
    const { lastEventId, retryMs } = this.#parser;
    return this.#mode === Mode.events && lastEventId !== '' ? { lastEventId, retryMs } : null;
  }

  /**
   * Sends a call. Failures are reported later, never within this call.
   *
   * @param headers the prepared list of the method: the same object each time
   * @param credentials further ones: the same object as long as they are valid
   */
  send(exchange: Exchange, bytes: Buffer, headers: readonly string[], credentials: readonly string[]): void {
    this.exchange = exchange;
    this.upstreamId = exchange.call.upstreamId;
    this.requestBytes = bytes;
    this.#readsUntil = 0;
    this.#busy = true;
    this.#paused = false;
    this.#status = 0;
    this.#mode = Mode.none;
    if (this.url !== this.#target.location.current) this.#moveTo(this.#target.location.current);
    if (headers !== this.#headers || credentials !== this.credentials) {
      this.#headers = headers;
      this.credentials = credentials;
      this.#head = postHead(this.url, credentials.length === 0 ? headers : [...headers, ...credentials]);
    }
    composer.reset().put(this.#head);
    if (!this.#ownHeaders()) {
      this.#abort('GW_INTERNAL');
      return;
    }
    composer.put(CONTENT_LENGTH).integer(bytes.length).put(HEAD_END).put(bytes);
    this.#socket.send(composer.take());
  }

  /** The address has changed: calls were redirected, or a new handshake has begun. */
  #moveTo(url: URL): void {
    if (url.origin !== this.url.origin) this.#socket.retarget(serverOf(url));
    this.url = url;
    this.#headers = NO_HEADERS;
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
    if ((this.#mode !== Mode.events && this.#mode !== Mode.large) || this.#paused) return;
    this.#paused = true;
    if (this.#decoded !== null) this.#decoded.pause();
    else this.#socket.pause();
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    if (this.#decoded !== null) this.#decoded.resume();
    else this.#socket.resume();
  }

  /** The call will not be sent again: drops its bytes. */
  forgetCall(): void {
    this.requestBytes = NO_BYTES;
    this.extraHeaders = null;
  }

  /** The response was delivered; what follows on the stream is dropped. */
  drain(): void {
    this.#readFor(DRAIN_MS);
  }

  readOn(): void {
    this.#readFor(READ_ON_MS);
  }

  /** The call has ended; the rest of its response is read for that long. */
  #readFor(ms: Milliseconds): void {
    this.exchange = null;
    if (!this.#busy) return;
    this.#readsUntil = performance.now() + ms;
    this.resume();
  }

  /** Periodic work: closes a connection whose response does not end, and an idle one that the server is about to close. */
  tick(now: Milliseconds): void {
    if (this.#readsUntil > 0 && now > this.#readsUntil) this.abandon();
    this.#socket.tick(now);
  }

  destroy(): void {
    this.#socket.abort();
  }

  sent(): void {
    if (this.exchange !== null) this.exchange.call.sent = true;
  }

  head(response: ResponseParser): void {
    const { status, coding, redirect, challenge } = response;
    this.#status = status;
    this.redirect = redirect;
    this.challenge = challenge;
    this.#borrowed = null;
    this.#held.clear();
    this.#isOfferable = true;
    switch (answerOf(status, response.isEventStream)) {
      case Answer.messages:
        this.#mode = Mode.messages;
        // On an event stream it is about the stream, not about the message in it.
        if (response.cacheControl !== '' && this.exchange !== null) {
          this.exchange.call.cacheControl = response.cacheControl;
          this.exchange.call.answerAge = response.ageSeconds;
        }
        break;
      case Answer.events:
        this.#mode = Mode.events;
        this.#parser.reset();
        this.#events.reset();
        break;
      default:
        this.#mode = Mode.refusal;
    }
    if (coding !== Coding.identity && this.#busy) this.#decoded = new DecodedResponse(coding, this.#socket, this);
  }

  body(bytes: Buffer, start: number, end: number): number {
    if (this.#decoded === null) return this.#content(bytes, start, end);
    this.#decoded.push(bytes.subarray(start, end));
    return end;
  }

  decoded(bytes: Buffer): number {
    return this.#busy ? this.#content(bytes, 0, bytes.length) : -1;
  }

  decodedEnd(isWhole: boolean): void {
    const end = this.#encodedEnd;
    // The content has ended, and what follows it would be taken for the next response.
    if (end === '') this.#socket.abort();
    if (!this.#busy) return;
    if (end !== '' && end !== 'complete') this.#broken(end);
    else if (isWhole) this.#whole();
    else this.#broken('protocol');
  }

  /** Bytes of the body, decoded. @returns the position up to which they were read */
  #content(bytes: Buffer, start: number, end: number): number {
    if (!this.#busy) return end;
    if (this.#mode === Mode.events) {
      if (this.#parser.feed(bytes.subarray(start, end))) return start + this.#parser.consumed;
      this.#abort('GW_RESPONSE_TOO_LARGE');
    } else if (this.#mode === Mode.messages) {
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
    if (this.#decoded === null) this.#whole();
    else this.#endDecoding('complete');
  }

  failed(why: SocketFailure): void {
    if (!this.#busy) return;
    if (this.#decoded === null) this.#broken(why);
    else this.#endDecoding(why);
  }

  /** What has arrived is decoded first. */
  #endDecoding(end: 'complete' | SocketFailure): void {
    this.#encodedEnd = end;
    this.#decoded?.end();
  }

  /** The body is complete. */
  #whole(): void {
    const body = this.#mode === Mode.events || this.#mode === Mode.large ? null : this.#bytes();
    if (this.#mode === Mode.large) this.#events.largeEnd(true);
    else this.#events.broken();
    this.#free();
    this.#listener.completed(this, this.#status, body);
  }

  /** There will be no (further) body. */
  #broken(why: SocketFailure): void {
    const answered = this.#mode === Mode.messages || this.#mode === Mode.events;
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
      this.#listener.completed(this, this.#status, NO_BYTES);
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
    if (!this.#events.largeStart(bytes, length)) return;
    this.#mode = Mode.large;
    this.#passed = length;
    this.#held.clear();
  }

  #bytes(): Buffer {
    return this.#borrowed ?? this.#held.bytes.subarray(0, this.#held.length);
  }

  #releaseBody(): void {
    if (this.#decoded !== null) {
      this.#decoded.destroy();
      this.#decoded = null;
      this.#encodedEnd = '';
      // It may have paused the connection.
      this.#socket.resume();
    }
    this.#borrowed = null;
    this.#held.clear();
    this.#parser.discard();
  }

  #free(): void {
    this.#busy = false;
    this.#releaseBody();
    this.#readsUntil = 0;
    this.resume();
  }
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
