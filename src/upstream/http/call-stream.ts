/** What carries the answer to one call: the connection it was sent on, or a stream that goes on where that one broke off. */
import { type MessageBudget, SseParser, type SsePartListener } from '../../protocol/sse-parser.js';
import type { Exchange } from '../../request/exchange/index.js';
import type { Milliseconds } from '../../units.js';
import type { ConnectionTarget } from './target.js';

/** See the file comment. */
export interface CallStream {
  /** The call; null when it is over, or its answer is not wanted any more. */
  exchange: Exchange | null;
  /** The id that the answer must have. */
  readonly upstreamId: number;
  pause(): void;
  resume(): void;
  /** The answer is not wanted any more. */
  abandon(): void;
  /** The answer was delivered; what follows is read and dropped. */
  drain(now: Milliseconds): void;
}

/** What a stream tells its endpoint. */
export interface CallStreamListener {
  /** One event of a streamed answer; `bytes[0, length)` is valid only during the call. */
  document(stream: CallStream, bytes: Uint8Array, length: number): void;
  /**
   * The answer has become larger than is held; `bytes[0, length)` is what there is of it.
   *
   * @returns false = it cannot be passed on in parts and comes as a whole
   */
  largeStart(stream: CallStream, bytes: Uint8Array, length: number): boolean;
  largePart(stream: CallStream, bytes: Uint8Array, start: number, end: number): void;
  /** @param complete false = it broke off */
  largeEnd(stream: CallStream, complete: boolean): void;
}

/** Brings the events of one stream to its endpoint; keeps count of what goes on in parts. */
export class CallEvents implements SsePartListener {
  readonly #stream: CallStream;
  readonly #listener: CallStreamListener;
  /** An answer goes on in parts. */
  #parts = false;

  constructor(stream: CallStream, listener: CallStreamListener) {
    this.#stream = stream;
    this.#listener = listener;
  }

  reset(): void {
    this.#parts = false;
  }

  event(data: Uint8Array, length: number, type: string): void {
    if (length > 0 && isMessage(type)) this.#listener.document(this.#stream, data, length);
  }

  largeStart(data: Uint8Array, length: number, type: string): boolean {
    // Nobody wants it, so it need not be held either.
    if (!isMessage(type) || this.#stream.exchange === null) return true;
    this.#parts = this.#listener.largeStart(this.#stream, data, length);
    return this.#parts;
  }

  largePart(bytes: Uint8Array, start: number, end: number): void {
    if (this.#parts) this.#listener.largePart(this.#stream, bytes, start, end);
  }

  largeEnd(complete: boolean): void {
    if (!this.#parts) return;
    this.#parts = false;
    this.#listener.largeEnd(this.#stream, complete);
  }

  /** Nothing more comes. */
  broken(): void {
    this.largeEnd(false);
  }
}

/** The parser of a stream that answers a call. */
export function callParser(
  listener: CallEvents,
  target: ConnectionTarget,
  share: MessageBudget,
  evicted: () => void,
): SseParser {
  const { maxWholeBytes: maxEventBytes, maxHeldBytes: heldBytes, maxResponseBytes: maxBytes, budget } = target;
  return new SseParser(listener, { maxEventBytes, budget, share, evicted, parts: { listener, heldBytes, maxBytes } });
}

/** Events without a name, or with this one, hold messages (MCP, Streamable HTTP). */
function isMessage(type: string): boolean {
  return type === '' || type === 'message';
}
