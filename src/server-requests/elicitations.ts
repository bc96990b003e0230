import { deleteFirst } from '../shared/delete-first.js';
import type { Endpoint } from '../upstream/core/types.js';
import type { Call } from './open-requests.js';

/** Elicitations that are remembered; the oldest are evicted first. */
const MAX_ELICITATIONS = 10_000;

/** The client that was sent to a URL. */
export interface UrlRecipient {
  readonly sessionId: string;
  /** The call that the elicitation belongs to; null = none. */
  readonly call: Call | null;
}

/**
 * The recipients of `notifications/elicitation/complete`, by elicitation id. Ids are chosen by servers, so each is valid
 * for its origin only: the endpoint that sent the request, or the server whose error (-32042) named it. Owned by
 * ServerRequests.
 */
export class Elicitations {
  readonly #recipients = new Map<string, UrlRecipient>();
  readonly #numbers = new WeakMap<Endpoint, number>();
  #count = 0;

  /** Remembers a recipient; a later one with the same id replaces it. @param from the endpoint, or the index of the server */
  add(from: Endpoint | number, elicitationId: string, recipient: UrlRecipient): void {
    const key = this.#key(from, elicitationId);
    this.#recipients.delete(key);
    if (this.#recipients.size >= MAX_ELICITATIONS) deleteFirst(this.#recipients);
    this.#recipients.set(key, recipient);
  }

  /** Removes and returns the recipient of an elicitation that an endpoint reports complete; null when there is none. */
  complete(endpoint: Endpoint, elicitationId: string): UrlRecipient | null {
    for (const from of [endpoint, endpoint.server]) {
      const key = this.#key(from, elicitationId);
      const recipient = this.#recipients.get(key);
      if (recipient === undefined) continue;
      this.#recipients.delete(key);
      return recipient;
    }
    return null;
  }

  clear(): void {
    this.#recipients.clear();
  }

  #key(from: Endpoint | number, elicitationId: string): string {
    if (typeof from === 'number') return `s${from} ${elicitationId}`;
    let number = this.#numbers.get(from);
    if (number === undefined) {
      this.#count += 1;
      number = this.#count;
      this.#numbers.set(from, number);
    }
    return `e${number} ${elicitationId}`;
  }
}
