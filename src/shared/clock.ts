/**
 * A monotonic clock with one base in all threads of the process: `performance.now()` counts from the start of its own
 * thread, and `performance.timeOrigin` follows the wall clock, which may jump. The offset to the system's monotonic
 * clock (`process.hrtime`) is the same in every thread and is read once a thread.
 */
const offset = Number(process.hrtime.bigint()) / 1e6 - performance.now();

/** Milliseconds of the system's monotonic clock; comparable between threads, not between processes. */
export function monotonic(): number {
  return performance.now() + offset;
}
