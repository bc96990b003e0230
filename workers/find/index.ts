/**
 * Find: the server and route of a call. Names are looked up in tables that are compiled once per snapshot and catalog;
 * the outcome is in the finder's fields, so that nothing is allocated per call.
 */

import type { ServerSnapshot, Snapshot } from '../../src/config/snapshot.js';
import { errorNumber } from '../../src/errors.js';
import { judgedTemplate } from '../../src/protocol/uri.js';
import { type CatalogTable, EntryFlag, EntryKind } from '../../src/shared/catalog-table.js';
import { packedText } from '../../src/shared/packed.js';
import { ByteTable } from '../../src/shared/patterns/byte-table.js';
import { compileGlob } from '../../src/shared/patterns/glob.js';
import { resourcePatterns, templatePatterns } from '../../src/shared/patterns/resources.js';
import { mostLiteralFirst, type PatternEntry, PatternSet } from '../../src/shared/patterns/set.js';
import { VerdictFlag } from '../../src/shared/records.js';
import { Action } from './methods.js';
import { earlier, NamedRoutes } from './named-routes.js';
import { everyName, otherReading, unchangedNames } from './spellings.js';
import { isVisibleAscii, UnlistedServers } from './unlisted.js';

const UNKNOWN_TOOL = errorNumber('GW_UNKNOWN_TOOL');
const UNKNOWN_TASK = errorNumber('GW_UNKNOWN_TASK');
const UNKNOWN_PROMPT = errorNumber('GW_UNKNOWN_PROMPT');
const UNKNOWN_RESOURCE = errorNumber('GW_UNKNOWN_RESOURCE');
const NOT_LISTED_YET = errorNumber('GW_UPSTREAM_DOWN');
const NOT_COMPUTED = -2;
const NO_RULES: readonly number[] = [];

