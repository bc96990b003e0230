import { Method } from '../../../native/layout.js';
import { packedView } from '../../../src/shared/packed.js';
import { NEVER, principal } from '../../../workers/authenticate/principal.js';
import type { CallFacts } from '../../../workers/find/facts.js';
import { Finder } from '../../../workers/find/index.js';
import { Action } from '../../../workers/find/methods.js';
import { catalogOf, FULL, snapshotOf } from '../fixture.js';
import { type Case, keep } from '../runner.js';

/** Names in turn: more than a branch predictor remembers, fewer than the catalog has. */
const NAMES = 64;

function routing(tools: number, goalNs?: number): Case {
  return {
    name: `routing ${tools}`,
    what: `find: tool name to route and server, ${tools.toLocaleString('en-US')} tools, 21 routes`,
    ...(goalNs === undefined ? {} : { goalNs }),
    async setup() {
      const snapshot = snapshotOf(FULL);
      const { table } = await catalogOf(snapshot, tools);
      const finder = new Finder(snapshot, table);
      const step = Math.max(1, Math.floor(tools / NAMES));
      const names = Array.from({ length: NAMES }, (_, index) => packedView(table.publicNames, (index * step) % tools));
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

const REGION = 'us-east-1';
const ARGUMENTS = '{"filter":{"kind":"invoice"},"path":"/srv/data/a.txt"}';
const BYTES = Buffer.from(REGION + ARGUMENTS);

/** What the conditions below are about. Its only header has the region. */
const CALL: CallFacts = {
  method: Method.toolsCall,
  bytes: BYTES,
  view: 0,
  addressStart: 0,
  addressEnd: 0,
  argumentsStart: REGION.length,
  argumentsEnd: BYTES.length,
  valueStart: 0,
  valueEnd: REGION.length,
  findAttribute: () => true,
  has: () => true,
};
const CLIENT = principal('', 'bearer', 'bench', { subject: 'ann', scopes: ['use'], permissions: [] }, NEVER);

/** Two routes that differ in what they ask for: the call meets only the second one. */
function alternatives(wrong: object, right: object): readonly object[] {
  return [{ match: { tools: '**', ...wrong } }, { match: { tools: '**', ...right } }];
}

function variants(by: string | object): readonly object[] {
  const groups = [
    { name: 'A', weight: 90, servers: 'bench' },
    { name: 'B', weight: 10, servers: 'bench' },
  ];
  return [{ variants: { by, groups } }];
}

const CONDITIONS: readonly [name: string, what: string, routes: readonly object[]][] = [
  ['name only', 'one route for everything', [{}]],
  ['method', 'two routes by method', alternatives({ methods: 'prompts/*' }, { methods: 'tools/call' })],
  ['header', 'by header', alternatives({ headers: { 'X-Region': 'eu-*' } }, { headers: { 'X-Region': 'us-*' } })],
  [
    'regular expression',
    'by header, regular expressions',
    alternatives(
      { headers: { 'X-Region': { regex: '(eu|ap)-.*' } } },
      { headers: { 'X-Region': { regex: 'us-(east|west)-\\d' } } },
    ),
  ],
  ['path', 'by path', alternatives({ paths: '/other/mcp' }, { paths: '/mcp' })],
  ['principal', 'by principal', alternatives({ principals: 'ops/*' }, { principals: 'a*' })],
  ['scope', 'by scope', alternatives({ scopes: 'admin' }, { scopes: 'use' })],
  ['tag', 'by tag of the server', alternatives({ tags: 'beta' }, { tags: ['stable'] })],
  [
    'argument',
    'by argument',
    alternatives({ arguments: { '/filter/kind': 'order' } }, { arguments: { '/filter/kind': 'inv*' } }),
  ],
  ['variants by header', 'one route, variants by header', variants({ header: 'X-Region' })],
  ['variants by principal', 'the same, by principal', variants('principal')],
  ['variants by argument', 'the same, by argument', variants({ argument: '/filter/kind' })],
];

function conditional(name: string, what: string, routes: readonly object[]): Case {
  return {
    name: `routing by ${name}`,
    what: `find: ${what}`,
    async setup() {
      const url = 'http://127.0.0.1:9/mcp';
      const mcpServers = { bench: { url, tags: ['stable'] }, other: { url, tags: ['beta'] } };
      const snapshot = snapshotOf({ mcpServers, routes, views: { '/other/mcp': {} } });
      const { table } = await catalogOf(snapshot, NAMES);
      const finder = new Finder(snapshot, table);
      const names = Array.from({ length: NAMES }, (_, index) => packedView(table.publicNames, index));
      const expected = routes.length - 1;
      return {
        run(times) {
          for (let i = 0; i < times; i++) {
            const tool = names[i % NAMES]!;
            finder.begin(CALL, CLIENT);
            finder.find(Action.tool, false, tool, 0, tool.length);
            keep(finder.variant);
            if (finder.route !== expected) throw new Error(`route ${finder.route}`);
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
  ...CONDITIONS.map(([name, what, routes]) => conditional(name, what, routes)),
];
