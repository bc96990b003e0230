/**
 * Log-linear histograms of durations: each power of two of microseconds is divided into 16 equal parts, so a value is
 * known to 1/16 of itself from 1 microsecond to 35 minutes.
 */

/** Floats of a histogram before its slots. */
export const HistogramFloat = { count: 0, sum: 1, min: 2, max: 3, errors: 4, errorResults: 5 } as const;
/** Room for {@link HistogramFloat}. */
const HEAD = 8;
const PARTS = 16;
/** Floats of one histogram. */
export const HISTOGRAM_SLOTS = HEAD + 448;

/** The slot that counts a duration. */
export function histogramSlot(milliseconds: number): number {
  const micros = milliseconds >= 2_147_483 ? 0x7fffffff : (milliseconds * 1000) | 0;
  if (micros < PARTS) return HEAD + Math.max(micros, 0);
  const exponent = 31 - Math.clz32(micros);
  return HEAD + (exponent - 3) * PARTS + ((micros >>> (exponent - 4)) & (PARTS - 1));
}

/** Upper bound in milliseconds of a slot. */
function upperBound(slot: number): number {
  const bucket = slot - HEAD;
  if (bucket < PARTS) return (bucket + 1) / 1000;
  const exponent = Math.floor(bucket / PARTS) + 3;
  return ((PARTS + (bucket % PARTS) + 1) * 2 ** (exponent - 4)) / 1000;
}

/** A histogram as read at one moment; durations in milliseconds. */
export interface HistogramView {
  readonly count: number;
  readonly sum: number;
  /** 0 when nothing was counted. */
  readonly min: number;
  readonly max: number;
  /** The value that `fraction` (0 to 1) of all are not above, to 1/16 of itself; 0 when nothing was counted. */
  percentile(fraction: number): number;
  /** How many are not above `milliseconds`, to the precision of the histogram. */
  atMost(milliseconds: number): number;
}

/** Adds up the histograms that start at `offsets`. */
export function readHistogram(values: Float64Array, offsets: readonly number[]): HistogramView {
  const buckets = new Float64Array(HISTOGRAM_SLOTS);
  let sum = 0;
  let min = Number.POSITIVE_INFINITY;
  let max = 0;
  let count = 0;
  for (const at of offsets) {
    if (values[at + HistogramFloat.count] === 0) continue;
    sum += values[at + HistogramFloat.sum]!;
    min = Math.min(min, values[at + HistogramFloat.min]!);
    max = Math.max(max, values[at + HistogramFloat.max]!);
    for (let slot = HEAD; slot < HISTOGRAM_SLOTS; slot += 1) {
      const events = values[at + slot]!;
      buckets[slot]! += events;
      count += events;
    }
  }
  if (count === 0) min = 0;
  return {
    count,
    sum,
    min,
    max,
    percentile(fraction) {
      if (count === 0) return 0;
      const rank = Math.max(1, Math.ceil(fraction * count));
      let seen = 0;
      for (let slot = HEAD; slot < HISTOGRAM_SLOTS; slot += 1) {
        seen += buckets[slot]!;
        if (seen >= rank) return Math.max(min, Math.min(max, upperBound(slot)));
      }
      return max;
    },
    atMost(milliseconds) {
      const last = histogramSlot(milliseconds);
      let seen = 0;
      for (let slot = HEAD; slot <= last; slot += 1) seen += buckets[slot]!;
      return seen;
    },
  };
}
