import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { CacheSnapshot, RouteSnapshot, ServerSnapshot } from '../../../src/config/snapshot/index.js';
import { EntryFlag } from '../../../src/shared/catalog-table.js';
import { CacheRules, Objection } from '../../../workers/cache/index.js';
import type { CachedKind } from '../../../workers/cache/rules.js';
import { catalog, route, server, snapshot } from '../fixture.js';

const SAFE = EntryFlag.readOnly | EntryFlag.idempotent;
const NAMES = ['files__read', 'files__stat', 'files__drop', 'search__find', 'files__greet'];
const TABLE = catalog([
  ['tool', 0, 'files__read', 'read', SAFE],
  ['tool', 0, 'files__stat', 'stat', EntryFlag.readOnly],
  ['tool', 0, 'files__drop', 'drop', SAFE | EntryFlag.destructive],
  ['tool', 1, 'search__find', 'find', SAFE],
  ['prompt', 0, 'files__greet'],
]);
const RULE = { ttlMs: 5, staleMs: 0, staleIfErrorMs: 0, public: false };

/** The names of tools and prompts, and the URIs, whose answers are stored. */
function stored(
  cache: Partial<CacheSnapshot>,
  more: { routes?: RouteSnapshot[]; servers?: ServerSnapshot[]; route?: number; variant?: number } = {},
): string[] {
  const base = snapshot();
  const { routes = [], servers = base.servers } = more;
  const rules = new CacheRules({ ...base, routes, servers, cache: { ...base.cache, ...cache } }, TABLE);
  const isStored = (kind: CachedKind, entry: number, text: string): boolean => {
    const bytes = Buffer.from(text);
    const target = {
      server: entry < 0 ? 0 : TABLE.server[entry]!,
      route: more.route ?? -1,
      variant: more.variant ?? -1,
      entry,
    };
    const first = rules.ruleOf(kind, target, bytes, 0, bytes.length);
    assert.equal(rules.ruleOf(kind, target, bytes, 0, bytes.length), first, 'the second time as the first');
    return first !== null;
  };
  return [
    ...NAMES.filter((name, entry) => isStored(name === 'files__greet' ? 'prompts' : 'tools', entry, name)),
    ...(isStored('tools', -1, 'files__new') ? ['files__new'] : []),
    ...['file:///a', 'test://b'].filter((uri) => isStored('resources', -1, uri)),
  ];
}

describe('the rule of an answer', () => {
  it('is none by default', () => {
    assert.deepEqual(stored({}), []);
    assert.deepEqual(stored({ tools: true, resources: true, prompts: true, enabled: false }), []);
  });

  it('concerns tools that are read-only and idempotent, resources and prompts, each by its switch', () => {
    assert.deepEqual(stored({ tools: true }), ['files__read', 'search__find']);
    assert.deepEqual(stored({ resources: true }), ['file:///a', 'test://b']);
    assert.deepEqual(stored({ prompts: true }), ['files__greet']);
  });

  it('concerns what a pattern matches, and not what is excluded by any name', () => {
    assert.deepEqual(stored({ tools: true, patterns: ['files__*'] }), ['files__read', 'files__stat', 'files__drop']);
    assert.deepEqual(stored({ tools: true, patterns: ['search:find'] }), ['search__find']);
    assert.deepEqual(stored({ tools: true, patterns: ['**'], exclude: ['files:*', 'find'] }), []);
    const renamed = catalog([['tool', 0, 'short', 'read', SAFE]]);
    const rules = new CacheRules(
      { ...snapshot(), cache: { ...snapshot().cache, tools: true, exclude: ['files__read'] } },
      renamed,
    );
    const name = Buffer.from('short');
    const target = { server: 0, route: -1, variant: -1, entry: 0 };
    assert.equal(rules.ruleOf('tools', target, name, 0, name.length), null, 'the name that it would have');
    const resources = { resources: true, resourcePatterns: ['file:///*'], patterns: ['file:///*'] };
    assert.deepEqual(stored(resources), ['file:///a']);
    assert.deepEqual(stored({ ...resources, resourceExclude: ['file:///a'] }), []);
  });

  it('is that of the route, if it has one', () => {
    const tools = { tools: true };
    assert.deepEqual(stored(tools, { routes: [route('off', { cache: false })], route: 0 }), []);
    assert.deepEqual(stored(tools, { routes: [route('none')], route: 0 }), ['files__read', 'search__find']);
    assert.equal(stored({}, { routes: [route('own', { cache: RULE })], route: 0 }).length, NAMES.length + 3);
  });

  it('is none where a child or session serves one client alone', () => {
    const servers = (isolation: ServerSnapshot['isolation']) => [server('files', { isolation }), server('search')];
    const cache = { tools: true };
    const shared = { ...cache, rule: { ...RULE, public: true } };
    assert.deepEqual(stored(cache, { servers: servers('session') }), ['search__find']);
    assert.deepEqual(stored(cache, { servers: servers('principal') }), ['files__read', 'search__find']);
    assert.deepEqual(stored(shared, { servers: servers('principal') }), ['search__find']);
    const withCredentials = [server('files', { clientCredentials: true }), server('search')];
    assert.deepEqual(stored(cache, { servers: withCredentials }), ['search__find']);
    const group = { name: 'g', weight: 1, servers: [1, 0] };
    const by = { by: { type: 'principal' }, otherwise: 'random', responseHeader: null, salt: '' } as const;
    const varied = [route('varied', { servers: [1], variants: { ...by, groups: [group] } })];
    assert.deepEqual(stored(cache, { servers: servers('session'), routes: varied, route: 0, variant: 0 }), []);
    const routes = [route('fallback', { servers: [1, 0] })];
    assert.deepEqual(stored(cache, { servers: servers('session'), routes, route: 0 }), []);
  });

  it('says why there is none', () => {
    const base = snapshot();
    const { none, off, route: byRoute, kind, excluded, notNamed, notListed, unsafe, isolated } = Objection;
    const named = { tools: true, patterns: ['files__*'], exclude: ['*__drop'] };
    const rows: [
      Partial<CacheSnapshot>,
      { entry?: number; cache?: RouteSnapshot['cache']; isolation?: 'session' },
      number,
    ][] = [
      [{ tools: true }, {}, none],
      [{}, {}, off],
      [{ tools: true }, { cache: false }, byRoute],
      [{ prompts: true }, {}, kind],
      [named, { entry: 2 }, excluded],
      [named, { entry: 3 }, notNamed],
      [named, { entry: -1 }, notListed],
      [{ tools: true }, { entry: 1 }, unsafe],
      [{ tools: true }, { isolation: 'session' }, isolated],
    ];
    for (const [cache, { entry = 0, cache: ofRoute = null, isolation = 'shared' as const }, expected] of rows) {
      const routes = [route('one', { cache: ofRoute })];
      const servers = base.servers.map((each) => ({ ...each, isolation }));
      const rules = new CacheRules({ ...base, routes, servers, cache: { ...base.cache, ...cache } }, TABLE);
      const target = { server: entry < 0 ? 0 : TABLE.server[entry]!, route: 0, variant: -1, entry };
      assert.equal(rules.objection('tools', target, Buffer.alloc(0), 0, 0), expected, JSON.stringify(cache));
    }
  });
});
