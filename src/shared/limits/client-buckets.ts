/**
 * The bounded table of buckets that belong to clients, in the slots behind the buckets of limits (buckets.ts).
 * A bucket is found by a 128-bit digest and the number of its limit. Open addressing with a probe window of
 * {@link WINDOW} slots. When a window is full, an unused bucket is replaced: nothing is lost, since a new one starts unused too.
 * If there is none, the one with the most left is replaced, and that is counted. A bucket that would refuse a call is never
 * replaced: if all are like that, the client shares the bucket of its limit with all others for whom there is no room.
 */
import type { Count, Milliseconds } from '../../units.js';
import { BUCKET_WORDS, BucketWord } from '../limiters/bucket.js';
import type { Buckets } from './buckets.js';

const WINDOW = 16;
/** Words of the control memory. */
const ControlWord = { evictedEarly: 1, inUse: 2, shared: 3 } as const;

/** One thread's view of the table. Results of {@link find} are in `index` and `generation`. */
export class ClientBuckets {
  /** The bucket found last, -1 = none. */
  index = -1;
  /** The generation it was found under. */
  generation = 0;
  /** Whether it is shared with other clients, because the table has no room. */
  isShared = false;
  readonly #buckets: Buckets;
  readonly #first: number;
  readonly #mask: number;

  constructor(buckets: Buckets) {
    this.#buckets = buckets;
    this.#first = buckets.layout.fixed;
    this.#mask = buckets.layout.slots - 1;
  }

  /** Buckets that were given to another client before they were unused, because the table was too small. */
  get evictedEarly(): number {
    return Atomics.load(this.#buckets.control, ControlWord.evictedEarly);
  }

  /** Times that a client had to share a bucket because all it could have had were used up. */
  get sharing(): Count {
    return Atomics.load(this.#buckets.control, ControlWord.shared);
  }

  /** Slots in use. */
  get inUse(): number {
    return Atomics.load(this.#buckets.control, ControlWord.inUse);
  }

  /**
   * Finds the bucket of a client under a limit, or allocates one.
   *
   * @param digest 128 bits, four words, that the client is counted by
   * @param limit number of the limit within the plan (bucket-plan.ts)
   * @param now milliseconds of the monotonic clock
   */
  find(digest: Int32Array, limit: number, now: Milliseconds): void {
    this.isShared = false;
    if (this.#mask < 0 || this.#isFound(digest, limit)) return;
    const table = this.#buckets.lockTable();
    if (!this.#isFound(digest, limit)) this.#allocate(digest, limit, now);
    this.#buckets.unlockTable(table);
  }

  #isFound(digest: Int32Array, limit: number): boolean {
    const words = this.#buckets.words;
    const start = slotOf(digest, limit);
    for (let i = 0; i < WINDOW; i += 1) {
      const index = this.#first + ((start + i) & this.#mask);
      const at = index * BUCKET_WORDS;
      // An even generation, the same before and after, shows that the key was not being rewritten meanwhile.
      const generation = Atomics.load(words, at + BucketWord.generation);
      if (
        words[at + BucketWord.key] === digest[0] &&
        words[at + BucketWord.key + 1] === digest[1] &&
        words[at + BucketWord.key + 2] === digest[2] &&
        words[at + BucketWord.key + 3] === digest[3] &&
        words[at + BucketWord.limit] === limit &&
        words[at + BucketWord.used] === 1 &&
        (generation & 1) === 0 &&
        Atomics.load(words, at + BucketWord.generation) === generation
      ) {
        this.index = index;
        this.generation = generation;
        return true;
      }
    }
    return false;
  }

  #allocate(digest: Int32Array, limit: number, now: Milliseconds): void {
    const { words, control } = this.#buckets;
    const start = slotOf(digest, limit);
    let best = -1;
    let bestLeft = -1;
    let isFree = false;
    // A free slot goes before an unused bucket: its client may be one that calls seldom, and would have to be found again.
    for (let i = 0; i < WINDOW && !isFree; i += 1) {
      const index = this.#first + ((start + i) & this.#mask);
      isFree = words[index * BUCKET_WORDS + BucketWord.used] === 0;
      if (isFree) {
        best = index;
        bestLeft = 1;
      } else if (bestLeft < 1) {
        const left = this.#left(index, now);
        if (left <= bestLeft) continue;
        best = index;
        bestLeft = left;
      }
    }
    if (best < 0) {
      Atomics.add(control, ControlWord.shared, 1);
      this.index = limit;
      this.generation = 0;
      this.isShared = true;
      return;
    }
    if (isFree) Atomics.add(control, ControlWord.inUse, 1);
    else if (bestLeft < 1) Atomics.add(control, ControlWord.evictedEarly, 1);
    const held = this.#buckets.lock(best);
    const at = best * BUCKET_WORDS;
    Atomics.add(words, at + BucketWord.generation, 1);
    words.set(digest, at + BucketWord.key);
    words[at + BucketWord.used] = 1;
    this.#buckets.define(best, limit, now);
    this.index = best;
    this.generation = Atomics.add(words, at + BucketWord.generation, 1) + 1;
    this.#buckets.unlock(best, held);
  }

  /** The share of its limit that is left in a bucket; -1 = it would refuse a call. */
  #left(index: number, now: Milliseconds): number {
    const held = this.#buckets.lock(index);
    const left = this.#buckets.fullness(index, now);
    const isUsedUp = left < 1 && left * this.#buckets.limitOf(index).capacity < 1;
    this.#buckets.unlock(index, held);
    return isUsedUp ? -1 : left;
  }
}

function slotOf(digest: Int32Array, limit: number): number {
  return (digest[0]! ^ Math.imul(digest[1]!, 0x9e3779b1) ^ Math.imul(limit, 0x85ebca6b)) >>> 0;
}
