/** How many messages that are no answers an endpoint takes: a token bucket (`limits.maxNotificationsPerSecond`). */
import type { Count, Milliseconds } from '../../units.js';

/** What a message costs, by how much work it makes: a request of the server occupies a client, an update many of them. */
export const MessageCost = { notification: 1, update: 10, request: 100 } as const;

/**
 * Filled up only when it is empty, so that a message costs a subtraction while there is room; after a quiet time up to two
 * seconds' worth may come at once.
 */
export class NotificationLimit {
  readonly #limits: { readonly maxNotificationsPerSecond: Count };
  readonly #stats: { droppedNotifications: Count };
  readonly #exceeded: () => void;
  #tokens: Count;
  /** `performance.now()` of the last filling. */
  #filledAt: Milliseconds;
  #exceeding = false;

  /**
   * @param limits read at each use: a reload changes the member
   * @param stats what is dropped is counted there
   * @param exceeded called once when the limit is reached, and again only after the bucket has been full meanwhile
   */
  constructor(
    limits: { readonly maxNotificationsPerSecond: Count },
    stats: { droppedNotifications: Count },
    exceeded: () => void,
  ) {
    this.#limits = limits;
    this.#stats = stats;
    this.#exceeded = exceeded;
    this.#tokens = limits.maxNotificationsPerSecond;
    this.#filledAt = performance.now();
  }

  /** Whether the upstream is over the limit: from the first message over it until the bucket is full again. */
  get exceeding(): boolean {
    return this.#exceeding && !this.#isFull(performance.now());
  }

  /** Takes a message of that cost. @returns false = it is over the limit, and its effect has to be dropped or put off */
  take(cost: Count): boolean {
    this.#tokens -= cost;
    return this.#tokens >= 0 || this.#fill(cost);
  }

  /** Like {@link take}, for a message that is dropped when it is over the limit. */
  admit(cost: Count): boolean {
    if (this.take(cost)) return true;
    this.drop();
    return false;
  }

  /** Counts a message that is dropped. */
  drop(): void {
    this.#stats.droppedNotifications += 1;
  }

  #fill(cost: Count): boolean {
    const rate = this.#limits.maxNotificationsPerSecond;
    if (rate === 0) {
      this.#tokens = 0;
      return true;
    }
    const now = performance.now();
    // A message that costs more than there ever is may come when the bucket is full.
    if (this.#isFull(now)) {
      this.#exceeding = false;
      this.#tokens = Math.max(0, rate - cost);
      this.#filledAt = now;
      return true;
    }
    const tokens = this.#tokens + ((now - this.#filledAt) * rate) / 1_000;
    this.#filledAt = now;
    if (tokens >= 0) {
      this.#tokens = tokens;
      return true;
    }
    this.#tokens = tokens + cost;
    if (!this.#exceeding) {
      this.#exceeding = true;
      this.#exceeded();
    }
    return false;
  }

  #isFull(now: Milliseconds): boolean {
    const rate = this.#limits.maxNotificationsPerSecond;
    return rate === 0 || Math.max(0, this.#tokens) + ((now - this.#filledAt) * rate) / 1_000 >= rate;
  }
}
