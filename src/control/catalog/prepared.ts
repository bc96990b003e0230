/** A catalog as the front uses it: tables and finished bytes, never changed once in force. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Method } from '../../../native/layout.js';
import { type CatalogTable, EntryKind } from '../../config/snapshot.js';
import { Era, LATEST_LEGACY } from '../../protocol/revisions.js';
import { isPlainText } from '../../protocol/uri.js';
import type { Milliseconds } from '../../units.js';
import { packedViews } from './pack.js';
import { TTL_WIDTH } from './results.js';
import type { BuiltList, Capabilities, CatalogBuild, CatalogProblem, HeaderParam, Packed } from './types.js';

const TURN_ENTRIES = 1024;
const NO_PARAMS: readonly HeaderParam[] = Object.freeze([]);

interface PreparedList {
  readonly pages: readonly Buffer[];
  readonly byCursor: ReadonlyMap<string, number>;
  readonly ttlAt: number;
}

export class PreparedCatalog {
  readonly table: CatalogTable;
  /** By entry: the upstream's name as the content of a JSON string, without the quotes. */
  readonly upstreamNameBytes: readonly Buffer[];
  /** By entry: the value of `Mcp-Name` towards a modern upstream. */
  readonly mcpNameHeaders: readonly string[];
  /** What the gateway announces; methods of absent kinds do not exist. */
  readonly capabilities: Capabilities;
  readonly problems: readonly CatalogProblem[];
  readonly problemCounts: Readonly<Record<string, number>>;
  /** Digest of each list, in the order of `EntryKind`. */
  readonly fingerprints: readonly string[];
  /** Offered tools, prompts, resources and templates by server. */
  readonly offered: CatalogBuild['offered'];

  readonly #headerParams: ReadonlyMap<number, readonly HeaderParam[]>;
  /** By era and position in `LISTS`. */
  readonly #lists: readonly (readonly PreparedList[])[];
  readonly #initialize: readonly Uint8Array[];
  readonly #discover: Uint8Array;
  readonly #discoverTtlAt: number;
  readonly #expiresAt: number;
  readonly #ttlMs: Milliseconds;
  /** URIs and templates that are not spelled in normal form; made when it is asked for. */
  #unusual: Set<string> | null = null;

  private constructor(build: CatalogBuild, ttlMs: Milliseconds, columns: Columns) {
    this.table = {
      version: build.version,
      kind: build.kind,
      server: build.server,
      publicNames: columns.publicNames,
      upstreamNames: columns.upstreamNames,
      flags: build.flags,
      undiscovered: build.undiscovered,
    };
    this.upstreamNameBytes = columns.upstreamNameBytes;
    this.mcpNameHeaders = columns.mcpNameHeaders;
    this.capabilities = build.capabilities;
    this.problems = build.problems;
    this.problemCounts = build.problemCounts;
    this.fingerprints = build.fingerprints;
    this.offered = build.offered;
    this.#headerParams = new Map(build.headerParams);
    this.#lists = build.lists.map((lists) => lists.map(prepareList));
    this.#initialize = build.initialize;
    this.#discover = build.discover.bytes;
    this.#discoverTtlAt = build.discover.ttlAt;
    this.#expiresAt = build.expiresAt;
    this.#ttlMs = ttlMs;
  }

  /**
   * Makes a build usable. Strings and views are made a part in each turn of the event loop, so that 10,000 tools hold
   * nobody up.
   *
   * @param ttlMs configured `ttlMs` of modern results
   */
  static async prepare(build: CatalogBuild, ttlMs: Milliseconds): Promise<PreparedCatalog> {
    const upstreamNames = await unpackTexts(build.upstreamNames);
    const upstreamNameBytes = await unpackViews(build.upstreamNames);
    for (const [entry, bytes] of build.escapedNames) upstreamNameBytes[entry] = Buffer.from(bytes);
    const mcpNameHeaders = [...upstreamNames];
    for (const [entry, value] of build.encodedHeaders) mcpNameHeaders[entry] = value;
    const publicNames = await unpackTexts(build.publicNames);
    return new PreparedCatalog(build, ttlMs, { publicNames, upstreamNames, upstreamNameBytes, mcpNameHeaders });
  }

  /** Grows with each build. */
  get version(): number {
    return this.table.version;
  }

  /** Whether an upstream lists a resource or template under exactly this spelling, which is not the normal form. */
  listsUnusual(uri: string): boolean {
    if (this.#unusual === null) {
      const { kind, publicNames } = this.table;
      const isUri = (entry: number): boolean =>
        kind[entry] === EntryKind.resource || kind[entry] === EntryKind.template;
      this.#unusual = new Set(publicNames.filter((name, entry) => isUri(entry) && !isPlainText(name)));
    }
    return this.#unusual.has(uri);
  }

  /** The arguments of entry `entry` that travel as `Mcp-Param-*` headers; empty without `EntryFlag.headerParams`. */
  headerParams(entry: number): readonly HeaderParam[] {
    return this.#headerParams.get(entry) ?? NO_PARAMS;
  }

  /**
   * The `result` object of a list method. The bytes are the catalog's own and valid during this turn only (`ttlMs` is
   * written in place): copy or send them at once.
   *
   * @param method one of the four list methods (native/layout.ts)
   * @param revision number of the client's revision
   * @param cursor the raw JSON token of `params.cursor`, or null
   * @returns null when the cursor is not one of this catalog (GW_INVALID_CURSOR)
   */
  page(method: number, revision: number, cursor: Uint8Array | null): Uint8Array | null {
    const era = revision > LATEST_LEGACY ? Era.modern : Era.legacy;
    const list = this.#lists[era][listOf(method)];
    let page: number | undefined = 0;
    if (cursor !== null) {
      page = list.byCursor.get(cursorText(cursor));
      if (page === undefined) return null;
    }
    const bytes = list.pages[page];
    if (list.ttlAt >= 0) this.#writeTtl(bytes, list.ttlAt);
    return bytes;
  }

  /** The `initialize` result of a legacy revision; the newest legacy one for any other number. */
  initializeResult(revision: number): Uint8Array {
    return this.#initialize[revision] ?? this.#initialize[LATEST_LEGACY];
  }

  /** The `server/discover` result; valid during this turn only, as with {@link page}. */
  discoverResult(): Uint8Array {
    this.#writeTtl(this.#discover, this.#discoverTtlAt);
    return this.#discover;
  }

  /** What is left of the upstreams' freshness, at most the configured time (MCP 2026-07-28, caching). */
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

