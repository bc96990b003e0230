/** One list of a server that cannot be read takes nothing from its other lists, and is not asked for without end. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type RunningGateway, startGateway } from '../support/gateway.js';
import { eventually, startProcess, type TestScope } from '../support/process.js';
import { type Answer, rawUpstream, type Script } from '../support/raw-upstream.js';
import { type Message, modernRpc, openSession } from '../support/rpc.js';

const PROGRAM = fileURLToPath(new URL('../upstream/fixtures/lists.js', import.meta.url));
const FAMILIES = ['legacy', 'modern'] as const;

// HTTP with SSE is of 2024-11-05, and has no modern servers.
const PEERS = [
  ['stdio', 'legacy'],
  ['stdio', 'modern'],
  ['websocket', 'modern'],
  ['sse', 'legacy'],
] as const;

type Family = (typeof FAMILIES)[number];

/** A server entry for the program of test/upstream/fixtures/lists.ts. */
async function entryOf(
  scope: TestScope,
  fault: string,
  method: string,
  transport: (typeof PEERS)[number][0],
  family: Family,
): Promise<object> {
  const args = [PROGRAM, fault, method, transport, family];
  if (transport === 'stdio') return { command: process.execPath, args };
  const server = startProcess(scope, process.execPath, args);
  const [, url] = await server.waitForLine(/^listening on (\w+:\/\/127\.0\.0\.1:\d+\S*)/);
  return { url, transport };
}

const KEYS = [
  ['tools/list', 'tools', 'name'],
  ['prompts/list', 'prompts', 'name'],
  ['resources/list', 'resources', 'uri'],
  ['resources/templates/list', 'resourceTemplates', 'uriTemplate'],
] as const;

/** What clients of both families get: how many items of each list a server has. */
async function counts(gateway: RunningGateway, server: string): Promise<number[]> {
  const stats = await (await fetch(`${gateway.adminUrl}/stats`)).json();
  const { offers } = (stats as Message).upstreams.find(({ name }: { name: string }) => name === server);
  const counted: number[] = [offers.tools, offers.prompts, offers.resources, offers.templates];
  const session = await openSession(gateway.url);
  for (const [position, [method, key, name]] of KEYS.entries()) {
    const replies = [await session.request(method), await modernRpc(gateway.url, method)];
    for (const { message } of replies) {
      const names: string[] = message.result[key].map((item: Message) => item[name]);
      const own = position < 2 ? names.filter((item) => item.startsWith(`${server}__`)).length : counted[position];
      assert.equal(own, counted[position], `${server} ${method}`);
    }
  }
  return counted;
}

async function reasonOf(gateway: RunningGateway, server: string): Promise<string> {
  const stats = (await (await fetch(`${gateway.adminUrl}/stats`)).json()) as Message;
  return stats.upstreams.find(({ name }: { name: string }) => name === server).endpoints[0].reason;
}