/** See the file comment. Used by the decider; one per worker, snapshot and catalog. */
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
  /** Positions in `rateLimits.rules` of the rules with `tools` that match the tool. */
  limitRules: readonly number[] = NO_RULES;
  /** Routes besides `route` whose scopes are needed: those of other names of the target. */
  readonly alsoRoutes: number[] = [];

  readonly #snapshot: Snapshot;
  readonly #catalog: CatalogTable;
  readonly #tools: ByteTable;
  readonly #prompts: ByteTable;
  readonly #resources: ByteTable;
  /** Templates by their own text (completion) and by what they match. */
  readonly #templateTexts: ByteTable;
  readonly #templates: PatternSet;
  /** Tools and prompts by the names that they had before they were changed. */
  readonly #originalTools: ByteTable;
  readonly #originalPrompts: ByteTable;
  /** `upstream:tool`. */
  readonly #addresses: ByteTable;
  readonly #unlisted: UnlistedServers;
  readonly #toolRoutes: NamedRoutes;
  readonly #promptRoutes: NamedRoutes;
  readonly #resourceRoutes: PatternSet;
  readonly #methodRoutes: PatternSet;
  readonly #toolRules: PatternSet;
  /** Patterns of the rules with `tools`, and the rules that match an entry, from its first look-up on. */
  readonly #limitRules: readonly (readonly [set: PatternSet, rule: number])[];
  readonly #limitRulesOf = new Map<number, readonly number[]>();
  /** Unknown methods to the server that is configured for them. */
  readonly #methods: PatternSet;
  /** The server of URIs that are not listed: the only one there is, else -1. */
  readonly #onlyServer: number;
  /** Route and tool rule of each entry, from its first look-up on. */
  readonly #routeOf: Int32Array;
  readonly #ruleOf: Int32Array;
  /** 1 = the route is about the own name of the entry: the first server of the call is the entry's, not the route's first. */
  readonly #isByOwnName: Uint8Array;
  /** {@link alsoRoutes} of entries that have any, from their first look-up on. */
  readonly #alsoOf = new Map<number, readonly number[]>();

  constructor(snapshot: Snapshot, catalog: CatalogTable) {
    this.#snapshot = snapshot;
    this.#catalog = catalog;
    this.#tools = new ByteTable(catalog.byName.tool);
    this.#prompts = new ByteTable(catalog.byName.prompt);
    this.#resources = new ByteTable(catalog.byName.resource);
    this.#templateTexts = new ByteTable(catalog.byName.template);
    this.#originalTools = new ByteTable(catalog.byOriginal.tool);
    this.#originalPrompts = new ByteTable(catalog.byOriginal.prompt);
    this.#addresses = new ByteTable(catalog.byAddress);
    const templates: PatternEntry[] = [];
    for (let entry = 0; entry < catalog.kind.length; entry += 1) {
      if (catalog.kind[entry] !== EntryKind.template) continue;
      const template = judgedTemplate(packedText(catalog.publicNames, entry));
      for (const pattern of templatePatterns(template)) templates.push([pattern, entry]);
    }
    this.#templates = new PatternSet(mostLiteralFirst(templates));
    this.#unlisted = new UnlistedServers(snapshot, catalog);
    this.#toolRoutes = new NamedRoutes(snapshot, (route) => route.tools);
    this.#promptRoutes = new NamedRoutes(snapshot, (route) => route.prompts);
    this.#resourceRoutes = new PatternSet(
      snapshot.routes.flatMap(({ resources }, route) =>
        resources.flatMap((text) => resourcePatterns(text).map((pattern) => [pattern, route] as const)),
      ),
    );
    this.#methodRoutes = new PatternSet(
      snapshot.routes.flatMap(({ methods }, route) => methods.map((text) => [compileGlob(text), route] as const)),
    );
    this.#toolRules = new PatternSet(
      snapshot.rateLimits.perTool.flatMap(({ tools }, rule) => tools.map((tool) => [compileGlob(tool), rule] as const)),
    );
    this.#limitRules = snapshot.rateLimits.rules.flatMap(({ match: { tools } }, rule) =>
      tools.length === 0 ? [] : [[new PatternSet(tools.map((tool) => [compileGlob(tool), 0])), rule] as const],
    );
    this.#methods = new PatternSet(
      snapshot.servers.flatMap(({ methods }, server) => methods.map((text) => [compileGlob(text), server] as const)),
    );
    this.#onlyServer = onlyServer(snapshot);
    this.#routeOf = new Int32Array(catalog.kind.length).fill(NOT_COMPUTED);
    this.#ruleOf = new Int32Array(catalog.kind.length).fill(NOT_COMPUTED);
    this.#isByOwnName = new Uint8Array(catalog.kind.length);
  }

  /** Finds the target of `bytes[start, end)` for an {@link Action} that is routed by name. */
  find(action: number, isUri: boolean, bytes: Uint8Array, start: number, end: number): void {
    this.#reset();
    if (action === Action.tool) this.#findTool(bytes, start, end);
    else if (action === Action.prompt) this.#findPrompt(bytes, start, end);
    else if (action === Action.resource || action === Action.subscribe) this.#findResource(bytes, start, end);
    else if (isUri) this.#findReference(bytes, start, end);
    else this.#findPrompt(bytes, start, end);
  }

  /** Finds the server that is configured for an unknown method. */
  findMethod(bytes: Uint8Array, start: number, end: number): void {
    this.#reset();
    if (end === start) return;
    this.server = this.#methods.first(bytes, start, end);
    if (this.server >= 0) this.route = this.#methodRoutes.first(bytes, start, end);
  }

  /**
   * Finds the rules for a task of the tool with the address `bytes[start, end)` (`server:tool`). The rules of every possible name
   * apply to a tool that is not listed any more.
   */
  findTask(bytes: Uint8Array, start: number, end: number): void {
    this.#reset();
    const entry = this.#addresses.get(bytes, start, end);
    if (entry >= 0) {
      this.#fromNamed(entry, this.#toolRoutes);
      return;
    }
    const address = text(bytes, start, end);
    const colon = address.indexOf(':');
    const own = address.slice(colon + 1);
    const server = this.#snapshot.servers.findIndex(({ name }) => name === address.slice(0, colon));
    if (server < 0 || colon <= 0) this.error = UNKNOWN_TASK;
    else this.#byEveryName(server, own, this.#toolRoutes, address);
    // The tool is unknown: the scopes of every rule for tools are needed.
    if (own !== '') return;
    for (const [route, { tools }] of this.#snapshot.routes.entries()) if (tools.length > 0) this.#alsoRoute(route);
  }

  #reset(): void {
    this.error = -1;
    this.server = -1;
    this.route = -1;
    this.entry = -1;
    this.stripBytes = 0;
    this.flags = 0;
    this.toolRule = -1;
    this.limitRules = NO_RULES;
    this.alsoRoutes.length = 0;
  }

  #findTool(bytes: Uint8Array, start: number, end: number): void {
    let entry = this.#tools.get(bytes, start, end);
    if (entry < 0) entry = this.#addresses.get(bytes, start, end);
    if (entry < 0) entry = this.#originalTools.get(bytes, start, end);
    if (entry >= 0) {
      this.#fromNamed(entry, this.#toolRoutes);
      if (this.#ruleOf[entry] === NOT_COMPUTED) this.#judgeTool(entry);
      this.toolRule = this.#ruleOf[entry]!;
      if (this.#limitRules.length > 0) this.limitRules = this.#limitRulesOf.get(entry) ?? NO_RULES;
      if (((this.#catalog.flags[entry] ?? 0) & (EntryFlag.readOnly | EntryFlag.idempotent)) !== 0) {
        this.flags |= VerdictFlag.safe;
      }
    } else {
      this.#findUnseen(bytes, start, end, this.#toolRoutes, UNKNOWN_TOOL);
    }
  }

  #findPrompt(bytes: Uint8Array, start: number, end: number): void {
    this.flags = VerdictFlag.safe;
    let entry = this.#prompts.get(bytes, start, end);
    if (entry < 0) entry = this.#originalPrompts.get(bytes, start, end);
    if (entry >= 0) this.#fromNamed(entry, this.#promptRoutes);
    else this.#findUnseen(bytes, start, end, this.#promptRoutes, UNKNOWN_PROMPT);
  }

  #findResource(bytes: Uint8Array, start: number, end: number): void {
    this.flags = VerdictFlag.safe;
    let entry = this.#resources.get(bytes, start, end);
    if (entry < 0) entry = this.#templates.first(bytes, start, end);
    const route = this.#resourceRoutes.first(bytes, start, end);
    if (entry >= 0) {
      this.entry = entry;
      this.server = this.#catalog.server[entry]!;
      this.#fromRoute(route);
    } else {
      // A resource that is not listed goes to the servers of its route, or to the only server there is: links in results need
      // not be listed (MCP, tools: resource links).
      this.server = this.#onlyServer;
      this.#fromRoute(route);
      if (this.server < 0) this.error = UNKNOWN_RESOURCE;
    }
    const other = this.#snapshot.routes.length === 0 ? null : otherReading(bytes, start, end);
    if (other !== null) this.#alsoRoute(this.#resourceRoutes.first(other, 0, other.length));
  }

  /** A completion refers to a template by its text, or to a resource. */
  #findReference(bytes: Uint8Array, start: number, end: number): void {
    const entry = this.#templateTexts.get(bytes, start, end);
    if (entry < 0) {
      this.#findResource(bytes, start, end);
      return;
    }
    this.flags = VerdictFlag.safe;
    this.entry = entry;
    this.server = this.#catalog.server[entry]!;
    let route = this.#routeOf[entry]!;
    if (route === NOT_COMPUTED) {
      const name = Buffer.from(judgedTemplate(packedText(this.#catalog.publicNames, entry)));
      route = this.#resourceRoutes.first(name, 0, name.length);
      if (route < 0) route = this.#resourceRoutes.first(bytes, start, end);
      this.#routeOf[entry] = route;
    }
    this.#fromRoute(route);
  }

  /** A tool or prompt is judged by all its names, whichever the call uses, so that no name bypasses a rule. */
  #fromNamed(entry: number, routes: NamedRoutes): void {
    this.entry = entry;
    this.server = this.#catalog.server[entry]!;
    if (this.#routeOf[entry] === NOT_COMPUTED) this.#judgeNamed(entry, routes);
    const { server } = this;
    this.#fromRoute(this.#routeOf[entry]!);
    if (this.#isByOwnName[entry] === 1) this.server = server;
    if (this.#alsoOf.size > 0) for (const also of this.#alsoOf.get(entry) ?? []) this.#alsoRoute(also);
  }

  /** The route is the first one for any public name that the entry has or had; the scopes of the first one for each are needed. */
  #judgeNamed(entry: number, routes: NamedRoutes): void {
    const { publicNames, server: servers, upstreamNames } = this.#catalog;
    const server = servers[entry]!;
    const owner = this.#snapshot.servers[server];
    const name = packedText(publicNames, entry);
    const own = packedText(upstreamNames, entry);
    const address = `${owner?.name ?? ''}:${own}`;
    const former = this.#formerNames(entry, owner, own);
    const found = [name, ...former].map((text) => routes.firstOf([text, address], server, own));
    const route = found.reduce(earlier, -1);
    this.#routeOf[entry] = route;
    if (routes.isByOwnName(route, [name, address, ...former])) this.#isByOwnName[entry] = 1;
    // What is called by its bare name or, because another server's entry has its name, by its address, keeps the rules for these.
    if (former.length > 0) found.push(routes.first(own));
    else if (name === address && owner !== undefined) {
      for (const text of [own, ...everyName(this.#snapshot.catalog, owner, own)]) found.push(routes.first(text));
    }
    const others = [...new Set(found)].filter((other) => other >= 0 && other !== route);
    if (others.length > 0) this.#alsoOf.set(entry, others);
  }

  /** The public names that an entry would have if its characters, length and name were left as they are; empty = as it has. */
  #formerNames(entry: number, owner: ServerSnapshot | undefined, own: string): string[] {
    if (owner === undefined || (this.#catalog.flags[entry]! & EntryFlag.renamed) === 0) return [];
    return unchangedNames(this.#snapshot.catalog, owner, own);
  }

  #judgeTool(entry: number): void {
    const { publicNames, server, upstreamNames } = this.#catalog;
    const owner = this.#snapshot.servers[server[entry]!];
    const own = packedText(upstreamNames, entry);
    const names = [packedText(publicNames, entry), `${owner?.name ?? ''}:${own}`];
    names.push(...this.#formerNames(entry, owner, own));
    this.#ruleOf[entry] = names.reduce((first, name) => earlier(first, this.#toolRule(name)), -1);
    if (this.#limitRules.length > 0) this.#limitRulesOf.set(entry, this.#limitRulesFor(names));
  }

  /** The rules of which a pattern matches one of the names. */
  #limitRulesFor(names: readonly string[]): readonly number[] {
    const texts = names.map((name) => Buffer.from(name));
    const matching = this.#limitRules.filter(([set]) => texts.some((name) => set.first(name, 0, name.length) >= 0));
    return matching.map(([, rule]) => rule);
  }

  #toolRule(name: string): number {
    const bytes = Buffer.from(name);
    return this.#toolRules.first(bytes, 0, bytes.length);
  }

  #alsoRoute(route: number): void {
    if (route >= 0 && route !== this.route && !this.alsoRoutes.includes(route)) this.alsoRoutes.push(route);
  }

  #fromRoute(route: number): void {
    this.route = route;
    const rule = route < 0 ? undefined : this.#snapshot.routes[route];
    if (rule === undefined) return;
    if (rule.servers.length > 0) this.server = rule.servers[0] ?? -1;
    if (rule.idempotent) this.flags |= VerdictFlag.safe;
  }

  /** A name with the prefix of a server whose lists are not known yet: the server may have it. */
  #findUnseen(bytes: Uint8Array, start: number, end: number, routes: NamedRoutes, unknown: number): void {
    const unlisted = this.#unlisted.find(bytes, start, end, routes === this.#toolRoutes);
    if (unlisted === null) {
      this.error = unknown;
      return;
    }
    const rest = start + unlisted.prefix.length;
    if (unlisted.isRenamed || !isVisibleAscii(bytes, rest, end)) {
      // White space, look-alikes and names that the configuration changes wait for the server's lists.
      this.error = NOT_LISTED_YET;
      return;
    }
    this.stripBytes = unlisted.prefix.length;
    this.#byEveryName(unlisted.server, text(bytes, rest, end), routes, text(bytes, start, end));
  }

  /**
   * The rules for a name that is not listed: those of every name it could be listed under.
   *
   * @param sent the name in the request; the call takes its route, unless it is an address
   */
  #byEveryName(server: number, own: string, routes: NamedRoutes, sent: string): void {
    const owner = this.#snapshot.servers[server];
    if (owner === undefined) throw new RangeError(`there is no server ${server}`);
    const names = everyName(this.#snapshot.catalog, owner, own);
    const address = `${owner.name}:${own}`;
    this.server = server;
    const likeliest = [sent === address ? (names[0] ?? sent) : sent, address];
    const route = routes.firstOf(likeliest, server, own);
    this.#fromRoute(route);
    if (routes.isByOwnName(route, likeliest)) this.server = server;
    for (const name of names) this.#alsoRoute(routes.first(name));
    // Some servers ignore the case of names: another case must not bypass a rule.
    this.#alsoRoute(routes.firstOf([], server, own.toLowerCase()));
    if (routes === this.#toolRoutes) {
      this.toolRule = names.reduce((rule, name) => (rule >= 0 ? rule : this.#toolRule(name)), -1);
      if (this.#limitRules.length > 0) this.limitRules = this.#limitRulesFor(names);
    }
  }
}

function text(bytes: Uint8Array, start: number, end: number): string {
  return Buffer.from(bytes.subarray(start, end)).toString('utf8');
}

function onlyServer(snapshot: Snapshot): number {
  const [only = -1, ...others] = snapshot.servers.flatMap(({ name }, server) => (name === '' ? [] : [server]));
  return others.length === 0 ? only : -1;
}
