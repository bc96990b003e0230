import type { MessageBudget } from '../../protocol/sse-parser.js';
import type { Bytes } from '../../units.js';

/** Longest part of a line that is shown. */
export const MAX_ERROR_LINE_BYTES: Bytes = 1_000;

/** Receives the lines of a child's standard error. */
export interface ErrorLineListener {
  /** One line, cut after one byte more than {@link MAX_ERROR_LINE_BYTES}. */
  errorLine(line: Buffer): void;
}

/** Splits a child's standard error into lines; long ones are cut. */
export class ErrorLines {
  readonly #listener: ErrorLineListener;
  readonly #budget: MessageBudget;
  #kept: Buffer = Buffer.alloc(0);

  /** @param budget `feed` stops after the line that spends it */
  constructor(listener: ErrorLineListener, budget: MessageBudget) {
    this.#listener = listener;
    this.#budget = budget;
  }

  /** @returns the number of bytes read: fewer than the chunk has when the budget was spent */
  feed(chunk: Buffer): number {
    let start = 0;
    for (;;) {
      const end = chunk.indexOf(0x0a, start);
      this.#keep(chunk.subarray(start, end < 0 ? chunk.length : end));
      if (end < 0) return chunk.length;
      const kept = this.#kept;
      this.#kept = Buffer.alloc(0);
      if (kept.length > 0) this.#listener.errorLine(kept);
      start = end + 1;
      if (!this.#budget.message()) return start;
    }
  }

  /** There is no more: what stands without a line end is the last line. */
  end(): void {
    const kept = this.#kept;
    this.#kept = Buffer.alloc(0);
    if (kept.length > 0) this.#listener.errorLine(kept);
  }

  #keep(part: Buffer): void {
    const room = MAX_ERROR_LINE_BYTES + 1 - this.#kept.length;
    if (room > 0 && part.length > 0) this.#kept = Buffer.concat([this.#kept, part.subarray(0, room)]);
  }
}

/** Bytes of standard error that a reason has room for, with one for each line end. */
const MAX_LAST_BYTES: Bytes = 200;

/** The last lines of a child's standard error: why it ended is mostly there. */
export class LastLines {
  readonly #lines: Buffer[] = [];
  #length: Bytes = 0;

  add(line: Buffer): void {
    const kept = line.subarray(0, MAX_LAST_BYTES - 1);
    this.#lines.push(kept);
    this.#length += kept.length + 1;
    while (this.#length > MAX_LAST_BYTES) this.#length -= (this.#lines.shift()?.length ?? 0) + 1;
  }

  clear(): void {
    this.#lines.length = 0;
    this.#length = 0;
  }

  /** One below the other. */
  get text(): string {
    return this.#lines.map((line) => line.toString('utf8').trimEnd()).join('\n');
  }
}
