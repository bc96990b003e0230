import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { METHODS, Method } from '../../../native/layout.js';
import { TOMBSTONE } from '../../../src/config/numbering.js';
import type { LimitMatchSnapshot, Snapshot } from '../../../src/config/snapshot/index.js';
import { ERROR_CODES } from '../../../src/errors.js';
import { EntryFlag } from '../../../src/shared/catalog-table.js';
import { Operation, VerdictFlag } from '../../../src/shared/ring/records.js';
import { Finder } from '../../../workers/find/index.js';
import { Action, actionOf } from '../../../workers/find/methods.js';
import {
  catalog,
  type EntryRow,
  rateLimits,
  route,
  sampleCatalog,
  server,
  snapshot,
  tokenBucket,
  toolLimit,
} from '../fixture.js';

function found(finder: Finder, action: keyof typeof Action, name: string, isUri = false) {
  const bytes = Buffer.from(`"${name}"`);
  finder.find(Action[action], isUri, bytes, 1, bytes.length - 1);
  const { server, route, entry, stripBytes, flags, limits } = finder;
  return {
    error: ERROR_CODES[finder.error] ?? '',
    server,
    route,
    entry,
    stripBytes,
    flags,
    toolRule: limits.toolRule,
    rules: [...limits.rules].sort((a, b) => a - b),
  };
}

const make = (changes: Partial<Snapshot> = {}, table = sampleCatalog): Finder => new Finder(snapshot(changes), table);

