/** Servers whose lists are not known yet, and the names that they may have. */

import type { PinningRules, Snapshot, ViewSnapshot } from '../../src/config/snapshot/index.js';
import { acceptedForm } from '../../src/protocol/names/forms.js';
import type { CatalogTable } from '../../src/shared/catalog-table.js';
import { compileGlob } from '../../src/shared/patterns/glob.js';
import { PatternSet } from '../../src/shared/patterns/set.js';

/** One form of the names of such a server. */
export interface UnlistedServer {
  readonly server: number;
  /** What its names start with; empty = anything. */
  readonly prefix: Uint8Array;
  readonly include: PatternSet | null;
  readonly exclude: PatternSet;
  /** What is called shows only with the server's lists: the configuration gives its entries other names, or pins them. */
  readonly needsLists: boolean;
}

/** See the file comment. */
export class UnlistedServers {
  readonly #candidates: readonly UnlistedServer[];

  /** @param view whose servers count; undefined = all */
  constructor(snapshot: Snapshot, catalog: CatalogTable, view?: ViewSnapshot) {
    this.#candidates = candidates(snapshot, catalog, view);
  }

  /** The server that may have the name `bytes[start, end)`, or null; the longest prefix counts. */
  find(bytes: Uint8Array, start: number, end: number, isTool: boolean): UnlistedServer | null {
    for (const candidate of this.#candidates) {
      const { prefix } = candidate;
      const rest = start + prefix.length;
      if (rest >= end || !startsWith(bytes, start, end, prefix)) continue;
      if (isTool) {
        if (candidate.include !== null && candidate.include.first(bytes, rest, end) < 0) continue;
        if (candidate.exclude.first(bytes, rest, end) >= 0) continue;
      }
      return candidate;
    }
    return null;
  }
}

function candidates(snapshot: Snapshot, catalog: CatalogTable, view: ViewSnapshot | undefined): UnlistedServer[] {
  const rows: UnlistedServer[] = [];
  const globs = (texts: readonly string[]) => new PatternSet(texts.map((text) => [compileGlob(text), 0] as const));
  for (const index of catalog.undiscovered) {
    const server = snapshot.servers[index];
    // The catalog may be older than a reload that removed the server.
    if (server === undefined || server.name === '' || view?.servers?.includes(index) === false) continue;
    const prefixOf = view?.hasPrefixes === false ? null : server.prefix;
    // What a view offers by name, and whether a tool is as the lockfile says, is known only with the lists.
    const isRestricted = view !== undefined && view.tools.length + view.prompts.length > 0;
    const waits = isRestricted || withholds(snapshot.catalog.pinning);
    const include = server.include.length === 0 ? null : globs(server.include);
    const exclude = globs(server.exclude);
    const add = (prefix: string, needsLists: boolean) =>
      rows.push({ server: index, prefix: Buffer.from(prefix), include, exclude, needsLists });
    const needsLists = server.rename !== null || waits;
    add(`${server.name}:`, waits);
    if (prefixOf !== null) {
      const prefix = `${prefixOf}${snapshot.catalog.separator}`;
      for (const form of new Set([prefix, acceptedForm(prefix, snapshot.catalog)])) add(form, needsLists);
    }
    // Without a prefix, or where only colliding names get one, the server may have any name.
    if (prefixOf === null || snapshot.catalog.conflict !== 'prefix') add('', needsLists);
  }
  return rows.sort((a, b) => b.prefix.length - a.prefix.length);
}

/** Whether pinning keeps any tool from clients. */
function withholds(rules: PinningRules | null): boolean {
  return rules !== null && (rules.onChange !== 'flag' || rules.onNew !== 'flag');
}

function startsWith(bytes: Uint8Array, start: number, end: number, prefix: Uint8Array): boolean {
  if (end - start < prefix.length) return false;
  for (let i = 0; i < prefix.length; i += 1) if (bytes[start + i] !== prefix[i]) return false;
  return true;
}

/** Whether all characters of `bytes[start, end)` are visible ASCII. */
export function isVisibleAscii(bytes: Uint8Array, start: number, end: number): boolean {
  for (let at = start; at < end; at += 1) {
    const byte = bytes[at]!;
    if (byte <= 0x20 || byte >= 0x7f) return false;
  }
  return true;
}
