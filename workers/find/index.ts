/**
 * Find: where a call goes. Names are looked up in tables that are compiled once per snapshot and catalog;
 * the answer is written into the finder's own fields, so that nothing is allocated per call.
 */
import type { CatalogTable, Snapshot } from '../../src/config/snapshot.js';
import { EntryFlag, EntryKind } from '../../src/config/snapshot.js';
import { errorNumber } from '../../src/errors.js';
import { packedText, packedView } from '../../src/shared/packed.js';
import { VerdictFlag } from '../../src/shared/records.js';
import { ByteTable } from './byte-table.js';
import { compileGlob } from './glob.js';
import { Action } from './methods.js';
import type { Pattern } from './pattern.js';
import { PatternSet } from './pattern-set.js';
import { compileTemplate } from './uri-template.js';

const UNKNOWN_TOOL = errorNumber('GW_UNKNOWN_TOOL');
const UNKNOWN_PROMPT = errorNumber('GW_UNKNOWN_PROMPT');
const UNKNOWN_RESOURCE = errorNumber('GW_UNKNOWN_RESOURCE');
const NOT_COMPUTED = -2;

/** A server whose lists are not known yet. */
interface Undiscovered {
  readonly server: number;
  /** What its names start with; empty = anything. */
  readonly prefix: Uint8Array;
  readonly include: PatternSet | null;
  readonly exclude: PatternSet;
}

/** See the file comment. One per worker and pair of versions. */
export class Finder {
  /** Error number, -1 = found. */
  error = -1;
  server = -1;
  route = -1;
  entry = -1;
  stripBytes = 0;
  /** Bits of VerdictFlag. */
  flags = 0;
  /** Position in `rateLimits.perTool` of the rule for the tool, -1 = none. */
  toolRule = -1;

  readonly #snapshot: Snapshot;
  readonly #catalog: CatalogTable;
  readonly #tools: ByteTable;
  readonly #prompts: ByteTable;
  readonly #resources: ByteTable;
  /** Templates by their own text (completion) and by what they match. */
  readonly #templateTexts: ByteTable;
  readonly #templates: PatternSet;
  /** `upstream:tool`. */
  readonly #addresses: ByteTable;
  readonly #undiscovered: readonly Undiscovered[];
  readonly #toolRoutes: PatternSet;
  readonly #promptRoutes: PatternSet;
  readonly #resourceRoutes: PatternSet;
  readonly #toolRules: PatternSet;
  /** Methods that the gateway does not know, to the server that is configured for them. */
  readonly #methods: PatternSet;
  /** Where URIs go that nobody lists: the only server there is, else nowhere (-1). */
  readonly #onlyServer: number;
  /** Route and tool rule of each entry once it was asked for. */
  readonly #routeOf: Int32Array;
  readonly #ruleOf: Int32Array;

