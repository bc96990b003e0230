import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { ElicitRequestSchema } from '@modelcontextprotocol/sdk/types.js';
import { type RunningGateway, startGateway } from '../support/gateway.js';
import { eventually, isAlive, type TestScope, tempFolder } from '../support/process.js';
import { type ClientV1, connectV1, connectV2 } from '../support/sdk-clients.js';

const STATEFUL = fileURLToPath(new URL('../upstream/fixtures/stateful.js', import.meta.url));

interface Stats {
  readonly upstreams: readonly { readonly endpoints: readonly { readonly dedicated: number }[] }[];
}

interface Isolated {
  readonly gateway: RunningGateway;
  /** Process ids of all children that were ever started. */
  pids(): number[];
  dedicated(): Promise<number>;
}

async function startIsolated(scope: TestScope, server: object, more: object = {}): Promise<Isolated> {
  const file = join(await tempFolder(scope), 'pids');
  const entry = { command: process.execPath, args: [STATEFUL], env: { PID_FILE: file }, ...server };
  const gateway = await startGateway(scope, {
    mcpServers: { state: entry },
    catalog: { separator: '.' },
    ...more,
  });
  const dedicated = async (): Promise<number> => {
    const stats = (await (await fetch(`${gateway.adminUrl}/stats`)).json()) as Stats;
    return stats.upstreams[0]!.endpoints[0]!.dedicated;
  };
  return { gateway, dedicated, pids: () => readFileSync(file, 'utf8').trim().split('\n').map(Number) };
}

type Caller = Pick<ClientV1, 'callTool'>;

// biome-ignore lint/suspicious/noExplicitAny: what the fixture answers
async function call(client: Caller, name: string, args: Record<string, unknown> = {}): Promise<any> {
  const result = await client.callTool({ name: `state.${name}`, arguments: args });
  const [first] = result.content as { text: string }[];
  return JSON.parse(first!.text);
}

test('isolation by session: what the server remembers and asks is for one client of SDK v1', async (t) => {
  const { gateway, dedicated, pids } = await startIsolated(t, { isolation: 'session' });
  const clients = await Promise.all(
    Array.from({ length: 12 }, async (_, index) => {
      const client = await connectV1(t, gateway.url, { capabilities: { elicitation: {} } });
      client.setRequestHandler(ElicitRequestSchema, async ({ params }) => ({
        action: 'accept',
        content: { told: `${params.message} ${index}` },
      }));
      return client;
    }),
  );
  await Promise.all(clients.map((client, index) => call(client, 'remember', { value: index })));
  for (let round = 0; round < 3; round += 1) {
    const answers = await Promise.all(
      clients.flatMap((client, index) => [
        call(client, 'ask', { message: `a${index}` }),
        call(client, 'ask', { message: `b${index}`, ms: 5 }),
      ]),
    );
    assert.deepEqual(
      answers.map(({ answer }) => answer.content.told),
      clients.flatMap((_, index) => [`a${index} ${index}`, `b${index} ${index}`]),
    );
  }
  const states = await Promise.all(clients.map((client) => call(client, 'recall')));
  assert.deepEqual(
    states.map(({ remembered }) => remembered),
    clients.map((_, index) => index),
  );
  assert.deepEqual(states[0].declared, { elicitation: { form: {} } });
  assert.equal(await dedicated(), 12);

  // The end of a session is the end of its child.
  await (clients[0]!.transport as unknown as { terminateSession(): Promise<void> }).terminateSession();
  await eventually('the child of the session gone', async () => !(await isAlive(states[0].pid)));
  assert.equal(await dedicated(), 11);
  assert.equal(await gateway.stop(), 0);
  for (const pid of pids()) assert.equal(await isAlive(pid), false);
});

test('isolation by principal: clients of one subject share a child, modern or not', async (t) => {
  const tokens = ['ann', 'bob'].map((subject) => ({ token: `token-of-${subject}`, subject }));
  const auth = { type: 'bearer', tokens };
  const { gateway, dedicated } = await startIsolated(t, { isolation: 'principal' }, { auth });
  const as = (name: string) => ({ headers: { authorization: `Bearer token-of-${name}` } });
  const ann = [
    await connectV1(t, gateway.url, as('ann')),
    await connectV1(t, gateway.url, as('ann')),
    await connectV2(t, gateway.url, 'modern', as('ann')),
  ];
  const bob = await connectV2(t, gateway.url, 'modern', as('bob'));
  await call(ann[0] as ClientV1, 'remember', { value: 'ann was here' });
  for (const client of ann) assert.equal((await call(client as ClientV1, 'recall')).remembered, 'ann was here');
  assert.equal((await call(bob as never, 'recall')).remembered, null);
  assert.equal(await dedicated(), 2);
});

test('the server of a session hears that its roots changed, others do not', async (t) => {
  const { gateway } = await startIsolated(t, { isolation: 'session' });
  const capabilities = { roots: { listChanged: true } };
  const [a, b] = [await connectV1(t, gateway.url, { capabilities }), await connectV1(t, gateway.url, { capabilities })];
  for (const client of [a, b]) await call(client, 'recall');
  await a.sendRootsListChanged();
  const news = 'notifications/roots/list_changed';
  await eventually('the news', async () => (await call(a, 'recall')).heard.includes(news));
  assert.equal((await call(b, 'recall')).heard.includes(news), false);
});

test('what one session was answered is not stored for another', async (t) => {
  const routes = [{ name: 'stored', match: { tools: ['state.recall'] }, cache: { public: true } }];
  for (const [isolation, apart] of [
    ['session', true],
    ['shared', false],
  ] as const) {
    const { gateway } = await startIsolated(t, { isolation }, { routes, cache: { enabled: true } });
    const [a, b] = [await connectV1(t, gateway.url), await connectV1(t, gateway.url)];
    await call(a, 'remember', { value: 'of a' });
    assert.equal((await call(a, 'recall')).remembered, 'of a');
    await call(b, 'remember', { value: 'of b' });
    assert.equal((await call(b, 'recall')).remembered, apart ? 'of b' : 'of a', isolation);
  }
});

test('a client that cannot be given a lane is told that the server is busy', async (t) => {
  const { gateway } = await startIsolated(t, { isolation: 'session', maxDedicated: 1 });
  const [first, second] = [await connectV1(t, gateway.url), await connectV1(t, gateway.url)];
  const busy = call(first!, 'wait', { ms: 1_000 });
  await assert.rejects(
    eventually('a refusal', async () => {
      await call(second!, 'recall');
      return false;
    }),
    /takes no further calls/,
  );
  await busy;
  assert.equal((await call(second!, 'recall')).remembered, null);
});
