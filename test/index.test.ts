import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { PassThrough } from 'node:stream';
import { it } from 'node:test';
import { Client as ClientV2 } from '@modelcontextprotocol/client';
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js';
import { ConfigError, createGateway, createProxy, defineConfig, type EmbeddedGateway } from '../src/index.js';
import { eventually, type TestScope } from './support/process.js';
import { modernRpc } from './support/rpc.js';
import { countingStdio } from './support/upstreams.js';

const QUIET = { log: { level: 'silent' } } as const;

async function started(scope: TestScope, gateway: EmbeddedGateway): Promise<EmbeddedGateway> {
  scope.after(() => gateway.stop());
  await gateway.start();
  return gateway;
}

async function clientV1(scope: TestScope, gateway: EmbeddedGateway, token = ''): Promise<ClientV1> {
  const client = new ClientV1({ name: 'in-process', version: '1' });
  scope.after(() => client.close());
  await client.connect(gateway.connect({ token }));
  return client;
}

const textOf = (result: unknown): unknown => (result as { content: { text: string }[] }).content[0]?.text;

it('runs within a program and leaves nothing behind', async (scope) => {
  const server = await countingStdio(scope, 'modern');
  const config = defineConfig({ port: 0, admin: { port: 0 }, ...QUIET, mcpServers: { peer: server.entry } });
  const gateway = createGateway(config);
  assert.deepEqual([gateway.address, gateway.url, gateway.adminAddress], [null, null, null]);
  assert.throws(() => gateway.stats(), /does not run/);
  const starting = gateway.start();
  assert.equal(gateway.start(), starting, 'a second call waits for the same start');
  await starting;
  const url = `http://127.0.0.1:${gateway.address?.port}/mcp`;
  assert.equal(gateway.url, url);
  const call = { name: 'peer__echo', arguments: { text: 'from a program' } };
  await eventually('the call is answered', async () => {
    const { message } = await modernRpc(url, 'tools/call', call);
    return message.result?.content[0].text === 'from a program';
  });
  assert.ok(gateway.adminAddress !== null);
  const ended = gateway.stop();
  assert.equal(gateway.stop(), ended, 'a second call changes nothing');
  await ended;
  await assert.rejects(fetch(url));
  await assert.rejects(gateway.start(), /was stopped/);
});

it('refuses a configuration that cannot be used before anything starts', () => {
  assert.throws(() => createGateway({ mcpServers: { a: {} } } as never), ConfigError);
  assert.throws(() => createProxy({ url: 'not a url' }), ConfigError);
});

it('tells that a port is in use, and can be started once it is free', async (scope) => {
  const blocker = createServer();
  await new Promise<void>((resolve) => blocker.listen(0, '127.0.0.1', resolve));
  const { port } = blocker.address() as { port: number };
  const gateway = createGateway({ port, admin: false, ...QUIET });
  scope.after(() => gateway.stop());
  await assert.rejects(gateway.start(), { code: 'EADDRINUSE' });
  await new Promise((resolve) => blocker.close(resolve));
  await gateway.start();
  assert.equal(gateway.address?.port, port);
});

it('serves clients of both SDKs in the same process without a port', async (scope) => {
  const server = await countingStdio(scope, 'legacy');
  const config = { port: false, admin: false, ...QUIET, mcpServers: { peer: server.entry } } as const;
  const gateway = await started(scope, createGateway(config));
  assert.equal(gateway.address, null);
  const first = await clientV1(scope, gateway);
  const second = new ClientV2(
    { name: 'modern', version: '1' },
    { versionNegotiation: { mode: { pin: '2026-07-28' } } },
  );
  scope.after(() => second.close());
  await second.connect(gateway.connect());
  for (const client of [first, second]) {
    const { tools } = await client.listTools();
    assert.ok(tools.some(({ name }) => name === 'peer__echo'));
    assert.equal(textOf(await client.callTool({ name: 'peer__echo', arguments: { text: 'é' } })), 'é');
  }
  const stats = await gateway.stats();
  assert.equal(stats.upstreams[0]?.name, 'peer');
  assert.equal(stats.upstreams[0]?.calls, 2);
  const [peer] = gateway.upstreamHealth();
  assert.equal(peer?.healthy, true);
  assert.deepEqual(
    { ...peer?.endpoints[0] },
    {
      transport: 'stdio',
      state: 'ready',
      reason: '',
      failedTries: 0,
      era: 'legacy',
      revision: '2025-11-25',
      breaker: 'closed',
      inFlight: 0,
      dedicated: 0,
    },
  );
});

