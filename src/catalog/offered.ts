/** What servers offer, as far as it is known, for questions whether a pattern of the configuration matches any of it. */
import { unchangedNames } from '../../workers/find/spellings.js';
import type { CatalogRules, RouteSnapshot, Snapshot } from '../config/snapshot/index.js';
import type { PatternText } from '../config/snapshot/match.js';
import { acceptedForm, type Rename } from '../protocol/names/forms.js';
import { judgedTemplate, judgedUri } from '../protocol/uri.js';
import { type CatalogTable, EntryFlag, EntryKind } from '../shared/catalog-table.js';
import { packedCount, packedText } from '../shared/packed.js';
import { resourcePatterns, templatePatterns } from '../shared/patterns/resources.js';
import { PatternSet } from '../shared/patterns/set.js';
import { compilePattern, type TextPattern } from '../shared/patterns/text.js';

/** What routes are compared with. */
export interface RoutedServers {
  readonly routes: readonly RouteSnapshot[];
  readonly rules: CatalogRules;
  readonly servers: readonly {
    readonly name: string;
    readonly prefix: string | null;
    readonly rename: Rename | null;
    readonly passesMethods: boolean;
  }[];
}

/** What a pattern is about. */
export type Kind = 'tools' | 'prompts' | 'resources' | 'methods';

export const KINDS: readonly Kind[] = ['tools', 'prompts', 'resources', 'methods'];

/** What the patterns of a configuration are compared with. */
export function routedServers({ catalog, routes, servers }: Snapshot): RoutedServers {
  return {
    routes,
    rules: catalog,
    servers: servers.map((server) => ({ ...server, passesMethods: server.methods.length > 0 })),
  };
}

/** See the file comment. */
export class Offered {
  readonly #routed: RoutedServers;
  readonly #table: CatalogTable | null;
  /** Servers whose names are not known. */
  readonly #unlisted: readonly number[];

  /** @param table what is listed; null = nothing is known, and everything counts that a server can offer */
  constructor(routed: RoutedServers, table: CatalogTable | null) {
    this.#routed = routed;
    this.#table = table;
    const known = routed.servers.flatMap(({ name }, server) => (name === '' ? [] : [server]));
    this.#unlisted = table === null ? known : table.undiscovered.filter((server) => known.includes(server));
  }

  /** What a pattern that matches nothing does not match, for a sentence. */
  get meaning(): string {
    return this.#table === null ? 'that a server can offer' : 'that is offered';
  }

