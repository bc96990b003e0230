/**
 * A test server of revision 2026-07-28 on SDK v2.
 *
 *     node modern-server.js stdio [dual]
 *     node modern-server.js http [dual]     prints `listening on http://127.0.0.1:PORT/mcp`
 *     node modern-server.js websocket [dual] prints `listening on ws://127.0.0.1:PORT/mcp`
 *
 * With `dual` it also serves the older revisions; without it refuses them.
 */
import { createServer } from 'node:http';
import { type NodeIncomingMessageLike, toNodeHandler } from '@modelcontextprotocol/node';
import {
  completable,
  createMcpHandler,
  McpServer,
  ResourceTemplate,
  type ServerContext,
} from '@modelcontextprotocol/server';
import { serveStdio } from '@modelcontextprotocol/server/stdio';
import { z } from 'zod';
import { record } from './call-journal.js';
import { CITIES, cityNames, pause, SERVER_INSTRUCTIONS } from './server-content.js';
import { serveWebSocket } from './websocket-transport.js';

/** Tools added while the server runs, by name; a fresh server object is built per request, so they live here. */
const added = new Set<string>();
const changed = { tools: (): void => {} };

function build(): McpServer {
  const server = new McpServer(
    { name: 'modern-test-server', version: '2.0.0' },
    {
      capabilities: { logging: {}, tools: { listChanged: true } },
      instructions: SERVER_INSTRUCTIONS,
      cacheHints: { 'tools/list': { ttlMs: 60_000, cacheScope: 'public' } },
    },
  );

  server.registerTool(
    'echo',
    { description: 'Says it back', inputSchema: z.object({ text: z.string() }), annotations: { readOnlyHint: true } },
    async (args) => {
      record('echo', 'called', args);
      return { content: [{ type: 'text', text: args.text }] };
    },
  );
  server.registerTool(
    'add',
    {
      description: 'Adds two numbers',
      inputSchema: z.object({ a: z.number(), b: z.number() }),
      outputSchema: z.object({ sum: z.number() }),
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
      inputSchema: z.object({ ms: z.number().default(100), steps: z.number().default(4), key: z.string().default('') }),
    },
    async (args, ctx) => {
      record('slow', 'called', args);
      return work(args, ctx);
    },
  );
  server.registerTool(
    'log',
    { description: 'Sends a log message', inputSchema: z.object({ text: z.string() }) },
    async (args, ctx) => {
      record('log', 'called', args);
      await ctx.mcpReq.log('info', args.text, 'modern');
      return { content: [{ type: 'text', text: 'logged' }] };
    },
  );
  server.registerTool('fail', { description: 'Fails', inputSchema: z.object({}) }, async () => {
    record('fail', 'called', {});
    return { content: [{ type: 'text', text: 'it failed' }], isError: true };
  });
  server.registerTool(
    'hang',
    { description: 'Answers only when cancelled', inputSchema: z.object({}) },
    async (_args, ctx) => {
      record('hang', 'called', {});
      await new Promise<void>((resolve) => ctx.mcpReq.signal.addEventListener('abort', () => resolve()));
      record('hang', 'cancelled', {});
      return { content: [{ type: 'text', text: 'cancelled' }] };
    },
  );
  server.registerTool('exit', { description: 'Ends the server process', inputSchema: z.object({}) }, async () => {
    record('exit', 'called', {});
    process.exit(3);
  });
  server.registerTool(
    'add_tool',
    { description: 'Adds a tool to the list', inputSchema: z.object({ name: z.string() }) },
    async (args) => {
      record('add_tool', 'called', args);
      added.add(args.name);
      // Over stdio this object goes on serving; over HTTP the next request gets a new one.
      register(args.name);
      changed.tools();
      return { content: [{ type: 'text', text: 'added' }] };
    },
  );
  const register = (name: string): void => {
    server.registerTool(name, { description: 'Added later', inputSchema: z.object({}) }, async () => {
      record(name, 'called', {});
      return { content: [{ type: 'text', text: name }] };
    });
  };
  for (const name of added) register(name);

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
    { description: 'A greeting', argsSchema: z.object({ city: completable(z.string(), cityNames) }) },
    async ({ city }) => {
      record('greet', 'called', { city });
      return { messages: [{ role: 'user', content: { type: 'text', text: `Greet the people of ${city}.` } }] };
    },
  );
  return server;
}

async function work(args: { ms: number; steps: number }, ctx: ServerContext) {
  const progressToken = ctx.mcpReq._meta?.progressToken;
  for (let step = 1; step <= args.steps; step += 1) {
    await pause(args.ms / args.steps);
    if (ctx.mcpReq.signal.aborted) {
      record('slow', 'cancelled', args);
      break;
    }
    if (progressToken !== undefined) {
      const params = { progressToken, progress: step, total: args.steps };
      await ctx.mcpReq.notify({ method: 'notifications/progress', params });
    }
  }
  return { content: [{ type: 'text' as const, text: `done in ${args.steps} steps` }] };
}

const legacyToo = process.argv[3] === 'dual';
if (process.argv[2] === 'stdio' || process.argv[2] === 'websocket') {
  const instances = new Set<McpServer>();
  changed.tools = () => {
    for (const server of instances) server.sendToolListChanged();
  };
  const make = (): McpServer => {
    const server = build();
    instances.add(server);
    return server;
  };
  const legacy = legacyToo ? 'serve' : 'reject';
  if (process.argv[2] === 'stdio') serveStdio(make, { legacy });
  else serveWebSocket((transport) => void serveStdio(make, { legacy, transport }));
} else if (process.argv[2] === 'http') {
  const handler = createMcpHandler(build, { legacy: legacyToo ? 'stateless' : 'reject' });
  changed.tools = () => handler.notify.toolsChanged();
  const answer = toNodeHandler(handler);
  // Node's own type allows members that the SDK's structural one does not under exactOptionalPropertyTypes.
  const http = createServer((request, response) => void answer(request as NodeIncomingMessageLike, response));
  http.listen(Number(process.env['PORT'] ?? 0), '127.0.0.1', () => {
    console.log(`listening on http://127.0.0.1:${(http.address() as { port: number }).port}/mcp`);
  });
}
