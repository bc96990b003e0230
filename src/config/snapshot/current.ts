import type { Snapshot } from './index.js';

/**
 * The configuration in force, or a part of it. An object that outlives a reload reads `current` at each use.
 */
export interface Current<T> {
  readonly current: T;
}

/** The one configuration in force; main thread only. Workers get each snapshot as a message. */
export class CurrentConfig implements Current<Snapshot> {
  #current: Snapshot;

  constructor(snapshot: Snapshot) {
    this.#current = snapshot;
  }

  get current(): Snapshot {
    return this.#current;
  }

  /** Puts another snapshot into force. */
  replace(next: Snapshot): void {
    this.#current = next;
  }
}
