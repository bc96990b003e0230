/** Reads the pages of one list of an upstream. */
import { createHash } from 'node:crypto';
import type { LimitsSnapshot } from '../../config/snapshot/index.js';
import { Era } from '../../protocol/revisions.js';
import { NO_ITEMS, type Packed, packedCount } from '../../shared/packed.js';
import type { Milliseconds } from '../../units.js';
import { type Background, joinShared } from '../core/background.js';
import { type ControlChannel, ControlError, resultOf } from '../core/control.js';
import type { Handshake } from '../core/handshake.js';
import { LARGE_PAGE, readPage } from '../core/lists/page.js';
import type { Transport } from '../core/types.js';

/** What the lists are read from. */
export interface DiscoverySource {
  readonly server: number;
  readonly handshake: Handshake;
  readonly transport: Transport;
  readonly channel: ControlChannel;
  /** Reads large pages in another thread. */
  readonly background: Background;
}

/** What omissions are reported to. */
export interface ListReport {
  /** The list has more pages or items than the limits allow; the rest is left out. */
  truncated(method: string): void;
  /** A cursor of the list was seen before; the list ends there. */
  repeated(method: string): void;
  /** A tool is left out. @param why as a clause */
  dropped(tool: string, why: string): void;
}

/** One list as it was read. */
export interface List {
  readonly items: Packed;
  readonly ttlMs: number;
  readonly isPrivate: boolean;
  /** All pages were read; false = one of them failed, and the list has those before it. */
  readonly isWhole: boolean;
}

/** A list without items that any client may keep for any time. */
export const EMPTY_LIST: List = { items: NO_ITEMS, ttlMs: Number.POSITIVE_INFINITY, isPrivate: false, isWhole: true };

/** How the reading of a list ended. */
export interface ListOutcome {
  readonly list: List;
  /** Why a page could not be read; null = the list is whole. */
  readonly error: ControlError | null;
}

/** Which list is read, and within which bounds. */
export interface ListRequest {
  readonly method: string;
  /** The member of the result that holds the items. */
  readonly key: string;
  readonly limits: LimitsSnapshot;
  /** For each page. */
  readonly timeoutMs: Milliseconds;
}

/** Reads pages until the last one, a limit, a repeated cursor or a page that cannot be read. Never rejects. */
export async function readList(
  { channel, background, transport, handshake }: DiscoverySource,
  { method, key, limits: { maxPages, maxTools }, timeoutMs }: ListRequest,
  report: ListReport,
): Promise<ListOutcome> {
  const checkHeaders = key === 'tools' && transport === 'http' && handshake.era === Era.modern;
  const pages: Packed[] = [];
  // Digests, because a cursor may be as long as a response.
  const cursors = new Set<string>();
  let count = 0;
  let cursor: string | null = null;
  let ttlMs = Number.POSITIVE_INFINITY;
  let isPrivate = false;
  let isFull = true;
  try {
    for (let number = 0; number < maxPages; number += 1) {
      const reply = await channel.request(method, cursor === null ? {} : { cursor }, { timeoutMs });
      const large = reply.bytes.length > LARGE_PAGE;
      const bytes = large ? await shared(reply.bytes) : reply.bytes;
      const source = { bytes, result: reply.spans.resultStart, key, maxItems: maxTools - count, checkHeaders };
      const page = await (large ? background.readPage(source) : readPage(source));
      if (page.items === null) {
        // Throws the error if the response is one.
        resultOf(reply);
        throw new ControlError('invalid', `the answer has no list of ${key}`);
      }
      for (const [tool, why] of page.dropped) report.dropped(tool, why);
      pages.push(page.items);
      count += packedCount(page.items);
      ttlMs = Math.min(ttlMs, page.ttlMs);
      isPrivate ||= page.isPrivate;
      if (page.full) break;
      cursor = page.cursor;
      isFull = cursor !== null;
      if (cursor === null) break;
      const digest = createHash('sha256').update(cursor).digest('base64');
      if (cursors.has(digest)) {
        report.repeated(method);
        isFull = false;
        break;
      }
      cursors.add(digest);
    }
  } catch (error) {
    const items = pages.length === 0 ? NO_ITEMS : await joined(pages);
    return { list: { items, ttlMs, isPrivate, isWhole: false }, error: asControlError(error) };
  }
  if (isFull) report.truncated(method);
  return { list: { items: await joined(pages), ttlMs, isPrivate, isWhole: true }, error: null };
}

function asControlError(error: unknown): ControlError {
  return error instanceof ControlError ? error : new ControlError('invalid', String(error));
}

/** The bytes of a reply in shared memory; those of a large HTTP body are there already. */
async function shared(bytes: Buffer): Promise<Uint8Array> {
  return bytes.buffer instanceof SharedArrayBuffer ? bytes : joinShared([bytes], bytes.length);
}

/** The items of all pages as one list. */
async function joined(pages: readonly Packed[]): Promise<Packed> {
  const [only] = pages;
  if (only !== undefined && pages.length === 1) return only;
  const counts = pages.map(packedCount);
  const offsets = new Int32Array(new SharedArrayBuffer((counts.reduce((sum, count) => sum + count, 0) + 1) * 4));
  let at = 0;
  let base = 0;
  for (const page of pages) {
    for (const end of page.offsets.subarray(1)) {
      at += 1;
      offsets[at] = base + end;
    }
    base = offsets[at] ?? base;
  }
  const parts = pages.map(({ bytes, offsets: ends }) => bytes.subarray(0, ends.at(-1)));
  return { bytes: await joinShared(parts, base), offsets };
}
