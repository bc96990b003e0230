/** Removal of members of one JSON object whose positions a scan has found, without reading the rest of the object. */
import { COMMA, isSpace, skipSpace } from './json-cursor.js';

/**
 * The parts of an object that have to go so that some of its members are gone and what is left is valid JSON, in ascending
 * order. Used for one object after the other: `clear`, `add` for each member, `takeCommas`.
 */
export class MemberCuts {
  /** Parts of the object. */
  count = 0;
  readonly #starts: Int32Array;
  readonly #ends: Int32Array;

  /** @param capacity most members of one object that are removed */
  constructor(capacity: number) {
    this.#starts = new Int32Array(capacity);
    this.#ends = new Int32Array(capacity);
  }

  startOf(index: number): number {
    return this.#starts[index] as number;
  }

  endOf(index: number): number {
    return this.#ends[index] as number;
  }

  clear(): void {
    this.count = 0;
  }

  /**
   * Removes the member whose value is `bytes[start, end)`; nothing if `start` is negative.
   *
   * @param keyLength bytes of the key with its quotes; it has no escapes
   */
  add(bytes: Uint8Array, start: number, end: number, keyLength: number): void {
    if (start < 0) return;
    const colon = skipSpaceBack(bytes, start) - 1;
    const first = skipSpaceBack(bytes, colon) - keyLength;
    let at = this.count;
    for (; at > 0 && (this.#starts[at - 1] as number) > first; at -= 1) {
      this.#starts[at] = this.#starts[at - 1] as number;
      this.#ends[at] = this.#ends[at - 1] as number;
    }
    this.#starts[at] = first;
    this.#ends[at] = end;
    this.count += 1;
  }

  /** Extends each part by one comma: the one in front, or the one behind when no member in front stays. */
  takeCommas(bytes: Uint8Array): void {
    for (let index = 0; index < this.count; index += 1) {
      const start = this.startOf(index);
      const before = skipSpaceBack(bytes, start);
      const followsOther = bytes[before - 1] === COMMA && (index === 0 || this.endOf(index - 1) !== start);
      if (followsOther) {
        this.#starts[index] = skipSpaceBack(bytes, before - 1);
        continue;
      }
      const comma = skipSpace(bytes, this.endOf(index));
      if (bytes[comma] === COMMA) this.#ends[index] = skipSpace(bytes, comma + 1);
    }
  }
}

/** Position after the last byte before `position` that is no white space. */
function skipSpaceBack(bytes: Uint8Array, position: number): number {
  let at = position;
  while (at > 0 && isSpace(bytes[at - 1] as number)) at -= 1;
  return at;
}
