import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { compileSnapshot } from '../../../src/config/compile/index.js';
import { loadConfigObject, parseConfig } from '../../../src/config/load.js';
import type { GatewayConfig } from '../../../src/config/schema/index.js';

type Limits = NonNullable<GatewayConfig['rateLimits']>;

const compile = (rateLimits: Limits) => compileSnapshot(loadConfigObject({ mcpServers: {}, rateLimits })).rateLimits;

describe('rateLimits', () => {
  it('of the example of the issue mean what they say', () => {
    const text = `
rateLimits:
  global: { algorithm: sliding-window, limit: 10000, windowMs: 60000, burst: 1000 }
  perClient: { key: { header: X-Client-ID }, rate: 100, burst: 100, clients: { premium-client: { rate: 1000, burst: 1000 } } }
  rules:
    - { match: { headers: { X-Client-Type: trial }, paths: [/users/mcp] }, rate: 2, burst: 20 }
routes:
  - { name: admin, match: { tools: ["admin__*"] }, requiredScopes: [admin], rateLimitOverride: { algorithm: fixed-window, limit: 10, windowMs: 60000 } }
`;
    const { attributes, rateLimits, routes } = compileSnapshot(parseConfig(text, 'yaml', { env: {} }));
    assert.deepEqual(attributes, ['x-client-id', 'x-client-type']);
    assert.deepEqual(rateLimits, {
      count: 'calls',
      global: { algorithm: 'sliding-window', limit: 10_000, windowMs: 60_000, burst: 1_000 },
      perClient: { algorithm: 'token-bucket', rate: 100, burst: 100 },
      key: { by: 'header', attribute: 0 },
      clients: [{ name: 'premium-client', rule: { algorithm: 'token-bucket', rate: 1000, burst: 1000 } }],
      perTool: [],
      rules: [
        {
          match: {
            headers: [{ attribute: 1, values: ['trial'] }],
            paths: ['/users/mcp'],
            principals: [],
            scopes: [],
            tools: [],
            prompts: [],
            resources: [],
          },
          rule: { algorithm: 'token-bucket', rate: 2, burst: 20 },
          key: null,
        },
      ],
      other: { algorithm: 'token-bucket', rate: 1000, burst: 1000 },
      headers: false,
      maxClients: 65_536,
    });
    const override = { algorithm: 'fixed-window', limit: 10, windowMs: 60_000, burst: 10 };
    assert.deepEqual(routes[0]?.rateLimitOverride, override);
  });

  it('may be written as a number of requests in a time', () => {
    const { global } = compile({ global: { limit: 600, windowMs: 60_000 } });
    assert.deepEqual(global, { algorithm: 'token-bucket', rate: 10, burst: 600 });
  });

  it('have a limit for what is no call unless it is switched off', () => {
    const perClient = { algorithm: 'fixed-window', limit: 5, windowMs: 1000 } as const;
    assert.deepEqual(compile({ perClient }).other, { ...perClient, limit: 50, burst: 50 });
    for (const none of [{ perClient, other: false }, { perClient, count: 'all' }, {}] as const) {
      assert.equal(compile(none).other, null);
    }
    assert.deepEqual(compile({ other: { rate: 3 } }).other, { algorithm: 'token-bucket', rate: 3, burst: 3 });
  });

  const FAULTS: readonly (readonly [what: string, written: Limits, sentence: string])[] = [
    ['neither rate nor limit', { global: {} }, 'rateLimits.global: needs "rate", or "limit" and "windowMs"'],
    ['both', { global: { rate: 1, limit: 2 } }, 'rateLimits.global: needs either "rate", or "limit" and "windowMs"'],
    [
      'a window without length',
      { global: { algorithm: 'fixed-window', limit: 2 } },
      'rateLimits.global: needs "limit" and "windowMs"',
    ],
    [
      'a rate of a window',
      { perTool: [{ tools: 'x', algorithm: 'sliding-window', rate: 2 }] },
      'rateLimits.perTool[0].rate: belongs to token-bucket; sliding-window has "limit" and "windowMs"',
    ],
    [
      'a burst that is larger',
      { global: { algorithm: 'fixed-window', limit: 2, windowMs: 1000, burst: 3 } },
      'rateLimits.global.burst: must not be more than "limit"',
    ],
    ['a client without a limit', { perClient: {} }, 'rateLimits.perClient: needs "rate", or "limit" and "windowMs"'],
    [
      'an exemption with a limit',
      { rules: [{ match: {}, exempt: true, rate: 1 }] },
      'rateLimits.rules[0].exempt: exempts from every limit; leave out the limit, or exempt',
    ],
    [
      'a rule without a limit',
      { rules: [{ match: {} }] },
      'rateLimits.rules[0]: needs "rate", or "limit" and "windowMs"',
    ],
    [
      'other with count: all',
      { count: 'all', other: { rate: 1 } },
      'rateLimits.other: has no effect with "count": "all"; leave one of them out',
    ],
    [
      'a header with credentials',
      { perClient: { key: { header: 'Authorization' }, rate: 1 } },
      'rateLimits.perClient.key.header: is a header with credentials; use "auth" and match its principals or scopes',
    ],
  ];
  for (const [what, written, sentence] of FAULTS) {
    it(`are refused with ${what}`, () => {
      assert.throws(
        () => compile(written),
        (error: Error) => {
          assert.ok(error.message.includes(sentence), error.message);
          return true;
        },
      );
    });
  }
});
