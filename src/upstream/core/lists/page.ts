/** Splits one page of an upstream's list into raw items: a pure function, which runs in another thread for large pages. */
import { JsonCursor } from '../../../protocol/json-cursor.js';
import { NO_ITEMS, type Packed, sharedCopy } from '../../../shared/packed.js';
import type { Bytes, Count } from '../../../units.js';
import { brokenHeaderAnnotation } from './header-annotations.js';

/** A larger page is read in another thread; this size takes about two milliseconds. */
export const LARGE_PAGE: Bytes = 256 * 1024;
/** Most dropped tools that are reported. */
const MAX_REPORTED: Count = 100;

/** Where the page is. */
export interface PageSource {
  /** The whole response, validated. */
  readonly bytes: Uint8Array;
  /** Position of the `result` value. */
  readonly result: number;
  /** The member of it that holds the list. */
  readonly key: string;
  /** Most items; further ones are left out. */
  readonly maxItems: Count;
  /** Leave out tools whose `x-mcp-header` annotations are invalid (MCP 2026-07-28, Streamable HTTP). */
  readonly checkHeaders: boolean;
}

/** What the page holds. */
export interface ListPage {
  /** The raw bytes of all items, one after the other, also of none (absent or null); null = the member is no list. */
  readonly items: Packed | null;
  /** Where the next page is; null = this is the last one. */
  readonly cursor: string | null;
  readonly ttlMs: number;
  readonly isPrivate: boolean;
  /** There were more than `maxItems`. */
  readonly full: boolean;
  /** The first tools that were left out because of their annotations, and why. */
  readonly dropped: readonly (readonly [tool: string, why: string])[];
}

/** See the file comment. */
export function readPage({ bytes, result, key, maxItems, checkHeaders }: PageSource): ListPage {
  const page = {
    items: null as Packed | null,
    cursor: null as string | null,
    ttlMs: 0,
    isPrivate: true,
    full: false,
    dropped: [] as [string, string][],
  };
  if (result < 0 || bytes[result] !== 0x7b) return page;
  page.items = NO_ITEMS;
  const members = new JsonCursor(bytes, result);
  const value = (): unknown => JSON.parse(textOf(bytes, members.start, members.end));
  while (members.next()) {
    if (members.keyIs(key)) {
      // Servers in Go write null for a list without items.
      page.items = bytes[members.start] === 0x6e ? NO_ITEMS : null;
      page.full = false;
      if (bytes[members.start] === 0x5b) readItems(bytes, members.start, members.end, maxItems, checkHeaders, page);
    } else if (members.keyIs('nextCursor')) {
      const cursor = value();
      // An empty cursor would ask for the first page again.
      page.cursor = typeof cursor === 'string' && cursor !== '' ? cursor : null;
    } else if (members.keyIs('ttlMs')) {
      const ttlMs = value();
      if (typeof ttlMs === 'number') page.ttlMs = Math.max(0, ttlMs);
    } else if (members.keyIs('cacheScope')) page.isPrivate = value() !== 'public';
  }
  return page;
}

function readItems(
  bytes: Uint8Array,
  start: number,
  end: number,
  maxItems: Count,
  checkHeaders: boolean,
  page: { items: Packed | null; full: boolean; dropped: [string, string][] },
): void {
  const offsets: number[] = [0];
  const packed = new Uint8Array(new SharedArrayBuffer(end - start));
  let used = 0;
  const elements = new JsonCursor(bytes, start);
  while (elements.next()) {
    if (offsets.length > maxItems) {
      page.full = true;
      break;
    }
    const item = bytes.subarray(elements.start, elements.end);
    const why = checkHeaders ? brokenHeaderAnnotation(item) : null;
    if (why !== null) {
      if (page.dropped.length < MAX_REPORTED) page.dropped.push([nameOf(item), why]);
      continue;
    }
    packed.set(item, used);
    used += item.length;
    offsets.push(used);
  }
  page.items = { bytes: packed, offsets: sharedCopy(Int32Array.from(offsets)) };
}

function nameOf(tool: Uint8Array): string {
  const { name } = JSON.parse(textOf(tool, 0, tool.length)) as { name?: unknown };
  return typeof name === 'string' ? name : '';
}

function textOf(bytes: Uint8Array, start: number, end: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8', start, end);
}
