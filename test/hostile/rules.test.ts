/**
 * Rules that a detour could avoid: every method, with every spelling of what it is about, in every state of the catalog. The
 * principal lacks the scope that the rule asks for; whatever is about the protected server has to be refused.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { METHODS } from '../../native/layout.js';
import type { CatalogRules, RouteSnapshot } from '../../src/config/snapshot/index.js';
import { type CatalogTable, EntryFlag } from '../../src/shared/catalog-table.js';
import { Operation } from '../../src/shared/ring/records.js';
import { DispatchFixture } from '../request/dispatch/fixture.js';
import { authOf } from '../support/auth.js';
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
      whenDenied: 'challenge' as const,
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
      whenDenied: 'challenge' as const,
    }),
    route('rest', { tools: ['**'], prompts: ['**'], resources: ['**'], methods: ['**'] }),
  ],
  'a rule by own names of a server': [
    route('admin', {
      tools: ['delete'],
      prompts: ['ask'],
      resources: ['secret://*'],
      methods: ['vendor/secret'],
      servers: [1],
      requiredScopes: ['admin'],
      whenDenied: 'challenge' as const,
    }),
    route('rest', { tools: ['**'], prompts: ['**'], resources: ['**'], methods: ['**'] }),
  ],
  'a rule by addresses': [
    route('admin', {
      tools: ['admin:*'],
      prompts: ['admin:*'],
      resources: ['secret://*'],
      methods: ['vendor/*'],
      requiredScopes: ['admin'],
      whenDenied: 'challenge' as const,
    }),
    route('rest', { tools: ['**'], prompts: ['**'], resources: ['**'], methods: ['**'] }),
  ],
  'a rule without match': [
    route('all', {
      tools: ['**'],
      prompts: ['**'],
      resources: ['**'],
      methods: ['**'],
      requiredScopes: ['admin'],
      whenDenied: 'challenge' as const,
    }),
  ],
};

const servers = [server('open'), server('admin', { methods: ['vendor/*'] })];
const auth = authOf({
  type: 'bearer',
  tokens: [
    { token: 'low', subject: 'low', scopes: [] },
    { token: 'high', subject: 'high', scopes: ['admin'] },
  ],
});

const RENAMED = catalog(
  [
    ['tool', 0, 'open__look', 'look'],
    ['tool', 1, 'admin__delete_all', 'delete.all', EntryFlag.renamed],
    ['prompt', 1, 'admin__ask_me', 'ask.me', EntryFlag.renamed],
  ],
  1,
  [],
  ['open', 'admin'],
);
const rest = route('rest', { tools: ['**'], prompts: ['**'] });
const admin = { requiredScopes: ['admin'], whenDenied: 'challenge' as const };
/** Rules for a tool and a prompt whose offered names are not the upstream's; each has to hold by itself. */
const NAME_RULES: Readonly<Record<string, readonly RouteSnapshot[]>> = {
  'by offered name': [route('a', { tools: ['admin__delete_all'], prompts: ['admin__ask_me'], ...admin }), rest],
  'by original name': [route('a', { tools: ['admin__delete.all'], prompts: ['admin__ask.me'], ...admin }), rest],
  'by a glob over originals': [route('a', { tools: ['admin__*.*'], prompts: ['admin__*.*'], ...admin }), rest],
  'by address': [route('a', { tools: ['admin:delete.all'], prompts: ['admin:ask.me'], ...admin }), rest],
  'by own name': [route('a', { tools: ['delete.*'], prompts: ['ask.*'], servers: [1], ...admin }), rest],
  'by bare name, without servers': [route('a', { tools: ['delete.all'], prompts: ['ask.me'], ...admin }), rest],
  'behind a route for the offered name': [
    route('open', { tools: ['admin__delete_all'], prompts: ['admin__ask_me'] }),
    route('a', { tools: ['admin__delete.all'], prompts: ['admin__ask.me'], ...admin }),
  ],
  'behind a route for the original name': [
    route('open', { tools: ['admin__delete.all'], prompts: ['admin__ask.me'] }),
    route('a', { tools: ['admin__delete_all'], prompts: ['admin__ask_me'], ...admin }),
  ],
};

describe('rules hold for every name of what is offered under a changed one', () => {
  for (const [rule, routes] of Object.entries(NAME_RULES)) {
    it(rule, async () => {
      const fixture = new DispatchFixture({ auth, servers, routes }, RENAMED);
      try {
        for (const modern of [false, true]) {
          for (const name of ['admin__delete_all', 'admin__delete.all', 'delete.all', 'admin:delete.all']) {
            const raw = JSON.stringify({
              jsonrpc: '2.0',
              id: 1,
              method: 'tools/call',
              params: { name, arguments: {} },
            });
            judge('tool', await fixture.ask({ raw, modern, token: 'low' }), `${rule}: ${name}`);
            assert.equal((await fixture.ask({ raw, modern, token: 'high' })).error, '', `${rule}: ${name}`);
          }
          for (const name of ['admin__ask_me', 'admin__ask.me', 'ask.me', 'admin:ask.me']) {
            const raw = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'prompts/get', params: { name } });
            judge('prompt', await fixture.ask({ raw, modern, token: 'low' }), `${rule}: ${name}`);
          }
        }
        const open = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'open__look' } });
        assert.equal((await fixture.ask({ raw: open, token: 'low' })).error, '');
      } finally {
        await fixture.close();
      }
    });
  }
});

const CONFLICTS: readonly CatalogRules['conflict'][] = ['prefix', 'auto-prefix', 'priority'];

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
