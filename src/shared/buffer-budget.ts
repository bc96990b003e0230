/**
 * The bound over all bytes that the front holds for calls and streams (`limits.maxBufferedBytes`). Holders say what they
 * hold; when one of them would take more than there is, the largest ones have to let go, itself included. So a few large
 * answers or bodies make room for many small ones, and what holds little goes on.
 *
 * Main thread only; plain numbers, because the request path changes them.
 */
import type { Bytes, Count } from '../units.js';

/** Something that holds bytes and can let go of them. The budget alone writes the members. */
export interface Holder {
  held: Bytes;
  /** It was chosen to let go: {@link evicted} follows, or was called and has not come into effect. */
  leaving: boolean;
  /**
   * Others need the room: end what the bytes are held for. Called in a turn of the event loop of its own; the holder
   * reports its bytes as given back with `set(holder, 0)` when they are.
   */
  evicted(): void;
}

/** Counts for `/stats` and `/metrics`. */
export interface BufferCounts {
  /** Held now. */
  readonly bytes: Bytes;
  /** The most that was held at once. */
  readonly peakBytes: Bytes;
  /** `limits.maxBufferedBytes`; 0 = no bound. */
  readonly maxBytes: Bytes;
  /** Answers, bodies and connections that had to let go, and requests that were not taken. */
  readonly refused: Count;
}

/** Where the bound comes from, and who is told that it was reached. */
export interface BufferBudgetRules {
  /** Most bytes at once; 0 = no bound. Asked for each time, since a reload changes it. */
  max(): Bytes;
  /** The bound was reached for the first time since less than half of it was held. */
  reached(counts: BufferCounts): void;
}

/** Holding so much needs no permission: small calls go on while large ones are refused. */
export const FREE_BYTES: Bytes = 16_384;

const UNBOUNDED: BufferBudgetRules = { max: () => 0, reached: () => {} };

/** See the file comment; one for each gateway. */
export class BufferBudget {
  readonly #rules: BufferBudgetRules;
  /** Those that hold more than {@link FREE_BYTES} and are not leaving. */
  readonly #large = new Set<Holder>();
  readonly #chosen: Holder[] = [];
  #bytes: Bytes = 0;
  /** Of `#bytes`, what leaving holders have. */
  #leaving: Bytes = 0;
  #peak: Bytes = 0;
  #refused: Count = 0;
  #isReached = false;

  constructor(rules: BufferBudgetRules = UNBOUNDED) {
    this.#rules = rules;
  }

  get counts(): BufferCounts {
    return { bytes: this.#bytes, peakBytes: this.#peak, maxBytes: this.#rules.max(), refused: this.#refused };
  }

  /** Whether so many bytes of one holder are more than it may keep for now: a writer should wait for its reader. */
  isTight(bytes: Bytes): boolean {
    if (bytes <= FREE_BYTES) return false;
    const max = this.#rules.max();
    return max > 0 && this.#bytes >= max;
  }

  /** Tells what `holder` holds from now on. It may be told to let go a moment later. */
  set(holder: Holder, bytes: Bytes): void {
    const { held } = holder;
    if (bytes === held) return;
    holder.held = bytes;
    this.#bytes += bytes - held;
    if (holder.leaving) {
      this.#leaving += bytes - held;
      if (bytes === 0) holder.leaving = false;
    } else if (bytes > FREE_BYTES) {
      this.#large.add(holder);
      if (bytes > held) this.#makeRoom(0, 0);
    } else if (held > FREE_BYTES) {
      this.#large.delete(holder);
    }
    if (bytes > held) this.#noteRise();
    else this.#noteFall();
  }

  /**
   * Counts bytes that cannot be let go before their time, such as the body of a call under way.
   *
   * @returns false when there is no room for them, and none of the larger holders can make it; nothing is counted then
   */
  take(bytes: Bytes): boolean {
    if (bytes > FREE_BYTES && !this.#makeRoom(bytes, bytes)) {
      this.#refused += 1;
      return false;
    }
    this.#bytes += bytes;
    this.#noteRise();
    return true;
  }

  /** Gives back what {@link take} counted. */
  give(bytes: Bytes): void {
    this.#bytes -= bytes;
    this.#noteFall();
  }

  /** Counts more (or less) of what has a bound of its own, such as a pipe. */
  add(bytes: Bytes): void {
    this.#bytes += bytes;
    if (bytes > 0) this.#noteRise();
    else this.#noteFall();
  }

  /**
   * Chooses holders until `more` bytes fit.
   *
   * @param least only holders with more bytes than this are chosen
   * @returns whether they fit, once those that were chosen have let go
   */
  #makeRoom(more: Bytes, least: Bytes): boolean {
    const max = this.#rules.max();
    if (max === 0) return true;
    while (this.#bytes - this.#leaving + more > max) {
      this.#noteReached();
      const largest = this.#largest();
      if (largest === null || largest.held <= least) return false;
      this.#choose(largest);
    }
    return true;
  }

  #largest(): Holder | null {
    let largest: Holder | null = null;
    for (const holder of this.#large) {
      if (largest === null || holder.held > largest.held) largest = holder;
    }
    return largest;
  }

  #choose(holder: Holder): void {
    this.#large.delete(holder);
    holder.leaving = true;
    this.#leaving += holder.held;
    this.#refused += 1;
    if (this.#chosen.push(holder) === 1) setImmediate(this.#evict);
  }

  readonly #evict = (): void => {
    for (const holder of this.#chosen.splice(0)) {
      // It may have ended by itself meanwhile.
      if (holder.leaving) holder.evicted();
    }
  };

  #noteRise(): void {
    if (this.#bytes > this.#peak) this.#peak = this.#bytes;
  }

  #noteReached(): void {
    if (this.#isReached) return;
    this.#isReached = true;
    this.#rules.reached(this.counts);
  }

  #noteFall(): void {
    if (this.#isReached && this.#bytes * 2 < this.#rules.max()) this.#isReached = false;
  }
}
