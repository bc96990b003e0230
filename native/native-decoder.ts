/** The addon's functions in the shape of {@link Decoder}. */

import type { Addon } from './addon.js';
import type { Decoder } from './layout.js';

/** Wraps the addon; the functions are the addon's own, without a frame in between. */
export function createNativeDecoder(addon: Addon): Decoder {
  return {
    kind: 'native',
    scan: addon.scan,
    splitBatch: addon.splitBatch,
    hash: addon.hash,
    seed: addon.seed,
  };
}
