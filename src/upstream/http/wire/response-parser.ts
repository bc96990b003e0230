/**
 * Parses HTTP/1.1 responses (RFC 9112) from the bytes of one connection, without making strings: status, the few header
 * fields that a relay acts on, and the body. Rejects responses with ambiguous framing more strictly than the RFC demands,
 * because the next response on the connection belongs to another client.
 */
import type { Bytes, Seconds } from '../../../units.js';
import { isCredentialStatus } from '../../core/credentials.js';
import { Coding, codingOf } from '../../core/http/answer.js';
import { isRedirect } from '../../core/http/location.js';

/** What the parser reports to, its socket; every call happens within `feed` or `end`. */
export interface ResponseListener {
  /** The head of the final response is complete; its fields can be read off the parser. */
  head(): void;
  /**
   * Bytes of the body; valid only during the call.
   *
   * @returns the position up to which they were read; less than `end` only when the budget is spent
   */
  body(bytes: Buffer, start: number, end: number): number;
  /** The response is complete. The parser is idle again. */
  complete(): void;
}

const State = {
  idle: 0,
  statusLine: 1,
  fields: 2,
  fixed: 3,
  chunkSize: 4,
  chunkData: 5,
  chunkEnd: 6,
  trailers: 7,
  untilClose: 8,
  broken: 9,
} as const;

/** Longest head, and longest block of trailers. */
const MAX_HEAD_BYTES: Bytes = 32 * 1024;
/** Longest line with the size of a chunk. */
const MAX_SIZE_LINE: Bytes = 256;
const CR = 13;
const LF = 10;
const SPACE = 32;
const TAB = 9;
const COLON = 58;
const NO_BYTES = Buffer.alloc(0);
const UNBOUNDED = { spent: false };

/** Which bytes may stand in a field name (RFC 9110 section 5.6.2, token). */
const TOKEN = new Uint8Array(256);
for (const byte of Buffer.from("!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")) {
  TOKEN[byte] = 1;
}

/** One per connection; see the file comment. */
export class ResponseParser {
  status = 0;
  /** The body is an event stream. */
  isEventStream = false;
  /** The content coding of the body, one of `Coding`. */
  coding: number = Coding.identity;
  /** Where a redirect leads, '' = no redirect, or one without `Location`. */
  redirect = '';
  /** `WWW-Authenticate` of a response with a status of 401 or 403, '' = none. */
  challenge = '';
  /** Whether another request may follow on the connection. */
  keepAlive = true;
  /** Time after which the server closes idle connections, -1 = not specified. */
  keepAliveSeconds: Seconds = -1;
  /** The bytes that `feed` did not read because the budget was spent, else null; owns its memory. */
  rest: Buffer | null = null;

  /** Values of `Cache-Control`, joined; '' = none. */
  cacheControl = '';
  /** `Age`, 0 = none, or no number. */
  ageSeconds: Seconds = 0;

  readonly #listener: ResponseListener;
  readonly #budget: { readonly spent: boolean };
  #state: number = State.idle;
  /** Bytes of an unfinished line or head from earlier reads. */
  #held: Buffer = NO_BYTES;
  /** Bytes left of a fixed body or a chunk. */
  #left = 0;
  #length = -1;
  #chunked = false;
  #headBytes = 0;
  /** The response ended within the current call of `feed`; reported once it is known whether bytes follow it. */
  #done = false;

  /** @param budget once it is spent, `feed` leaves the following bytes unread */
  constructor(listener: ResponseListener, budget: { readonly spent: boolean } = UNBOUNDED) {
    this.#listener = listener;
    this.#budget = budget;
  }

  /** A request was written: a response is expected. */
  expect(): void {
    this.#state = State.statusLine;
    this.#done = false;
    this.#held = NO_BYTES;
    this.#startHead();
  }

