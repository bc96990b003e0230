/** `isolation: auto`: when clients get dedicated children, what they are asked, and what log and statistics say of it. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import {
  CreateMessageRequestSchema,
  ListRootsRequestSchema,
  ToolListChangedNotificationSchema,
} from '@modelcontextprotocol/sdk/types.js';
import { type RunningGateway, startGateway } from '../support/gateway.js';
import { answer, liveCall, liveStream } from '../support/live-call.js';
import { eventually, startProcess, type TestScope, tempFolder } from '../support/process.js';
import { openSession, rpc } from '../support/rpc.js';
import { connectV1, connectV2 } from '../support/sdk-clients.js';

const program = fileURLToPath(new URL('../upstream/fixtures/capable.js', import.meta.url));
const ROOTS = [{ uri: 'file:///mine', name: 'mine' }];
const SHARED_TOOLS = ['ask', 'grow', 'state'];

type Transport = 'stdio' | 'sse' | 'websocket';

interface Capable {
  readonly gateway: RunningGateway;
  /** The file that opens the gate of `SECOND: slow`. */
  readonly gate: string;
  /** Process ids of all children that were started. */
  pids(): number[];
}

async function start(
  scope: TestScope,
  options: { transport?: Transport; env?: Record<string, string>; server?: object; more?: object } = {},
): Promise<Capable> {
  const { transport = 'stdio' } = options;
  const folder = await tempFolder(scope);
  const [file, gate] = [join(folder, 'pids'), join(folder, 'gate')];
  const env = { PID_FILE: file, GATE: gate, ...options.env };
  let entry: object = { command: process.execPath, args: [program], env };
  if (transport !== 'stdio') {
    const running = startProcess(scope, process.execPath, [program, transport], { env });
    const [, url] = await running.waitForLine(/^listening on (\S+)/);
    entry = { url, ...(transport === 'sse' ? { type: 'sse' } : {}) };
  }
  const gateway = await startGateway(scope, { mcpServers: { it: { ...entry, ...options.server } }, ...options.more });
  const session = await openSession(gateway.url);
  await eventually('the lists', async () => (await namesFor(gateway, session)).length > 0);
  return { gateway, gate, pids: () => readFileSync(file, 'utf8').trim().split('\n').map(Number) };
}

type Session = Awaited<ReturnType<typeof openSession>>;

async function namesFor({ url }: RunningGateway, session: Session): Promise<string[]> {
  const { message } = await rpc(url, { jsonrpc: '2.0', id: 7, method: 'tools/list' }, session.headers);
  return message.result.tools.map(({ name }: { name: string }) => name.replace('it__', '')).sort();
}

async function upstreamOf({ adminUrl }: RunningGateway) {
  const stats = (await (await fetch(`${adminUrl}/stats`)).json()) as {
    upstreams: {
      isolation: string;
      clientUse: { capabilities: string[]; tools: string[]; advice: string };
      endpoints: { dedicated: number }[];
    }[];
  };
  return stats.upstreams[0]!;
}

const stateOf = (result: unknown) => JSON.parse((result as { content: { text: string }[] }).content[0]!.text);

