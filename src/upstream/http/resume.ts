/**
 * A call whose stream broke off, on its way on: a GET with `Last-Event-ID` brings what the server sent after the last event
 * that arrived (MCP 2025-03-26, resumability and redelivery; 2025-11-25, polling: the server closes the stream itself).
 */
import type { ErrorCode } from '../../errors.js';
import type { SseParser } from '../../protocol/sse-parser.js';
import type { Exchange } from '../../request/exchange/index.js';
import type { Count, Milliseconds } from '../../units.js';
import { ReadShare } from '../core/read-turns.js';
import { CallEvents, type CallStream, type CallStreamListener, callParser } from './call-stream.js';
import type { HttpControl, StreamReader } from './control.js';
import { pause } from './pause.js';
import type { ConnectionTarget } from './target.js';

/** Time before a stream is resumed where the server says nothing about it. */
const RETRY_MS: Milliseconds = 1_000;
/** Shortest time, whatever it says: a server that wants none would be asked without a break. */
const MIN_RETRY_MS: Milliseconds = 20;
/** Longest time; the call's own limit ends it earlier as a rule. */
const MAX_RETRY_MS: Milliseconds = 600_000;
/** Attempts in a row without a stream; each waits longer than the one before. */
const MAX_FAILURES: Count = 5;
/** Streams in a row that bring nothing new. A server that is polled may have nothing to say for long. */
const MAX_EMPTY: Count = 1_000;

/** The time to wait before a stream is resumed. @param retryMs what the server said, -1 = nothing */
export function retryPause(retryMs: Milliseconds): Milliseconds {
  return retryMs < 0 ? RETRY_MS : Math.min(Math.max(retryMs, MIN_RETRY_MS), MAX_RETRY_MS);
}

/** Where the stream stands, as far as it arrived. */
export interface ResumePoint {
  readonly lastEventId: string;
  /** -1 = the server said nothing. */
  readonly retryMs: Milliseconds;
}

/** What a resumed stream tells its endpoint besides what every stream of a call does. */
export interface ResumeListener extends CallStreamListener {
  /**
   * The stream is over. If it still has its call, it cannot be resumed (any more).
   *
   * @param status of the last attempt, 0 = the connection failed
   */
  over(stream: ResumedStream, status: number): void;
}

/** See the file comment; one for each call. */
export class ResumedStream implements CallStream, StreamReader {
  exchange: Exchange | null;
  readonly upstreamId: number;
  /** The session the call was made in. */
  readonly sessionId: string;
  /** Why the call cannot be answered here, if not because the stream was lost: asking again would bring the same. */
  failure: ErrorCode | null = null;
  readonly share: ReadShare;

  readonly #listener: ResumeListener;
  readonly #events: CallEvents;
  readonly #parser: SseParser;
  readonly #stop = new AbortController();
  #lastEventId: string;
  #retryMs: Milliseconds;
  #opened = false;
  #paused: { promise: Promise<void>; go(): void } | null = null;

  constructor(
    call: { exchange: Exchange; sessionId: string; at: ResumePoint },
    target: ConnectionTarget,
    listener: ResumeListener,
  ) {
    this.exchange = call.exchange;
    this.upstreamId = call.exchange.call.upstreamId;
    this.sessionId = call.sessionId;
    this.#lastEventId = call.at.lastEventId;
    this.#retryMs = call.at.retryMs;
    this.#listener = listener;
    this.#events = new CallEvents(this, listener);
    const evicted = (): void => {
      this.failure = 'GW_BUFFERS_FULL';
      this.#parser.letGo();
      this.resume();
      this.#stop.abort();
    };
    this.share = new ReadShare(target.turns);
    this.#parser = callParser(this.#events, target, this.share, evicted);
  }

  /**
   * Goes on until the call is over or the stream is lost.
   *
   * @param headers of a GET that asks for what follows an event
   */
  async run(control: HttpControl, headers: (lastEventId: string) => string[]): Promise<void> {
    const { signal } = this.#stop;
    let failures = 0;
    let empty = 0;
    let status = 0;
    while (this.exchange !== null && failures < MAX_FAILURES && empty < MAX_EMPTY) {
      await pause(retryPause(this.#retryMs) * 2 ** failures, signal);
      if (signal.aborted) break;
      const from = this.#lastEventId;
      status = await this.#attempt(control, headers(from));
      // An answer that had begun to be passed on cannot begin again.
      this.#events.broken();
      if (this.failure !== null) break;
      if (status >= 400 && status < 500 && status !== 408 && status !== 429) break;
      if (!this.#opened) failures += 1;
      else failures = 0;
      empty = this.#opened && this.#lastEventId === from ? empty + 1 : 0;
    }
    this.#listener.over(this, status);
  }

  opened(): void {
    this.#opened = true;
  }

  take(chunk: Buffer): number {
    const fits = this.#parser.feed(chunk);
    if (!fits) this.failure ??= 'GW_RESPONSE_TOO_LARGE';
    if (this.#parser.lastEventId !== '') this.#lastEventId = this.#parser.lastEventId;
    if (this.#parser.retryMs >= 0) this.#retryMs = this.#parser.retryMs;
    return fits ? this.#parser.taken : -1;
  }

  ended(): void {
    this.#parser.letGo();
  }

  ready(): Promise<void> | null {
    return this.#paused?.promise ?? null;
  }

  pause(): void {
    if (this.#paused !== null) return;
    let go = (): void => {};
    const promise = new Promise<void>((resolve) => {
      go = resolve;
    });
    this.#paused = { promise, go };
  }

  resume(): void {
    const paused = this.#paused;
    this.#paused = null;
    paused?.go();
  }

  abandon(): void {
    this.exchange = null;
    this.resume();
    this.#stop.abort();
  }

  drain(): void {
    this.abandon();
  }

  /** @returns the status of the answer, 0 when the connection failed */
  async #attempt(control: HttpControl, headers: string[]): Promise<number> {
    this.#opened = false;
    this.#parser.reset();
    this.#events.reset();
    try {
      return await control.stream(null, headers, this.#stop.signal, this);
    } catch {
      return 0;
    }
  }
}