describe('find', () => {
  it('never uses the number of a server that a reload removed, even if the older catalog has it', () => {
    const table = catalog([], 1, [0]);
    const before = snapshot({ servers: [server('late', { prefix: null }), server('other')] });
    assert.equal(found(new Finder(before, table), 'tool', 'other__x').server, 0, 'its names could be any');
    const after = snapshot({ servers: [TOMBSTONE, server('other')] });
    assert.equal(found(new Finder(after, table), 'tool', 'other__x').error, 'GW_UNKNOWN_TOOL');
    assert.equal(found(new Finder(after, table), 'resource', 'x:y', true).server, 1, 'the only server there is');
  });

  it('finds tools, prompts and resources by their exact names, each kind among its own', () => {
    const finder = make();
    assert.deepEqual(found(finder, 'tool', 'files__read'), {
      error: '',
      server: 0,
      route: -1,
      entry: 0,
      stripBytes: 0,
      flags: 0,
      toolRule: -1,
      rules: [],
    });
    assert.equal(found(finder, 'tool', 'search__find').server, 1);
    assert.equal(found(finder, 'prompt', 'files__greet').entry, 2);
    assert.equal(found(finder, 'resource', 'file:///etc/motd').entry, 3);
    assert.equal(found(finder, 'prompt', 'files__read').error, 'GW_UNKNOWN_PROMPT');
    assert.equal(found(finder, 'tool', 'files__greet').error, 'GW_UNKNOWN_TOOL');
    assert.equal(found(finder, 'resource', 'file:///etc/passwd').error, 'GW_UNKNOWN_RESOURCE');
  });

  it('finds no near misses: case, look-alikes, separators, paths', () => {
    const finder = make();
    for (const name of [
      'Files__read',
      'files__rеad',
      'files_read',
      'files__',
      '__read',
      'read',
      'files__read ',
      '../files__read',
      'files__read\0',
      '',
      'search__read',
      'files__search__find',
      '__proto__',
      'constructor',
    ]) {
      assert.equal(found(finder, 'tool', name).error, 'GW_UNKNOWN_TOOL', JSON.stringify(name));
    }
  });

  it('accepts an explicit address, and applies the rules of the public name', () => {
    const routes = [route('r', { tools: ['search__*'], requiredScopes: ['s'] })];
    const finder = make({ routes });
    const addressed = found(finder, 'tool', 'search:find');
    assert.equal(addressed.entry, 1);
    assert.equal(addressed.route, 0);
    assert.equal(found(finder, 'tool', 'files:find').error, 'GW_UNKNOWN_TOOL');
    assert.equal(found(finder, 'tool', 'search:search__find').error, 'GW_UNKNOWN_TOOL');
  });

  it('marks calls that may be repeated', () => {
    const rows: EntryRow[] = [
      ['tool', 0, 'a__ro', 'ro', EntryFlag.readOnly],
      ['tool', 0, 'a__id', 'id', EntryFlag.idempotent],
      ['tool', 0, 'a__no', 'no', EntryFlag.destructive],
      ['prompt', 0, 'a__p'],
    ];
    const finder = make({ routes: [route('r', { tools: ['a__no'], idempotent: true })] }, catalog(rows));
    for (const name of ['a__ro', 'a__id', 'a__no'])
      assert.equal(found(finder, 'tool', name).flags, VerdictFlag.safe, name);
    assert.equal(found(finder, 'prompt', 'a__p').flags, VerdictFlag.safe);
    assert.equal(found(make({}, catalog(rows)), 'tool', 'a__no').flags, 0);
  });

  it('uses the first route that matches, and its servers in order', () => {
    const finder = make({
      routes: [
        route('none', { prompts: ['**'] }),
        route('files', { tools: ['files__r*'], servers: [1, 0] }),
        route('all', { tools: ['**'] }),
      ],
    });
    assert.deepEqual([found(finder, 'tool', 'files__read').route, found(finder, 'tool', 'files__read').server], [1, 1]);
    assert.deepEqual(
      [found(finder, 'tool', 'search__find').route, found(finder, 'tool', 'search__find').server],
      [2, 1],
    );
    assert.equal(found(finder, 'prompt', 'files__greet').route, 0);
    assert.equal(found(finder, 'resource', 'file:///etc/motd').route, -1);
  });

  it('resolves resources: exact before template, the most literal template, then routes with servers', () => {
    const table = catalog([
      ['template', 0, 'file:///{+path}', 'file:///{+path}'],
      ['template', 1, 'file:///home/{+path}', 'file:///home/{+path}'],
      ['resource', 0, 'file:///home/me', 'file:///home/me'],
      ['template', 0, 'broken:{', 'broken:{'],
    ]);
    const finder = make(
      { routes: [route('web', { resources: ['https://docs/**', 'x://{id}'], servers: [1] })] },
      table,
    );
    assert.equal(found(finder, 'resource', 'file:///home/me').entry, 2);
    assert.equal(found(finder, 'resource', 'file:///home/you').entry, 1);
    assert.equal(found(finder, 'resource', 'file:///etc/motd').entry, 0);
    const web = found(finder, 'resource', 'https://docs/a/b');
    assert.deepEqual([web.error, web.entry, web.server, web.route, web.stripBytes], ['', -1, 1, 0, 0]);
    assert.equal(found(finder, 'resource', 'x://7').server, 1);
    assert.equal(found(finder, 'resource', 'x://7/8').error, 'GW_UNKNOWN_RESOURCE');
    assert.equal(found(finder, 'resource', 'broken:{').error, 'GW_UNKNOWN_RESOURCE');
  });

  it('routes completions by the prompt, the template text or the resource they refer to', () => {
    const finder = make();
    assert.equal(found(finder, 'complete', 'files__greet').entry, 2);
    assert.equal(found(finder, 'complete', 'file:///home/{+path}', true).entry, 4);
    assert.equal(found(finder, 'complete', 'file:///etc/motd', true).entry, 3);
    assert.equal(found(finder, 'complete', 'nope').error, 'GW_UNKNOWN_PROMPT');
    assert.equal(found(finder, 'complete', 'nope://', true).error, 'GW_UNKNOWN_RESOURCE');
  });

  it('forwards names of servers that are not discovered yet, without their prefix, except those they exclude', () => {
    const servers = [
      server('files'),
      server('search', { exclude: ['drop_*'], include: ['*'] }),
      server('bare', { prefix: null, include: ['only_*'] }),
    ];
    const finder = make({ servers }, catalog([['tool', 0, 'files__read']], 1, [1, 2]));
    const seen = found(finder, 'tool', 'search__find');
    assert.deepEqual([seen.error, seen.server, seen.entry, seen.stripBytes], ['', 1, -1, 8]);
    assert.equal(found(finder, 'tool', 'search:find').stripBytes, 7);
    assert.equal(found(finder, 'tool', 'search__drop_all').error, 'GW_UNKNOWN_TOOL');
    assert.equal(found(finder, 'tool', 'search:drop_all').error, 'GW_UNKNOWN_TOOL');
    assert.equal(found(finder, 'tool', 'search__').error, 'GW_UNKNOWN_TOOL');
    assert.deepEqual(
      [found(finder, 'tool', 'only_this').server, found(finder, 'tool', 'only_this').stripBytes],
      [2, 0],
    );
    assert.equal(found(finder, 'tool', 'files__other').error, 'GW_UNKNOWN_TOOL');
    assert.equal(found(finder, 'prompt', 'search__hello').server, 1);
  });

  it('applies tool rules by the first pattern', () => {
    const perTool = [toolLimit(['files__read', 'x'], tokenBucket(1, 1)), toolLimit(['**'], tokenBucket(1, 1))];
    const finder = make({ rateLimits: rateLimits({ perTool, maxClients: 1 }) });
    assert.equal(found(finder, 'tool', 'files__read').toolRule, 0);
    assert.equal(found(finder, 'tool', 'search__find').toolRule, 1);
    assert.equal(found(finder, 'tool', 'files:read').toolRule, 0);
    assert.equal(found(finder, 'prompt', 'files__greet').toolRule, -1);
    const changed = catalog([['tool', 0, 'files__a_b', 'a.b', EntryFlag.renamed]]);
    const former = [toolLimit(['files__a.b'], tokenBucket(1, 1))];
    const other = make({ rateLimits: rateLimits({ perTool: former, maxClients: 1 }) }, changed);
    assert.equal(found(other, 'tool', 'files__a_b').toolRule, 0, 'by the name before it was changed');
  });

  it('finds every limit that names a tool, a prompt or a URI, each by patterns of its kind', () => {
    const limitOf = (match: Partial<LimitMatchSnapshot>) => ({
      match: { headers: [], paths: [], principals: [], scopes: [], tools: [], prompts: [], resources: [], ...match },
      rule: tokenBucket(1, 1),
      key: null,
    });
    const rules = [
      limitOf({}),
      limitOf({ prompts: ['files:*'] }),
      limitOf({ tools: [{ regex: '.*re[a]d' }], prompts: ['**'] }),
      limitOf({ resources: ['file:///home/{user}/notes', 'file:///etc/*'] }),
      limitOf({ resources: ['file:///etc/motd'], tools: ['late__x'] }),
    ];
    const finder = make(
      {
        rateLimits: rateLimits({ rules, maxClients: 1 }),
        servers: [server('files'), server('search'), server('late')],
      },
      { ...sampleCatalog, undiscovered: [2] },
    );
    const rows: [kind: keyof typeof Action, name: string, rules: number[]][] = [
      ['prompt', 'files__greet', [1, 2]],
      ['prompt', 'late__new', [2]],
      ['tool', 'files__read', [2]],
      ['tool', 'search__find', []],
      ['tool', 'late:x', [4]],
      ['resource', 'file:///etc/motd', [3, 4]],
      ['resource', 'file:///etc/a/b', [3]],
      ['resource', 'file:///home/ann/notes', [3]],
      ['resource', 'file:///home//ann/notes', [3]],
      ['resource', 'file:///home/ann', []],
      ['complete', 'file:///home/{+path}', []],
      ['complete', 'file:///etc/motd', [3, 4]],
    ];
    for (const round of [1, 2]) {
      for (const [kind, name, expected] of rows) {
        const isUri = kind === 'resource' || kind === 'complete';
        assert.deepEqual(found(finder, kind, name, isUri).rules, expected, `${name}, round ${round}`);
      }
    }
  });

  it('does not pass on what a server whose lists are not known may have, where tools are pinned', () => {
    const servers = [server('files'), server('search'), server('late')];
    const table = { ...sampleCatalog, undiscovered: [2] };
    const { catalog: rules } = snapshot();
    const errorsWith = (pinning: Snapshot['catalog']['pinning']): string[] => {
      const finder = make({ servers, catalog: { ...rules, pinning } }, table);
      return ['late__x', 'late:x'].map((name) => found(finder, 'tool', name).error);
    };
    assert.deepEqual(errorsWith({ onChange: 'flag', onNew: 'hide' }), ['GW_UPSTREAM_DOWN', 'GW_UPSTREAM_DOWN']);
    assert.deepEqual(errorsWith({ onChange: 'refuse', onNew: 'flag' }), ['GW_UPSTREAM_DOWN', 'GW_UPSTREAM_DOWN']);
    assert.deepEqual(errorsWith({ onChange: 'flag', onNew: 'flag' }), ['', '']);
    assert.deepEqual(errorsWith(null), ['', '']);
  });

  it('stays one shape from call to call', () => {
    const finder = make();
    const shape = (): string[] => Object.keys(finder);
    const before = shape();
    found(finder, 'tool', 'files__read');
    found(finder, 'tool', 'nope');
    found(finder, 'resource', 'file:///etc/motd');
    assert.deepEqual(shape(), before);
  });
});

describe('methods', () => {
  const named = (modern: boolean, action: number): string[] =>
    METHODS.filter((method, id) => method !== '' && actionOf(id, modern) === action);

  it('belong to their family', () => {
    assert.deepEqual(named(false, Action.none), [
      'server/discover',
      'subscriptions/listen',
      'tasks/list',
      'tasks/update',
      'sampling/createMessage',
      'roots/list',
      'elicitation/create',
    ]);
    assert.deepEqual(named(true, Action.none), [
      'initialize',
      'ping',
      'resources/subscribe',
      'resources/unsubscribe',
      'logging/setLevel',
      'tasks/result',
      'tasks/list',
      'sampling/createMessage',
      'roots/list',
      'elicitation/create',
    ]);
    assert.equal(actionOf(Method.unknown, false), Action.unknown);
    assert.equal(actionOf(Operation.stream, false), Action.local);
    assert.equal(actionOf(Method.toolsCall, true), Action.tool);
    assert.equal(actionOf(Method.resourcesRead, false), Action.resource);
  });
});