describe('a client that declares capabilities', () => {
  for (const transport of ['stdio', 'sse', 'websocket'] as const) {
    it(`gets a ${transport} server of its own where the lists depend on them, and its calls go there`, async (scope) => {
      const { gateway } = await start(scope, { transport });
      const capabilities = { sampling: {}, roots: {} };
      const legacy = await connectV1(scope, gateway.url, { capabilities });
      legacy.setRequestHandler(CreateMessageRequestSchema, () => ({
        model: 'm',
        role: 'assistant' as const,
        content: { type: 'text' as const, text: 'sampled' },
      }));
      legacy.setRequestHandler(ListRootsRequestSchema, () => ({ roots: ROOTS }));
      const { tools } = await legacy.listTools();
      assert.deepEqual(tools.map(({ name }) => name).sort(), [
        ...SHARED_TOOLS.map((name) => `it__${name}`),
        'it__with-roots',
        'it__with-sampling',
      ]);
      assert.match(JSON.stringify(await legacy.callTool({ name: 'it__ask', arguments: {} })), /sampled/);
      const { declared } = stateOf(await legacy.callTool({ name: 'it__with-roots', arguments: {} }));
      assert.deepEqual(declared, { sampling: {}, roots: {} });
      const plain = await connectV1(scope, gateway.url);
      assert.deepEqual(stateOf(await plain.callTool({ name: 'it__state', arguments: {} })).declared, {});
      const upstream = await upstreamOf(gateway);
      assert.equal(upstream.isolation, 'auto');
      assert.deepEqual(upstream.clientUse, {
        capabilities: ['sampling', 'roots'],
        tools: ['with-roots', 'with-sampling'],
        advice: '',
      });
      assert.match(gateway.output, /the server offers other lists to clients with these capabilities/);
    });
  }

  it('lists what its own child offers now, and alone hears of changes there', async (scope) => {
    const { gateway } = await start(scope);
    const options = { capabilities: { sampling: {} } };
    const [one, two] = [await connectV1(scope, gateway.url, options), await connectV1(scope, gateway.url, options)];
    const heard: string[] = [];
    for (const [name, client] of [
      ['one', one],
      ['two', two],
    ] as const) {
      client.setNotificationHandler(ToolListChangedNotificationSchema, () => {
        heard.push(name);
      });
      await client.listTools();
    }
    await one.callTool({ name: 'it__grow', arguments: { name: 'grown' } });
    await eventually('the change was announced', () => heard.includes('one'));
    const namesOf = async (client: typeof one) => (await client.listTools()).tools.map(({ name }) => name);
    assert.ok((await namesOf(one)).includes('it__grown'));
    assert.ok(!(await namesOf(two)).includes('it__grown'));
    assert.equal(stateOf(await one.callTool({ name: 'it__grown', arguments: {} })).pid > 0, true);
    assert.ok(!heard.includes('two'));
  });

  it('gets the shared lists where no second child can be started, and the log says so once', async (scope) => {
    const { gateway, pids } = await start(scope, { env: { SECOND: 'exit' } });
    const session = await openSession(gateway.url, { capabilities: { sampling: {} } });
    for (let round = 0; round < 3; round += 1) assert.deepEqual(await namesFor(gateway, session), SHARED_TOOLS);
    const first = pids().length;
    const other = await openSession(gateway.url, { capabilities: { sampling: {} } });
    assert.deepEqual(await namesFor(gateway, other), SHARED_TOOLS);
    assert.equal(pids().length, first, 'a child that cannot be started is not started for each list');
    assert.equal(gateway.output.match(/no dedicated child can be started/g)?.length, 1);
    const { message } = await rpc(
      gateway.url,
      { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'it__state', arguments: {} } },
      session.headers,
    );
    assert.deepEqual(stateOf(message.result).declared, {});
  });

  it('gets the shared lists while its own child takes too long, and list_changed when that has listed', async (scope) => {
    const server = { connectTimeoutMs: 5_000 };
    const { gateway, gate } = await start(scope, { env: { SECOND: 'slow' }, server });
    const client = await connectV1(scope, gateway.url, { capabilities: { sampling: {} } });
    let changes = 0;
    client.setNotificationHandler(ToolListChangedNotificationSchema, () => {
      changes += 1;
    });
    const names = async () => (await client.listTools()).tools.map(({ name }) => name.replace('it__', '')).sort();
    assert.deepEqual(await names(), SHARED_TOOLS);
    // Nothing waits a second time.
    assert.deepEqual(await names(), SHARED_TOOLS);
    await writeFile(gate, '');
    await eventually('the change was announced', () => changes > 0);
    assert.deepEqual(await names(), [...SHARED_TOOLS, 'with-sampling']);
  });

  it('gets a child of its own once a call has shown that the server would ask it', async (scope) => {
    // The lists do not depend on elicitation alone being known: the client never lists.
    const { gateway } = await start(scope);
    const session = await openSession(gateway.url, { capabilities: { sampling: {} } });
    const first = await (await liveCall(gateway.url, session, 1, 'it__ask')).rest();
    assert.equal(first.at(-1).result.isError, true);
    const second = await liveCall(gateway.url, session, 2, 'it__ask');
    const asked = await second.next();
    assert.equal(asked.method, 'sampling/createMessage');
    await answer(gateway.url, session, asked.id, {
      role: 'assistant',
      model: 'm',
      content: { type: 'text', text: 'x' },
    });
    assert.match(JSON.stringify(await second.rest()), /assistant/);
  });
});

