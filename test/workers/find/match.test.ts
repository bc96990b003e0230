import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { Method } from '../../../native/layout.js';
import type { RouteSnapshot } from '../../../src/config/snapshot/index.js';
import type { ConditionsSnapshot, PatternText } from '../../../src/config/snapshot/match.js';
import { ERROR_CODES } from '../../../src/errors.js';
import { NEVER, principal } from '../../../workers/authenticate/principal.js';
import { Finder } from '../../../workers/find/index.js';
import { Action, actionOf } from '../../../workers/find/methods.js';
import { catalog, route, server, snapshot, view } from '../fixture.js';
import { type RecordFields, recordOf } from './record.js';

const NONE: ConditionsSnapshot = {
  methods: null,
  headers: [],
  paths: [],
  principals: [],
  scopes: [],
  tags: [],
  arguments: [],
};
const servers = [server('files', { tags: ['blue'] }), server('search', { tags: ['green', 'fast'] })];
const views = [view(), view({ path: '/users/mcp', base: '/users' })];
const table = catalog([
  ['tool', 0, 'files__read', 'read'],
  ['tool', 1, 'search__find', 'find'],
  ['prompt', 0, 'files__greet', 'greet'],
]);

function when(name: string, conditions: Partial<ConditionsSnapshot>, changes: Partial<RouteSnapshot> = {}) {
  const everything = { tools: ['**'], prompts: ['**'], resources: ['**'], methods: ['**'] };
  return route(name, { ...everything, conditions: { ...NONE, ...conditions }, ...changes });
}

interface Asked extends RecordFields {
  readonly subject?: string;
  readonly scopes?: readonly string[];
}

function finderOf(routes: readonly RouteSnapshot[]): Finder {
  return new Finder(snapshot({ servers, views, attributes: ['x-region', 'x-kind'], routes }), table);
}

function find(finder: Finder, asked: Asked): Finder {
  const record = recordOf({ name: 'search__find', ...asked });
  finder.begin(
    record,
    principal(
      '',
      'bearer',
      'test',
      { subject: asked.subject ?? 'ann', scopes: asked.scopes ?? [], permissions: [] },
      NEVER,
    ),
  );
  const action = actionOf(record.method, false);
  const { bytes, nameStart, nameEnd } = record;
  if (action === Action.task) finder.findTask(bytes, nameStart, nameEnd);
  else if (action <= Action.local) finder.findLocal(record.method);
  else finder.find(action, false, bytes, nameStart, nameEnd);
  return finder;
}

const routeOf = (routes: readonly RouteSnapshot[], asked: Asked): string =>
  routes[find(finderOf(routes), asked).route]?.name ?? 'none';

