/**
 * Public servers from npm, asked directly and through the gateway by the same client: what they list and answer is compared
 * deeply. None needs an account or a network: where a call would, it is one that the server itself refuses.
 */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { ResultSchema } from '@modelcontextprotocol/sdk/types.js';
import { startGateway } from '../support/gateway.js';
import { eventually, type TestScope, tempFolder } from '../support/process.js';
import { Peers } from '../support/registry.js';
import { modernRpc } from '../support/rpc.js';
import { connectV1 } from '../support/sdk-clients.js';
import { everythingStdio, filesystemServer, memoryServer, type StdioEntry } from '../support/upstreams.js';

/** With it calls fail alike on machines with and without a network. */
const NO_NETWORK = { HTTP_PROXY: 'http://127.0.0.1:9', HTTPS_PROXY: 'http://127.0.0.1:9' };

/** A public server, and calls whose answers depend on nothing else. */
interface PublicServer {
  readonly entry: StdioEntry;
  /** Names and arguments. */
  readonly calls: readonly (readonly [tool: string, args: object])[];
}

type Item = Record<string, unknown>;

/** The lists of the protocol: method, member of the result, capability, and the member that the gateway prefixes. */
const LISTS = [
  ['tools/list', 'tools', 'tools', 'name'],
  ['prompts/list', 'prompts', 'prompts', 'name'],
  ['resources/list', 'resources', 'resources', ''],
  ['resources/templates/list', 'resourceTemplates', 'resources', ''],
] as const;

async function publicServers(scope: TestScope, log: (line: string) => void): Promise<Record<string, PublicServer>> {
  const folder = await tempFolder(scope);
  await writeFile(join(folder, 'note.txt'), 'a line\n');
  const own: Record<string, PublicServer> = {
    everything: { entry: everythingStdio(), calls: [['echo', { message: 'hello' }]] },
    filesystem: {
      entry: filesystemServer(folder),
      calls: [
        ['list_directory', { path: folder }],
        ['read_text_file', { path: join(folder, 'note.txt') }],
        ['read_text_file', { path: '/etc/hostname' }],
      ],
    },
    memory: { entry: await memoryServer(scope), calls: [['read_graph', {}]] },
  };
  const peers = await Peers.install('servers', log);
  if (peers === null) return own;
  const program = (name: string, env: Record<string, string> = {}): StdioEntry => ({
    command: process.execPath,
    args: [peers.program(name)],
    env,
  });
  await writeFile(join(folder, 'eslint.config.js'), 'module.exports = [{ rules: { "no-unused-vars": "error" } }];\n');
  await writeFile(join(folder, 'unused.js'), 'const unused = 1;\n');
  const thought = { thought: 'one', nextThoughtNeeded: false, thoughtNumber: 1, totalThoughts: 1 };
  return {
    ...own,
    thinking: {
      entry: program('@modelcontextprotocol/server-sequential-thinking'),
      calls: [['sequentialthinking', thought]],
    },
    eslint: { entry: program('@eslint/mcp'), calls: [['lint-files', { filePaths: [join(folder, 'unused.js')] }]] },
    github: {
      entry: program('@modelcontextprotocol/server-github', { GITHUB_PERSONAL_ACCESS_TOKEN: 'none' }),
      calls: [['create_issue', { owner: 1 }]],
    },
    context7: { entry: program('@upstash/context7-mcp'), calls: [['resolve-library-id', { libraryName: 1 }]] },
    brave: {
      entry: program('@brave/brave-search-mcp-server', { BRAVE_API_KEY: 'none' }),
      calls: [['brave_web_search', { query: 1 }]],
    },
    chart: { entry: program('@antv/mcp-server-chart'), calls: [['generate_pie_chart', { data: 'none' }]] },
    tavily: {
      entry: program('tavily-mcp', { TAVILY_API_KEY: 'none', ...NO_NETWORK }),
      calls: [['tavily_search', { query: 'x' }]],
    },
    notion: {
      entry: program('@notionhq/notion-mcp-server', { NOTION_TOKEN: 'none', ...NO_NETWORK }),
      calls: [['API-get-self', {}]],
    },
  };
}

