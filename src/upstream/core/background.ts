/** Work on large responses that would block the main thread; the control pool does it (src/control/threads/tasks.ts). */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Decoder } from '../../../native/layout.js';
import type { Bytes } from '../../units.js';
import { scanResponse } from './control.js';
import { type ListPage, type PageSource, readPage } from './lists/page.js';

/** Work for another thread. Bytes should be in shared memory; others are copied. */
export interface Background {
  /** Scans a body that should be one response; null = it is none. */
  scanResponse(bytes: Uint8Array): Promise<Int32Array | null>;
  readPage(source: PageSource): Promise<ListPage>;
}

/** Works on the calling thread. */
export function inlineBackground(decoder: Decoder): Background {
  return {
    scanResponse: (bytes) => Promise.resolve(scanResponse(decoder, bytes)?.words ?? null),
    readPage: (source) => Promise.resolve(readPage(source)),
  };
}

const TURN_BYTES: Bytes = 256 * 1024;

/** Joins byte strings in shared memory, some of them in each turn of the event loop. */
export async function joinShared(parts: readonly Uint8Array[], total: Bytes): Promise<Uint8Array> {
  const joined = new Uint8Array(new SharedArrayBuffer(total));
  let used = 0;
  let since = 0;
  for (const part of parts) {
    for (let at = 0; at < part.length; at += TURN_BYTES) {
      const piece = part.subarray(at, at + TURN_BYTES);
      joined.set(piece, used);
      used += piece.length;
      since += piece.length;
      if (since < TURN_BYTES) continue;
      since = 0;
      await nextTurn();
    }
  }
  return joined;
}
