/**
 * Rules that a detour could avoid: every method, with every spelling of what it is about, in every state of the catalog. The
 * principal lacks the scope that the rule asks for; whatever is about the protected server has to be refused.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { METHODS } from '../../native/layout.js';
import type { CatalogRules, RouteSnapshot } from '../../src/config/snapshot.js';
import type { CatalogTable } from '../../src/shared/catalog-table.js';
import { Operation } from '../../src/shared/records.js';
import { DispatchFixture } from '../request/dispatch/fixture.js';
import { catalog, route, server, snapshot } from '../workers/fixture.js';

/** What a method is about. */
type About =
  | 'tool'
  | 'prompt'
  | 'resource'
  | 'reference'
  | 'task'
  /** Passed through to the server that is configured for it. */
  | 'method'
  /** Nothing of one server: answered by the gateway, for everybody who is let in. */
  | 'gateway'
  /** Comes from servers; a client that sends it as a request is told that there is no such method. */
  | 'none';

/** One row a method. A method without a row fails the test: say first what it is about. */
const METHOD_ROWS: Readonly<Record<string, readonly [legacy: About, modern: About]>> = {
  '': ['method', 'method'],
  initialize: ['gateway', 'none'],
  ping: ['gateway', 'none'],
  'server/discover': ['none', 'gateway'],
  'tools/list': ['gateway', 'gateway'],
  'tools/call': ['tool', 'tool'],
  'prompts/list': ['gateway', 'gateway'],
  'prompts/get': ['prompt', 'prompt'],
  'resources/list': ['gateway', 'gateway'],
  'resources/templates/list': ['gateway', 'gateway'],
  'resources/read': ['resource', 'resource'],
  'resources/subscribe': ['resource', 'none'],
  'resources/unsubscribe': ['resource', 'none'],
  // Its resources and tasks are asked for one by one (Dispatcher.ask).
  'subscriptions/listen': ['none', 'gateway'],
  'completion/complete': ['reference', 'reference'],
  'logging/setLevel': ['gateway', 'none'],
  'tasks/get': ['task', 'task'],
  'tasks/result': ['task', 'none'],
  'tasks/list': ['none', 'none'],
  'tasks/cancel': ['task', 'task'],
  'tasks/update': ['none', 'task'],
  'sampling/createMessage': ['none', 'none'],
  'roots/list': ['none', 'none'],
  'elicitation/create': ['none', 'none'],
  // Notifications go to nobody but the call or session of the one who sends them.
  ...Object.fromEntries(
    METHODS.filter((method) => method.startsWith('notifications/')).map((m) => [m, ['gateway', 'gateway']]),
  ),
};

const OPERATION_ROWS: Readonly<Record<keyof typeof Operation, About>> = {
  stream: 'gateway',
  terminate: 'gateway',
  accept: 'gateway',
};

const LISTED = catalog([
  ['tool', 0, 'open__look', 'look'],
  ['tool', 1, 'admin__delete', 'delete'],
  ['prompt', 1, 'admin__ask', 'ask'],
  ['resource', 1, 'secret://plan', 'secret://plan'],
  ['template', 1, 'secret://{id}', 'secret://{id}'],
]);

const STATES: Readonly<Record<string, CatalogTable>> = {
  discovered: LISTED,
  undiscovered: catalog([['tool', 0, 'open__look', 'look']], 1, [1]),
  gone: catalog([['tool', 0, 'open__look', 'look']]),
};

const TOOLS = [
  'admin__delete',
  'admin:delete',
  'delete',
  'admin__DELETE',
  'admin:DELETE',
  'admin__delete ',
  'admin:delete\u200b',
];
const PROMPTS = ['admin__ask', 'admin:ask', 'ask', 'admin__ASK', 'admin__ask\t'];
const URIS = ['secret://plan', 'secret:plan', 'secret:/plan', 'secret://%2Fplan', 'secret:///plan', 'secret://other'];

/** The messages that are about the protected server. */
const SPELLINGS: Readonly<Record<About, readonly object[]>> = {
  tool: TOOLS.map((name) => ({ name, arguments: {} })),
  prompt: PROMPTS.map((name) => ({ name })),
  resource: URIS.map((uri) => ({ uri })),
  reference: [
    ...PROMPTS.map((name) => ({ ref: { type: 'ref/prompt', name }, argument: {} })),
    ...[...URIS, 'secret://{id}'].map((uri) => ({ ref: { type: 'ref/resource', uri }, argument: {} })),
  ],
  // What the front puts into the place of a task's id (TaskRoutes.nameTool); the last one is of a tool that is forgotten.
  task: ['admin:delete', 'admin:'].map((taskId) => ({ taskId })),
  method: [{}],
  gateway: [{}],
  none: [{}],
};

