import type { KeyMessage } from '../../src/shared/worker-messages.js';

/** Where a {@link KeySource} requests keys. */
export interface KeyRequests {
  /** Requests keys newer than `version`. The reply is a {@link KeyMessage}, also when there is nothing newer. */
  requestKeys(version: number): void;
}

/**
 * The keys a worker verifies tokens with. The front loads them once for the whole process; a worker that lacks a key
 * requests newer ones and gets a reply, whether or not there are any. One per worker.
 */
export class KeySource {
  /** The newest key set as JSON text, or null when there is none that may be used. */
  jwks: string | null = null;
  /** 0 = none was ever loaded. */
  version = 0;
  readonly #requests: KeyRequests;
  #waiting: (() => void)[] = [];

  constructor(requests: KeyRequests, keys: KeyMessage | null) {
    this.#requests = requests;
    if (keys !== null) this.receive(keys);
  }

  /** Handles a key set from the front. */
  receive(message: KeyMessage): void {
    this.jwks = message.jwks;
    this.version = message.version;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const done of waiting) done();
  }

  /** Resolves when the front has replied; `version` and `jwks` may have changed then. */
  refresh(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      if (this.#waiting.length === 1) this.#requests.requestKeys(this.version);
    });
  }
}
