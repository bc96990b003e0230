/** Tools that run only as tasks of 2025-11-25, called by clients that do not know tasks. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { cliPath, type RunningGateway, startGateway } from '../support/gateway.js';
import { answer, liveCall } from '../support/live-call.js';
import { eventually, startProcess, type TestScope } from '../support/process.js';
import { rawUpstream } from '../support/raw-upstream.js';
import { type Message, modernRpc, openSession } from '../support/rpc.js';
import { connectV2 } from '../support/sdk-clients.js';
import { shared } from '../support/shared.js';
import { everythingHttp, everythingStdio } from '../support/upstreams.js';

const program = fileURLToPath(new URL('../upstream/fixtures/tasking.js', import.meta.url));
const RELATED = 'io.modelcontextprotocol/related-task';
const TRANSPORTS = ['stdio', 'sse', 'websocket'] as const;
type Setup = { transport?: (typeof TRANSPORTS)[number]; frontEnd?: 'uws' | 'node'; server?: object; more?: object };

const start = shared(async (scope: TestScope, { transport = 'stdio', frontEnd, server, more }: Setup) => {
  let entry: object = { command: process.execPath, args: [program] };
  if (transport !== 'stdio') {
    const running = startProcess(scope, process.execPath, [program, transport]);
    const [, url] = await running.waitForLine(/^listening on (\S+)/);
    entry = { url, ...(transport === 'sse' ? { type: 'sse' } : {}) };
  }
  const config = { mcpServers: { it: { ...entry, ...server } }, ...more };
  const gateway = await startGateway(scope, config, frontEnd === undefined ? {} : { frontEnd });
  await eventually('the lists', async () => (await modernNames(gateway.url)).includes('it__work'));
  return gateway;
});

async function modernNames(url: string): Promise<string[]> {
  const { message } = await modernRpc(url, 'tools/list');
  return (message?.result?.tools ?? []).map(({ name }: { name: string }) => name);
}

const work = (url: string, args: object, options: Parameters<typeof modernRpc>[2] = {}) =>
  modernRpc(url, 'tools/call', { name: 'it__work', arguments: args }, options);

async function heard({ url }: RunningGateway): Promise<string[]> {
  const { message } = await modernRpc(url, 'tools/call', { name: 'it__heard', arguments: {} });
  return JSON.parse(message.result.content[0].text);
}

const textOf = (message: Message): string => message.result.content[0].text;

for (const transport of TRANSPORTS) {
  for (const frontEnd of ['uws', 'node'] as const) {
    describe(`a tool that runs only as a task, over ${transport} (${frontEnd})`, () => {
      it('answers modern clients and legacy ones that ask for no task with its result', async () => {
        const gateway = await start({ transport, frontEnd });
        const { message } = await work(gateway.url, { text: 'modern' });
        assert.equal(textOf(message), 'worked on modern');
        assert.equal(message.result._meta[RELATED], undefined, 'the id of the task means nothing to the client');
        assert.equal(message.result._meta.kept, true);
        for (const version of ['2025-06-18', '2025-11-25']) {
          const session = await openSession(gateway.url, { version });
          const messages = await (await liveCall(gateway.url, session, 1, 'it__work', { text: version })).rest();
          assert.equal(textOf(messages.at(-1)), `worked on ${version}`);
          assert.equal(messages.at(-1).result._meta[RELATED], undefined);
        }
      });

      it('reports progress while the task runs', async () => {
        const gateway = await start({ transport, frontEnd });
        const { messages } = await work(gateway.url, { text: 'x', steps: 3 }, { meta: { progressToken: 'mine' } });
        const progress = messages.filter(({ method }) => method === 'notifications/progress');
        assert.deepEqual(
          progress.map(({ params }) => [params.progressToken, params.progress]),
          [
            ['mine', 1],
            ['mine', 2],
            ['mine', 3],
          ],
        );
        assert.equal(textOf(messages.at(-1)), 'worked on x');
      });

      it('is cancelled with the request of its client', async () => {
        const gateway = await start({ transport, frontEnd });
        const count = async (name: string) => (await heard(gateway)).filter((method) => method === name).length;
        const results = () => count('tasks/result');
        const before = await results();
        const ending = new AbortController();
        const modern = work(gateway.url, { endless: true }, { signal: ending.signal });
        await eventually('the task runs', async () => (await results()) === before + 1);
        ending.abort();
        await assert.rejects(modern);
        await eventually('the task is cancelled', async () => (await count('tasks/cancel')) === 1);
        const session = await openSession(gateway.url);
        const legacy = liveCall(gateway.url, session, 'l', 'it__work', { endless: true });
        await eventually('the second task runs', async () => (await results()) === before + 2);
        await session.notify('notifications/cancelled', { requestId: 'l' });
        await eventually('the second task is cancelled', async () => (await count('tasks/cancel')) === 2);
        (await legacy).cut();
      });
    });
  }

  describe(`a task that needs input, over ${transport}`, () => {
    it('ends the request of a modern client with input_required and goes on with its answer', async (scope) => {
      const gateway = await start({ transport, server: { isolation: 'session' } });
      const client = await connectV2(scope, gateway.url, 'modern', { capabilities: { elicitation: { form: {} } } });
      client.setRequestHandler('elicitation/create', () => ({ action: 'accept', content: { more: 'this' } }));
      const result = await client.callTool({ name: 'it__work', arguments: { ask: true } });
      assert.match(JSON.stringify(result), /this/);
      assert.ok(!JSON.stringify(result).includes(RELATED));
    });

    it('asks a legacy client on the stream of its call', async () => {
      const gateway = await start({ transport, server: { isolation: 'session' } });
      const session = await openSession(gateway.url, { version: '2025-06-18', capabilities: { elicitation: {} } });
      const call = await liveCall(gateway.url, session, 1, 'it__work', { ask: true });
      const asked = await call.next();
      assert.equal(asked.method, 'elicitation/create');
      await answer(gateway.url, session, asked.id, { action: 'accept', content: { more: 'that' } });
      assert.match(JSON.stringify((await call.rest()).at(-1)), /that/);
    });
  });
}

for (const transport of ['stdio', 'websocket'] as const) {
  describe(`a call that is cancelled before the server has answered with its task, over ${transport}`, () => {
    it('has the task cancelled when the answer comes, and not the request', async () => {
      const gateway = await start({ transport });
      const session = await openSession(gateway.url);
      const ending = new AbortController();
      const modern = work(gateway.url, { late: true, endless: true }, { signal: ending.signal });
      const legacy = liveCall(gateway.url, session, 'l', 'it__work', { late: true, endless: true });
      const sent = async () => (await (await fetch(`${gateway.adminUrl}/stats`)).json()) as Message;
      const inFlight = async () => (await sent()).upstreams[0].endpoints[0].inFlight;
      await eventually('both were sent', async () => (await inFlight()) === 2);
      ending.abort();
      await assert.rejects(modern);
      await session.notify('notifications/cancelled', { requestId: 'l' });
      await eventually('both have ended', async () => (await inFlight()) === 0);
      const methods = async (method: string) => (await heard(gateway)).filter((name) => name === method).length;
      await eventually('both tasks are cancelled', async () => (await methods('tasks/cancel')) === 2);
      assert.equal(await methods('notifications/cancelled'), 0);
      assert.equal(await methods('tasks/result'), 0);
      (await legacy).cut();
    });
  });
}

describe('a task that nobody can ask for, over HTTP', () => {
  const task = { taskId: 'abandoned', status: 'working', createdAt: 'x', lastUpdatedAt: 'x', ttl: 60_000 };

  /** A gateway before a server that holds its answers to calls, and refuses `tasks/result`. */
  async function startHttp(scope: TestScope) {
    const held: ((asEvent: boolean) => void)[] = [];
    const upstream = await rawUpstream(
      scope,
      ({ message }, answer) => {
        if (message.method === 'tools/call') {
          held.push((asEvent) => {
            const response = { jsonrpc: '2.0', id: message.id, result: { task } };
            if (asEvent) answer.sse().event(response);
            else answer.result(response.result);
          });
        } else if (message.method === 'tasks/result') answer.response.writeHead(500).end();
        else answer.result({});
      },
      {
        capabilities: { tasks: { cancel: {}, requests: { tools: { call: {} } } } },
        tools: [{ name: 'work', inputSchema: { type: 'object' }, execution: { taskSupport: 'required' } }],
      },
    );
    const gateway = await startGateway(scope, { mcpServers: { it: { url: upstream.url } } });
    await eventually('the lists', async () => (await modernNames(gateway.url)).includes('it__work'));
    const cancelled = () => upstream.received('tasks/cancel').map(({ message }) => message.params.taskId);
    return { gateway, upstream, held, cancelled };
  }

  it('is cancelled, whether its call ended before it was made or could not be answered', async (scope) => {
    const { gateway, upstream, held, cancelled } = await startHttp(scope);
    const inFlight = async () => {
      const stats = (await (await fetch(`${gateway.adminUrl}/stats`)).json()) as Message;
      return stats.upstreams[0].endpoints[0].inFlight;
    };
    const session = await openSession(gateway.url);
    const ending = new AbortController();
    const modern = work(gateway.url, {}, { signal: ending.signal });
    const legacy = liveCall(gateway.url, session, 'l', 'it__work', {});
    await eventually('both were sent', () => held.length === 2);
    ending.abort();
    await assert.rejects(modern);
    await session.notify('notifications/cancelled', { requestId: 'l' });
    await eventually('both have ended', async () => (await inFlight()) === 0);
    for (const [index, answer] of held.splice(0).entries()) answer(index === 0);
    await eventually('both tasks are cancelled', () => cancelled().length === 2);
    (await legacy).cut();
    const failed = work(gateway.url, {});
    await eventually('it was sent', () => held.length === 1);
    held[0]?.(false);
    assert.equal((await failed).message.error.data.upstream, 'it');
    await eventually('its task is cancelled', () => cancelled().length === 3);
    assert.deepEqual(cancelled(), ['abandoned', 'abandoned', 'abandoned']);
    // A request that makes a task is not cancelled itself.
    assert.deepEqual(upstream.received('notifications/cancelled'), []);
    assert.equal(upstream.received('tasks/result').length, 1);
  });
});

