/**
 * Many patterns at once. Patterns are found by their literal prefix: for each prefix length that occurs, one table
 * look-up says which patterns start with these bytes, so the cost follows the patterns that could match and not the
 * number of patterns.
 */
import { ByteTable, buildByteTable, finish, HASH_SEED, hashByte } from './byte-table.js';
import type { Pattern } from './pattern.js';

interface Item {
  readonly pattern: Pattern;
  readonly value: number;
  readonly order: number;
}

/** Patterns with a value each; immutable. */
export class PatternSet {
  /** Prefix lengths that occur, ascending. */
  readonly #lengths: Int32Array;
  readonly #table: ByteTable;
  readonly #groups: Item[][] = [];

  /** @param entries pattern and value (>= 0) pairs in order */
  constructor(entries: readonly (readonly [pattern: Pattern, value: number])[]) {
    const groups = new Map<string, Item[]>();
    entries.forEach(([pattern, value], order) => {
      const key = Buffer.from(pattern.prefix).toString('latin1');
      const group = groups.get(key);
      if (group === undefined) groups.set(key, [{ pattern, value, order }]);
      else group.push({ pattern, value, order });
    });
    const rows: [Uint8Array, number][] = [];
    const lengths = new Set<number>();
    for (const [key, group] of groups) {
      const prefix = Buffer.from(key, 'latin1');
      lengths.add(prefix.length);
      rows.push([prefix, this.#groups.push(group) - 1]);
    }
    this.#lengths = Int32Array.from([...lengths].sort((a, b) => a - b));
    this.#table = new ByteTable(buildByteTable(rows, false));
  }

  /** The value of the first pattern in order that matches `bytes[start, end)`, or -1. */
  first(bytes: Uint8Array, start: number, end: number): number {
    let found = -1;
    let order = Number.POSITIVE_INFINITY;
    let hash = HASH_SEED;
    let at = start;
    for (let i = 0; i < this.#lengths.length; i += 1) {
      const stop = start + this.#lengths[i]!;
      if (stop > end) break;
      for (; at < stop; at += 1) hash = hashByte(hash, bytes[at]!);
      const group = this.#table.getHashed(finish(hash), bytes, start, stop);
      if (group < 0) continue;
      for (const item of this.#groups[group]!) {
        if (item.order >= order) break;
        if (item.pattern.matchesRest(bytes, stop, end)) {
          found = item.value;
          order = item.order;
          break;
        }
      }
    }
    return found;
  }

  /** The value of the matching pattern with the most literal bytes, ties by order, or -1. */
  best(bytes: Uint8Array, start: number, end: number): number {
    let found = -1;
    let literals = -1;
    let order = Number.POSITIVE_INFINITY;
    let hash = HASH_SEED;
    let at = start;
    for (let i = 0; i < this.#lengths.length; i += 1) {
      const stop = start + this.#lengths[i]!;
      if (stop > end) break;
      for (; at < stop; at += 1) hash = hashByte(hash, bytes[at]!);
      const group = this.#table.getHashed(finish(hash), bytes, start, stop);
      if (group < 0) continue;
      for (const item of this.#groups[group]!) {
        const better = item.pattern.literals > literals || (item.pattern.literals === literals && item.order < order);
        if (better && item.pattern.matchesRest(bytes, stop, end)) {
          found = item.value;
          literals = item.pattern.literals;
          order = item.order;
        }
      }
    }
    return found;
  }
}
