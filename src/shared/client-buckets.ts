/**
 * The bounded table of buckets that belong to clients, in the slots behind the buckets of rules (buckets.ts).
 * A bucket is found by a 128-bit digest and the number of its rule. Open addressing with a probe window of
 * {@link WINDOW} slots. When a window is full, a bucket that has refilled completely is replaced: nothing is lost, since a
 * new one starts full too. If there is none, the fullest one is replaced, and that is counted.
 */
import type { BucketRule } from '../config/snapshot.js';
import { BUCKET_WORDS, BucketFloat, type Buckets, BucketWord } from './buckets.js';

const WINDOW = 16;
const BUCKET_FLOATS = 8;
const EVICTED_EARLY = 1;
const IN_USE = 2;

/** One thread's view of the table. Results of {@link find} are in `index` and `generation`. */
export class ClientBuckets {
  /** The bucket found last, -1 = none. */
  index = -1;
  /** The generation it was found under. */
  generation = 0;
  readonly #buckets: Buckets;
  readonly #first: number;
  readonly #mask: number;

  constructor(buckets: Buckets) {
    this.#buckets = buckets;
    this.#first = buckets.layout.fixed;
    this.#mask = buckets.layout.slots - 1;
  }

  /** Buckets whose client lost the tokens it had used because the table was too small. */
  get evictedEarly(): number {
    return Atomics.load(this.#buckets.control, EVICTED_EARLY);
  }

  /** Slots in use. */
  get inUse(): number {
    return Atomics.load(this.#buckets.control, IN_USE);
  }

  /**
   * Finds the bucket of a client under a rule, or allocates one.
   *
   * @param digest 128 bits, four words, that the client is counted by
   * @param number number of the rule within the plan (bucket-plan.ts)
   * @param now milliseconds of the monotonic clock
   */
  find(digest: Int32Array, number: number, rule: BucketRule, now: number): void {
    if (this.#mask < 0) {
      this.index = -1;
      return;
    }
    if (this.#isFound(digest, number)) return;
    const table = this.#buckets.lockTable();
    if (!this.#isFound(digest, number)) this.#allocate(digest, number, rule, now);
    this.#buckets.unlockTable(table);
  }

  #isFound(digest: Int32Array, number: number): boolean {
    const words = this.#buckets.words;
    const start = slotOf(digest, number);
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
        words[at + BucketWord.rule] === number &&
        words[at + BucketWord.state] === 1 &&
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

  #allocate(digest: Int32Array, number: number, rule: BucketRule, now: number): void {
    const { words, floats, control } = this.#buckets;
    const start = slotOf(digest, number);
    let best = -1;
    let bestMissing = Number.POSITIVE_INFINITY;
    for (let i = 0; i < WINDOW && bestMissing > 0; i += 1) {
      const index = this.#first + ((start + i) & this.#mask);
      if (words[index * BUCKET_WORDS + BucketWord.state] === 0) {
        best = index;
        bestMissing = -1;
      } else {
        const held = this.#buckets.lock(index);
        this.#buckets.refill(index, now);
        const at = index * BUCKET_FLOATS;
        const missing = 1 - floats[at + BucketFloat.tokens]! / floats[at + BucketFloat.burst]!;
        this.#buckets.unlock(index, held);
        if (missing < bestMissing) {
          best = index;
          bestMissing = missing;
        }
      }
    }
    if (bestMissing === -1) Atomics.add(control, IN_USE, 1);
    else if (bestMissing > 0) Atomics.add(control, EVICTED_EARLY, 1);
    const held = this.#buckets.lock(best);
    const at = best * BUCKET_WORDS;
    Atomics.add(words, at + BucketWord.generation, 1);
    words.set(digest, at + BucketWord.key);
    words[at + BucketWord.rule] = number;
    words[at + BucketWord.state] = 1;
    this.#buckets.define(best, rule);
    this.index = best;
    this.generation = Atomics.add(words, at + BucketWord.generation, 1) + 1;
    this.#buckets.unlock(best, held);
  }
}

function slotOf(digest: Int32Array, number: number): number {
  return (digest[0]! ^ Math.imul(digest[1]!, 0x9e3779b1) ^ Math.imul(number, 0x85ebca6b)) >>> 0;
}
