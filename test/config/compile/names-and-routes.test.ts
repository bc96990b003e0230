import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { problemsOfObject, snapshotOfObject } from '../support.js';

const server = { command: 'x' };

const NAMES: [name: string, prefix: string | RegExp][] = [
  ['plain-name_2', 'plain-name_2'],
  ['my server', 'my_server'],
  ['données', 'donnees'],
  ['Größe', 'Grosse'],
  ['Файлы', 'Faily'],
  ['αρχεία', 'archeia'],
  ['天气', /^server_[a-z2-7]{8}$/],
  ['天气 api', /^api_[a-z2-7]{8}$/],
  ['שלום', /^server_[a-z2-7]{8}$/],
  ['\u{1f600}', /^server_[a-z2-7]{8}$/],
  ['\u{1f600} fun', '_fun'],
];
for (const [name, prefix] of NAMES) {
  test(`the prefix of the server ${name} is readable: ${prefix}`, () => {
    const found = snapshotOfObject({ mcpServers: { [name]: server } }).servers[0]?.prefix ?? '';
    if (typeof prefix === 'string') assert.equal(found, prefix);
    else assert.match(found, prefix);
    assert.equal(snapshotOfObject({ mcpServers: { [name]: server } }).servers[0]?.prefix, found, 'it is stable');
  });
}

test('servers in other scripts do not get the same prefix', () => {
  const { servers } = snapshotOfObject({ mcpServers: { 天气: server, 新闻: server, 地图: server } });
  assert.equal(new Set(servers.map(({ prefix }) => prefix)).size, 3);
});

describe('rename', () => {
  const rows: [rename: unknown, catalog: object, problem: RegExp | null][] = [
    ['{server}_{name}', {}, null],
    [{ a: 'b', 'c.d': 'e' }, {}, null],
    ['{server}', {}, /needs \{name\}/],
    ['{name}.v2', {}, /only letters, digits/],
    ['{name}.v2', { names: 'as-is' }, null],
    [{ a: 'b c' }, {}, /only letters, digits/],
    [{ a: 'x', b: 'x' }, {}, /is the new name of "a" too/],
  ];
  for (const [rename, catalog, problem] of rows) {
    test(`${JSON.stringify(rename)} with ${JSON.stringify(catalog)}`, () => {
      const value = { catalog, mcpServers: { s: { ...server, rename } } };
      if (problem === null) assert.deepEqual(snapshotOfObject(value).servers[0]?.rename, rename);
      else assert.match(problemsOfObject(value).join('\n'), problem);
    });
  }
});

describe('routes with the same match are fail-over', () => {
  const mcpServers = { a: server, b: server, c: server };
  const routesOf = (...routes: object[]) =>
    snapshotOfObject({ mcpServers, routes }).routes.map(({ failOverOf, servers, tools }) => [
      tools,
      servers,
      failOverOf,
    ]);

  test('in the order of the file', () => {
    const match = { tools: ['x', 'y*'] };
    const turned = { tools: ['y*', 'x'] };
    assert.deepEqual(
      routesOf({ match, servers: 'b' }, { match: turned, servers: ['a', 'b'] }, { match, servers: 'c' }),
      [
        [['x', 'y*'], [1, 0, 2], undefined],
        [[], [0, 1], 0],
        [[], [2], 0],
      ],
    );
  });

  test('unless the later one names no server, matches something else or requires another scope', () => {
    const match = { tools: 'x' };
    for (const later of [
      { match },
      { match: { tools: ['x', 'y'] }, servers: 'b' },
      { match: { tools: 'x', prompts: 'x' }, servers: 'b' },
      { match, servers: 'b', requiredScopes: 's' },
    ]) {
      const routes = routesOf({ match, servers: 'a' }, later);
      assert.deepEqual(routes[0], [['x'], [0], undefined], JSON.stringify(later));
      assert.equal(routes[1]?.[2], undefined);
    }
    const scoped = routesOf(
      { match, servers: 'a', requiredScopes: ['s', 't'] },
      { match, servers: 'b', requiredScopes: 't' },
    );
    assert.deepEqual(scoped[0]?.[1], [0, 1]);
  });
});

test('scopes are read from four claims by default', () => {
  const { auth } = snapshotOfObject({ auth: { type: 'jwt', secret: 'x'.repeat(40), issuer: 'i', audience: 'a' } });
  const [provider] = auth.providers;
  assert.ok(provider?.type === 'jwt');
  assert.deepEqual(provider.scopeClaims, ['scope', 'scp', 'scopes', 'permissions']);
});
