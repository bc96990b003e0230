/** What servers offer, before it gets the names that clients know. */
import type { PinningRules } from '../config/snapshot/pinning.js';
import { EntryKind } from '../shared/catalog-table.js';
import { compileGlob } from '../shared/patterns/glob.js';
import { CompiledItems, Repair, type UnapprovedItem } from './compile-lists.js';
import type { ListName } from './items/list-names.js';
import { Problems } from './problems.js';
import type { CatalogInput, CatalogServer, CompiledDiscovery } from './types.js';

/** One item that a server offers. */
export interface Offer {
  readonly server: number;
  readonly settings: CatalogServer;
  readonly items: CompiledItems;
  readonly index: number;
  /** The upstream name. */
  readonly name: string;
  /** How a tool differs from the lockfile, a clause; null = it does not, or nothing is pinned. */
  readonly deviation: string | null;
  /** Whether pinning keeps it from clients, and how. */
  readonly withheld: '' | 'refuse' | 'hide';
}

/** What is offered of one list. */
export interface Offers {
  /** To all clients. */
  readonly listed: readonly Offer[];
  /** To clients with lists of their own, besides. */
  readonly additional: readonly Offer[];
  /** To nobody, while calls get an error that says why. */
  readonly refused: readonly Offer[];
}

/** What an item is known by: a server offers a name once. */
export function nameKey({ server, name }: Pick<Offer, 'server' | 'name'>): string {
  return `${server}\0${name}`;
}

/**
 * The items of one list. A tool that pinning withholds from some clients, since it describes itself differently to them, is withheld
 * from all: its calls cannot be told apart.
 */
export function offersOf(input: CatalogInput, list: ListName, kind: number, problems: Problems): Offers {
  const listed = offered(input, input.discoveries, list, kind, problems);
  const own = offered(input, input.clientLists, list, kind, new Problems());
  const more = additional(listed, own);
  if (input.rules.pinning === null) return { listed, additional: more, refused: [] };
  const deviating = new Map<string, Offer>();
  for (const offer of [...listed, ...own]) {
    const { deviation, name, settings, withheld } = offer;
    const key = nameKey(offer);
    if (deviation === null || settings.name === '') continue;
    if (!deviating.has(key)) problems.add('unapproved', list, settings.name, name, `${FATES[withheld]}: ${deviation}`);
    if (withheld !== '' || !deviating.has(key)) deviating.set(key, offer);
  }
  const isFree = (offer: Offer): boolean => (deviating.get(nameKey(offer))?.withheld ?? '') === '';
  return {
    listed: listed.filter(isFree),
    additional: more.filter(isFree),
    refused: [...deviating.values()].filter(({ withheld }) => withheld === 'refuse'),
  };
}

/** What clients with lists of their own are offered besides, each name of a server once. */
function additional(offers: readonly Offer[], own: readonly Offer[]): Offer[] {
  if (own.length === 0) return [];
  const known = new Set(offers.map(nameKey));
  return own.filter((offer) => {
    const key = nameKey(offer);
    if (known.has(key) || offer.settings.name === '') return false;
    known.add(key);
    return true;
  });
}

/** The valid items of one list that the configuration includes, in server order. */
export function offered(
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
    const isIncluded = kind === EntryKind.tool ? nameFilter(server.include, server.exclude) : () => true;
    const items = new CompiledItems(compiled);
    const { dropped, droppedCount, repaired } = compiled;
    dropped.forEach(({ name, detail }, position) => {
      // Those without an entry of their own are counted with the first.
      problems.add('dropped', list, server.name, name, detail, position === 0 ? 1 + droppedCount - dropped.length : 1);
    });
    const repairs = new Map(compiled.repairs);
    const unapproved = new Map(compiled.unapproved.map((item) => [item.position, item]));
    for (let index = 0; index < items.count; index += 1) {
      const name = items.name(index);
      if (!isIncluded(name)) continue;
      if (offers.length >= input.maxTools) {
        surplus += 1;
        continue;
      }
      if (repaired[index] !== Repair.none) {
        const kind = repaired[index] === Repair.changed ? 'repaired' : 'schema';
        problems.add(kind, list, server.name, name, repairs.get(index) ?? 'changed');
      }
      const pinned = pinnedAs(unapproved.get(index), input.rules.pinning);
      offers.push({ server: discovery.server, settings: server, items, index, name, ...pinned });
    }
  }
  if (surplus > 0) problems.add('limit', list, '', '', `${surplus} items beyond limits.maxTools are not offered`);
  return offers;
}

/** Matches names with the globs `include` and `exclude` of a server. */
export function nameFilter(include: readonly string[], exclude: readonly string[]): (name: string) => boolean {
  const included = include.map(compileGlob);
  const excluded = exclude.map(compileGlob);
  return (name) => {
    const bytes = Buffer.from(name, 'utf8');
    if (included.length > 0 && !included.some((glob) => glob.matches(bytes, 0, bytes.length))) return false;
    return !excluded.some((glob) => glob.matches(bytes, 0, bytes.length));
  };
}

const FATES: Readonly<Record<Offer['withheld'], string>> = {
  refuse: 'calls are refused',
  hide: 'it is hidden',
  '': 'it is offered',
};

type Pinned = Pick<Offer, 'deviation' | 'withheld'>;

const AS_PINNED: Pinned = { deviation: null, withheld: '' };

/** Without rules the lists may still be compared with a lockfile of before a reload, until they are compiled again. */
function pinnedAs(item: UnapprovedItem | undefined, rules: PinningRules | null): Pinned {
  if (item === undefined || rules === null) return AS_PINNED;
  const action = item.isChanged ? rules.onChange : rules.onNew;
  return { deviation: item.detail, withheld: action === 'flag' ? '' : action };
}