  /** Whether a pattern of a route to `servers` matches something, or may match what is not known. */
  has(kind: Kind, text: PatternText, servers: readonly number[]): boolean {
    if (kind === 'methods') return this.#routed.servers.some(({ passesMethods }) => passesMethods);
    if (kind === 'resources') return this.#hasResource(text, servers);
    const pattern = compilePattern(text);
    if (this.#unlisted.some((server) => this.#mayBeNamed(server, pattern, servers.includes(server)))) return true;
    const wanted = kind === 'tools' ? EntryKind.tool : EntryKind.prompt;
    return (
      this.#findEntry(wanted, (entry) => this.#namesOf(entry, servers).some((name) => matches(pattern, name))) >= 0
    );
  }

  /**
   * Of many patterns over names of tools or prompts, the positions of those that match something, or may match what is not
   * known. In one pass over what is offered: there may be thousands of both.
   */
  named(
    kind: 'tools' | 'prompts',
    patterns: readonly { readonly text: PatternText; readonly hasOwnNames: boolean }[],
  ): Set<number> {
    const entries = patterns.map(({ text }, position) => [compilePattern(text), position] as const);
    const isUnknown = ([pattern, position]: (typeof entries)[number]): boolean =>
      this.#unlisted.some((server) => this.#mayBeNamed(server, pattern, patterns[position]!.hasOwnNames));
    const found = new Set(entries.filter(isUnknown).map(([, position]) => position));
    const all = new PatternSet(entries);
    const own = new PatternSet(entries.filter(([, position]) => patterns[position]!.hasOwnNames));
    for (const entry of this.#entriesOf(kind === 'tools' ? EntryKind.tool : EntryKind.prompt)) {
      for (const name of this.#namesOf(entry, [])) for (const position of allOf(all, name)) found.add(position);
      for (const position of allOf(own, packedText(this.#table!.upstreamNames, entry))) found.add(position);
    }
    return found;
  }

  /**
   * What to write instead of a pattern that matches the own name of an entry.
   *
   * @param takesServers the rule may name servers, and is then compared with own names
   */
  advice(kind: Kind, text: PatternText, takesServers: boolean): string {
    const table = this.#table;
    if (typeof text !== 'string' || table === null || (kind !== 'tools' && kind !== 'prompts')) return '';
    const pattern = compilePattern(text);
    const wanted = kind === 'tools' ? EntryKind.tool : EntryKind.prompt;
    const entry = this.#findEntry(wanted, (each) => matches(pattern, packedText(table.upstreamNames, each)));
    if (entry < 0) return '';
    const server = this.#routed.servers[table.server[entry]!]?.name ?? '';
    const offered = packedText(table.publicNames, entry);
    const other = takesServers ? `, or add servers: [${server}]` : '';
    return ` (the own name of what is offered as ${offered}: write "${server}:${text}"${other})`;
  }

  #findEntry(kind: number, test: (entry: number) => boolean): number {
    for (const entry of this.#entriesOf(kind)) if (test(entry)) return entry;
    return -1;
  }

  *#entriesOf(kind: number): Generator<number> {
    const table = this.#table;
    if (table === null) return;
    for (let entry = 0; entry < packedCount(table.publicNames); entry += 1) {
      if (table.kind[entry] === kind) yield entry;
    }
  }

  /** The names of an entry that a pattern of a route to `servers` is compared with (workers/find). */
  #namesOf(entry: number, servers: readonly number[]): string[] {
    const table = this.#table!;
    const server = table.server[entry]!;
    const owner = this.#routed.servers[server];
    const own = packedText(table.upstreamNames, entry);
    const names = [packedText(table.publicNames, entry)];
    if (owner === undefined) return names;
    names.push(`${owner.name}:${own}`);
    if (servers.includes(server)) names.push(own);
    if ((table.flags[entry]! & EntryFlag.renamed) !== 0) names.push(...unchangedNames(this.#routed.rules, owner, own));
    return names;
  }

  #mayBeNamed(server: number, pattern: TextPattern, isRouted: boolean): boolean {
    const owner = this.#routed.servers[server];
    const { rules } = this.#routed;
    if (owner === undefined) return false;
    if (isRouted || owner.prefix === null || rules.conflict !== 'prefix') return true;
    const prefix = `${owner.prefix}${rules.separator}`;
    return [prefix, acceptedForm(prefix, rules), `${owner.name}:`].some((start) => mayStartWith(pattern, start));
  }

  /** The servers of the routes to which reads of URIs that a pattern matches may go, whether they are listed or not. */
  serversOfReads(text: PatternText): number[] {
    const patterns = resourcePatterns(text);
    const mayMatch = (other: PatternText): boolean =>
      resourcePatterns(other).some(({ prefix }) =>
        patterns.some((pattern) => mayStartWith(pattern, Buffer.from(prefix).toString())),
      );
    return this.#routed.routes
      .filter(({ resources }) => resources.some(mayMatch))
      .flatMap(({ servers, variants }) => [...servers, ...(variants?.groups.flatMap((group) => group.servers) ?? [])]);
  }

  /** Reads go to the servers of a route, or to the only server, whether the URI is listed or not. */
  #hasResource(text: PatternText, servers: readonly number[]): boolean {
    const table = this.#table;
    const all = this.#routed.servers.filter(({ name }) => name !== '');
    if (all.length === 0) return false;
    if (table === null || this.#unlisted.length > 0) return true;
    const isAnyRead = servers.length > 0 || all.length === 1;
    if (isAnyRead && (typeof text !== 'string' || /^[*?{]|:/.test(text))) return true;
    const patterns = resourcePatterns(text);
    for (let entry = 0; entry < packedCount(table.publicNames); entry += 1) {
      const uri = packedText(table.publicNames, entry);
      if (table.kind[entry] === EntryKind.resource) {
        const judged = judgedUri(uri);
        if (patterns.some((pattern) => matches(pattern, judged))) return true;
      } else if (table.kind[entry] === EntryKind.template) {
        // Whether two patterns have a URI in common is told by what both start with.
        const starts = templatePatterns(judgedTemplate(uri)).map(({ prefix }) => Buffer.from(prefix).toString());
        if (starts.some((start) => patterns.some((pattern) => mayStartWith(pattern, start)))) return true;
      }
    }
    return false;
  }
}

function allOf(set: PatternSet, text: string): number[] {
  const bytes = Buffer.from(text);
  return set.all(bytes, 0, bytes.length);
}

function matches(pattern: TextPattern, text: string): boolean {
  const bytes = Buffer.from(text);
  return pattern.matches(bytes, 0, bytes.length);
}

/** Whether something that begins with `start` can match. */
function mayStartWith(pattern: TextPattern, start: string): boolean {
  const prefix = Buffer.from(pattern.prefix).toString();
  return pattern.exact ? prefix.startsWith(start) : prefix.startsWith(start) || start.startsWith(prefix);
}
