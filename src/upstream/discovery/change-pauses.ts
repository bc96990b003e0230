import type { Milliseconds } from '../../units.js';

/** Changes within this time are read once. */
export const COALESCE_MS: Milliseconds = 50;
/** Longest pause while readings find changes. */
const CHANGING_MS: Milliseconds = 1_000;
/** Longest pause while they find none. */
const SAME_MS: Milliseconds = 30_000;
const MAX_STEPS = 16;

/**
 * Pauses before readings that notices of changes lead to. Some servers send a notice after each list: the pauses double
 * with each reading, and begin anew when there was no notice for twice the last pause.
 */
export class ChangePauses {
  #steps = 0;
  #limitMs = SAME_MS;
  #ended: Milliseconds = Number.NEGATIVE_INFINITY;

  /** The pause before the reading that a notice at `now` leads to. */
  pause(now: Milliseconds): Milliseconds {
    if (now - this.#ended > 2 * this.#currentMs + COALESCE_MS) this.#steps = 0;
    return this.#currentMs;
  }

  /** A reading has ended at `now`. @param changed it has found other lists than the one before */
  ended(now: Milliseconds, changed: boolean): void {
    this.#steps = Math.min(this.#steps + 1, MAX_STEPS);
    this.#limitMs = changed ? CHANGING_MS : SAME_MS;
    this.#ended = now;
  }

  get #currentMs(): Milliseconds {
    return Math.min(COALESCE_MS * 2 ** this.#steps, this.#limitMs);
  }
}
