/** Builds the name table of a catalog in the control pool, in memory that the front and all workers share. */

import { isPlainText, judgedTemplate, judgedUri } from '../protocol/uri.js';
import { type CatalogTable, EntryKind } from '../shared/catalog-table.js';
import { packedView, packShared, sharedCopy } from '../shared/packed.js';
import { type ByteTableEntry, buildByteTable } from '../shared/patterns/byte-table.js';

/** Columns with one element per entry. */
export interface TableColumns {
  readonly kind: readonly number[];
  readonly server: readonly number[];
  readonly flags: readonly number[];
  readonly publicNames: readonly string[];
  readonly upstreamNames: readonly string[];
  /** Further names that entries can be called by; one that several entries have is none. */
  readonly aliases: readonly { readonly name: string; readonly entry: number }[];
}

/**
 * See the file comment.
 *
 * @param serverNames by number; a tool can be called as `name:tool` too
 * @param undiscovered numbers of servers that were not discovered yet
 */
export function buildTable(
  version: number,
  columns: TableColumns,
  serverNames: readonly string[],
  undiscovered: readonly number[],
): CatalogTable {
  const publicNames = packShared(columns.publicNames);
  const tools: ByteTableEntry[] = [];
  const prompts: ByteTableEntry[] = [];
  const resources: ByteTableEntry[] = [];
  const templates: ByteTableEntry[] = [];
  const byKind = [tools, prompts, resources, templates];
  const addresses: ByteTableEntry[] = [];
  const unusual: ByteTableEntry[] = [];
  /** Of several spellings of one URI, that in normal form is found. */
  const folded: [kind: number, entry: ByteTableEntry][] = [];
  for (const [entry, publicName] of columns.publicNames.entries()) {
    const ofKind = columns.kind[entry] ?? EntryKind.tool;
    const name = packedView(publicNames, entry);
    const judged = judgedName(ofKind, publicName);
    if (judged === null) byKind[ofKind]?.push([name, entry]);
    else {
      folded.push([ofKind, [Buffer.from(judged), entry]]);
      unusual.push([name, entry]);
    }
    const serverName = serverNames[columns.server[entry] ?? -1];
    if (ofKind !== EntryKind.tool || serverName === undefined) continue;
    addresses.push([Buffer.from(`${serverName}:${columns.upstreamNames[entry] ?? ''}`), entry]);
  }
  for (const [kind, row] of folded) byKind[kind]?.push(row);
  return {
    version,
    kind: sharedCopy(Uint8Array.from(columns.kind)),
    server: sharedCopy(Int32Array.from(columns.server)),
    flags: sharedCopy(Uint8Array.from(columns.flags)),
    publicNames,
    upstreamNames: packShared(columns.upstreamNames),
    byName: {
      tool: buildByteTable(tools, true),
      prompt: buildByteTable(prompts, true),
      resource: buildByteTable(resources, true),
      template: buildByteTable(templates, true),
    },
    byOriginal: {
      tool: buildByteTable(ownAliases(columns, EntryKind.tool), true),
      prompt: buildByteTable(ownAliases(columns, EntryKind.prompt), true),
    },
    byAddress: buildByteTable(addresses, true),
    unusual: buildByteTable(unusual, true),
    undiscovered,
  };
}

/** The further names of entries of a kind that lead to one entry only. */
function ownAliases({ aliases, kind }: TableColumns, of: number): ByteTableEntry[] {
  const owners = new Map<string, number>();
  for (const { name, entry } of aliases) {
    if (kind[entry] === of) owners.set(name, owners.has(name) ? -1 : entry);
  }
  return [...owners].flatMap(([name, entry]) => (entry < 0 ? [] : [[Buffer.from(name), entry] as const]));
}

/** The form in which policy compares a URI or template that is not in normal form; null = the name itself. */
function judgedName(kind: number, name: string): string | null {
  if (kind === EntryKind.template) return judgedTemplate(name);
  return kind !== EntryKind.resource || isPlainText(name) ? null : judgedUri(name);
}
