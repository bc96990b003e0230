import { Client, type Dispatcher } from 'undici';
import type { ErrorCode } from '../errors.js';
import { SseParser } from '../protocol/sse-parser.js';
import type { Exchange } from '../request/exchange.js';
import type { Bytes, Milliseconds } from '../units.js';

/** What a connection tells its endpoint. Except for {@link document} the connection is free again when it is called. */
export interface ConnectionListener {
  /** One event of a streamed answer; `bytes[0, length)` is valid only during the call. */
  document(connection: HttpConnection, bytes: Uint8Array, length: number): void;
  /**
   * The answer is complete. `body` is the whole of it, null for a streamed one.
   *
   * @param json the content type was `application/json`
   */
  completed(connection: HttpConnection, status: number, json: boolean, body: Buffer | null): void;
  /** There will be no (further) answer. */
  failed(connection: HttpConnection, error: ErrorCode): void;
}

/** How connections reach their origin. */
export interface ConnectionTarget {
  readonly origin: string;
  readonly path: string;
  readonly connectTimeoutMs: Milliseconds;
  readonly maxResponseBytes: Bytes;
}

/** Most that is read of an answer that is neither JSON nor a stream with status 200. */
const REFUSAL_BYTES: Bytes = 65_536;
/** How long an idle connection is kept where the server does not say. */
const KEEP_ALIVE_MS: Milliseconds = 4_000;

const Mode = { none: 0, json: 1, sse: 2, refusal: 3 } as const;

const NO_BYTES = Buffer.alloc(0);
const CONTENT_TYPE = 'content-type';
const CONTENT_ENCODING = 'content-encoding';
const JSON_TYPE = 'application/json';
const SSE_TYPE = 'text/event-stream';

/**
 * One keep-alive connection with one call at a time, as a raw dispatch handler of undici: nothing is made per call
 * except what undici makes itself. What the endpoint keeps for the call (its bytes and headers) lives here too.
 */
export class HttpConnection {
  /** The call it is busy with; null when idle, or when the answer is not wanted any more. */
  exchange: Exchange | null = null;
  /** The id the answer must have. */
  upstreamId = 0;
  /** The session the call was made in. */
  sessionId = '';
  method = 0;
  nameHeader = '';
  extraHeaders: readonly string[] | null = null;
  /** `performance.now()` since when the rest of an answer is only waited for so that the connection can be kept; 0 = not. */
  drainingSince: Milliseconds = 0;

  readonly #target: ConnectionTarget;
  readonly #listener: ConnectionListener;
  readonly #client: Client;
  readonly #parser: SseParser;
  readonly #options: { path: string; method: 'POST'; headers: string[]; body: Buffer } & Record<string, unknown>;
  #busy = false;
  #sending = false;
  #abandoned = false;
  #abort: ((error?: Error) => void) | null = null;
  #resume: (() => void) | null = null;
  #paused = false;
  #reading = false;
  #status = 0;
  #mode: number = Mode.none;
  #isJson = false;
  #first: Buffer | null = null;
  #more: Buffer[] | null = null;
  #bytes: Bytes = 0;
  #failure: ErrorCode | null = null;

