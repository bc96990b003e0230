/**
 * A map from byte strings to small integers, looked up with bytes in place: a look-up makes no string.
 * Open addressing over typed arrays, filled once when a catalog or a snapshot is compiled. The hash is seeded by the
 * thread that fills the table, because an upstream could choose names that collide.
 */
import { randomBytes } from 'node:crypto';
import type { ByteTableMemory } from '../catalog-table.js';

/** The seed of tables that this thread fills. */
export const HASH_SEED: number = randomBytes(4).readInt32LE();

/** The hash of `bytes[start, end)` under a seed. */
function hashOf(seed: number, bytes: Uint8Array, start: number, end: number): number {
  let hash = seed;
  for (let i = start; i < end; i += 1) hash = Math.imul(hash ^ bytes[i]!, 0x01000193);
  return finish(hash);
}

/** One more byte for a hash that is not {@link finish}ed yet. */
export function hashByte(hash: number, byte: number): number {
  return Math.imul(hash ^ byte, 0x01000193);
}

/** Spreads a hash over all its bits. */
export function finish(hash: number): number {
  let mixed = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
  mixed = Math.imul(mixed ^ (mixed >>> 12), 0x297a2d39);
  return (mixed ^ (mixed >>> 15)) >>> 0;
}

/** A key and its value, which is at least 0. */
export type ByteTableEntry = readonly [key: Uint8Array, value: number];

/**
 * Fills a table. Of equal keys the first one counts.
 *
 * @param shared in memory that other threads can read
 */
export function buildByteTable(entries: readonly ByteTableEntry[], shared: boolean): ByteTableMemory {
  const memory = (bytes: number): ArrayBuffer | SharedArrayBuffer =>
    shared ? new SharedArrayBuffer(bytes) : new ArrayBuffer(bytes);
  let bytes = 0;
  for (const [key] of entries) bytes += key.length;
  let size = 4;
  while (size < entries.length * 2) size *= 2;
  const keys = new Uint8Array(memory(bytes));
  const slots = new Int32Array(memory(size * 16));
  const table = new ByteTable({ keys, slots, seed: HASH_SEED });
  let used = 0;
  for (const [key, value] of entries) {
    const hash = hashOf(HASH_SEED, key, 0, key.length);
    if (table.getHashed(hash, key, 0, key.length) >= 0) continue;
    let slot = hash & (size - 1);
    while (slots[slot * 4 + 3] !== 0) slot = (slot + 1) & (size - 1);
    keys.set(key, used);
    slots[slot * 4] = hash | 0;
    slots[slot * 4 + 1] = used;
    used += key.length;
    slots[slot * 4 + 2] = used;
    slots[slot * 4 + 3] = value + 1;
  }
  return { keys, slots, seed: HASH_SEED };
}

/** See the file comment. */
export class ByteTable {
  readonly #keys: Uint8Array;
  /** Four words a slot: hash, start, end, value + 1 (0 = empty). */
  readonly #slots: Int32Array;
  readonly #mask: number;
  readonly #seed: number;

  constructor({ keys, slots, seed }: ByteTableMemory) {
    this.#keys = keys;
    this.#slots = slots;
    this.#mask = slots.length / 4 - 1;
    this.#seed = seed;
  }

  /** The value under `bytes[start, end)`, or -1. */
  get(bytes: Uint8Array, start: number, end: number): number {
    return this.getHashed(hashOf(this.#seed, bytes, start, end), bytes, start, end);
  }

  /** As {@link get}, with the finished hash under the seed of this table. */
  getHashed(hash: number, bytes: Uint8Array, start: number, end: number): number {
    const slots = this.#slots;
    const expected = hash | 0;
    for (let slot = hash & this.#mask; ; slot = (slot + 1) & this.#mask) {
      const at = slot * 4;
      const value = slots[at + 3]!;
      if (value === 0) return -1;
      if (slots[at] === expected && this.#equal(slots[at + 1]!, slots[at + 2]!, bytes, start, end)) return value - 1;
    }
  }

  #equal(from: number, to: number, bytes: Uint8Array, start: number, end: number): boolean {
    if (to - from !== end - start) return false;
    const keys = this.#keys;
    for (let i = from, j = start; i < to; i += 1, j += 1) if (keys[i] !== bytes[j]) return false;
    return true;
  }
}
