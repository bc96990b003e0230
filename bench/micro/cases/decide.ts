import { Verdict } from '../../../src/shared/records.js';
import { mintTokens } from '../../load/gateway-config.js';
import { FULL } from '../fixture.js';
import { decisions, remembered, type Setting } from '../policy.js';
import type { Case } from '../runner.js';
import { AMPLE } from './buckets.js';

const CLIENTS = 64;
const CLIENT_HEADER = 'X-Client-ID';
const VIEW = { servers: 'bench', prefix: false };
const READER = [{ name: 'read', match: { tools: 'bench__*' }, requiredScopes: ['read'] }];
const HIDDEN = [{ name: 'admin', match: { tools: 'bench__tool_000*' }, requiredScopes: ['admin'] }];

/** A fixed list of tokens, which all have the scope `read`. */
const BEARER = {
  type: 'bearer',
  tokens: Object.fromEntries(tokens().map((token, index) => [`client-${index}`, { token, scopes: ['read'] }])),
};

function tokens(): string[] {
  return Array.from({ length: CLIENTS }, (_, index) =>
    `a token of client ${String(index).padStart(3, '0')}`.replaceAll(' ', '-'),
  );
}

function limits(rateLimits: object, routes: readonly object[] = []): Setting {
  return { config: { rateLimits, routes } };
}

/** The features of the policy, each alone, as far as the cost of the whole decision shows them. The first one has none. */
const FEATURES: readonly [name: string, what: string, setting: Setting][] = [
  ['decision', 'no policy', { config: {} }],
  ['decision, principal', 'bearer tokens of a list', { config: { auth: BEARER }, credentials: tokens() }],
  [
    'decision, scopes',
    'the same, and a route that needs a scope',
    { config: { auth: BEARER, routes: READER }, credentials: tokens() },
  ],
  ['decision, view', 'a view that hides prefixes', { config: { views: { '/bench/mcp': VIEW } }, view: 1 }],
  ['decision, global limit', 'a limit for all', limits({ global: AMPLE })],
  ['decision, limit of addresses', 'a limit for each client, by address', limits({ perClient: AMPLE })],
  [
    'decision, limit of principals',
    'a limit for each client, by principal',
    { config: { auth: BEARER, rateLimits: { perClient: AMPLE } }, credentials: tokens() },
  ],
  [
    'decision, limit by header',
    'a limit for each client, by a header',
    { ...limits({ perClient: { key: { header: CLIENT_HEADER }, ...AMPLE } }), headers: ['client-7'] },
  ],
  [
    'decision, limit of a named client',
    'the same, of a client with a limit of its own',
    {
      ...limits({ perClient: { key: { header: CLIENT_HEADER }, ...AMPLE, clients: { 'client-7': AMPLE } } }),
      headers: ['client-7'],
    },
  ],
  ['decision, limit of tools', 'a limit of tools', limits({ perTool: [{ tools: 'bench__*', ...AMPLE }] })],
  [
    'decision, limit of tools and clients',
    'a limit of tools for each client',
    limits({ perTool: [{ tools: 'bench__*', ...AMPLE, perClient: AMPLE }] }),
  ],
  [
    'decision, limit by rule',
    'a rule with a header and a path',
    {
      ...limits({ rules: [{ match: { headers: { [CLIENT_HEADER]: 'client-*' }, paths: '/mcp' }, ...AMPLE }] }),
      headers: ['client-7'],
    },
  ],
  ['decision, limit of a route', 'a limit of a route', limits({}, [{ name: 'all', rateLimit: AMPLE }])],
  [
    'decision, limit instead of the global one',
    'a limit of a route in the place of that for all',
    limits({ global: AMPLE }, [{ name: 'all', rateLimitOverride: AMPLE }]),
  ],
  [
    'decision, cache hit',
    'a call that the cache answers, 400 bytes',
    { config: { cache: { tools: true } }, arguments: '{"path":"/srv/a.txt"}', verdict: Verdict.cached },
  ],
  [
    'decision, cache miss',
    'a call whose answer is not there, and the report that it failed',
    { config: { cache: { tools: true } }, arguments: '{"path":"/srv/a.txt"}', verdict: Verdict.lead },
  ],
  [
    'decision, list',
    'tools/list, the same for all',
    { config: { auth: BEARER }, credentials: tokens(), method: 'tools/list', verdict: Verdict.local },
  ],
  [
    'decision, list by scopes',
    'tools/list of a known scope set, 100 of 1,000 tools hidden',
    { config: { auth: BEARER, routes: HIDDEN }, credentials: tokens(), method: 'tools/list', verdict: Verdict.local },
  ],
];

/** All of it at once, as the goal of the policy names it. */
async function everything(): Promise<Setting> {
  const views = { '/bench/mcp': { ...VIEW, requiredScopes: ['tools:call'] } };
  return { config: { ...FULL, views }, credentials: await mintTokens(CLIENTS), view: 1 };
}

const WHOLE = 'known JWT, scopes, 3 limits, one of 21 routes, a view, 1,000 tools';

export const decideCases: readonly Case[] = [
  {
    name: 'whole decision',
    what: `policy: whole decision in the worker, from ring to ring: ${WHOLE}`,
    goalNs: 2000,
    setup: async () => decisions(await everything()),
  },
  ...FEATURES.map(
    ([name, what, setting]): Case => ({ name, what: `policy: the same: ${what}`, setup: () => decisions(setting) }),
  ),
];

export const rememberedCases: readonly Case[] = [
  {
    name: 'remembered verdict',
    what: `dispatch: remembered verdict with its limits: ${WHOLE}`,
    goalNs: 500,
    setup: async () => remembered(await everything()),
  },
  {
    name: 'remembered verdict with a fresh token text',
    what: 'dispatch: the same, the token a new text of 268 bytes each time',
    setup: async () => remembered(await everything(), true),
  },
  {
    name: 'remembered verdict without policy',
    what: 'dispatch: the same: no policy',
    setup: () => remembered({ config: {} }),
  },
  {
    name: 'remembered verdict by header',
    what: 'dispatch: the same: a limit for each client, by a header',
    setup: () =>
      remembered({
        ...limits({ perClient: { key: { header: CLIENT_HEADER }, ...AMPLE } }),
        headers: ['client-7'],
      }),
  },
  {
    name: 'remembered list',
    what: 'dispatch: the same: tools/list, the same for all',
    setup: () =>
      remembered({
        config: { auth: BEARER },
        credentials: tokens(),
        method: 'tools/list',
        verdict: Verdict.local,
      }),
  },
  {
    name: 'remembered list by scopes',
    what: 'dispatch: the same: tools/list of a known scope set',
    setup: () =>
      remembered({
        config: { auth: BEARER, routes: HIDDEN },
        credentials: tokens(),
        method: 'tools/list',
        verdict: Verdict.local,
      }),
  },
];
