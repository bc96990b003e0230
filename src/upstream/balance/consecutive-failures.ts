import type { ErrorCode } from '../../errors.js';
import type { Milliseconds } from '../../units.js';
import { type Breaker, type BreakerState, isEndpointFailure } from './breaker.js';

/**
 * Opens after a number of failures in a row, and becomes half-open after a pause. For the last usable endpoint of a server it
 * opens only when that cannot be reached: no call could be made otherwise. One for each endpoint.
 */
export class ConsecutiveFailureBreaker implements Breaker {
  readonly #threshold: number;
  readonly #pauseMs: Milliseconds;
  readonly #maxPauseMs: Milliseconds;
  #failures = 0;
  #unreachable = 0;
  #openings = 0;
  #openUntil = 0;
  #trialUntil = 0;

  /**
   * @param threshold failures in a row that open it, default 5
   * @param pauseMs first pause, doubled with each opening in a row, default 1,000
   * @param maxPauseMs longest pause, default 30,000; also how long a trial call without an outcome blocks the next one
   */
  constructor(threshold = 5, pauseMs = 1_000, maxPauseMs = 30_000) {
    this.#threshold = threshold;
    this.#pauseMs = pauseMs;
    this.#maxPauseMs = maxPauseMs;
  }

  get state(): BreakerState {
    if (this.#openUntil === 0) return 'closed';
    return performance.now() < this.#openUntil ? 'open' : 'half-open';
  }

  get tripped(): boolean {
    return this.#openUntil !== 0;
  }

  allows(now: Milliseconds): boolean {
    return this.#openUntil === 0 || (now >= this.#openUntil && now >= this.#trialUntil);
  }

  allowsInMs(now: Milliseconds): Milliseconds {
    return Math.max(0, this.#openUntil - now);
  }

  trialStarted(now: Milliseconds): void {
    if (this.#openUntil !== 0) this.#trialUntil = now + this.#maxPauseMs;
  }

  succeeded(): void {
    this.#failures = 0;
    this.#unreachable = 0;
    this.#openings = 0;
    this.#openUntil = 0;
    this.#trialUntil = 0;
  }

  failed(error: ErrorCode, lastOne: boolean, now: Milliseconds): void {
    if (!isEndpointFailure(error)) {
      this.neutral();
      return;
    }
    this.#failures += 1;
    this.#unreachable = error === 'GW_UPSTREAM_UNREACHABLE' ? this.#unreachable + 1 : 0;
    const wasTrial = this.#openUntil !== 0 && now >= this.#openUntil;
    const counted = lastOne ? this.#unreachable : this.#failures;
    if (!wasTrial && counted < this.#threshold) return;
    if (this.#openUntil !== 0 && !wasTrial) return;
    this.#trialUntil = 0;
    if (lastOne && error !== 'GW_UPSTREAM_UNREACHABLE') {
      this.#openUntil = 0;
      return;
    }
    this.#openUntil = now + Math.min(this.#pauseMs * 2 ** this.#openings, this.#maxPauseMs);
    this.#openings = Math.min(this.#openings + 1, 10);
  }

  neutral(): void {
    this.#trialUntil = 0;
  }
}
