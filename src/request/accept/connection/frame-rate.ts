import type { Bytes, Count } from '../../../units.js';

/**
 * Frames with fewer bytes are counted. A kilobyte of frames of a few bytes costs more than 1 ms of processor time for
 * framing and answers, and a fraction of it from this size on.
 */
export const SMALL_FRAME_BYTES: Bytes = 64;
/** Seconds' worth of frames that may come at once. */
const BURST_SECONDS = 10;

/** A token bucket for the small frames of one WebSocket. The clock is read only when the bucket is empty. */
export class FrameRate {
  readonly #perSecond: Count;
  readonly #now: () => number;
  #tokens: number;
  #filledAt: number;

  /**
   * @param perSecond frames a second; 0 = no bound
   * @param now milliseconds of a clock that never goes back
   */
  constructor(perSecond: Count, now: () => number = () => performance.now()) {
    this.#perSecond = perSecond;
    this.#now = now;
    this.#tokens = perSecond * BURST_SECONDS;
    this.#filledAt = now();
  }

  /** Takes a token for a frame of so many bytes. @returns false when none is left */
  take(bytes: Bytes): boolean {
    if (bytes >= SMALL_FRAME_BYTES || this.#perSecond === 0) return true;
    if (this.#tokens < 1) this.#fill();
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }

  #fill(): void {
    const now = this.#now();
    const tokens = this.#tokens + ((now - this.#filledAt) * this.#perSecond) / 1_000;
    this.#filledAt = now;
    this.#tokens = Math.min(tokens, this.#perSecond * BURST_SECONDS);
  }
}
