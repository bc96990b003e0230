/**
 * A test server on SDK v1 that closes the stream of a call and lets its client poll for the answer (MCP 2025-11-25).
 *
 *     node polling-server.js      prints `listening on http://127.0.0.1:PORT/mcp`
 */
import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { InMemoryEventStore } from '@modelcontextprotocol/sdk/examples/shared/inMemoryEventStore.js';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js';
import { z } from 'zod';
import { pause } from './server-content.js';

function build(): McpServer {
  const server = new McpServer({ name: 'polling-test-server', version: '1.0.0' });
  server.registerTool(
    'poll',
    { description: 'Answers on another stream', inputSchema: { text: z.string(), ms: z.number() } },
    async ({ text, ms }, extra) => {
      extra.closeSSEStream?.();
      await pause(ms);
      return { content: [{ type: 'text', text }] };
    },
  );
  return server;
}

const sessions = new Map<string, StreamableHTTPServerTransport>();

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const id = request.headers['mcp-session-id'];
  let transport = typeof id === 'string' ? sessions.get(id) : undefined;
  if (transport === undefined) {
    const created = new StreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      eventStore: new InMemoryEventStore(),
      retryInterval: 40,
      onsessioninitialized: (session) => void sessions.set(session, created),
    });
    // The SDK's own class declares its callbacks in a way that exactOptionalPropertyTypes refuses.
    await build().connect(created as Transport);
    transport = created;
  }
  await transport.handleRequest(request, response);
}

const http = createServer((request, response) => void answer(request, response));
http.listen(0, '127.0.0.1', () => {
  console.log(`listening on http://127.0.0.1:${(http.address() as { port: number }).port}/mcp`);
});
