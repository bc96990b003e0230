import type { SessionLike } from '../request/exchange/index.js';
import type { OpenRequest } from './open-requests.js';

/** A request of an upstream and its message to the client. */
export interface WaitingRequest {
  readonly request: OpenRequest;
  readonly message: Uint8Array;
}

/**
 * Requests to sessions that have no stream at the moment. They are open requests, so that `limits.maxServerRequests` bounds
 * them and `limits.answerMs` ends them. Owned by ServerRequests.
 */
export class WaitingRequests {
  readonly #bySession = new Map<string, WaitingRequest[]>();

  add(session: SessionLike, waiting: WaitingRequest): void {
    session.hasWaitingRequests = true;
    const list = this.#bySession.get(session.id);
    if (list === undefined) this.#bySession.set(session.id, [waiting]);
    else list.push(waiting);
  }

  /** Removes all of one session; those that cannot be sent yet are added again. */
  take(session: SessionLike): readonly WaitingRequest[] {
    session.hasWaitingRequests = false;
    const list = this.#bySession.get(session.id) ?? [];
    this.drop(session.id);
    return list;
  }

  drop(sessionId: string): void {
    this.#bySession.delete(sessionId);
  }

  /** Drops a request that has ended. @returns whether it waited */
  remove({ sessionId, id }: OpenRequest): boolean {
    const list = this.#bySession.get(sessionId);
    const at = list?.findIndex(({ request }) => request.id === id) ?? -1;
    if (list === undefined || at < 0) return false;
    list.splice(at, 1);
    if (list.length === 0) this.#bySession.delete(sessionId);
    return true;
  }

  clear(): void {
    this.#bySession.clear();
  }
}
