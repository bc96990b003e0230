/**
 * A set of small whole numbers, such as the indexes of endpoints. Members below 32 are bits of one word; an array of further
 * words exists only once a larger one was added, and is kept for later use.
 */
export class IndexSet {
  #low = 0;
  /** Members from 32 on, 32 a word. */
  #high: number[] | null = null;

  get isEmpty(): boolean {
    return this.#low === 0 && (this.#high === null || this.#high.every((word) => word === 0));
  }

  /** @param index 0 or more */
  has(index: number): boolean {
    if (index < 32) return (this.#low & (1 << index)) !== 0;
    const word = this.#high?.[(index >>> 5) - 1] ?? 0;
    return (word & (1 << (index & 31))) !== 0;
  }

  /** @param index 0 or more */
  add(index: number): void {
    if (index < 32) {
      this.#low |= 1 << index;
      return;
    }
    const at = (index >>> 5) - 1;
    this.#high ??= [];
    while (this.#high.length <= at) this.#high.push(0);
    this.#high[at] = (this.#high[at] ?? 0) | (1 << (index & 31));
  }

  clear(): void {
    this.#low = 0;
    this.#high?.fill(0);
  }

  /** Makes the members those of `other`. */
  assign(other: IndexSet): void {
    this.#low = other.#low;
    if (other.#high !== null) this.#high = [...other.#high];
    else this.#high?.fill(0);
  }
}