describe('a list', () => {
  it('that is null, absent or ends with an empty cursor is whole', async (scope) => {
    const mcpServers: Record<string, object> = {};
    const expected = new Map<string, number[]>();
    for (const [position, [method]] of KEYS.entries()) {
      for (const fault of ['null', 'absent', ...(position === 1 ? ['empty-cursor'] : [])]) {
        const [transport, family] = PEERS[(position + fault.length) % PEERS.length]!;
        const name = `${fault}-${position}`;
        mcpServers[name] = await entryOf(scope, fault, method, transport, family);
        expected.set(
          name,
          [1, 1].map((count, at) => (at === position && fault !== 'empty-cursor' ? 0 : count)),
        );
      }
    }
    const gateway = await startGateway(scope, { mcpServers });
    for (const [server, own] of expected) {
      await eventually(`${server} is listed`, async () => (await counts(gateway, server)).some((count) => count > 0));
      // Resources of one URI belong to the first server that lists them.
      assert.deepEqual((await counts(gateway, server)).slice(0, 2), own, server);
      assert.equal(await reasonOf(gateway, server), '');
    }
  });

  it('that fails takes nothing from the others, and is told', async (scope) => {
    const mcpServers: Record<string, object> = {};
    for (const [position, [method]] of KEYS.entries()) {
      for (const fault of [position % 2 === 0 ? 'result' : 'text', 'error', 'silence']) {
        const [transport, family] = PEERS[(position + fault.length) % PEERS.length]!;
        mcpServers[`${fault}-${position}`] = {
          ...(await entryOf(scope, fault, method, transport, family)),
          connectTimeoutMs: 1_000,
        };
      }
    }
    const gateway = await startGateway(scope, { mcpServers });
    for (const server of Object.keys(mcpServers)) {
      const position = Number(server.at(-1));
      await eventually(`${server} is listed`, async () => {
        const [tools, prompts] = await counts(gateway, server);
        return tools === (position === 0 ? 0 : 1) && prompts === (position === 1 ? 0 : 1);
      });
    }
    for (const server of Object.keys(mcpServers)) {
      const [method] = KEYS[Number(server.at(-1))]!;
      await eventually(`${server} has a reason`, async () => (await reasonOf(gateway, server)) !== '', 20_000);
      assert.match(await reasonOf(gateway, server), new RegExp(`^lists cannot be read: ${method}: [^;]+$`));
      const lines = gateway.output.split('\n').filter((line) => line.includes('lists of the upstream cannot be read'));
      assert.equal(lines.filter((line) => line.includes(`"${server}"`)).length, 1, server);
    }
    const call = { name: 'silence-1__readings', arguments: {} };
    const { message } = await modernRpc(gateway.url, 'tools/call', call);
    assert.equal(message.result.content[0].type, 'text');
  });

  it('of an HTTP server that answers with a status or a page takes nothing from the others', async (scope) => {
    const faults: Record<string, (answer: Answer, id: unknown) => void> = {
      500: ({ response }) => void response.writeHead(500).end('{"error":"internal"}'),
      404: ({ response }) => void response.writeHead(404).end('Not Found'),
      'rpc-404': ({ response }, id) => {
        response.writeHead(404, { 'content-type': 'application/json' });
        response.end(JSON.stringify({ jsonrpc: '2.0', id, error: { code: -32_001, message: 'Session not found' } }));
      },
      html: ({ response }) => void response.writeHead(200, { 'content-type': 'text/html' }).end('<h1>Hello</h1>'),
      reset: (answer) => answer.reset(),
      204: ({ response }) => void response.writeHead(204).end(),
    };
    const mcpServers: Record<string, object> = {};
    const upstreams = new Map<string, Awaited<ReturnType<typeof rawUpstream>>>();
    for (const family of FAMILIES) {
      for (const [fault, fail] of Object.entries(faults)) {
        for (const faulty of ['tools/list', 'resources/list']) {
          const complete = family === 'modern' ? { resultType: 'complete', ttlMs: 0, cacheScope: 'private' } : {};
          const script: Script = ({ message }, answer) => {
            if (message.method === faulty) fail(answer, message.id);
            else if (message.method === 'tools/list') {
              answer.result({ ...complete, tools: [{ name: 'tool', inputSchema: { type: 'object' } }] });
            } else if (message.method === 'prompts/list') answer.result({ ...complete, prompts: [{ name: 'prompt' }] });
            else answer.result({ ...complete, resources: [], resourceTemplates: [] });
          };
          const upstream = await rawUpstream(scope, script, {
            family,
            tools: null,
            capabilities: { prompts: {}, resources: {} },
          });
          const name = `${fault}-${family}-${faulty.split('/')[0]}`;
          upstreams.set(name, upstream);
          mcpServers[name] = { url: upstream.url };
        }
      }
    }
    const gateway = await startGateway(scope, { mcpServers });
    for (const server of Object.keys(mcpServers)) {
      const tools = server.endsWith('tools') ? 0 : 1;
      await eventually(`${server} is listed`, async () => {
        const [found, prompts] = await counts(gateway, server);
        return found === tools && prompts === 1;
      });
      await eventually(`${server} has a reason`, async () => (await reasonOf(gateway, server)) !== '');
    }
    for (const [server, upstream] of upstreams) {
      const handshakes = upstream.received('initialize').length;
      assert.ok(handshakes <= 3, `${server}: another session for each reading: ${handshakes}`);
    }
  });

  it('is asked for once where the server declares nothing', async (scope) => {
    const mcpServers: Record<string, object> = {};
    for (const [transport, family] of PEERS) {
      mcpServers[`${transport}-${family}`] = await entryOf(scope, 'undeclared', 'tools/list', transport, family);
    }
    const gateway = await startGateway(scope, { mcpServers });
    for (const server of Object.keys(mcpServers)) {
      await eventually(`${server} is listed`, async () => (await counts(gateway, server))[0] === 1);
      assert.deepEqual(await counts(gateway, server), [1, 1, 1, 1], server);
      const { message } = await modernRpc(gateway.url, 'tools/call', { name: `${server}__readings`, arguments: {} });
      assert.equal(message.result.content[0].text, '1');
    }
  });

  it('that is said to change after each reading is read less and less often', async (scope) => {
    const mcpServers: Record<string, object> = {};
    for (const [transport, family] of PEERS) {
      mcpServers[`${transport}-${family}`] = await entryOf(scope, 'notices', 'tools/list', transport, family);
    }
    const gateway = await startGateway(scope, { mcpServers });
    await new Promise((resolve) => setTimeout(resolve, 3_000));
    const session = await openSession(gateway.url);
    for (const server of Object.keys(mcpServers)) {
      const { message } = await session.request('tools/call', { name: `${server}__readings`, arguments: {} });
      const readings = Number(message.result.content[0].text);
      assert.ok(readings >= 2 && readings <= 10, `${server} was read ${readings} times`);
    }
  });
});