  constructor(target: ConnectionTarget, listener: ConnectionListener) {
    this.#target = target;
    this.#listener = listener;
    this.#client = new Client(target.origin, {
      pipelining: 1,
      keepAliveTimeout: KEEP_ALIVE_MS,
      connectTimeout: target.connectTimeoutMs,
      // Deadlines are kept by one sweep over all calls.
      headersTimeout: 0,
      bodyTimeout: 0,
    });
    this.#options = { path: target.path, method: 'POST', headers: [], body: NO_BYTES, idempotent: false };
    this.#parser = new SseParser(target.maxResponseBytes, {
      event: (data, length, type) => {
        if (length > 0 && (type === '' || type === 'message')) listener.document(this, data, length);
      },
    });
  }

  /** The bytes of the call in flight. */
  get requestBytes(): Buffer {
    return this.#options.body;
  }

  /** Sends a call. Failures are reported later, never from within. */
  send(exchange: Exchange, bytes: Buffer, headers: readonly string[]): void {
    this.exchange = exchange;
    this.upstreamId = exchange.upstreamId;
    this.drainingSince = 0;
    this.#busy = true;
    this.#abandoned = false;
    this.#paused = false;
    this.#status = 0;
    this.#mode = Mode.none;
    this.#failure = null;
    this.#options.body = bytes;
    this.#options.headers = headers as string[];
    this.#sending = true;
    this.#client.dispatch(this.#options as unknown as Dispatcher.DispatchOptions, this as Dispatcher.DispatchHandler);
    this.#sending = false;
  }

  /** The answer is not wanted any more: the connection is cut, and free when that is done. */
  abandon(): void {
    this.exchange = null;
    if (!this.#busy || this.#abandoned) return;
    this.#abandoned = true;
    // Before the request is written there is nothing to cut; `onConnect` will see the mark.
    this.#abort?.();
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    if (!this.#reading) this.#resume?.();
  }

  /** The answer was delivered; what follows on the stream is read and dropped. */
  drain(now: Milliseconds): void {
    this.exchange = null;
    this.drainingSince = now;
    this.#paused = false;
  }

  destroy(): Promise<void> {
    return this.#client.destroy();
  }

  onConnect(abort: (error?: Error) => void): void {
    this.#abort = abort;
    if (this.#abandoned) abort();
    else if (this.exchange !== null) this.exchange.sent = true;
  }

  onHeaders(status: number, headers: Buffer[], resume: () => void): boolean {
    if (status < 200) return true;
    this.#resume = resume;
    this.#status = status;
    let json = false;
    let stream = false;
    let encoded = false;
    for (let index = 0; index < headers.length; index += 2) {
      const name = headers[index]!;
      if (name.length === CONTENT_TYPE.length && startsWith(name, CONTENT_TYPE)) {
        const value = headers[index + 1]!;
        json = isType(value, JSON_TYPE);
        stream = !json && isType(value, SSE_TYPE);
      } else if (name.length === CONTENT_ENCODING.length && startsWith(name, CONTENT_ENCODING)) {
        encoded = !isType(headers[index + 1]!, 'identity');
      }
    }
    this.#isJson = json && !encoded;
    this.#first = null;
    this.#more = null;
    this.#bytes = 0;
    if (status === 200 && this.#isJson) this.#mode = Mode.json;
    else if (status === 200 && stream && !encoded) {
      this.#mode = Mode.sse;
      this.#parser.reset();
    } else this.#mode = Mode.refusal;
    return true;
  }

  onData(chunk: Buffer): boolean {
    if (this.#mode === Mode.json) return this.#collect(chunk);
    if (this.#mode === Mode.refusal) {
      if (this.#bytes + chunk.length > REFUSAL_BYTES) this.#isJson = false;
      else this.#add(chunk);
      return true;
    }
    this.#reading = true;
    const fits = this.#parser.feed(chunk);
    this.#reading = false;
    if (!fits) this.#fail('GW_RESPONSE_TOO_LARGE');
    return !this.#paused;
  }

  onComplete(): void {
    const body = this.#mode === Mode.sse ? null : this.#body();
    const status = this.#status;
    const json = this.#isJson;
    this.#free();
    this.#listener.completed(this, status, json, body);
  }

  onError(error: Error & { code?: string }): void {
    if (this.#sending || this.#reading) {
      // While the call is being made: a header that cannot be written, for one. While events are read: the call was
      // given up, and what is left of the chunk must not meet the next call on this connection.
      setImmediate(() => this.onError(error));
      return;
    }
    const failure = this.#failure ?? this.#classify(error.code ?? '');
    this.#free();
    this.#listener.failed(this, failure);
  }

  #collect(chunk: Buffer): boolean {
    if (this.#bytes + chunk.length > this.#target.maxResponseBytes) {
      this.#fail('GW_RESPONSE_TOO_LARGE');
      return true;
    }
    this.#add(chunk);
    return true;
  }

  #add(chunk: Buffer): void {
    this.#bytes += chunk.length;
    if (this.#first === null) this.#first = chunk;
    else if (this.#more === null) this.#more = [this.#first, chunk];
    else this.#more.push(chunk);
  }

  #body(): Buffer {
    if (this.#more !== null) return Buffer.concat(this.#more, this.#bytes);
    return this.#first ?? NO_BYTES;
  }

  #fail(error: ErrorCode): void {
    this.#failure = error;
    this.#abort?.();
  }

  #classify(code: string): ErrorCode {
    if (code === 'UND_ERR_INVALID_ARG') return 'GW_INTERNAL';
    if (this.#abort === null) return 'GW_UPSTREAM_UNREACHABLE';
    if (this.#mode === Mode.json || this.#mode === Mode.sse) return 'GW_UPSTREAM_TRUNCATED';
    if (code.startsWith('HPE_') || code === 'UND_ERR_HEADERS_OVERFLOW') return 'GW_UPSTREAM_PROTOCOL';
    return 'GW_UPSTREAM_CLOSED';
  }

  #free(): void {
    this.#busy = false;
    this.#abort = null;
    this.#resume = null;
    this.#first = null;
    this.#more = null;
    this.drainingSince = 0;
  }
}

/** ASCII case-insensitive; `lower` is lower case. */
function startsWith(bytes: Buffer, lower: string): boolean {
  if (bytes.length < lower.length) return false;
  for (let index = 0; index < lower.length; index += 1) {
    const expected = lower.charCodeAt(index);
    const byte = bytes[index]!;
    if (byte !== expected && (byte | 0x20) !== expected) return false;
  }
  return true;
}

/** Whether a header value is that media type, with or without parameters. */
function isType(value: Buffer, lower: string): boolean {
  if (!startsWith(value, lower)) return false;
  const next = value[lower.length];
  return next === undefined || next === 0x3b || next === 0x20 || next === 0x09;
}
