/** A token bucket for the requests and notifications of one endpoint's server (`limits.maxNotificationsPerSecond`). */
import type { Current } from '../../../config/snapshot/current.js';
import type { Count, Milliseconds } from '../../../units.js';

/** Tokens that a message costs, by the work that it causes: a request occupies a client, an update many of them. */
export const MessageCost = { notification: 1, update: 10, request: 100 } as const;

/** What an exceeded limit is reported to. */
export interface LimitObserver {
  /** Called when the limit is exceeded, and again only after the bucket has been full in between. */
  notificationLimitExceeded(): void;
}

/** What {@link NotificationLimit} reads of the configuration. */
export interface NotificationLimitConfig {
  readonly limits: { readonly maxNotificationsPerSecond: Count };
}

/**
 * Refilled only when it is empty, so that a message costs a subtraction while there are tokens; after a quiet time up to two
 * seconds' worth of messages passes at once. One for each endpoint.
 */
export class NotificationLimit {
  readonly #config: Current<NotificationLimitConfig>;
  readonly #stats: { droppedNotifications: Count };
  readonly #observer: LimitObserver;
  #tokens: Count;
  /** `performance.now()` of the last filling. */
  #filledAt: Milliseconds;
  #exceeding = false;

  /**
   * @param stats counts dropped messages
   */
  constructor(
    config: Current<NotificationLimitConfig>,
    stats: { droppedNotifications: Count },
    observer: LimitObserver,
  ) {
    this.#config = config;
    this.#stats = stats;
    this.#observer = observer;
    this.#tokens = config.current.limits.maxNotificationsPerSecond;
    this.#filledAt = performance.now();
  }

  /** Whether the limit is exceeded: from the first message above it until the bucket is full again. */
  get exceeding(): boolean {
    return this.#exceeding && !this.#isFull(performance.now());
  }

  /** Takes tokens. @returns false = the message is above the limit and has to be dropped or deferred */
  take(cost: Count): boolean {
    this.#tokens -= cost;
    return this.#tokens >= 0 || this.#fill(cost);
  }

  /** Like {@link take}, for a message that is dropped above the limit. */
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
    const rate = this.#config.current.limits.maxNotificationsPerSecond;
    if (rate === 0) {
      this.#tokens = 0;
      return true;
    }
    const now = performance.now();
    // A message that costs more than the bucket holds passes when the bucket is full.
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
      this.#observer.notificationLimitExceeded();
    }
    return false;
  }

  #isFull(now: Milliseconds): boolean {
    const rate = this.#config.current.limits.maxNotificationsPerSecond;
    return rate === 0 || Math.max(0, this.#tokens) + ((now - this.#filledAt) * rate) / 1_000 >= rate;
  }
}
