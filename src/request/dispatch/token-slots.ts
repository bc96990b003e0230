/** Texts kept at hand; a power of two. */
const RECENT = 1024;
/** Signatures and random tokens differ in their last characters. */
const HASHED_CHARACTERS = 12;

/**
 * Small numbers for tokens (or addresses), so that the memo can be keyed by integers. Two generations bound it:
 * when the young one is full it becomes the old one, and entries that were not used meanwhile are dropped. No number is
 * used twice, so the memo entries of a dropped token match no other.
 */
export class TokenSlots {
  /**
   * The text seen last at each place, found by its end and length: a request's token is a new string each time, and
   * hashing all of it for a map costs more than comparing it with the one that was here before.
   */
  readonly #recent: string[] = new Array<string>(RECENT).fill('');
  readonly #recentIds = new Int32Array(RECENT);
  #young = new Map<string, number>();
  #old = new Map<string, number>();
  #last = 0;
  readonly #capacity: number;

  /** @param capacity most texts remembered, at least 2 */
  constructor(capacity: number) {
    this.#capacity = Math.max(1, Math.floor(capacity / 2));
  }

  /** The number of a text, 1 to 2^31 - 1. */
  id(text: string): number {
    const place = placeOf(text);
    if (this.#recent[place] === text && text !== '') return this.#recentIds[place]!;
    const id = this.#lookUp(text);
    this.#recent[place] = text;
    this.#recentIds[place] = id;
    return id;
  }

  #lookUp(text: string): number {
    const known = this.#young.get(text);
    if (known !== undefined) return known;
    const id = this.#old.get(text) ?? this.#next();
    if (this.#young.size >= this.#capacity) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(text, id);
    return id;
  }

  #next(): number {
    // After 2^31 new tokens the numbers start again; by then every entry of the first ones was overwritten.
    this.#last = this.#last === 0x7fffffff ? 1 : this.#last + 1;
    return this.#last;
  }
}

function placeOf(text: string): number {
  let hash = text.length;
  for (let at = Math.max(0, text.length - HASHED_CHARACTERS); at < text.length; at += 1) {
    hash = (Math.imul(hash, 31) + text.charCodeAt(at)) | 0;
  }
  return (hash ^ (hash >>> 15)) & (RECENT - 1);
}
