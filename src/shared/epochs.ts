/**
 * Version words in shared memory. A remembered verdict is valid only for the `stamp` it was made under;
 * any bump changes the stamp.
 */
const STAMP = 0;
const SNAPSHOT = 1;
const CATALOG = 2;
const REVOCATION = 3;
const PURGE = 4;

/** Shared memory for {@link Epochs}. */
export function epochMemory(): SharedArrayBuffer {
  return new SharedArrayBuffer(64);
}

/** See the file comment. The front writes, all threads read. */
export class Epochs {
  readonly #words: Int32Array;

  constructor(memory: SharedArrayBuffer) {
    this.#words = new Int32Array(memory);
  }

  /** Changes whenever any of the others does. */
  stamp(): number {
    return Atomics.load(this.#words, STAMP);
  }

  snapshot(): number {
    return Atomics.load(this.#words, SNAPSHOT);
  }

  catalog(): number {
    return Atomics.load(this.#words, CATALOG);
  }

  /** Grows when a token, a key or a subject is revoked. */
  revocation(): number {
    return Atomics.load(this.#words, REVOCATION);
  }

  /** Grows when answers are dropped from the response cache. Remembered verdicts do not depend on it. */
  purge(): number {
    return Atomics.load(this.#words, PURGE);
  }

  setSnapshot(version: number): void {
    Atomics.store(this.#words, SNAPSHOT, version);
    Atomics.add(this.#words, STAMP, 1);
  }

  setCatalog(version: number): void {
    Atomics.store(this.#words, CATALOG, version);
    Atomics.add(this.#words, STAMP, 1);
  }

  /** A purge has been sent to the workers: they handle it before the next record. */
  purged(): void {
    Atomics.add(this.#words, PURGE, 1);
  }

  /** Invalidates all decisions made before. */
  revoke(): void {
    Atomics.add(this.#words, REVOCATION, 1);
    Atomics.add(this.#words, STAMP, 1);
  }
}
