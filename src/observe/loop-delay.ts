/** Measures the delay of the front's event loop, which delays every request. */
import { type Counters, Series } from '../shared/counters.js';
import type { Milliseconds } from '../units.js';

/** Told each measurement. */
export interface DelayListener {
  /** @param lateMs how late the timer was that runs every `intervalMs` */
  sample(lateMs: Milliseconds, intervalMs: Milliseconds): void;
}

/**
 * Runs a timer every `intervalMs` (default 50) and records by how much it is late, in {@link Series.loopDelay}.
 *
 * @returns a function that stops it
 */
export function watchLoopDelay(
  counters: Pick<Counters, 'observe'>,
  listener: DelayListener,
  intervalMs: Milliseconds = 50,
): () => void {
  let last = performance.now();
  const timer = setInterval(() => {
    const now = performance.now();
    const late = Math.max(0, now - last - intervalMs);
    counters.observe(Series.loopDelay, late);
    last = now;
    listener.sample(late, intervalMs);
  }, intervalMs);
  timer.unref();
  return () => clearInterval(timer);
}
