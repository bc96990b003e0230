/** Many byte strings in one piece of memory, so that thousands of them cross between threads without a copy. */

/** Byte strings one behind the other: number i is `bytes[offsets[i], offsets[i + 1])`. */
export interface Packed {
  readonly bytes: Uint8Array;
  readonly offsets: Int32Array;
}

/** An empty list. */
export const NO_ITEMS: Packed = Object.freeze({ bytes: new Uint8Array(0), offsets: new Int32Array(1) });

/** How many there are. */
export function packedCount({ offsets }: Packed): number {
  return offsets.length - 1;
}

/** A view of one of them. */
export function packedView({ bytes, offsets }: Packed, index: number): Buffer {
  const start = offsets[index]!;
  return Buffer.from(bytes.buffer, bytes.byteOffset + start, offsets[index + 1]! - start);
}

/** One of them as text. */
export function packedText(packed: Packed, index: number): string {
  return packedView(packed, index).toString('utf8');
}

/** A copy of a typed array in memory that all threads share. */
export function sharedCopy<T extends Uint8Array | Int32Array>(values: T): T {
  const Kind = values.constructor as new (memory: SharedArrayBuffer) => T;
  const copy = new Kind(new SharedArrayBuffer(values.byteLength));
  copy.set(values);
  return copy;
}

/** Packs texts into memory that all threads share. */
export function packShared(texts: readonly string[], encoding: 'utf8' | 'latin1' = 'utf8'): Packed {
  const offsets = new Int32Array(new SharedArrayBuffer((texts.length + 1) * 4));
  let total = 0;
  for (const [index, text] of texts.entries()) {
    total += Buffer.byteLength(text, encoding);
    offsets[index + 1] = total;
  }
  const memory = new SharedArrayBuffer(total);
  const bytes = Buffer.from(memory);
  let at = 0;
  for (const text of texts) at += bytes.write(text, at, encoding);
  return { bytes: new Uint8Array(memory), offsets };
}
