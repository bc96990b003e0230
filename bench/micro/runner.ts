/**
 * A small runner of micro benchmarks. A case is measured in samples: the clock is read around so many operations
 * that its own cost is negligible. The figure is the median sample; ± is half the interquartile range.
 */

import { quantile } from '../statistics.js';

/** One thing to measure. Heavy work belongs into `setup`, which runs once in the process of the case alone. */
export interface Case {
  /** Unique; names the case on the command line. */
  readonly name: string;
  /** The operation in words, as shown. */
  readonly what: string;
  /** Largest acceptable median in nanoseconds; `undefined` = shown for information. */
  readonly goalNs?: number;
  setup(): Promise<Operation> | Operation;
}

/** A prepared operation. Exactly one of `run` and `runAsync` exists. */
export interface Operation {
  /** Performs the operation `times` times in a row. Its results must be passed to {@link keep}. */
  readonly run?: (times: number) => void;
  /** As `run`, for operations that wait for something. */
  readonly runAsync?: (times: number) => Promise<void>;
  /** Operations that count as one in the figure: 1 unless one call does several. */
  readonly operationsPerTime?: number;
  /** Further figures to show behind the result, measured by the case itself. */
  readonly notes?: () => string;
  close?(): Promise<void> | void;
}

/** The figure of one case. */
export interface Result {
  readonly name: string;
  readonly nsPerOperation: number;
  /** Half the interquartile range as a share of the median. */
  readonly plusMinus: number;
  readonly samples: number;
  readonly notes: string;
}

/** Length of one sample that is aimed at (ns): some thousand times the cost of reading the clock. */
const SAMPLE_NS = 200_000;
const WARM_UP_NS = 300_000_000;
const MEASURE_NS = 800_000_000;
const FEWEST_SAMPLES = 128;

let kept = 0;
/** Uses a number that depends on the measured work, so that the compiler cannot remove the work. */
export function keep(value: number): void {
  kept = (kept + value) | 0;
}

/** Measures one case: warm-up, then at least 128 samples and 0.8 s. */
export async function runCase(subject: Case): Promise<Result> {
  const operation = await subject.setup();
  const { run, runAsync } = operation;
  const clock = () => Number(process.hrtime.bigint());
  const sample = async (times: number): Promise<number> => {
    const start = clock();
    if (run !== undefined) run(times);
    else await runAsync!(times);
    return clock() - start;
  };

  let times = 1;
  const warmUntil = clock() + WARM_UP_NS;
  while (clock() < warmUntil) {
    const elapsed = await sample(times);
    // In steps, since the first samples run code that is not compiled yet.
    if (elapsed < SAMPLE_NS) times = Math.min(times * 2, 1 << 24);
    else if (elapsed > SAMPLE_NS * 3 && times > 1) times >>= 1;
  }

  const samples: number[] = [];
  const until = clock() + MEASURE_NS;
  while (samples.length < FEWEST_SAMPLES || clock() < until) {
    samples.push((await sample(times)) / times / (operation.operationsPerTime ?? 1));
  }
  const notes = operation.notes?.() ?? '';
  await operation.close?.();
  samples.sort((a, b) => a - b);
  const median = quantile(samples, 0.5);
  return {
    name: subject.name,
    nsPerOperation: median,
    plusMinus: (quantile(samples, 0.75) - quantile(samples, 0.25)) / 2 / median,
    samples: samples.length,
    notes: `${notes}${Number.isNaN(kept) ? ' ' : ''}`,
  };
}
