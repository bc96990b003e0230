import type { MessageBudget } from '../../protocol/sse-parser.js';
import type { BufferBudget } from '../../shared/buffer-budget.js';
import { HeldBytes } from '../../shared/held-bytes.js';
import { SkippedMessage } from './skipped-message.js';

/** Receives the lines of a stream: its channel. */
export interface LineListener {
  /** One line without its line end; `bytes` is valid only during the call. Empty lines are skipped. */
  line(bytes: Buffer): void;
  /** A line that was not held has ended; it is valid only during the call. */
  lineSkipped(line: SkippedMessage): void;
  /** A line is longer than any that is skipped; nothing more is delivered. */
  lineEndless(): void;
}

const LF = 0x0a;
const CR = 0x0d;

/**
 * Splits a byte stream into lines (LF or CRLF). Lines within one chunk are passed on without a copy; the bytes that are kept
 * of an unfinished line are bounded, and longer lines are skipped as they stream by. Owned by the channel.
 */
export class LineSplitter {
  readonly #listener: LineListener;
  readonly #maxLineBytes: number;
  readonly #rest: HeldBytes;
  readonly #share: MessageBudget | null;
  /** The unfinished line, if it is not held. */
  #skipped: SkippedMessage | null = null;
  #ended = false;

  /**
   * @param maxLineBytes longest line that is held, line end excluded
   * @param budget counts the bytes of the unfinished line; where it has no room, the line is skipped
   * @param share `feed` stops after the line that spends it; null = never
   */
  constructor(maxLineBytes: number, budget: BufferBudget, listener: LineListener, share: MessageBudget | null = null) {
    this.#maxLineBytes = maxLineBytes;
    this.#share = share;
    this.#listener = listener;
    this.#rest = new HeldBytes(budget, () => this.#skip('GW_BUFFERS_FULL'));
  }

  /** Stops delivery, also in the middle of a chunk. */
  end(): void {
    this.#ended = true;
    this.#skipped = null;
    this.#rest.clear();
  }

  /** @returns the number of bytes read: fewer than the chunk has when the share was spent */
  feed(chunk: Buffer): number {
    const rest = this.#rest;
    let start = 0;
    while (!this.#ended) {
      const end = chunk.indexOf(LF, start);
      const isOpen = end < 0;
      const stop = isOpen ? chunk.length : end;
      if (this.#skipped === null && rest.length + stop - start > this.#maxLineBytes)
        this.#skip('GW_RESPONSE_TOO_LARGE');
      if (this.#skipped !== null) {
        this.#skipped.add(chunk, start, stop);
        this.#endSkipped(isOpen);
      } else if (isOpen) {
        if (stop > start) rest.append(chunk, this.#maxLineBytes, start);
      } else if (rest.length > 0) {
        rest.append(chunk, this.#maxLineBytes, start, end);
        const { bytes, length } = rest;
        rest.clear();
        this.#deliver(bytes, 0, length);
      } else {
        this.#deliver(chunk, start, end);
      }
      if (isOpen) break;
      start = end + 1;
      if (this.#share !== null && !this.#share.message()) return this.#ended ? chunk.length : start;
    }
    return chunk.length;
  }

  #deliver(bytes: Buffer, start: number, end: number): void {
    const last = end > start && bytes[end - 1] === CR ? end - 1 : end;
    if (last > start) this.#listener.line(bytes.subarray(start, last));
  }

  /** Holds no more of the unfinished line. */
  #skip(error: SkippedMessage['error']): void {
    const rest = this.#rest;
    this.#skipped = new SkippedMessage(error);
    this.#skipped.add(rest.bytes, 0, rest.length);
    rest.clear();
  }

  #endSkipped(isOpen: boolean): void {
    const skipped = this.#skipped;
    if (skipped === null || (isOpen && !skipped.isEndless)) return;
    this.#skipped = null;
    if (!isOpen) {
      this.#listener.lineSkipped(skipped);
      return;
    }
    this.end();
    this.#listener.lineEndless();
  }
}
