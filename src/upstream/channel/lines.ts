import type { MessageBudget } from '../../protocol/sse-parser.js';
import type { BufferBudget } from '../../shared/buffer-budget.js';
import { HeldBytes } from '../../shared/held-bytes.js';

/** Receives the lines of a stream: its channel. */
export interface LineListener {
  /** One line without its line end; `bytes` is valid only during the call. Empty lines are skipped. */
  line(bytes: Buffer): void;
  /** A line is longer than the limit; nothing more is delivered. */
  lineTooLong(): void;
  /** There was no room for a line; nothing more is delivered. */
  bufferFull(): void;
}

const LF = 0x0a;
const CR = 0x0d;

/**
 * Splits a byte stream into lines (LF or CRLF). Lines within one chunk are passed on without a copy; the bytes that are kept
 * of an unfinished line are bounded. Owned by the channel.
 */
export class LineSplitter {
  readonly #listener: LineListener;
  readonly #maxLineBytes: number;
  readonly #rest: HeldBytes;
  readonly #share: MessageBudget | null;
  #ended = false;

  /**
   * @param maxLineBytes longest line, line end excluded
   * @param budget counts the bytes of the unfinished line
   * @param share `feed` stops after the line that spends it; null = never
   */
  constructor(maxLineBytes: number, budget: BufferBudget, listener: LineListener, share: MessageBudget | null = null) {
    this.#maxLineBytes = maxLineBytes;
    this.#share = share;
    this.#listener = listener;
    this.#rest = new HeldBytes(budget, () => {
      this.end();
      listener.bufferFull();
    });
  }

  /** Stops delivery, also in the middle of a chunk. */
  end(): void {
    this.#ended = true;
    this.#rest.clear();
  }

  /** @returns the number of bytes read: fewer than the chunk has when the share was spent */
  feed(chunk: Buffer): number {
    const rest = this.#rest;
    let start = 0;
    while (!this.#ended) {
      const end = chunk.indexOf(LF, start);
      if (end < 0) {
        if (!rest.append(chunk, this.#maxLineBytes, start)) this.#overflow();
        break;
      }
      if (rest.length + end - start > this.#maxLineBytes) {
        this.#overflow();
        break;
      }
      if (rest.length > 0) {
        rest.append(chunk, this.#maxLineBytes, start, end);
        const { bytes, length } = rest;
        rest.clear();
        this.#deliver(bytes, 0, length);
      } else {
        this.#deliver(chunk, start, end);
      }
      start = end + 1;
      if (this.#share !== null && !this.#share.message()) return this.#ended ? chunk.length : start;
    }
    return chunk.length;
  }

  #deliver(bytes: Buffer, start: number, end: number): void {
    const last = end > start && bytes[end - 1] === CR ? end - 1 : end;
    if (last > start) this.#listener.line(bytes.subarray(start, last));
  }

  #overflow(): void {
    this.end();
    this.#listener.lineTooLong();
  }
}
