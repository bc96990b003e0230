/** Packing of many byte strings into one buffer and back. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Packed } from '../../shared/packed.js';

const TURN_ITEMS = 512;
const TURN_BYTES = 256 * 1024;

/**
 * Copies `items` into shared memory, a part in each turn of the event loop: whoever lists 10,000 tools must not stop
 * the calls of everybody else.
 */
export async function packItems(items: readonly Uint8Array[]): Promise<Packed> {
  const offsets = new Int32Array(new SharedArrayBuffer((items.length + 1) * 4));
  let total = 0;
  for (let index = 0; index < items.length; index += 1) {
    total += items[index].length;
    offsets[index + 1] = total;
  }
  const bytes = new Uint8Array(new SharedArrayBuffer(total));
  let since = 0;
  for (let index = 0; index < items.length; index += 1) {
    bytes.set(items[index], offsets[index]);
    since += items[index].length;
    if (index % TURN_ITEMS === TURN_ITEMS - 1 || since > TURN_BYTES) {
      since = 0;
      await nextTurn();
    }
  }
  return { bytes, offsets };
}

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