describe('a shared server that would ask', () => {
  it('is named in the log and in /stats with what to change', async (scope) => {
    const { gateway } = await start(scope, { server: { isolation: 'shared' } });
    const session = await openSession(gateway.url, { capabilities: { sampling: {} } });
    assert.equal((await upstreamOf(gateway)).clientUse.advice, '');
    for (const id of [1, 2]) await (await liveCall(gateway.url, session, id, 'it__ask')).rest();
    const { clientUse, endpoints } = await upstreamOf(gateway);
    assert.deepEqual(clientUse.capabilities, ['sampling']);
    assert.match(clientUse.advice, /mcpServers\.it\.isolation: session/);
    assert.equal(endpoints[0]!.dedicated, 0);
    assert.equal(gateway.output.match(/would offer more with mcpServers\.it\.isolation: session/g)?.length, 1);
  });
});

describe('the answers of a dedicated child', () => {
  it('are not given to other clients by the response cache', async (scope) => {
    const more = { routes: [{ match: { tools: ['it__state'] }, cache: { ttlMs: 60_000, public: true } }] };
    const { gateway, pids } = await start(scope, { more });
    const capable = await openSession(gateway.url, { capabilities: { sampling: {} } });
    await namesFor(gateway, capable);
    const pid = async (session: Session, id: number): Promise<number> =>
      stateOf((await (await liveCall(gateway.url, session, id, 'it__state')).rest()).at(-1).result).pid;
    const own = await pid(capable, 1);
    assert.notEqual(own, pids()[0]);
    const plain = await openSession(gateway.url);
    assert.equal(await pid(plain, 2), pids()[0]);
  });
});

describe('what a dedicated child asks when it starts', () => {
  for (const isolation of ['session', 'auto'] as const) {
    it(`goes on the stream of the next request where its session has none: isolation ${isolation}`, async (scope) => {
      const { gateway } = await start(scope, { env: { ASK_AFTER_MS: '100' }, server: { isolation } });
      const session = await openSession(gateway.url, { capabilities: { roots: {} } });
      await namesFor(gateway, session);
      const ping = { jsonrpc: '2.0', id: 'p', method: 'ping' };
      let asked: { id: unknown; method: string } | undefined;
      await eventually('the next request gets the question', async () => {
        const { messages } = await rpc(gateway.url, ping, session.headers);
        asked = messages.find(({ method }) => method === 'roots/list');
        assert.deepEqual(messages.at(-1).result, {});
        return asked !== undefined;
      });
      await answer(gateway.url, session, asked!.id, { roots: ROOTS });
      await eventually('the child has its roots', async () => {
        const messages = await (await liveCall(gateway.url, session, 'c', 'it__state')).rest();
        return JSON.stringify(stateOf(messages.at(-1).result).roots) === JSON.stringify(ROOTS);
      });
    });
  }

  it('goes on the long-lived stream of its session, whatever calls come and go', async (scope) => {
    const { gateway } = await start(scope, { env: { ASK_AFTER_MS: '0' }, server: { isolation: 'session' } });
    const session = await openSession(gateway.url, { capabilities: { roots: {} } });
    const stream = await liveStream(gateway.url, session);
    scope.after(() => stream.cut());
    // The call waits for the response, and has no stream until then.
    const call = liveCall(gateway.url, session, 1, 'it__state');
    const asked = await stream.next();
    assert.equal(asked.method, 'roots/list');
    await answer(gateway.url, session, asked.id, { roots: ROOTS });
    assert.deepEqual(stateOf((await (await call).rest()).at(-1).result).roots, ROOTS);
  });

  for (const isolation of ['session', 'principal', 'auto'] as const) {
    it(`is asked again for the first call of a modern client that has listed before: isolation ${isolation}`, async (scope) => {
      const { gateway } = await start(scope, { env: { ASK_AFTER_MS: '0' }, server: { isolation } });
      const dedicated = async (): Promise<number> => (await upstreamOf(gateway)).endpoints[0]!.dedicated;
      const before = await dedicated();
      const client = await connectV2(scope, gateway.url, 'modern', { capabilities: { roots: {} } });
      client.setRequestHandler('roots/list', () => ({ roots: ROOTS }));
      const { tools } = await client.listTools();
      assert.ok(tools.some(({ name }) => name === 'it__with-roots'));
      for (let round = 0; round < 2; round += 1) {
        const result = await client.callTool({ name: 'it__state', arguments: {} });
        assert.deepEqual(stateOf(result).roots, ROOTS);
      }
      assert.equal(await dedicated(), before + 1);
    });
  }
});
