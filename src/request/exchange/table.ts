import { BufferBudget } from '../../shared/buffer-budget.js';
import type { Bytes } from '../../units.js';
import { Concurrency } from './concurrency.js';
import { Exchange, Phase } from './index.js';

/** Added to the id of a call towards its upstream for a second request of the same call; see `ExchangeTable.byUpstreamId`. */
export const SECOND_ID = 2 ** 47;

/** Whether two ids towards upstreams are of one call. */
export function isOfOneCall(a: number, b: number): boolean {
  return a % SECOND_ID === b % SECOND_ID;
}

/**
 * The pool of exchanges and the table by which verdicts and upstream answers find theirs again.
 * Bounded: `limits.maxInFlight` exchanges, at most 65,535 (a slot is 16 bits of an upstream id).
 */
export class ExchangeTable {
  readonly #slots: (Exchange | undefined)[];
  readonly #free: Int32Array;
  #freeCount = 0;
  #created = 0;
  readonly capacity: number;
  /** What the front holds for calls and streams; here because all who hold something have the table. */
  readonly budget: BufferBudget;
  /** What limits on calls at once count; here because every call ends with {@link release}. */
  readonly concurrency = new Concurrency();

  constructor(capacity: number, budget: BufferBudget = new BufferBudget()) {
    if (!Number.isInteger(capacity) || capacity < 1 || capacity > 65_535) {
      throw new RangeError('an exchange table holds 1 to 65535 exchanges');
    }
    this.capacity = capacity;
    this.budget = budget;
    this.#slots = new Array<Exchange | undefined>(capacity);
    this.#free = new Int32Array(capacity);
  }

  /** Exchanges in use. */
  get inUse(): number {
    return this.#created - this.#freeCount;
  }

  /** Takes a free exchange with a new generation; `null` when `capacity` are in use. */
  acquire(): Exchange | null {
    let exchange: Exchange;
    if (this.#freeCount > 0) {
      this.#freeCount -= 1;
      exchange = this.#slots[this.#free[this.#freeCount]!]!;
    } else if (this.#created < this.capacity) {
      exchange = new Exchange(this.#created);
      this.#slots[this.#created] = exchange;
      this.#created += 1;
    } else {
      return null;
    }
    exchange.generation = (exchange.generation + 1) & 0x7fffffff;
    exchange.enter(Phase.accepting);
    return exchange;
  }

  /**
   * Counts the message of an exchange, which is kept in one form or another until the exchange is given back.
   *
   * @returns false when there is no room for it
   */
  count(exchange: Exchange, bytes: Bytes): boolean {
    if (!this.budget.reserve(bytes)) return false;
    exchange.countedBytes += bytes;
    return true;
  }

  /** Gives an exchange back. */
  release(exchange: Exchange): void {
    if (exchange.phase === Phase.free) return;
    exchange.enter(Phase.free);
    if (exchange.countedBytes > 0) this.budget.release(exchange.countedBytes);
    this.concurrency.endRequest(exchange.client);
    this.concurrency.endCall(exchange.call);
    exchange.reset();
    this.#free[this.#freeCount] = exchange.slot;
    this.#freeCount += 1;
  }

  /** The request of its client is answered, and its call goes on without a client. */
  suspended(exchange: Exchange): void {
    this.concurrency.endRequest(exchange.client);
  }

  /** The exchange of that slot if it still is in that generation. */
  find(slot: number, generation: number): Exchange | null {
    const exchange = this.#slots[slot];
    return exchange !== undefined && exchange.generation === generation && exchange.phase !== Phase.free
      ? exchange
      : null;
  }

  /**
   * The exchange with that id towards upstreams (generation * 65,536 + slot, below 2^47; {@link SECOND_ID} more for the
   * second request of a call), or null if there is none (any more).
   */
  byUpstreamId(id: number): Exchange | null {
    const first = id % SECOND_ID;
    const slot = first % 65_536;
    return id < 2 * SECOND_ID ? this.find(slot, (first - slot) / 65_536) : null;
  }

  /**
   * Calls `visit` for the exchanges in use among the `count` slots from `from` on.
   *
   * @returns the slot to go on with, 0 after the last one
   */
  visitSome(from: number, count: number, visit: (exchange: Exchange) => void): number {
    const end = Math.min(this.#created, from + count);
    for (let slot = from; slot < end; slot += 1) {
      const exchange = this.#slots[slot]!;
      if (exchange.phase !== Phase.free) visit(exchange);
    }
    return end < this.#created ? end : 0;
  }

  /** Calls `visit` for each exchange in use. */
  forEach(visit: (exchange: Exchange) => void): void {
    for (let slot = 0; slot < this.#created; slot += 1) {
      const exchange = this.#slots[slot]!;
      if (exchange.phase !== Phase.free) visit(exchange);
    }
  }
}
