import { monotonic } from '../../shared/clock.js';
import { Counter } from '../../shared/counters.js';
import type { PolicyPool } from '../../shared/ring/policy-pool.js';
import type { Milliseconds } from '../../units.js';

/** A thread that has not started by then is given up. */
const START_MS: Milliseconds = 10_000;

/**
 * Ends workers that do not move. A ring that holds records and whose reader gives no sign of life is looked at with
 * every {@link check}; the reader is rung each time, so that silence is not mistaken for a lost wake-up.
 */
export class HangWatch {
  readonly #pool: PolicyPool;
  readonly #progress: Int32Array;
  readonly #movedAt: Float64Array;

  constructor(pool: PolicyPool) {
    this.#pool = pool;
    this.#progress = new Int32Array(pool.size);
    this.#movedAt = new Float64Array(pool.size).fill(monotonic());
  }

  /** The slot has a new worker, whose time starts now. */
  restart(worker: number): void {
    this.#movedAt[worker] = monotonic();
    this.#progress[worker] = 0;
  }

  /** Looks at one worker; to be called several times within `limits.workerHangMs`. */
  check(worker: number): void {
    const { requests, ready } = this.#pool.slot(worker);
    const now = monotonic();
    const progress = requests.progress();
    if (requests.used() === 0 || progress !== this.#progress[worker]) {
      this.#progress[worker] = progress;
      this.#movedAt[worker] = now;
      return;
    }
    if (now - this.#movedAt[worker]! <= (ready ? this.#pool.snapshot.limits.workerHangMs : START_MS)) {
      this.#pool.wake(worker);
      return;
    }
    this.#movedAt[worker] = now;
    this.#pool.counters.add(Counter.workerHangs);
    this.#pool.terminate(worker, 'it did not move any more');
  }
}
