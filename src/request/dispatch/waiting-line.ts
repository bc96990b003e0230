/** Exchanges (slot and generation) that wait for room on one ring; bounded, first in first out. */
export class WaitingLine {
  readonly #items: Int32Array;
  readonly #capacity: number;
  #head = 0;
  length = 0;

  constructor(capacity: number) {
    if (!Number.isInteger(capacity) || capacity < 1) throw new RangeError('a waiting line holds at least one exchange');
    this.#capacity = capacity;
    this.#items = new Int32Array(capacity * 2);
  }

  /** @returns false when the line is full */
  push(slot: number, generation: number): boolean {
    if (this.length === this.#capacity) return false;
    const at = ((this.#head + this.length) % this.#capacity) * 2;
    this.#items[at] = slot;
    this.#items[at + 1] = generation;
    this.length += 1;
    return true;
  }

  /** Slot of the first. */
  get slot(): number {
    return this.#items[this.#head * 2]!;
  }

  /** Generation of the first. */
  get generation(): number {
    return this.#items[this.#head * 2 + 1]!;
  }

  /** Drops the first. */
  shift(): void {
    this.#head = (this.#head + 1) % this.#capacity;
    this.length -= 1;
  }
}
