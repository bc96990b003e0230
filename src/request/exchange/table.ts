import { BufferBudget } from '../../shared/buffer-budget.js';
import { VerdictWord } from '../../shared/records.js';
import type { Bytes } from '../../units.js';
import { Exchange, Framing, Phase } from './index.js';

const NO_BYTES = Buffer.alloc(0);

/** Progress tokens have no limit of their own: a longer buffer is not kept in the pool. */
const KEPT_TOKEN_BYTES = 256;

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
    exchange.phase = Phase.accepting;
    return exchange;
  }

  /**
   * Counts the message of an exchange, which is kept in one form or another until the exchange is given back.
   *
   * @returns false when there is no room for it
   */
  count(exchange: Exchange, bytes: Bytes): boolean {
    if (!this.budget.take(bytes)) return false;
    exchange.countedBytes += bytes;
    return true;
  }

  /** Gives an exchange back; everything that refers to a client or an upstream is dropped. */
  release(exchange: Exchange): void {
    if (exchange.phase === Phase.free) return;
    exchange.phase = Phase.free;
    if (exchange.countedBytes > 0) this.budget.give(exchange.countedBytes);
    exchange.countedBytes = 0;
    exchange.reply = null;
    exchange.accepts = 0;
    exchange.token = '';
    exchange.foreignScheme = false;
    exchange.sessionId = '';
    exchange.versionHeader = '';
    exchange.methodHeader = '';
    exchange.nameHeader = '';
    exchange.hasNameHeader = false;
    exchange.lastEventId = '';
    exchange.framing = Framing.sse;
    exchange.headerless = false;
    exchange.link = null;
    exchange.capabilities = -1;
    exchange.openRequests = 0;
    exchange.eventStream = 0;
    exchange.origin = '';
    exchange.paramHeaders = null;
    exchange.body = NO_BYTES;
    exchange.bodyLength = 0;
    exchange.idLength = 0;
    exchange.progressLength = 0;
    if (exchange.progress.length > KEPT_TOKEN_BYTES) exchange.progress = NO_BYTES;
    exchange.wishes = 0;
    exchange.detail = '';
    exchange.logLevel = 8;
    exchange.session = null;
    exchange.decodedName = NO_BYTES;
    exchange.taskTool = '';
    exchange.batch = null;
    exchange.attempts = 0;
    exchange.worker = -1;
    exchange.verdict[VerdictWord.verdict] = 0;
    exchange.server = -1;
    exchange.endpoint = -1;
    exchange.upstream = null;
    exchange.connection = null;
    exchange.tried.clear();
    exchange.sent = false;
    exchange.streaming = false;
    exchange.events = 0;
    exchange.status = 0;
    exchange.error = null;
    exchange.bytesIn = 0;
    exchange.bytesOut = 0;
    exchange.deadline = 0;
    exchange.sentAt = 0;
    this.#free[this.#freeCount] = exchange.slot;
    this.#freeCount += 1;
  }

  /** The exchange of that slot if it still is in that generation. */
  find(slot: number, generation: number): Exchange | null {
    const exchange = this.#slots[slot];
    return exchange !== undefined && exchange.generation === generation && exchange.phase !== Phase.free
      ? exchange
      : null;
  }

  /** The exchange with that id towards upstreams (generation * 65,536 + slot, below 2^47), or null if there is none (any more). */
  byUpstreamId(id: number): Exchange | null {
    const slot = id % 65_536;
    return this.find(slot, (id - slot) / 65_536);
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
