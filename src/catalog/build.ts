/** Builds a catalog from the compiled lists of all upstreams: a pure function that runs in the control pool. */
import { isTombstone } from '../config/numbering.js';
import type { ViewSnapshot } from '../config/snapshot/index.js';
import { encodeHeaderValue } from '../protocol/header-value.js';
import { isPortableName } from '../protocol/names/forms.js';
import { assignNames, isForeignAddress, type Naming } from '../protocol/names/index.js';
import { Era } from '../protocol/revisions.js';
import { EntryFlag, EntryKind } from '../shared/catalog-table.js';
import { type Packed, packedText, packShared } from '../shared/packed.js';
import { compileGlob } from '../shared/patterns/glob.js';
import { instructionsOf, instructionsTail } from './instructions.js';
import { LISTS, type ListName } from './items/list-names.js';
import { nameKey, type Offer, offered, offersOf } from './offers.js';
import { patternFaults } from './pattern-faults.js';
import { Problems } from './problems.js';
import { buildDiscover, buildInitialize, buildList, digest, listShape, mergeCapabilities } from './results.js';
import { routeFaults } from './route-faults.js';
import { buildTable, type NameRow } from './table.js';
import {
  type BuiltList,
  type BuiltView,
  type CatalogBuild,
  type CatalogInput,
  type CompiledDiscovery,
  type ListSet,
  MAX_PROBLEMS,
} from './types.js';

/** Rows of the name table, while they are collected. */
class Columns {
  readonly kind: number[] = [];
  readonly server: number[] = [];
  readonly flags: number[] = [];
  readonly publicNames: string[] = [];
  readonly upstreamNames: string[] = [];
  readonly headerParams: string[] = [];
  readonly #entries = new Map<string, number>();

  /** Adds an entry. @returns its number */
  add(kind: number, offer: Offer, publicName: string, isRenamed = false): number {
    const { list } = offer.items;
    this.headerParams.push(packedText(list.headerParams, offer.index));
    this.kind.push(kind);
    this.server.push(offer.server);
    const renamed = isRenamed ? EntryFlag.renamed : 0;
    const unapproved = offer.withheld === '' ? 0 : EntryFlag.unapproved;
    this.flags.push((list.flags[offer.index] ?? 0) | renamed | unapproved);
    this.publicNames.push(publicName);
    this.upstreamNames.push(offer.name);
    const entry = this.kind.length - 1;
    this.#entries.set(`${kind}\0${nameKey(offer)}`, entry);
    return entry;
  }

  /** The entry of what a view offers. What the first view does not offer gets one that only its address leads to. */
  entryOf(kind: number, offer: Offer): number {
    const known = this.#entries.get(`${kind}\0${nameKey(offer)}`);
    return known ?? this.add(kind, offer, `${offer.settings.name}:${offer.name}`);
  }
}

