import type { Milliseconds } from '../../units.js';
import { BackOff } from './back-off.js';

/** A stream that was open for so long is reopened without a longer pause. */
const STABLE_MS: Milliseconds = 5_000;
/** A server that closes so many streams in a row right after they were opened offers none. */
const MAX_SHORT_LIVED = 3;

/** Decides whether and when a long-lived stream that has ended is opened again. One for each stream. */
export class Reopening {
  readonly #backOff: BackOff;
  #shortLived = 0;

  /** @param firstMs first pause, default 250 */
  constructor(firstMs: Milliseconds = 250) {
    this.#backOff = new BackOff(firstMs);
  }

  /**
   * The stream has ended.
   *
   * @param openMs how long it was open
   * @param byServer the server closed it in order; a broken connection does not count against the server
   * @returns whether it is worth opening another one
   */
  ended(openMs: Milliseconds, byServer: boolean): boolean {
    if (openMs > STABLE_MS) this.reset();
    else if (byServer) this.#shortLived += 1;
    return this.#shortLived < MAX_SHORT_LIVED;
  }

  /** The pause before the next one. */
  pause(): Milliseconds {
    return this.#backOff.next();
  }

  reset(): void {
    this.#backOff.reset();
    this.#shortLived = 0;
  }
}
