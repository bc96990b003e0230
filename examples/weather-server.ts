/**
 * A small MCP server over Streamable HTTP with sessions: an invented weather report, a slow forecast that reports
 * progress, and a station that writes log messages. The other half of what `npm start` shows without a configuration.
 *
 *     PORT=4000 node dist/examples/weather-server.js     prints `weather server on http://127.0.0.1:4000/mcp`
 *
 * Without PORT it uses a free one. With EXIT_WITH_PARENT set it ends when its standard input closes, so that it never
 * outlives a program that starts it with a pipe there, however that program ends.
 */
import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js';
import { z } from 'zod';

/** Most sessions; beyond them the oldest one is dropped, and its client has to initialize again. */
const MOST_SESSIONS = 1_000;

const CITIES = ['Basel', 'Bergen', 'Cairo', 'Lima', 'Lisbon'];
const SKIES = ['clear', 'cloudy', 'mist', 'rain', 'wind'];

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const city = z.string().min(1).max(100).describe('Any city; the weather is made up from its name');

/** The same name always has the same weather. */
function observe(name: string): { sky: string; celsius: number } {
  let sum = 0;
  for (const letter of name.toLowerCase()) sum = (sum * 31 + (letter.codePointAt(0) ?? 0)) % 10_007;
  return { sky: SKIES[sum % SKIES.length] ?? 'clear', celsius: (sum % 36) - 4 };
}

function weatherServer(): McpServer {
  const server = new McpServer(
    { name: 'weather', version: '1.0.0' },
    { capabilities: { logging: {} }, instructions: 'Invented weather for any city.' },
  );

  server.registerTool(
    'current_weather',
    {
      description: 'The weather in a city right now',
      inputSchema: { city },
      outputSchema: { city: z.string(), sky: z.string(), celsius: z.number() },
      annotations: { readOnlyHint: true, idempotentHint: true },
    },
    async (args) => {
      const structuredContent = { city: args.city, ...observe(args.city) };
      return { content: [{ type: 'text', text: JSON.stringify(structuredContent) }], structuredContent };
    },
  );

  server.registerTool(
    'forecast',
    {
      description: 'Computes a forecast day by day, slowly, and reports progress after each day',
      inputSchema: { city, days: z.number().int().min(1).max(10).default(5) },
      annotations: { readOnlyHint: true },
    },
    async (args, extra) => {
      const progressToken = extra._meta?.progressToken;
      const lines: string[] = [];
      for (let day = 1; day <= args.days; day += 1) {
        await pause(400);
        if (extra.signal.aborted) break;
        lines.push(`day ${day}: ${observe(args.city).celsius + ((day * 7) % 5) - 2} degrees`);
        if (progressToken === undefined) continue;
        const params = { progressToken, progress: day, total: args.days, message: `day ${day} of ${args.days}` };
        await extra.sendNotification({ method: 'notifications/progress', params });
      }
      return { content: [{ type: 'text', text: lines.join('\n') }] };
    },
  );

  server.registerTool(
    'read_station',
    { description: 'Reads a weather station and logs each of its sensors', inputSchema: { city } },
    async (args, extra) => {
      const { sky, celsius } = observe(args.city);
      for (const data of [`sky: ${sky}`, `temperature: ${celsius}`]) {
        const params = { level: 'info' as const, logger: 'station', data };
        await extra.sendNotification({ method: 'notifications/message', params });
      }
      return { content: [{ type: 'text', text: `${sky}, ${celsius} degrees` }] };
    },
  );

  server.registerResource(
    'cities',
    'weather://cities',
    { title: 'Cities to ask about', mimeType: 'application/json' },
    async (uri) => ({ contents: [{ uri: uri.href, text: JSON.stringify(CITIES) }] }),
  );
  return server;
}

const sessions = new Map<string, StreamableHTTPServerTransport>();

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
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
      const [oldest] = sessions.keys();
      if (sessions.size >= MOST_SESSIONS && oldest !== undefined) {
        void sessions.get(oldest)?.close();
        sessions.delete(oldest);
      }
      sessions.set(session, transport);
    },
    onsessionclosed: (session) => {
      sessions.delete(session);
    },
  });
  // The SDK's own class declares its callbacks in a way that exactOptionalPropertyTypes refuses.
  await weatherServer().connect(transport as Transport);
  await transport.handleRequest(request, response);
}

const http = createServer((request, response) => {
  answer(request, response).catch((error: unknown) => {
    console.error(error);
    if (!response.headersSent) response.writeHead(500);
    response.end();
  });
});
http.listen(Number(process.env['PORT'] ?? 0), '127.0.0.1', () => {
  const address = http.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  console.log(`weather server on http://127.0.0.1:${port}/mcp`);
});

if (process.env['EXIT_WITH_PARENT'] !== undefined) {
  process.stdin.resume().on('close', () => process.exit(0));
}
