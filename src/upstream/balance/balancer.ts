/**
 * Which endpoint gets a call: three small interfaces (choice, breaker, health) and the implementations used so far.
 */
import type { ErrorCode } from '../../errors.js';
import type { Milliseconds } from '../../units.js';

/** What the choice looks at. */
export interface Candidate {
  readonly index: number;
  /** Share of the calls, > 0. */
  readonly weight: number;
}

/** Chooses among the endpoints of one server. Synchronous and without allocation: it runs for each call. */
export interface Balancer {
  /**
   * @param usable bits of the indexes that may be chosen, never 0
   * @returns the index of one of them
   */
  choose(usable: number): number;
}

/** Decides whether an endpoint may be used at the moment. Times are `performance.now()`. */
export interface Breaker {
  readonly state: 'closed' | 'open' | 'half-open';
  /** Not closed: ask {@link allows}. Spares the clock on the way of most calls. */
  readonly tripped: boolean;
  /** Whether a call may be sent; while half-open only one at a time may. */
  allows(now: Milliseconds): boolean;
  /** The call of {@link allows} is really sent. */
  taken(now: Milliseconds): void;
  succeeded(): void;
  /** @param lastOne no other endpoint of the server is usable */
  failed(error: ErrorCode, lastOne: boolean, now: Milliseconds): void;
  /** The call ended in a way that says nothing about the endpoint (cancelled, local limit). */
  neutral(): void;
  /** Time until a call may be tried, 0 if now. */
  retryAfter(now: Milliseconds): Milliseconds;
}

/** Keeps what is known of the health of endpoints; the numbers are shown in /stats. */
export interface HealthBoard {
  succeeded(endpoint: number): void;
  failed(endpoint: number): void;
  /** Failures since the last success. */
  consecutiveFailures(endpoint: number): number;
}

/** Smooth weighted round robin: each choice goes to the endpoint with the largest credit, as nginx does. */
export class WeightedRoundRobin implements Balancer {
  readonly #weights: Float64Array;
  readonly #credits: Float64Array;

  /** At most 31 endpoints take part. */
  constructor(candidates: readonly Candidate[]) {
    this.#weights = Float64Array.from(candidates, (candidate) => candidate.weight);
    this.#credits = new Float64Array(candidates.length);
  }

  choose(usable: number): number {
    if ((usable & (usable - 1)) === 0) return 31 - Math.clz32(usable);
    const { length } = this.#weights;
    let best = -1;
    let total = 0;
    for (let index = 0; index < length; index += 1) {
      if ((usable & (1 << index)) === 0) continue;
      const weight = this.#weights[index]!;
      total += weight;
      this.#credits[index]! += weight;
      if (best < 0 || this.#credits[index]! > this.#credits[best]!) best = index;
    }
    this.#credits[best]! -= total;
    return best;
  }
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

  taken(now: Milliseconds): void {
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

/** A health board in the memory of one process. */
export class LocalHealthBoard implements HealthBoard {
  readonly #failures: Int32Array;

  constructor(endpoints: number) {
    this.#failures = new Int32Array(endpoints);
  }

  succeeded(endpoint: number): void {
    this.#failures[endpoint] = 0;
  }

  failed(endpoint: number): void {
    this.#failures[endpoint]! += 1;
  }

  consecutiveFailures(endpoint: number): number {
    return this.#failures[endpoint]!;
  }
}
