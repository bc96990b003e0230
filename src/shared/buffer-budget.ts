/**
 * The bound over all bytes that the front holds for calls and streams (`limits.maxBufferedBytes`). Holders report what they
 * hold; when the bound is exceeded, the largest holders are evicted, the reporting one included. So a few large answers or
 * bodies make room for many small ones, and small holders continue.
 *
 * Main thread only; plain numbers, because the request path changes them.
 */
import type { Bytes, Count } from '../units.js';

/** Something that holds bytes and can be evicted. Only the budget writes the members. */
export interface Holder {
  held: Bytes;
  /** Chosen for eviction: {@link evicted} follows, or was called and has not taken effect yet. */
  isEvicted: boolean;
  /**
   * Ends what the bytes are held for. Called in a turn of the event loop of its own; the holder reports with `set(holder, 0)`
   * when its bytes are freed.
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
  /** Evicted answers, bodies and connections, and refused requests. */
  readonly refused: Count;
}

/** The bound, and the notification that it was reached. */
export interface BufferBudgetRules {
  /** Most bytes at once; 0 = no bound. Called each time, since a reload changes it. */
  max(): Bytes;
  /** The bound was reached for the first time since less than half of it was held. */
  reached(counts: BufferCounts): void;
}

/** Holders of at most so many bytes are never refused: small calls continue while large ones are refused. */
export const FREE_BYTES: Bytes = 16_384;

const UNBOUNDED: BufferBudgetRules = { max: () => 0, reached: () => {} };

/** See the file comment; one for each gateway. */
export class BufferBudget {
  readonly #rules: BufferBudgetRules;
  /** Holders of more than {@link FREE_BYTES} that are not being evicted. */
  readonly #large = new Set<Holder>();
  readonly #chosen: Holder[] = [];
  #bytes: Bytes = 0;
  /** The bytes of `#bytes` whose holders are being evicted. */
  #evicting: Bytes = 0;
  #peak: Bytes = 0;
  #refused: Count = 0;
  #isReached = false;

  constructor(rules: BufferBudgetRules = UNBOUNDED) {
    this.#rules = rules;
  }

  get counts(): BufferCounts {
    return { bytes: this.#bytes, peakBytes: this.#peak, maxBytes: this.#rules.max(), refused: this.#refused };
  }

  /** Whether a holder of so many bytes should not grow for now: a writer should wait for its reader. */
  isTight(bytes: Bytes): boolean {
    if (bytes <= FREE_BYTES) return false;
    const max = this.#rules.max();
    return max > 0 && this.#bytes >= max;
  }

  /** Reports what `holder` holds from now on. It may be evicted a moment later. */
  set(holder: Holder, bytes: Bytes): void {
    const { held } = holder;
    if (bytes === held) return;
    holder.held = bytes;
    this.#bytes += bytes - held;
    if (holder.isEvicted) {
      this.#evicting += bytes - held;
      if (bytes === 0) holder.isEvicted = false;
    } else if (bytes > FREE_BYTES) {
      this.#large.add(holder);
      if (bytes > held) this.#makeRoom(0, 0);
    } else if (held > FREE_BYTES) {
      this.#large.delete(holder);
    }
    if (bytes > held) this.#recordPeak();
    else this.#endEpisode();
  }

  /**
   * Counts bytes that cannot be evicted, such as the body of a call under way.
   *
   * @returns false when there is no room for them even if larger holders are evicted; nothing is counted then
   */
  reserve(bytes: Bytes): boolean {
    if (bytes > FREE_BYTES && !this.#makeRoom(bytes, bytes)) {
      this.#refused += 1;
      return false;
    }
    this.#bytes += bytes;
    this.#recordPeak();
    return true;
  }

  /** Gives back what {@link reserve} counted. */
  release(bytes: Bytes): void {
    this.#bytes -= bytes;
    this.#endEpisode();
  }

  /** Counts more (or less) of what has a bound of its own, such as a pipe. */
  add(bytes: Bytes): void {
    this.#bytes += bytes;
    if (bytes > 0) this.#recordPeak();
    else this.#endEpisode();
  }

  /**
   * Chooses holders until `more` bytes fit.
   *
   * @param least only holders with more bytes than this are chosen
   * @returns whether they fit, once the chosen holders have been evicted
   */
  #makeRoom(more: Bytes, least: Bytes): boolean {
    const max = this.#rules.max();
    if (max === 0) return true;
    while (this.#bytes - this.#evicting + more > max) {
      this.#startEpisode();
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
    holder.isEvicted = true;
    this.#evicting += holder.held;
    this.#refused += 1;
    if (this.#chosen.push(holder) === 1) setImmediate(this.#evict);
  }

  readonly #evict = (): void => {
    for (const holder of this.#chosen.splice(0)) {
      // It may have freed its bytes by itself meanwhile.
      if (holder.isEvicted) holder.evicted();
    }
  };

  #recordPeak(): void {
    if (this.#bytes > this.#peak) this.#peak = this.#bytes;
  }

  #startEpisode(): void {
    if (this.#isReached) return;
    this.#isReached = true;
    this.#rules.reached(this.counts);
  }

  #endEpisode(): void {
    if (this.#isReached && this.#bytes * 2 < this.#rules.max()) this.#isReached = false;
  }
}
