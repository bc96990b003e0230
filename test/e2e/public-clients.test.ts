/**
 * Public clients and bridges from npm before the gateway, over each transport that they have: each lists the tools and calls
 * one. What is written about them in docs/clients.md was tried with the versions of test/peers/clients.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js';
import { packageRoot } from '../../src/package-root.js';
import { cliPath, type RunningGateway, startGateway } from '../support/gateway.js';
import { eventually, freePort, startProcess, type TestScope, tempFolder } from '../support/process.js';
import { Peers } from '../support/registry.js';
import { everythingStdio } from '../support/upstreams.js';

/** The gateway as clients name it. */
type Target =
  | { readonly transport: 'http' | 'sse'; readonly url: string }
  | { readonly transport: 'stdio'; readonly command: string; readonly args: readonly string[] };

/** What a client saw. */
interface Seen {
  readonly tools: readonly string[];
  /** The text of a call of `all__echo` with the message "hello". */
  readonly text: string;
}

/** The gateway over each transport. Over stdio it is a process of its own, with the same servers. */
function targetsOf({ url, origin, configFile }: RunningGateway): Target[] {
  const args = [cliPath, 'start', '--config', configFile, '--stdio', '--no-http', '--no-admin'];
  return [
    { transport: 'http', url },
    { transport: 'sse', url: `${origin}/sse` },
    { transport: 'stdio', command: process.execPath, args },
  ];
}

/** Runs a program to its end, with a home of its own. @throws with its output when it fails */
async function outputOf(
  scope: TestScope,
  args: readonly string[],
  { cwd, target }: { cwd?: string; target?: Target } = {},
): Promise<string> {
  const HOME = await tempFolder(scope);
  const child = startProcess(scope, process.execPath, [...args], {
    env: { HOME, ...(target === undefined ? {} : { TARGET: JSON.stringify(target) }) },
    ...(cwd === undefined ? {} : { cwd }),
  });
  const { code } = await child.exited;
  assert.equal(code, 0, child.output);
  return child.stdout;
}

/** Runs a script of test/peers/clients among the packages that it imports. */
async function runScript(scope: TestScope, peers: Peers, name: string, target: Target): Promise<Seen> {
  const script = readFileSync(join(packageRoot, 'test/peers/clients', `${name}.mjs`), 'utf8');
  const output = await outputOf(scope, ['--input-type=module', '-e', script], { cwd: peers.folder, target });
  return JSON.parse(output.trim().split('\n').at(-1) ?? '') as Seen;
}

/** A client's file that names the gateway as its only server. */
async function fileFor({ transport, ...gateway }: Target, folder: string, more: object = {}): Promise<string> {
  const file = join(folder, `client-${transport}.json`);
  await writeFile(file, JSON.stringify({ mcpServers: { gateway }, ...more }));
  return file;
}

/** The command line of the inspector. */
async function inspect(scope: TestScope, peers: Peers, target: Target, folder: string): Promise<Seen> {
  const where =
    target.transport === 'stdio'
      ? ['--config', await fileFor(target, folder), '--server', 'gateway']
      : [target.url, '--transport', target.transport];
  const run = async (args: readonly string[]): Promise<unknown> =>
    JSON.parse(
      await outputOf(scope, [
        peers.program('@modelcontextprotocol/inspector', 'mcp-inspector'),
        '--cli',
        ...where,
        ...args,
      ]),
    );
  const { tools } = (await run(['--method', 'tools/list'])) as { tools: { name: string }[] };
  const call = ['--method', 'tools/call', '--tool-name', 'all__echo', '--tool-arg', 'message=hello'];
  const { content } = (await run(call)) as { content: { text: string }[] };
  return { tools: tools.map(({ name }) => name), text: content[0]?.text ?? '' };
}