  /**
   * Reads bytes of the connection.
   *
   * @returns false when the connection cannot be used any more: the bytes are no valid response, or there was no request
   */
  feed(bytes: Buffer, start: number, end: number): boolean {
    this.rest = null;
    if (this.#held.length > 0) {
      const joined = Buffer.concat([this.#held, bytes.subarray(start, end)]);
      this.#held = NO_BYTES;
      return this.#run(joined, 0, joined.length);
    }
    return this.#run(bytes, start, end);
  }

  /**
   * The server closed the connection.
   *
   * @returns true when that completed a response, false when it truncated one or none was expected
   */
  end(): boolean {
    if (this.#state !== State.untilClose) return false;
    this.#state = State.idle;
    this.#listener.complete();
    return true;
  }

  #run(bytes: Buffer, start: number, end: number): boolean {
    let at = start;
    while (at < end) {
      const next = this.#step(bytes, at, end);
      if (next < 0) {
        this.#state = State.broken;
        return false;
      }
      if (this.#done) return this.#complete(next === end);
      // The rest is the beginning of a line.
      if (next === at) {
        this.#held = Buffer.from(bytes.subarray(at, end));
        return true;
      }
      at = next;
      if (this.#budget.spent && at < end) {
        this.rest = Buffer.from(bytes.subarray(at, end));
        return true;
      }
    }
    return true;
  }

  /** @param clean no bytes follow the response; they would become the response to the next request */
  #complete(clean: boolean): boolean {
    this.#done = false;
    if (!clean) this.keepAlive = false;
    this.#listener.complete();
    return clean;
  }

  /** @returns the position to continue from, `at` when more bytes are needed, -1 for bytes that are no valid response */
  #step(bytes: Buffer, at: number, end: number): number {
    switch (this.#state) {
      case State.fixed:
        return this.#copy(bytes, at, end, State.idle);
      case State.chunkData:
        return this.#copy(bytes, at, end, State.chunkEnd);
      case State.untilClose:
        return this.#listener.body(bytes, at, end);
      case State.idle:
      case State.broken:
        return -1;
      default:
        return this.#line(bytes, at, end);
    }
  }

  #copy(bytes: Buffer, at: number, end: number, after: number): number {
    const to = this.#listener.body(bytes, at, Math.min(end, at + this.#left));
    this.#left -= to - at;
    if (this.#left === 0) this.#state = after;
    if (this.#left === 0 && after === State.idle) this.#finish();
    return to;
  }

  /** Reads one line that ends with CRLF (RFC 9112 section 2.2; a bare LF is not accepted here). */
  #line(bytes: Buffer, at: number, end: number): number {
    const lineFeed = bytes.indexOf(LF, at);
    const inHead = this.#state !== State.chunkSize && this.#state !== State.chunkEnd;
    const longest = inHead ? MAX_HEAD_BYTES - this.#headBytes : MAX_SIZE_LINE;
    if (lineFeed < 0 || lineFeed >= end) return end - at > longest ? -1 : at;
    const stop = lineFeed - 1;
    if (lineFeed - at > longest || stop < at || bytes[stop] !== CR) return -1;
    if (inHead) this.#headBytes += lineFeed + 1 - at;
    return this.#take(bytes, at, stop) ? lineFeed + 1 : -1;
  }

  #take(bytes: Buffer, at: number, stop: number): boolean {
    switch (this.#state) {
      case State.statusLine:
        return this.#statusLine(bytes, at, stop);
      case State.fields:
        return stop === at ? this.#headEnd() : this.#field(bytes, at, stop);
      case State.chunkSize:
        return this.#chunkSize(bytes, at, stop);
      case State.chunkEnd:
        this.#state = State.chunkSize;
        return stop === at;
      default:
        // Trailers are dropped; the empty line ends the response.
        if (stop === at) this.#finish();
        return true;
    }
  }

