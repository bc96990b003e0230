/**
 * The public names of tools and prompts: prefixes, collisions, and the length that clients and model APIs accept.
 * Names are decided for all servers at once and depend only on configuration and on what the servers offer, never on
 * the order in which they were discovered, so that they survive restarts and are the same on every replica.
 */
import { createHash } from 'node:crypto';

/** How names are made; the same words as in the configuration (`catalog`). */
export interface NamingRules {
  readonly separator: string;
  readonly conflict: 'prefix' | 'auto-prefix' | 'reject' | 'priority';
  /** Longest public name, characters. */
  readonly maxNameLength: number;
}

/** A server whose names are decided. */
export interface NamingServer {
  readonly name: string;
  /** `null` = its names stay bare. */
  readonly prefix: string | null;
  /** Higher wins under `conflict: priority`. */
  readonly priority: number;
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
  /** The name was longer than `maxNameLength`. */
  readonly shortened: boolean;
  /** Position of the entry that took the name, -1 = none. */
  readonly winner: number;
}

/** Characters that MCP allows in names (SEP-986). */
const PORTABLE = /^[A-Za-z0-9_./-]+$/;

/** Whether `name` holds only characters that every client accepts. */
export function isPortableName(name: string): boolean {
  return PORTABLE.test(name);
}

const BASE32 = 'abcdefghijklmnopqrstuvwxyz234567';
const HASH_LENGTH = 8;

/**
 * The first characters of `full` and 40 bits of its digest: the same on every start, and never longer than
 * `maxLength`, which is at least 16. Names that fit stay as they are.
 *
 * @param attempt other values give other digests, for the case that the short name is in use
 */
export function shortenName(full: string, maxLength: number, attempt = 0): string {
  if (full.length <= maxLength) return full;
  const digest = createHash('sha256')
    .update(full)
    .update(attempt === 0 ? '' : `#${attempt}`)
    .digest();
  let hash = '';
  for (const byte of digest.subarray(0, HASH_LENGTH)) hash += BASE32.charAt(byte & 31);
  let head = Math.max(0, maxLength - HASH_LENGTH - 1);
  // A surrogate pair is never split.
  const last = full.charCodeAt(head - 1);
  if (head > 0 && last >= 0xd800 && last <= 0xdbff) head -= 1;
  return `${full.slice(0, head)}_${hash}`;
}

/** An entry whose public name is to be decided. */
interface Candidate {
  readonly position: number;
  readonly name: string;
  readonly server: NamingServer;
}

/** A candidate with the name it gets if nothing is in the way. */
interface Proposal extends Candidate {
  readonly full: string;
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
  const candidates = firstOfEachServer(entries, servers, result);
  const collides = new Set<string>();
  const seen = new Set<string>();
  for (const { name } of candidates) {
    if (seen.has(name)) collides.add(name);
    else seen.add(name);
  }

  // Unchanged names go first, then prefixed ones, then shortened ones: a derived name never displaces a name that an
  // upstream chose.
  const unchanged: Proposal[] = [];
  const prefixed: Proposal[] = [];
  const tooLong: Proposal[] = [];
  for (const candidate of candidates) {
    const { name, server } = candidate;
    const getsPrefix = server.prefix !== null && usesPrefix(rules.conflict, collides.has(name));
    const full = getsPrefix ? `${server.prefix}${rules.separator}${name}` : name;
    const pass = full.length > rules.maxNameLength ? tooLong : getsPrefix ? prefixed : unchanged;
    pass.push({ ...candidate, full });
  }
  const passes = [unchanged, prefixed, tooLong];
  if (rules.conflict === 'priority') {
    for (const pass of passes) pass.sort((a, b) => b.server.priority - a.server.priority || a.position - b.position);
  }

  const assigned = new Map<string, number>();
  const losers: { candidate: Candidate; winner: number }[] = [];
  const fullNames = new Map<string, number>();
  for (const candidate of passes.flat()) {
    const { position, full } = candidate;
    const same = fullNames.get(full);
    if (same !== undefined) {
      losers.push({ candidate, winner: same });
      continue;
    }
    let publicName = shortenName(full, rules.maxNameLength);
    const shortened = publicName !== full;
    for (let attempt = 1; shortened && attempt < 16 && assigned.has(publicName); attempt += 1) {
      publicName = shortenName(full, rules.maxNameLength, attempt);
    }
    const winner = assigned.get(publicName);
    if (winner !== undefined) {
      losers.push({ candidate, winner });
      continue;
    }
    fullNames.set(full, position);
    assigned.set(publicName, position);
    result[position] = { fate: 'listed', publicName, shortened, winner: -1 };
  }
  for (const { candidate, winner } of losers) {
    const address = `${candidate.server.name}:${candidate.name}`;
    const isFree = !assigned.has(address);
    if (isFree) assigned.set(address, candidate.position);
    result[candidate.position] = {
      fate: isFree ? 'hidden' : 'dropped',
      publicName: isFree ? address : '',
      shortened: false,
      winner,
    };
  }
  return result;
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
      result[position] = { fate: 'dropped', publicName: '', shortened: false, winner: earlier };
    }
  });
  return first;
}
