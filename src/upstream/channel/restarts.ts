import type { Milliseconds } from '../../units.js';
import type { BackOff, RestartBudget } from '../balance/back-off.js';

/** Pause after the restart budget is spent. */
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
   * @param budget restarts in a window before a long pause; null = any number, with pauses that grow
   * @param backOff the pauses
   */
  constructor(endpoint: Restartable, budget: RestartBudget | null, backOff: BackOff) {
    this.#endpoint = endpoint;
    this.#budget = budget;
    this.#backOff = backOff;
  }

  /** Starts again after a pause. @returns the pause, and the endpoint's state until then */
  schedule(): { state: 'backoff' | 'failed'; pauseMs: Milliseconds } {
    this.#readyAt = 0;
    if (this.#budget === null || this.#budget.spend(performance.now())) {
      const pauseMs = this.#backOff.next();
      this.#timer = setTimeout(() => this.#endpoint.start(), pauseMs);
      return { state: 'backoff', pauseMs };
    }
    this.#timer = setTimeout(() => {
      this.#budget?.reset();
      this.#backOff.reset();
      this.#endpoint.start();
    }, HOLD_MS);
    return { state: 'failed', pauseMs: HOLD_MS };
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
