/** Builds a catalog from the compiled lists of all upstreams: a pure function that runs in the control pool. */
import { isTombstone } from '../config/numbering.js';
import { encodeHeaderValue } from '../protocol/header-value.js';
import { assignNames, isPortableName, type Naming } from '../protocol/names.js';
import { Era } from '../protocol/revisions.js';
import { EntryKind } from '../shared/catalog-table.js';
import { type Packed, packedText, packShared } from '../shared/packed.js';
import { compileGlob } from '../shared/patterns/glob.js';
import { CompiledItems } from './compile-lists.js';
import { buildDiscover, buildInitialize, buildList, digest, mergeCapabilities } from './results.js';
import { buildTable } from './table.js';
import {
  type BuiltList,
  type CatalogBuild,
  type CatalogInput,
  type CatalogProblem,
  type CatalogServer,
  type CatalogView,
  type CompiledDiscovery,
  LISTS,
  type ListName,
  MAX_PROBLEMS,
} from './types.js';

/** One item that a server offers. */
interface Offer {
  readonly server: number;
  readonly settings: CatalogServer;
  readonly items: CompiledItems;
  readonly index: number;
  /** The upstream name. */
  readonly name: string;
}

/** Rows of the name table and the rendered items, while they are collected. */
class Columns {
  readonly kind: number[] = [];
  readonly server: number[] = [];
  readonly flags: number[] = [];
  readonly publicNames: string[] = [];
  readonly upstreamNames: string[] = [];
  readonly headerParams: string[] = [];

  add(kind: number, offer: Offer, publicName: string): void {
    const { list } = offer.items;
    this.headerParams.push(packedText(list.headerParams, offer.index));
    this.kind.push(kind);
    this.server.push(offer.server);
    this.flags.push(list.flags[offer.index] ?? 0);
    this.publicNames.push(publicName);
    this.upstreamNames.push(offer.name);
  }
}

class Problems {
  readonly list: CatalogProblem[] = [];
  readonly counts: Record<string, number> = {};

  add(kind: CatalogProblem['kind'], list: ListName, server: string, name: string, detail: string, count = 1): void {
    this.counts[kind] = (this.counts[kind] ?? 0) + count;
    if (this.list.length < MAX_PROBLEMS) this.list.push({ kind, list, server, name: name.slice(0, 128), detail });
  }
}

/** See the file comment. */
export function buildCatalog(input: CatalogInput): CatalogBuild {
  const columns = new Columns();
  const problems = new Problems();
  const rendered = LISTS.map((list, kind) => {
    const offers = offered(input, input.discoveries, list, kind, problems);
    const add = kind === EntryKind.tool || kind === EntryKind.prompt ? addNamed : addResources;
    return { list, ...add(input, list, kind, offers, columns, problems) };
  });

  const known = new Set(input.discoveries.map(({ server }) => server));
  const capabilities = mergeCapabilities(input);
  const counts = input.servers.map((): [number, number, number, number] => [0, 0, 0, 0]);
  columns.kind.forEach((kind, entry) => {
    const ofServer = counts[columns.server[entry] ?? -1];
    if (ofServer !== undefined) ofServer[kind as 0 | 1 | 2 | 3] += 1;
  });
  const undiscovered = input.servers.flatMap((server, index) =>
    known.has(index) || isTombstone(server) ? [] : [index],
  );
  const serverNames = input.servers.map(({ name }) => name);
  const table = buildTable(input.version, columns, serverNames, undiscovered);
  return {
    table,
    escapedNames: packedOr(table.upstreamNames, columns.upstreamNames, (name) => JSON.stringify(name).slice(1, -1)),
    nameHeaders: packedOr(table.upstreamNames, columns.upstreamNames, encodeHeaderValue),
    headerParams: packShared(columns.headerParams),
    lists: buildLists(input, rendered),
    views: new Map(input.views.map((view) => [view.name, buildView(input, view, rendered)])),
    initialize: buildInitialize(input, capabilities),
    discover: buildDiscover(input, capabilities),
    expiresAt: input.discoveries.reduce((least, { expiresAt }) => Math.min(least, expiresAt), Number.POSITIVE_INFINITY),
    capabilities,
    fingerprints: rendered.map(({ texts }) => fingerprint(texts)),
    problems: problems.list,
    problemCounts: problems.counts,
    offered: counts,
  };
}

