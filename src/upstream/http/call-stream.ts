/** What carries the response to one call: the connection that it was sent on, or the stream that resumes a broken one. */
import { type MessageBudget, SseParser, type SsePartListener } from '../../protocol/sse-parser.js';
import type { Exchange } from '../../request/exchange/index.js';
import type { Milliseconds } from '../../units.js';
import type { ConnectionTarget } from './wire/target.js';

/** Longest wait for the response to a call that was cancelled. */
export const READ_ON_MS: Milliseconds = 10_000;

/** See the file comment. */
export interface CallStream {
  /** The call; null when it has ended or was cancelled. */
  exchange: Exchange | null;
  /** The id that the response must have. */
  readonly upstreamId: number;
  pause(): void;
  resume(): void;
  /** The call was cancelled: drops the response. */
  abandon(): void;
  /** The response was delivered; what follows is dropped. */
  drain(): void;
  /** The call was cancelled: its response is read all the same, if it comes within {@link READ_ON_MS}. */
  readOn(): void;
}

/** What streams report their messages to. */
export interface CallStreamListener {
  /** One event of a streamed response; `bytes[0, length)` is valid only during the call. */
  document(stream: CallStream, bytes: Uint8Array, length: number): void;
  /**
   * The response is larger than `limits.maxHeldBytes`; `bytes[0, length)` is what arrived of it.
   *
   * @returns false = it cannot be passed on in parts
   */
  largeStart(stream: CallStream, bytes: Uint8Array, length: number): boolean;
  largePart(stream: CallStream, bytes: Uint8Array, start: number, end: number): void;
  /** @param complete false = it broke off */
  largeEnd(stream: CallStream, complete: boolean): void;
}

/** Passes the events of one stream on to its endpoint, large ones in parts. Owned by the stream. */
export class CallEvents implements SsePartListener {
  readonly #stream: CallStream;
  readonly #listener: CallStreamListener;
  /** A response is being passed on in parts. */
  #inParts = false;

  constructor(stream: CallStream, listener: CallStreamListener) {
    this.#stream = stream;
    this.#listener = listener;
  }

  reset(): void {
    this.#inParts = false;
  }

  event(data: Uint8Array, length: number): void {
    if (length > 0) this.#listener.document(this.#stream, data, length);
  }

  largeStart(data: Uint8Array, length: number): boolean {
    // It is dropped, so it need not be held.
    if (this.#stream.exchange === null) return true;
    this.#inParts = this.#listener.largeStart(this.#stream, data, length);
    return this.#inParts;
  }

  largePart(bytes: Uint8Array, start: number, end: number): void {
    if (this.#inParts) this.#listener.largePart(this.#stream, bytes, start, end);
  }

  largeEnd(complete: boolean): void {
    if (!this.#inParts) return;
    this.#inParts = false;
    this.#listener.largeEnd(this.#stream, complete);
  }

  /** The stream has ended. */
  broken(): void {
    this.largeEnd(false);
  }
}

/** The parser of a call's stream. */
export function callParser(
  listener: CallEvents,
  target: ConnectionTarget,
  share: MessageBudget,
  evicted: () => void,
): SseParser {
  const { maxWholeBytes: maxEventBytes, maxHeldBytes: heldBytes, maxResponseBytes: maxBytes, budget } = target;
  return new SseParser(listener, { maxEventBytes, budget, share, evicted, parts: { listener, heldBytes, maxBytes } });
}
