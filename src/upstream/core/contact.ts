import { Era } from '../../protocol/revisions.js';
import type { Milliseconds } from '../../units.js';
import { BackOff } from '../balance/back-off.js';
import { type ControlChannel, ControlError } from './control.js';
import { reasonOf } from './reasons.js';

/** What is checked, an endpoint without a connection of its own. */
export interface ContactSubject extends ControlChannel {
  readonly era: Era;
  /** Whether it still counts as connected, so that only a check can tell. */
  readonly isCheckable: boolean;
  /** Whether the contact is lost; a call may have been answered since. */
  readonly isContactLost: boolean;
  /** The upstream cannot be reached; the next check follows after so many ms. */
  contactLost(reason: string, retryInMs: Milliseconds): void;
  /** The upstream has answered. */
  contactFound(): void;
}

/**
 * Finds out whether an upstream that a call could not reach is gone, and when it is back: HTTP has no connection whose end
 * would show it. Checks only from such a call until the next answer. Owned by the endpoint.
 */
export class Contact {
  readonly #subject: ContactSubject;
  readonly #timeoutMs: Milliseconds;
  readonly #backOff = new BackOff();
  #isChecking = false;

  /** @param timeoutMs for one check */
  constructor(subject: ContactSubject, timeoutMs: Milliseconds) {
    this.#subject = subject;
    this.#timeoutMs = timeoutMs;
  }

  /** A call could not reach the upstream. */
  suspect(): void {
    if (this.#isChecking) return;
    this.#isChecking = true;
    this.#backOff.reset();
    void this.#check();
  }

  async #check(): Promise<void> {
    const subject = this.#subject;
    const reason = await this.#attempt();
    this.#isChecking = false;
    if (!subject.isCheckable) return;
    if (reason === '') {
      subject.contactFound();
      return;
    }
    const pauseMs = this.#backOff.next();
    subject.contactLost(reason, pauseMs);
    this.#isChecking = true;
    setTimeout(() => {
      this.#isChecking = subject.isCheckable && subject.isContactLost;
      if (this.#isChecking) void this.#check();
    }, pauseMs).unref();
  }

  /** @returns why there is no contact, '' = there is: a refusal is an answer, too */
  async #attempt(): Promise<string> {
    try {
      const method = this.#subject.era === Era.modern ? 'server/discover' : 'ping';
      await this.#subject.request(method, {}, { timeoutMs: this.#timeoutMs });
      return '';
    } catch (error) {
      const isAnswer = error instanceof ControlError && !NO_ANSWER.has(error.kind);
      return isAnswer ? '' : reasonOf(error);
    }
  }
}

const NO_ANSWER: ReadonlySet<ControlError['kind']> = new Set(['unreachable', 'timeout', 'closed']);
