import { packedView } from '../../../src/shared/packed.js';
import { Finder } from '../../../workers/find/index.js';
import { Action } from '../../../workers/find/methods.js';
import { catalogOf, fullSnapshot } from '../fixture.js';
import { type Case, keep } from '../runner.js';

/** Names in turn: more than a branch predictor remembers, fewer than the catalog has. */
const NAMES = 64;

function routing(tools: number, goalNs?: number): Case {
  return {
    name: `routing ${tools}`,
    what: `find: tool name to route and server, ${tools.toLocaleString('en-US')} tools, 21 routes`,
    ...(goalNs === undefined ? {} : { goalNs }),
    setup() {
      const catalog = catalogOf(tools);
      const finder = new Finder(fullSnapshot(), catalog);
      const step = Math.max(1, Math.floor(tools / NAMES));
      const names = Array.from({ length: NAMES }, (_, index) =>
        packedView(catalog.publicNames, (index * step) % tools),
      );
      return {
        run(times) {
          for (let i = 0; i < times; i++) {
            const name = names[i % NAMES]!;
            finder.find(Action.tool, false, name, 0, name.length);
            keep(finder.route + finder.entry);
          }
        },
      };
    },
  };
}

export const findCases: readonly Case[] = [routing(1000, 100), routing(10), routing(10_000)];
