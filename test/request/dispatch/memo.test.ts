/** A remembered verdict never outlives its reason, and counts like a decided one. */

import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { typescriptDecoder } from '../../../native/index.js';
import { Memo, MemoKey } from '../../../src/request/dispatch/memo.js';
import { TokenSlots } from '../../../src/request/dispatch/token-slots.js';
import { Counter } from '../../../src/shared/counters.js';
import { VerdictRecord } from '../../../src/shared/ring/verdict-record.js';
import { authOf } from '../../support/auth.js';
import {
  catalog,
  rateLimits,
  route,
  sampleCatalog,
  server,
  snapshot,
  tokenBucket,
  toolLimit,
  view,
} from '../../workers/fixture.js';
import { DispatchFixture, type DispatchFixtureOptions } from './fixture.js';

const secret = 'a secret that is long enough for HS256';

function jwt(claims: object): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const signed = `${part({ alg: 'HS256', typ: 'JWT' })}.${part(claims)}`;
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`;
}

const jwtAuth = {
  type: 'jwt',
  algorithms: ['HS256'],
  secret,
  publicKey: null,
  jwksUrl: null,
  jwksCooldownMs: 1000,
  jwksMaxAgeMs: 60_000,
  issuer: null,
  audience: [],
  clockToleranceSeconds: 0,
  subjectClaim: 'sub',
  scopeClaims: ['scope'],
} as const;

async function withFixture(
  changes: ConstructorParameters<typeof DispatchFixture>[0],
  run: (fixture: DispatchFixture) => Promise<void>,
  options: DispatchFixtureOptions = {},
): Promise<void> {
  const fixture = new DispatchFixture(changes, sampleCatalog, options);
  try {
    await run(fixture);
  } finally {
    await fixture.close();
  }
}

const hits = (fixture: DispatchFixture): number => fixture.pool.counters.total(Counter.memoHits);
const decisions = (fixture: DispatchFixture): number => fixture.pool.counters.total(Counter.decisions);

describe('remembered verdicts', () => {
  it('are used for the same client, method, era and name only', () =>
    withFixture(
      {
        auth: authOf({
          type: 'bearer',
          tokens: [
            { token: 't1', subject: 'a', scopes: [] },
            { token: 't2', subject: 'b', scopes: [] },
          ],
        }),
      },
      async (fixture) => {
        await fixture.call('files__read', {}, { token: 't1' });
        await fixture.call('files__read', { other: 'arguments' }, { token: 't1' });
        assert.equal(hits(fixture), 1);
        await fixture.call('files__read', {}, { token: 't2' });
        await fixture.call('search__find', {}, { token: 't1' });
        await fixture.call('files__read', {}, { token: 't1', modern: true });
        assert.equal(hits(fixture), 1);
        const wrong = await fixture.call('files__read', {}, { token: 't3' });
        assert.equal(wrong.error, 'GW_INVALID_TOKEN');
        assert.equal((await fixture.call('files__read', {}, { token: 't3' })).error, 'GW_INVALID_TOKEN');
        assert.equal((await fixture.call('files__read')).error, 'GW_UNAUTHENTICATED');
        assert.equal(hits(fixture), 1);
      },
    ));

  it('are used for the same view and the same values of the headers that policy reads', () =>
    withFixture({ views: [view(), view({ base: '/users' })] }, async (fixture) => {
      const changes = [{}, { view: 1 }, { attributes: 'eu' }, { attributes: 'us' }, { view: 1, attributes: 'us' }];
      for (const change of changes) await fixture.call('files__read', {}, change);
      assert.equal(hits(fixture), 0);
      for (const change of changes) await fixture.call('files__read', {}, change);
      assert.equal(hits(fixture), changes.length);
    }));

  it('carry the whole verdict, the subject included', () =>
    withFixture(
      { auth: authOf({ type: 'bearer', tokens: [{ token: 't1', subject: 'a', scopes: [] }] }) },
      async (fixture) => {
        const first = await fixture.call('search__find', {}, { token: 't1' });
        const second = await fixture.call('search__find', {}, { token: 't1' });
        assert.equal(hits(fixture), 1);
        assert.deepEqual({ ...second.words, slot: 0, generation: 0 }, { ...first.words, slot: 0, generation: 0 });
        assert.ok(first.words.subject.some((word) => word !== 0));
      },
    ));

  it('hand on the bytes of the caller, not those of the first call', () =>
    withFixture({}, async (fixture) => {
      await fixture.call('files__read', { n: 1 });
      assert.match((await fixture.call('files__read', { n: 2 })).body, /"n":2/);
      assert.equal(hits(fixture), 1);
    }));

  it('end with the token', () =>
    withFixture({ auth: authOf(jwtAuth) }, async (fixture) => {
      const exp = Math.floor(Date.now() / 1000) + 3;
      const token = jwt({ sub: 'a', exp });
      assert.equal((await fixture.call('files__read', {}, { token })).verdict, 'forward');
      assert.equal((await fixture.call('files__read', {}, { token })).verdict, 'forward');
      assert.equal(hits(fixture), 1);
      while (Date.now() / 1000 < exp) await new Promise((resolve) => setTimeout(resolve, 20));
      assert.equal((await fixture.call('files__read', {}, { token })).error, 'GW_INVALID_TOKEN');
      assert.equal(hits(fixture), 1);
    }));

  it('end with a revocation', () =>
    withFixture({}, async (fixture) => {
      await fixture.call('files__read');
      fixture.pool.epochs.revoke();
      await fixture.call('files__read');
      assert.equal(hits(fixture), 0);
      await fixture.call('files__read');
      assert.equal(hits(fixture), 1);
    }));

  it('end with the configuration: the next call is judged by the new one', () =>
    withFixture(
      { auth: authOf({ type: 'bearer', tokens: [{ token: 't1', subject: 'a', scopes: ['x'] }] }) },
      async (fixture) => {
        await fixture.call('files__read', {}, { token: 't1' });
        await fixture.call('files__read', {}, { token: 't1' });
        fixture.dispatcher.reconfigure({
          ...fixture.pool.snapshot,
          version: 2,
          routes: [route('r', { tools: ['files__*'], requiredScopes: ['y', 'x'] })],
        });
        const denied = await fixture.call('files__read', {}, { token: 't1' });
        assert.equal(denied.error, 'GW_INSUFFICIENT_SCOPE');
        assert.equal(denied.payload, 'y x');
        fixture.dispatcher.reconfigure({
          ...fixture.pool.snapshot,
          version: 3,
          auth: authOf({ type: 'bearer', tokens: [] }),
        });
        assert.equal((await fixture.call('search__find', {}, { token: 't1' })).error, 'GW_INVALID_TOKEN');
      },
    ));

  it('end with the catalog: new names are known at once, old ones are gone at once', () =>
    withFixture({}, async (fixture) => {
      assert.equal((await fixture.call('files__new')).error, 'GW_UNKNOWN_TOOL');
      await fixture.call('files__read');
      for (let version = 2; version < 12; version += 1) {
        const even = version % 2 === 0;
        fixture.dispatcher.setCatalog(catalog([['tool', 0, even ? 'files__new' : 'files__read']], version));
        const fresh = await fixture.call('files__new');
        assert.equal(fresh.error, even ? '' : 'GW_UNKNOWN_TOOL');
        assert.equal((await fixture.call('files__read')).error, even ? 'GW_UNKNOWN_TOOL' : '');
      }
    }));

  it('never let a verdict through that was made on a catalog before the last two', () =>
    withFixture({}, async (fixture) => {
      await fixture.pool.ready();
      const { exchange, decided } = fixture.open({ method: 'tools/call', params: { name: 'files__read' } });
      // The question is on the ring; three catalogs pass before the front looks at the answer.
      for (const version of [2, 3, 4]) {
        fixture.dispatcher.setCatalog(catalog([['tool', 0, 'files__other']], version));
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 30);
      }
      const result = await decided;
      assert.equal(result.error, 'GW_UNKNOWN_TOOL');
      assert.equal(result.words.catalogVersion, 4);
      fixture.done(exchange);
    }));

  it('are off on demand: every call asks a worker', () =>
    withFixture(
      {},
      async (fixture) => {
        for (let i = 0; i < 5; i += 1) await fixture.call('files__read');
        assert.equal(decisions(fixture), 5);
        assert.equal(hits(fixture), 0);
      },
      { memo: false },
    ));

  it('can be switched off, and on again, by limits.maxMemo', () =>
    withFixture({ limits: { ...snapshot().limits, maxMemo: 0 } }, async (fixture) => {
      for (let i = 0; i < 3; i += 1) await fixture.call('files__read');
      assert.deepEqual([decisions(fixture), hits(fixture), fixture.dispatcher.remembered], [3, 0, 0]);
      fixture.dispatcher.reconfigure({ ...snapshot(), version: 2 });
      for (let i = 0; i < 3; i += 1) await fixture.call('files__read');
      assert.deepEqual([decisions(fixture), hits(fixture), fixture.dispatcher.remembered], [4, 2, 1]);
    }));

  it('leave out names with escapes, which are decoded each time', () =>
    withFixture({}, async (fixture) => {
      const raw = '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"files\\u005f\\u005fread"}}';
      for (let i = 0; i < 2; i += 1) {
        const { exchange, decided } = fixture.open({ raw });
        const result = await decided;
        assert.equal(result.entry, 0);
        assert.equal(exchange.message.decodedName.toString(), 'files__read');
        fixture.done(exchange);
      }
      assert.equal(hits(fixture), 0);
    }));
});

describe('limits with remembered verdicts', () => {
  const never = 1e-6;

  it('4 workers and the memo together grant exactly the capacity', () =>
    withFixture(
      { workers: 4, rateLimits: rateLimits({ global: tokenBucket(never, 700), maxClients: 10 }) },
      async (fixture) => {
        await fixture.pool.ready();
        let granted = 0;
        let limited = 0;
        const names = ['files__read', 'search__find'];
        for (let wave = 0; wave < 10; wave += 1) {
          const calls = Array.from({ length: 100 }, (_, i) =>
            // Names with an escape are never remembered: they go to the workers while the others do not.
            i % 3 === 0
              ? fixture.ask({
                  raw: '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"files\\u005f_read"}}',
                })
              : fixture.call(names[i % 2]!, { i }),
          );
          for (const { verdict, error, retryAfterMs } of await Promise.all(calls)) {
            if (verdict === 'forward') granted += 1;
            else {
              assert.equal(error, 'GW_RATE_LIMITED');
              assert.ok(retryAfterMs > 0);
              limited += 1;
            }
          }
        }
        assert.equal(granted, 700);
        assert.equal(limited, 300);
        assert.equal(fixture.pool.counters.total(Counter.limitedGlobal), 300);
        assert.ok(hits(fixture) > 100);
        assert.ok(decisions(fixture) > 100);
      },
    ));

  it('count clients apart: by subject with a token, by address without', async () => {
    const limits = rateLimits({ perClient: tokenBucket(never, 5), maxClients: 100 });
    await withFixture({ workers: 2, rateLimits: limits }, async (fixture) => {
      for (const address of ['10.0.0.1', '10.0.0.2', '::1']) {
        const results = [];
        for (let i = 0; i < 8; i += 1) results.push(await fixture.call('files__read', {}, { address }));
        assert.equal(results.filter(({ verdict }) => verdict === 'forward').length, 5, address);
      }
    });
    const tokens = ['t1', 't2', 't3'].map((token) => ({ token, subject: token === 't3' ? 'b' : 'a', scopes: [] }));
    await withFixture({ workers: 2, rateLimits: limits, auth: authOf({ type: 'bearer', tokens }) }, async (fixture) => {
      const count = async (token: string): Promise<number> => {
        let granted = 0;
        for (let i = 0; i < 8; i += 1)
          if ((await fixture.call('files__read', {}, { token })).verdict === 'forward') granted += 1;
        return granted;
      };
      assert.equal((await count('t1')) + (await count('t2')), 5, 'two tokens of one subject');
      assert.equal(await count('t3'), 5);
    });
  });

  it('hold for tools, routes, and clients on a route at once', () =>
    withFixture(
      {
        rateLimits: rateLimits({
          perTool: [toolLimit(['search__*'], tokenBucket(never, 4))],
          maxClients: 10,
        }),
        routes: [
          route('r', {
            tools: ['files__*'],
            rateLimit: tokenBucket(never, 6),
            clientRateLimit: tokenBucket(never, 4),
          }),
        ],
      },
      async (fixture) => {
        const count = async (name: string, address: string): Promise<number> => {
          let granted = 0;
          for (let i = 0; i < 10; i += 1)
            if ((await fixture.call(name, {}, { address })).verdict === 'forward') granted += 1;
          return granted;
        };
        assert.equal(await count('search__find', '1'), 4);
        assert.equal(await count('search__find', '2'), 0);
        assert.equal(await count('files__read', '1'), 4);
        assert.equal(await count('files__read', '2'), 2);
        assert.equal(await count('files__read', '3'), 0);
        const { counters } = fixture.pool;
        assert.deepEqual(
          [Counter.limitedTool, Counter.limitedRoute, Counter.limitedClientRoute].map((id) => counters.total(id)),
          [6 + 10, 8 + 10, 6],
        );
      },
    ));

  it('survive a reload that does not touch them, and start afresh after one that does', () =>
    withFixture({ rateLimits: rateLimits({ global: tokenBucket(never, 3), maxClients: 10 }) }, async (fixture) => {
      await fixture.call('files__read');
      await fixture.call('files__read');
      fixture.dispatcher.reconfigure({
        ...fixture.pool.snapshot,
        version: 2,
        servers: [server('files'), server('search'), server('more')],
      });
      assert.equal((await fixture.call('files__read')).verdict, 'forward');
      assert.equal((await fixture.call('files__read')).error, 'GW_RATE_LIMITED');
      fixture.dispatcher.reconfigure({
        ...snapshot(),
        version: 3,
        rateLimits: rateLimits({ global: tokenBucket(never, 2), maxClients: 10 }),
      });
      const results = [];
      for (let i = 0; i < 3; i += 1) results.push((await fixture.call('files__read')).verdict);
      assert.deepEqual(results, ['forward', 'forward', 'deny']);
    }));
});

function memoKeyOf(client: number, method: number, hash: Int32Array, bytes: Buffer, stamp: number): MemoKey {
  const [hashLow = 0, hashHigh = 0] = hash;
  return Object.assign(new MemoKey(), { client, method, hashLow, hashHigh, bytes, end: bytes.length, stamp });
}

describe('memo table', () => {
  it('finds what was put, as a map with forgetting would', () => {
    const name = fc.string({ maxLength: 12 });
    const step = fc.record({
      token: fc.integer({ min: 1, max: 5 }),
      method: fc.constantFrom(5, 7),
      name,
      put: fc.boolean(),
      stamp: fc.constantFrom(1, 2),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const memo = new Memo(16);
        const model = new Map<string, number>();
        const hash = new Int32Array(2);
        let serial = 0;
        for (const { token, method, name, put, stamp } of steps) {
          const bytes = Buffer.from(name);
          typescriptDecoder.hash(bytes, 0, bytes.length, hash);
          const key = JSON.stringify([token, method, name, stamp]);
          const memoKey = memoKeyOf(token, method, hash, bytes, stamp);
          const verdict = new VerdictRecord();
          if (put) {
            serial += 1;
            verdict.slot = serial;
            memo.remember(memoKey, verdict);
            model.set(key, serial);
          } else if (memo.lookup(memoKey, verdict)) {
            assert.equal(verdict.slot, model.get(key), 'what is found is what was put last under exactly this key');
          }
        }
        assert.ok(memo.used <= 16);
      }),
    );
  });

  it('tells names with equal hashes apart', () => {
    const memo = new Memo(16);
    const verdict = new VerdictRecord();
    const [a, b] = [Buffer.from('aaaa'), Buffer.from('bbbb')];
    const hash = Int32Array.of(7, 7);
    memo.remember(memoKeyOf(1, 5, hash, a, 1), verdict);
    assert.equal(memo.lookup(memoKeyOf(1, 5, hash, b, 1), verdict), false);
    assert.equal(memo.lookup(memoKeyOf(1, 5, hash, a, 1), verdict), true);
  });

  it('gives no token the number of another, however many there are', () => {
    const slots = new TokenSlots(10);
    const seen = new Map<number, string>();
    for (let i = 0; i < 1000; i += 1) {
      const token = `token ${i % 37}`;
      const id = slots.id(token);
      assert.equal(seen.get(id) ?? token, token);
      seen.set(id, token);
      assert.equal(slots.id(token), id);
    }
  });
});
