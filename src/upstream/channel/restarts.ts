import type { Milliseconds } from '../../units.js';
import type { BackOff, RestartBudget } from '../balance/back-off.js';

/** How long what was started too often is left alone. */
const HOLD_MS: Milliseconds = 60_000;
/** What has been ready for so long starts over with its pauses. */
const STABLE_MS: Milliseconds = 10_000;

/** When a channel that ended is opened again. */
export class ChannelRestarts {
  readonly #start: () => void;
  readonly #budget: RestartBudget | null;
  readonly #backOff: BackOff;
  #timer: NodeJS.Timeout | undefined;
  #readyAt: Milliseconds = 0;

  /**
   * @param start opens it
   * @param budget restarts in a window before a long pause; null = any number, with pauses that grow
   * @param backOff the pauses
   */
  constructor(start: () => void, budget: RestartBudget | null, backOff: BackOff) {
    this.#start = start;
    this.#budget = budget;
    this.#backOff = backOff;
  }

  /** Starts again after a pause. @returns what the endpoint's state is until then */
  again(): 'backoff' | 'failed' {
    this.#readyAt = 0;
    if (this.#budget === null || this.#budget.spend(performance.now())) {
      this.#timer = setTimeout(this.#start, this.#backOff.next());
      return 'backoff';
    }
    this.#timer = setTimeout(() => {
      this.#budget?.reset();
      this.#backOff.reset();
      this.#start();
    }, HOLD_MS);
    return 'failed';
  }

  /** The handshake is done. */
  ready(): void {
    this.#readyAt = performance.now();
  }

  tick(now: Milliseconds): void {
    if (this.#readyAt === 0 || now - this.#readyAt < STABLE_MS) return;
    this.#readyAt = 0;
    this.#backOff.reset();
  }

  /** Nothing is started any more. */
  stop(): void {
    clearTimeout(this.#timer);
  }
}
