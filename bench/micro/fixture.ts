import { buildTable } from '../../src/catalog/table.js';
import { compileSnapshot } from '../../src/config/compile/index.js';
import { loadConfigObject } from '../../src/config/load.js';
import type { GatewayConfig } from '../../src/config/schema/index.js';
import type { Snapshot } from '../../src/config/snapshot.js';
import { type CatalogTable, EntryFlag, EntryKind } from '../../src/shared/catalog-table.js';
import { gatewayConfig } from '../load/gateway-config.js';

/** The configuration of the load rows with all policy on: JWT, scopes, three rate limits, 21 routes. */
export function fullSnapshot(): Snapshot {
  const config = gatewayConfig('full', { url: 'http://127.0.0.1:9/mcp' }, 1) as GatewayConfig;
  return compileSnapshot(loadConfigObject(config));
}

/** A catalog of `count` tools of the first server. */
export function catalogOf(count: number): CatalogTable {
  const names = Array.from({ length: count }, (_, index) => `tool_${String(index).padStart(5, '0')}`);
  const columns = {
    kind: names.map(() => EntryKind.tool),
    server: names.map(() => 0),
    publicNames: names.map((name) => `bench__${name}`),
    upstreamNames: names,
    flags: names.map(() => EntryFlag.readOnly),
  };
  const rows = names.map((name, entry) => ({
    kind: EntryKind.tool,
    name: `bench__${name}`,
    entry,
    address: `bench:${name}`,
    aliases: [],
  }));
  return buildTable(1, columns, [rows], []);
}
