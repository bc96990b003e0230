import { BufferBudget } from '../../../shared/buffer-budget.js';
import { HeldBytes } from '../../../shared/held-bytes.js';
import type { Bytes } from '../../../units.js';

/** What {@link MessageLines} finds. */
export interface MessageLinesEvents {
  /** One line without its end, never an empty one; `bytes[start, end)` is valid during the call only. */
  line(bytes: Uint8Array, start: number, end: number): void;
  /** A line passed the limit and is left out; called once for each. */
  tooLong(): void;
  /** The same for a line that there was no room for. */
  noRoom(): void;
}

const LF = 0x0a;

/**
 * Splits what a client writes into lines. Unlike an upstream's, a line that is too long costs the client that line only:
 * what follows its end is read on.
 */
export class MessageLines {
  readonly #events: MessageLinesEvents;
  readonly #maxLineBytes: Bytes;
  readonly #rest: HeldBytes;
  #skipping = false;

  constructor(maxLineBytes: Bytes, events: MessageLinesEvents, budget: BufferBudget = new BufferBudget()) {
    this.#maxLineBytes = maxLineBytes;
    this.#events = events;
    this.#rest = new HeldBytes(budget, () => {
      this.#rest.clear();
      this.#skipping = true;
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

  /** Hands on a last line that has no end. */
  end(): void {
    this.#piece(NOTHING, 0, 0, true);
  }

  /** Drops an unfinished line. */
  close(): void {
    this.#rest.clear();
  }

  #piece(chunk: Uint8Array, start: number, end: number, isLast: boolean): void {
    const rest = this.#rest;
    if (this.#skipping) {
      this.#skipping = !isLast;
    } else if (rest.length + end - start > this.#maxLineBytes) {
      rest.clear();
      this.#skipping = !isLast;
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

const NOTHING = new Uint8Array(0);

function isBlank(bytes: Uint8Array, start: number, end: number): boolean {
  for (let at = start; at < end; at += 1) {
    const byte = bytes[at];
    if (byte !== 0x0d && byte !== 0x20 && byte !== 0x09) return false;
  }
  return true;
}