  constructor(snapshot: Snapshot, catalog: CatalogTable) {
    this.#snapshot = snapshot;
    this.#catalog = catalog;
    this.#tools = new ByteTable(catalog.byName[EntryKind.tool]!);
    this.#prompts = new ByteTable(catalog.byName[EntryKind.prompt]!);
    this.#resources = new ByteTable(catalog.byName[EntryKind.resource]!);
    this.#templateTexts = new ByteTable(catalog.byName[EntryKind.template]!);
    this.#addresses = new ByteTable(catalog.byAddress);
    const templates: [Pattern, number][] = [];
    for (let entry = 0; entry < catalog.kind.length; entry += 1) {
      if (catalog.kind[entry] !== EntryKind.template) continue;
      for (const pattern of templatePatterns(packedText(catalog.publicNames, entry))) templates.push([pattern, entry]);
    }
    this.#templates = new PatternSet(templates);
    this.#undiscovered = undiscovered(snapshot, catalog);
    this.#toolRoutes = routePatterns(snapshot, (route) => route.tools);
    this.#promptRoutes = routePatterns(snapshot, (route) => route.prompts);
    this.#resourceRoutes = new PatternSet(
      snapshot.routes.flatMap(({ resources }, route) =>
        resources.flatMap((text) => resourcePatterns(text).map((pattern) => [pattern, route] as const)),
      ),
    );
    this.#toolRules = new PatternSet(
      snapshot.rateLimits.perTool.flatMap(({ tools }, rule) => tools.map((tool) => [compileGlob(tool), rule] as const)),
    );
    this.#methods = new PatternSet(
      snapshot.servers.flatMap(({ methods }, server) => methods.map((text) => [compileGlob(text), server] as const)),
    );
    this.#onlyServer = onlyServer(snapshot);
    this.#routeOf = new Int32Array(catalog.kind.length).fill(NOT_COMPUTED);
    this.#ruleOf = new Int32Array(catalog.kind.length).fill(NOT_COMPUTED);
  }

  /** Finds the target of `bytes[start, end)` for an {@link Action} that is routed by name. */
  find(action: number, isUri: boolean, bytes: Uint8Array, start: number, end: number): void {
    this.error = -1;
    this.server = -1;
    this.route = -1;
    this.entry = -1;
    this.stripBytes = 0;
    this.flags = 0;
    this.toolRule = -1;
    if (action === Action.tool) this.#findTool(bytes, start, end);
    else if (action === Action.prompt) this.#findPrompt(bytes, start, end);
    else if (action === Action.resource || action === Action.subscribe) this.#findResource(bytes, start, end);
    else if (isUri) this.#findReference(bytes, start, end);
    else this.#findPrompt(bytes, start, end);
  }

  /** The server that is configured for an unknown method `bytes[start, end)`, or -1. */
  findMethod(bytes: Uint8Array, start: number, end: number): number {
    return end > start ? this.#methods.first(bytes, start, end) : -1;
  }

  #findTool(bytes: Uint8Array, start: number, end: number): void {
    let entry = this.#tools.get(bytes, start, end);
    if (entry < 0) entry = this.#addresses.get(bytes, start, end);
    if (entry >= 0) {
      this.#fromEntry(entry, this.#toolRoutes, bytes, start, end);
      let rule = this.#ruleOf[entry]!;
      if (rule === NOT_COMPUTED) {
        const name = packedView(this.#catalog.publicNames, entry);
        rule = this.#toolRules.first(name, 0, name.length);
        this.#ruleOf[entry] = rule;
      }
      this.toolRule = rule;
      if ((this.#catalog.flags[entry]! & (EntryFlag.readOnly | EntryFlag.idempotent)) !== 0) {
        this.flags |= VerdictFlag.safe;
      }
    } else if (this.#unseen(bytes, start, end, true)) {
      this.#fromRoute(this.#toolRoutes.first(bytes, start, end));
      this.toolRule = this.#toolRules.first(bytes, start, end);
    } else {
      this.error = UNKNOWN_TOOL;
    }
  }

  #findPrompt(bytes: Uint8Array, start: number, end: number): void {
    this.flags = VerdictFlag.safe;
    const entry = this.#prompts.get(bytes, start, end);
    if (entry >= 0) this.#fromEntry(entry, this.#promptRoutes, bytes, start, end);
    else if (this.#unseen(bytes, start, end, false)) this.#fromRoute(this.#promptRoutes.first(bytes, start, end));
    else this.error = UNKNOWN_PROMPT;
  }

  #findResource(bytes: Uint8Array, start: number, end: number): void {
    this.flags = VerdictFlag.safe;
    let entry = this.#resources.get(bytes, start, end);
    if (entry < 0) entry = this.#templates.best(bytes, start, end);
    const route = this.#resourceRoutes.first(bytes, start, end);
    if (entry >= 0) {
      this.entry = entry;
      this.server = this.#catalog.server[entry]!;
      this.#fromRoute(route);
    } else if (route >= 0 && this.#snapshot.routes[route]!.servers.length > 0) {
      this.#fromRoute(route);
    } else if (this.#onlyServer >= 0) {
      // Links in results need not be listed (MCP, tools: resource links).
      this.server = this.#onlyServer;
      this.#fromRoute(route);
    } else {
      this.error = UNKNOWN_RESOURCE;
    }
  }

  /** A completion names a template by its text, or a resource. */
  #findReference(bytes: Uint8Array, start: number, end: number): void {
    const entry = this.#templateTexts.get(bytes, start, end);
    if (entry < 0) {
      this.#findResource(bytes, start, end);
      return;
    }
    this.flags = VerdictFlag.safe;
    this.#fromEntry(entry, this.#resourceRoutes, bytes, start, end);
  }

  /** Routes are matched with the public name, however the entry was addressed: an address is no way around a rule. */
  #fromEntry(entry: number, routes: PatternSet, bytes: Uint8Array, start: number, end: number): void {
    this.entry = entry;
    this.server = this.#catalog.server[entry]!;
    let route = this.#routeOf[entry]!;
    if (route === NOT_COMPUTED) {
      const name = packedView(this.#catalog.publicNames, entry);
      route = routes.first(name, 0, name.length);
      if (route < 0 && this.#catalog.kind[entry] === EntryKind.template) route = routes.first(bytes, start, end);
      this.#routeOf[entry] = route;
    }
    this.#fromRoute(route);
  }

  #fromRoute(route: number): void {
    this.route = route;
    if (route < 0) return;
    const rule = this.#snapshot.routes[route]!;
    if (rule.servers.length > 0) this.server = rule.servers[0]!;
    if (rule.idempotent) this.flags |= VerdictFlag.safe;
  }

  #unseen(bytes: Uint8Array, start: number, end: number, isTool: boolean): boolean {
    for (const candidate of this.#undiscovered) {
      const { prefix } = candidate;
      const rest = start + prefix.length;
      if (rest >= end || !startsWith(bytes, start, end, prefix)) continue;
      if (isTool) {
        if (candidate.include !== null && candidate.include.first(bytes, rest, end) < 0) continue;
        if (candidate.exclude.first(bytes, rest, end) >= 0) continue;
      }
      this.server = candidate.server;
      this.stripBytes = prefix.length;
      return true;
    }
    return false;
  }
}

