import type { Milliseconds } from '../../units.js';

/** Waits so long, or until `stop` is given. Never early. */
export function pause(ms: Milliseconds, stop: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (stop.aborted) {
      resolve();
      return;
    }
    // A timer may fire up to a millisecond before its time.
    const timer = setTimeout(done, ms + 1);
    function done(): void {
      clearTimeout(timer);
      stop.removeEventListener('abort', done);
      resolve();
    }
    stop.addEventListener('abort', done);
  });
}