it('tells clients in the same process that the gateway ended', async (scope) => {
  const gateway = await started(scope, createGateway({ port: false, admin: false, ...QUIET }));
  const client = await clientV1(scope, gateway);
  const closed = new Promise<void>((resolve) => {
    client.onclose = resolve;
  });
  await gateway.stop();
  await closed;
  await assert.rejects(gateway.connect().start(), /does not run/);
});

it('judges clients in the same process by their token', async (scope) => {
  const auth = { type: 'bearer', tokens: { alice: { token: 'alice-token-0123456789' } } } as const;
  const gateway = await started(scope, createGateway({ port: false, admin: false, ...QUIET, auth }));
  await assert.rejects(clientV1(scope, gateway));
  const client = await clientV1(scope, gateway, 'alice-token-0123456789');
  assert.deepEqual((await client.listTools()).tools, []);
});

it('takes over another configuration while it runs, and before', async (scope) => {
  const [a, b] = [await countingStdio(scope, 'legacy'), await countingStdio(scope, 'modern')];
  const base = { port: false, admin: false, ...QUIET } as const;
  const gateway = createGateway({ ...base, mcpServers: {} });
  await gateway.reload({ ...base, mcpServers: { a: a.entry } });
  await started(scope, gateway);
  const client = await clientV1(scope, gateway);
  const names = async (): Promise<string[]> => (await client.listTools()).tools.map(({ name }) => name.split('__')[0]!);
  assert.ok((await names()).includes('a'));
  await gateway.reload({ ...base, mcpServers: { b: b.entry } });
  assert.deepEqual([...new Set(await names())], ['b']);
  await assert.rejects(gateway.reload({ ...base, workers: 2 }), (error: ConfigError) => {
    assert.deepEqual(error.problems, [
      'workers: takes effect only after a restart; the running gateway keeps what it has',
    ]);
    return true;
  });
  await assert.rejects(gateway.reload({ mcpServers: { c: {} } } as never), ConfigError);
  assert.deepEqual([...new Set(await names())], ['b'], 'what failed changed nothing');
  assert.equal((await gateway.stats()).configuration, 2);
});

it('re-exposes one server as it is', async (scope) => {
  const server = await countingStdio(scope, 'legacy');
  const { command, args } = server.entry as { command: string; args: string[] };
  const proxy = await started(scope, createProxy({ command, args, ...QUIET }));
  const client = await clientV1(scope, proxy);
  assert.ok((await client.listTools()).tools.some(({ name }) => name === 'echo'));
  assert.equal(textOf(await client.callTool({ name: 'echo', arguments: { text: 'bare' } })), 'bare');
});

it('serves a client on pipes until it is gone', async (scope) => {
  const server = await countingStdio(scope, 'modern');
  const { command, args } = server.entry as { command: string; args: string[] };
  const proxy = await started(scope, createProxy({ command, args, ...QUIET }));
  const [input, output] = [new PassThrough(), new PassThrough()];
  const served = proxy.serveStdio({ input, output });
  input.write('{"jsonrpc":"2.0","id":"one","method":"initialize","params":{"protocolVersion":"2025-06-18",');
  input.end('"capabilities":{},"clientInfo":{"name":"raw","version":"1"}}}\n');
  await served;
  const [line] = String(output.read()).split('\n');
  const { id, result } = JSON.parse(line!) as { id: string; result: { protocolVersion: string } };
  assert.deepEqual([id, result.protocolVersion], ['one', '2025-06-18']);
});

it('stops when its scope ends', async () => {
  const gateway = createGateway({ port: 0, admin: false, ...QUIET });
  await gateway.start();
  const url = gateway.url!;
  await gateway[Symbol.asyncDispose]();
  await assert.rejects(fetch(url));
});
