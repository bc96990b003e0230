/** What a view changes of a look-up. */
import type { Snapshot, ViewSnapshot } from '../../src/config/snapshot/index.js';
import type { CatalogTable, NameTables } from '../../src/shared/catalog-table.js';
import { buildByteTable } from '../../src/shared/patterns/byte-table.js';

const EMPTY_TABLE = buildByteTable([], false);
/** The names in a view that the catalog does not have yet. */
const NO_NAMES: NameTables = {
  byName: { tool: EMPTY_TABLE, prompt: EMPTY_TABLE, resource: EMPTY_TABLE, template: EMPTY_TABLE },
  byOriginal: { tool: EMPTY_TABLE, prompt: EMPTY_TABLE },
  byAddress: EMPTY_TABLE,
};

/** The names in a view. @param view position in `Snapshot.views` */
export function namesIn(catalog: CatalogTable, view: number): NameTables {
  return view === 0 ? catalog : (catalog.views[view - 1] ?? NO_NAMES);
}

/** The server of URIs that are not listed: the only one of a view, else -1. A view that names resources has no others. */
export function onlyServer(snapshot: Snapshot, view: ViewSnapshot | undefined): number {
  if (view !== undefined && view.resources.length > 0) return -1;
  const [only = -1, ...others] = snapshot.servers.flatMap(({ name }, server) =>
    name === '' || view?.servers?.includes(server) === false ? [] : [server],
  );
  return others.length === 0 ? only : -1;
}
