/**
 * Find: the server and route of a call. Names are looked up in tables that are compiled once per snapshot and catalog;
 * the outcome is in the finder's fields, so that nothing is allocated per call.
 */

import type { Snapshot } from '../../src/config/snapshot/index.js';
import { errorNumber } from '../../src/errors.js';
import { judgedTemplate } from '../../src/protocol/uri.js';
import { type CatalogTable, EntryFlag, EntryKind } from '../../src/shared/catalog-table.js';
import { packedText } from '../../src/shared/packed.js';
import { ByteTable } from '../../src/shared/patterns/byte-table.js';
import { compileGlob } from '../../src/shared/patterns/glob.js';
import { resourcePatterns, templatePatterns } from '../../src/shared/patterns/resources.js';
import { mostLiteralFirst, type PatternEntry, PatternSet } from '../../src/shared/patterns/set.js';
import { compilePattern } from '../../src/shared/patterns/text.js';
import { VerdictFlag } from '../../src/shared/ring/records.js';
import type { Principal } from '../authenticate/principal.js';
import { RouteConditions } from './conditions.js';
import { EntryRoutes } from './entry-routes.js';
import type { CallFacts } from './facts.js';
import { Action, isVaried } from './methods.js';
import { NamedLimits } from './named-limits.js';
import { NamedRoutes } from './named-routes.js';
import { everyName, otherReading } from './spellings.js';
import { isVisibleAscii, UnlistedServers } from './unlisted.js';
import { VariantChoice } from './variants.js';
import { namesIn, onlyServer } from './view.js';