/** One list towards both families, by era and then by list. */
function buildLists(input: CatalogInput, lists: readonly { list: ListName; texts: Rendered }[]): BuiltList[][] {
  return [Era.legacy, Era.modern].map((era) =>
    lists.map(({ list, texts: [legacy, modern] }) => buildList(input, list, era, era === Era.legacy ? legacy : modern)),
  );
}

/** The lists of one view; names are those of the table, so that they can be called. */
function buildView(input: CatalogInput, view: CatalogView, shared: readonly { list: ListName; names: Names }[]) {
  const own = new Map(
    view.lists.flatMap((position) => {
      const lists = input.clientLists[position];
      return lists === undefined ? [] : [[lists.server, lists] as const];
    }),
  );
  const places = new Set(input.discoveries.map(({ server }) => server));
  const discoveries = [
    ...input.discoveries.map((discovery) => own.get(discovery.server) ?? discovery),
    ...[...own.values()].filter(({ server }) => !places.has(server)),
  ];
  const lists = shared.map(({ list, names }, kind) => {
    const texts: Rendered = [[], []];
    const seen = new Set<string>();
    for (const offer of offered(input, discoveries, list, kind, new Problems())) {
      const key = nameKey(offer);
      const publicName = names.get(key);
      if (publicName === undefined || seen.has(key)) continue;
      seen.add(key);
      addRendered(texts, offer.items.render(offer.index, publicName));
    }
    return { list, texts };
  });
  return buildLists({ ...input, discoveries }, lists);
}

/** The public names of what is listed, by {@link nameKey}. */
type Names = Map<string, string>;

function nameKey({ server, name }: Pick<Offer, 'server' | 'name'>): string {
  return `${server}\0${name}`;
}

/** What clients with lists of their own are offered besides, each name of a server once. */
function additional(input: CatalogInput, offers: readonly Offer[], list: ListName, kind: number): Offer[] {
  const known = new Set(offers.map(nameKey));
  return offered(input, input.clientLists, list, kind, new Problems()).filter((offer) => {
    const key = nameKey(offer);
    if (known.has(key)) return false;
    known.add(key);
    return true;
  });
}

/** The valid items of one list that the configuration includes, in server order. */
function offered(
  input: CatalogInput,
  discoveries: readonly CompiledDiscovery[],
  list: ListName,
  kind: number,
  problems: Problems,
): Offer[] {
  const offers: Offer[] = [];
  let surplus = 0;
  for (const discovery of discoveries) {
    const server = input.servers[discovery.server];
    const compiled = discovery.lists[kind];
    if (server === undefined || compiled === undefined) continue;
    const isIncluded = kind === EntryKind.tool ? filter(server.include, server.exclude) : () => true;
    const items = new CompiledItems(compiled);
    const { dropped, droppedCount, repaired } = compiled;
    dropped.forEach(({ name, detail }, position) => {
      // Those without an entry of their own are counted with the first.
      problems.add('dropped', list, server.name, name, detail, position === 0 ? 1 + droppedCount - dropped.length : 1);
    });
    const repairs = new Map(compiled.repairs);
    for (let index = 0; index < items.count; index += 1) {
      const name = items.name(index);
      if (!isIncluded(name)) continue;
      if (offers.length >= input.maxTools) {
        surplus += 1;
        continue;
      }
      if (repaired[index] === 1) problems.add('repaired', list, server.name, name, repairs.get(index) ?? 'changed');
      offers.push({ server: discovery.server, settings: server, items, index, name });
    }
  }
  if (surplus > 0) problems.add('limit', list, '', '', `${surplus} items beyond limits.maxTools are not offered`);
  return offers;
}

/** Matches names with the globs of routes. */
function filter(include: readonly string[], exclude: readonly string[]): (name: string) => boolean {
  const included = include.map(compileGlob);
  const excluded = exclude.map(compileGlob);
  return (name) => {
    const bytes = Buffer.from(name, 'utf8');
    if (included.length > 0 && !included.some((glob) => glob.matches(bytes, 0, bytes.length))) return false;
    return !excluded.some((glob) => glob.matches(bytes, 0, bytes.length));
  };
}

/** The texts of a list by era. */
type Rendered = [legacy: string[], modern: string[]];

