/** Builds the name table of a catalog in the control pool, in memory that the front and all workers share. */

import { isPlainText, judgedTemplate, judgedUri } from '../protocol/uri.js';
import { type CatalogTable, EntryKind, type NameTables } from '../shared/catalog-table.js';
import { packShared, sharedCopy } from '../shared/packed.js';
import { type ByteTableEntry, buildByteTable } from '../shared/patterns/byte-table.js';

/** A name of an entry in one view. */
export interface NameRow {
  readonly kind: number;
  readonly name: string;
  readonly entry: number;
  /** `server:tool` of a tool that can be called by it too; '' = none. */
  readonly address: string;
  /** Further names that it can be called by; one that several entries have is none. */
  readonly aliases: readonly string[];
}

/** Columns with one element per entry. */
export interface TableColumns {
  readonly kind: readonly number[];
  readonly server: readonly number[];
  readonly flags: readonly number[];
  readonly publicNames: readonly string[];
  readonly upstreamNames: readonly string[];
}

/**
 * See the file comment.
 *
 * @param views the names in each view
 * @param undiscovered numbers of servers that were not discovered yet
 */
export function buildTable(
  version: number,
  columns: TableColumns,
  [first = [], ...views]: readonly (readonly NameRow[])[],
  undiscovered: readonly number[],
): CatalogTable {
  return {
    version,
    kind: sharedCopy(Uint8Array.from(columns.kind)),
    server: sharedCopy(Int32Array.from(columns.server)),
    flags: sharedCopy(Uint8Array.from(columns.flags)),
    publicNames: packShared(columns.publicNames),
    upstreamNames: packShared(columns.upstreamNames),
    ...nameTables(first),
    views: views.map(nameTables),
    unusual: buildByteTable(
      first.flatMap(({ kind, name, entry }): ByteTableEntry[] =>
        judgedName(kind, name) === null ? [] : [[Buffer.from(name), entry]],
      ),
      true,
    ),
    undiscovered,
  };
}

function nameTables(rows: readonly NameRow[]): NameTables {
  const byKind: ByteTableEntry[][] = [[], [], [], []];
  /** Of several spellings of one URI, that in normal form is found. */
  const folded: [kind: number, entry: ByteTableEntry][] = [];
  for (const { kind, name, entry } of rows) {
    const judged = judgedName(kind, name);
    if (judged === null) byKind[kind]?.push([Buffer.from(name), entry]);
    else folded.push([kind, [Buffer.from(judged), entry]]);
  }
  for (const [kind, row] of folded) byKind[kind]?.push(row);
  const [tool, prompt, resource, template] = byKind.map((names) => buildByteTable(names, true));
  const addresses = rows.flatMap(({ address, entry }): ByteTableEntry[] =>
    address === '' ? [] : [[Buffer.from(address), entry]],
  );
  return {
    byName: { tool: tool!, prompt: prompt!, resource: resource!, template: template! },
    byOriginal: {
      tool: buildByteTable(ownAliases(rows, EntryKind.tool), true),
      prompt: buildByteTable(ownAliases(rows, EntryKind.prompt), true),
    },
    byAddress: buildByteTable(addresses, true),
  };
}

/** The further names of entries of a kind that lead to one entry only. */
function ownAliases(rows: readonly NameRow[], of: number): ByteTableEntry[] {
  const owners = new Map<string, number>();
  for (const { kind, aliases, entry } of rows) {
    if (kind !== of) continue;
    for (const name of aliases) owners.set(name, owners.has(name) ? -1 : entry);
  }
  return [...owners].flatMap(([name, entry]) => (entry < 0 ? [] : [[Buffer.from(name), entry] as const]));
}

/** The form in which policy compares a URI or template that is not in normal form; null = the name itself. */
function judgedName(kind: number, name: string): string | null {
  if (kind === EntryKind.template) return judgedTemplate(name);
  return kind !== EntryKind.resource || isPlainText(name) ? null : judgedUri(name);
}
