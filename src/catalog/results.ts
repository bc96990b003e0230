/** Builds result objects: list pages, `initialize` and `server/discover`. */
import { createHash } from 'node:crypto';
import { isTombstone } from '../config/numbering.js';
import { Era, LATEST_LEGACY, REVISIONS, Revision } from '../protocol/revisions.js';
import { toLatin1 } from './items/json-text.js';
import type { ListName } from './items/list-names.js';
import { packTexts } from './pack.js';
import type { BuiltList, Capabilities, CatalogInput, ListShape } from './types.js';

/** Characters reserved for `ttlMs`, padded with spaces: the number is written in place when the bytes are served. */
export const TTL_WIDTH = 16;

const RESULT_KEY: Readonly<Record<ListName, string>> = {
  tools: 'tools',
  prompts: 'prompts',
  resources: 'resources',
  templates: 'resourceTemplates',
};

const MODERN_HEAD = '{"resultType":"complete","ttlMs":';

/** The members that every modern result starts with (MCP 2026-07-28, caching and results). */
function modernHead(input: CatalogInput): string {
  const isPrivate = input.isRestricted || input.discoveries.some(({ cacheScope }) => cacheScope === 'private');
  const scope = isPrivate ? 'private' : 'public';
  const info = { name: input.gatewayName, version: input.gatewayVersion };
  const meta = { 'io.modelcontextprotocol/serverInfo': info };
  const ttl = String(input.rules.ttlMs).padEnd(TTL_WIDTH);
  return toLatin1(`${MODERN_HEAD}${ttl},"cacheScope":"${scope}","_meta":${JSON.stringify(meta)},`);
}

/** A short digest of `texts`, none of which contains a line feed. */
export function digest(texts: Iterable<string>): string {
  const hash = createHash('sha256');
  for (const text of texts) hash.update(text, 'latin1').update('\n');
  return hash.digest('hex').slice(0, 16);
}

/** What is around the items of one list. */
export function listShape(input: CatalogInput, list: ListName, era: Era): ListShape {
  const isModern = era === Era.modern;
  return {
    head: isModern ? modernHead(input) : '{',
    key: RESULT_KEY[list],
    pageSize: input.rules.pageSize,
    ttlAt: isModern ? MODERN_HEAD.length : -1,
  };
}

/** The pages of one list. @param items latin-1 texts @param entries of each, in the table */
export function buildList(shape: ListShape, items: readonly string[], entries: readonly number[]): BuiltList {
  const pageSize = shape.pageSize > 0 ? shape.pageSize : Math.max(1, items.length);
  const count = Math.max(1, Math.ceil(items.length / pageSize));
  // A cursor contains a digest of the list: it stays valid across rebuilds and replicas while the list is the same, and
  // is refused when the list has changed.
  const version = count > 1 ? digest(items) : '';
  const cursors = Array.from({ length: count - 1 }, (_, index) => `${index + 2}.${version}`);
  const starts = new Int32Array(items.length);
  const ends = new Int32Array(items.length);
  let at = 0;
  const pages = Array.from({ length: count }, (_, index) => {
    const next = index + 1 < count ? `"nextCursor":"${cursors[index]}",` : '';
    const open = `${shape.head}${next}"${shape.key}":[`;
    at += open.length;
    const first = index * pageSize;
    const part = items.slice(first, first + pageSize);
    for (const [position, { length }] of part.entries()) {
      if (position > 0) at += 1;
      starts[first + position] = at;
      at += length;
      ends[first + position] = at;
    }
    at += 2;
    return `${open}${part.join(',')}]}`;
  });
  const { ttlAt } = shape;
  return { shape, entries: Int32Array.from(entries), starts, ends, pages: packTexts(pages, 'latin1'), cursors, ttlAt };
}

/** The `initialize` results by legacy revision. @param tail the end of each (instructions.ts) */
export function buildInitialize(input: CatalogInput, capabilities: Capabilities, tail: string): Uint8Array[] {
  const results: Uint8Array[] = [];
  for (let revision = 0; revision <= LATEST_LEGACY; revision += 1) {
    results.push(
      withTail(tail, '', {
        protocolVersion: REVISIONS[revision],
        capabilities: {
          ...declared(capabilities),
          ...(capabilities.tasks && revision === Revision.r2025_11_25 ? { tasks: TASKS } : {}),
          ...passedOn(input, Era.legacy),
        },
        serverInfo: { name: input.gatewayName, version: input.gatewayVersion },
      }),
    );
  }
  return results;
}

