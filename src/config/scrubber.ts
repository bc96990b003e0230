import { Scrubber } from '../secrets/scrub.js';
import type { KnownSecret } from '../secrets/show.js';
import type { Current } from './snapshot/current.js';

/** Masks the secrets of the configuration in force. Made anew at the first text after a reload. */
export class CurrentScrubber {
  readonly #config: Current<{ readonly secrets: readonly KnownSecret[] }>;
  #secrets: readonly KnownSecret[] | null = null;
  #scrubber = new Scrubber([]);

  constructor(config: Current<{ readonly secrets: readonly KnownSecret[] }>) {
    this.#config = config;
  }

  /** `text` without secrets. */
  scrub(text: string): string {
    const { secrets } = this.#config.current;
    if (secrets !== this.#secrets) {
      this.#secrets = secrets;
      this.#scrubber = new Scrubber(secrets);
    }
    return this.#scrubber.scrub(text);
  }
}
