import type { Bytes } from '../../units.js';

const FIRST_BYTES = 16_384;
const KEPT_BYTES = 65_536;
const NO_BYTES = Buffer.alloc(0);

/** Puts a body together that arrives in pieces. Grows by doubling with what has arrived, never with what was promised. */
export class BodyBuffer {
  bytes: Buffer = NO_BYTES;
  length = 0;

  /** @returns false when the body would pass `limit`; nothing is added then */
  append(piece: Uint8Array, limit: Bytes): boolean {
    const length = this.length + piece.byteLength;
    if (length > limit) return false;
    if (length > this.bytes.byteLength) {
      const size = Math.min(Math.max(FIRST_BYTES, this.bytes.byteLength * 2, length), Math.max(limit, length));
      const grown = Buffer.allocUnsafeSlow(size);
      this.bytes.copy(grown, 0, 0, this.length);
      this.bytes = grown;
    }
    this.bytes.set(piece, this.length);
    this.length = length;
    return true;
  }

  /** Empties the buffer; a small one is kept for the next body. */
  clear(): void {
    this.length = 0;
    if (this.bytes.byteLength > KEPT_BYTES) this.bytes = NO_BYTES;
  }
}
