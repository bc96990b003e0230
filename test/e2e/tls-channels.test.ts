/** Upstreams over a secure WebSocket and over HTTP with SSE behind TLS. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { it } from 'node:test';
import { WebSocketServer } from 'ws';
import { packageRoot } from '../../src/package-root.js';
import { startGateway } from '../support/gateway.js';
import { eventually, type TestScope } from '../support/process.js';
import { modernRpc } from '../support/rpc.js';

const fixture = (name: string): string => join(packageRoot, 'test/upstream/fixtures', name);

/** The answer of a legacy server with one tool that says what it was given; null for notifications. */
function answerTo(text: string): string | null {
  const { id, method, params } = JSON.parse(text);
  const results: Record<string, unknown> = {
    initialize: { protocolVersion: '2024-11-05', capabilities: { tools: {} }, serverInfo: { name: 's', version: '1' } },
    'tools/list': { tools: [{ name: 'say', inputSchema: { type: 'object' } }] },
    'tools/call': { content: [{ type: 'text', text: params?.arguments?.text }] },
  };
  if (id === undefined) return null;
  const result = results[method];
  const outcome = result === undefined ? { error: { code: -32_601, message: 'Method not found' } } : { result };
  return JSON.stringify({ jsonrpc: '2.0', id, ...outcome });
}

async function listen(scope: TestScope, server: Server): Promise<string> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  scope.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return `localhost:${(server.address() as AddressInfo).port}`;
}

const keys = () => ({ cert: readFileSync(fixture('tls-certificate.pem')), key: readFileSync(fixture('tls-key.pem')) });

async function secureWebSocket(scope: TestScope): Promise<string> {
  const server = createServer(keys());
  new WebSocketServer({ server }).on('connection', (socket) => {
    scope.after(() => socket.terminate());
    socket.on('message', (data) => {
      const answer = answerTo((data as Buffer).toString());
      if (answer !== null) socket.send(answer);
    });
  });
  return `wss://${await listen(scope, server)}/mcp`;
}

async function secureSse(scope: TestScope): Promise<string> {
  let stream: NodeJS.WritableStream | null = null;
  const server = createServer(keys(), async (request, response) => {
    if (request.method === 'GET') {
      stream = response.writeHead(200, { 'content-type': 'text/event-stream' });
      stream.write('event: endpoint\ndata: /messages\n\n');
      return;
    }
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    if (request.url !== '/messages') {
      response.writeHead(404).end();
      return;
    }
    const answer = answerTo(Buffer.concat(chunks).toString());
    if (answer !== null) stream?.write(`data: ${answer}\n\n`);
    response.writeHead(202).end();
  });
  return `https://${await listen(scope, server)}/sse`;
}

for (const [name, serve] of [
  ['WebSocket', secureWebSocket],
  ['HTTP with SSE, found out', secureSse],
] as const) {
  it(`serves calls over ${name} behind TLS`, async (scope) => {
    const url = await serve(scope);
    const env = { NODE_EXTRA_CA_CERTS: fixture('tls-certificate.pem') };
    const gateway = await startGateway(scope, { mcpServers: { secure: { url } } }, { env });
    const text = 'größe '.repeat(20_000);
    for (let turn = 0; turn < 3; turn += 1) {
      await eventually('the call is answered', async () => {
        const { message } = await modernRpc(gateway.url, 'tools/call', { name: 'secure__say', arguments: { text } });
        return message.result?.content[0].text === text;
      });
    }
    assert.equal(gateway.process.output.includes('unhandled'), false);
  });
}
