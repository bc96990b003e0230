import type { Exchange, SessionLike } from '../../request/exchange/index.js';
import type { Milliseconds } from '../../units.js';

/** How long after the end of a call a message of the server can still be about it. */
const LINGER_MS: Milliseconds = 2_000;

/**
 * Which clients' calls have just ended at an endpoint that many clients share: a message that names no call may be about one
 * of those. Called by {@link Attribution}.
 */
export class RecentClients {
  readonly #bySession: boolean;
  #session: SessionLike | null = null;
  readonly #subject = new Int32Array(4);
  /** When the last call ended, and the last one of any other client. */
  #lastAt: Milliseconds = Number.NEGATIVE_INFINITY;
  #otherAt: Milliseconds = Number.NEGATIVE_INFINITY;

  /**
   * @param clients what distinguishes clients: the subject, or the legacy session where there is one and the subject otherwise
   */
  constructor(clients: 'subject' | 'session') {
    this.#bySession = clients === 'session';
  }

  /** A call has ended. */
  ended(exchange: Exchange, now: Milliseconds): void {
    if (!this.#isLast(exchange)) {
      this.#otherAt = this.#lastAt;
      this.#session = exchange.client.session;
      this.#subject.set(exchange.verdict.subject);
    }
    this.#lastAt = now;
  }

  /** Whether no call of another client ended within the last two seconds. */
  only(exchange: Exchange, now: Milliseconds): boolean {
    return now - (this.#isLast(exchange) ? this.#otherAt : this.#lastAt) >= LINGER_MS;
  }

  #isLast({ client: { session }, verdict }: Exchange): boolean {
    if (this.#bySession && (session !== null || this.#session !== null)) return session === this.#session;
    return verdict.isFor(this.#subject);
  }
}
