import { BufferBudget } from '../../../shared/buffer-budget.js';
import { HeldBytes } from '../../../shared/held-bytes.js';
import type { Bytes } from '../../../units.js';
import { EMPTY } from '../http/answers.js';

/** Where {@link MessageLines} reports to. */
export interface MessageLinesEvents {
  /** One line without its end, never an empty one; `bytes[start, end)` is valid during the call only. */
  line(bytes: Uint8Array, start: number, end: number): void;
  /** A line exceeded the limit and is skipped; called once for each. */
  tooLong(): void;
  /** A line was skipped because the budget evicted its bytes. */
  noRoom(): void;
}

const LF = 0x0a;

/** Splits what a client writes into lines. A line that is too long is skipped; the lines behind it are read. */
export class MessageLines {
  readonly #events: MessageLinesEvents;
  readonly #maxLineBytes: Bytes;
  readonly #rest: HeldBytes;
  #isSkipping = false;

  constructor(maxLineBytes: Bytes, events: MessageLinesEvents, budget: BufferBudget = new BufferBudget()) {
    this.#maxLineBytes = maxLineBytes;
    this.#events = events;
    this.#rest = new HeldBytes(budget, () => {
      this.#rest.clear();
      this.#isSkipping = true;
      events.noRoom();
    });
  }

  feed(chunk: Uint8Array): void {
    let start = 0;
    for (;;) {
      const end = chunk.indexOf(LF, start);
      const stop = end < 0 ? chunk.length : end;
      this.#piece(chunk, start, stop, end >= 0);
      if (end < 0) return;
      start = end + 1;
    }
  }

  /** The input has ended: reports a last line without a line end. */
  end(): void {
    this.#piece(EMPTY, 0, 0, true);
  }

  /** Drops an unfinished line. */
  close(): void {
    this.#rest.clear();
  }

  #piece(chunk: Uint8Array, start: number, end: number, isLast: boolean): void {
    const rest = this.#rest;
    if (this.#isSkipping) {
      this.#isSkipping = !isLast;
    } else if (rest.length + end - start > this.#maxLineBytes) {
      rest.clear();
      this.#isSkipping = !isLast;
      this.#events.tooLong();
    } else if (!isLast || rest.length > 0) {
      rest.append(chunk, this.#maxLineBytes, start, end);
      if (isLast) this.#whole();
    } else if (!isBlank(chunk, start, end)) {
      this.#events.line(chunk, start, end);
    }
  }

  #whole(): void {
    const rest = this.#rest;
    const { bytes, length } = rest;
    if (!isBlank(bytes, 0, length)) this.#events.line(bytes, 0, length);
    rest.clear();
  }
}

function isBlank(bytes: Uint8Array, start: number, end: number): boolean {
  for (let at = start; at < end; at += 1) {
    const byte = bytes[at];
    if (byte !== 0x0d && byte !== 0x20 && byte !== 0x09) return false;
  }
  return true;
}
