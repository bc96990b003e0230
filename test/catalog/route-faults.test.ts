import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { configFaults, grantFaults, routeFaults } from '../../src/catalog/route-faults.js';
import type { RouteSnapshot, Snapshot } from '../../src/config/snapshot/index.js';
import { EntryFlag } from '../../src/shared/catalog-table.js';
import { authOf } from '../support/auth.js';
import { catalog, route, server, snapshot } from '../workers/fixture.js';

const TABLE = catalog([
  ['tool', 0, 'files__read', 'read'],
  ['tool', 0, 'files__a_b', 'a.b', EntryFlag.renamed],
  ['tool', 1, 'search__find', 'find'],
  ['prompt', 1, 'search__ask', 'ask'],
  ['resource', 0, 'file:///etc/motd', 'file:///etc/motd'],
  ['template', 1, 'data://{+path}', 'data://{+path}'],
]);
const rules = snapshot().catalog;
const servers = [server('files'), server('search')].map((each) => ({ ...each, passesMethods: false }));

const faultsOf = (routes: RouteSnapshot[], table: typeof TABLE | null = TABLE): string[] =>
  routeFaults({ routes, rules, servers }, table).map(({ route: name, kind }) => `${name} ${kind}`);

describe('a route that matches nothing', () => {
  const rows: [route: Partial<RouteSnapshot>, isNamed: boolean][] = [
    [{ tools: ['files__read'] }, false],
    [{ tools: ['files:re*'] }, false],
    [{ tools: ['read'] }, true],
    [{ tools: ['read'], servers: [0] }, false],
    [{ tools: ['read'], servers: [1] }, true],
    [{ tools: ['files__a.b'] }, false],
    [{ tools: ['files__a_b'] }, false],
    [{ tools: ['files__gone'] }, true],
    [{ tools: ['files__read', 'files__gone'] }, true],
    [{ tools: ['**'], prompts: ['files__nothing'] }, true],
    [{ tools: ['**'], prompts: ['**'], resources: ['**'], methods: ['**'] }, false],
    [{ prompts: ['search:ask'] }, false],
    [{ prompts: ['find'], servers: [1] }, true],
    [{ resources: ['file:///etc/*'] }, false],
    [{ resources: ['data://x/*'] }, false],
    [{ resources: ['other://*'] }, true],
    [{ resources: ['other://*'], servers: [1] }, false],
    [{ methods: ['vendor/*'] }, true],
  ];
  for (const [change, isNamed] of rows) {
    it(`${JSON.stringify(change)}: ${isNamed ? 'is named' : 'is not'}`, () => {
      assert.deepEqual(faultsOf([route('r', change)]), isNamed ? ['r no-match'] : []);
    });
  }

  it('is named with what to write instead', () => {
    const [fault] = routeFaults({ routes: [route('r', { tools: ['read'] })], rules, servers }, TABLE);
    assert.match(
      fault!.detail,
      /nothing that is offered: tools "read" .*write "files:read", or add servers: \[files\]/,
    );
  });

  it('is not named while a server that may offer it is not listed', () => {
    const late = catalog([['tool', 0, 'files__read', 'read']], 1, [1]);
    assert.deepEqual(faultsOf([route('r', { tools: ['search__x'] })], late), []);
    assert.deepEqual(faultsOf([route('r', { tools: ['files__x'] })], late), ['r no-match']);
    assert.deepEqual(faultsOf([route('r', { tools: ['x'] })], late), ['r no-match']);
  });

  it('is named from the configuration alone where no server can have such a name', () => {
    assert.deepEqual(faultsOf([route('r', { tools: ['admin_x', 'x'] })], null), ['r no-match']);
    assert.deepEqual(faultsOf([route('r', { tools: ['files__*'] })], null), []);
  });
});

describe('a route that can never be reached', () => {
  const rows: [earlier: Partial<RouteSnapshot>, later: Partial<RouteSnapshot>, isNamed: boolean][] = [
    [{ tools: ['**'] }, { tools: ['files__read'] }, true],
    [{ tools: ['**'] }, { tools: ['files__read'], prompts: ['**'] }, false],
    [{ tools: ['files__*'] }, { tools: ['files__r*'] }, true],
    [{ tools: ['files__*'] }, { tools: ['files__r**'] }, false],
    [{ tools: ['files__*'] }, { tools: ['f*'] }, false],
    [{ tools: ['files__rea?'] }, { tools: ['files__read'] }, true],
    [{ tools: ['read'] }, { tools: ['read'], servers: [0] }, false],
    [{ tools: ['read'], servers: [0] }, { tools: ['read'], servers: [0], requiredScopes: ['x'] }, true],
    [{ resources: ['data://*'] }, { resources: ['data://x/y'] }, true],
    [{ resources: ['data://*'] }, { resources: ['data://x/*'] }, true],
    [{ resources: ['data://*/y'] }, { resources: ['data://x/*'] }, false],
    [{ resources: ['data://*'] }, { resources: ['data://{id}'] }, true],
  ];
  for (const [earlier, later, isNamed] of rows) {
    it(`${JSON.stringify(later)} behind ${JSON.stringify(earlier)}: ${isNamed ? 'is named' : 'is not'}`, () => {
      const found = faultsOf([route('a', earlier), route('b', later)], null);
      assert.equal(found.includes('b unreachable'), isNamed, found.join());
    });
  }
});

describe('a route whose scopes nothing can grant', () => {
  const routes = [route('r', { tools: ['**'], requiredScopes: ['a', 'b'] })];
  const token = (...scopes: string[]) => ({ token: 't', subject: 's', scopes });
  const bearer = (...tokens: ReturnType<typeof token>[]): Snapshot['auth'] => authOf({ type: 'bearer', tokens });

  it('is named where there is no authentication, or no token has all of them', () => {
    assert.equal(grantFaults(routes, authOf().providers).length, 1);
    assert.equal(grantFaults(routes, bearer(token('a'), token('b')).providers).length, 1);
    assert.equal(grantFaults(routes, bearer(token('a'), token('b', 'c', 'a')).providers).length, 0);
    assert.match(configFaults(snapshot({ routes }))[0]!.detail, /requires a b, but with auth: none/);
  });
});
