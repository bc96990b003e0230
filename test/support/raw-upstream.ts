import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { TestScope } from './process.js';

/** A request that reached the upstream. */
export interface ReceivedRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  /** The body's bytes as they arrived. */
  readonly body: Buffer;
  /** The body as JSON; undefined when it is none. */
  // biome-ignore lint/suspicious/noExplicitAny: requests under test have any shape
  readonly message: any;
}

/** What a script can do with one request. */
export interface Answer {
  readonly response: ServerResponse;
  readonly socket: Socket;
  /** Answers 200 application/json with these exact bytes. */
  json(body: string | Buffer, headers?: Record<string, string>): void;
  /** Answers the request's id with a result. */
  result(result: unknown, headers?: Record<string, string>): void;
  /** Begins an SSE answer; `event` writes one message, `raw` any bytes. */
  sse(headers?: Record<string, string>): {
    event(message: unknown): void;
    raw(bytes: string | Buffer): void;
    end(): void;
  };
  /** Resets the connection. */
  reset(): void;
}

/** Decides what happens to a request. Returning without an answer leaves the request hanging. */
export type Script = (request: ReceivedRequest, answer: Answer) => void | Promise<void>;

/** An HTTP upstream whose every byte is scripted by the test. */
export interface RawUpstream {
  readonly url: string;
  readonly port: number;
  /** Everything that arrived, handshakes included. */
  readonly requests: ReceivedRequest[];
  /** What arrived for one method. */
  received(method: string): ReceivedRequest[];
  /** Replaces the script for the requests to come. */
  script(next: Script): void;
  /** Requests whose connection the gateway closed before an answer was complete. */
  readonly aborted: number;
  /** Connections accepted so far. */
  readonly connections: number;
  close(): Promise<void>;
}

/** The tools of a raw upstream, unless its script answers `tools/list` itself. */
export const RAW_TOOLS = [
  { name: 'call', description: 'Answered by the script', inputSchema: { type: 'object' } },
  {
    name: 'read',
    description: 'Answered by the script; safe to repeat',
    inputSchema: { type: 'object' },
    annotations: { readOnlyHint: true, idempotentHint: true },
  },
];

/**
 * Starts an upstream on an ephemeral port. It answers handshakes and lists properly in the chosen family;
 * everything else goes to `script`; `none` leaves the handshake and the lists to it too. GET is answered 405 unless
 * `streams` is given.
 */
export async function rawUpstream(
  scope: TestScope,
  script: Script,
  options: {
    family?: 'legacy' | 'modern' | 'none';
    port?: number;
    /** null = the script answers `tools/list`. */
    tools?: readonly object[] | null;
    capabilities?: object;
    instructions?: string;
    streams?: Script;
  } = {},
): Promise<RawUpstream> {
  const family = options.family ?? 'legacy';
  const offer = {
    tools: options.tools === undefined ? RAW_TOOLS : options.tools,
    capabilities: { tools: {}, ...options.capabilities },
    instructions: options.instructions,
  };
  const requests: ReceivedRequest[] = [];
  let current = script;
  let aborted = 0;
  let connections = 0;
  const sockets = new Set<Socket>();

  const server = createServer(async (incoming, response) => {
    const chunks: Buffer[] = [];
    response.on('close', () => {
      if (!response.writableFinished) aborted += 1;
    });
    try {
      for await (const chunk of incoming) chunks.push(chunk as Buffer);
    } catch {
      return;
    }
    const body = Buffer.concat(chunks);
    const request: ReceivedRequest = {
      method: incoming.method ?? '',
      path: incoming.url ?? '',
      headers: incoming.headers,
      body,
      message: parse(body),
    };
    requests.push(request);
    const answer = makeAnswer(request, response);
    if (request.method === 'GET' && options.streams !== undefined) await options.streams(request, answer);
    else if (!handshake(family, offer, request, answer)) await current(request, answer);
  });
  server.on('connection', (socket) => {
    connections += 1;
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  server.listen(options.port ?? 0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  const close = async (): Promise<void> => {
    if (!server.listening) return;
    server.close();
    for (const socket of sockets) socket.destroy();
    await once(server, 'close');
  };
  scope.after(close);
  return {
    url: `http://127.0.0.1:${port}/mcp`,
    port,
    requests,
    received: (method) => requests.filter((request) => request.message?.method === method),
    script(next) {
      current = next;
    },
    get aborted() {
      return aborted;
    },
    get connections() {
      return connections;
    },
    close,
  };
}

function parse(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'));
  } catch {
    return undefined;
  }
}

function makeAnswer(request: ReceivedRequest, response: ServerResponse): Answer {
  const json: Answer['json'] = (body, headers) => {
    response.writeHead(200, { 'content-type': 'application/json', ...headers });
    response.end(body);
  };
  return {
    response,
    socket: response.socket as Socket,
    json,
    result: (result, headers) => json(JSON.stringify({ jsonrpc: '2.0', id: request.message?.id, result }), headers),
    sse(headers) {
      response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache', ...headers });
      return {
        event: (message) => void response.write(`event: message\ndata: ${JSON.stringify(message)}\n\n`),
        raw: (bytes) => void response.write(bytes),
        end: () => void response.end(),
      };
    },
    reset: () => void (response.socket as Socket).resetAndDestroy(),
  };
}

/** Answers what a gateway asks before it can send calls. Says whether it did. */
function handshake(
  family: 'legacy' | 'modern' | 'none',
  {
    tools,
    capabilities,
    instructions,
  }: { tools: readonly object[] | null; capabilities: object; instructions: string | undefined },
  request: ReceivedRequest,
  answer: Answer,
): boolean {
  const serverInfo = { name: 'raw-upstream', version: '1.0.0' };
  const modern = family === 'modern';
  const complete = modern ? { resultType: 'complete', ttlMs: 0, cacheScope: 'private' } : {};
  if (request.method === 'GET') answer.response.writeHead(405, { allow: 'POST' }).end();
  else if (request.method === 'DELETE') answer.response.writeHead(200).end();
  else if (family === 'none') return false;
  else {
    switch (request.message?.method) {
      case 'server/discover':
        if (modern) answer.result({ ...complete, supportedVersions: ['2026-07-28'], capabilities, instructions });
        else error(request, answer, -32601, 'Method not found');
        return true;
      case 'initialize':
        if (modern) {
          const data = { supported: ['2026-07-28'], requested: request.message.params?.protocolVersion };
          error(request, answer, -32022, 'Unsupported protocol version', data);
        } else {
          const { protocolVersion } = request.message.params;
          answer.result(
            { protocolVersion, capabilities, serverInfo, instructions },
            { 'mcp-session-id': 'raw-session' },
          );
        }
        return true;
      case 'notifications/initialized':
        answer.response.writeHead(202).end();
        return true;
      case 'ping':
        answer.result({});
        return true;
      case 'tools/list':
        if (tools === null) return false;
        answer.result({ ...complete, tools });
        return true;
      default:
        return false;
    }
  }
  return true;
}

function error(request: ReceivedRequest, answer: Answer, code: number, message: string, data?: object): void {
  answer.response.writeHead(400, { 'content-type': 'application/json' });
  answer.response.end(JSON.stringify({ jsonrpc: '2.0', id: request.message?.id, error: { code, message, data } }));
}
