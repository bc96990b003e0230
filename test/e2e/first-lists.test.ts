/** A client that connects while servers are listed for the first time gets their lists and capabilities with its first answer. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { WebSocket } from 'ws';
import { type RunningGateway, startGateway } from '../support/gateway.js';
import { eventually, startProcess, type TestScope } from '../support/process.js';
import { type Message, modernMessage, modernRpc, openSession, rpc } from '../support/rpc.js';

const PROGRAM = fileURLToPath(new URL('../upstream/fixtures/lists.js', import.meta.url));
const FRONT_ENDS = ['uws', 'node'] as const;
const CATALOG = { startupWaitMs: 0, firstListWaitMs: 600_000 };
const INITIALIZE = {
  jsonrpc: '2.0',
  id: 1,
  method: 'initialize',
  params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'test', version: '1' } },
};

/** A server entry for the program of test/upstream/fixtures/lists.ts. */
function entry(fault: string, startMs = 0, family = 'legacy'): object {
  return {
    command: process.execPath,
    args: [PROGRAM, fault, 'none', 'stdio', family],
    env: { START_MS: String(startMs) },
  };
}

/** A URL where connections are accepted and nothing is answered. */
async function silentUrl(scope: TestScope): Promise<string> {
  const server = createServer(() => {}).listen(0, '127.0.0.1');
  await once(server, 'listening');
  scope.after(() => server.close());
  return `http://127.0.0.1:${(server.address() as { port: number }).port}/mcp`;
}

async function statsOf(gateway: RunningGateway): Promise<Message> {
  return (await fetch(`${gateway.adminUrl}/stats`)).json();
}

const inFlight = async (gateway: RunningGateway): Promise<number> => (await statsOf(gateway)).requests.inFlight;

const toolsOf = (message: Message): string[] => message.result.tools.map(({ name }: { name: string }) => name);