function onlyServer(snapshot: Snapshot): number {
  const named = snapshot.servers.flatMap(({ name }, server) => (name === '' ? [] : [server]));
  return named.length === 1 ? named[0]! : -1;
}

function startsWith(bytes: Uint8Array, start: number, end: number, prefix: Uint8Array): boolean {
  if (end - start < prefix.length) return false;
  for (let i = 0; i < prefix.length; i += 1) if (bytes[start + i] !== prefix[i]) return false;
  return true;
}

function undiscovered(snapshot: Snapshot, catalog: CatalogTable): Undiscovered[] {
  const rows: Undiscovered[] = [];
  const globs = (texts: readonly string[]) => new PatternSet(texts.map((text) => [compileGlob(text), 0] as const));
  for (const index of catalog.undiscovered) {
    const server = snapshot.servers[index];
    // The catalog may be of before a reload that took the server away.
    if (server === undefined || server.name === '') continue;
    const include = server.include.length === 0 ? null : globs(server.include);
    const exclude = globs(server.exclude);
    const add = (prefix: string) => rows.push({ server: index, prefix: Buffer.from(prefix), include, exclude });
    add(`${server.name}:`);
    if (server.prefix !== null) add(`${server.prefix}${snapshot.catalog.separator}`);
    // Without a prefix, or where only colliding names get one, any name may turn out to be this server's.
    if (server.prefix === null || snapshot.catalog.conflict !== 'prefix') add('');
  }
  return rows.sort((a, b) => b.prefix.length - a.prefix.length);
}

function routePatterns(snapshot: Snapshot, of: (route: Snapshot['routes'][number]) => readonly string[]): PatternSet {
  return new PatternSet(
    snapshot.routes.flatMap((route, index) => of(route).map((text) => [compileGlob(text), index] as const)),
  );
}

/** A pattern for resources is a URI template when it has an expression, else a glob. */
function resourcePatterns(text: string) {
  return text.includes('{') ? compileTemplate(text) : [compileGlob(text)];
}

/** An upstream may list a template that is none: it then matches nothing but is still listed. */
function templatePatterns(text: string): Pattern[] {
  try {
    return compileTemplate(text);
  } catch (error) {
    if (error instanceof RangeError) return [];
    throw error;
  }
}