/** mcporter, with a file of the gateway alone. */
async function port(scope: TestScope, peers: Peers, target: Target, folder: string): Promise<Seen> {
  const config = await fileFor(target, folder, { imports: [] });
  const run = (args: readonly string[]): Promise<string> =>
    outputOf(scope, [peers.program('mcporter', 'mcporter'), ...args, '--config', config]);
  const { tools } = JSON.parse(await run(['list', 'gateway', '--json'])) as { tools: { name: string }[] };
  return {
    tools: tools.map(({ name }) => name),
    text: (await run(['call', 'gateway.all__echo', 'message=hello'])).trim(),
  };
}

/** A client of the SDK behind a bridge. */
async function useBridge(scope: TestScope, transport: unknown): Promise<Seen> {
  const client = new Client({ name: 'switchyard-test', version: '1.0.0' });
  scope.after(() => client.close());
  await client.connect(transport as Transport);
  const { tools } = await client.listTools();
  const { content } = await client.callTool({ name: 'all__echo', arguments: { message: 'hello' } });
  return { tools: tools.map(({ name }) => name), text: (content as { text: string }[])[0]?.text ?? '' };
}

/** A bridge that serves standard input and output. */
function overStdio(args: readonly string[]): StdioClientTransport {
  return new StdioClientTransport({ command: process.execPath, args: [...args], stderr: 'ignore' });
}

test('public clients list the tools of the gateway and call one', async (t) => {
  const peers = await Peers.install('clients', (line) => t.diagnostic(line));
  if (peers === null) return;
  const gateway = await startGateway(t, { mcpServers: { all: everythingStdio() } });
  const folder = dirname(gateway.configFile);
  const targets = targetsOf(gateway);
  const check = ({ tools, text }: Seen): void => {
    assert.ok(tools.includes('all__echo') && tools.length > 10, tools.join());
    assert.equal(text, 'Echo: hello');
  };

  for (const target of targets) {
    const { transport } = target;
    await t.test(`inspector, ${transport}`, async (t) => check(await inspect(t, peers, target, folder)));
    await t.test(`mcporter, ${transport}`, async (t) => check(await port(t, peers, target, folder)));
    for (const script of ['openai-agents', 'ai-sdk', 'langchain']) {
      await t.test(`${script}, ${transport}`, async (t) => check(await runScript(t, peers, script, target)));
    }
  }

  const { origin, url } = gateway;
  const start = targets.find((target) => target.transport === 'stdio');
  assert.ok(start !== undefined);
  const stdioBridges: readonly (readonly [name: string, args: readonly string[]])[] = [
    ['mcp-remote, http', [peers.program('mcp-remote', 'mcp-remote'), url, '--transport', 'http-only']],
    ['mcp-remote, sse', [peers.program('mcp-remote', 'mcp-remote'), `${origin}/sse`, '--transport', 'sse-only']],
    ['supergateway, http', [peers.program('supergateway'), '--streamableHttp', url, '--logLevel', 'none']],
    ['supergateway, sse', [peers.program('supergateway'), '--sse', `${origin}/sse`, '--logLevel', 'none']],
  ];
  for (const [name, args] of stdioBridges) {
    await t.test(name, async (t) => check(await useBridge(t, overStdio(args))));
  }

  await t.test('supergateway, stdio', async (t) => {
    const port = await freePort();
    const command = [start.command, ...start.args].map((word) => `"${word}"`).join(' ');
    const bridge = startProcess(t, process.execPath, [
      peers.program('supergateway'),
      '--stdio',
      command,
      '--port',
      String(port),
    ]);
    await bridge.waitForLine(/Listening on port/);
    check(await useBridge(t, new SSEClientTransport(new URL(`http://127.0.0.1:${port}/sse`))));
  });

  await t.test('mcp-proxy, stdio', async (t) => {
    const port = await freePort();
    const args = ['--port', String(port), '--host', '127.0.0.1', '--', start.command, ...start.args];
    startProcess(t, process.execPath, [peers.program('mcp-proxy'), ...args]);
    const isReached = (): Promise<boolean> =>
      fetch(`http://127.0.0.1:${port}/ping`).then(
        () => true,
        () => false,
      );
    await eventually('mcp-proxy listens', isReached, 30_000);
    check(await useBridge(t, new StreamableHTTPClientTransport(new URL(`http://127.0.0.1:${port}/mcp`))));
  });
});
