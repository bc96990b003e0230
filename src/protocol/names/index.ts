/**
 * The public names of tools and prompts: prefixes, collisions, and the characters and length that clients and model APIs
 * accept. Names are decided for all servers at once and depend only on configuration and on what the servers offer, never
 * on the order in which they were discovered, so that they survive restarts and are the same on every replica.
 */
import { acceptedForm, hashedName, longestName, type NameRules, type Rename, renamed } from './forms.js';

/** How names are made; the same words as in the configuration (`catalog`). */
export interface NamingRules extends NameRules {
  readonly separator: string;
  readonly conflict: 'prefix' | 'auto-prefix' | 'reject' | 'priority';
}

/** A server whose names are decided. */
export interface NamingServer {
  readonly name: string;
  /** `null` = its names stay bare. */
  readonly prefix: string | null;
  /** Higher wins under `conflict: priority`. */
  readonly priority: number;
  /** Other names for its entries; `null` = none. */
  readonly rename: Rename | null;
}

/** One offered name, in server order and then in the order of the upstream's list. */
export interface NamingEntry {
  /** Index of the server. */
  readonly server: number;
  readonly name: string;
}

/** The outcome for one {@link NamingEntry}. */
export interface Naming {
  /**
   * `listed` under `publicName`; `hidden`: another server's entry has the name, this one answers only to its explicit
   * address `server:name`; `dropped`: not reachable (the same name twice in one upstream, or the address is in use).
   */
  readonly fate: 'listed' | 'hidden' | 'dropped';
  readonly publicName: string;
  /** Why `publicName` is not the upstream's name with its prefix; '' = it is. */
  readonly change: '' | 'rename' | 'characters' | 'length' | 'collision';
  /** The upstream's name with its prefix: the entry can be called by it too. */
  readonly original: string;
  /** Position of the entry that took the name, -1 = none. */
  readonly winner: number;
}

/** An entry whose public name is to be decided. */
interface Candidate {
  readonly position: number;
  readonly name: string;
  readonly server: NamingServer;
}

/** A candidate with the name it gets if nothing is in the way. */
interface Proposal extends Candidate {
  /** The upstream's name with its prefix. */
  readonly original: string;
  /** The same with the name that the configuration gives it. */
  readonly full: string;
  /** `full` in accepted characters, in its whole length. */
  readonly accepted: string;
}

/**
 * Decides the public name of each entry; the result has the order of `entries`.
 *
 * @throws RangeError for an entry of a server that is not in `servers`
 */
export function assignNames(
  entries: readonly NamingEntry[],
  servers: readonly NamingServer[],
  rules: NamingRules,
): Naming[] {
  const result = new Array<Naming>(entries.length);
  const proposals = propose(firstOfEachServer(entries, servers, result), servers, rules);
  const longest = longestName(rules);

  // Names that an upstream or the configuration chose go first, then derived ones: a derived name never displaces a chosen one.
  const unchanged: Proposal[] = [];
  const prefixed: Proposal[] = [];
  const given: Proposal[] = [];
  const derived: Proposal[] = [];
  for (const proposal of proposals) {
    const { accepted, full, name, original } = proposal;
    if (accepted !== full || full.length > longest) derived.push(proposal);
    else if (full !== original) given.push(proposal);
    else (full === name ? unchanged : prefixed).push(proposal);
  }
  const passes = [unchanged, prefixed, given, derived];
  if (rules.conflict === 'priority') {
    for (const pass of passes) pass.sort((a, b) => b.server.priority - a.server.priority || a.position - b.position);
  }

  const ambiguous = sharedForms(derived);
  const assigned = new Map<string, number>();
  const losers: { candidate: Candidate; winner: number }[] = [];
  const fullNames = new Map<string, number>();
  for (const { accepted, full, ...candidate } of passes.flat()) {
    const { original, position } = candidate;
    const same = fullNames.get(full);
    if (same !== undefined) {
      losers.push({ candidate, winner: same });
      continue;
    }
    const isLong = accepted.length > longest;
    const isDerived = isLong || accepted !== full;
    const collides = isDerived && !isLong && (assigned.has(accepted) || ambiguous.has(accepted));
    const isHashed = isLong || collides || (accepted !== full && !isReadable(candidate, accepted));
    let publicName = isHashed ? hashedName(accepted, full, longest) : accepted;
    for (let attempt = 1; isHashed && attempt < 16 && assigned.has(publicName); attempt += 1) {
      publicName = hashedName(accepted, full, longest, attempt);
    }
    const winner = assigned.get(publicName);
    if (winner !== undefined) {
      losers.push({ candidate, winner });
      continue;
    }
    fullNames.set(full, position);
    assigned.set(publicName, position);
    const change = isLong
      ? 'length'
      : collides
        ? 'collision'
        : accepted !== full
          ? 'characters'
          : full !== original
            ? 'rename'
            : '';
    result[position] = { fate: 'listed', publicName, change, original, winner: -1 };
  }
  for (const { candidate, winner } of losers) {
    const address = `${candidate.server.name}:${candidate.name}`;
    const isFree = !assigned.has(address);
    if (isFree) assigned.set(address, candidate.position);
    result[candidate.position] = {
      fate: isFree ? 'hidden' : 'dropped',
      publicName: isFree ? address : '',
      change: '',
      original: address,
      winner,
    };
  }
  return result;
}

