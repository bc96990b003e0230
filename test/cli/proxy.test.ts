import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { Client as ClientV2 } from '@modelcontextprotocol/client';
import { StdioClientTransport as StdioV2 } from '@modelcontextprotocol/client/stdio';
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import { StdioClientTransport as StdioV1 } from '@modelcontextprotocol/sdk/client/stdio.js';
import { packageRoot } from '../../src/package-root.js';
import { cliPath } from '../support/gateway.js';
import { eventually, isAlive, type RunningProcess, startProcess, type TestScope } from '../support/process.js';
import { rawUpstream } from '../support/raw-upstream.js';
import { connectV1 } from '../support/sdk-clients.js';
import { countingStdio, countingUrl, type StdioEntry } from '../support/upstreams.js';
import { fileWith, runHere } from './support.js';

const textOf = (result: unknown): unknown => (result as { content: { text: string }[] }).content[0]?.text;

/** The arguments of `switchyard` that serve a program with its environment. */
function proxyOf({ command, args, env = {} }: StdioEntry, options: readonly string[] = []): string[] {
  const variables = Object.entries(env).flatMap(([name, value]) => ['--env', `${name}=${value}`]);
  return ['proxy', ...options, ...variables, '--', command, ...args];
}

function start(scope: TestScope, args: readonly string[], env: Record<string, string> = {}): RunningProcess {
  return startProcess(scope, process.execPath, [cliPath, ...args], { env });
}

interface Client {
  listTools(): Promise<{ tools: { name: string }[] }>;
  callTool(call: { name: string; arguments: Record<string, unknown> }): Promise<unknown>;
  close(): Promise<void>;
  readonly pid: number;
}

async function throughV1(scope: TestScope, args: readonly string[]): Promise<Client> {
  const client = new ClientV1({ name: 'desktop', version: '1' });
  const transport = new StdioV1({ command: process.execPath, args: [cliPath, ...args], stderr: 'ignore' });
  scope.after(() => client.close());
  await client.connect(transport);
  return Object.assign(client, { pid: transport.pid! }) as unknown as Client;
}

async function throughV2(scope: TestScope, args: readonly string[]): Promise<Client> {
  const versionNegotiation = { mode: { pin: '2026-07-28' } };
  const client = new ClientV2({ name: 'desktop', version: '2' }, { versionNegotiation });
  const transport = new StdioV2({ command: process.execPath, args: [cliPath, ...args], stderr: 'ignore' });
  scope.after(() => client.close());
  await client.connect(transport);
  return Object.assign(client, { pid: transport.pid! }) as unknown as Client;
}

/** A client that was started by hand: what it writes and reads is seen. */
const INITIALIZE = {
  jsonrpc: '2.0',
  id: 'init',
  method: 'initialize',
  params: { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'raw', version: '1' } },
};
const line = (message: object): string => `${JSON.stringify(message)}\n`;
const linesOf = (text: string) =>
  text
    .split('\n')
    .filter((part) => part !== '')
    .map((part) => JSON.parse(part) as { id?: unknown; result?: unknown; error?: { message: string; data: object } });

