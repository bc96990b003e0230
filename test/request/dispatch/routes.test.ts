import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Snapshot } from '../../../src/config/snapshot/index.js';
import type { ConditionsSnapshot, VariantsSnapshot } from '../../../src/config/snapshot/match.js';
import { EntryFlag } from '../../../src/shared/catalog-table.js';
import { Counter } from '../../../src/shared/counters.js';
import { authOf } from '../../support/auth.js';
import { catalog, route, server } from '../../workers/fixture.js';
import { DispatchFixture } from './fixture.js';

const NOTHING: ConditionsSnapshot = {
  methods: null,
  headers: [],
  paths: [],
  principals: [],
  scopes: [],
  tags: [],
  arguments: [],
};
const auth = {
  type: 'bearer',
  tokens: [
    { token: 'low', subject: 'low', scopes: [], permissions: ['read'] },
    { token: 'high', subject: 'high', scopes: ['admin'], permissions: ['read', 'write'] },
  ],
  resourceMetadata: null,
} as const;
const rest = route('rest', { tools: ['**'], prompts: ['**'], resources: ['**'], methods: ['**'] });

async function fixture(t: { after(fn: () => Promise<void>): void }, changes: Partial<Snapshot>) {
  const listed = catalog([
    ['tool', 0, 'files__read', 'read', EntryFlag.readOnly],
    ['tool', 1, 'search__find', 'find'],
    ['prompt', 0, 'files__greet', 'greet'],
  ]);
  const made = new DispatchFixture({ auth: authOf(auth), attributes: ['x-region'], ...changes }, listed);
  t.after(() => made.close());
  const hits = () => made.pool.counters.total(Counter.memoHits);
  return { made, hits };
}

test('a route by header is remembered for the value that it was decided for', async (t) => {
  const byHeader = { ...NOTHING, headers: [{ attribute: 0, patterns: ['eu-*'] }] };
  const admin = route('admin', { tools: ['**'], conditions: byHeader, requiredScopes: ['admin'] });
  const { made, hits } = await fixture(t, { routes: [admin, rest] });
  const call = (attributes: string, token = 'low') => made.call('search__find', {}, { token, attributes });
  for (let round = 0; round < 2; round += 1) {
    assert.equal((await call('us')).route, 1);
    assert.equal((await call('eu-1')).error, 'GW_INSUFFICIENT_SCOPE');
    assert.equal((await call('eu-1', 'high')).route, 0);
  }
  assert.equal(hits(), 2, 'the permitted calls of the second round');
});

test('a route by method protects what the gateway answers itself', async (t) => {
  // tools/list, prompts/list
  const lists = { ...NOTHING, methods: [4, 6] };
  const admin = route('admin', { ...rest, name: 'admin', conditions: lists, requiredScopes: ['admin'] });
  const { made } = await fixture(t, { routes: [admin, rest] });
  assert.equal((await made.ask({ method: 'tools/list', token: 'low' })).error, 'GW_INSUFFICIENT_SCOPE');
  assert.equal((await made.ask({ method: 'tools/list', token: 'high' })).verdict, 'local');
  assert.equal((await made.ask({ method: 'resources/list', token: 'low' })).verdict, 'local');
  assert.equal((await made.call('search__find', {}, { token: 'low' })).verdict, 'forward');
});

test('a route by argument is decided for each call, and no padding gets around it', async (t) => {
  const force = { ...NOTHING, arguments: [{ pointer: ['force'], values: [true] }] };
  const admin = route('admin', { tools: ['search__*'], conditions: force, requiredScopes: ['admin'] });
  const { made, hits } = await fixture(t, { routes: [admin, rest] });
  const call = (args: object, token = 'low') => made.call('search__find', args, { token });
  for (let round = 0; round < 2; round += 1) {
    assert.equal((await call({ force: false })).route, 1);
    assert.equal((await call({ force: true })).error, 'GW_INSUFFICIENT_SCOPE');
    assert.equal((await call({ force: true }, 'high')).route, 0);
    assert.equal((await made.call('files__read', { force: true }, { token: 'low' })).verdict, 'forward');
  }
  assert.ok(hits() >= 1, 'a tool that the rule does not concern is remembered');
  const large = await call({ pad: 'x'.repeat(200_000), force: true });
  assert.equal(large.error, 'GW_ARGUMENTS_TOO_LARGE');
});

