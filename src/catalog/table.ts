/** The name table of a catalog, made once in the control pool in memory that the front and all workers share. */

import { isPlainText, judgedTemplate, judgedUri } from '../protocol/uri.js';
import { type CatalogTable, EntryKind } from '../shared/catalog-table.js';
import { packedView, packShared, sharedCopy } from '../shared/packed.js';
import { buildByteTable } from '../shared/patterns/byte-table.js';

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
  const names: [Uint8Array, number][][] = [[], [], [], []];
  const addresses: [Uint8Array, number][] = [];
  const unusual: [Uint8Array, number][] = [];
  for (let entry = 0; entry < kind.length; entry += 1) {
    const name = packedView(publicNames, entry);
    const judged = judgedName(kind[entry]!, columns.publicNames[entry]!);
    names[kind[entry]!]!.push([judged === null ? name : Buffer.from(judged), entry]);
    if (judged !== null) unusual.push([name, entry]);
    const serverName = serverNames[server[entry]!];
    if (kind[entry] !== EntryKind.tool || serverName === undefined) continue;
    addresses.push([Buffer.from(`${serverName}:${columns.upstreamNames[entry]!}`), entry]);
  }
  return {
    version,
    kind: sharedCopy(Uint8Array.from(kind)),
    server: sharedCopy(Int32Array.from(server)),
    flags: sharedCopy(Uint8Array.from(columns.flags)),
    publicNames,
    upstreamNames: packShared(columns.upstreamNames),
    byName: names.map((entries) => buildByteTable(entries, true)),
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