describe('a call that becomes a task', () => {
  it('may end in an error, or be answered without a task', async () => {
    const gateway = await start({});
    const failed = await work(gateway.url, { text: 'x', fails: true });
    assert.deepEqual([failed.message.result.isError, textOf(failed.message)], [true, 'worked on x']);
    const direct = await work(gateway.url, { text: 'y', answers: true });
    assert.equal(textOf(direct.message), 'worked on y');
  });

  it('is cancelled when it takes longer than limits.taskMs, and not made again', async () => {
    const gateway = await start({ more: { limits: { taskMs: 300 } } });
    const { message } = await work(gateway.url, { endless: true });
    assert.equal(message.error.data.code, 'GW_UPSTREAM_TIMEOUT');
    await eventually('the task is cancelled', async () => (await heard(gateway)).includes('tasks/cancel'));
    assert.equal((await heard(gateway)).filter((method) => method === 'tasks/result').length, 1);
  });

  it('outlives requestTimeoutMs, which is about calls', async () => {
    const gateway = await start({ server: { requestTimeoutMs: 1_000 } });
    const endless = work(gateway.url, { endless: true }).catch(() => null);
    await eventually('the task runs', async () => (await heard(gateway)).includes('tasks/result'));
    let isOver = false;
    void endless.then(() => {
      isOver = true;
    });
    const slow = await work(gateway.url, { text: 'other' });
    assert.equal(textOf(slow.message), 'worked on other');
    assert.equal(isOver, false);
    await gateway.stop('SIGKILL');
  });
});

