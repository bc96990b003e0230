/** A catalog as the front uses it: tables and prepared bytes, immutable but for `ttlMs`. */
import { LRUCache } from 'lru-cache';
import { Method } from '../../native/layout.js';
import { decodeString } from '../protocol/json-cursor.js';
import { Era, LATEST_LEGACY } from '../protocol/revisions.js';
import { judgedUri, normalUri } from '../protocol/uri.js';
import type { Audience, ListQuery } from '../request/write/local.js';
import { type CatalogTable, EntryKind } from '../shared/catalog-table.js';
import type { HiddenEntries } from '../shared/hidden-entries.js';
import { packedText, packedView } from '../shared/packed.js';
import { ByteTable } from '../shared/patterns/byte-table.js';
import type { Bytes, Count, Milliseconds } from '../units.js';
import { instructionsTail } from './instructions.js';
import type { HeaderParam } from './items/header-params.js';
import { packedViews } from './pack.js';
import { buildList, TTL_WIDTH } from './results.js';
import type { BuiltList, BuiltView, Capabilities, CatalogBuild, CatalogProblem } from './types.js';

const NO_BYTES = Buffer.alloc(0);
/** Instructions that are kept for clients from which something is hidden; each has at most `CatalogInput.maxInstructions` bytes. */
const KEPT_TAILS: Count = 64;
const NO_PARAMS: readonly HeaderParam[] = Object.freeze([]);

interface PreparedList {
  readonly first: Buffer;
  /** The other pages. */
  readonly byCursor: ReadonlyMap<string, Buffer>;
  readonly built: BuiltList;
  /** Among those of the catalog; that of the whole list for one from which something is hidden. */
  readonly number: number;
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
  readonly #listCount: number;
  /** The lists of clients from which something is hidden, by the numbers of the list and of what is hidden. */
  readonly #visibleLists: LRUCache<number, PreparedList>;
  /** The ends of `initialize` and `server/discover` for those clients. */
  readonly #visibleTails = new LRUCache<string, Buffer>({ max: KEPT_TAILS });
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
    let count = 0;
    const prepared = (lists: readonly (readonly BuiltList[])[]): PreparedLists =>
      lists.map((ofEra) => ofEra.map((list) => prepareList(list, count++)));
    this.#views = build.views.map(({ lists }) => prepared(lists));
    this.#listSets = new Map([...build.listSets].map(([name, lists]) => [name, prepared(lists)] as const));
    this.#listCount = count;
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
      list = this.#visible(list, hidden);
    }
    const bytes = cursor === null ? list?.first : list?.byCursor.get(cursorText(cursor));
    if (list === undefined || bytes === undefined) return null;
    const { ttlAt } = list.built;
    if (ttlAt >= 0) this.#writeTtl(bytes, ttlAt);
    return bytes;
  }

  /** A list without what is hidden. */
  #visible(list: PreparedList, hidden: HiddenEntries): PreparedList {
    const key = hidden.number * this.#listCount + list.number;
    const known = this.#visibleLists.get(key);
    if (known !== undefined) return known;
    const { ends, entries, pages, shape, starts } = list.built;
    const text = Buffer.from(pages.bytes.buffer, pages.bytes.byteOffset, pages.bytes.byteLength);
    const seen = [...entries.keys()].filter((item) => !hidden.hides(entries[item]!));
    const items = seen.map((item) => text.toString('latin1', starts[item], ends[item]));
    const shown = prepareList(buildList(shape, items, []), list.number);
    this.#visibleLists.set(key, shown);
    return shown;
  }

  hasListSet(name: string): boolean {
    return this.#listSets.has(name);
  }

  /**
   * The `initialize` result of a legacy revision; the newest legacy one for any other number.
   *
   * @param audience for whom; default: clients of the first view from which nothing is hidden
   */
  initializeResult(revision: number, audience: Audience = SHARED): Uint8Array {
    const results = this.#build.views[audience.view]?.initialize ?? [];
    return this.#visibleResult(results[revision] ?? results.at(-1) ?? NO_BYTES, audience);
  }

  /** The `server/discover` result; valid during this turn only, as in {@link page}. @param audience as in {@link initializeResult} */
  discoverResult(audience: Audience = SHARED): Uint8Array {
    const discover = this.#build.views[audience.view]?.discover;
    if (discover === undefined) return NO_BYTES;
    this.#writeTtl(discover.bytes, discover.ttlAt);
    return this.#visibleResult(discover.bytes, audience);
  }

  /** A result without the instructions of servers of which the client may call nothing. */
  #visibleResult(bytes: Uint8Array, { hidden, view }: Audience): Uint8Array {
    const built = this.#build.views[view];
    if (hidden === null || built === undefined || built.instructions.length === 0) return bytes;
    const key = `${hidden.number} ${view}`;
    let tail = this.#visibleTails.get(key);
    if (tail === undefined) {
      const callable = this.#callableServers(built, hidden);
      const parts = built.instructions.filter(({ server }) => callable(server));
      tail = Buffer.from(instructionsTail(parts, this.#build.maxInstructions), 'latin1');
      this.#visibleTails.set(key, tail);
    }
    return Buffer.concat([bytes.subarray(0, bytes.length - built.tailBytes), tail]);
  }

  /** Tells of which servers a client may call something; one that offers nothing has nothing to hide. */
  #callableServers({ lists }: BuiltView, hidden: HiddenEntries): (server: number) => boolean {
    const { server: owners } = this.table;
    const offered = new Set<number>();
    const callable = new Set<number>();
    const see = (entry: number): void => {
      offered.add(owners[entry]!);
      if (!hidden.hides(entry)) callable.add(owners[entry]!);
    };
    for (const { entries } of lists[Era.legacy] ?? []) entries.forEach(see);
    // What only some clients are listed is in no shared list.
    const listed = new Set(offered);
    for (let entry = 0; entry < owners.length; entry += 1) if (!listed.has(owners[entry]!)) see(entry);
    return (server) => callable.has(server) || !offered.has(server);
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

function prepareList(built: BuiltList, number: number): PreparedList {
  const [first = NO_BYTES, ...others] = packedViews(built.pages);
  return { first, byCursor: new Map(others.map((page, index) => [built.cursors[index] ?? '', page])), built, number };
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
