import type { Milliseconds } from '../../units.js';

/** Exponential back-off from `firstMs` to `maxMs`; each pause is a random value between half and the whole of that. */
export class BackOff {
  readonly #firstMs: Milliseconds;
  readonly #maxMs: Milliseconds;
  #attempts = 0;

  constructor(firstMs: Milliseconds = 100, maxMs: Milliseconds = 30_000) {
    this.#firstMs = firstMs;
    this.#maxMs = maxMs;
  }

  next(): Milliseconds {
    const full = Math.min(this.#firstMs * 2 ** this.#attempts, this.#maxMs);
    this.#attempts = Math.min(this.#attempts + 1, 20);
    return full / 2 + (Math.random() * full) / 2;
  }

  reset(): void {
    this.#attempts = 0;
  }
}

/** Limits restarts in a window of time. */
export class RestartBudget {
  readonly #times: Milliseconds[] = [];
  readonly #budget: number;
  readonly #windowMs: Milliseconds;

  /**
   * @param budget restarts allowed in a window, default 5
   * @param windowMs default 60,000
   */
  constructor(budget = 5, windowMs = 60_000) {
    this.#budget = budget;
    this.#windowMs = windowMs;
  }

  /** Counts one restart at `now`. @returns false when the budget is spent */
  spend(now: Milliseconds): boolean {
    while (now - (this.#times[0] ?? now) >= this.#windowMs) this.#times.shift();
    if (this.#times.length >= this.#budget) return false;
    this.#times.push(now);
    return true;
  }

  reset(): void {
    this.#times.length = 0;
  }
}
