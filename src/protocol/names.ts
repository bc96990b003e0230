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

/** Whose names are decided. */
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

/** What became of one {@link NamingEntry}. */
export interface Naming {
  /**
   * `listed` under `publicName`; `hidden`: another server's entry has the name, this one answers only to its explicit
   * address `server:name`; `dropped`: not reachable (the same name twice in one upstream, or the address is taken).
   */
  readonly fate: 'listed' | 'hidden' | 'dropped';
  readonly publicName: string;
  /** The name was longer than `maxNameLength`. */
  readonly shortened: boolean;
  /** Position of the entry that took the name, -1 = none. */
  readonly winner: number;
}

/** Characters that MCP asks for in names (SEP-986). */
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
 * @param attempt other values give other digests, for the case that the short name is taken
 */
export function shortenName(full: string, maxLength: number, attempt = 0): string {
  if (full.length <= maxLength) return full;
  const digest = createHash('sha256')
    .update(full)
    .update(attempt === 0 ? '' : `#${attempt}`)
    .digest();
  let hash = '';
  for (let index = 0; index < HASH_LENGTH; index += 1) hash += BASE32[digest[index] & 31];
  let head = Math.max(0, maxLength - HASH_LENGTH - 1);
  // A surrogate pair is never torn apart.
  const last = full.charCodeAt(head - 1);
  if (head > 0 && last >= 0xd800 && last <= 0xdbff) head -= 1;
  return `${full.slice(0, head)}_${hash}`;
}

/** Decides the public name of each entry; the result has the order of `entries`. */
export function assignNames(
  entries: readonly NamingEntry[],
  servers: readonly NamingServer[],
  rules: NamingRules,
): Naming[] {
  const result = new Array<Naming>(entries.length);
  const bare = firstOfEachServer(entries, result);
  const collides = new Set<string>();
  const seen = new Set<string>();
  for (const { name } of bare.values()) {
    if (seen.has(name)) collides.add(name);
    else seen.add(name);
  }

  // Names that nobody changed go first, then prefixed ones, then shortened ones: a made-up name never displaces a
  // name that an upstream chose.
  const passes: { position: number; full: string }[][] = [[], [], []];
  for (const [position, { server, name }] of bare) {
    const { prefix } = servers[server];
    const prefixed = prefix !== null && usesPrefix(rules.conflict, collides.has(name));
    const full = prefixed ? `${prefix}${rules.separator}${name}` : name;
    const pass = full.length > rules.maxNameLength ? 2 : prefixed ? 1 : 0;
    passes[pass].push({ position, full });
  }
  if (rules.conflict === 'priority') {
    const rank = (position: number): number => servers[entries[position].server].priority;
    for (const pass of passes) pass.sort((a, b) => rank(b.position) - rank(a.position) || a.position - b.position);
  }

  const taken = new Map<string, number>();
  const losers: { position: number; winner: number }[] = [];
  const fullNames = new Map<string, number>();
  for (const pass of passes) {
    for (const { position, full } of pass) {
      const same = fullNames.get(full);
      if (same !== undefined) {
        losers.push({ position, winner: same });
        continue;
      }
      let publicName = shortenName(full, rules.maxNameLength);
      const shortened = publicName !== full;
      for (let attempt = 1; shortened && attempt < 16 && taken.has(publicName); attempt += 1) {
        publicName = shortenName(full, rules.maxNameLength, attempt);
      }
      const winner = taken.get(publicName);
      if (winner !== undefined) {
        losers.push({ position, winner });
        continue;
      }
      fullNames.set(full, position);
      taken.set(publicName, position);
      result[position] = { fate: 'listed', publicName, shortened, winner: -1 };
    }
  }
  for (const { position, winner } of losers) {
    const { server, name } = entries[position];
    const address = `${servers[server].name}:${name}`;
    const free = !taken.has(address);
    if (free) taken.set(address, position);
    result[position] = {
      fate: free ? 'hidden' : 'dropped',
      publicName: free ? address : '',
      shortened: false,
      winner,
    };
  }
  return result;
}

function usesPrefix(conflict: NamingRules['conflict'], collides: boolean): boolean {
  return conflict === 'prefix' || (conflict === 'auto-prefix' && collides);
}

/** Entries without the repetitions inside one upstream, by position; the repetitions are settled in `result`. */
function firstOfEachServer(entries: readonly NamingEntry[], result: Naming[]): Map<number, NamingEntry> {
  const first = new Map<number, NamingEntry>();
  const byServer = new Map<number, Map<string, number>>();
  entries.forEach((entry, position) => {
    const names = byServer.get(entry.server) ?? new Map<string, number>();
    byServer.set(entry.server, names);
    const earlier = names.get(entry.name);
    if (earlier === undefined) {
      names.set(entry.name, position);
      first.set(position, entry);
    } else {
      result[position] = { fate: 'dropped', publicName: '', shortened: false, winner: earlier };
    }
  });
  return first;
}
