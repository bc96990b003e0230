/** What the lists of the last run say about a configuration: the manifest is read, and no server is started. */
import { Catalog } from '../../catalog/index.js';
import { Manifest, ManifestError } from '../../catalog/manifest.js';
import { routedServers } from '../../catalog/offered.js';
import { type PatternFault, patternFaults, rulePatterns } from '../../catalog/pattern-faults.js';
import { configFaults, type RouteFault } from '../../catalog/route-faults.js';
import type { ServerSnapshot, Snapshot } from '../../config/snapshot/index.js';
import { compileGlob } from '../../shared/patterns/glob.js';
import type { Discovery } from '../../upstream/core/types.js';
import { itemNames } from '../../upstream/discovery/index.js';

/** A name or pattern of a server's entry that matches nothing that the server lists. */
export interface UnmatchedPattern {
  readonly server: string;
  readonly key: 'include' | 'exclude' | 'rename';
  readonly pattern: string;
}

/** See the file comment. */
export interface KnownLists {
  /** One sentence for operators about where the lists are from, or why there are none. */
  readonly note: string;
  /** Names of the servers whose lists are known. */
  readonly listed: readonly string[];
  /** As far as the lists tell, else the configuration alone. */
  readonly routeFaults: readonly RouteFault[];
  readonly patternFaults: readonly PatternFault[];
  readonly unmatched: readonly UnmatchedPattern[];
  /** Names of the client capabilities that each server is known to make use of. */
  readonly used: ReadonlyMap<string, readonly string[]>;
}

/** Reads what the last run left. A manifest that cannot be used is no error: the note says why. */
export async function knownLists(snapshot: Snapshot): Promise<KnownLists> {
  const { manifest, reason } = await readManifest(snapshot);
  const lists = snapshot.servers.flatMap((server, number) => manifest?.listsOf(server, number) ?? []);
  const servers = lists.flatMap(({ server }) => snapshot.servers[server] ?? []);
  const used = new Map(servers.map((server) => [server.name, manifest?.usedBy(server) ?? []]));
  if (lists.length === 0) {
    const why = reason === '' ? 'no server of this configuration was listed in an earlier run' : reason;
    const note = `not known (${why}): routes are compared with the configuration alone`;
    const faults = patternFaults(rulePatterns(snapshot), routedServers(snapshot), null);
    return { note, listed: [], routeFaults: configFaults(snapshot), patternFaults: faults, unmatched: [], used };
  }
  const catalog = new Catalog(snapshot);
  await catalog.start();
  for (const each of lists) await catalog.update(each);
  return {
    note: `of ${lists.length} of ${snapshot.servers.length} servers, from the last run`,
    listed: servers.map(({ name }) => name),
    routeFaults: catalog.current.routeFaults,
    patternFaults: catalog.current.patternFaults,
    unmatched: lists.flatMap((each, position) => unmatchedBy(servers[position], each)),
    used,
  };
}

async function readManifest({ catalog: { manifestFile }, limits }: Snapshot) {
  if (typeof manifestFile !== 'string') return { manifest: null, reason: 'catalog.manifestFile is false' };
  try {
    const manifest = await Manifest.read(manifestFile, limits.maxManifestBytes);
    return { manifest, reason: manifest === null ? 'there was no earlier run' : '' };
  } catch (error) {
    if (!(error instanceof ManifestError)) throw error;
    return { manifest: null, reason: `${manifestFile} is not used: ${error.message}` };
  }
}

function unmatchedBy(server: ServerSnapshot | undefined, { prompts, tools }: Discovery): UnmatchedPattern[] {
  if (server === undefined) return [];
  const { name, include, exclude, rename } = server;
  const offered = itemNames(tools).map((each) => Buffer.from(each));
  const isMatched = (pattern: string): boolean => {
    const glob = compileGlob(pattern);
    return offered.some((each) => glob.matches(each, 0, each.length));
  };
  const renamed = typeof rename === 'string' ? [] : Object.keys(rename ?? {});
  const names = new Set([...itemNames(tools), ...itemNames(prompts)]);
  return [
    ...include
      .filter((pattern) => !isMatched(pattern))
      .map((pattern) => ({ server: name, key: 'include', pattern }) as const),
    ...exclude
      .filter((pattern) => !isMatched(pattern))
      .map((pattern) => ({ server: name, key: 'exclude', pattern }) as const),
    ...renamed.filter((own) => !names.has(own)).map((pattern) => ({ server: name, key: 'rename', pattern }) as const),
  ];
}
