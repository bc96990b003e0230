/** Builds a catalog from what the upstreams list: a pure function that runs in the control pool. */
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
  LISTS,
  type ListName,
  MAX_PROBLEMS,
} from './types.js';

interface Offer {
  readonly server: number;
  readonly items: CompiledItems;
  readonly index: number;
  /** At the upstream. */
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
    this.flags.push(list.flags[offer.index]);
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

export function buildCatalog(input: CatalogInput): CatalogBuild {
  const columns = new Columns();
  const problems = new Problems();
  const rendered = LISTS.map((list, kind) => {
    const offers = offered(input, list, kind, problems);
    return kind === EntryKind.tool || kind === EntryKind.prompt
      ? nameOffers(input, list, kind, offers, columns, problems)
      : placeResources(input, list, kind, offers, columns, problems);
  });

  const known = new Set(input.discoveries.map(({ server }) => server));
  const capabilities = mergeCapabilities(input);
  const eras = [Era.legacy, Era.modern];
  const counts = input.servers.map((): [number, number, number, number] => [0, 0, 0, 0]);
  columns.kind.forEach((kind, entry) => {
    counts[columns.server[entry]][kind] += 1;
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
    lists: eras.map((era): BuiltList[] =>
      LISTS.map((list, kind) => buildList(input, list, era, rendered[kind][era].filter(isOffered))),
    ),
    initialize: buildInitialize(input, capabilities),
    discover: buildDiscover(input, capabilities),
    expiresAt: input.discoveries.reduce((least, { expiresAt }) => Math.min(least, expiresAt), Number.POSITIVE_INFINITY),
    capabilities,
    fingerprints: rendered.map(fingerprint),
    problems: problems.list,
    problemCounts: problems.counts,
    offered: counts,
  };
}

/** The readable items of one list that configuration lets through, in server order. */
function offered(input: CatalogInput, list: ListName, kind: number, problems: Problems): Offer[] {
  const offers: Offer[] = [];
  let surplus = 0;
  for (const discovery of input.discoveries) {
    const server = input.servers[discovery.server];
    const allowed = kind === EntryKind.tool ? filter(server.include, server.exclude) : () => true;
    const items = new CompiledItems(discovery.lists[kind]);
    const { dropped, droppedCount, repaired } = items.list;
    dropped.forEach(({ name, detail }, position) => {
      // Those that are not told one by one are counted with the first.
      problems.add('dropped', list, server.name, name, detail, position === 0 ? 1 + droppedCount - dropped.length : 1);
    });
    const repairs = new Map(items.list.repairs);
    for (let index = 0; index < items.count; index += 1) {
      const name = items.name(index);
      if (!allowed(name)) continue;
      if (offers.length >= input.maxTools) {
        surplus += 1;
        continue;
      }
      if (repaired[index] === 1) problems.add('repaired', list, server.name, name, repairs.get(index) ?? 'changed');
      offers.push({ server: discovery.server, items, index, name });
    }
  }
  if (surplus > 0) problems.add('limit', list, '', '', `${surplus} items beyond limits.maxTools are not offered`);
  return offers;
}

/** The same globs as in routes, so that a name means the same wherever it is written. */
function filter(include: readonly string[], exclude: readonly string[]): (name: string) => boolean {
  const included = include.map(compileGlob);
  const excluded = exclude.map(compileGlob);
  return (name) => {
    const bytes = Buffer.from(name, 'utf8');
    if (included.length > 0 && !included.some((glob) => glob.matches(bytes, 0, bytes.length))) return false;
    return !excluded.some((glob) => glob.matches(bytes, 0, bytes.length));
  };
}

type Rendered = [legacy: string[], modern: string[]];

function addRendered(rendered: Rendered, [legacy, modern]: [string, string]): void {
  rendered[Era.legacy].push(legacy);
  rendered[Era.modern].push(modern);
}

function isOffered(text: string): boolean {
  return text !== '';
}

/** Digest of a list towards both families. */
function fingerprint([legacy, modern]: Rendered): string {
  return digest(legacy.flatMap((text, index) => (modern[index] === text ? [text] : [text, `\0${modern[index]}`])));
}

function nameOffers(
  input: CatalogInput,
  list: ListName,
  kind: number,
  offers: readonly Offer[],
  columns: Columns,
  problems: Problems,
): Rendered {
  const entries = offers;
  const namings = assignNames(entries, input.servers, input.rules);
  const rendered: Rendered = [[], []];
  offers.forEach((offer, position) => {
    const naming = namings[position];
    reportNaming(input, list, offers, position, naming, problems);
    if (naming.fate === 'dropped') return;
    columns.add(kind, offer, naming.publicName);
    if (naming.fate === 'hidden') return;
    addRendered(rendered, offer.items.render(offer.index, naming.publicName));
  });
  return rendered;
}

function reportNaming(
  input: CatalogInput,
  list: ListName,
  offers: readonly Offer[],
  position: number,
  naming: Naming,
  problems: Problems,
): void {
  const { server, name: itemName } = offers[position];
  const { name } = input.servers[server];
  if (naming.winner >= 0) {
    const other = input.servers[offers[naming.winner].server].name;
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

/** URIs stay as they are; of two equal ones the server with the higher priority, then the earlier one, has it. */
function placeResources(
  input: CatalogInput,
  list: ListName,
  kind: number,
  offers: readonly Offer[],
  columns: Columns,
  problems: Problems,
): Rendered {
  const owners = new Map<string, Offer>();
  for (const offer of offers) {
    const owner = owners.get(offer.name);
    const better = owner === undefined || input.servers[offer.server].priority > input.servers[owner.server].priority;
    if (better) owners.set(offer.name, offer);
  }
  const rendered: Rendered = [[], []];
  for (const offer of offers) {
    const owner = owners.get(offer.name)!;
    if (owner !== offer) {
      const { name } = input.servers[offer.server];
      const other = input.servers[owner.server].name;
      if (other === name) problems.add('duplicate', list, name, offer.name, 'the upstream lists this twice');
      else problems.add('collision', list, name, offer.name, `${other} has it`);
      continue;
    }
    columns.add(kind, offer, offer.name);
    addRendered(rendered, offer.items.render(offer.index, offer.name));
  }
  return rendered;
}

/** Another spelling of names, packed; `plain` itself where none differs. */
function packedOr(plain: Packed, names: readonly string[], spell: (name: string) => string): Packed {
  const spelled = names.map(spell);
  return spelled.every((text, entry) => text === names[entry]) ? plain : packShared(spelled);
}

/** The buffers of a build that are moved to the main thread instead of copied; the tables are shared. */
export function buffersOf(build: CatalogBuild): ArrayBuffer[] {
  const views: Uint8Array[] = [build.discover.bytes];
  views.push(...build.initialize);
  for (const lists of build.lists) for (const { pages } of lists) views.push(pages.bytes);
  return [...new Set(views.map((view) => view.buffer as ArrayBuffer))];
}
