import type { Exchange, SessionLike } from '../../request/exchange/index.js';
import type { Milliseconds } from '../../units.js';

/** How long after a call what a server says beside its calls may still be about it. */
const LINGER_MS: Milliseconds = 2_000;

/**
 * Whose calls a shared upstream session has just been working on, so that a question that names no call reaches only a
 * client that must be the one it is for.
 */
export class RecentClients {
  #session: SessionLike | null = null;
  readonly #subject = new Int32Array(4);
  /** When the last call ended, and the last one of any other client. */
  #lastAt: Milliseconds = Number.NEGATIVE_INFINITY;
  #otherAt: Milliseconds = Number.NEGATIVE_INFINITY;

  /** A call is over. */
  ended(exchange: Exchange, now: Milliseconds): void {
    if (!this.#isLast(exchange)) {
      this.#otherAt = this.#lastAt;
      this.#session = exchange.client.session;
      this.#subject.set(exchange.verdict.subject);
    }
    this.#lastAt = now;
  }

  /** Whether no other client's call ended so lately that it could be meant instead of this one. */
  only(exchange: Exchange, now: Milliseconds): boolean {
    return now - (this.#isLast(exchange) ? this.#otherAt : this.#lastAt) >= LINGER_MS;
  }

  /** Clients with sessions are told apart by them, others by their subject. */
  #isLast({ client: { session }, verdict }: Exchange): boolean {
    if (session !== null || this.#session !== null) return session === this.#session;
    return verdict.isFor(this.#subject);
  }
}
