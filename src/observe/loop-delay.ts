/** Measures the delay of the front's event loop, which delays every request. */
import { type Counters, Series } from '../shared/counters.js';
import type { Milliseconds } from '../units.js';

/**
 * Runs a timer every `intervalMs` (default 50) and records by how much it is late, in {@link Series.loopDelay}.
 *
 * @returns a function that stops it
 */
export function watchLoopDelay(counters: Pick<Counters, 'observe'>, intervalMs: Milliseconds = 50): () => void {
  let last = performance.now();
  const timer = setInterval(() => {
    const now = performance.now();
    counters.observe(Series.loopDelay, Math.max(0, now - last - intervalMs));
    last = now;
  }, intervalMs);
  timer.unref();
  return () => clearInterval(timer);
}
