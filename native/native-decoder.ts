/** The addon's functions in the shape of {@link Decoder}. */

import type { Addon } from './addon.js';
import { hashBytes } from './hash.js';
import type { Decoder } from './layout.js';

/** Below this many bytes crossing into the addon costs more than hashing here; both give the same hash. */
const SHORT_BYTES = 128;

/** Wraps the addon; `scan` and `splitBatch` are the addon's own functions, without a frame in between. */
export function createNativeDecoder(addon: Addon): Decoder {
  let seedLow = 0;
  let seedHigh = 0;
  return {
    kind: 'native',
    scan: addon.scan,
    splitBatch: addon.splitBatch,
    hash(bytes, start, end, out) {
      if (end - start < SHORT_BYTES) hashBytes(bytes, start, end, seedLow, seedHigh, out, 0);
      else addon.hash(bytes, start, end, out);
    },
    canonical: addon.canonical,
    seed(low, high) {
      seedLow = low | 0;
      seedHigh = high | 0;
      addon.seed(seedLow, seedHigh);
    },
  };
}
