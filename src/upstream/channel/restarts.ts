import type { Milliseconds } from '../../units.js';
import type { BackOff, RestartBudget } from '../balance/back-off.js';

/** Pause after the restart budget is spent by starts that never led to a handshake. */
const HOLD_MS: Milliseconds = 60_000;
/** An endpoint that was ready for so long starts over with the first pause. */
const STABLE_MS: Milliseconds = 10_000;

/** What is restarted. */
export interface Restartable {
  start(): void;
}

/** Schedules the next channel of an endpoint whose channel has ended. Owned by the endpoint. */
export class ChannelRestarts {
  readonly #endpoint: Restartable;
  readonly #budget: RestartBudget | null;
  readonly #backOff: BackOff;
  #timer: NodeJS.Timeout | undefined;
  #readyAt: Milliseconds = 0;

  /**
   * @param budget restarts after failed handshakes in a window before a long pause; null = any number, with pauses that grow
   * @param backOff the pauses
   */
  constructor(endpoint: Restartable, budget: RestartBudget | null, backOff: BackOff) {
    this.#endpoint = endpoint;
    this.#budget = budget;
    this.#backOff = backOff;
  }

  /**
   * Starts again after a pause.
   *
   * @param wasInitialized the channel that has ended had completed its handshake
   * @returns the pause, and the endpoint's state until then
   */
  schedule(wasInitialized: boolean): { state: 'backoff' | 'failed'; pauseMs: Milliseconds } {
    this.#readyAt = 0;
    if (wasInitialized || this.#budget === null || this.#budget.spend(performance.now())) {
      const pauseMs = this.#backOff.next();
      this.#timer = setTimeout(() => this.#endpoint.start(), pauseMs);
      return { state: 'backoff', pauseMs };
    }
    this.#timer = setTimeout(() => this.now(), HOLD_MS);
    return { state: 'failed', pauseMs: HOLD_MS };
  }

  /** Starts now what is scheduled for later, and begins with the first pause again. */
  now(): void {
    this.stop();
    this.#budget?.reset();
    this.#backOff.reset();
    this.#endpoint.start();
  }

  /** The handshake is complete. */
  ready(): void {
    this.#readyAt = performance.now();
  }

  tick(now: Milliseconds): void {
    if (this.#readyAt === 0 || now - this.#readyAt < STABLE_MS) return;
    this.#readyAt = 0;
    this.#backOff.reset();
  }

  /** Cancels the scheduled start. */
  stop(): void {
    clearTimeout(this.#timer);
  }
}
