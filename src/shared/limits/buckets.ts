/**
 * The buckets of rate limits in shared memory, exact across threads: a call takes from all its buckets under their locks, or
 * from none. How a bucket counts is up to the limiter of its limit (limiters/).
 *
 * The first {@link BucketLayout.fixed} buckets belong to one limit each, by its number: all that it counts together, or, of a
 * limit that counts clients apart, the clients for whom there is no room. The others are an open-addressed table of the buckets
 * of clients (client-buckets.ts).
 *
 * A lock word is `sequence << 8 | owner`. Locks are acquired in ascending order of index, so threads never wait in a
 * circle. A thread that ends inside the critical section (terminated, out of memory) leaves a word that does not
 * change any more: {@link Buckets.releaseOwner} frees it, and a thread that waits takes it over when it has not changed for
 * {@link STUCK_MS}. The section is below a microsecond, so a living owner keeps its lock unless the
 * system stops its thread for that long.
 */
import type { Count, Milliseconds } from '../../units.js';
import { monotonic } from '../clock.js';
import { BUCKET_WORDS, type BucketMemory, BucketWord } from '../limiters/bucket.js';
import type { Limit } from '../limiters/limit.js';
import { type CallBuckets, MAX_LIMITS } from './call-buckets.js';

const STUCK_MS = 500;
const SPINS = 200;

/** How many buckets there are, and of which kind. */
export interface BucketLayout {
  /** Buckets that belong to one limit each. */
  readonly fixed: number;
  /** Slots for buckets of clients; a power of two, or 0. */
  readonly slots: number;
  readonly memory: SharedArrayBuffer;
  /** Words for waiting and for counts of the client table. */
  readonly control: SharedArrayBuffer;
}

/** Memory for `fixed` buckets of limits and at least `clients` buckets of clients (twice as many slots). */
export function bucketMemory(fixed: number, clients: number): BucketLayout {
  let slots = 0;
  if (clients > 0) {
    slots = 16;
    while (slots < clients * 2) slots *= 2;
  }
  return {
    fixed,
    slots,
    memory: new SharedArrayBuffer(Math.max(1, fixed + slots) * BUCKET_WORDS * 4),
    control: new SharedArrayBuffer(64),
  };
}

/** What {@link Buckets.take} returns when a bucket has been given to another client since it was found. */
export const BUCKET_MOVED = -1;

/** A copy of one bucket. */
const SCRATCH: BucketMemory = (() => {
  const memory = new ArrayBuffer(BUCKET_WORDS * 4);
  return { words: new Int32Array(memory), floats: new Float64Array(memory) };
})();

/** One thread's view of the buckets. `owner` is the thread's number, 1 to 255. */
export class Buckets implements BucketMemory {
  readonly layout: BucketLayout;
  /** The limits by number (bucket-plan.ts). */
  readonly limits: readonly Limit[];
  /** Words and floats over the same memory. */
  readonly words: Int32Array;
  readonly floats: Float64Array;
  readonly control: Int32Array;
  /** Number of the limit that made the last {@link take} wait longest, -1 none. */
  refusedBy = -1;
  readonly #owner: number;
  #sequence = 0;
  readonly #held = new Int32Array(MAX_LIMITS);
  readonly #waits = new Float64Array(MAX_LIMITS);

  constructor(layout: BucketLayout, owner: number, limits: readonly Limit[]) {
    if (!Number.isInteger(owner) || owner < 1 || owner > 255) throw new RangeError('an owner is 1 to 255');
    this.layout = layout;
    this.limits = limits;
    this.words = new Int32Array(layout.memory);
    this.floats = new Float64Array(layout.memory);
    this.control = new Int32Array(layout.control);
    this.#owner = owner;
  }

  /** Gives a bucket, which nobody uses or which is locked, to a limit, unused. */
  define(index: number, limit: number, now: Milliseconds): void {
    this.words[index * BUCKET_WORDS + BucketWord.limit] = limit;
    const rule = this.limits[limit]!;
    rule.limiter.init(this, index, rule, now);
  }

  /**
   * Takes the cost of a call from each of its buckets, or nothing from any.
   *
   * @param now {@link monotonic}
   * @returns 0 = granted; above 0 = milliseconds until all permit it; {@link BUCKET_MOVED} = find the client's buckets again
   */
  take(now: Milliseconds, call: CallBuckets): number {
    const { count, cost, pairs } = call;
    const { words } = this;
    const held = this.#held;
    const waits = this.#waits;
    for (let i = 0; i < count; i += 1) held[i] = this.lock(pairs[i * 2]!);
    let wait = 0;
    let tried = 0;
    for (; tried < count; tried += 1) {
      const bucket = pairs[tried * 2]!;
      const at = bucket * BUCKET_WORDS;
      if (words[at + BucketWord.generation] !== pairs[tried * 2 + 1]) {
        wait = BUCKET_MOVED;
        break;
      }
      const number = words[at + BucketWord.limit]!;
      const limit = this.limits[number]!;
      const needs = limit.limiter.take(this, bucket, limit, now, cost);
      waits[tried] = needs;
      if (needs > wait) {
        wait = needs;
        this.refusedBy = number;
      }
    }
    if (wait === 0) call.takenAt = now;
    else this.#undo(tried, call, now);
    for (let i = count - 1; i >= 0; i -= 1) this.unlock(pairs[i * 2]!, held[i]!);
    return wait;
  }

