/**
 * Token buckets in shared memory, exact across threads: a call takes its tokens under the locks of all its buckets.
 *
 * One bucket is a cache line (64 bytes):
 * ```
 *  byte 0     4           8       16          24         32     40        56     60
 *  lock | generation | tokens | refilled | rate/ms | burst | key (128) | rule | state
 * ```
 * The first {@link BucketLayout.fixed} buckets belong to rules (global, tool rules, routes); the others are an
 * open-addressed table of the buckets of clients (client-buckets.ts).
 *
 * A lock word is `sequence << 8 | owner`. Locks are acquired in ascending order of index, so threads never wait in a
 * circle. A thread that ends inside the critical section (terminated, out of memory) leaves a word that does not
 * change any more: {@link Buckets.releaseOwner} frees it, and a thread that waits takes it over when it has not changed for
 * {@link STUCK_MS}. The section is below a microsecond, so a living owner keeps its lock unless the
 * system stops its thread for that long.
 */
import type { BucketRule } from '../config/snapshot.js';
import { type CallBuckets, LIMIT_SCOPES } from './call-buckets.js';
import { monotonic } from './clock.js';

/** 32-bit words of a bucket. */
export const BUCKET_WORDS = 16;
/** 64-bit floats of a bucket. */
const BUCKET_FLOATS = 8;
const STUCK_MS = 50;
const SPINS = 200;

/** Words of a bucket. */
export const BucketWord = { lock: 0, generation: 1, key: 10, rule: 14, state: 15 } as const;
/** Floats of a bucket. */
export const BucketFloat = { tokens: 1, refilled: 2, rate: 3, burst: 4 } as const;

/** How many buckets there are, and of which kind. */
export interface BucketLayout {
  /** Buckets of rules. */
  readonly fixed: number;
  /** Slots for buckets of clients; a power of two, or 0. */
  readonly slots: number;
  readonly memory: SharedArrayBuffer;
  /** Words for waiting and for counts of the client table. */
  readonly control: SharedArrayBuffer;
}

/** Memory for `fixed` buckets of rules and at least `clients` buckets of clients (twice as many slots). */
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

/** One thread's view of the buckets. `owner` is the thread's number, 1 to 255. */
export class Buckets {
  readonly layout: BucketLayout;
  /** Words and floats over the same memory, for the table of client-buckets.ts. */
  readonly words: Int32Array;
  readonly floats: Float64Array;
  readonly control: Int32Array;
  /** The bucket that made the last {@link take} wait longest, -1 none. */
  refusedBy = -1;
  readonly #owner: number;
  #sequence = 0;
  readonly #order = new Int32Array(LIMIT_SCOPES);
  readonly #held = new Int32Array(LIMIT_SCOPES);

  constructor(layout: BucketLayout, owner: number) {
    if (!Number.isInteger(owner) || owner < 1 || owner > 255) throw new RangeError('an owner is 1 to 255');
    this.layout = layout;
    this.words = new Int32Array(layout.memory);
    this.floats = new Float64Array(layout.memory);
    this.control = new Int32Array(layout.control);
    this.#owner = owner;
  }

  /** Sets a bucket to a rule, full. To be called before any thread takes from it. */
  define(index: number, rule: BucketRule): void {
    const at = index * BUCKET_FLOATS;
    this.floats[at + BucketFloat.tokens] = rule.burst;
    this.floats[at + BucketFloat.refilled] = monotonic();
    this.floats[at + BucketFloat.rate] = rule.rate / 1000;
    this.floats[at + BucketFloat.burst] = rule.burst;
  }

  /** The generation of a bucket; changes when the bucket is given to another client. */
  generation(index: number): number {
    return Atomics.load(this.words, index * BUCKET_WORDS + BucketWord.generation);
  }

  /**
   * Takes one token from each bucket of a call, or none from any.
   *
   * @param now {@link monotonic}
   * @returns 0 = granted; above 0 = milliseconds until all have a token; {@link BUCKET_MOVED} = find the client's bucket again
   */
  take(now: number, buckets: CallBuckets): number {
    const { global, tool, route, client, routeClient } = buckets;
    const order = this.#order;
    let count = 0;
    if (global >= 0) order[count++] = global;
    if (tool >= 0) count = insert(order, count, tool);
    if (route >= 0) count = insert(order, count, route);
    if (client >= 0) count = insert(order, count, client);
    if (routeClient >= 0) count = insert(order, count, routeClient);
    if (count === 0) return 0;
    for (let i = 0; i < count; i += 1) this.#held[i] = this.lock(order[i]!);
    let wait = 0;
    this.refusedBy = -1;
    if (
      (client >= 0 && this.words[client * BUCKET_WORDS + BucketWord.generation] !== buckets.clientGeneration) ||
      (routeClient >= 0 &&
        this.words[routeClient * BUCKET_WORDS + BucketWord.generation] !== buckets.routeClientGeneration)
    ) {
      wait = BUCKET_MOVED;
    } else {
      for (let i = 0; i < count; i += 1) {
        const needs = this.refill(order[i]!, now);
        if (needs > wait) {
          wait = needs;
          this.refusedBy = order[i]!;
        }
      }
      if (wait === 0) {
        for (let i = 0; i < count; i += 1) {
          this.floats[order[i]! * BUCKET_FLOATS + BucketFloat.tokens]! -= 1;
        }
      }
    }
    for (let i = count - 1; i >= 0; i -= 1) this.unlock(order[i]!, this.#held[i]!);
    return wait;
  }

  /** Refills a bucket that is locked. @returns 0 when it has a token, else milliseconds until it has */
  refill(index: number, now: number): number {
    const at = index * BUCKET_FLOATS;
    const floats = this.floats;
    const elapsed = now - floats[at + BucketFloat.refilled]!;
    let tokens = floats[at + BucketFloat.tokens]!;
    if (elapsed > 0) {
      tokens += elapsed * floats[at + BucketFloat.rate]!;
      const burst = floats[at + BucketFloat.burst]!;
      if (tokens > burst) tokens = burst;
      floats[at + BucketFloat.tokens] = tokens;
      floats[at + BucketFloat.refilled] = now;
    }
    return tokens >= 1 ? 0 : Math.max(1, Math.ceil((1 - tokens) / floats[at + BucketFloat.rate]!));
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

/** Puts `index` in its place among the first `count`; equal ones are kept once. */
function insert(order: Int32Array, count: number, index: number): number {
  let at = count;
  while (at > 0 && order[at - 1]! > index) at -= 1;
  if (at > 0 && order[at - 1] === index) return count;
  for (let i = count; i > at; i -= 1) order[i] = order[i - 1]!;
  order[at] = index;
  return count + 1;
}