const RULES: Readonly<Record<string, readonly RouteSnapshot[]>> = {
  'a rule by name': [
    route('admin', {
      tools: ['admin__*'],
      prompts: ['admin__*'],
      resources: ['secret://**'],
      methods: ['vendor/**'],
      requiredScopes: ['admin'],
    }),
    route('rest', { tools: ['**'], prompts: ['**'], resources: ['**'], methods: ['**'] }),
  ],
  'a rule by exact names': [
    route('admin', {
      tools: ['admin__delete'],
      prompts: ['admin__ask'],
      resources: ['secret://**'],
      methods: ['vendor/secret'],
      requiredScopes: ['admin'],
    }),
    route('rest', { tools: ['**'], prompts: ['**'], resources: ['**'], methods: ['**'] }),
  ],
  'a rule without match': [
    route('all', { tools: ['**'], prompts: ['**'], resources: ['**'], methods: ['**'], requiredScopes: ['admin'] }),
  ],
};

const CONFLICTS: readonly CatalogRules['conflict'][] = ['prefix', 'auto-prefix', 'priority'];

const servers = [server('open'), server('admin', { methods: ['vendor/*'] })];
const auth = {
  type: 'bearer',
  tokens: [{ token: 'low', subject: 'low', scopes: [] }],
  resourceMetadata: null,
} as const;

/** Denied for the scope, or because there is no such thing: nothing goes on to the server. */
const REFUSALS = /^GW_(INSUFFICIENT_SCOPE|UNKNOWN_(TOOL|PROMPT|RESOURCE|TASK)|UPSTREAM_DOWN)$/;

describe('rules hold whatever way is taken', () => {
  it('every method and operation has a row', () => {
    assert.deepEqual(Object.keys(METHOD_ROWS).sort(), [...METHODS].sort());
    assert.deepEqual(Object.keys(OPERATION_ROWS).sort(), Object.keys(Operation).sort());
  });

  for (const conflict of CONFLICTS) {
    for (const [rule, routes] of Object.entries(RULES)) {
      for (const [state, table] of Object.entries(STATES)) {
        it(`${rule}, names by ${conflict}, lists ${state}`, async () => {
          const rules = { ...snapshot().catalog, conflict };
          const fixture = new DispatchFixture({ auth, servers, routes, catalog: rules }, table);
          try {
            await everyMethod(fixture);
            // The same again: what is remembered is no way around either, and a reload is not.
            await everyMethod(fixture);
            fixture.dispatcher.reconfigure(snapshot({ auth, servers, routes, catalog: rules, version: 2 }));
            await everyMethod(fixture);
            fixture.dispatcher.setCatalog({ ...LISTED, version: 2 });
            await everyMethod(fixture);
          } finally {
            await fixture.close();
          }
        });
      }
    }
  }
});

async function everyMethod(fixture: DispatchFixture): Promise<void> {
  for (const [name, about] of Object.entries(METHOD_ROWS)) {
    for (const modern of [false, true]) {
      const kind = about[modern ? 1 : 0]!;
      for (const params of SPELLINGS[kind]) {
        const method = name === '' ? 'vendor/secret' : name;
        const id = method.startsWith('notifications/') ? {} : { id: 1 };
        const raw = JSON.stringify({ jsonrpc: '2.0', ...id, method, params });
        const decided = await fixture.ask({ raw, modern, token: 'low' });
        judge(kind, decided, `${modern ? 'modern' : 'legacy'} ${raw}`);
      }
    }
  }
  for (const [name, kind] of Object.entries(OPERATION_ROWS)) {
    for (const params of SPELLINGS[kind]) {
      // A message about the same thing, of which the front makes the question.
      const raw = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'resources/read', params });
      const decided = await fixture.ask({ raw, token: 'low', operation: Operation[name as keyof typeof Operation] });
      judge(kind, decided, `${name} ${raw}`);
    }
  }
}

function judge(kind: About, { verdict, error }: { verdict: string; error: string }, message: string): void {
  if (kind === 'gateway') assert.equal(verdict, 'local', message);
  else if (kind === 'none') assert.match(error, /^GW_METHOD_NOT_FOUND/, message);
  else assert.match(error, REFUSALS, message);
}
