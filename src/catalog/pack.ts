/** Packs many texts into one buffer of this thread, and views the parts; src/shared/packed.ts packs into shared memory. */
import { type Packed, packedCount, packedView } from '../shared/packed.js';

/** Packs the bytes of `texts`. */
export function packTexts(texts: readonly string[], encoding: 'utf8' | 'latin1' = 'utf8'): Packed {
  const offsets = new Int32Array(texts.length + 1);
  let total = 0;
  texts.forEach((text, index) => {
    total += encoding === 'latin1' ? text.length : Buffer.byteLength(text);
    offsets[index + 1] = total;
  });
  const bytes = Buffer.from(new ArrayBuffer(total));
  let at = 0;
  for (const text of texts) at += bytes.write(text, at, encoding);
  return { bytes: new Uint8Array(bytes.buffer), offsets };
}

/** Views of the parts, without a copy. */
export function packedViews(packed: Packed): Buffer[] {
  return Array.from({ length: packedCount(packed) }, (_, index) => packedView(packed, index));
}
