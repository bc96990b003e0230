/**
 * The upstream of the soak, on SDK v2, for either family:
 *
 *     node server.js stdio|http modern|legacy      http prints `listening on http://127.0.0.1:PORT/mcp`
 *
 * Tools: `echo` says it back, `slow` does so after a while with progress, `ask` asks the user for a word first. The
 * resource `soak://NAME/clock` changes all the time; the tool `toggled` comes and goes.
 */
import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import {
  type NodeIncomingMessageLike,
  NodeStreamableHTTPServerTransport,
  toNodeHandler,
} from '@modelcontextprotocol/node';
import { acceptedContent, createMcpHandler, inputRequired, McpServer } from '@modelcontextprotocol/server';
import { StdioServerTransport, serveStdio } from '@modelcontextprotocol/server/stdio';
import { z } from 'zod';
import { pause } from '../support/server-content.js';

const TICK_MS = 250;
const TOGGLE_MS = 3_000;
const [, , transport, family, name = 'soak'] = process.argv;
const uri = `soak://${name}/clock`;
const wordSchema = z.object({ word: z.string() });
const servers = new Set<McpServer>();
let toggled = false;

const text = (value: string) => ({ content: [{ type: 'text' as const, text: value }] });

function build(): McpServer {
  const server = new McpServer(
    { name: `soak-${name}`, version: '1.0.0' },
    { capabilities: { tools: { listChanged: true }, resources: { subscribe: true, listChanged: true } } },
  );
  server.registerTool('echo', { inputSchema: z.object({ text: z.string() }) }, async (args) => text(args.text));
  server.registerTool(
    'slow',
    { inputSchema: z.object({ text: z.string(), ms: z.number() }) },
    async ({ text: said, ms }, ctx) => {
      const progressToken = ctx.mcpReq._meta?.progressToken;
      for (let step = 1; step <= 4 && !ctx.mcpReq.signal.aborted; step += 1) {
        await pause(ms / 4);
        if (progressToken === undefined) continue;
        const params = { progressToken, progress: step, total: 4, message: said };
        await ctx.mcpReq.notify({ method: 'notifications/progress', params });
      }
      return text(said);
    },
  );
  server.registerTool('ask', { inputSchema: z.object({ text: z.string() }) }, (args, ctx) => {
    const answer = acceptedContent(ctx.mcpReq.inputResponses, 'word', wordSchema);
    if (answer !== undefined) return text(`${args.text} ${answer.word}`);
    const word = inputRequired.elicit({ message: `The word for ${args.text}?`, requestedSchema: wordSchema });
    return inputRequired({ inputRequests: { word } });
  });
  if (toggled) server.registerTool('toggled', { inputSchema: z.object({}) }, async () => text('here'));
  server.registerResource('clock', uri, { mimeType: 'text/plain' }, async () => ({
    contents: [{ uri, mimeType: 'text/plain', text: String(Date.now()) }],
  }));
  server.server.setRequestHandler('resources/subscribe', () => ({}));
  server.server.setRequestHandler('resources/unsubscribe', () => ({}));
  servers.add(server);
  server.server.onclose = () => servers.delete(server);
  return server;
}

function everySoOften(clock: () => void, lists: () => void): void {
  setInterval(clock, TICK_MS);
  setInterval(() => {
    toggled = !toggled;
    lists();
  }, TOGGLE_MS);
}

function forEachServer(act: (server: McpServer) => Promise<void> | void): void {
  for (const server of servers) Promise.resolve(act(server)).catch(() => {});
}

type Answer = (request: IncomingMessage, response: ServerResponse) => Promise<void> | void;

function stateless(): Answer {
  const handler = createMcpHandler(build, { legacy: 'reject' });
  everySoOften(
    () => handler.notify.resourceUpdated(uri),
    () => handler.notify.toolsChanged(),
  );
  const answer = toNodeHandler(handler);
  // Node's own type allows members that the SDK's structural one does not under exactOptionalPropertyTypes.
  return (request, response) => answer(request as NodeIncomingMessageLike, response);
}

function withSessions(): Answer {
  const sessions = new Map<string, NodeStreamableHTTPServerTransport>();
  everySoOften(
    () => forEachServer((server) => server.server.sendResourceUpdated({ uri })),
    () => forEachServer((server) => server.sendToolListChanged()),
  );
  return async (request, response) => {
    const id = request.headers['mcp-session-id'];
    const known = typeof id === 'string' ? sessions.get(id) : undefined;
    if (known === undefined && id !== undefined) {
      response.writeHead(404, { 'content-type': 'application/json' });
      response.end('{"jsonrpc":"2.0","error":{"code":-32001,"message":"Session not found"},"id":null}');
      return;
    }
    const session =
      known ??
      new NodeStreamableHTTPServerTransport({
        sessionIdGenerator: randomUUID,
        onsessioninitialized: (created) => {
          sessions.set(created, session);
        },
        onsessionclosed: (ended) => {
          sessions.delete(ended);
        },
      });
    if (known === undefined) await build().connect(session);
    await session.handleRequest(request, response);
  };
}

if (transport === 'http') {
  const answer = family === 'modern' ? stateless() : withSessions();
  const http = createServer((request, response) => void answer(request, response));
  http.listen(Number(process.env['PORT'] ?? 0), '127.0.0.1', () => {
    console.log(`listening on http://127.0.0.1:${(http.address() as { port: number }).port}/mcp`);
  });
} else {
  everySoOften(
    () => forEachServer((server) => server.server.sendResourceUpdated({ uri })),
    () => forEachServer((server) => server.sendToolListChanged()),
  );
  if (family === 'modern') serveStdio(build, { legacy: 'reject' });
  else await build().connect(new StdioServerTransport());
}
