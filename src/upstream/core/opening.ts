import type { Count, Milliseconds } from '../../units.js';

/** Longest wait for the response to the `ping` after `initialized`. */
const PING_MS: Milliseconds = 1_000;
/** Longest wait for responses of the client. */
const ANSWERS_MS: Milliseconds = 5_000;
/** Pause after the last response: servers apply roots in steps, and would refuse a call that they read meanwhile. */
const APPLY_MS: Milliseconds = 100;

/**
 * The time after `initialized` in which a server that belongs to one client asks for what it needs before its first call
 * (the roots, as a rule). Its first call waits for the responses. One for each handshake of a dedicated endpoint.
 */
export class Opening {
  #asked: Count = 0;
  #open: Count = 0;
  #answered: (() => void) | null = null;

  /** The server has sent a request. */
  asked(): void {
    this.#asked += 1;
    this.#open += 1;
  }

  /** A response was sent to it. */
  answered(): void {
    this.#open = Math.max(0, this.#open - 1);
    if (this.#open === 0) this.#answered?.();
  }

  /**
   * Settles when the server may get calls; never fails.
   *
   * @param ping sends a `ping`: its response follows whatever the server asked when it was initialized
   */
  async settled(ping: (timeoutMs: Milliseconds) => Promise<unknown>): Promise<void> {
    await ping(PING_MS).catch(() => {});
    if (this.#asked === 0) return;
    if (this.#open > 0) await this.#allAnswered();
    await new Promise((resolve) => setTimeout(resolve, APPLY_MS));
  }

  #allAnswered(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ANSWERS_MS).unref();
      this.#answered = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
