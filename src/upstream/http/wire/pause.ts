import type { Milliseconds } from '../../../units.js';

/** Waits for the time, or until `stop` is aborted. Never shorter. */
export function pause(ms: Milliseconds, stop: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (stop.aborted) {
      resolve();
      return;
    }
    // A timer may fire up to a millisecond early.
    const timer = setTimeout(done, ms + 1);
    function done(): void {
      clearTimeout(timer);
      stop.removeEventListener('abort', done);
      resolve();
    }
    stop.addEventListener('abort', done);
  });
}
