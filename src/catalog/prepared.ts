/** A catalog as the front uses it: tables and prepared bytes, immutable but for `ttlMs`. */
import { Method } from '../../native/layout.js';
import { Era, LATEST_LEGACY } from '../protocol/revisions.js';
import type { CatalogTable } from '../shared/catalog-table.js';
import { packedText, packedView } from '../shared/packed.js';
import { ByteTable } from '../shared/patterns/byte-table.js';
import type { Milliseconds } from '../units.js';
import { packedViews } from './pack.js';
import { TTL_WIDTH } from './results.js';
import type { BuiltList, Capabilities, CatalogBuild, CatalogProblem, HeaderParam } from './types.js';

const NO_BYTES = Buffer.alloc(0);
const NO_PARAMS: readonly HeaderParam[] = Object.freeze([]);

interface PreparedList {
  readonly first: Buffer;
  /** The other pages. */
  readonly byCursor: ReadonlyMap<string, Buffer>;
  /** See BuiltList. */
  readonly ttlAt: number;
}

/** See the file comment. Catalog creates one for each build. */
export class PreparedCatalog {
  readonly table: CatalogTable;
  /** What the gateway declares; methods of absent kinds are unknown. */
  readonly capabilities: Capabilities;
  readonly problems: readonly CatalogProblem[];
  readonly problemCounts: Readonly<Record<string, number>>;
  /** Digest of each list, in the order of `EntryKind`. */
  readonly fingerprints: readonly string[];
  /** Offered tools, prompts, resources and templates by server. */
  readonly offered: CatalogBuild['offered'];

  readonly #build: CatalogBuild;
  /** By entry, created on first use. */
  readonly #names: (Buffer | undefined)[];
  readonly #nameHeaders: (string | undefined)[];
  readonly #headerParams = new Map<number, readonly HeaderParam[]>();
  /** By era and position in `LISTS`. */
  readonly #lists: readonly (readonly PreparedList[])[];
  /** The same by the name of a view. */
  readonly #views: ReadonlyMap<string, readonly (readonly PreparedList[])[]>;
  readonly #initialize: readonly Uint8Array[];
  readonly #latestInitialize: Uint8Array;
  readonly #discover: Uint8Array;
  readonly #discoverTtlAt: number;
  readonly #expiresAt: number;
  readonly #ttlMs: Milliseconds;
  readonly #unusual: ByteTable;

