/**
 * A ring of records between two threads: one writes, one reads, without locks.
 *
 * ```
 *  words   0          16         32         48         64
 *        [ written  | read     | sleeping | progress | record record ... pad | ]
 *          writer's   reader's   reader's   reader's   length word + payload, contiguous
 * ```
 * Positions count 32-bit words and wrap at 2^32; the capacity is a power of two. A record that would cross the end is
 * preceded by a padding record. Each head word has a cache line (64 bytes) of its own.
 *
 * `written` is stored after the record (release) and loaded before it is read (acquire); `read` is stored after the
 * reader has finished a record, so a record is never overwritten while it is read. The reader announces that it goes to
 * sleep and then checks for records once more; the writer stores a record and then checks the announcement. As `Atomics` are
 * sequentially consistent, one of the two sees the other, and every record is followed by a wake-up.
 */
import { REQUEST_HEAD, VERDICT_HEAD } from './records.js';

const WRITTEN = 0;
const READ = 16;
const SLEEPING = 32;
const PROGRESS = 48;
const HEAD = 64;
/** Smallest ring: 4 KiB. */
const MIN_WORDS = 1024;

/** Bytes of shared memory for a ring that holds at least `bytes`; at least 4 KiB, rounded up to a power of two. */
export function ringMemory(bytes: number): SharedArrayBuffer {
  let words = MIN_WORDS;
  while (words * 4 < bytes) words *= 2;
  return new SharedArrayBuffer((HEAD + words) * 4);
}

/** One side of a ring. A thread uses either the writing or the reading methods of one ring, never both. */
export class Ring {
  /** The records' words; offsets that `reserve` and `peek` return index this. */
  readonly words: Int32Array;
  /** The same memory as bytes. */
  readonly bytes: Uint8Array;
  /** The same memory as a Buffer, for copies and text. */
  readonly buffer: Buffer;
  /** Words of the record area. */
  readonly capacity: number;
  /** Longest record in words: half the ring, so that it fits wherever the positions are. */
  readonly maxRecord: number;
  /** Words of the record that `peek` found. */
  length = 0;

  readonly #head: Int32Array;
  readonly #mask: number;
  #written: number;
  #reserved: number;
  #read: number;
  #readCached: number;

  constructor(memory: SharedArrayBuffer) {
    const words = memory.byteLength / 4 - HEAD;
    if (words < MIN_WORDS || (words & (words - 1)) !== 0) throw new RangeError('not the memory of a ring');
    this.#head = new Int32Array(memory, 0, HEAD);
    this.words = new Int32Array(memory, HEAD * 4, words);
    this.bytes = new Uint8Array(memory, HEAD * 4, words * 4);
    this.buffer = Buffer.from(memory, HEAD * 4, words * 4);
    this.capacity = words;
    this.maxRecord = words / 2 - 1;
    this.#mask = words - 1;
    this.#written = Atomics.load(this.#head, WRITTEN);
    this.#reserved = this.#written;
    this.#read = Atomics.load(this.#head, READ);
    this.#readCached = this.#read;
  }

  /**
   * Makes room for a record of `count` words.
   *
   * @returns the offset of its first word, or -1 when the ring is full or `count` is above {@link maxRecord}
   */
  reserve(count: number): number {
    if (count > this.maxRecord) return -1;
    const start = this.#written & this.#mask;
    const tail = this.capacity - start;
    const needed = count + 1;
    const total = needed > tail ? tail + needed : needed;
    if (((this.#written - this.#readCached) | 0) + total > this.capacity) {
      this.#readCached = Atomics.load(this.#head, READ);
      if (((this.#written - this.#readCached) | 0) + total > this.capacity) return -1;
    }
    this.#reserved = (this.#written + total) | 0;
    if (needed > tail) {
      this.words[start] = 0;
      this.words[0] = needed;
      return 1;
    }
    this.words[start] = needed;
    return start + 1;
  }

  /**
   * Publishes the reserved record.
   *
   * @returns true when the reader sleeps and its doorbell must be rung; at most once for one sleep
   */
  commit(): boolean {
    this.#written = this.#reserved;
    Atomics.store(this.#head, WRITTEN, this.#written);
    return Atomics.load(this.#head, SLEEPING) === 1 && Atomics.compareExchange(this.#head, SLEEPING, 1, 0) === 1;
  }

  /** The offset of the oldest record's first word ({@link length} words), or -1 when there is none. */
  peek(): number {
    if (this.#read === this.#written) {
      this.#written = Atomics.load(this.#head, WRITTEN);
      if (this.#read === this.#written) return -1;
    }
    let start = this.#read & this.#mask;
    let size = this.words[start]!;
    if (size === 0) {
      this.#read = (this.#read + this.capacity - start) | 0;
      start = 0;
      size = this.words[0]!;
    }
    this.length = size - 1;
    return start + 1;
  }

  /** Ends reading the peeked record: its room is the writer's again. */
  advance(): void {
    this.#read = (this.#read + this.length + 1) | 0;
    Atomics.store(this.#head, READ, this.#read);
    this.heartbeat();
  }

  /** Counts one heartbeat of the reader. Only the reader writes the counter, and nobody relies on when it is seen: a plain store does. */
  heartbeat(): void {
    this.#head[PROGRESS] = (this.#head[PROGRESS]! + 1) | 0;
  }

  /** Heartbeats of the reader so far; wraps. */
  progress(): number {
    return Atomics.load(this.#head, PROGRESS);
  }

  /**
   * Announces that the reader goes to sleep.
   *
   * @returns false when a record has arrived meanwhile: the reader must read on
   */
  sleep(): boolean {
    Atomics.store(this.#head, SLEEPING, 1);
    if (Atomics.load(this.#head, WRITTEN) === this.#read) return true;
    Atomics.store(this.#head, SLEEPING, 0);
    return false;
  }

  /** Withdraws {@link sleep}, for a reader that runs for another reason. */
  wake(): void {
    Atomics.store(this.#head, SLEEPING, 0);
  }

  /** Words between the two positions, seen from either side. */
  used(): number {
    return (Atomics.load(this.#head, WRITTEN) - Atomics.load(this.#head, READ)) | 0;
  }

  /**
   * The offset of the record that the reader was reading when its thread ended, or -1. For the writer; valid only once the
   * reader has ended.
   */
  abandoned(): number {
    const read = Atomics.load(this.#head, READ);
    if (read === Atomics.load(this.#head, WRITTEN)) return -1;
    const start = read & this.#mask;
    return this.words[start] === 0 ? 1 : start + 1;
  }
}

/** Longest result in bytes that fits both the request that stores it and the verdict that returns it. */
export function maxResultBytes(ring: Ring): number {
  return (ring.maxRecord - Math.max(REQUEST_HEAD, VERDICT_HEAD)) * 4;
}