/** A client that speaks with the server itself. */
async function connectDirectly(scope: TestScope, { command, args, env = {} }: StdioEntry): Promise<Client> {
  const client = new Client({ name: 'switchyard-test', version: '1.0.0' });
  const transport = new StdioClientTransport({
    command,
    args,
    env: { ...(process.env as Record<string, string>), ...env },
    stderr: 'ignore',
  });
  scope.after(() => client.close());
  await client.connect(transport);
  return client;
}

/** All items of a list, by pages. */
async function itemsOf(client: Client, method: string, member: string): Promise<Item[]> {
  const items: Item[] = [];
  let params: { cursor?: string } = {};
  do {
    const page = (await client.request({ method, params }, ResultSchema)) as Item;
    items.push(...(page[member] as Item[]));
    params = typeof page['nextCursor'] === 'string' ? { cursor: page['nextCursor'] } : {};
  } while (params.cursor !== undefined);
  return items;
}

/** The items of one server among those of all, under the names that it has for them. */
function itemsOfServer(items: readonly Item[], key: string, prefix: string, expected: readonly Item[]): Item[] {
  if (key !== '') {
    const own = items.filter((item) => String(item[key]).startsWith(prefix));
    return own.map((item) => ({ ...item, [key]: String(item[key]).slice(prefix.length) }));
  }
  const addresses = new Set(expected.map(({ uri, uriTemplate }) => uri ?? uriTemplate));
  return items.filter(({ uri, uriTemplate }) => addresses.has(uri ?? uriTemplate));
}

/** An item as the family of 2026-07-28 has it: tasks are an extension there, and no member of tools. */
function withoutExecution({ execution: _, ...item }: Item): Item {
  return item;
}

/** The result of a call, or its error. A server of 2026-07-28, which the gateway speaks with as one, names itself in each result. */
async function answerOf(client: Client, name: string, args: object): Promise<unknown> {
  try {
    const { _meta, ...result } = await client.request(
      { method: 'tools/call', params: { name, arguments: args } },
      ResultSchema,
    );
    const { 'io.modelcontextprotocol/serverInfo': _, ...meta } = _meta ?? {};
    return { ...result, meta };
  } catch (error) {
    const { code, message, data } = error as { code: number; message: string; data: unknown };
    return { code, message, data };
  }
}

describe('public servers', () => {
  it('list and answer through the gateway what they list and answer directly', async (t) => {
    const servers = await publicServers(t, (line) => t.diagnostic(line));
    const mcpServers = Object.fromEntries(Object.entries(servers).map(([name, { entry }]) => [name, entry]));
    const gateway = await startGateway(t, { mcpServers, log: { level: 'warn' } });
    await eventually(
      'all servers are ready',
      async () => {
        const stats = (await (await fetch(`${gateway.adminUrl}/stats`)).json()) as {
          catalog: { undiscovered: string[] };
        };
        return stats.catalog.undiscovered.length === 0;
      },
      120_000,
    );
    const through = await connectV1(t, gateway.url);
    for (const [name, { entry, calls }] of Object.entries(servers)) {
      const prefix = `${name}__`;
      await t.test(name, async (t) => {
        const direct = await connectDirectly(t, entry);
        let listed = 0;
        for (const [method, member, capability, key] of LISTS) {
          if (direct.getServerCapabilities()?.[capability] === undefined) continue;
          const expected = await itemsOf(direct, method, member);
          listed += expected.length;
          const ofServer = (items: readonly Item[]): Item[] => itemsOfServer(items, key, prefix, expected);
          assert.deepEqual(ofServer(await itemsOf(through, method, member)), expected, `${name} ${method}`);
          const modern = (await modernRpc(gateway.url, method)).message.result[member] as Item[];
          assert.deepEqual(ofServer(modern), expected.map(withoutExecution), `${name} ${method}, modern`);
        }
        assert.ok(listed > 0, `${name} lists nothing`);
        for (const [tool, args] of calls) {
          assert.deepEqual(
            await answerOf(through, prefix + tool, args),
            await answerOf(direct, tool, args),
            `${name} ${tool}`,
          );
        }
      });
    }
  });
});
