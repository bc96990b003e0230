/**
 * A test server of the revisions with `initialize`, on SDK v1.
 *
 *     node legacy-server.js stdio
 *     node legacy-server.js http      prints `listening on http://127.0.0.1:PORT/mcp`; one session per client
 *     node legacy-server.js sse       HTTP with SSE; prints `listening on http://127.0.0.1:PORT/sse`
 *     node legacy-server.js websocket prints `listening on ws://127.0.0.1:PORT/mcp`
 *
 * Over HTTP, `POST /forget` drops every session, as a restart would.
 */
import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { completable } from '@modelcontextprotocol/sdk/server/completable.js';
import { McpServer, ResourceTemplate } from '@modelcontextprotocol/sdk/server/mcp.js';
import { SSEServerTransport } from '@modelcontextprotocol/sdk/server/sse.js';
import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js';
import { z } from 'zod';
import { record } from './call-journal.js';
import { CITIES, cityNames, pause, SERVER_INSTRUCTIONS } from './server-content.js';
import { serveWebSocket } from './websocket-transport.js';

const servers = new Set<McpServer>();
const added = new Set<string>();

function build(): McpServer {
  const server = new McpServer(
    { name: 'legacy-test-server', version: '1.0.0' },
    { capabilities: { logging: {} }, instructions: SERVER_INSTRUCTIONS },
  );
  server.registerTool(
    'echo',
    { description: 'Says it back', inputSchema: { text: z.string() }, annotations: { readOnlyHint: true } },
    async (args) => {
      record('echo', 'called', args);
      return { content: [{ type: 'text', text: args.text }] };
    },
  );
  server.registerTool(
    'add',
    {
      description: 'Adds two numbers',
      inputSchema: { a: z.number(), b: z.number() },
      outputSchema: { sum: z.number() },
    },
    async (args) => {
      record('add', 'called', args);
      const structuredContent = { sum: args.a + args.b };
      return { content: [{ type: 'text', text: JSON.stringify(structuredContent) }], structuredContent };
    },
  );
  server.registerTool(
    'slow',
    {
      description: 'Works for a while and reports progress',
      inputSchema: { ms: z.number().default(100), steps: z.number().default(4), key: z.string().default('') },
    },
    async (args, extra) => {
      record('slow', 'called', args);
      const progressToken = extra._meta?.progressToken;
      for (let step = 1; step <= args.steps; step += 1) {
        await pause(args.ms / args.steps);
        if (extra.signal.aborted) {
          record('slow', 'cancelled', args);
          break;
        }
        if (progressToken !== undefined) {
          const params = { progressToken, progress: step, total: args.steps };
          await extra.sendNotification({ method: 'notifications/progress', params });
        }
      }
      return { content: [{ type: 'text', text: `done in ${args.steps} steps` }] };
    },
  );
  server.registerTool(
    'log',
    { description: 'Sends a log message', inputSchema: { text: z.string() } },
    async (args, extra) => {
      record('log', 'called', args);
      const params = { level: 'info' as const, logger: 'legacy', data: args.text };
      await extra.sendNotification({ method: 'notifications/message', params });
      return { content: [{ type: 'text', text: 'logged' }] };
    },
  );
  server.registerTool('fail', { description: 'Fails', inputSchema: {} }, async () => {
    record('fail', 'called', {});
    return { content: [{ type: 'text', text: 'it failed' }], isError: true };
  });
  server.registerTool('hang', { description: 'Answers only when cancelled', inputSchema: {} }, async (_args, extra) => {
    record('hang', 'called', {});
    await new Promise<void>((resolve) => extra.signal.addEventListener('abort', () => resolve()));
    record('hang', 'cancelled', {});
    return { content: [{ type: 'text', text: 'cancelled' }] };
  });
  server.registerTool('exit', { description: 'Ends the server process', inputSchema: {} }, async () => {
    record('exit', 'called', {});
    process.exit(3);
  });
  server.registerTool(
    'add_tool',
    { description: 'Adds a tool to the list', inputSchema: { name: z.string() } },
    async (args) => {
      record('add_tool', 'called', args);
      added.add(args.name);
      for (const each of servers) registerAdded(each, args.name);
      return { content: [{ type: 'text', text: 'added' }] };
    },
  );
  for (const name of added) registerAdded(server, name);

  server.registerResource('readme', 'test://readme', { mimeType: 'text/plain' }, async (uri) => {
    record(uri.href, 'called', {});
    return { contents: [{ uri: uri.href, mimeType: 'text/plain', text: 'read me' }] };
  });
  server.registerResource(
    'city',
    new ResourceTemplate('test://city/{name}', { list: undefined, complete: { name: cityNames } }),
    { mimeType: 'application/json' },
    async (uri, { name }) => {
      record(uri.href, 'called', {});
      const city = String(name);
      return { contents: [{ uri: uri.href, text: JSON.stringify({ city, people: CITIES[city] ?? null }) }] };
    },
  );
  server.registerPrompt(
    'greet',
    { description: 'A greeting', argsSchema: { city: completable(z.string(), cityNames) } },
    async ({ city }) => {
      record('greet', 'called', { city });
      return { messages: [{ role: 'user', content: { type: 'text', text: `Greet the people of ${city}.` } }] };
    },
  );
  servers.add(server);
  server.server.onclose = () => servers.delete(server);
  return server;
}