describe('switchyard proxy on standard input and output', () => {
  // Every SDK meets every family in front of a program. What a client sees does not depend on the transport behind the proxy, so
  // each of the others has one client, of the other family.
  const kinds = [
    ['a program', 'legacy', 'stdio', { throughV1, throughV2 }],
    ['a program', 'modern', 'stdio', { throughV1, throughV2 }],
    ['Streamable HTTP', 'legacy', 'http', { throughV2 }],
    ['Streamable HTTP', 'modern', 'http', { throughV1 }],
    ['HTTP with SSE', 'legacy', 'sse', { throughV2 }],
    ['WebSocket', 'legacy', 'websocket', { throughV2 }],
    ['WebSocket', 'modern', 'websocket', { throughV1 }],
  ] as const;
  for (const [name, family, transport, clients] of kinds) {
    it(`serves clients (${Object.keys(clients).join(', ')}) from ${name}, ${family}`, async (scope) => {
      let args: string[];
      let calls: () => unknown[];
      if (transport === 'stdio') {
        const server = await countingStdio(scope, family);
        args = proxyOf(server.entry);
        calls = () => server.calls('echo');
      } else {
        const server = await countingUrl(scope, family, transport);
        args = ['proxy', server.url];
        calls = () => server.calls('echo');
      }
      const connects = Object.values(clients);
      const used = connects.map(async (connect) => {
        const client = await connect(scope, args);
        const { tools } = await client.listTools();
        assert.ok(
          tools.some((tool) => tool.name === 'echo'),
          'names have no prefix',
        );
        assert.equal(textOf(await client.callTool({ name: 'echo', arguments: { text: 'through' } })), 'through');
        await client.close();
        await eventually('the proxy ends with its client', async () => !(await isAlive(client.pid)));
      });
      await Promise.all(used);
      assert.equal(calls().length, connects.length);
    });
  }

  it('writes nothing but protocol to standard output, and answers what it has read before it ends', async (scope) => {
    const server = await countingStdio(scope, 'legacy');
    const proxy = start(scope, proxyOf(server.entry, ['--log-level', 'debug']));
    proxy.child.stdin?.write(line(INITIALIZE));
    await proxy.waitForLine(/"id":"init"/);
    const call = { jsonrpc: '2.0', id: 7, method: 'tools/call', params: { name: 'slow', arguments: { ms: 400 } } };
    proxy.child.stdin?.end(line({ jsonrpc: '2.0', method: 'notifications/initialized' }) + line(call));
    assert.deepEqual(await proxy.exited, { code: 0, signal: null });
    const answers = linesOf(proxy.stdout);
    assert.deepEqual(
      answers.filter(({ id }) => id !== undefined).map(({ id, result }) => [id, result !== undefined]),
      [
        ['init', true],
        [7, true],
      ],
    );
    assert.match(proxy.stderr, /draining/);
  });

  it('sends headers and the token of a variable to the server, and shows neither', async (scope) => {
    const upstream = await rawUpstream(scope, (_, answer) => answer.result({ content: [{ type: 'text', text: 'x' }] }));
    const options = ['--transport-type', 'http', '--header', 'X-Team: a ${b}', '--bearer-env', 'PROXY_TOKEN'];
    const args = ['proxy', upstream.url, ...options, '--log-level', 'trace'];
    const proxy = start(scope, args, { PROXY_TOKEN: 'very-secret-${token}' });
    proxy.child.stdin?.write(line(INITIALIZE));
    await proxy.waitForLine(/"id":"init"/);
    proxy.child.stdin?.end();
    assert.equal((await proxy.exited).code, 0);
    const { headers } = upstream.received('initialize')[0]!;
    assert.deepEqual([headers['authorization'], headers['x-team']], ['Bearer very-secret-${token}', 'a ${b}']);
    assert.doesNotMatch(proxy.output, /very-secret/);
  });

  it('refuses what cannot be used with 78', async () => {
    for (const [args, sentence] of [
      [['ftp://x/'], /url: must start with http:\/\/ or https:\/\//],
      [['not-a-url'], /url: /],
      [['http://x/', '--name', 'a:b'], /a server name has 1 to 128 characters/],
    ] as const) {
      const { code, stdout, stderr } = await runHere(['proxy', ...args]);
      assert.deepEqual([code, stdout], [78, ''], stderr);
      assert.match(stderr, sentence);
    }
  });
});

describe('switchyard proxy on a port', () => {
  it('serves a program over Streamable HTTP until it is stopped', async (scope) => {
    const server = await countingStdio(scope, 'modern');
    const proxy = start(scope, proxyOf(server.entry, ['--transport', 'http', '--name', 'notes']));
    const [all, url] = await proxy.waitForLine(/^switchyard listening on (http:\/\/127\.0\.0\.1:\d+\/mcp)$/);
    const client = await connectV1(scope, url!);
    assert.equal(client.getServerVersion()?.name, 'notes');
    assert.equal(textOf(await client.callTool({ name: 'echo', arguments: { text: 'http' } })), 'http');
    await client.close();
    assert.deepEqual(await proxy.stop('SIGTERM'), { code: 0, signal: null });
    assert.equal(proxy.stdout, `${all}\n`);
  });

  it('serves a program over HTTP with SSE', async (scope) => {
    const server = await countingStdio(scope, 'legacy');
    const proxy = start(scope, proxyOf(server.entry, ['--transport=sse']));
    const [, url] = await proxy.waitForLine(/^switchyard listening on (http:\/\/127\.0\.0\.1:\d+\/sse)$/);
    const client = new ClientV1({ name: 'old', version: '1' });
    scope.after(() => client.close());
    await client.connect(new SSEClientTransport(new URL(url!)));
    assert.equal(textOf(await client.callTool({ name: 'echo', arguments: { text: 'sse' } })), 'sse');
    await client.close();
    assert.deepEqual(await proxy.stop('SIGINT'), { code: 0, signal: null });
  });

  it('reports in one sentence that the port is in use', async (scope) => {
    const taken = await rawUpstream(scope, () => {});
    const options = ['--transport', 'http', '--port', String(taken.port)];
    const { code, stdout, stderr } = await runHere(['proxy', taken.url, ...options]);
    assert.deepEqual([code, stdout], [1, '']);
    assert.match(stderr, new RegExp(`^switchyard: 127\\.0\\.0\\.1:${taken.port} is in use already; [^\\n]*\\n$`));
  });
});

describe('a desktop client', () => {
  it('starts proxies and gateways through the command in bin', async (scope) => {
    const server = await countingStdio(scope, 'legacy');
    const bin = join(packageRoot, 'bin/switchyard.js');
    const gateway = await fileWith(scope, 'gateway.json', JSON.stringify({ mcpServers: { peer: server.entry } }));
    const start = ['start', gateway, '--stdio', '--no-http', '--no-admin'];
    const file = await fileWith(
      scope,
      'claude_desktop_config.json',
      JSON.stringify({
        mcpServers: {
          proxied: { command: process.execPath, args: [bin, ...proxyOf(server.entry)] },
          everything: { command: process.execPath, args: [bin, ...start] },
        },
      }),
    );
    const { mcpServers } = JSON.parse(await readFile(file, 'utf8')) as { mcpServers: Record<string, StdioEntry> };
    for (const [name, tool] of [
      ['proxied', 'echo'],
      ['everything', 'peer__echo'],
    ] as const) {
      const client = new ClientV1({ name: 'desktop', version: '1' });
      scope.after(() => client.close());
      await client.connect(new StdioV1({ ...mcpServers[name]!, stderr: 'ignore' }));
      assert.equal(textOf(await client.callTool({ name: tool, arguments: { text: name } })), name);
      await client.close();
    }
  });
});

describe('switchyard start --stdio', () => {
  it('serves a client on standard input beside the port, and ends with it', async (scope) => {
    const server = await countingStdio(scope, 'legacy');
    const file = await fileWith(scope, 'gateway.json', JSON.stringify({ mcpServers: { peer: server.entry } }));
    const gateway = start(scope, ['start', file, '--stdio', '--port', '0', '--no-admin']);
    const [, url] = await gateway.waitForLine(/^switchyard listening on (http:\S+)$/);
    const client = await connectV1(scope, url!);
    assert.equal(textOf(await client.callTool({ name: 'peer__echo', arguments: { text: 'port' } })), 'port');
    gateway.child.stdin?.end(line(INITIALIZE));
    assert.deepEqual(await gateway.exited, { code: 0, signal: null });
    assert.deepEqual(
      linesOf(gateway.stdout).map(({ id }) => id),
      ['init'],
    );
  });

  it('judges that client by the token of SWITCHYARD_TOKEN', async (scope) => {
    const auth = { type: 'bearer', tokens: { alice: { token: 'alice-token-0123456789' } } };
    const file = await fileWith(scope, 'gateway.json', JSON.stringify({ auth }));
    for (const [token, isIn] of [
      ['alice-token-0123456789', true],
      ['', false],
    ] as const) {
      const args = ['start', file, '--stdio', '--no-http', '--no-admin'];
      const gateway = start(scope, args, { SWITCHYARD_TOKEN: token });
      gateway.child.stdin?.end(line(INITIALIZE));
      assert.deepEqual(await gateway.exited, { code: 0, signal: null });
      const [answer] = linesOf(gateway.stdout);
      assert.deepEqual([answer?.id, answer?.result !== undefined], ['init', isIn], gateway.output);
    }
  });
});
