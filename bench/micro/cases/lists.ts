import { Method } from '../../../native/layout.js';
import { LATEST_LEGACY } from '../../../src/protocol/revisions.js';
import { HiddenEntries } from '../../../src/shared/hidden-entries.js';
import { catalogOf, snapshotOf } from '../fixture.js';
import { type Case, keep } from '../runner.js';

const TOOLS = 1000;

/** @param hidden of the tools, the first */
function list(name: string, what: string, hidden: number): Case {
  return {
    name,
    what: `write: the bytes of tools/list, 1,000 tools, ${what}`,
    async setup() {
      const catalog = await catalogOf(snapshotOf({}), TOOLS);
      const bits = new Uint8Array(TOOLS / 8).fill(0xff, 0, hidden / 8);
      const entries = hidden === 0 ? null : new HiddenEntries(1, catalog.version, 1, 1, bits);
      const query = { view: 0, set: '', hidden: entries };
      return {
        run(times) {
          for (let i = 0; i < times; i++) keep(catalog.page(Method.toolsList, LATEST_LEGACY, null, query)!.length);
        },
      };
    },
  };
}

export const listCases: readonly Case[] = [
  list('list page', 'nothing is hidden', 0),
  list('list page by scopes', '200 are hidden from the scope set', 200),
];
