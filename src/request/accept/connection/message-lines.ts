import { RequestId } from '../../../protocol/request-id.js';
import { BufferBudget } from '../../../shared/buffer-budget.js';
import { HeldBytes } from '../../../shared/held-bytes.js';
import type { Bytes } from '../../../units.js';
import { EMPTY } from '../http/answers.js';

type SkippedCode = 'GW_BODY_TOO_LARGE' | 'GW_BUFFERS_FULL';

/** Where {@link MessageLines} reports to. */
export interface MessageLinesEvents {
  /** One line without its end, never an empty one; `bytes[start, end)` is valid during the call only. */
  line(bytes: Uint8Array, start: number, end: number): void;
  /**
   * A line is skipped, because it is too long or because the budget evicted its bytes; called once for each.
   *
   * @param id the token of the id of its request; empty = unknown
   */
  skipped(code: SkippedCode, id: Uint8Array): void;
}

const LF = 0x0a;

/** Splits what a client writes into lines. A line that is too long is skipped; the lines behind it are read. */
export class MessageLines {
  readonly #events: MessageLinesEvents;
  readonly #maxLineBytes: Bytes;
  readonly #rest: HeldBytes;
  /** Looks for the id of the line that is skipped; null = none is. */
  #skipped: RequestId | null = null;
  #code: SkippedCode = 'GW_BODY_TOO_LARGE';
  /** The line that is skipped is reported. */
  #isReported = false;

  constructor(maxLineBytes: Bytes, events: MessageLinesEvents, budget: BufferBudget = new BufferBudget()) {
    this.#maxLineBytes = maxLineBytes;
    this.#events = events;
    this.#rest = new HeldBytes(budget, () => {
      this.#skip('GW_BUFFERS_FULL');
      this.#report(false);
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
    if (this.#skipped === null && rest.length + end - start > this.#maxLineBytes) this.#skip('GW_BODY_TOO_LARGE');
    if (this.#skipped !== null) {
      this.#skipped.feed(chunk, start, end);
      this.#report(isLast);
    } else if (!isLast || rest.length > 0) {
      rest.append(chunk, this.#maxLineBytes, start, end);
      if (isLast) this.#whole();
    } else if (!isBlank(chunk, start, end)) {
      this.#events.line(chunk, start, end);
    }
  }

  /** Drops the line that is read, up to its end. */
  #skip(code: SkippedCode): void {
    const { bytes, length } = this.#rest;
    this.#skipped = new RequestId();
    this.#skipped.feed(bytes, 0, length);
    this.#rest.clear();
    this.#code = code;
    this.#isReported = false;
  }

  /** Reports a skipped line as soon as its id is known, at the latest at its end. */
  #report(isLast: boolean): void {
    const token = this.#skipped?.token ?? EMPTY;
    if (!this.#isReported && (isLast || token.length > 0)) {
      this.#isReported = true;
      this.#events.skipped(this.#code, token);
    }
    if (isLast) this.#skipped = null;
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