  #startHead(): void {
    this.status = 0;
    this.isEventStream = false;
    this.coding = Coding.identity;
    this.redirect = '';
    this.challenge = '';
    this.keepAlive = true;
    this.keepAliveSeconds = -1;
    this.cacheControl = '';
    this.ageSeconds = 0;
    this.#length = -1;
    this.#chunked = false;
    this.#headBytes = 0;
  }

  /** `HTTP/1.x SP 3DIGIT [SP reason]` (RFC 9112 section 4). */
  #statusLine(bytes: Buffer, at: number, stop: number): boolean {
    if (stop - at < 12 || !isText(bytes, at, 'HTTP/1.') || bytes[at + 8] !== SPACE) return false;
    const minor = bytes[at + 7]! - 48;
    if (minor !== 0 && minor !== 1) return false;
    const status = digits(bytes, at + 9, at + 12);
    if (status < 100 || status > 599 || (stop > at + 12 && bytes[at + 12] !== SPACE)) return false;
    this.status = status;
    this.keepAlive = minor === 1;
    this.#state = State.fields;
    return true;
  }

  #field(bytes: Buffer, at: number, stop: number): boolean {
    let colon = at;
    while (colon < stop && TOKEN[bytes[colon]!] === 1) colon += 1;
    // Neither white space before the colon nor a folded line (RFC 9112 sections 5.1 and 5.2).
    if (colon === at || bytes[colon] !== COLON) return false;
    let from = colon + 1;
    let to = stop;
    while (from < to && (bytes[from] === SPACE || bytes[from] === TAB)) from += 1;
    while (to > from && (bytes[to - 1] === SPACE || bytes[to - 1] === TAB)) to -= 1;
    for (let index = from; index < to; index += 1) {
      const byte = bytes[index]!;
      if ((byte < SPACE && byte !== TAB) || byte === 127) return false;
    }
    return this.#known(bytes, at, colon, from, to);
  }

  #known(bytes: Buffer, at: number, colon: number, from: number, to: number): boolean {
    switch (colon - at) {
      case 8:
        if (isRedirect(this.status) && isText(bytes, at, 'location')) {
          this.redirect = bytes.toString('latin1', from, to);
        }
        return true;
      case 10:
        if (isText(bytes, at, 'connection')) this.#connection(bytes, from, to);
        else if (isText(bytes, at, 'keep-alive')) this.#keepAliveHint(bytes, from, to);
        return true;
      case 12:
        if (isText(bytes, at, 'content-type')) this.isEventStream = isType(bytes, from, to, 'text/event-stream');
        return true;
      case 3:
        if (isText(bytes, at, 'age')) this.ageSeconds = to - from > 9 ? 0 : Math.max(0, digits(bytes, from, to));
        return true;
      case 13:
        if (isText(bytes, at, 'cache-control')) {
          const value = bytes.toString('latin1', from, to);
          this.cacheControl = this.cacheControl === '' ? value : `${this.cacheControl}, ${value}`;
        }
        return true;
      case 14: {
        if (!isText(bytes, at, 'content-length')) return true;
        // A second length, or one beside chunks, is how responses are smuggled (RFC 9112 section 6.3).
        if (this.#length >= 0 || this.#chunked || to - from > 15) return false;
        this.#length = digits(bytes, from, to);
        return this.#length >= 0;
      }
      case 16:
        if (isCredentialStatus(this.status) && isText(bytes, at, 'www-authenticate')) {
          this.challenge = bytes.toString('latin1', from, to);
        }
        if (isText(bytes, at, 'content-encoding')) this.#encoded(bytes, from, to);
        return true;
      case 17:
        if (!isText(bytes, at, 'transfer-encoding')) return true;
        if (this.#length >= 0 || this.#chunked) return false;
        this.#chunked = to - from === 7 && isText(bytes, from, 'chunked');
        return this.#chunked;
      default:
        return true;
    }
  }

  /** A second field adds a coding (RFC 9110 section 8.4), and two are one too many. */
  #encoded(bytes: Buffer, from: number, to: number): void {
    const coding = codingOf(bytes.toString('latin1', from, to));
    if (coding !== Coding.identity) this.coding = this.coding === Coding.identity ? coding : Coding.unknown;
  }

  #connection(bytes: Buffer, from: number, to: number): void {
    const value = bytes.toString('latin1', from, to).toLowerCase();
    const options = value.split(',').map((option) => option.trim());
    if (options.includes('close')) this.keepAlive = false;
    else if (options.includes('keep-alive')) this.keepAlive = true;
  }

  #keepAliveHint(bytes: Buffer, from: number, to: number): void {
    const timeout = /(?:^|[\s,])timeout=(\d{1,6})/i.exec(bytes.toString('latin1', from, to));
    if (timeout !== null) this.keepAliveSeconds = Number(timeout[1]);
  }

  #headEnd(): boolean {
    const { status } = this;
    if (status < 200) {
      // Interim responses are skipped; an upgrade was not requested.
      if (status === 101 || this.#chunked || this.#length > 0) return false;
      const { keepAlive } = this;
      const headBytes = this.#headBytes;
      this.#startHead();
      this.#headBytes = headBytes;
      this.keepAlive = keepAlive;
      this.#state = State.statusLine;
      return true;
    }
    const bodiless = status === 204 || status === 304 || this.#length === 0;
    if (bodiless) this.#state = State.idle;
    else if (this.#chunked) this.#state = State.chunkSize;
    else if (this.#length > 0) {
      this.#left = this.#length;
      this.#state = State.fixed;
    } else {
      this.keepAlive = false;
      this.#state = State.untilClose;
    }
    this.#listener.head();
    if (bodiless) this.#finish();
    return true;
  }

  /** `1*HEXDIG [chunk-ext]` (RFC 9112 section 7.1); extensions are dropped. */
  #chunkSize(bytes: Buffer, at: number, stop: number): boolean {
    let size = 0;
    let index = at;
    for (; index < stop; index += 1) {
      const digit = hexDigit(bytes[index]!);
      if (digit < 0) break;
      size = size * 16 + digit;
    }
    const count = index - at;
    if (count === 0 || count > 12) return false;
    while (index < stop && (bytes[index] === SPACE || bytes[index] === TAB)) index += 1;
    if (index < stop && bytes[index] !== 59) return false;
    if (size === 0) {
      this.#headBytes = 0;
      this.#state = State.trailers;
    } else {
      this.#left = size;
      this.#state = State.chunkData;
    }
    return true;
  }

  #finish(): void {
    this.#state = State.idle;
    this.#done = true;
  }
}

/** ASCII case-insensitive; `lower` is in lower case where it has letters. */
function isText(bytes: Buffer, at: number, lower: string): boolean {
  for (let index = 0; index < lower.length; index += 1) {
    const expected = lower.charCodeAt(index);
    const byte = bytes[at + index]!;
    if (byte !== expected && !(expected >= 97 && expected <= 122 && (byte | 0x20) === expected)) return false;
  }
  return true;
}

/** Whether a value is that media type, with or without parameters. */
function isType(bytes: Buffer, from: number, to: number, lower: string): boolean {
  if (to - from < lower.length || !isText(bytes, from, lower)) return false;
  const next = to - from === lower.length ? 59 : bytes[from + lower.length]!;
  return next === 59 || next === SPACE || next === TAB;
}

/** The value of a run of digits, -1 if it is empty or holds anything else. */
function digits(bytes: Buffer, from: number, to: number): number {
  if (to <= from) return -1;
  let value = 0;
  for (let index = from; index < to; index += 1) {
    const digit = bytes[index]! - 48;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return value;
}

function hexDigit(byte: number): number {
  if (byte >= 48 && byte <= 57) return byte - 48;
  const letter = byte | 0x20;
  return letter >= 97 && letter <= 102 ? letter - 87 : -1;
}