/** The `server/discover` result. @param tail its end (instructions.ts) */
export function buildDiscover(
  input: CatalogInput,
  capabilities: Capabilities,
  tail: string,
): { bytes: Uint8Array; ttlAt: number } {
  const bytes = withTail(tail, modernHead(input), {
    supportedVersions: REVISIONS.slice(LATEST_LEGACY + 1),
    capabilities: { ...declared(capabilities), ...passedOn(input, Era.modern) },
  });
  return { bytes, ttlAt: MODERN_HEAD.length };
}

/** Tasks of 2025-11-25 without `list`: the gateway does not record the owners of tasks. */
const TASKS = { cancel: {}, requests: { tools: { call: {} } } };

/** The gateway sends list_changed itself, whether or not its upstreams do. */
const LIST = { listChanged: true };

function declared(capabilities: Capabilities): Record<string, object> {
  return {
    ...(capabilities.tools ? { tools: LIST } : {}),
    ...(capabilities.prompts ? { prompts: LIST } : {}),
    ...(capabilities.resources ? { resources: capabilities.subscribe ? { ...LIST, subscribe: true } : LIST } : {}),
    ...(capabilities.logging ? { logging: {} } : {}),
    ...(capabilities.completions ? { completions: {} } : {}),
  };
}

/** Extensions without methods of their own, or with methods that the gateway routes. */
const ROUTED_EXTENSIONS = new Set(['io.modelcontextprotocol/ui', 'io.modelcontextprotocol/tasks']);

/**
 * `extensions` and `experimental` of the upstreams of one family that work through the gateway. If several servers declare
 * one, the settings of the first server are used.
 */
function passedOn(input: CatalogInput, era: Era): Record<string, object> {
  const extensions = new Map<string, unknown>();
  const experimental = new Map<string, unknown>();
  for (const discovery of input.discoveries) {
    if (discovery.era !== era) continue;
    const passesMethods = input.servers[discovery.server]?.passesMethods === true;
    for (const [id, settings] of Object.entries(discovery.passed.extensions)) {
      if ((passesMethods || ROUTED_EXTENSIONS.has(id)) && !extensions.has(id)) extensions.set(id, settings);
    }
    if (!passesMethods) continue;
    for (const [name, settings] of Object.entries(discovery.passed.experimental)) {
      if (!experimental.has(name)) experimental.set(name, settings);
    }
  }
  return {
    ...(extensions.size > 0 ? { extensions: Object.fromEntries(extensions) } : {}),
    ...(experimental.size > 0 ? { experimental: Object.fromEntries(experimental) } : {}),
  };
}

/**
 * The union over the upstreams. While some are not discovered yet, the three kinds of lists are declared too: a client
 * reads capabilities once, and later lists are signalled with list_changed.
 */
export function mergeCapabilities(input: CatalogInput): Capabilities {
  const servers = input.servers.filter((server) => !isTombstone(server)).length;
  const isIncomplete = input.discoveries.length < servers || servers === 0;
  // What only some clients are listed is declared to all: which lists a client has is not known at `initialize`.
  const lists = [...input.discoveries, ...input.clientLists];
  const any = (key: keyof Capabilities): boolean => lists.some(({ capabilities }) => capabilities[key]);
  return {
    tools: isIncomplete || any('tools'),
    prompts: isIncomplete || any('prompts'),
    resources: isIncomplete || any('resources'),
    logging: any('logging'),
    completions: any('completions'),
    subscribe: any('subscribe'),
    tasks: any('tasks'),
  };
}

function textBytes(latin1: string): Uint8Array {
  return packTexts([latin1], 'latin1').bytes;
}

/** A result with further members before those of `value`, and `tail` in the place of its last brace. */
function withTail(tail: string, head: string, value: object): Uint8Array {
  const text = toLatin1(JSON.stringify(value));
  return textBytes((head === '' ? text : head + text.slice(1)).slice(0, -1) + tail);
}