/** See the file comment. */
export function buildCatalog(input: CatalogInput): CatalogBuild {
  const columns = new Columns();
  const problems = new Problems();
  const views = input.views.map((view, number) => {
    const seen = inView(input, view);
    // What is wrong with lists and names concerns all views: it is said of the first.
    const found = number === 0 ? problems : new Problems();
    const isOffered = number === 0 ? null : offeredIn(view);
    const lists = LISTS.map((list) => {
      const build = new ListBuild(seen, list, columns, found, isOffered);
      return list === 'tools' || list === 'prompts' ? addNamed(build) : addResources(build);
    });
    return { input: seen, lists };
  });

  const known = new Set(input.discoveries.map(({ server }) => server));
  const capabilities = mergeCapabilities(input);
  const counts = input.servers.map((): [number, number, number, number] => [0, 0, 0, 0]);
  for (const { kind, entry } of views[0]?.lists.flatMap(({ rows }) => rows) ?? []) {
    if (((columns.flags[entry] ?? 0) & EntryFlag.unapproved) !== 0) continue;
    const ofServer = counts[columns.server[entry] ?? -1];
    if (ofServer !== undefined) ofServer[kind as 0 | 1 | 2 | 3] += 1;
  }
  const undiscovered = input.servers.flatMap((server, index) =>
    known.has(index) || isTombstone(server) ? [] : [index],
  );
  const rows = views.map(({ lists }) => lists.flatMap((list) => list.rows));
  const table = buildTable(input.version, columns, rows, undiscovered);
  return {
    table,
    escapedNames: packedOr(table.upstreamNames, columns.upstreamNames, (name) => JSON.stringify(name).slice(1, -1)),
    nameHeaders: packedOr(table.upstreamNames, columns.upstreamNames, encodeHeaderValue),
    headerParams: packShared(columns.headerParams),
    views: views.map(({ input: seen, lists }) => buildView(seen, lists)),
    maxInstructions: input.maxInstructions,
    listSets: new Map(
      input.listSets.flatMap((set) => {
        const view = views[set.view];
        return view === undefined ? [] : [[set.name, buildListSet(view.input, set, view.lists)] as const];
      }),
    ),
    expiresAt: input.discoveries.reduce((least, { expiresAt }) => Math.min(least, expiresAt), Number.POSITIVE_INFINITY),
    capabilities,
    fingerprints: LISTS.map((_, kind) => fingerprint(views.map(({ lists }) => lists[kind]?.texts ?? NO_TEXTS))),
    problems: problems.list,
    problemCounts: problems.counts,
    renamed: problems.renamed,
    renamedCount: problems.renamedCount,
    routeFaults: [...input.routeFaults, ...routeFaults(input, table)].slice(0, MAX_PROBLEMS),
    patternFaults: patternFaults(input.rulePatterns, input, table).slice(0, MAX_PROBLEMS),
    offered: counts,
    isRestricted: input.isRestricted,
  };
}

function buildView(input: CatalogInput, lists: readonly { list: ListName; texts: Rendered }[]): BuiltView {
  const capabilities = mergeCapabilities(input);
  const instructions = instructionsOf(input);
  const tail = instructionsTail(instructions, input.maxInstructions);
  return {
    lists: buildLists(input, lists),
    initialize: buildInitialize(input, capabilities, tail),
    discover: buildDiscover(input, capabilities, tail),
    instructions,
    tailBytes: tail.length,
  };
}

/** What a view is built from: of everything the servers that it offers, without prefixes where it has none. */
function inView(input: CatalogInput, { servers: offeredServers, hasPrefixes }: ViewSnapshot): CatalogInput {
  if (offeredServers === null && hasPrefixes) return input;
  const has = ({ server }: CompiledDiscovery): boolean => offeredServers?.includes(server) ?? true;
  const servers = input.servers.map((server, number) => {
    // A server without a name is none: the capabilities of the view wait for its own servers alone.
    if (offeredServers?.includes(number) === false) return { ...server, name: '' };
    return hasPrefixes ? server : { ...server, prefix: null };
  });
  return { ...input, servers, discoveries: input.discoveries.filter(has), clientLists: input.clientLists };
}

/** Whether a view offers an entry of a kind that has these names. */
type IsOffered = (kind: number, ...names: string[]) => boolean;

/** By the globs of a view. */
function offeredIn({ tools, prompts, resources }: ViewSnapshot): IsOffered {
  const globs = [tools, prompts, resources, resources].map((texts) => texts.map(compileGlob));
  return (kind, ...names) => {
    const ofKind = globs[kind] ?? [];
    if (ofKind.length === 0) return true;
    return names.some((name) => {
      const bytes = Buffer.from(name);
      return ofKind.some((glob) => glob.matches(bytes, 0, bytes.length));
    });
  };
}

/** One list towards both families, by era and then by list. */
function buildLists(input: CatalogInput, lists: readonly { list: ListName; texts: Rendered }[]): BuiltList[][] {
  return [Era.legacy, Era.modern].map((era) =>
    lists.map(({ list, texts }) => {
      return buildList(listShape(input, list, era), era === Era.legacy ? texts.legacy : texts.modern, texts.entries);
    }),
  );
}

