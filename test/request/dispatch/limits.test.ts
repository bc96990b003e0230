/** Which rate limits apply to a request, decided by workers and remembered alike. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { compileSnapshot } from '../../../src/config/compile/index.js';
import { loadConfigObject } from '../../../src/config/load.js';
import type { GatewayConfig } from '../../../src/config/schema/index.js';
import type { Snapshot } from '../../../src/config/snapshot/index.js';
import { Counter } from '../../../src/shared/counters.js';
import { planBuckets } from '../../../src/shared/limits/bucket-plan.js';
import { sampleCatalog, snapshot, view } from '../../workers/fixture.js';
import { type Ask, DispatchFixture } from './fixture.js';

/** Never gets a token back while a test runs. */
const never = 1e-6;
const tokens = {
  ann: { token: 'token-of-ann', scopes: ['use'] },
  bob: { token: 'token-of-bob', scopes: ['use', 'admin'] },
};

/** What the configuration says about limits, routes and clients, for the servers of the fixture. */
function parts(config: GatewayConfig): Partial<Snapshot> {
  const url = 'http://127.0.0.1:1/mcp';
  const compiled = compileSnapshot(loadConfigObject({ mcpServers: { files: { url }, search: { url } }, ...config }));
  const { attributes, auth, rateLimits, routes, views } = compiled;
  return { attributes, auth, rateLimits, routes, views };
}

async function withLimits(config: GatewayConfig, test: (fixture: DispatchFixture) => Promise<void>): Promise<void> {
  const fixture = new DispatchFixture({ workers: 2, ...parts(config) }, sampleCatalog);
  try {
    await test(fixture);
  } finally {
    await fixture.close();
  }
}

/** How many of `tries` calls pass. */
async function granted(
  fixture: DispatchFixture,
  ask: Partial<Ask> = {},
  name = 'files__read',
  tries = 8,
): Promise<number> {
  let count = 0;
  for (let i = 0; i < tries; i += 1) if ((await fixture.call(name, {}, ask)).verdict === 'forward') count += 1;
  return count;
}

const as = (who: string): Partial<Ask> => ({ token: `token-of-${who}` });

