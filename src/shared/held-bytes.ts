import type { Bytes } from '../units.js';
import type { BufferBudget, Holder } from './buffer-budget.js';

const FIRST_BYTES: Bytes = 4_096;
/** A buffer of this size is kept for later; larger ones are freed. */
const KEPT_BYTES: Bytes = 16_384;
const NO_BYTES = Buffer.alloc(0);

/**
 * A growing buffer for data that arrives in pieces and is needed whole. It grows by doubling with what has arrived, never with
 * an announced length, and a piece costs its bytes only, however small it is. Its size is counted in the budget.
 */
export class HeldBytes implements Holder {
  /** The bytes so far are `bytes[0, length)`. */
  bytes: Buffer = NO_BYTES;
  length = 0;
  held: Bytes = 0;
  isEvicted = false;
  readonly evicted: () => void;
  readonly #budget: BufferBudget;

  /** @param evicted see {@link Holder.evicted}; has to end in {@link clear} */
  constructor(budget: BufferBudget, evicted: () => void) {
    this.#budget = budget;
    this.evicted = evicted;
  }

  /**
   * Adds a copy of `piece[start, end)`.
   *
   * @returns false when there would be more than `limit` bytes; nothing is added then
   */
  append(piece: Uint8Array, limit: Bytes, start = 0, end = piece.byteLength): boolean {
    const length = this.length + end - start;
    if (length > limit) return false;
    if (length > this.bytes.byteLength) this.#grow(length, limit);
    if (start === 0 && end === piece.byteLength) this.bytes.set(piece, this.length);
    else this.bytes.set(piece.subarray(start, end), this.length);
    this.length = length;
    this.#budget.set(this, this.bytes.byteLength);
    return true;
  }

  /** Empties the buffer and frees its bytes; what was read from it before stays valid until the next `append`. */
  clear(): void {
    this.length = 0;
    if (this.bytes.byteLength > KEPT_BYTES) this.bytes = NO_BYTES;
    this.#budget.set(this, 0);
  }

  #grow(length: Bytes, limit: Bytes): void {
    const size = Math.min(Math.max(FIRST_BYTES, this.bytes.byteLength * 2, length), Math.max(limit, length));
    const grown = Buffer.allocUnsafeSlow(size);
    this.bytes.copy(grown, 0, 0, this.length);
    this.bytes = grown;
  }
}