function addRendered([legacyTexts, modernTexts]: Rendered, [legacy, modern]: [string, string]): void {
  legacyTexts.push(legacy);
  modernTexts.push(modern);
}

/** Digest of a list towards both families. */
function fingerprint([legacy, modern]: Rendered): string {
  return digest(legacy.flatMap((text, index) => (modern[index] === text ? [text] : [text, `\0${modern[index]}`])));
}

/** One list as all clients are offered it, and the names of what is in the table. */
interface Added {
  readonly texts: Rendered;
  readonly names: Names;
}

/** Adds tools or prompts under names that are unique. */
function addNamed(
  input: CatalogInput,
  list: ListName,
  kind: number,
  offers: readonly Offer[],
  columns: Columns,
  problems: Problems,
): Added {
  const all = [...offers, ...additional(input, offers, list, kind)];
  const namings = assignNames(all, input.servers, input.rules);
  const texts: Rendered = [[], []];
  const names: Names = new Map();
  for (const [position, offer] of all.entries()) {
    const naming = namings[position];
    if (naming === undefined) continue;
    reportNaming(list, offer, naming, all[naming.winner], problems);
    if (naming.fate === 'dropped') continue;
    columns.add(kind, offer, naming.publicName);
    if (naming.fate === 'hidden') continue;
    names.set(nameKey(offer), naming.publicName);
    if (position < offers.length) addRendered(texts, offer.items.render(offer.index, naming.publicName));
  }
  return { texts, names };
}

/** @param winner the offer that has the name instead, if there is one */
function reportNaming(
  list: ListName,
  { settings: { name }, name: itemName }: Offer,
  naming: Naming,
  winner: Offer | undefined,
  problems: Problems,
): void {
  if (winner !== undefined) {
    const other = winner.settings.name;
    if (other === name) problems.add('duplicate', list, name, itemName, 'the upstream lists this name twice');
    else if (naming.fate === 'hidden') {
      problems.add('collision', list, name, itemName, `${other} has the name; call it as ${naming.publicName}`);
    } else problems.add('collision', list, name, itemName, `${other} has the name`);
    return;
  }
  if (naming.shortened) problems.add('shortened', list, name, itemName, `offered as ${naming.publicName}`);
  if (!isPortableName(itemName)) {
    problems.add('unusual-name', list, name, itemName, 'some clients refuse these characters');
  }
}

/** Adds resources or templates under their URIs; of equal ones that of the server with the highest priority, then the first. */
function addResources(
  input: CatalogInput,
  list: ListName,
  kind: number,
  offers: readonly Offer[],
  columns: Columns,
  problems: Problems,
): Added {
  const all = [...offers, ...additional(input, offers, list, kind)];
  const owners = new Map<string, Offer>();
  for (const offer of all) {
    const owner = owners.get(offer.name);
    const isPreferred = owner === undefined || offer.settings.priority > owner.settings.priority;
    if (isPreferred) owners.set(offer.name, offer);
  }
  const texts: Rendered = [[], []];
  const names: Names = new Map();
  for (const [position, offer] of all.entries()) {
    const owner = owners.get(offer.name) ?? offer;
    if (owner !== offer) {
      const { name } = offer.settings;
      const other = owner.settings.name;
      if (other === name) problems.add('duplicate', list, name, offer.name, 'the upstream lists this twice');
      else problems.add('collision', list, name, offer.name, `${other} has it`);
      continue;
    }
    columns.add(kind, offer, offer.name);
    names.set(nameKey(offer), offer.name);
    if (position < offers.length) addRendered(texts, offer.items.render(offer.index, offer.name));
  }
  return { texts, names };
}

/** The names in another spelling, packed; `plain` itself when all are equal to it. */
function packedOr(plain: Packed, names: readonly string[], spell: (name: string) => string): Packed {
  const spelled = names.map(spell);
  return spelled.every((text, entry) => text === names[entry]) ? plain : packShared(spelled);
}

/** The buffers of a build that are transferred to the main thread; the tables are shared memory. */
export function buffersOf(build: CatalogBuild): ArrayBuffer[] {
  const views: Uint8Array[] = [build.discover.bytes];
  views.push(...build.initialize);
  for (const lists of [...build.lists, ...[...build.views.values()].flat()]) {
    for (const { pages } of lists) views.push(pages.bytes);
  }
  return [...new Set(views.map((view) => view.buffer as ArrayBuffer))];
}
