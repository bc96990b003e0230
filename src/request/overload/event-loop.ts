/** What the event loop of this thread does. */
import { performance } from 'node:perf_hooks';
import type { Milliseconds } from '../../units.js';

/** See the file comment. One per guard. */
export class EventLoop {
  /** When this turn was asked about first; 0 = it was not. */
  #turnBegan: Milliseconds = 0;

  /** Time since the start in which it did not wait for something to do. */
  activeMs(): Milliseconds {
    return performance.eventLoopUtilization().active;
  }

  /** Time since this turn was asked about first. */
  turnMs(): Milliseconds {
    const now = performance.now();
    if (this.#turnBegan === 0) {
      this.#turnBegan = now;
      setImmediate(this.#endTurn);
    }
    return now - this.#turnBegan;
  }

  readonly #endTurn = (): void => {
    this.#turnBegan = 0;
  };
}
