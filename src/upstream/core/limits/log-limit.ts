import type { Milliseconds } from '../../../units.js';

/** Admits a number of log lines in each window and counts the others. */
export class LogLimit {
  readonly #perWindow: number;
  readonly #windowMs: Milliseconds;
  #windowStart = Number.NEGATIVE_INFINITY;
  #used = 0;
  #suppressed = 0;

  /**
   * @param perWindow lines in one window, default 20
   * @param windowMs default 10,000
   */
  constructor(perWindow = 20, windowMs: Milliseconds = 10_000) {
    this.#perWindow = perWindow;
    this.#windowMs = windowMs;
  }

  /** @returns -1 = do not log; otherwise the number of lines suppressed since the last one that was logged */
  admit(now: Milliseconds): number {
    if (now - this.#windowStart >= this.#windowMs) {
      this.#windowStart = now;
      this.#used = 0;
    }
    if (this.#used >= this.#perWindow) {
      this.#suppressed += 1;
      return -1;
    }
    this.#used += 1;
    const suppressed = this.#suppressed;
    this.#suppressed = 0;
    return suppressed;
  }
}

/** The first `max` bytes as printable ASCII; all other bytes are escaped. */
export function escaped(bytes: Uint8Array, max = 200): string {
  let text = '';
  const length = Math.min(bytes.length, max);
  for (let index = 0; index < length; index += 1) {
    const byte = bytes[index]!;
    if (byte >= 0x20 && byte < 0x7f && byte !== 0x5c) text += String.fromCharCode(byte);
    else text += byte === 0x5c ? '\\\\' : `\\x${byte.toString(16).padStart(2, '0')}`;
  }
  return bytes.length > max ? `${text}...` : text;
}