describe('rate limits', () => {
  for (const rule of [
    { rate: never, burst: 70 },
    { algorithm: 'sliding-window', limit: 70, windowMs: 86_400_000 },
    { algorithm: 'fixed-window', limit: 70, windowMs: 86_400_000 },
  ] as const) {
    it(`${'algorithm' in rule ? rule.algorithm : 'token-bucket'}: workers and remembered verdicts together grant exactly the limit`, () =>
      withLimits({ rateLimits: { global: rule } }, async (fixture) => {
        const calls = Array.from({ length: 150 }, (_, i) =>
          i % 3 === 0
            ? // Names with an escape are never remembered.
              fixture.ask({
                raw: '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"files\\u005f_read"}}',
              })
            : fixture.call('search__find', { i }),
        );
        const verdicts = await Promise.all(calls);
        assert.equal(verdicts.filter(({ verdict }) => verdict === 'forward').length, 70);
        assert.ok(verdicts.every(({ error, words }) => error === '' || words.limit === 0));
        assert.equal(fixture.pool.counters.total(Counter.limitedGlobal), 80);
        for (let i = 0; i < 3; i += 1) assert.equal((await fixture.call('search__find')).error, 'GW_RATE_LIMITED');
      }));
  }

  it('count calls; what is no call has a limit of its own, ten times that of the client', () =>
    withLimits({ rateLimits: { perClient: { rate: never, burst: 2 } } }, async (fixture) => {
      const list = async () => (await fixture.ask({ method: 'tools/list', params: {} })).error;
      for (let i = 0; i < 20; i += 1) assert.equal(await list(), '');
      assert.equal(await list(), 'GW_RATE_LIMITED');
      assert.equal(fixture.pool.counters.total(Counter.limitedOther), 1);
      assert.equal(await granted(fixture), 2);
      const unknown = async () => (await fixture.call('nobody__knows')).error;
      assert.equal(await unknown(), 'GW_RATE_LIMITED', 'a wrong name is a call');
    }));

  it('count everything with count: all', () =>
    withLimits({ rateLimits: { count: 'all', perClient: { rate: never, burst: 3 } } }, async (fixture) => {
      for (const method of ['initialize', 'ping', 'tools/list'])
        assert.equal((await fixture.ask({ method })).error, '');
      assert.equal(await granted(fixture), 0);
    }));

  it('name clients with limits of their own', () =>
    withLimits(
      {
        auth: { type: 'bearer', tokens },
        rateLimits: { perClient: { rate: never, burst: 2, clients: { bob: { rate: never, burst: 5 } } } },
      },
      async (fixture) => {
        assert.deepEqual([await granted(fixture, as('ann')), await granted(fixture, as('bob'))], [2, 5]);
      },
    ));

  it('tell clients apart by a header, and count those without it by their principal', () =>
    withLimits(
      {
        auth: { type: 'bearer', tokens },
        rateLimits: {
          perClient: {
            key: { header: 'X-Client-ID' },
            rate: never,
            burst: 2,
            clients: { premium: { rate: never, burst: 4 } },
          },
        },
      },
      async (fixture) => {
        const count = (who: string, attributes: string) => granted(fixture, { ...as(who), attributes });
        assert.equal(await count('ann', 'one'), 2);
        assert.equal(await count('bob', 'one'), 0, 'whoever sends it');
        assert.equal(await count('ann', 'two'), 2);
        assert.equal(await count('ann', 'premium'), 4);
        assert.equal(await count('ann', ''), 2);
        assert.equal(await count('bob', ''), 2);
      },
    ));

  it('count addresses apart although the client has a token, remembered or not', () =>
    withLimits(
      { auth: { type: 'bearer', tokens }, rateLimits: { perClient: { key: 'address', rate: never, burst: 3 } } },
      async (fixture) => {
        const count = (who: string, address: string) => granted(fixture, { ...as(who), address });
        assert.equal(await count('ann', '10.0.0.1'), 3);
        assert.equal(await count('ann', '10.0.0.2'), 3);
        assert.equal(await count('bob', '10.0.0.2'), 0);
      },
    ));

  it('take what a tool costs from every limit, and count a client and a tool together', () =>
    withLimits(
      {
        auth: { type: 'bearer', tokens },
        rateLimits: {
          global: { rate: never, burst: 13 },
          perTool: [
            { tools: 'files__*', cost: 3 },
            { tools: 'search__*', perClient: { rate: never, burst: 2 } },
          ],
        },
      },
      async (fixture) => {
        assert.deepEqual(
          [await granted(fixture, as('ann'), 'search__find'), await granted(fixture, as('bob'), 'search__find')],
          [2, 2],
        );
        assert.equal(await granted(fixture, as('ann')), 3, '13 - 4 = 3 * 3');
      },
    ));

  it('are replaced on a route by its override', () =>
    withLimits(
      {
        rateLimits: { global: { rate: never, burst: 2 } },
        routes: [
          {
            match: { tools: 'search__*' },
            rateLimitOverride: { algorithm: 'fixed-window', limit: 5, windowMs: 86_400_000 },
          },
        ],
      },
      async (fixture) => {
        assert.equal(await granted(fixture, {}, 'search__find'), 5);
        assert.equal(await granted(fixture), 2, 'which took nothing of the global limit');
      },
    ));

  it('are added by the first rule that matches, and lifted by one that exempts', () =>
    withLimits(
      {
        auth: { type: 'bearer', tokens },
        rateLimits: {
          global: { rate: never, burst: 20 },
          rules: [
            { match: { headers: { 'X-Probe': ['yes', 'y'] } }, exempt: true },
            { match: { principals: 'b*', scopes: 'admin', tools: 'files:*' }, rate: never, burst: 3 },
            { match: { headers: { 'X-Client-Type': 'trial-*' } }, rate: never, burst: 2, key: 'principal' },
          ],
        },
      },
      async (fixture) => {
        const count = (who: string, probe: string, type: string, name?: string) =>
          granted(fixture, { ...as(who), attributes: `${probe}\n${type}` }, name);
        assert.equal(await count('ann', 'yes', ''), 8);
        assert.equal(await count('ann', 'yes', 'trial-1'), 8, 'the exemption comes first');
        assert.equal(await count('bob', '', ''), 3, 'by the address of the tool');
        assert.equal(await count('bob', '', 'trial-1'), 0, 'the first rule alone');
        assert.equal(await count('ann', '', 'trial-1'), 2);
        assert.equal(await count('bob', '', 'trial-2', 'search__find'), 2, 'with a key each client has its own');
        assert.equal(await count('ann', 'no', 'other'), 8);
        assert.equal(await count('ann', 'no', 'other'), 5, 'and all of it was taken from the global limit');
        assert.equal((await fixture.ask({ method: 'tools/list', ...as('ann') })).error, '');
      },
    ));

  it('count prompts, and resources by their normal form, remembered or not', () =>
    withLimits(
      {
        rateLimits: {
          rules: [
            { match: { prompts: '*__greet' }, rate: never, burst: 2 },
            { match: { resources: 'FILE:///etc/*' }, rate: never, burst: 3 },
          ],
        },
      },
      async (fixture) => {
        const count = async (method: string, params: object): Promise<number> => {
          let passed = 0;
          for (let i = 0; i < 5; i += 1) if ((await fixture.ask({ method, params })).verdict === 'forward') passed += 1;
          return passed;
        };
        assert.equal(await count('prompts/get', { name: 'files__greet' }), 2);
        const completion = { ref: { type: 'ref/prompt', name: 'files__greet' }, argument: { name: 'a', value: '' } };
        assert.equal(await count('completion/complete', completion), 0);
        assert.equal(await count('resources/read', { uri: 'file:///etc/motd' }), 3);
        assert.equal(await count('resources/read', { uri: 'file:///home/ann/x' }), 5);
        assert.equal(await granted(fixture), 8, 'no tool has such a name');
      },
    ));

  it('count by path of the endpoint', async () => {
    const rateLimits = { rules: [{ match: { paths: ['/users/*'] }, rate: never, burst: 2 }] };
    const views = [view(), view({ path: '/users/mcp', base: '/users' })];
    const fixture = new DispatchFixture({ ...parts({ rateLimits }), views }, sampleCatalog);
    try {
      assert.deepEqual([await granted(fixture, { view: 1 }), await granted(fixture)], [2, 8]);
    } finally {
      await fixture.close();
    }
  });

  it('keep at a reload what was taken from limits that stay as they are', () => {
    const before = { global: { rate: never, burst: 6 }, perClient: { rate: never, burst: 4 } };
    return withLimits({ rateLimits: before }, async (fixture) => {
      assert.equal(await granted(fixture, { address: 'a' }, 'files__read', 3), 3);
      const after = { ...before, perTool: [{ tools: 'search__*', rate: 1000 }] };
      fixture.dispatcher.reconfigure({ ...snapshot(parts({ rateLimits: after })), version: 2 });
      assert.equal(await granted(fixture, { address: 'a' }), 1, 'one of four');
      assert.equal(await granted(fixture, { address: 'b' }), 2, 'six less four');
      const larger = { ...after, global: { rate: never, burst: 7 } };
      fixture.dispatcher.reconfigure({ ...snapshot(parts({ rateLimits: larger })), version: 3 });
      assert.equal(
        await granted(fixture, { address: 'b' }),
        2,
        'the client has two of four left, and the limit is new',
      );
    });
  });

  it('cost nothing where there are none', () => {
    assert.equal(planBuckets(snapshot(parts({}))).planned.length, 0);
  });
});