describe('the research tool of the reference server', () => {
  for (const kind of ['stdio', 'HTTP'] as const) {
    it(`is listed to a modern client over ${kind}, asks it and answers`, async (scope) => {
      const entry = kind === 'stdio' ? everythingStdio() : { url: (await everythingHttp(scope)).url };
      const gateway = await startGateway(scope, { mcpServers: { all: entry } });
      const client = await connectV2(scope, gateway.url, 'modern', { capabilities: { elicitation: { form: {} } } });
      let asked = 0;
      client.setRequestHandler('elicitation/create', () => {
        asked += 1;
        return { action: 'accept', content: { interpretation: 'technical' } };
      });
      await eventually('the lists', async () => (await client.listTools()).tools.length > 0);
      const { tools } = await client.listTools();
      assert.ok(tools.some(({ name }) => name === 'all__simulate-research-query'));
      const result = await client.callTool(
        { name: 'all__simulate-research-query', arguments: { topic: 'ants', ambiguous: true } },
        { timeout: 120_000 },
      );
      assert.match(JSON.stringify(result), /ants/);
      assert.equal(asked, 1);
    });
  }
});

describe('switchyard proxy', () => {
  it('loses no tool that needs tasks, and calls it', async (scope) => {
    const { url } = await everythingHttp(scope);
    const proxy = startProcess(scope, process.execPath, [cliPath, 'proxy', url, '--transport', 'http', '--port', '0']);
    const [, endpoint] = await proxy.waitForLine(/listening on (\S+\/mcp)/);
    await eventually('the lists', async () => (await modernNames(endpoint!)).length > 0);
    assert.ok((await modernNames(endpoint!)).includes('simulate-research-query'));
    const { message } = await modernRpc(endpoint!, 'tools/call', {
      name: 'simulate-research-query',
      arguments: { topic: 'bees' },
    });
    assert.match(JSON.stringify(message.result), /bees/);
  });
});
