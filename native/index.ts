/**
 * The native layer as the rest of the gateway sees it: the decoder, the doorbell and the child launcher,
 * each with a replacement that needs no compiler. Safe to import in any thread; every thread loads for itself.
 *
 * `SWITCHYARD_DECODER` chooses: `auto` (default), `native` (refuse to start without the addon),
 * `typescript` (leave the addon out altogether, doorbell included).
 */

import { loadAddon } from './addon.js';
import { nativeDoorbells, sharedDoorbells } from './doorbell.js';
import type { Decoder } from './layout.js';
import { SPAN_COUNT } from './layout.js';
import { createNativeDecoder } from './native-decoder.js';
import { typescriptDecoder } from './typescript-decoder.js';
import { UwsReads } from './uws-reads.js';

const { addon, reason } = loadAddon(process.env['SWITCHYARD_DECODER'], SPAN_COUNT);

/** The addon's decoder, or null where it does not run. */
export const nativeDecoder: Decoder | null = addon === null ? null : createNativeDecoder(addon);

/** The decoder to use in this thread. */
export const decoder: Decoder = nativeDecoder ?? typescriptDecoder;

/** Which one {@link decoder} is. */
export const decoderKind: 'native' | 'typescript' = decoder.kind;

/** Why the TypeScript decoder is used, one sentence; null when the native one is. */
export const decoderReason: string | null = reason;

const doorbells = addon === null ? sharedDoorbells : nativeDoorbells(addon);

/** See {@link Doorbells.createDoorbell}. */
export const createDoorbell: typeof doorbells.createDoorbell = doorbells.createDoorbell;

/** See {@link Doorbells.ring}. */
export const ring: typeof doorbells.ring = doorbells.ring;

let reads: UwsReads | null | undefined;

/**
 * The reads of uWebSockets.js in this thread, once it is loaded; null if they cannot be observed.
 *
 * @param refusal see {@link UwsReads.open}; of the first call
 */
export function uwsReads(refusal: Uint8Array): UwsReads | null {
  reads ??= addon === null ? null : UwsReads.open(addon, refusal);
  return reads;
}

export { EarlyRefusals } from './early-refusals.js';
export { launcherPath } from './launcher.js';
export { fallbackWatcher } from './launcher-fallback.js';
export { createTypeScriptDecoder, typescriptDecoder } from './typescript-decoder.js';
export { type ChunkedBody, Chunks, type UwsReads } from './uws-reads.js';
