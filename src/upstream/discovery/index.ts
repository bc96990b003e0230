import type { LimitsSnapshot } from '../../config/snapshot.js';
import { Era } from '../../protocol/revisions.js';
import { NO_ITEMS, type Packed, packedCount, packedText } from '../../shared/packed.js';
import type { Milliseconds } from '../../units.js';
import { type Background, joinShared } from '../core/background.js';
import { type ControlChannel, ControlError, resultOf } from '../core/control.js';
import type { Handshake } from '../core/handshake.js';
import { LARGE_PAGE, readPage } from '../core/list-page.js';
import type { Discovery, ListChanges, Transport } from '../core/types.js';

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
export interface DiscoveryReport {
  /** The list has more pages or items than the limits allow; the rest is left out. */
  truncated(method: string): void;
  /** A tool is left out. @param why as a clause */
  dropped(tool: string, why: string): void;
}

interface List {
  readonly items: Packed;
  readonly ttlMs: number;
  readonly isPrivate: boolean;
}

const EMPTY: List = { items: NO_ITEMS, ttlMs: Number.POSITIVE_INFINITY, isPrivate: false };

/**
 * Reads all lists that the server's capabilities name, one after the other.
 *
 * @throws ControlError when a list cannot be read: a partial result would remove tools from the catalog
 */
export async function discover(
  source: DiscoverySource,
  limits: LimitsSnapshot,
  timeoutMs: Milliseconds,
  report: DiscoveryReport,
): Promise<Discovery> {
  const { handshake } = source;
  const { capabilities } = handshake;
  const read = (method: string, key: string): Promise<List> => readList(source, method, key, limits, timeoutMs, report);
  const tools = offers(capabilities, 'tools') ? await read('tools/list', 'tools') : EMPTY;
  const prompts = offers(capabilities, 'prompts') ? await optional(() => read('prompts/list', 'prompts')) : EMPTY;
  const hasResources = offers(capabilities, 'resources');
  const resources = hasResources ? await optional(() => read('resources/list', 'resources')) : EMPTY;
  const templates = hasResources ? await optional(() => read('resources/templates/list', 'resourceTemplates')) : EMPTY;
  const lists = [tools, prompts, resources, templates];
  const ttlMs = Math.min(...lists.map((list) => list.ttlMs));
  return {
    server: source.server,
    era: handshake.era,
    revision: handshake.revision,
    capabilities,
    instructions: handshake.instructions,
    serverInfo: handshake.serverInfo,
    tools: tools.items,
    prompts: prompts.items,
    resources: resources.items,
    templates: templates.items,
    ttlMs: handshake.era === Era.modern && Number.isFinite(ttlMs) ? ttlMs : 0,
    cacheScope: handshake.era === Era.modern && lists.every((list) => !list.isPrivate) ? 'public' : 'private',
  };
}

/** Whether two discoveries are the same, byte for byte. */
export function sameDiscovery(a: Discovery, b: Discovery): boolean {
  return (
    a.era === b.era &&
    a.revision === b.revision &&
    a.instructions === b.instructions &&
    a.cacheScope === b.cacheScope &&
    JSON.stringify([a.capabilities, a.serverInfo]) === JSON.stringify([b.capabilities, b.serverInfo]) &&
    sameItems(a.tools, b.tools) &&
    sameItems(a.prompts, b.prompts) &&
    sameItems(a.resources, b.resources) &&
    sameItems(a.templates, b.templates)
  );
}

/** The names of the items that only the second list has. Items without a readable name are left out. */
export function addedNames(before: Packed, after: Packed): string[] {
  const known = new Set(namesOf(before));
  return namesOf(after).filter((name) => !known.has(name));
}

function namesOf(items: Packed): string[] {
  return Array.from({ length: packedCount(items) }, (_, index) => {
    try {
      return String((JSON.parse(packedText(items, index)) as { name?: unknown }).name ?? '');
    } catch {
      return '';
    }
  }).filter((name) => name !== '');
}

/** The lists that differ between two discoveries of one server; resource templates count as resources. */
export function changedLists(a: Discovery, b: Discovery): ListChanges {
  return {
    tools: !sameItems(a.tools, b.tools),
    prompts: !sameItems(a.prompts, b.prompts),
    resources: !sameItems(a.resources, b.resources) || !sameItems(a.templates, b.templates),
  };
}

function sameItems(a: Packed, b: Packed): boolean {
  return (
    a.offsets.length === b.offsets.length && sameBytes(bytesOf(a.offsets), bytesOf(b.offsets)) && sameContent(a, b)
  );
}

function sameContent(a: Packed, b: Packed): boolean {
  const used = a.offsets.at(-1)!;
  return sameBytes(a.bytes.subarray(0, used), b.bytes.subarray(0, used));
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

function bytesOf({ buffer, byteOffset, byteLength }: Int32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

async function readList(
  { channel, background, transport, handshake }: DiscoverySource,
  method: string,
  key: string,
  { maxPages, maxTools }: LimitsSnapshot,
  timeoutMs: Milliseconds,
  report: DiscoveryReport,
): Promise<List> {
  const checkHeaders = key === 'tools' && transport === 'http' && handshake.era === Era.modern;
  const pages: Packed[] = [];
  let count = 0;
  let cursor: string | null = null;
  let ttlMs = Number.POSITIVE_INFINITY;
  let isPrivate = false;
  for (let number = 0; number < maxPages; number += 1) {
    const reply = await channel.request(method, cursor === null ? {} : { cursor }, { timeoutMs });
    const { spans } = reply;
    const large = reply.bytes.length > LARGE_PAGE;
    const bytes = large ? await shared(reply.bytes) : reply.bytes;
    const source = { bytes, result: spans.resultStart, key, maxItems: maxTools - count, checkHeaders };
    const page = await (large ? background.readPage(source) : readPage(source));
    if (page.items === null) {
      // Throws the error if the response is one.
      resultOf(reply);
      throw new ControlError('invalid', `the answer to ${method} has no list`);
    }
    for (const [tool, why] of page.dropped) report.dropped(tool, why);
    pages.push(page.items);
    count += packedCount(page.items);
    ttlMs = Math.min(ttlMs, page.ttlMs);
    isPrivate ||= page.isPrivate;
    if (page.full) break;
    // An empty string is a cursor too (MCP, pagination). A repeated cursor would never end.
    if (page.cursor === null || page.cursor === cursor) return { items: await joined(pages), ttlMs, isPrivate };
    cursor = page.cursor;
  }
  report.truncated(method);
  return { items: await joined(pages), ttlMs, isPrivate };
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

/** A list that a server refuses although it has the capability (often templates) counts as empty. */
async function optional(read: () => Promise<List>): Promise<List> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof ControlError && error.kind === 'rpc') return EMPTY;
    throw error;
  }
}

function offers(capabilities: Record<string, unknown>, kind: string): boolean {
  return typeof capabilities[kind] === 'object' && capabilities[kind] !== null;
}
