/** Finds and loads the addon, once per thread, or gives the reason why it is absent. */

import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { packageRoot } from '../src/package-root.js';
import type { EarlyRefusals } from './early-refusals.js';

/** What `switchyard.node` exports. Positions and handles are plain numbers. */
export interface Addon {
  scan(bytes: Uint8Array, length: number, spans: Int32Array, maxDepth: number): number;
  splitBatch(bytes: Uint8Array, length: number, out: Int32Array): number;
  hash(bytes: Uint8Array, start: number, end: number, out: Int32Array): void;
  canonical(bytes: Uint8Array, start: number, end: number, out: Uint8Array): number;
  seed(low: number, high: number): void;
  createDoorbell(onRing: () => void): number;
  closeDoorbell(handle: number): void;
  ring(handle: number): void;
  /** See uws-reads.ts, also for the next four. */
  watchReads(library: string, port: number, memory: ReadsMemory, early: EarlyRefusals | null): boolean;
  forgetReads(early: EarlyRefusals): void;
  checkChunks(id: number): number;
  forgetChunks(id: number): void;
  answerNow(bytes: Uint8Array): boolean;
  /** Name of the simdjson kernel in use, `haswell` for example. */
  readonly kernel: string;
  /** `spans` slots the addon was built for; another number means a stale build. */
  readonly spanCount: number;
}

/** Memory that the addon and uws-reads.ts share about reads of connections. */
export interface ReadsMemory {
  readonly signals: Int32Array;
  readonly pending: Uint8Array;
  readonly refusal: Uint8Array;
  ended(id: number, whole: boolean): void;
}

/** Where the build writes the addon, the launcher and, after a failure, the reason. */
export const releaseFolder: string = join(packageRoot, 'native', 'build', 'Release');
const REASON_FILE = join(packageRoot, 'native', 'build', 'reason.txt');

/** The addon, or the sentence that explains its absence. */
export interface LoadedAddon {
  readonly addon: Addon | null;
  readonly reason: string | null;
}

/**
 * Loads the addon.
 *
 * @param choice - `typescript` uses no addon, `native` throws when it cannot be loaded, `auto` (also
 * the meaning of undefined and the empty string) uses it if it can be loaded
 * @param spanCount - length of the span array this code was written for
 * @throws Error for another choice, or for `native` if the addon cannot be loaded
 */
export function loadAddon(choice: string | undefined, spanCount: number): LoadedAddon {
  switch (choice || 'auto') {
    case 'typescript':
      return { addon: null, reason: 'SWITCHYARD_DECODER is typescript.' };
    case 'auto':
      return tryLoad(spanCount);
    case 'native': {
      const loaded = tryLoad(spanCount);
      if (loaded.addon === null) throw new Error(`SWITCHYARD_DECODER=native, but: ${loaded.reason}`);
      return loaded;
    }
    default:
      throw new Error(`SWITCHYARD_DECODER must be auto, native or typescript, not "${choice}".`);
  }
}

function tryLoad(spanCount: number): LoadedAddon {
  const path = join(releaseFolder, 'switchyard.node');
  if (!existsSync(path)) return { addon: null, reason: absenceReason() };
  try {
    const addon = createRequire(import.meta.url)(path) as Addon;
    if (addon.spanCount === spanCount) return { addon, reason: null };
    return { addon: null, reason: 'The native addon was built from other sources; run `npm run build`.' };
  } catch (error) {
    const message = error instanceof Error ? error.message.split('\n')[0] : String(error);
    return { addon: null, reason: `The native addon does not load: ${message}` };
  }
}

/** The reason that the build recorded, or a general one. */
function absenceReason(): string {
  try {
    return readFileSync(REASON_FILE, 'utf8').trim();
  } catch {
    return 'The native addon has not been built.';
  }
}