test('permissions are asked for by what a call does', async (t) => {
  const both = { ...rest, permissions: ['read', 'write'] } as const;
  const { made } = await fixture(t, { routes: [both] });
  const call = async (name: string, token: string) => (await made.call(name, {}, { token })).error;
  assert.equal(await call('files__read', 'low'), '');
  assert.equal(await call('search__find', 'low'), 'GW_INSUFFICIENT_PERMISSION');
  assert.equal(await call('search__find', 'high'), '');
  const prompt = await made.ask({ method: 'prompts/get', params: { name: 'files__greet' }, token: 'low' });
  assert.equal(prompt.verdict, 'forward');
});

function variants(changes: Partial<VariantsSnapshot> = {}): VariantsSnapshot {
  const groups = [
    { name: 'A', weight: 1, servers: [0, 1] },
    { name: 'B', weight: 1, servers: [1] },
  ];
  return {
    by: { type: 'header', attribute: 0 },
    otherwise: 'random',
    responseHeader: null,
    salt: '',
    groups,
    ...changes,
  };
}

test('the group of a call decides its server, and is remembered by what it depends on', async (t) => {
  const varied = { ...rest, variants: variants() };
  const { made, hits } = await fixture(t, { auth: authOf(), routes: [varied] });
  const groups = new Map<string, number>();
  for (let round = 0; round < 2; round += 1) {
    for (let user = 0; user < 20; user += 1) {
      const { server: first, words } = await made.call('search__find', {}, { attributes: `user-${user}` });
      assert.equal(first, words.variant, 'the first server of the group');
      if (round === 1) assert.equal(groups.get(`user-${user}`), words.variant);
      groups.set(`user-${user}`, words.variant);
    }
  }
  assert.equal(new Set(groups.values()).size, 2);
  assert.equal(hits(), 20);
});

test('a group that was chosen at random counts for one call', async (t) => {
  const varied = { ...rest, variants: variants({ by: { type: 'random' } }) };
  const { made, hits } = await fixture(t, { auth: authOf(), routes: [varied] });
  const seen = new Set<number>();
  for (let i = 0; i < 64; i += 1) seen.add((await made.call('search__find')).words.variant);
  assert.deepEqual([...seen].sort(), [0, 1]);
  assert.equal(hits(), 0);
});

test('the group by address is not remembered for another address', async (t) => {
  const varied = { ...rest, variants: variants({ by: { type: 'address' } }) };
  const { made, hits } = await fixture(t, { auth: authOf(), routes: [varied] });
  const seen = new Set<number>();
  for (let round = 0; round < 2; round += 1) {
    for (let i = 0; i < 16; i += 1) {
      seen.add((await made.call('search__find', {}, { address: `10.0.0.${i}` })).words.variant);
    }
  }
  assert.deepEqual([...seen].sort(), [0, 1]);
  assert.equal(hits(), 16);
});

test('a cached answer does not cross variants', async (t) => {
  const cache = { ttlMs: 60_000, staleMs: 0, staleIfErrorMs: 0, public: true };
  const varied = { ...rest, cache, variants: variants() };
  const servers = [server('files', { isolation: 'shared' }), server('search', { isolation: 'shared' })];
  const { made } = await fixture(t, { auth: authOf(), routes: [varied], servers });
  const answers = new Map<number, string>();
  for (let user = 0; user < 20; user += 1) {
    const { exchange, decided } = made.open({
      method: 'tools/call',
      params: { name: 'search__find', arguments: {} },
      attributes: `user-${user}`,
    });
    const { verdict, payload, words } = await decided;
    const result = Buffer.from(`{"group":${words.variant}}`);
    if (verdict === 'lead') {
      assert.ok(!answers.has(words.variant), 'one leader a group');
      answers.set(words.variant, result.toString());
      made.store(exchange, result.toString());
    } else assert.equal(payload, result.toString());
    made.done(exchange);
  }
  assert.equal(answers.size, 2);
});
