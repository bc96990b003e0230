/** The name table of a catalog, made once in the control pool in memory that the front and all workers share. */

import { isPlainText, judgedTemplate, judgedUri } from '../protocol/uri.js';
import { type CatalogTable, EntryKind } from '../shared/catalog-table.js';
import { packedView, packShared, sharedCopy } from '../shared/packed.js';
import { type ByteTableEntry, buildByteTable } from '../shared/patterns/byte-table.js';

/** Columns, one element an entry. */
export interface TableColumns {
  readonly kind: readonly number[];
  readonly server: readonly number[];
  readonly flags: readonly number[];
  readonly publicNames: readonly string[];
  readonly upstreamNames: readonly string[];
}

/**
 * @param serverNames by number; a tool can be called as `name:tool` too
 * @param undiscovered numbers of servers whose lists are not known yet
 */
export function buildTable(
  version: number,
  columns: TableColumns,
  serverNames: readonly string[],
  undiscovered: readonly number[],
): CatalogTable {
  const { kind, server } = columns;
  const publicNames = packShared(columns.publicNames);
  const tools: ByteTableEntry[] = [];
  const prompts: ByteTableEntry[] = [];
  const resources: ByteTableEntry[] = [];
  const templates: ByteTableEntry[] = [];
  const byKind = [tools, prompts, resources, templates];
  const addresses: ByteTableEntry[] = [];
  const unusual: ByteTableEntry[] = [];
  for (const [entry, publicName] of columns.publicNames.entries()) {
    const ofKind = kind[entry] ?? EntryKind.tool;
    const name = packedView(publicNames, entry);
    const judged = judgedName(ofKind, publicName);
    byKind[ofKind]?.push([judged === null ? name : Buffer.from(judged), entry]);
    if (judged !== null) unusual.push([name, entry]);
    const serverName = serverNames[server[entry] ?? -1];
    if (ofKind !== EntryKind.tool || serverName === undefined) continue;
    addresses.push([Buffer.from(`${serverName}:${columns.upstreamNames[entry] ?? ''}`), entry]);
  }
  return {
    version,
    kind: sharedCopy(Uint8Array.from(kind)),
    server: sharedCopy(Int32Array.from(server)),
    flags: sharedCopy(Uint8Array.from(columns.flags)),
    publicNames,
    upstreamNames: packShared(columns.upstreamNames),
    byName: {
      tool: buildByteTable(tools, true),
      prompt: buildByteTable(prompts, true),
      resource: buildByteTable(resources, true),
      template: buildByteTable(templates, true),
    },
    byAddress: buildByteTable(addresses, true),
    unusual: buildByteTable(unusual, true),
    undiscovered,
  };
}

/** What a name is compared by where that is another text, or may be: URIs and templates that are not in normal form; else null. */
function judgedName(kind: number, name: string): string | null {
  if (kind === EntryKind.template) return judgedTemplate(name);
  return kind !== EntryKind.resource || isPlainText(name) ? null : judgedUri(name);
}
