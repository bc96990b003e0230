/** What an error says of a tool or prompt that is not offered: its name and the nearest one that is. */
import { nearest } from '../config/nearest.js';
import { EntryFlag, EntryKind } from '../shared/catalog-table.js';
import { type Packed, packedCount, packedText } from '../shared/packed.js';
import type { Count, Milliseconds } from '../units.js';
import type { PreparedCatalog } from './prepared.js';

/** Characters of a client's name that an error repeats. */
const SHOWN: Count = 128;
/** Names whose distance is computed, of those of a similar length with the same beginning or end. */
const MAX_CANDIDATES: Count = 200;
/** Searches in each {@link WINDOW_MS}, since clients can ask for unknown names without end; beyond it, errors suggest nothing. */
const MAX_SEARCHES: Count = 20;
const WINDOW_MS: Milliseconds = 1_000;
/** Bytes that names have in common at the beginning or the end to be compared. */
const COMMON = 3;

/** See the file comment. One per front. */
export class UnknownNames {
  #windowStart: Milliseconds = Number.NEGATIVE_INFINITY;
  #searches: Count = 0;

  /** @param kind a number of `EntryKind` */
  sentence(catalog: PreparedCatalog | null, kind: number, name: string): string {
    const what = kind === EntryKind.prompt ? 'prompt' : 'tool';
    const shown = JSON.stringify(name.length > SHOWN ? `${name.slice(0, SHOWN)}...` : name);
    const near = catalog === null || !this.#maySearch() ? null : nearestOf(catalog, kind, name);
    return `Unknown ${what} ${shown}${near === null ? `; ${what}s/list has all names.` : `; did you mean ${JSON.stringify(near)}?`}`;
  }

  #maySearch(): boolean {
    const now = performance.now();
    if (now - this.#windowStart >= WINDOW_MS) {
      this.#windowStart = now;
      this.#searches = 0;
    }
    this.#searches += 1;
    return this.#searches <= MAX_SEARCHES;
  }
}

/** The entry whose own name it is; else one that is offered under a similar name; null = none. */
function nearestOf({ table }: PreparedCatalog, kind: number, name: string): string | null {
  const wanted = Buffer.from(name);
  const similar: string[] = [];
  for (let entry = 0; entry < packedCount(table.publicNames); entry += 1) {
    if (table.kind[entry] !== kind || (table.flags[entry]! & EntryFlag.unapproved) !== 0) continue;
    if (isEqual(table.upstreamNames, entry, wanted)) return packedText(table.publicNames, entry);
    if (similar.length < MAX_CANDIDATES && isSimilar(table.publicNames, entry, wanted)) {
      similar.push(packedText(table.publicNames, entry));
    }
  }
  return nearest(name, similar);
}

function isEqual({ bytes, offsets }: Packed, entry: number, wanted: Buffer): boolean {
  const start = offsets[entry]!;
  const length = offsets[entry + 1]! - start;
  if (length !== wanted.length) return false;
  for (let at = 0; at < length; at += 1) if (bytes[start + at] !== wanted[at]) return false;
  return true;
}

function isSimilar({ bytes, offsets }: Packed, entry: number, wanted: Buffer): boolean {
  const start = offsets[entry]!;
  const end = offsets[entry + 1]!;
  if (Math.abs(end - start - wanted.length) > Math.max(3, wanted.length / 3)) return false;
  let first = 0;
  let last = 0;
  for (let at = 0; at < COMMON; at += 1) {
    if (bytes[start + at] === wanted[at]) first += 1;
    if (bytes[end - 1 - at] === wanted[wanted.length - 1 - at]) last += 1;
  }
  return first === COMMON || last === COMMON || wanted.length <= 2 * COMMON;
}
