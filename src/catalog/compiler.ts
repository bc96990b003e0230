/** Compiles the lists of each server separately, so that a catalog is merged from finished parts. */
import type { ServerSnapshot } from '../config/snapshot/index.js';
import type { PinnedTools } from '../config/snapshot/pinning.js';
import { Era } from '../protocol/revisions.js';
import { packedCount } from '../shared/packed.js';
import type { Bytes } from '../units.js';
import type { Discovery } from '../upstream/core/types.js';
import { type CompiledList, compileLists, type ListsInput } from './compile-lists.js';
import type { SchemaRule } from './items/index.js';
import { LISTS } from './items/list-names.js';
import { isObject } from './items/shapes.js';
import type { Capabilities, CompiledDiscovery } from './types.js';

/** Larger lists take half a second or more and are compiled one server at a time. */
const LARGE: Bytes = 4 * 1024 * 1024;

/** Compiles lists in other threads: the control pool. */
export interface ListThreads {
  compileLists(input: ListsInput): Promise<CompiledList[]>;
}

/** See the file comment. Small lists never wait for large ones. Owned by Catalog. */
export class ListCompiler {
  readonly #threads: ListThreads | undefined;
  /** Settles when the large lists so far are compiled. */
  #large: Promise<unknown> = Promise.resolve();

  /** @param threads default: on this thread, synchronously */
  constructor(threads: ListThreads | undefined) {
    this.#threads = threads;
  }

  /**
   * @param pins what the lockfile says of the server's tools; null = nothing is compared
   * @throws the error of the thread
   */
  async compile(
    discovery: Discovery,
    { endpoints }: ServerSnapshot,
    schemas: SchemaRule,
    pins: PinnedTools | null,
  ): Promise<CompiledDiscovery> {
    const lists = LISTS.map((list) => discovery[list]);
    const http = endpoints.some(({ transport }) => transport === 'http');
    const input = { lists, checkHeaders: http && discovery.era === Era.modern, schemas, pins };
    const isLarge = lists.reduce((sum, { bytes }) => sum + bytes.length, 0) > LARGE;
    const compiled = isLarge ? this.#afterOthers(input) : this.#compile(input);
    return described(discovery, await compiled);
  }

  #compile(input: ListsInput): Promise<CompiledList[]> | CompiledList[] {
    return this.#threads?.compileLists(input) ?? compileLists(input);
  }

  #afterOthers(input: ListsInput): Promise<CompiledList[]> {
    const compiled = this.#large.then(() => this.#compile(input));
    this.#large = compiled.catch(() => {});
    return compiled;
  }
}

function described(discovery: Discovery, lists: readonly CompiledList[]): CompiledDiscovery {
  const { capabilities, era, ttlMs } = discovery;
  const has = (key: keyof Capabilities): boolean => typeof capabilities[key] === 'object' && capabilities[key] !== null;
  return {
    server: discovery.server,
    era,
    capabilities: {
      tools: has('tools') || packedCount(discovery.tools) > 0,
      prompts: has('prompts') || packedCount(discovery.prompts) > 0,
      resources: has('resources') || packedCount(discovery.resources) > 0 || packedCount(discovery.templates) > 0,
      logging: has('logging'),
      completions: has('completions'),
      subscribe: members(capabilities['resources'])['subscribe'] === true,
      tasks:
        era === Era.legacy &&
        members(members(members(capabilities['tasks'])['requests'])['tools'])['call'] !== undefined,
    },
    passed: {
      extensions: members(capabilities['extensions']),
      experimental: members(capabilities['experimental']),
    },
    instructions: discovery.instructions,
    // Legacy upstreams send no `ttlMs`; list_changed keeps their lists fresh.
    expiresAt: era === Era.modern ? Date.now() + ttlMs : Number.POSITIVE_INFINITY,
    cacheScope: discovery.cacheScope,
    lists,
  };
}

function members(value: unknown): Record<string, unknown> {
  return isObject(value) ? value : {};
}
