import { Verdict } from '../../../src/shared/ring/records.js';
import { mintTokens } from '../../load/gateway-config.js';
import { FULL } from '../fixture.js';
import { decisions, remembered, type Setting } from '../policy.js';
import type { Case } from '../runner.js';
import { AMPLE } from './buckets.js';

const CLIENTS = 64;
const HEADER = 'X-Client-ID';
const CLIENT = 'client-7';
const BY_HEADER = { key: { header: HEADER }, ...AMPLE };
const VIEW = { servers: 'bench', prefix: false };
const READER = [{ match: { tools: 'bench__*' }, requiredScopes: ['read'] }];
const HIDDEN = [{ match: { tools: 'bench__tool_000*' }, requiredScopes: ['admin'] }];
const TOKENS = Array.from({ length: CLIENTS }, (_, index) => `token-of-client-${index}`);
const CACHED = { config: { cache: { tools: true } }, arguments: '{"path":"/srv/a.txt"}' };

/** Of clients whose tokens are in a list, and have the scope `read`. */
function principals(config: object): Setting {
  const tokens = Object.fromEntries(TOKENS.map((token, index) => [`client-${index}`, { token, scopes: ['read'] }]));
  return { config: { auth: { type: 'bearer', tokens }, ...config }, credentials: TOKENS };
}

/** Of anonymous clients. */
function limits(rateLimits: object, routes: readonly object[] = []): Setting {
  return { config: { rateLimits, routes }, headers: { [HEADER.toLowerCase()]: CLIENT } };
}

const LIST: Setting = { ...principals({}), tools: 1000, method: 'tools/list', verdict: Verdict.local };
const LIST_BY_SCOPES: Setting = { ...LIST, ...principals({ routes: HIDDEN }) };

/** The features of the policy, each alone, as far as the cost of the whole decision shows them. */
const FEATURES: readonly [name: string, what: string, setting: Setting][] = [
  ['decision', 'nothing configured', { config: {} }],
  ['decision, principal', 'a principal', principals({})],
  ['decision, scopes', 'a principal, and a route that needs a scope', principals({ routes: READER })],
  ['decision, view', 'a view without prefixes', { config: { views: { '/bench/mcp': VIEW } }, view: 1 }],
  ['decision, global limit', 'a limit for all clients', limits({ global: AMPLE })],
  ['decision, limit of addresses', 'a limit for each client, by address', limits({ perClient: AMPLE })],
  [
    'decision, limit of principals',
    'a principal, and a limit for each',
    principals({ rateLimits: { perClient: AMPLE } }),
  ],
  ['decision, limit by header', 'a limit for each client, by a header', limits({ perClient: BY_HEADER })],
  [
    'decision, limit of a named client',
    'a limit of one client that is named, by a header',
    limits({ perClient: { ...BY_HEADER, clients: { [CLIENT]: AMPLE } } }),
  ],
  ['decision, limit of tools', 'a limit of tools', limits({ perTool: [{ tools: 'bench__*', ...AMPLE }] })],
  [
    'decision, limit of tools and clients',
    'a limit of tools, and one for each client of them',
    limits({ perTool: [{ tools: 'bench__*', ...AMPLE, perClient: AMPLE }] }),
  ],
  [
    'decision, limit by rule',
    'a rule about a header and a path',
    limits({ rules: [{ match: { headers: { [HEADER]: 'client-*' }, paths: '/mcp' }, ...AMPLE }] }),
  ],
  [
    'decision, limit by rule of principals',
    'a principal, and a rule about principals',
    principals({ rateLimits: { rules: [{ match: { principals: 'client-*' }, ...AMPLE }] } }),
  ],
  ['decision, limit of a route', 'a limit of the route', limits({}, [{ rateLimit: AMPLE }])],
  [
    'decision, limit instead of the global one',
    'a limit of the route in the place of that for all',
    limits({ global: AMPLE }, [{ rateLimitOverride: AMPLE }]),
  ],
  ['decision, cache hit', 'an answer of the cache, 400 bytes', { ...CACHED, verdict: Verdict.cached }],
  [
    'decision, cache miss',
    'no answer in the cache, and the report that the call failed',
    { ...CACHED, verdict: Verdict.lead },
  ],
  ['decision, list', 'a principal, and tools/list of 1,000 tools', LIST],
  ['decision, list by scopes', 'a known scope set, and tools/list without 100 of 1,000 tools', LIST_BY_SCOPES],
];

/** All of it at once, as the goal of the policy names it. */
async function everything(): Promise<Setting> {
  const views = { '/bench/mcp': { ...VIEW, requiredScopes: ['tools:call'] } };
  return { config: { ...FULL, views }, credentials: await mintTokens(CLIENTS), view: 1, tools: 1000 };
}

const WHOLE = 'known JWT, scopes, 3 limits, one of 21 routes, a view, 1,000 tools';

export const decideCases: readonly Case[] = [
  {
    name: 'whole decision',
    what: `policy: decision in the worker, from ring to ring: ${WHOLE}`,
    goalNs: 2000,
    setup: async () => decisions(await everything()),
  },
  ...FEATURES.map(
    ([name, what, setting]): Case => ({ name, what: `policy: decision with ${what}`, setup: () => decisions(setting) }),
  ),
];

/** Of a feature that the key of remembered verdicts, or what is done with one, depends on. */
const REMEMBERED: readonly [name: string, what: string, setting: Setting][] = [
  ['remembered verdict without policy', 'nothing configured', { config: {} }],
  ['remembered verdict by header', 'a limit for each client, by a header', limits({ perClient: BY_HEADER })],
  ['remembered list', 'a principal, and tools/list of 1,000 tools', LIST],
  ['remembered list by scopes', 'a known scope set, and tools/list without 100 of 1,000 tools', LIST_BY_SCOPES],
];

export const rememberedCases: readonly Case[] = [
  {
    name: 'remembered verdict',
    what: `dispatch: remembered decision with its limits: ${WHOLE}`,
    goalNs: 500,
    setup: async () => remembered(await everything()),
  },
  {
    name: 'remembered verdict with a fresh token text',
    what: 'dispatch: the same, the token a new text of 268 bytes each time',
    setup: async () => remembered(await everything(), true),
  },
  ...REMEMBERED.map(
    ([name, what, setting]): Case => ({
      name,
      what: `dispatch: remembered decision with ${what}`,
      setup: () => remembered(setting),
    }),
  ),
];
