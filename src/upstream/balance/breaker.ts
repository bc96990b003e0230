import type { ErrorCode } from '../../errors.js';
import type { Milliseconds } from '../../units.js';

/** Decides whether an endpoint may be used at the moment. Times are `performance.now()`. */
export interface Breaker {
  readonly state: 'closed' | 'open' | 'half-open';
  /** Not closed: ask {@link allows}. Spares the clock on the way of most calls. */
  readonly tripped: boolean;
  /** Whether a call may be sent; while half-open only one at a time may. */
  allows(now: Milliseconds): boolean;
  /** The call of {@link allows} is really sent. */
  trialStarted(now: Milliseconds): void;
  succeeded(): void;
  /** @param lastOne no other endpoint of the server is usable */
  failed(error: ErrorCode, lastOne: boolean, now: Milliseconds): void;
  /** The call ended in a way that says nothing about the endpoint (cancelled, local limit). */
  neutral(): void;
  /** Time until a call may be tried, 0 if now. */
  retryAfter(now: Milliseconds): Milliseconds;
}

/** Failures that say that an endpoint is not well; others lie with the call. */
const COUNTED = new Set<ErrorCode>([
  'GW_UPSTREAM_CLOSED',
  'GW_UPSTREAM_TIMEOUT',
  'GW_UPSTREAM_UNREACHABLE',
  'GW_UPSTREAM_PROTOCOL',
  'GW_UPSTREAM_TRUNCATED',
  'GW_UPSTREAM_DOWN',
]);

/**
 * Opens after a number of failures in a row, pauses, then lets one call through. The last usable endpoint of a server
 * is paused only when it cannot be reached at all: a bad answer is better than none.
 */
export class ConsecutiveFailureBreaker implements Breaker {
  readonly #threshold: number;
  readonly #pauseMs: Milliseconds;
  readonly #maxPauseMs: Milliseconds;
  #failures = 0;
  #unreachable = 0;
  #openings = 0;
  #openUntil = 0;
  #probeUntil = 0;

  /**
   * @param threshold failures in a row that open it, default 5
   * @param pauseMs first pause, doubled with each opening in a row, default 1,000
   * @param maxPauseMs longest pause, default 30,000; also how long a lost probe blocks the next one
   */
  constructor(threshold = 5, pauseMs = 1_000, maxPauseMs = 30_000) {
    this.#threshold = threshold;
    this.#pauseMs = pauseMs;
    this.#maxPauseMs = maxPauseMs;
  }

  get state(): 'closed' | 'open' | 'half-open' {
    if (this.#openUntil === 0) return 'closed';
    return performance.now() < this.#openUntil ? 'open' : 'half-open';
  }

  get tripped(): boolean {
    return this.#openUntil !== 0;
  }

  allows(now: Milliseconds): boolean {
    return this.#openUntil === 0 || (now >= this.#openUntil && now >= this.#probeUntil);
  }

  trialStarted(now: Milliseconds): void {
    if (this.#openUntil !== 0) this.#probeUntil = now + this.#maxPauseMs;
  }

  succeeded(): void {
    this.#failures = 0;
    this.#unreachable = 0;
    this.#openings = 0;
    this.#openUntil = 0;
    this.#probeUntil = 0;
  }

  failed(error: ErrorCode, lastOne: boolean, now: Milliseconds): void {
    if (!COUNTED.has(error)) {
      this.neutral();
      return;
    }
    this.#failures += 1;
    this.#unreachable = error === 'GW_UPSTREAM_UNREACHABLE' ? this.#unreachable + 1 : 0;
    const wasProbe = this.#openUntil !== 0 && now >= this.#openUntil;
    const counted = lastOne ? this.#unreachable : this.#failures;
    if (!wasProbe && counted < this.#threshold) return;
    if (this.#openUntil !== 0 && !wasProbe) return;
    this.#probeUntil = 0;
    if (lastOne && error !== 'GW_UPSTREAM_UNREACHABLE') {
      this.#openUntil = 0;
      return;
    }
    this.#openUntil = now + Math.min(this.#pauseMs * 2 ** this.#openings, this.#maxPauseMs);
    this.#openings = Math.min(this.#openings + 1, 10);
  }

  neutral(): void {
    this.#probeUntil = 0;
  }

  retryAfter(now: Milliseconds): Milliseconds {
    return this.#openUntil === 0 ? 0 : Math.max(0, this.#openUntil - now, this.#probeUntil - now);
  }
}
