import type { Exchange } from '../../request/exchange/index.js';
import type { Milliseconds } from '../../units.js';

/** How long after another subject's call log messages may still be about that one. */
const FOREIGN_MS: Milliseconds = 2_000;

/**
 * Remembers whose calls a shared child has been working on, so that log messages, which name no request, reach only a
 * client that must be the one they are about.
 */
export class LogOwnership {
  #subject0 = 0;
  #subject1 = 0;
  #subject2 = 0;
  #subject3 = 0;
  #used = false;
  #foreignUntil: Milliseconds = 0;

  /** A call of this exchange starts or ends. */
  seen(exchange: Exchange): void {
    const { verdict } = exchange;
    if (
      verdict.subject[0]! === this.#subject0 &&
      verdict.subject[1]! === this.#subject1 &&
      verdict.subject[2]! === this.#subject2 &&
      verdict.subject[3]! === this.#subject3
    ) {
      this.#used = true;
      return;
    }
    if (this.#used) this.#foreignUntil = performance.now() + FOREIGN_MS;
    this.#used = true;
    this.#subject0 = verdict.subject[0]!;
    this.#subject1 = verdict.subject[1]!;
    this.#subject2 = verdict.subject[2]!;
    this.#subject3 = verdict.subject[3]!;
  }

  /** Whether what is said now can only be about calls of the subject that was seen last. */
  exclusive(): boolean {
    return this.#foreignUntil === 0 || performance.now() >= this.#foreignUntil;
  }
}
