import type { Endpoint } from '../upstream/core/types.js';
import type { Call } from './open-requests.js';

/** Elicitations by URL that are remembered; the oldest are forgotten first. */
const MOST = 10_000;

/** Who was sent to a URL. */
export interface Visitor {
  readonly sessionId: string;
  /** The call on whose behalf, null = none. */
  readonly call: Call | null;
}

/**
 * Who has to be told that an elicitation by URL is complete. Ids are the servers' own, so that each counts only where it
 * came from: at its endpoint, or at its server where an error (-32042) named it.
 */
export class Elicitations {
  readonly #visitors = new Map<string, Visitor>();
  readonly #numbers = new WeakMap<Endpoint, number>();
  #count = 0;

  /** Remembers a visitor; a later one with the same id takes its place. */
  add(from: Endpoint | number, elicitationId: string, visitor: Visitor): void {
    const key = this.#key(from, elicitationId);
    this.#visitors.delete(key);
    if (this.#visitors.size >= MOST) this.#visitors.delete(this.#visitors.keys().next().value!);
    this.#visitors.set(key, visitor);
  }

  /** The visitor that an endpoint speaks of, who is forgotten with it; null when there is none. */
  take(endpoint: Endpoint, elicitationId: string): Visitor | null {
    for (const from of [endpoint, endpoint.server]) {
      const key = this.#key(from, elicitationId);
      const visitor = this.#visitors.get(key);
      if (visitor === undefined) continue;
      this.#visitors.delete(key);
      return visitor;
    }
    return null;
  }

  clear(): void {
    this.#visitors.clear();
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
