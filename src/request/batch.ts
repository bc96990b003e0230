/**
 * A JSON-RPC batch of a 2025-03-26 client: each element is an exchange of its own with this as its Reply; the answers
 * go back together as one array, in the order in which they are ready (JSON-RPC 2.0 section 6).
 */
import type { Exchange, Reply } from './exchange.js';

const SEPARATOR = Buffer.from(',');
const OPEN = Buffer.from('[');
const CLOSE = Buffer.from(']');

/** Collects the answers of one batch. */
export class BatchReply implements Reply {
  readonly #parent: Exchange;
  readonly #done: (parent: Exchange, body: Buffer | null) => void;
  readonly #parts: Buffer[] = [];
  #open: number;

  /**
   * @param elements how many exchanges will answer
   * @param done called once with the array of answers, or null when every element was a notification
   */
  constructor(parent: Exchange, elements: number, done: (parent: Exchange, body: Buffer | null) => void) {
    this.#parent = parent;
    this.#open = elements;
    this.#done = done;
  }

  send(_status: number, _head: readonly string[], bytes: Uint8Array, start: number, end: number): void {
    if (end > start) {
      this.#parts.push(this.#parts.length === 0 ? OPEN : SEPARATOR, Buffer.from(bytes.subarray(start, end)));
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

  adopt(): void {}

  taken(): void {}

  buffered(): number {
    return 0;
  }

  abort(): void {
    this.#settle();
  }

  #settle(): void {
    this.#open -= 1;
    if (this.#open > 0) return;
    this.#done(this.#parent, this.#parts.length === 0 ? null : Buffer.concat([...this.#parts, CLOSE]));
  }
}
