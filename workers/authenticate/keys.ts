import type { KeyMessage } from '../../src/shared/worker-messages.js';

/**
 * The keys a worker verifies tokens with. They are loaded once for the whole process (src/control/key-keeper.ts);
 * a worker that misses a key asks and is told the outcome, whether or not there was anything new.
 */
export class KeySource {
  /** The newest key set as JSON text, or null when there is none that may serve. */
  jwks: string | null = null;
  /** 0 = none was ever loaded. */
  version = 0;
  readonly #ask: (version: number) => void;
  #waiting: (() => void)[] = [];

  /** @param ask tells the front that keys newer than `version` are wanted */
  constructor(ask: (version: number) => void, keys: KeyMessage | null) {
    this.#ask = ask;
    if (keys !== null) this.receive(keys);
  }

  /** Takes what the front says about the keys. */
  receive(message: KeyMessage): void {
    this.jwks = message.jwks;
    this.version = message.version;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const done of waiting) done();
  }

  /** Resolves when the front has answered; then look at `version` and `jwks` again. */
  refresh(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      if (this.#waiting.length === 1) this.#ask(this.version);
    });
  }
}