const UNKNOWN_TOOL = errorNumber('GW_UNKNOWN_TOOL');
const UNKNOWN_TASK = errorNumber('GW_UNKNOWN_TASK');
const UNKNOWN_PROMPT = errorNumber('GW_UNKNOWN_PROMPT');
const UNKNOWN_RESOURCE = errorNumber('GW_UNKNOWN_RESOURCE');
const NOT_LISTED_YET = errorNumber('GW_UPSTREAM_DOWN');
const AMBIGUOUS = errorNumber('GW_INVALID_PARAMS');

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
  /** Position of the variant in the groups of the route, -1 = it has none. */
  variant = -1;
  /** The target only reads: a tool with `readOnlyHint`, a prompt or a resource. */
  isReading = false;
  /** A tool that `catalog.pinning` refuses. */
  isUnapproved = false;
  /** The outcome depends on the arguments of the call, which are not at hand. */
  needsArguments = false;
  /** The outcome counts for this call only. */
  isRandom = false;
  /** The rate limits that are about the target by its names. */
  readonly limits: NamedLimits;
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
  /** Unknown methods to the server that is configured for them. */
  readonly #methods: PatternSet;
  /** The server of URIs that are not listed: the only one there is, else -1. */
  readonly #onlyServer: number;
  /** What routes ask for besides names. Read by `explain` after a look-up. */
  readonly conditions: RouteConditions;
  /** {@link conditions}, null = routes ask for names only. */
  readonly #filter: RouteConditions | null;
  readonly #entryRoutes: EntryRoutes;
  /** Routes for methods that the gateway answers itself, by method. */
  readonly #localRoutes: readonly Int32Array[];
  readonly #variants: VariantChoice;
  #action: number = Action.none;
  #facts: CallFacts | null = null;
  #principal: Principal | null = null;

  /** @param view position in `Snapshot.views` */
  constructor(snapshot: Snapshot, catalog: CatalogTable, view = 0) {
    this.#snapshot = snapshot;
    this.#catalog = catalog;
    const rules = snapshot.views[view];
    const names = namesIn(catalog, view);
    this.#tools = new ByteTable(names.byName.tool);
    this.#prompts = new ByteTable(names.byName.prompt);
    this.#resources = new ByteTable(names.byName.resource);
    this.#templateTexts = new ByteTable(names.byName.template);
    this.#originalTools = new ByteTable(names.byOriginal.tool);
    this.#originalPrompts = new ByteTable(names.byOriginal.prompt);
    this.#addresses = new ByteTable(names.byAddress);
    const templates: PatternEntry[] = [];
    for (let entry = 0; entry < catalog.kind.length; entry += 1) {
      if (catalog.kind[entry] !== EntryKind.template) continue;
      const template = judgedTemplate(packedText(catalog.publicNames, entry));
      const text = Buffer.from(template);
      if (view > 0 && this.#templateTexts.get(text, 0, text.length) !== entry) continue;
      for (const pattern of templatePatterns(template)) templates.push([pattern, entry]);
    }
    this.#templates = new PatternSet(mostLiteralFirst(templates));
    this.#unlisted = new UnlistedServers(snapshot, catalog, rules);
    this.conditions = new RouteConditions(snapshot);
    this.#filter = this.conditions.isEmpty ? null : this.conditions;
    this.#entryRoutes = new EntryRoutes(snapshot, catalog, this.conditions);
    this.limits = new NamedLimits(snapshot, catalog, this.#entryRoutes);
    this.#localRoutes = localRoutes(snapshot);
    this.#variants = new VariantChoice(snapshot);
    this.#toolRoutes = new NamedRoutes(snapshot, (route) => route.tools);
    this.#promptRoutes = new NamedRoutes(snapshot, (route) => route.prompts);
    this.#resourceRoutes = new PatternSet(
      snapshot.routes.flatMap(({ resources }, route) =>
        resources.flatMap((text) => resourcePatterns(text).map((pattern) => [pattern, route] as const)),
      ),
    );
    this.#methodRoutes = new PatternSet(
      snapshot.routes.flatMap(({ methods }, route) => methods.map((text) => [compilePattern(text), route] as const)),
    );
    this.#methods = new PatternSet(
      snapshot.servers.flatMap(({ methods }, server) =>
        rules?.servers?.includes(server) === false ? [] : methods.map((text) => [compileGlob(text), server] as const),
      ),
    );
    this.#onlyServer = onlyServer(snapshot, rules);
  }

  /** Starts with another call. */
  begin(facts: CallFacts, principal: Principal): void {
    this.#facts = facts;
    this.#principal = principal;
    this.#filter?.begin(facts, principal);
  }

  /** Finds the target of `bytes[start, end)` for an {@link Action} that is routed by name. */
  find(action: number, isUri: boolean, bytes: Uint8Array, start: number, end: number): void {
    this.#reset();
    this.#action = action;
    if (action === Action.tool) this.#findTool(bytes, start, end);
    else if (action === Action.prompt) this.#findPrompt(bytes, start, end);
    else if (action === Action.resource || action === Action.subscribe) this.#findResource(bytes, start, end);
    else if (isUri) this.#findReference(bytes, start, end);
    else this.#findPrompt(bytes, start, end);
    this.#settle();
  }

  /** Finds the rule for a method that the gateway answers itself. */
  findLocal(method: number): void {
    this.#reset();
    this.isReading = true;
    const routes = this.#localRoutes[method];
    if (routes !== undefined) this.route = this.#entryRoutes.pick(routes);
  }

  /** Entries of the catalog, those of other views included. */
  get entries(): number {
    return this.#catalog.kind.length;
  }

  /** A number of `EntryKind`. */
  kindOf(entry: number): number {
    return this.#catalog.kind[entry]!;
  }

  /** Finds the rules for an entry, as a call of it does, but for the variant. */
  findEntry(entry: number): void {
    this.#reset();
    const flags = this.#catalog.flags[entry] ?? 0;
    const kind = this.#catalog.kind[entry];
    this.isReading = kind !== EntryKind.tool || (flags & EntryFlag.readOnly) !== 0;
    if (kind === EntryKind.tool) this.#fromNamed(entry, this.#toolRoutes);
    else if (kind === EntryKind.prompt) this.#fromNamed(entry, this.#promptRoutes);
    else {
      const name = Buffer.from(packedText(this.#catalog.publicNames, entry));
      if (kind === EntryKind.resource) this.#findResource(name, 0, name.length);
      else this.#findReference(name, 0, name.length);
    }
    this.#settle();
  }

  /** Finds the server that is configured for an unknown method. */
  findMethod(bytes: Uint8Array, start: number, end: number): void {
    this.#reset();
    if (end === start) return;
    this.server = this.#methods.first(bytes, start, end);
    if (this.server < 0) return;
    this.conditions.server = this.server;
    this.route = this.#methodRoutes.first(bytes, start, end, this.#filter);
  }

  /**
   * Finds the rules for a task of the tool with the address `bytes[start, end)` (`server:tool`). The rules of every possible name
   * apply to a tool that is not listed any more.
   */
  findTask(bytes: Uint8Array, start: number, end: number): void {
    this.#reset();
    this.#action = Action.task;
    this.#entryRoutes.isAboutTask = true;
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
    this.variant = -1;
    this.isReading = false;
    this.isUnapproved = false;
    this.needsArguments = false;
    this.isRandom = false;
    this.#action = Action.none;
    this.#entryRoutes.reset();
    this.limits.reset();
    if (this.alsoRoutes.length > 0) this.alsoRoutes.length = 0;
  }

  /** The rest of a look-up: what depends on arguments. */
  #settle(): void {
    const filter = this.#filter;
    if (filter === null) return;
    if (filter.needsArguments) this.needsArguments = true;
    if (filter.isAmbiguous) this.error = AMBIGUOUS;
  }

  #findTool(bytes: Uint8Array, start: number, end: number): void {
    let entry = this.#tools.get(bytes, start, end);
    if (entry < 0) entry = this.#addresses.get(bytes, start, end);
    if (entry < 0) entry = this.#originalTools.get(bytes, start, end);
    if (entry >= 0) {
      this.#fromNamed(entry, this.#toolRoutes);
      this.limits.ofEntry(entry);
      const flags = this.#catalog.flags[entry] ?? 0;
      if ((flags & (EntryFlag.readOnly | EntryFlag.idempotent)) !== 0) this.flags |= VerdictFlag.safe;
      this.isReading = (flags & EntryFlag.readOnly) !== 0;
      this.isUnapproved = (flags & EntryFlag.unapproved) !== 0;
    } else {
      this.#findUnseen(bytes, start, end, this.#toolRoutes, UNKNOWN_TOOL);
    }
  }

  #findPrompt(bytes: Uint8Array, start: number, end: number): void {
    this.flags = VerdictFlag.safe;
    this.isReading = true;
    let entry = this.#prompts.get(bytes, start, end);
    if (entry < 0) entry = this.#originalPrompts.get(bytes, start, end);
    if (entry >= 0) {
      this.#fromNamed(entry, this.#promptRoutes);
      this.limits.ofEntry(entry);
    } else this.#findUnseen(bytes, start, end, this.#promptRoutes, UNKNOWN_PROMPT);
  }

  #findResource(bytes: Uint8Array, start: number, end: number): void {
    this.flags = VerdictFlag.safe;
    this.isReading = true;
    let entry = this.#resources.get(bytes, start, end);
    if (entry < 0) entry = this.#templates.first(bytes, start, end);
    // A resource that is not listed goes to the servers of its route, or to the only server there is: links in results need
    // not be listed (MCP, tools: resource links).
    this.server = entry < 0 ? this.#onlyServer : this.#catalog.server[entry]!;
    this.conditions.server = this.server;
    if (entry >= 0) this.entry = entry;
    this.#fromRoute(this.#resourceRoutes.first(bytes, start, end, this.#filter));
    if (this.server < 0) this.error = UNKNOWN_RESOURCE;
    this.limits.addUri(bytes, start, end);
    const isJudged = this.#snapshot.routes.length > 0 || this.limits.readsUris;
    const other = isJudged ? otherReading(bytes, start, end) : null;
    if (other === null) return;
    this.#alsoRoute(this.#resourceRoutes.first(other, 0, other.length, this.#filter));
    this.limits.addUri(other, 0, other.length);
  }

  /** A completion refers to a template by its text, or to a resource. */
  #findReference(bytes: Uint8Array, start: number, end: number): void {
    const entry = this.#templateTexts.get(bytes, start, end);
    if (entry < 0) {
      this.#findResource(bytes, start, end);
      return;
    }
    this.flags = VerdictFlag.safe;
    this.isReading = true;
    this.entry = entry;
    this.server = this.#catalog.server[entry]!;
    this.conditions.server = this.server;
    this.#entryRoutes.template(entry, this.#resourceRoutes, bytes, start, end);
    this.#fromRoute(this.#entryRoutes.route);
    this.limits.addUri(bytes, start, end);
  }

  /** A tool or prompt is judged by all its names, whichever the call uses, so that no name bypasses a rule. */
  #fromNamed(entry: number, routes: NamedRoutes): void {
    const chosen = this.#entryRoutes;
    const server = this.#catalog.server[entry]!;
    this.entry = entry;
    this.server = server;
    this.conditions.server = server;
    chosen.named(entry, routes);
    this.#fromRoute(chosen.route);
    if (chosen.isByOwnName && this.variant < 0) this.server = server;
    this.#alsoRoutes();
  }

  #alsoRoutes(): void {
    const { also } = this.#entryRoutes;
    for (let i = 0; i < also.length; i += 1) this.#alsoRoute(also[i]!);
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
    if (rule.variants !== null && isVaried(this.#action)) this.#vary(route);
  }

  #vary(route: number): void {
    const variants = this.#variants;
    if (this.#facts === null || this.#principal === null) return;
    this.variant = variants.choose(route, this.#facts, this.#principal);
    const group = this.#snapshot.routes[route]?.variants?.groups[this.variant];
    this.server = group?.servers[0] ?? this.server;
    this.isRandom = variants.isRandom;
    if (variants.needsArguments) this.needsArguments = true;
    if (variants.isAmbiguous) this.error = AMBIGUOUS;
  }

  /** A name with the prefix of a server whose lists are not known yet: the server may have it. */
  #findUnseen(bytes: Uint8Array, start: number, end: number, routes: NamedRoutes, unknown: number): void {
    const unlisted = this.#unlisted.find(bytes, start, end, routes === this.#toolRoutes);
    if (unlisted === null) {
      this.error = unknown;
      return;
    }
    const rest = start + unlisted.prefix.length;
    if (unlisted.needsLists || !isVisibleAscii(bytes, rest, end)) {
      // White space, look-alikes, and names that the configuration changes or pins wait for the server's lists.
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
    this.conditions.server = server;
    const chosen = this.#entryRoutes;
    const route = chosen.pick(routes.ofEntry(likeliest, server, own));
    this.#fromRoute(route);
    if (this.variant < 0 && routes.isByOwnName(route, likeliest)) this.server = server;
    for (const name of names) this.#alsoRoute(chosen.pick(routes.of(name)));
    // Some servers ignore the case of names: another case must not bypass a rule.
    this.#alsoRoute(chosen.pick(routes.ofEntry([], server, own.toLowerCase())));
    this.#alsoRoutes();
    this.limits.ofNames(names, routes === this.#toolRoutes);
  }
}

function text(bytes: Uint8Array, start: number, end: number): string {
  return Buffer.from(bytes.subarray(start, end)).toString('utf8');
}

/** The routes that name each method which the gateway answers itself, in order. */
function localRoutes({ routes }: Snapshot): Int32Array[] {
  const lists: number[][] = [];
  routes.forEach(({ conditions }, route) => {
    for (const method of conditions?.methods ?? []) lists[method] = [...(lists[method] ?? []), route];
  });
  return Array.from(lists, (list) => Int32Array.from(list ?? []));
}
