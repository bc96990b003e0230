/** Measures how late the event loop of the front is: whatever holds it up holds up every request. */
import { type Counters, Series } from '../shared/counters.js';
import type { Milliseconds } from '../units.js';

/**
 * Lets a timer run every `intervalMs` (default 20) and counts by how much it comes too late, in {@link Series.loopDelay}.
 *
 * @returns a function that stops it
 */
export function watchLoopDelay(counters: Pick<Counters, 'observe'>, intervalMs: Milliseconds = 20): () => void {
  let last = performance.now();
  const timer = setInterval(() => {
    const now = performance.now();
    counters.observe(Series.loopDelay, Math.max(0, now - last - intervalMs));
    last = now;
  }, intervalMs);
  timer.unref();
  return () => clearInterval(timer);
}
