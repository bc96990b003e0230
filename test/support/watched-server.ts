/**
 * A test server with resources that change, on the SDK of its family.
 *
 *     node watched-server.js legacy|modern stdio|http     over HTTP it prints `listening on http://127.0.0.1:PORT/mcp`
 *
 * The tool `touch` changes the resource `uri`. Every `resources/subscribe`, `resources/unsubscribe` and
 * `subscriptions/listen` goes into the journal (a listen over HTTP only: over stdio the SDK shows it to nobody).
 */
import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { type NodeIncomingMessageLike, toNodeHandler } from '@modelcontextprotocol/node';
import { McpServer as LegacyServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js';
import { SubscribeRequestSchema, UnsubscribeRequestSchema } from '@modelcontextprotocol/sdk/types.js';
import { createMcpHandler, McpServer as ModernServer } from '@modelcontextprotocol/server';
import { serveStdio } from '@modelcontextprotocol/server/stdio';
import { z } from 'zod';
import { record } from './call-journal.js';

const RESOURCES = { subscribe: true, listChanged: true };
const touched = { content: [{ type: 'text' as const, text: 'touched' }] };

/** Its own subscriptions, as a server object of these revisions has them. */
function buildLegacy(): LegacyServer {
  const subscribed = new Set<string>();
  const server = new LegacyServer({ name: 'watched', version: '1' }, { capabilities: { resources: RESOURCES } });
  server.registerResource('a', 'test://a', {}, async () => ({ contents: [] }));
  server.server.setRequestHandler(SubscribeRequestSchema, async ({ params: { uri } }) => {
    record(uri, 'called', 'subscribe');
    subscribed.add(uri);
    return {};
  });
  server.server.setRequestHandler(UnsubscribeRequestSchema, async ({ params: { uri } }) => {
    record(uri, 'called', 'unsubscribe');
    subscribed.delete(uri);
    return {};
  });
  server.registerTool('touch', { inputSchema: { uri: z.string() } }, async ({ uri }) => {
    if (subscribed.has(uri)) await server.server.sendResourceUpdated({ uri });
    return touched;
  });
  return server;
}

const changed = { resource: (_uri: string): void => {} };

function buildModern(): ModernServer {
  const server = new ModernServer({ name: 'watched', version: '2' }, { capabilities: { resources: RESOURCES } });
  server.registerResource('a', 'test://a', {}, async () => ({ contents: [] }));
  server.registerTool('touch', { inputSchema: z.object({ uri: z.string() }) }, async ({ uri }) => {
    changed.resource(uri);
    return touched;
  });
  return server;
}

type Answer = (request: IncomingMessage, response: ServerResponse) => Promise<void>;

function legacyHttp(): Answer {
  const sessions = new Map<string, StreamableHTTPServerTransport>();
  return async (request, response) => {
    const id = request.headers['mcp-session-id'];
    const known = typeof id === 'string' ? sessions.get(id) : undefined;
    if (known !== undefined) return known.handleRequest(request, response);
    if (id !== undefined) {
      response.writeHead(404, { 'content-type': 'application/json' });
      response.end('{"jsonrpc":"2.0","error":{"code":-32001,"message":"Session not found"},"id":null}');
      return;
    }
    const transport: StreamableHTTPServerTransport = new StreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      onsessioninitialized: (session) => {
        sessions.set(session, transport);
      },
    });
    // The SDK's own class declares its callbacks in a way that exactOptionalPropertyTypes refuses.
    await buildLegacy().connect(transport as Transport);
    await transport.handleRequest(request, response);
  };
}

function modernHttp(): Answer {
  const handler = createMcpHandler(buildModern, { legacy: 'reject' });
  changed.resource = (uri) => handler.notify.resourceUpdated(uri);
  const answer = toNodeHandler({
    async fetch(request, options) {
      // biome-ignore lint/suspicious/noExplicitAny: whatever the gateway sends
      const message = (await request.clone().json()) as any;
      if (message.method === 'subscriptions/listen') {
        record('subscriptions/listen', 'called', message.params.notifications);
      }
      return handler.fetch(request, options);
    },
  });
  // Node's own type allows members that the SDK's structural one does not under exactOptionalPropertyTypes.
  return async (request, response) => answer(request as NodeIncomingMessageLike, response);
}

const [, , family, transport] = process.argv;
if (transport === 'http') {
  const answer = family === 'legacy' ? legacyHttp() : modernHttp();
  const http = createServer((request, response) => void answer(request, response));
  http.listen(Number(process.env['PORT'] ?? 0), '127.0.0.1', () => {
    console.log(`listening on http://127.0.0.1:${(http.address() as { port: number }).port}/mcp`);
  });
} else if (family === 'legacy') {
  await buildLegacy().connect(new StdioServerTransport());
} else {
  const instances = new Set<ModernServer>();
  changed.resource = (uri) => {
    for (const server of instances) void server.server.sendResourceUpdated({ uri });
  };
  serveStdio(
    () => {
      const server = buildModern();
      instances.add(server);
      return server;
    },
    { legacy: 'reject' },
  );
}