interface Columns {
  readonly publicNames: string[];
  readonly upstreamNames: string[];
  readonly upstreamNameBytes: Buffer[];
  readonly mcpNameHeaders: string[];
}

function listOf(method: number): number {
  if (method === Method.toolsList) return 0;
  if (method === Method.promptsList) return 1;
  return method === Method.resourcesList ? 2 : 3;
}

function prepareList(list: BuiltList): PreparedList {
  return {
    pages: packedViews(list.pages),
    byCursor: new Map(list.cursors.map((cursor, index) => [cursor, index + 1])),
    ttlAt: list.ttlAt,
  };
}

/** The decoded string, or one that is no cursor. */
function cursorText(token: Uint8Array): string {
  const text = Buffer.from(token.buffer, token.byteOffset, token.byteLength).toString('latin1');
  if (!text.includes('\\')) return text.startsWith('"') ? text.slice(1, -1) : '';
  try {
    return String(JSON.parse(text));
  } catch {
    return '';
  }
}

async function unpackTexts({ bytes, offsets }: Packed): Promise<string[]> {
  const whole = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const texts: string[] = [];
  for (let index = 0; index + 1 < offsets.length; index += 1) {
    texts.push(whole.toString('utf8', offsets[index], offsets[index + 1]));
    if (index % TURN_ENTRIES === TURN_ENTRIES - 1) await nextTurn();
  }
  return texts;
}

async function unpackViews({ bytes, offsets }: Packed): Promise<Buffer[]> {
  const whole = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const views: Buffer[] = [];
  for (let index = 0; index + 1 < offsets.length; index += 1) {
    views.push(whole.subarray(offsets[index], offsets[index + 1]));
    if (index % TURN_ENTRIES === TURN_ENTRIES - 1) await nextTurn();
  }
  return views;
}
