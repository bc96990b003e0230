import type { Count } from '../../units.js';

/** Counts by key; a count of 0 takes no memory. */
export class Counts<Key> {
  readonly #counts = new Map<Key, Count>();

  of(key: Key): Count {
    return this.#counts.get(key) ?? 0;
  }

  add(key: Key): void {
    this.#counts.set(key, this.of(key) + 1);
  }

  remove(key: Key): void {
    const left = this.of(key) - 1;
    if (left > 0) this.#counts.set(key, left);
    else this.#counts.delete(key);
  }
}