  /** Gives back what was taken from the first `tried` of the buckets, which are locked. */
  #undo(tried: Count, { cost, pairs }: CallBuckets, now: Milliseconds): void {
    for (let i = 0; i < tried; i += 1) {
      if (this.#waits[i] === 0) this.#give(pairs[i * 2]!, now, cost, now);
    }
  }

  /** Gives back what {@link take} took for a call that is not made after all. @param now {@link monotonic} */
  refund(now: Milliseconds, { count, cost, pairs, takenAt }: CallBuckets): void {
    for (let i = 0; i < count; i += 1) {
      const bucket = pairs[i * 2]!;
      const held = this.lock(bucket);
      const isSame = this.words[bucket * BUCKET_WORDS + BucketWord.generation] === pairs[i * 2 + 1];
      if (isSame) this.#give(bucket, now, cost, takenAt);
      this.unlock(bucket, held);
    }
  }

  #give(bucket: number, now: Milliseconds, cost: number, takenAt: Milliseconds): void {
    const limit = this.limitOf(bucket);
    limit.limiter.refund(this, bucket, limit, now, cost, takenAt);
  }

  /** The share of its limit that is left in a bucket that is locked, 0 to 1. */
  fullness(index: number, now: Milliseconds): number {
    const limit = this.limitOf(index);
    return limit.limiter.fullness(this, index, limit, now);
  }

  /** As {@link fullness} for a bucket that is not locked, which may change meanwhile; the bucket is only read. */
  peek(index: number, now: Milliseconds): number {
    const at = index * BUCKET_WORDS;
    SCRATCH.words.set(this.words.subarray(at, at + BUCKET_WORDS));
    const limit = this.limits[SCRATCH.words[BucketWord.limit]!]!;
    return limit.limiter.fullness(SCRATCH, 0, limit, now);
  }

  /** The limit that a bucket belongs to, and its number. */
  limitOf(index: number): Limit {
    return this.limits[this.limitNumber(index)]!;
  }

  limitNumber(index: number): number {
    return this.words[index * BUCKET_WORDS + BucketWord.limit]!;
  }

  /** Locks a bucket. @returns the word that {@link unlock} takes */
  lock(index: number): number {
    const word = index * BUCKET_WORDS;
    this.#sequence = (this.#sequence + 1) & 0x3fffff;
    const mine = (this.#sequence << 8) | this.#owner;
    if (Atomics.compareExchange(this.words, word, 0, mine) !== 0) this.#wait(this.words, word, mine);
    return mine;
  }

  unlock(index: number, mine: number): void {
    Atomics.compareExchange(this.words, index * BUCKET_WORDS, mine, 0);
  }

  /** Locks the table of client buckets against insertions by other threads. @returns the word that {@link unlockTable} takes */
  lockTable(): number {
    this.#sequence = (this.#sequence + 1) & 0x3fffff;
    const mine = (this.#sequence << 8) | this.#owner;
    if (Atomics.compareExchange(this.control, 0, 0, mine) !== 0) this.#wait(this.control, 0, mine);
    return mine;
  }

  unlockTable(mine: number): void {
    Atomics.compareExchange(this.control, 0, mine, 0);
  }

  /** Frees all locks of a thread that has ended. */
  releaseOwner(owner: number): void {
    const words = this.words;
    for (let at = 0; at < words.length; at += BUCKET_WORDS) {
      const word = Atomics.load(words, at);
      if ((word & 255) === owner) Atomics.compareExchange(words, at, word, 0);
    }
    const word = Atomics.load(this.control, 0);
    if ((word & 255) === owner) Atomics.compareExchange(this.control, 0, word, 0);
  }

  #wait(words: Int32Array, at: number, mine: number): void {
    let seen = 0;
    let since = 0;
    for (let spins = 0; ; spins += 1) {
      const word = Atomics.compareExchange(words, at, 0, mine);
      if (word === 0) return;
      if (spins < SPINS) continue;
      if (word !== seen) {
        seen = word;
        since = monotonic();
      } else if (monotonic() - since > STUCK_MS && Atomics.compareExchange(words, at, word, mine) === word) {
        return;
      }
      // No thread notifies: this is a pause that lets the owner run when there are more threads than processors.
      Atomics.wait(words, at, word, 0.05);
    }
  }
}
