/** Reading an upstream's lists, item by item as raw bytes. */
import { Span } from '../../native/layout.js';
import type { LimitsSnapshot } from '../config/snapshot.js';
import { JsonCursor } from '../protocol/json-cursor.js';
import { Era } from '../protocol/revisions.js';
import type { Count, Milliseconds } from '../units.js';
import { type ControlChannel, ControlError, resultOf } from './control.js';
import type { Handshake } from './handshake.js';
import { brokenHeaderAnnotation } from './header-annotations.js';
import type { Discovery, Transport } from './types.js';

/** Where to read. */
export interface DiscoverySource {
  readonly server: number;
  readonly handshake: Handshake;
  readonly transport: Transport;
  readonly channel: ControlChannel;
}

/** What was left out, for the log. */
export interface DiscoveryReport {
  /** More pages or items than the limits allow were left out of this list. */
  truncated(method: string): void;
  /** A tool that may not be offered. */
  dropped(tool: string, why: string): void;
}

interface List {
  readonly items: Uint8Array[];
  readonly ttlMs: number;
  readonly isPrivate: boolean;
}

const EMPTY: List = { items: [], ttlMs: Number.POSITIVE_INFINITY, isPrivate: false };

/**
 * Reads all lists that the server's capabilities name, one after the other.
 *
 * @throws ControlError when a list cannot be read: half a catalog would make tools vanish
 */
export async function discover(
  source: DiscoverySource,
  limits: LimitsSnapshot,
  timeoutMs: Milliseconds,
  report: DiscoveryReport,
): Promise<Discovery> {
  const { handshake, channel } = source;
  const { capabilities } = handshake;
  const read = (method: string, key: string): Promise<List> =>
    readList(channel, method, key, limits.maxPages, limits.maxTools, timeoutMs, report);
  const tools = offers(capabilities, 'tools') ? await read('tools/list', 'tools') : EMPTY;
  const prompts = offers(capabilities, 'prompts') ? await optional(() => read('prompts/list', 'prompts')) : EMPTY;
  const hasResources = offers(capabilities, 'resources');
  const resources = hasResources ? await optional(() => read('resources/list', 'resources')) : EMPTY;
  const templates = hasResources ? await optional(() => read('resources/templates/list', 'resourceTemplates')) : EMPTY;
  const checked = source.transport === 'http' && handshake.era === Era.modern;
  const lists = [tools, prompts, resources, templates];
  const ttlMs = Math.min(...lists.map((list) => list.ttlMs));
  return {
    server: source.server,
    era: handshake.era,
    revision: handshake.revision,
    capabilities,
    instructions: handshake.instructions,
    serverInfo: handshake.serverInfo,
    tools: checked ? tools.items.filter((tool) => mayBeOffered(tool, report)) : tools.items,
    prompts: prompts.items,
    resources: resources.items,
    templates: templates.items,
    ttlMs: handshake.era === Era.modern && Number.isFinite(ttlMs) ? ttlMs : 0,
    cacheScope: handshake.era === Era.modern && lists.every((list) => !list.isPrivate) ? 'public' : 'private',
  };
}

/** Whether two discoveries say the same, byte for byte. */
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

function sameItems(a: readonly Uint8Array[], b: readonly Uint8Array[]): boolean {
  return a.length === b.length && a.every((item, index) => Buffer.compare(item, b[index]!) === 0);
}

async function readList(
  channel: ControlChannel,
  method: string,
  key: string,
  maxPages: Count,
  maxItems: Count,
  timeoutMs: Milliseconds,
  report: DiscoveryReport,
): Promise<List> {
  const items: Uint8Array[] = [];
  let cursor: string | null = null;
  let ttlMs = Number.POSITIVE_INFINITY;
  let isPrivate = false;
  for (let page = 0; page < maxPages; page += 1) {
    const reply = await channel.request(method, cursor === null ? {} : { cursor }, { timeoutMs });
    const { bytes, spans } = reply;
    const raw = readPage(bytes, spans[Span.resultStart]!, key);
    if (raw.list < 0 || bytes[raw.list] !== 0x5b) {
      // Also says what is wrong if the answer is an error.
      resultOf(reply);
      throw new ControlError('invalid', `the answer to ${method} has no list`);
    }
    const elements = new JsonCursor(bytes, raw.list);
    while (elements.next()) {
      // A view: the items of one page share the memory of its answer.
      if (items.length < maxItems) items.push(bytes.subarray(elements.start, elements.end));
      else raw.full = true;
    }
    ttlMs = Math.min(ttlMs, raw.ttlMs);
    isPrivate ||= raw.isPrivate;
    if (raw.full) break;
    // An empty string is a cursor too (pagination); the same one again would never end.
    if (raw.cursor === null || raw.cursor === cursor) return { items, ttlMs, isPrivate };
    cursor = raw.cursor;
  }
  report.truncated(method);
  return { items, ttlMs, isPrivate };
}

function readPage(bytes: Buffer, result: number, key: string) {
  const page = { list: -1, cursor: null as string | null, ttlMs: 0, isPrivate: true, full: false };
  if (result < 0 || bytes[result] !== 0x7b) return page;
  const members = new JsonCursor(bytes, result);
  const value = (): unknown => JSON.parse(bytes.toString('utf8', members.start, members.end));
  while (members.next()) {
    if (members.keyIs(key)) page.list = members.start;
    else if (members.keyIs('nextCursor')) {
      const cursor = value();
      if (typeof cursor === 'string') page.cursor = cursor;
    } else if (members.keyIs('ttlMs')) {
      const ttlMs = value();
      if (typeof ttlMs === 'number') page.ttlMs = Math.max(0, ttlMs);
    } else if (members.keyIs('cacheScope')) page.isPrivate = value() !== 'public';
  }
  return page;
}

function mayBeOffered(tool: Uint8Array, report: DiscoveryReport): boolean {
  const why = brokenHeaderAnnotation(tool);
  if (why === null) return true;
  const { name } = JSON.parse(Buffer.from(tool.buffer, tool.byteOffset, tool.length).toString('utf8')) as {
    name?: unknown;
  };
  report.dropped(typeof name === 'string' ? name : '', why);
  return false;
}

/** A list that a server refuses although it has the capability (templates often) takes nothing from the others. */
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