describe('the first answer', () => {
  for (const frontEnd of FRONT_ENDS) {
    it(`has the lists and capabilities of servers that start slowly, over ${frontEnd}`, async (scope) => {
      const mcpServers = {
        legacy: entry('slow', 1_500),
        modern: entry('slow', 1_500, 'modern'),
        strict: entry('strict'),
        undeclared: entry('undeclared', 0),
      };
      const gateway = await startGateway(scope, { mcpServers, catalog: CATALOG }, { frontEnd });
      const initialized = rpc(gateway.url, INITIALIZE);
      const discovered = modernRpc(gateway.url, 'server/discover');
      const listed = modernRpc(gateway.url, 'tools/list');
      const [first, second, third] = await Promise.all([initialized, discovered, listed]);
      assert.deepEqual(first.message.result.capabilities.completions, {});
      assert.deepEqual(second.message.result.capabilities.completions, {});
      const expected = Object.keys(mcpServers).map((name) => `${name}__readings`);
      assert.deepEqual(toolsOf(third.message), expected);
      const session = await openSession(gateway.url);
      assert.deepEqual(toolsOf((await session.request('tools/list')).message), expected);
    });

    it(`waits for no server that has failed, over ${frontEnd}`, async (scope) => {
      const mcpServers = {
        good: entry('slow', 500),
        exits: entry('exit', 300),
        missing: { command: process.execPath, args: ['/no/such/program.js'] },
        refused: { url: 'http://127.0.0.1:9/mcp' },
        disabled: { ...entry('slow', 600_000), enabled: false },
      };
      const gateway = await startGateway(scope, { mcpServers, catalog: CATALOG }, { frontEnd });
      const [initialized, listed] = await Promise.all([
        rpc(gateway.url, INITIALIZE),
        modernRpc(gateway.url, 'tools/list'),
      ]);
      assert.deepEqual(initialized.message.result.capabilities.completions, {});
      assert.deepEqual(toolsOf(listed.message), ['good__readings']);
    });

    it(`waits no longer than catalog.firstListWaitMs, over ${frontEnd}`, async (scope) => {
      for (const firstListWaitMs of [0, 300]) {
        const mcpServers = {
          good: entry('none'),
          silent: { url: await silentUrl(scope) },
          slow: entry('slow', 600_000),
        };
        const catalog = { startupWaitMs: 0, firstListWaitMs };
        const gateway = await startGateway(scope, { mcpServers, catalog }, { frontEnd });
        const session = await openSession(gateway.url);
        assert.ok(Array.isArray((await session.request('tools/list')).message.result.tools));
        assert.ok((await modernRpc(gateway.url, 'server/discover')).message.result.capabilities.tools);
      }
    });

    it(`is given at once by a gateway that stops, and forgotten with its client, over ${frontEnd}`, async (scope) => {
      const mcpServers = { slow: entry('slow', 600_000) };
      const gateway = await startGateway(scope, { mcpServers, catalog: CATALOG }, { frontEnd });
      const leaving = new AbortController();
      const left = modernRpc(gateway.url, 'tools/list', {}, { signal: leaving.signal });
      await eventually('a request waits', async () => (await inFlight(gateway)) === 1);
      leaving.abort();
      await assert.rejects(left);
      await eventually('it is forgotten', async () => (await inFlight(gateway)) === 0);
      const waiting = Promise.all([
        modernRpc(gateway.url, 'tools/list'),
        modernRpc(gateway.url, 'resources/templates/list'),
        rpc(gateway.url, INITIALIZE),
      ]);
      await eventually('three requests wait', async () => (await inFlight(gateway)) === 3);
      await gateway.stop();
      for (const { message } of await waiting) assert.ok(message.result);
    });
  }

  it('has the lists on every transport', async (scope) => {
    const config = { mcpServers: { slow: entry('slow', 2_500) }, catalog: CATALOG };
    const gateway = await startGateway(scope, config, { args: ['--log-level', 'info'] });
    const socket = new WebSocket(gateway.url.replace('http', 'ws').replace('/mcp', '/ws'), 'mcp');
    scope.after(() => socket.terminate());
    await once(socket, 'open');
    socket.send(JSON.stringify(modernMessage('tools/list')));
    const rest = fetch(`${gateway.origin}/tools`);
    const [data] = await once(socket, 'message');
    assert.deepEqual(toolsOf(JSON.parse(String(data))), ['slow__readings']);
    assert.match(await (await rest).text(), /slow__readings/);
  });

  it('waits for a server that speaks the older transport', async (scope) => {
    const server = startProcess(scope, process.execPath, [PROGRAM, 'slow', 'none', 'sse'], {
      env: { START_MS: '1500' },
    });
    const [, url] = await server.waitForLine(/^listening on (\w+:\/\/127\.0\.0\.1:\d+\S*)/);
    const gateway = await startGateway(scope, { mcpServers: { old: { url } }, catalog: CATALOG });
    const { message } = await modernRpc(gateway.url, 'tools/list');
    assert.deepEqual(toolsOf(message), ['old__readings']);
  });

  it('waits for a server that a reload adds', async (scope) => {
    const gateway = await startGateway(scope, { mcpServers: { first: entry('none') }, catalog: CATALOG });
    assert.deepEqual(toolsOf((await modernRpc(gateway.url, 'tools/list')).message), ['first__readings']);
    const mcpServers = { first: entry('none'), second: entry('slow', 3_000) };
    await writeFile(gateway.configFile, JSON.stringify({ mcpServers, catalog: CATALOG, port: 0, admin: { port: 0 } }));
    gateway.process.child.kill('SIGHUP');
    await eventually('the server is known', async () => {
      return (await statsOf(gateway)).catalog.undiscovered.includes('second');
    });
    const { message } = await modernRpc(gateway.url, 'tools/list');
    assert.deepEqual(toolsOf(message), ['first__readings', 'second__readings']);
  });
});
