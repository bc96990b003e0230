/** An upstream behind TLS: verified like every server, and as good as one in the clear. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { it } from 'node:test';
import { packageRoot } from '../../src/package-root.js';
import { startGateway } from '../support/gateway.js';
import { eventually, type TestScope } from '../support/process.js';
import { modernRpc } from '../support/rpc.js';

const fixture = (name: string): string => join(packageRoot, 'test/upstream/fixtures', name);

/** A legacy server that knows one tool and how to say what it was given. */
async function secureServer(scope: TestScope): Promise<string> {
  const keys = { cert: readFileSync(fixture('tls-certificate.pem')), key: readFileSync(fixture('tls-key.pem')) };
  const server = createServer(keys, async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const { id, method, params } = JSON.parse(Buffer.concat(chunks).toString() || '{}');
    const results: Record<string, unknown> = {
      initialize: {
        protocolVersion: '2025-11-25',
        capabilities: { tools: {} },
        serverInfo: { name: 'secure', version: '1' },
      },
      'tools/list': { tools: [{ name: 'say', inputSchema: { type: 'object' } }] },
      'tools/call': { content: [{ type: 'text', text: params?.arguments?.text }] },
    };
    const result = results[method];
    if (request.method !== 'POST') response.writeHead(405).end();
    else if (id === undefined) response.writeHead(202).end();
    else {
      const known = result === undefined ? { error: { code: -32601, message: 'Method not found' } } : { result };
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ jsonrpc: '2.0', id, ...known }));
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  scope.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return `https://localhost:${(server.address() as AddressInfo).port}/mcp`;
}

it('serves calls to an upstream whose certificate holds', async (scope) => {
  const url = await secureServer(scope);
  const env = { NODE_EXTRA_CA_CERTS: fixture('tls-certificate.pem') };
  const gateway = await startGateway(scope, { mcpServers: { secure: { url } } }, { env });
  const text = 'größe '.repeat(20_000);
  for (let turn = 0; turn < 3; turn += 1) {
    await eventually('the call is answered', async () => {
      const call = { name: 'secure__say', arguments: { text } };
      const { message } = await modernRpc(gateway.url, 'tools/call', call);
      return message.result?.content[0].text === text;
    });
  }
});

it('does not talk to one whose certificate nobody vouches for', async (scope) => {
  const url = await secureServer(scope);
  const gateway = await startGateway(scope, { mcpServers: { secure: { url, connectTimeoutMs: 1000 } } });
  await eventually('the endpoint is given up', async () => {
    const stats = (await (await fetch(`${gateway.adminUrl}/stats`)).json()) as {
      upstreams: { endpoints: { state: string; reason: string }[] }[];
    };
    return ['backoff', 'failed'].includes(stats.upstreams[0]?.endpoints[0]?.state ?? '');
  });
  const { message } = await modernRpc(gateway.url, 'tools/call', { name: 'secure__say', arguments: { text: 'x' } });
  assert.equal(message.error.data.code, 'GW_UPSTREAM_NOT_CONNECTED', JSON.stringify(message));
});
