import { Method } from '../../../native/layout.js';
import { compileSnapshot } from '../../../src/config/compile/index.js';
import { loadConfigObject } from '../../../src/config/load.js';
import type { GatewayConfig } from '../../../src/config/schema/index.js';
import { packedView } from '../../../src/shared/packed.js';
import { NEVER, principal } from '../../../workers/authenticate/principal.js';
import type { CallFacts } from '../../../workers/find/facts.js';
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

const REGION = Buffer.from('us-east-1');

/** A call of a client in a region that the first routes are not about. */
const CALL: CallFacts = {
  method: Method.toolsCall,
  bytes: REGION,
  view: 0,
  addressStart: 0,
  addressEnd: 0,
  argumentsStart: 0,
  argumentsEnd: 0,
  valueStart: 0,
  valueEnd: REGION.length,
  findAttribute: () => true,
  has: () => false,
};

/** Two routes by header, one by principal and one for the rest, of which the last one counts. */
const ROUTES = [
  { match: { tools: '**', headers: { 'X-Region': 'eu-*' } } },
  { match: { tools: '**', headers: { 'X-Region': ['ap-*', 'af-*'] } } },
  { match: { tools: '**', principals: ['ops/*', 'root'] } },
  {},
];
const VARIANTS = {
  by: { header: 'X-Region' },
  groups: [
    { name: 'A', weight: 90, servers: 'bench' },
    { name: 'B', weight: 10, servers: 'bench' },
  ],
};

function conditional(name: string, what: string, isOn: boolean, variants: object = {}): Case {
  return {
    name,
    what,
    setup() {
      const routes = isOn ? [...ROUTES.slice(0, -1), variants] : ROUTES.slice(-1);
      const mcpServers = { bench: { url: 'http://127.0.0.1:9/mcp' } };
      const snapshot = compileSnapshot(loadConfigObject({ mcpServers, routes } as GatewayConfig));
      const catalog = catalogOf(NAMES);
      const finder = new Finder(snapshot, catalog);
      const client = principal('', 'bearer', 'bench', { subject: 'ann', scopes: [], permissions: [] }, NEVER);
      const names = Array.from({ length: NAMES }, (_, index) => packedView(catalog.publicNames, index));
      return {
        run(times) {
          for (let i = 0; i < times; i++) {
            const tool = names[i % NAMES]!;
            finder.begin(CALL, client);
            finder.find(Action.tool, false, tool, 0, tool.length);
            keep(finder.route + finder.variant);
          }
        },
      };
    },
  };
}

export const findCases: readonly Case[] = [
  routing(1000, 100),
  routing(10),
  routing(10_000),
  conditional('routing by name only', 'find: one route for everything, no conditions', false),
  conditional('routing by header and principal', 'find: two routes by header and one by principal before it', true),
  conditional('routing with variants', 'find: the same, with two variants by a header', true, { variants: VARIANTS }),
];
