/**
 * Many patterns at once. Patterns are found by their literal prefix: for each prefix length that occurs, one table
 * look-up says which patterns start with these bytes, so the cost follows the patterns that could match and not the
 * number of patterns.
 */

import { ByteTable, buildByteTable, finish, HASH_SEED, hashByte } from './byte-table.js';
import type { TextPattern } from './text.js';

interface Item {
  readonly pattern: TextPattern;
  readonly value: number;
  readonly order: number;
}

/** A pattern and its value, which is at least 0. */
export type PatternEntry = readonly [pattern: TextPattern, value: number];

/** Decides whether a value counts for the call that is looked up. */
export interface ValueFilter {
  accepts(value: number): boolean;
}

/** The entries in the order in which the pattern with the most literal bytes comes first; equal ones keep their order. */
export function mostLiteralFirst(entries: readonly PatternEntry[]): PatternEntry[] {
  return entries.toSorted(([a], [b]) => b.literals - a.literals);
}

/** Patterns with a value each; immutable. */
export class PatternSet {
  /** Prefix lengths that occur, ascending. */
  readonly #lengths: Int32Array;
  readonly #table: ByteTable;
  readonly #groups: Item[][] = [];

  constructor(entries: readonly PatternEntry[]) {
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

  /**
   * The value of the first pattern in order that matches `bytes[start, end)`, or -1.
   *
   * @param filter values that do not count are passed over; null = all count
   */
  first(bytes: Uint8Array, start: number, end: number, filter: ValueFilter | null = null): number {
    let found = -1;
    let order = Number.POSITIVE_INFINITY;
    let hash = HASH_SEED;
    let at = start;
    for (let i = 0; i < this.#lengths.length; i += 1) {
      const stop = start + this.#lengths[i]!;
      if (stop > end) break;
      for (; at < stop; at += 1) hash = hashByte(hash, bytes[at]!);
      const number = this.#table.getHashed(finish(hash), bytes, start, stop);
      const group = number < 0 ? undefined : this.#groups[number];
      if (group === undefined) continue;
      for (const item of group) {
        if (item.order >= order) break;
        if (item.pattern.matchesRest(bytes, stop, end) && (filter === null || filter.accepts(item.value))) {
          found = item.value;
          order = item.order;
          break;
        }
      }
    }
    return found;
  }

  /** The values of all patterns that match `bytes[start, end)`, ascending and each once. Allocates: for tables, not for calls. */
  all(bytes: Uint8Array, start: number, end: number): number[] {
    const found = new Set<number>();
    this.first(bytes, start, end, { accepts: (value) => !found.add(value) });
    return [...found].sort((a, b) => a - b);
  }
}
