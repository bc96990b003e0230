/**
 * Wakes the event loop of another thread.
 *
 * With the addon a bell is a `uv_async_t` of the receiving loop in a table of the process: a slot and its
 * generation make the handle, so that ringing a closed bell does nothing. Without the addon a bell is
 * a counter in shared memory (`cell`) on which the receiver waits with `Atomics.waitAsync`; the ringing
 * thread then needs the cell as well as the handle. Both are plain clonable values:
 *
 *     receiving thread                       ringing thread (gets { handle, cell } as workerData)
 *     const bell = createDoorbell(drain)
 *     postMessage({ handle: bell.handle,     ring(handle, cell)
 *                   cell: bell.cell })
 *
 * Rings that arrive before the receiver has woken up are one call of `onRing`.
 */

import type { Addon } from './addon.js';
import type { Doorbell } from './layout.js';

/** Makes bells and rings them: with the addon or without it, the same in all threads of the process. */
export interface Doorbells {
  /**
   * Makes a bell that calls `onRing` in this thread. It does not keep the thread alive.
   *
   * @throws RangeError when 4,096 bells of this process are open (with the addon)
   */
  createDoorbell(onRing: () => void): Doorbell;
  /**
   * Rings from any thread; does nothing when the bell is closed or its thread has ended.
   *
   * @param cell - the bell's `cell`; needed without the addon
   */
  ring(handle: number, cell?: SharedArrayBuffer | null): void;
}

/** Bells of the addon. */
export function nativeDoorbells(addon: Addon): Doorbells {
  return {
    createDoorbell(onRing) {
      const handle = addon.createDoorbell(onRing);
      return { handle, cell: null, close: () => addon.closeDoorbell(handle) };
    },
    ring: addon.ring,
  };
}

let lastHandle = 0;

/** Bells on shared memory. */
export const sharedDoorbells: Doorbells = {
  createDoorbell(onRing) {
    const cell = new SharedArrayBuffer(4);
    const counter = new Int32Array(cell);
    const state = { open: true };
    void listen(counter, state, onRing);
    return {
      handle: ++lastHandle,
      cell,
      close() {
        state.open = false;
        Atomics.notify(counter, 0);
      },
    };
  },
  ring(_handle, cell) {
    if (cell == null) return;
    const counter = viewOf(cell);
    Atomics.add(counter, 0, 1);
    Atomics.notify(counter, 0);
  },
};

/** Views by cell, so that a ring allocates nothing; they are collected with the cell. */
const views = new WeakMap<SharedArrayBuffer, Int32Array>();

function viewOf(cell: SharedArrayBuffer): Int32Array {
  let view = views.get(cell);
  if (view === undefined) {
    view = new Int32Array(cell);
    views.set(cell, view);
  }
  return view;
}

/** `Atomics.waitAsync` is in Node 20 but not yet in the ES2023 library of the compiler. */
type WaitAsync = (
  cell: Int32Array,
  index: number,
  value: number,
) => { async: false; value: string } | { async: true; value: Promise<string> };
const waitAsync = (Atomics as unknown as { waitAsync: WaitAsync }).waitAsync;

async function listen(counter: Int32Array, state: { open: boolean }, onRing: () => void): Promise<void> {
  for (let seen = 0; state.open; ) {
    const wait = waitAsync(counter, 0, seen);
    if (wait.async) await wait.value;
    // A turn of the loop in between: a storm of rings must not starve the receiver's sockets.
    else await new Promise((resolve) => setImmediate(resolve));
    if (!state.open) return;
    const now = Atomics.load(counter, 0);
    if (now === seen) continue;
    seen = now;
    onRing();
  }
}