  /** Takes constant time, except for the pages: names are decoded on first use. @param ttlMs configured `ttlMs` of modern results */
  constructor(build: CatalogBuild, ttlMs: Milliseconds) {
    this.table = build.table;
    this.#unusual = new ByteTable(build.table.unusual);
    this.#build = build;
    this.#names = new Array(build.table.kind.length);
    this.#nameHeaders = new Array(build.table.kind.length);
    this.capabilities = build.capabilities;
    this.problems = build.problems;
    this.problemCounts = build.problemCounts;
    this.fingerprints = build.fingerprints;
    this.offered = build.offered;
    this.#lists = build.lists.map((lists) => lists.map(prepareList));
    this.#views = new Map(
      [...build.views].map(([name, eras]) => [name, eras.map((lists) => lists.map(prepareList))] as const),
    );
    this.#initialize = build.initialize;
    this.#latestInitialize = build.initialize.at(-1) ?? NO_BYTES;
    this.#discover = build.discover.bytes;
    this.#discoverTtlAt = build.discover.ttlAt;
    this.#expiresAt = build.expiresAt;
    this.#ttlMs = ttlMs;
  }

  /** Grows with each build. */
  get version(): number {
    return this.table.version;
  }

  /** Whether an upstream lists a resource or template under exactly this URI, which is not in normal form. */
  listsUnusual(uri: string): boolean {
    const bytes = Buffer.from(uri);
    return this.#unusual.get(bytes, 0, bytes.length) >= 0;
  }

  /** The upstream's name of an entry as the content of a JSON string, without the quotes. */
  upstreamName(entry: number): Uint8Array {
    const known = this.#names[entry];
    if (known !== undefined) return known;
    const name = packedView(this.#build.escapedNames, entry);
    this.#names[entry] = name;
    return name;
  }

  /** The value of `Mcp-Name` for an entry towards a modern upstream. */
  nameHeader(entry: number): string {
    const known = this.#nameHeaders[entry];
    if (known !== undefined) return known;
    const header = packedText(this.#build.nameHeaders, entry);
    this.#nameHeaders[entry] = header;
    return header;
  }

  /** The arguments of an entry that travel as `Mcp-Param-*` headers; empty without `EntryFlag.headerParams`. */
  headerParams(entry: number): readonly HeaderParam[] {
    const known = this.#headerParams.get(entry);
    if (known !== undefined) return known;
    const text = packedText(this.#build.headerParams, entry);
    const params = text === '' ? NO_PARAMS : (JSON.parse(text) as HeaderParam[]);
    this.#headerParams.set(entry, params);
    return params;
  }

  /**
   * The `result` object of a list method. The bytes are the catalog's own and valid during this turn only (`ttlMs` is
   * written in place): copy or send them at once.
   *
   * @param method one of the four list methods (native/layout.ts)
   * @param revision number of the client's revision
   * @param cursor the raw JSON token of `params.cursor`, or null
   * @param view the lists of some clients; '' or an unknown one = the lists that all clients share
   * @returns null when the cursor is not one of this catalog (GW_INVALID_CURSOR)
   */
  page(method: number, revision: number, cursor: Uint8Array | null, view = ''): Uint8Array | null {
    const era = revision > LATEST_LEGACY ? Era.modern : Era.legacy;
    const lists = (view === '' ? undefined : this.#views.get(view)) ?? this.#lists;
    const list = lists[era]?.[listOf(method)];
    const bytes = cursor === null ? list?.first : list?.byCursor.get(cursorText(cursor));
    if (list === undefined || bytes === undefined) return null;
    if (list.ttlAt >= 0) this.#writeTtl(bytes, list.ttlAt);
    return bytes;
  }

  hasView(name: string): boolean {
    return this.#views.has(name);
  }

  /** The `initialize` result of a legacy revision; the newest legacy one for any other number. */
  initializeResult(revision: number): Uint8Array {
    return this.#initialize[revision] ?? this.#latestInitialize;
  }

  /** The `server/discover` result; valid during this turn only, as in {@link page}. */
  discoverResult(): Uint8Array {
    this.#writeTtl(this.#discover, this.#discoverTtlAt);
    return this.#discover;
  }

  /** Writes the remaining freshness of the upstreams' lists, at most the configured time (MCP 2026-07-28, caching). */
  #writeTtl(bytes: Uint8Array, at: number): void {
    if (this.#expiresAt === Number.POSITIVE_INFINITY) return;
    let left = Math.min(this.#ttlMs, Math.max(0, Math.floor(this.#expiresAt - Date.now())));
    let digits = 1;
    for (let rest = left; rest >= 10; rest = Math.floor(rest / 10)) digits += 1;
    for (let index = TTL_WIDTH - 1; index >= 0; index -= 1) {
      if (index >= digits) bytes[at + index] = 0x20;
      else {
        bytes[at + index] = 0x30 + (left % 10);
        left = Math.floor(left / 10);
      }
    }
  }
}

function listOf(method: number): number {
  if (method === Method.toolsList) return 0;
  if (method === Method.promptsList) return 1;
  return method === Method.resourcesList ? 2 : 3;
}

function prepareList({ cursors, pages, ttlAt }: BuiltList): PreparedList {
  const [first = NO_BYTES, ...others] = packedViews(pages);
  return { first, byCursor: new Map(others.map((page, index) => [cursors[index] ?? '', page])), ttlAt };
}

/** The decoded string; '' when the token is not a valid cursor. */
function cursorText(token: Uint8Array): string {
  const text = Buffer.from(token.buffer, token.byteOffset, token.byteLength).toString('latin1');
  if (!text.includes('\\')) return text.startsWith('"') ? text.slice(1, -1) : '';
  try {
    return String(JSON.parse(text));
  } catch {
    return '';
  }
}
