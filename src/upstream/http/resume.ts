/**
 * Resumes the stream of a call that broke off: a GET with `Last-Event-ID` returns what the server sent after the last event
 * that arrived (MCP 2025-03-26, resumability and redelivery; 2025-11-25, polling: the server closes the stream itself).
 */
import type { ErrorCode } from '../../errors.js';
import type { SseParser } from '../../protocol/sse-parser.js';
import type { Exchange } from '../../request/exchange/index.js';
import type { Count, Milliseconds } from '../../units.js';
import type { Handshake } from '../core/handshake.js';
import { mayPass } from '../core/http/answer.js';
import { streamHeaders } from '../core/http/heads.js';
import { ReadShare } from '../core/limits/read-turns.js';
import { CallEvents, type CallStream, type CallStreamListener, callParser, READ_ON_MS } from './call-stream.js';
import type { HttpControl, StreamReader } from './control.js';
import { Gate } from './wire/gate.js';
import { pause } from './wire/pause.js';
import type { ConnectionTarget } from './wire/target.js';

/** Pause before a stream is resumed where the server names none. */
const RETRY_MS: Milliseconds = 1_000;
/** Shortest pause: a server that names 0 would be polled without a break. */
const MIN_RETRY_MS: Milliseconds = 20;
/** Longest pause; the deadline of the call usually comes first. */
const MAX_RETRY_MS: Milliseconds = 600_000;
/** Failed attempts in a row; the pause doubles with each. */
const MAX_FAILURES: Count = 5;
/** Streams in a row without a new event. A server that is polled may have none for long. */
const MAX_EMPTY: Count = 1_000;

/** The pause before a stream is resumed. @param retryMs the server's `retry`, -1 = none */
export function retryPause(retryMs: Milliseconds): Milliseconds {
  return retryMs < 0 ? RETRY_MS : Math.min(Math.max(retryMs, MIN_RETRY_MS), MAX_RETRY_MS);
}

/** Where a stream broke off. */
export interface ResumePoint {
  readonly lastEventId: string;
  /** The server's `retry`, -1 = none. */
  readonly retryMs: Milliseconds;
}

/** What a resumed stream reports to, its endpoint. */
export interface ResumeListener {
  /**
   * The stream has ended. If it still has its call, it cannot be resumed any more.
   *
   * @param status of the last attempt, 0 = the connection failed
   */
  streamEnded(stream: ResumedStream, status: number): void;
}

/** See the file comment. One for each call, which it carries in place of a connection. */
export class ResumedStream implements CallStream, StreamReader {
  exchange: Exchange | null;
  readonly upstreamId: number;
  /** The session the call was made in. */
  readonly sessionId: string;
  /** Why the call fails, if not because the stream was lost: another attempt would end in the same way. */
  failure: ErrorCode | null = null;
  readonly share: ReadShare;

  readonly #listener: ResumeListener;
  readonly #events: CallEvents;
  readonly #parser: SseParser;
  readonly #stop = new AbortController();
  readonly #gate = new Gate();
  #lastEventId: string;
  #retryMs: Milliseconds;
  #opened = false;
  /** The call was cancelled; its response is read all the same. */
  #readsOn = false;

  constructor(
    call: { exchange: Exchange; sessionId: string; at: ResumePoint },
    target: ConnectionTarget,
    listener: ResumeListener,
    messages: CallStreamListener,
  ) {
    this.exchange = call.exchange;
    this.upstreamId = call.exchange.call.upstreamId;
    this.sessionId = call.sessionId;
    this.#lastEventId = call.at.lastEventId;
    this.#retryMs = call.at.retryMs;
    this.#listener = listener;
    this.#events = new CallEvents(this, messages);
    const evicted = (): void => {
      this.failure = 'GW_BUFFERS_FULL';
      this.#parser.discard();
      this.resume();
      this.#stop.abort();
    };
    this.share = new ReadShare(target.turns);
    this.#parser = callParser(this.#events, target, this.share, evicted);
  }

  /**
   * Runs until the call has ended or the stream is lost. Never fails.
   *
   * @param configured configured headers
   */
  async run(control: HttpControl, configured: Readonly<Record<string, string>>, handshake: Handshake): Promise<void> {
    const { signal } = this.#stop;
    let failures = 0;
    let empty = 0;
    let status = 0;
    while ((this.exchange !== null || this.#readsOn) && failures < MAX_FAILURES && empty < MAX_EMPTY) {
      await pause(retryPause(this.#retryMs) * 2 ** failures, signal);
      if (signal.aborted) break;
      const from = this.#lastEventId;
      status = await this.#attempt(control, streamHeaders(configured, handshake, from));
      // A response that was partially passed on cannot start again.
      this.#events.broken();
      if (this.failure !== null) break;
      if (status >= 400 && !mayPass(status)) break;
      if (!this.#opened) failures += 1;
      else failures = 0;
      empty = this.#opened && this.#lastEventId === from ? empty + 1 : 0;
    }
    this.#listener.streamEnded(this, status);
  }

  opened(): void {
    this.#opened = true;
  }

  read(chunk: Buffer): number {
    const fits = this.#parser.feed(chunk);
    if (!fits) this.failure ??= 'GW_RESPONSE_TOO_LARGE';
    if (this.#parser.lastEventId !== '') this.#lastEventId = this.#parser.lastEventId;
    if (this.#parser.retryMs >= 0) this.#retryMs = this.#parser.retryMs;
    return fits ? this.#parser.consumed : -1;
  }

  ended(): void {
    this.#parser.discard();
  }

  whenReadable(): Promise<void> | null {
    return this.#gate.passable;
  }

  pause(): void {
    this.#gate.close();
  }

  resume(): void {
    this.#gate.open();
  }

  abandon(): void {
    this.exchange = null;
    this.#readsOn = false;
    this.resume();
    this.#stop.abort();
  }

  drain(): void {
    this.abandon();
  }

  readOn(): void {
    this.exchange = null;
    this.#readsOn = true;
    this.resume();
    setTimeout(() => this.abandon(), READ_ON_MS).unref();
  }

  /** @returns the status, see `HttpControl.stream` */
  #attempt(control: HttpControl, headers: string[]): Promise<number> {
    this.#opened = false;
    this.#parser.reset();
    this.#events.reset();
    return control.stream(null, headers, this.#stop.signal, this);
  }
}