describe('each member of match', () => {
  const rows: [what: string, conditions: Partial<ConditionsSnapshot>, meets: Asked, lacks: Asked[]][] = [
    [
      'a header by glob',
      { headers: [{ attribute: 0, patterns: ['eu-*'] }] },
      { attributes: ['eu-west', ''] },
      [{ attributes: ['us-east', 'eu-west'] }, { attributes: ['', 'eu-west'] }, {}],
    ],
    [
      'two headers',
      { headers: ['eu-*', 'trial'].map((text, attribute) => ({ attribute, patterns: [text] })) },
      { attributes: ['eu-1', 'trial'] },
      [{ attributes: ['eu-1', 'paid'] }, { attributes: ['us', 'trial'] }],
    ],
    [
      'a header by regular expression, which has to match all of it',
      { headers: [{ attribute: 1, patterns: [{ regex: 'v[0-9]+' }] }] },
      { attributes: ['', 'v12'] },
      [{ attributes: ['', 'v12x'] }, { attributes: ['', 'xv12'] }],
    ],
    ['the path of a view', { paths: ['/users/*'] }, { view: 1 }, [{ view: 0 }]],
    [
      'a subject',
      { principals: ['a*', 'team/**'] },
      { subject: 'team/x/y' },
      [{ subject: 'bob' }, { subject: 'team' }],
    ],
    ['one of the scopes', { scopes: ['use', 'adm*'] }, { scopes: ['x', 'admin'] }, [{ scopes: ['x'] }, {}]],
    ['a tag of the server', { tags: ['gr*'] }, {}, [{ name: 'files__read' }]],
    ['a method', { methods: [Method.promptsGet] }, { method: Method.promptsGet, name: 'files__greet' }, [{}]],
    ['a method of the gateway', { methods: [Method.toolsList] }, { method: Method.toolsList, name: '' }, [{}]],
    [
      'an argument by glob',
      { arguments: [{ pointer: ['q', 'kind'], values: ['ex*'] }] },
      { arguments: '{"a":1, "q": {"kind":"e\\u0078tra"}}' },
      ['{}', '{"q":"extra"}', '{"q":{"kind":"other"}}', '{"q":{"kind":["extra"]}}', '[]', ''].map((text) => ({
        arguments: text,
      })),
    ],
    [
      'an argument by value',
      { arguments: [{ pointer: ['n'], values: [2, true, null] }] },
      { arguments: '{"n":2.0}' },
      ['{"n":3}', '{"n":"2"}', '{"n":false}', '{"n":"null"}'].map((text) => ({ arguments: text })),
    ],
    [
      'an element of a list',
      { arguments: [{ pointer: ['l', '1'], values: ['b'] }] },
      { arguments: '{"l":["a","b"]}' },
      ['{"l":["b"]}', '{"l":{"0":"b"}}'].map((text) => ({ arguments: text })),
    ],
  ];
  for (const [what, conditions, meets, lacks] of rows) {
    test(`matches ${what}`, () => {
      const routes = [when('first', conditions), route('rest', { tools: ['**'], prompts: ['**'] })];
      assert.equal(routeOf(routes, meets), 'first');
      for (const asked of lacks) assert.notEqual(routeOf(routes, asked), 'first', JSON.stringify(asked));
    });
  }
});

test('a call is judged by arguments only when they are at hand, and asks for them otherwise', () => {
  const routes = [
    when('first', { arguments: [{ pointer: ['x'], values: ['1'] }], tags: ['green'] }),
    route('rest', { tools: ['**'] }),
  ];
  const finder = finderOf(routes);
  assert.equal(find(finder, {}).needsArguments, true);
  assert.equal(find(finder, { arguments: '{"x":"1"}' }).needsArguments, false);
  assert.equal(find(finder, { name: 'files__read' }).needsArguments, false, 'no such rule concerns it');
  assert.equal(routes[finder.route]?.name, 'rest');
});

test('arguments that parsers read differently are refused where a rule reads them', () => {
  const routes = [
    when('first', { arguments: [{ pointer: ['m'], values: ['delete'] }] }),
    route('rest', { tools: ['**'] }),
  ];
  for (const text of ['{"m":"read","m":"delete"}', '{"m":"read","\\u006d":"delete"}', '{"m":"delete","m":"read"}']) {
    assert.equal(ERROR_CODES[find(finderOf(routes), { arguments: text }).error], 'GW_INVALID_PARAMS', text);
  }
  assert.equal(find(finderOf(routes), { arguments: '{"x":1,"x":2,"m":"read"}' }).error, -1);
});

test('a task needs the scopes of rules that may have applied to the call that made it', () => {
  const routes = [when('first', { arguments: [{ pointer: ['x'], values: ['1'] }] }), route('rest', { tools: ['**'] })];
  const { route: main, alsoRoutes } = find(finderOf(routes), { method: Method.tasksGet, name: 'search:find' });
  assert.deepEqual([main, ...alsoRoutes], [1, 0]);
});

test('another name of a target does not bypass a rule with a condition', () => {
  const byHeader = { headers: [{ attribute: 0, patterns: ['eu'] }] };
  const routes = [when('secret', byHeader, { tools: ['search:find'], prompts: [] }), route('rest', { tools: ['**'] })];
  for (const name of ['search__find', 'search:find']) {
    assert.equal(routeOf(routes, { name, attributes: ['eu', ''] }), 'secret', name);
    assert.equal(routeOf(routes, { name, attributes: ['us', ''] }), 'rest', name);
  }
});

