import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { TestScope } from '../support/process.js';
import type { Message } from '../support/rpc.js';

const text = (value: string): object => ({ content: [{ type: 'text', text: value }] });
const event = (message: object): string => `data: ${JSON.stringify({ jsonrpc: '2.0', ...message })}\n\n`;

/** What a call may ask the upstream to do; see {@link chaosUpstream}. */
export const HTTP_DEEDS = [
  ...['echo', 'echo', 'echo', 'slow', 'events', 'late-events', 'hang', 'reset', 'garbage', 'html', 'cut', 'twice'],
  ...['unknown-id', 'large', 'half', 'refuse', 'busy', 'bad-event', 'huge'],
] as const;

/**
 * A legacy HTTP upstream in this process that answers as `arguments.do` says, and keeps nothing: right answers, late
 * ones, streams, and everything that is none.
 */
export async function chaosUpstream(scope: TestScope): Promise<{ url: string }> {
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('error', () => {});
    response.on('error', () => {});
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => answer(request, response, Buffer.concat(chunks).toString()));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  scope.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return { url: `http://127.0.0.1:${(server.address() as { port: number }).port}/mcp` };
}

function answer(request: IncomingMessage, response: ServerResponse, body: string): void {
  if (request.method !== 'POST') {
    response.writeHead(request.method === 'GET' ? 405 : 200).end();
    return;
  }
  const message = JSON.parse(body) as Message;
  const json = (value: object, status = 200, headers = {}): void => {
    response.writeHead(status, { 'content-type': 'application/json', ...headers });
    response.end(JSON.stringify({ jsonrpc: '2.0', id: message.id, ...value }));
  };
  switch (message.method) {
    case 'initialize': {
      const { protocolVersion } = message.params;
      const serverInfo = { name: 'chaos', version: '1' };
      json({ result: { protocolVersion, capabilities: { tools: {} }, serverInfo } }, 200, {
        'mcp-session-id': 'chaos',
      });
      return;
    }
    case 'tools/list':
      json({ result: { tools: ['call', 'cached'].map((name) => ({ name, inputSchema: { type: 'object' } })) } });
      return;
    case 'tools/call':
      act(message, response, json);
      return;
    default:
      if (message.id === undefined) response.writeHead(202).end();
      else json({ error: { code: -32_601, message: 'Method not found' } });
  }
}

function act({ id, params }: Message, response: ServerResponse, json: (value: object, status?: number) => void): void {
  const args = params.arguments ?? {};
  const own = String(args.text);
  const stream = (): void => void response.writeHead(200, { 'content-type': 'text/event-stream' });
  const progressToken = params._meta?.progressToken ?? 0;
  const progress = event({ method: 'notifications/progress', params: { progressToken, progress: 1 } });
  const log = event({ method: 'notifications/message', params: { level: 'error', data: own } });
  const done = event({ id, result: text(own) });
  switch (args.do) {
    case 'slow':
      setTimeout(() => json({ result: text(own) }), 30);
      break;
    case 'events':
      stream();
      response.end(progress + log + done);
      break;
    case 'late-events':
      stream();
      response.write(log);
      setTimeout(() => response.write(progress), 10);
      setTimeout(() => response.end(done), 20);
      break;
    case 'hang':
      break;
    case 'reset':
      response.socket?.resetAndDestroy();
      break;
    case 'garbage':
      response.writeHead(200, { 'content-type': 'application/json' }).end('{"jsonrpc":');
      break;
    case 'html':
      response.writeHead(500, { 'content-type': 'text/html' }).end('<p>broken</p>');
      break;
    case 'cut':
      stream();
      response.end(log + done.slice(0, -9));
      break;
    case 'twice':
      stream();
      response.end(done + done + log);
      break;
    case 'unknown-id':
      stream();
      response.end(event({ id: id + 65_536, result: text('of another') }) + done);
      break;
    case 'large':
      json({ result: text(own + 'x'.repeat(300_000)) });
      break;
    case 'huge':
      json({ result: text('x'.repeat(3_000_000)) });
      break;
    case 'half':
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': 1000 }).write('{"jsonrpc":"2.0"');
      setTimeout(() => response.destroy(), 5);
      break;
    case 'refuse':
      response.writeHead(401).end();
      break;
    case 'busy':
      response.writeHead(429).end();
      break;
    case 'bad-event':
      stream();
      response.end(`${progress}data: none\n\n${log}${done}`);
      break;
    default:
      json({ result: text(own) });
  }
}
