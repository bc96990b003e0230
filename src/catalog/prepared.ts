/** A catalog as the front uses it: tables and prepared bytes, immutable but for `ttlMs`. */
import { LRUCache } from 'lru-cache';
import { Method } from '../../native/layout.js';
import { decodeString } from '../protocol/json-cursor.js';
import { Era, LATEST_LEGACY } from '../protocol/revisions.js';
import { judgedUri, normalUri } from '../protocol/uri.js';
import type { ListQuery } from '../request/write/local.js';
import { type CatalogTable, EntryKind } from '../shared/catalog-table.js';
import type { HiddenEntries } from '../shared/hidden-entries.js';
import { packedText, packedView } from '../shared/packed.js';
import { ByteTable } from '../shared/patterns/byte-table.js';
import type { Bytes, Milliseconds } from '../units.js';
import { packedViews } from './pack.js';
import { buildList, TTL_WIDTH } from './results.js';
import type { BuiltList, Capabilities, CatalogBuild, CatalogProblem, HeaderParam } from './types.js';

const NO_BYTES = Buffer.alloc(0);
const NO_PARAMS: readonly HeaderParam[] = Object.freeze([]);

interface PreparedList {
  readonly first: Buffer;
  /** The other pages. */
  readonly byCursor: ReadonlyMap<string, Buffer>;
  readonly built: BuiltList;
}

/** Lists by era and position in `LISTS`. */
type PreparedLists = readonly (readonly PreparedList[])[];

/** See the file comment. Catalog creates one for each build. */
export class PreparedCatalog {
  readonly table: CatalogTable;
  /** What the gateway declares; methods of absent kinds are unknown. */
  readonly capabilities: Capabilities;
  readonly problems: readonly CatalogProblem[];
  readonly problemCounts: Readonly<Record<string, number>>;
  readonly renamed: CatalogBuild['renamed'];
  readonly renamedCount: number;
  readonly routeFaults: CatalogBuild['routeFaults'];
  readonly patternFaults: CatalogBuild['patternFaults'];
  /** Digest of each list, in the order of `EntryKind`. */
  readonly fingerprints: readonly string[];
  /** Offered tools, prompts, resources and templates by server. */
  readonly offered: CatalogBuild['offered'];
  /** Lists depend on what a client may call. */
  readonly isRestricted: boolean;

  readonly #build: CatalogBuild;
  /** By entry, created on first use. */
  readonly #names: (Buffer | undefined)[];
  readonly #nameHeaders: (string | undefined)[];
  readonly #headerParams = new Map<number, readonly HeaderParam[]>();
  /** By position in `Snapshot.views`. */
  readonly #views: readonly PreparedLists[];
  readonly #listSets: ReadonlyMap<string, PreparedLists>;
  /** The lists of clients from which something is hidden. */
  readonly #visibleLists: LRUCache<string, PreparedList>;
  readonly #expiresAt: number;
  readonly #ttlMs: Milliseconds;
  readonly #unusual: ByteTable;
  readonly #resources: ByteTable;

