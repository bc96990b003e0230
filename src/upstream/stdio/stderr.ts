import type { MessageBudget } from '../../protocol/sse-parser.js';
import { escaped } from '../core/log-limit.js';

/** Longest part of a line that is kept. */
const MAX_LINE_BYTES = 1_000;

/** Makes log lines of a child's standard error: long ones are cut, everything unprintable is escaped. */
export class ErrorLines {
  readonly #line: (text: () => string) => void;
  readonly #budget: MessageBudget;
  #kept: Buffer = Buffer.alloc(0);

  /**
   * @param line is called for each line; gives its text when it is asked for, as most lines of a flood are not logged
   * @param budget `feed` stops behind the line that spends it
   */
  constructor(line: (text: () => string) => void, budget: MessageBudget) {
    this.#line = line;
    this.#budget = budget;
  }

  /** @returns the bytes taken: fewer than the chunk has when the budget was spent on the way */
  feed(chunk: Buffer): number {
    let start = 0;
    for (;;) {
      const end = chunk.indexOf(0x0a, start);
      this.#keep(chunk.subarray(start, end < 0 ? chunk.length : end));
      if (end < 0) return chunk.length;
      const kept = this.#kept;
      this.#kept = Buffer.alloc(0);
      if (kept.length > 0) this.#line(() => escaped(kept, MAX_LINE_BYTES));
      start = end + 1;
      if (!this.#budget.message()) return start;
    }
  }

  #keep(part: Buffer): void {
    const room = MAX_LINE_BYTES + 1 - this.#kept.length;
    if (room > 0 && part.length > 0) this.#kept = Buffer.concat([this.#kept, part.subarray(0, room)]);
  }
}
