/** Upstreams with protocol versions that the gateway does not know, and what clients and operators see of them. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { startGateway } from '../support/gateway.js';
import { eventually } from '../support/process.js';
import { rawUpstream, type Script } from '../support/raw-upstream.js';
import { type Message, modernRpc, openSession } from '../support/rpc.js';

const CHILD = fileURLToPath(new URL('../upstream/fixtures/child.js', import.meta.url));

/** A server that answers `initialize` in this way. */
const initialized = (initialize: Script): Script => {
  return (request, answer) => {
    const { method } = request.message;
    if (method === 'initialize') return initialize(request, answer);
    if (method === 'server/discover') return void answer.response.writeHead(404).end();
    if (method === 'notifications/initialized') return void answer.response.writeHead(202).end();
    if (method === 'tools/list') answer.result({ tools: [{ name: 'call', inputSchema: { type: 'object' } }] });
    else answer.result({ content: [{ type: 'text', text: 'here' }] });
  };
};

describe('Protocol versions of upstreams', () => {
  it('that are unknown are served as older ones; those that are refused stand in /stats', async (scope) => {
    const announcing = await rawUpstream(
      scope,
      initialized((_request, answer) =>
        answer.result({ protocolVersion: '2025-01-01', capabilities: { tools: {} } }, { 'mcp-session-id': 's' }),
      ),
      { family: 'none' },
    );
    const refusing = await rawUpstream(
      scope,
      initialized((request, { response }) => {
        const data = { supported: ['2031-01-01'] };
        const error = { code: -32_602, message: 'Unsupported protocol version', data };
        response.writeHead(400, { 'content-type': 'application/json' });
        response.end(JSON.stringify({ jsonrpc: '2.0', id: request.message.id, error }));
      }),
      { family: 'none' },
    );
    const child = (mode: string) => ({ command: process.execPath, args: [CHILD, mode] });
    const gateway = await startGateway(scope, {
      mcpServers: {
        http: { url: announcing.url },
        stdio: child('announces:2025-01-01'),
        refusing: { url: refusing.url },
        lists: child('lists:2031-01-01'),
      },
    });
    await eventually('both are listed', async () => {
      const { message } = await modernRpc(gateway.url, 'tools/list');
      const names = message.result.tools.map(({ name }: { name: string }) => name);
      return names.includes('http__call') && names.includes('stdio__call');
    });
    const session = await openSession(gateway.url);
    for (const name of ['http__call', 'stdio__call']) {
      const params = { name, arguments: {} };
      for (const { message } of [
        await session.request('tools/call', params),
        await modernRpc(gateway.url, 'tools/call', params),
      ]) {
        assert.equal(message.result?.content.length, 1, JSON.stringify(message));
      }
    }
    const stats = async (server: string): Promise<string> => {
      const { upstreams } = (await (await fetch(`${gateway.adminUrl}/stats`)).json()) as Message;
      return JSON.stringify(upstreams.find(({ name }: Message) => name === server));
    };
    for (const server of ['refusing', 'lists']) {
      await eventually(`${server} in /stats`, async () =>
        /none of the protocol versions of the gateway, only 2031-01-01/.test(await stats(server)),
      );
    }
    for (const server of ['http', 'stdio']) assert.match(await stats(server), /"revision":"2024-11-05"/);
  });
});
