/** Packing of many byte strings into one buffer and back. */
import type { Packed } from '../shared/packed.js';

/** Packs the UTF-8 bytes of `texts`. */
export function packTexts(texts: readonly string[], encoding: 'utf8' | 'latin1' = 'utf8'): Packed {
  const offsets = new Int32Array(texts.length + 1);
  let total = 0;
  texts.forEach((text, index) => {
    total += encoding === 'latin1' ? text.length : Buffer.byteLength(text);
    offsets[index + 1] = total;
  });
  const bytes = Buffer.from(new ArrayBuffer(total));
  texts.forEach((text, index) => {
    bytes.write(text, offsets[index], encoding);
  });
  return { bytes: new Uint8Array(bytes.buffer), offsets };
}

/** Views on the parts; nothing is copied. */
export function packedViews({ bytes, offsets }: Packed): Buffer[] {
  const whole = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from({ length: offsets.length - 1 }, (_, index) => whole.subarray(offsets[index], offsets[index + 1]));
}