/** The lists of one set; names are those of the view, so that they can be called. */
function buildListSet(input: CatalogInput, set: ListSet, shared: readonly { list: ListName; names: Names }[]) {
  const has = new Set(input.servers.flatMap(({ name }, server) => (name === '' ? [] : [server])));
  const own = new Map(
    set.lists.flatMap((position) => {
      const lists = input.clientLists[position];
      return lists === undefined || !has.has(lists.server) ? [] : [[lists.server, lists] as const];
    }),
  );
  const places = new Set(input.discoveries.map(({ server }) => server));
  const discoveries = [
    ...input.discoveries.map((discovery) => own.get(discovery.server) ?? discovery),
    ...[...own.values()].filter(({ server }) => !places.has(server)),
  ];
  const lists = shared.map(({ list, names }, kind) => {
    const texts = new Rendered();
    const seen = new Set<string>();
    for (const offer of offered(input, discoveries, list, kind, new Problems())) {
      const key = nameKey(offer);
      const known = names.get(key);
      if (known === undefined || seen.has(key)) continue;
      seen.add(key);
      texts.add(offer.items.render(offer.index, known.publicName, known.isRenamed), known.entry);
    }
    return { list, texts };
  });
  return buildLists({ ...input, discoveries }, lists);
}

/** The public names of what is listed, by {@link nameKey}. */
type Names = Map<string, { readonly publicName: string; readonly isRenamed: boolean; readonly entry: number }>;

/** The texts of a list by era, and the entry of each. */
class Rendered {
  readonly legacy: string[] = [];
  readonly modern: string[] = [];
  readonly entries: number[] = [];

  add([legacy, modern]: [string, string], entry: number): void {
    this.legacy.push(legacy);
    this.modern.push(modern);
    this.entries.push(entry);
  }
}

const NO_TEXTS = new Rendered();

/** Digest of a list towards both families, over all views. */
function fingerprint(views: readonly Rendered[]): string {
  return digest(
    views.flatMap(({ legacy, modern }, view) => [
      ...(view === 0 ? [] : [`\0\0${view}`]),
      ...legacy.flatMap((text, index) => (modern[index] === text ? [text] : [text, `\0${modern[index]}`])),
    ]),
  );
}

/** One list of one view, while it is built. */
class ListBuild {
  readonly texts = new Rendered();
  /** What clients can be offered, and what it is called. */
  readonly names: Names = new Map();
  readonly rows: NameRow[] = [];
  /** What is listed, behind it what only some clients are listed, and last what is refused. */
  readonly all: readonly Offer[];
  /** How many of `all` are not refused. */
  readonly approved: number;

  readonly input: CatalogInput;
  readonly list: ListName;
  readonly problems: Problems;
  readonly #kind: number;
  readonly #columns: Columns;
  /** null = everything is offered, and gets an entry: the first view. */
  readonly #isOffered: IsOffered | null;
  /** How many of `all` are listed. */
  readonly #listed: number;