function registerAdded(server: McpServer, name: string): void {
  server.registerTool(name, { description: 'Added later', inputSchema: {} }, async () => {
    record(name, 'called', {});
    return { content: [{ type: 'text', text: name }] };
  });
}

/** One transport and one server object per session, as servers of these revisions do. */
function serveHttp(): void {
  const sessions = new Map<string, StreamableHTTPServerTransport>();
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    if (request.method === 'POST' && request.url === '/forget') {
      sessions.clear();
      response.writeHead(204).end();
      return;
    }
    const id = request.headers['mcp-session-id'];
    const known = typeof id === 'string' ? sessions.get(id) : undefined;
    if (known !== undefined) {
      await known.handleRequest(request, response);
      return;
    }
    if (id !== undefined) {
      const error = { code: -32001, message: 'Session not found' };
      response.writeHead(404, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ jsonrpc: '2.0', error, id: null }));
      return;
    }
    const transport: StreamableHTTPServerTransport = new StreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      onsessioninitialized: (session) => {
        sessions.set(session, transport);
      },
      onsessionclosed: (session) => {
        sessions.delete(session);
      },
    });
    // The SDK's own class declares its callbacks in a way that exactOptionalPropertyTypes refuses.
    await build().connect(transport as Transport);
    await transport.handleRequest(request, response);
  };
  const http = createServer((request, response) => void answer(request, response));
  http.listen(Number(process.env['PORT'] ?? 0), '127.0.0.1', () => {
    console.log(`listening on http://127.0.0.1:${(http.address() as { port: number }).port}/mcp`);
  });
}

/** One stream, transport and server object per client. */
function serveSse(): void {
  const sessions = new Map<string, SSEServerTransport>();
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://localhost');
    if (request.method === 'GET' && pathname === '/sse') {
      const transport = new SSEServerTransport('/messages', response);
      sessions.set(transport.sessionId, transport);
      response.on('close', () => sessions.delete(transport.sessionId));
      await build().connect(transport as Transport);
      return;
    }
    const known = sessions.get(searchParams.get('sessionId') ?? '');
    if (request.method === 'POST' && pathname === '/messages' && known !== undefined) {
      await known.handlePostMessage(request, response);
      return;
    }
    response.writeHead(404).end('Not found');
  };
  const http = createServer((request, response) => void answer(request, response));
  http.listen(Number(process.env['PORT'] ?? 0), '127.0.0.1', () => {
    console.log(`listening on http://127.0.0.1:${(http.address() as { port: number }).port}/sse`);
  });
}

if (process.argv[2] === 'stdio') await build().connect(new StdioServerTransport());
else if (process.argv[2] === 'http') serveHttp();
else if (process.argv[2] === 'sse') serveSse();
else if (process.argv[2] === 'websocket') serveWebSocket((transport) => void build().connect(transport as Transport));
