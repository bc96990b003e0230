import type { Count } from '../units.js';

/**
 * Visits the entries of a collection some at a time, so that a periodic pass over many never blocks the event loop. Each
 * visit continues where the one before ended; entries may be added and deleted meanwhile.
 */
export class Rotation<T> {
  readonly #entries: () => IterableIterator<T>;
  /** Null between two passes: an idle iterator would keep deleted entries of its collection alive. */
  #rest: IterableIterator<T> | null = null;

  /** @param entries starts a new pass over the collection */
  constructor(entries: () => IterableIterator<T>) {
    this.#entries = entries;
  }

  /** Calls `visit` for up to `count` entries; fewer at the end of a pass. */
  visitSome(count: Count, visit: (entry: T) => void): void {
    for (let visited = 0; visited < count; visited += 1) {
      this.#rest ??= this.#entries();
      const next = this.#rest.next();
      if (next.done === true) {
        this.#rest = null;
        return;
      }
      visit(next.value);
    }
  }
}