  /**
   * Takes constant time, except for the pages: names are decoded on first use.
   *
   * @param ttlMs configured `ttlMs` of modern results
   * @param maxListBytes memory for the lists of clients from which something is hidden
   */
  constructor(build: CatalogBuild, ttlMs: Milliseconds, maxListBytes: Bytes) {
    this.#visibleLists = new LRUCache({
      maxSize: maxListBytes,
      sizeCalculation: ({ built }) => built.pages.bytes.length + 1,
    });
    this.table = build.table;
    this.#unusual = new ByteTable(build.table.unusual);
    this.#resources = new ByteTable(build.table.byName.resource);
    this.#build = build;
    this.#names = new Array(build.table.kind.length);
    this.#nameHeaders = new Array(build.table.kind.length);
    this.capabilities = build.capabilities;
    this.problems = build.problems;
    this.problemCounts = build.problemCounts;
    this.renamed = build.renamed;
    this.renamedCount = build.renamedCount;
    this.routeFaults = build.routeFaults;
    this.patternFaults = build.patternFaults;
    this.fingerprints = build.fingerprints;
    this.offered = build.offered;
    this.isRestricted = build.isRestricted;
    this.#views = build.views.map(({ lists }) => prepareLists(lists));
    this.#listSets = new Map([...build.listSets].map(([name, lists]) => [name, prepareLists(lists)] as const));
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

  /** The spelling in which an upstream lists a resource; of one that is not listed its normal form. */
  listedAs(uri: string): string {
    if (this.listsUnusual(uri)) return uri;
    const judged = Buffer.from(judgedUri(uri));
    const entry = this.#resources.get(judged, 0, judged.length);
    if (entry >= 0) return packedText(this.table.upstreamNames, entry);
    const normal = normalUri(uri);
    return typeof normal === 'string' ? uri : normal.text;
  }

  /**
   * Whether a client spelled the resource or template of an entry otherwise than the upstream lists it, and its spelling is not
   * listed (RFC 3986, 6.2.2): the upstream knows only the listed one.
   *
   * @param bytes the content of a JSON string at `[start, end)`
   */
  isSpelledOtherwise(entry: number, bytes: Uint8Array, start: number, end: number): boolean {
    const listed = this.upstreamName(entry);
    if (Buffer.compare(listed, bytes.subarray(start, end)) === 0) return false;
    const text = decodeString(bytes, start, end);
    const kind = this.table.kind[entry];
    // The entry of a URI may be the template that it matches, whose text it does not have.
    if (kind !== (text.includes('{') ? EntryKind.template : EntryKind.resource)) return false;
    return text !== packedText(this.table.upstreamNames, entry) && !this.listsUnusual(text);
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
   * @param query whose lists; default: those of the first view that all clients share
   * @returns null when the cursor is not one of this catalog (GW_INVALID_CURSOR)
   */
  page(method: number, revision: number, cursor: Uint8Array | null, query: ListQuery = SHARED): Uint8Array | null {
    const era = revision > LATEST_LEGACY ? Era.modern : Era.legacy;
    const { hidden, set, view } = query;
    const lists = (set === '' ? undefined : this.#listSets.get(set)) ?? this.#views[view];
    const position = listOf(method);
    let list = lists?.[era]?.[position];
    if (list !== undefined && hidden !== null) {
      list = this.#visible(list, hidden, `${hidden.number} ${view} ${set} ${era} ${position}`);
    }
    const bytes = cursor === null ? list?.first : list?.byCursor.get(cursorText(cursor));
    if (list === undefined || bytes === undefined) return null;
    const { ttlAt } = list.built;
    if (ttlAt >= 0) this.#writeTtl(bytes, ttlAt);
    return bytes;
  }

  /** A list without what is hidden. @param key of the list among those of all sets of hidden entries */
  #visible(list: PreparedList, hidden: HiddenEntries, key: string): PreparedList {
    const known = this.#visibleLists.get(key);
    if (known !== undefined) return known;
    const { ends, entries, pages, shape, starts } = list.built;
    const text = Buffer.from(pages.bytes.buffer, pages.bytes.byteOffset, pages.bytes.byteLength);
    const seen = [...entries.keys()].filter((item) => !hidden.hides(entries[item]!));
    const items = seen.map((item) => text.toString('latin1', starts[item], ends[item]));
    const shown = prepareList(buildList(shape, items, []));
    this.#visibleLists.set(key, shown);
    return shown;
  }

  hasListSet(name: string): boolean {
    return this.#listSets.has(name);
  }

  /**
   * The `initialize` result of a legacy revision; the newest legacy one for any other number.
   *
   * @param view position in `Snapshot.views`
   */
  initializeResult(revision: number, view = 0): Uint8Array {
    const results = this.#build.views[view]?.initialize ?? [];
    return results[revision] ?? results.at(-1) ?? NO_BYTES;
  }

  /** The `server/discover` result; valid during this turn only, as in {@link page}. @param view position in `Snapshot.views` */
  discoverResult(view = 0): Uint8Array {
    const discover = this.#build.views[view]?.discover;
    if (discover === undefined) return NO_BYTES;
    this.#writeTtl(discover.bytes, discover.ttlAt);
    return discover.bytes;
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

const SHARED: ListQuery = { view: 0, set: '', hidden: null };

function prepareLists(lists: readonly (readonly BuiltList[])[]): PreparedLists {
  return lists.map((ofEra) => ofEra.map(prepareList));
}

function prepareList(built: BuiltList): PreparedList {
  const [first = NO_BYTES, ...others] = packedViews(built.pages);
  return { first, byCursor: new Map(others.map((page, index) => [built.cursors[index] ?? '', page])), built };
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
