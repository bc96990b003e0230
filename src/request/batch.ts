/**
 * The Reply of the elements of a JSON-RPC batch (2025-03-26 clients): each element is an exchange of its own, and the
 * answers go back as one array in the order in which they are ready (JSON-RPC 2.0 section 6).
 */
import type { BufferBudget } from '../shared/buffer-budget.js';
import { HeldBytes } from '../shared/held-bytes.js';
import type { Reply } from './exchange/index.js';

const SEPARATOR = Buffer.from(',');
const OPEN = Buffer.from('[');
const CLOSE = Buffer.from(']');

/** Collects the answers of one batch. */
export class BatchReply implements Reply {
  readonly #done: (body: Uint8Array | null, isWhole: boolean) => void;
  readonly #answers: HeldBytes;
  #isWhole = true;
  #open: number;

  /**
   * @param elements how many exchanges will answer
   * @param done called once with the array of answers, valid during the call, or null when every element was a
   *   notification; `isWhole` is false when there was no room to hold all of it
   */
  constructor(budget: BufferBudget, elements: number, done: (body: Uint8Array | null, isWhole: boolean) => void) {
    this.#open = elements;
    this.#done = done;
    this.#answers = new HeldBytes(budget, () => {
      this.#isWhole = false;
      this.#answers.clear();
    });
  }

  send(_status: number, _head: readonly string[], bytes: Uint8Array, start: number, end: number): void {
    if (end > start && this.#isWhole) {
      this.#answers.append(this.#answers.length === 0 ? OPEN : SEPARATOR, Number.POSITIVE_INFINITY);
      this.#answers.append(bytes, Number.POSITIVE_INFINITY, start, end);
    }
    this.#settle();
  }

  /** Elements accept only JSON, so a stream is opened only to end without an answer (cancellation). */
  openStream(): void {}

  write(): boolean {
    return true;
  }

  endStream(): void {
    this.#settle();
  }

  rebind(): void {}

  acknowledged(): void {}

  buffered(): number {
    return 0;
  }

  abort(): void {
    this.#settle();
  }

  #settle(): void {
    this.#open -= 1;
    if (this.#open > 0) return;
    const answers = this.#answers;
    if (answers.length > 0) answers.append(CLOSE, Number.POSITIVE_INFINITY);
    const body = answers.length === 0 ? null : answers.bytes.subarray(0, answers.length);
    answers.clear();
    this.#done(body, this.#isWhole);
  }
}
