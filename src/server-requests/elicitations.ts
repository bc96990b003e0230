import type { Endpoint } from '../upstream/core/types.js';
import type { Call } from './open-requests.js';

/** Elicitations by URL that are remembered; the oldest are forgotten first. */
const MAX_ELICITATIONS = 10_000;

/** Who was sent to a URL. */
export interface UrlRecipient {
  readonly sessionId: string;
  /** The call on whose behalf, null = none. */
  readonly call: Call | null;
}

/**
 * Who has to be told that an elicitation by URL is complete. Ids are the servers' own, so that each counts only where it
 * came from: at its endpoint, or at its server where an error (-32042) named it.
 */
export class Elicitations {
  readonly #recipients = new Map<string, UrlRecipient>();
  readonly #numbers = new WeakMap<Endpoint, number>();
  #count = 0;

  /** Remembers a visitor; a later one with the same id takes its place. */
  add(from: Endpoint | number, elicitationId: string, visitor: UrlRecipient): void {
    const key = this.#key(from, elicitationId);
    this.#recipients.delete(key);
    if (this.#recipients.size >= MAX_ELICITATIONS) this.#recipients.delete(this.#recipients.keys().next().value!);
    this.#recipients.set(key, visitor);
  }

  /** The visitor that an endpoint speaks of, who is forgotten with it; null when there is none. */
  complete(endpoint: Endpoint, elicitationId: string): UrlRecipient | null {
    for (const from of [endpoint, endpoint.server]) {
      const key = this.#key(from, elicitationId);
      const visitor = this.#recipients.get(key);
      if (visitor === undefined) continue;
      this.#recipients.delete(key);
      return visitor;
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
