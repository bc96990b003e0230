import type { MessageBudget } from '../protocol/sse-parser.js';

/** Receives the lines of a stream. */
export interface LineListener {
  /** One line without its line end; `bytes` is valid only during the call. Empty lines are left out. */
  line(bytes: Buffer): void;
  /** A line passed the limit; nothing more is delivered. */
  lineTooLong(): void;
}

const LF = 0x0a;
const CR = 0x0d;

/**
 * Splits a byte stream into lines (LF or CRLF). Lines within one chunk are handed on without a copy;
 * what is kept of an unfinished line is bounded.
 */
export class LineSplitter {
  readonly #listener: LineListener;
  readonly #maxLineBytes: number;
  readonly #budget: MessageBudget | null;
  #parts: Buffer[] = [];
  #kept = 0;
  #ended = false;

  /**
   * @param maxLineBytes longest line, line end excluded
   * @param budget with it `feed` stops behind the line that spends it
   */
  constructor(maxLineBytes: number, listener: LineListener, budget: MessageBudget | null = null) {
    this.#maxLineBytes = maxLineBytes;
    this.#listener = listener;
    this.#budget = budget;
  }

  /** Bytes of the unfinished line. */
  get buffered(): number {
    return this.#kept;
  }

  /** Stops delivery, also in the middle of a chunk. */
  end(): void {
    this.#ended = true;
    this.#parts = [];
    this.#kept = 0;
  }

  /** Takes the next bytes of the stream. @returns how many: fewer than the chunk has when the budget was spent on the way */
  feed(chunk: Buffer): number {
    let start = 0;
    while (!this.#ended) {
      const end = chunk.indexOf(LF, start);
      if (end < 0) {
        this.#keep(chunk, start);
        break;
      }
      if (this.#kept + end - start > this.#maxLineBytes) {
        this.#overflow();
        break;
      }
      if (this.#kept > 0) {
        this.#parts.push(chunk.subarray(start, end));
        const whole = Buffer.concat(this.#parts, this.#kept + end - start);
        this.#parts = [];
        this.#kept = 0;
        this.#deliver(whole, 0, whole.length);
      } else {
        this.#deliver(chunk, start, end);
      }
      start = end + 1;
      if (this.#budget !== null && !this.#budget.message()) return this.#ended ? chunk.length : start;
    }
    return chunk.length;
  }

  #keep(chunk: Buffer, start: number): void {
    const rest = chunk.length - start;
    if (rest === 0) return;
    if (this.#kept + rest > this.#maxLineBytes) {
      this.#overflow();
      return;
    }
    this.#parts.push(start === 0 ? chunk : chunk.subarray(start));
    this.#kept += rest;
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