// The model: patterns by naive recursion, and every member by itself.

function globMatches(glob: string, text: string): boolean {
  if (glob === '') return text === '';
  if (glob.startsWith('**'))
    return globMatches(glob.slice(2), text) || (text !== '' && globMatches(glob, text.slice(1)));
  if (glob.startsWith('*')) {
    return globMatches(glob.slice(1), text) || (text !== '' && text[0] !== '/' && globMatches(glob, text.slice(1)));
  }
  return text !== '' && glob[0] === text[0] && globMatches(glob.slice(1), text.slice(1));
}

const holds = (patterns: readonly PatternText[], texts: readonly string[]): boolean =>
  patterns.length === 0 ||
  texts.some((text) =>
    patterns.some((each) =>
      typeof each === 'string' ? globMatches(each, text) : new RegExp(`^(?:${each.regex})$`).test(text),
    ),
  );

const TEXTS = ['a', 'ab', 'b', 'a/b'];
const pattern = fc.constantFrom<PatternText>('a', 'a*', '**', '*b', 'ab', { regex: 'a|b' }, { regex: 'a.*' });
const some = fc.oneof(fc.constant<PatternText[]>([]), fc.array(pattern, { minLength: 1, maxLength: 2 }));
const conditionsOf = fc.record<ConditionsSnapshot>({
  methods: fc.constantFrom<number[] | null>(null, [Method.toolsCall], [Method.promptsGet]),
  headers: some.map((patterns) => (patterns.length === 0 ? [] : [{ attribute: 0, patterns }])),
  paths: fc.constantFrom<PatternText[]>([], ['/users/mcp'], ['/*']),
  principals: some,
  scopes: some,
  tags: fc.constantFrom<PatternText[]>([], ['blue'], ['green'], ['*']),
  arguments: some.map((values) => (values.length === 0 ? [] : [{ pointer: ['k'], values }])),
});
const routesOf = fc.array(
  fc.record({
    tools: fc.constantFrom<PatternText[]>(['**'], ['search__*'], ['files__read'], [{ regex: 'search__f.*' }]),
    conditions: fc.option(conditionsOf, { nil: null }),
  }),
  { maxLength: 6 },
);
const askedOf = fc.record({
  name: fc.constantFrom('search__find', 'files__read'),
  subject: fc.constantFrom(...TEXTS),
  scopes: fc.subarray(TEXTS),
  attributes: fc.constantFrom('', ...TEXTS).map((value) => [value, 'x']),
  view: fc.constantFrom(0, 1),
  k: fc.option(fc.constantFrom(...TEXTS), { nil: undefined }),
});

test('the first route that matches counts, over all members, as a naive reading says', () => {
  fc.assert(
    fc.property(routesOf, askedOf, (rows, { k, ...asked }) => {
      const routes = rows.map((row, i) => route(String(i), row));
      const [address, tags] =
        asked.name === 'files__read' ? ['files:read', ['blue']] : ['search:find', ['green', 'fast']];
      const expected = routes.findIndex(({ tools, conditions }) => {
        if (!holds(tools, [asked.name, address as string])) return false;
        if (conditions === null) return true;
        const { headers, methods, paths, principals, scopes, arguments: tests } = conditions;
        return (
          (methods?.includes(Method.toolsCall) ?? true) &&
          headers.every(({ patterns }) => asked.attributes[0] !== '' && holds(patterns, [asked.attributes[0]!])) &&
          holds(paths, [views[asked.view]!.path]) &&
          holds(principals, [asked.subject]) &&
          (scopes.length === 0 || holds(scopes, asked.scopes)) &&
          holds(conditions.tags, tags as string[]) &&
          tests.every(({ values }) => k !== undefined && holds(values as PatternText[], [k]))
        );
      });
      const finder = finderOf(routes);
      assert.equal(find(finder, { ...asked, arguments: JSON.stringify({ k }) }).route, expected);
      // Without the arguments, what was found is the same or has to be asked for again.
      if (!find(finder, asked).needsArguments) assert.equal(finder.route, expected);
    }),
    { numRuns: 400 },
  );
});