/** Gives each candidate its prefix and the name that the configuration gives it. */
function propose(candidates: readonly Candidate[], servers: readonly NamingServer[], rules: NamingRules): Proposal[] {
  const collides = new Set<string>();
  const seen = new Set<string>();
  const wanted = candidates.map(({ name, server }) => renamed(server.rename, server.name, name));
  for (const name of wanted) {
    const form = acceptedForm(name, rules);
    if (seen.has(form)) collides.add(form);
    else seen.add(form);
  }
  return candidates.map((candidate, index) => {
    const { name, server } = candidate;
    const own = wanted[index] ?? name;
    const getsPrefix = server.prefix !== null && usesPrefix(rules.conflict, collides.has(acceptedForm(own, rules)));
    const before = getsPrefix ? `${server.prefix}${rules.separator}` : '';
    const full = `${before}${own}`;
    const accepted = isForeignAddress(full, server, servers) ? full.replace(':', '_') : full;
    return { ...candidate, original: `${before}${name}`, full, accepted: acceptedForm(accepted, rules) };
  });
}

/** Whether a name reads as the address of an entry of another server, which no server may offer. */
export function isForeignAddress(full: string, own: NamingServer, servers: readonly NamingServer[]): boolean {
  const colon = full.indexOf(':');
  return colon > 0 && servers.some((server) => server !== own && server.name === full.slice(0, colon));
}

/** The accepted forms that several different names have. All of them get a digest, so that none depends on an order. */
function sharedForms(derived: readonly Proposal[]): Set<string> {
  const shared = new Set<string>();
  const first = new Map<string, string>();
  for (const { accepted, full } of derived) {
    const other = first.get(accepted);
    if (other === undefined) first.set(accepted, full);
    else if (other !== full) shared.add(accepted);
  }
  return shared;
}

/** Whether the part behind the prefix still says something: a name in another script is nothing but `_`. */
function isReadable({ name }: Candidate, accepted: string): boolean {
  return /[A-Za-z0-9]/.test(accepted.slice(-Math.min([...name].length, accepted.length)));
}

function usesPrefix(conflict: NamingRules['conflict'], collides: boolean): boolean {
  return conflict === 'prefix' || (conflict === 'auto-prefix' && collides);
}

/** The entries without repetitions within one upstream, which are decided in `result`. */
function firstOfEachServer(
  entries: readonly NamingEntry[],
  servers: readonly NamingServer[],
  result: Naming[],
): Candidate[] {
  const first: Candidate[] = [];
  const byServer = new Map<number, Map<string, number>>();
  entries.forEach(({ name, server: index }, position) => {
    const server = servers[index];
    if (server === undefined) throw new RangeError(`there is no server ${index}`);
    const names = byServer.get(index) ?? new Map<string, number>();
    byServer.set(index, names);
    const earlier = names.get(name);
    if (earlier === undefined) {
      names.set(name, position);
      first.push({ position, name, server });
    } else {
      result[position] = { fate: 'dropped', publicName: '', change: '', original: name, winner: earlier };
    }
  });
  return first;
}