  constructor(input: CatalogInput, list: ListName, columns: Columns, problems: Problems, isOffered: IsOffered | null) {
    this.input = input;
    this.list = list;
    this.problems = problems;
    this.#kind = LISTS.indexOf(list);
    this.#columns = columns;
    this.#isOffered = isOffered;
    const { listed, additional, refused } = offersOf(input, list, this.#kind, problems);
    this.#listed = listed.length;
    this.all = [...listed, ...additional, ...refused];
    this.approved = listed.length + additional.length;
  }

  /** Adds the offer at a position of `all` under its name in this view. */
  add(position: number, publicName: string, isRenamed: boolean, isListed: boolean, aliases: readonly string[]): void {
    const offer = this.all[position];
    if (offer === undefined) return;
    const columns = this.#columns;
    const kind = this.#kind;
    const address = `${offer.settings.name}:${offer.name}`;
    if (this.#isOffered?.(kind, publicName, address) === false) return;
    const isFirst = this.#isOffered === null;
    const entry = isFirst ? columns.add(kind, offer, publicName, isRenamed) : columns.entryOf(kind, offer);
    this.rows.push({ kind, name: publicName, entry, address: kind === EntryKind.tool ? address : '', aliases });
    if (!isListed || position >= this.approved) return;
    this.names.set(nameKey(offer), { publicName, isRenamed, entry });
    if (position >= this.#listed) return;
    this.texts.add(offer.items.render(offer.index, publicName, isRenamed), entry);
  }
}

/** Adds tools or prompts under names that are unique. */
function addNamed(build: ListBuild): ListBuild {
  const { all, input, list, problems } = build;
  const namings = namesOf(build);
  for (const [position, offer] of all.entries()) {
    const naming = namings[position];
    if (naming === undefined) continue;
    if (position < build.approved) reportNaming(list, offer, naming, all[naming.winner], input, problems);
    if (naming.fate === 'dropped') continue;
    const isRenamed = naming.change !== '';
    const others = isRenamed && position < build.approved ? [...new Set([naming.original, offer.name])] : [];
    const aliases = others.filter((name) => !isForeignAddress(name, offer.settings, input.servers));
    build.add(position, naming.publicName, isRenamed, naming.fate === 'listed', aliases);
  }
  return build;
}

/** What is refused gets a name that nothing else has, or none: it must not change the names of others. */
function namesOf({ all, approved, input }: ListBuild): (Naming | undefined)[] {
  const free = assignNames(all.slice(0, approved), input.servers, input.rules);
  if (approved === all.length) return free;
  const taken = new Set(free.map(({ publicName }) => publicName));
  const others = assignNames(all, input.servers, input.rules).slice(approved);
  return [...free, ...others.map((naming) => (taken.has(naming.publicName) ? undefined : naming))];
}

/** @param winner the offer that has the name instead, if there is one */
function reportNaming(
  list: ListName,
  { settings: { name }, name: itemName }: Offer,
  naming: Naming,
  winner: Offer | undefined,
  { rules }: CatalogInput,
  problems: Problems,
): void {
  if (winner !== undefined) {
    const other = winner.settings.name;
    if (other === name) problems.add('duplicate', list, name, itemName, 'the server offers this name twice');
    else if (naming.fate === 'hidden') {
      problems.add('collision', list, name, itemName, `${other} has the name; call it as ${naming.publicName}`);
    } else problems.add('collision', list, name, itemName, `${other} has the name`);
    return;
  }
  problems.addRenamed(list, name, itemName, naming);
  if (rules.names === 'as-is' && !isPortableName(itemName)) {
    problems.add('unusual-name', list, name, itemName, 'some clients refuse these characters');
  }
}

/** Adds resources or templates under their URIs; of equal ones that of the server with the highest priority, then the first. */
function addResources(build: ListBuild): ListBuild {
  const { all, list, problems } = build;
  const owners = new Map<string, Offer>();
  for (const offer of all) {
    const owner = owners.get(offer.name);
    const isPreferred = owner === undefined || offer.settings.priority > owner.settings.priority;
    if (isPreferred) owners.set(offer.name, offer);
  }
  for (const [position, offer] of all.entries()) {
    const owner = owners.get(offer.name) ?? offer;
    if (owner !== offer) {
      const { name } = offer.settings;
      const other = owner.settings.name;
      if (other === name) problems.add('duplicate', list, name, offer.name, 'the upstream lists this twice');
      else problems.add('collision', list, name, offer.name, `${other} has it`);
      continue;
    }
    build.add(position, offer.name, false, true, []);
  }
  return build;
}

/** The names in another spelling, packed; `plain` itself when all are equal to it. */
function packedOr(plain: Packed, names: readonly string[], spell: (name: string) => string): Packed {
  const spelled = names.map(spell);
  return spelled.every((text, entry) => text === names[entry]) ? plain : packShared(spelled);
}

/** The buffers of a build that are transferred to the main thread; the tables are shared memory. */
export function buffersOf(build: CatalogBuild): ArrayBuffer[] {
  const parts: ArrayBufferView[] = [];
  for (const { discover, initialize } of build.views) parts.push(discover.bytes, ...initialize);
  for (const lists of [...build.views.flatMap((view) => view.lists), ...[...build.listSets.values()].flat()]) {
    for (const { entries, starts, ends, pages } of lists) parts.push(entries, starts, ends, pages.bytes);
  }
  return [...new Set(parts.map((part) => part.buffer as ArrayBuffer))];
}
