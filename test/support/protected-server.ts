/**
 * An MCP server that serves only requests with credentials: over Streamable HTTP of either family, HTTP with SSE and WebSocket.
 * Its tool `whoami` answers with the subject of the request. It keeps a journal of the credentials of all requests.
 */
import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { WebSocketServer } from 'ws';
import type { TestScope } from './process.js';

/** One request as it arrived. */
export interface ProtectedRequest {
  /** The HTTP method, and that of the JSON-RPC message: `POST tools/call`. */
  readonly what: string;
  readonly headers: IncomingMessage['headers'];
  readonly status: number;
  /** Who it was from, '' = refused. */
  readonly subject: string;
  /** The session of the request, '' = none. */
  readonly session: string;
}

/** Who a request is from; null = it is refused. */
export type Authorize = (headers: IncomingMessage['headers']) => string | null;

type Message = { id?: number; method: string; params?: { name?: string; protocolVersion?: string } };

/** See the file comment. */
export class ProtectedServer {
  origin = '';
  readonly requests: ProtectedRequest[] = [];
  /** Status of refusals. */
  refusal = 401;
  /** Of refusals. */
  challenge = 'Bearer error="invalid_token"';
  /** Issuer that its metadata names (RFC 9728), '' = it has none. */
  authorizationServer = '';
  /** Subject of each session. */
  readonly sessions = new Map<string, string>();
  /** The challenge of a 403 for a request, '' = it is served. */
  guard: (what: string, headers: IncomingMessage['headers']) => string = () => '';
  readonly #authorize: Authorize;
  readonly #isModern: boolean;
  readonly #streams = new Map<string, { subject: string; response: ServerResponse }>();

  constructor(authorize: Authorize, isModern: boolean) {
    this.#authorize = authorize;
    this.#isModern = isModern;
  }

  /** The address over Streamable HTTP. */
  get url(): string {
    return `${this.origin}/mcp`;
  }

  /** The requests with that `what`. */
  of(what: string): ProtectedRequest[] {
    return this.requests.filter((request) => request.what === what);
  }

  async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const text = Buffer.concat(chunks).toString('utf8');
    const path = request.url ?? '/';
    if (this.authorizationServer !== '' && path.startsWith('/.well-known/oauth-protected-resource')) {
      const resource = `${this.origin}${path.slice('/.well-known/oauth-protected-resource'.length)}`;
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ resource, authorization_servers: [this.authorizationServer] }));
      return;
    }
    const message = text === '' ? null : (JSON.parse(text) as Message);
    const url = new URL(request.url ?? '/', this.origin);
    const subject = this.#authorize(request.headers);
    const session = String(request.headers['mcp-session-id'] ?? '');
    const status = subject === null ? this.refusal : 200;
    const what = message === null ? `${request.method}` : `${request.method} ${message.method}`;
    this.requests.push({ what, headers: request.headers, status, subject: subject ?? '', session });
    if (subject === null) {
      response.writeHead(status, { 'www-authenticate': this.challenge }).end();
      return;
    }
    const forbidden = this.guard(what, request.headers);
    if (forbidden !== '') {
      response.writeHead(403, { 'www-authenticate': forbidden }).end();
      return;
    }
    if (url.pathname === '/sse') this.#openStream(subject, response);
    else if (url.pathname === '/messages') this.#post(url, subject, message, response);
    else this.#streamableHttp(request.method ?? '', subject, session, message, response);
  }

  #streamableHttp(
    method: string,
    subject: string,
    session: string,
    message: Message | null,
    response: ServerResponse,
  ): void {
    if (method === 'DELETE') {
      this.sessions.delete(session);
      response.writeHead(200).end();
    } else if (method === 'GET' || message === null) {
      // The stream stays open until the client ends it.
      if (this.#isModern) response.writeHead(405).end();
      else response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders();
    } else if (message.id === undefined) {
      response.writeHead(202).end();
    } else if (!this.#isModern && message.method !== 'initialize' && !this.sessions.has(session)) {
      response.writeHead(message.method === 'server/discover' ? 400 : 404).end();
    } else {
      const headers: Record<string, string> = { 'content-type': 'application/json' };
      if (message.method === 'initialize') {
        headers['mcp-session-id'] = randomUUID();
        this.sessions.set(headers['mcp-session-id'], subject);
      }
      response.writeHead(200, headers).end(JSON.stringify(this.#answer(message, subject)));
    }
  }

  #openStream(subject: string, response: ServerResponse): void {
    const id = randomUUID();
    this.#streams.set(id, { subject, response });
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write(`event: endpoint\ndata: /messages?id=${id}\n\n`);
  }

  #post(url: URL, subject: string, message: Message | null, response: ServerResponse): void {
    const stream = this.#streams.get(url.searchParams.get('id') ?? '');
    response.writeHead(202).end();
    if (message?.id === undefined || stream === undefined) return;
    stream.response.write(`event: message\ndata: ${JSON.stringify(this.#answer(message, subject))}\n\n`);
  }

  /** Over WebSocket the handshake has the credentials of the whole connection. */
  attach(webSockets: WebSocketServer): void {
    webSockets.on('connection', (socket, request) => {
      const subject = this.#authorize(request.headers) ?? '';
      this.requests.push({ what: 'GET', headers: request.headers, status: 101, subject, session: '' });
      socket.on('message', (data) => {
        const message = JSON.parse(String(data)) as Message;
        if (message.id !== undefined) socket.send(JSON.stringify(this.#answer(message, subject)));
      });
    });
  }

  /** What `verifyClient` of ws asks. */
  verify(request: IncomingMessage): boolean {
    const subject = this.#authorize(request.headers);
    if (subject !== null) return true;
    this.requests.push({ what: 'GET', headers: request.headers, status: this.refusal, subject: '', session: '' });
    return false;
  }

  #answer({ id, method, params }: Message, subject: string): object {
    const complete = this.#isModern ? { resultType: 'complete' } : {};
    const serverInfo = { name: 'protected', version: '1' };
    const capabilities = { tools: {} };
    switch (method) {
      case 'server/discover':
        if (!this.#isModern) break;
        return {
          jsonrpc: '2.0',
          id,
          result: { ...complete, supportedVersions: ['2026-07-28'], capabilities, serverInfo },
        };
      case 'initialize':
        if (this.#isModern) break;
        return { jsonrpc: '2.0', id, result: { protocolVersion: params?.protocolVersion, capabilities, serverInfo } };
      case 'ping':
        return { jsonrpc: '2.0', id, result: { ...complete } };
      case 'tools/list':
        return {
          jsonrpc: '2.0',
          id,
          result: { ...complete, tools: this.#tools(subject), ttlMs: 0, cacheScope: 'private' },
        };
      case 'tools/call':
        return { jsonrpc: '2.0', id, result: { ...complete, content: [{ type: 'text', text: subject }] } };
      default:
        break;
    }
    return { jsonrpc: '2.0', id, error: { code: -32601, message: 'Method not found' } };
  }

  /** A tool for all, and one that only its subject sees. */
  #tools(subject: string): object[] {
    const inputSchema = { type: 'object' };
    return [
      {
        name: 'whoami',
        description: 'Says who calls',
        inputSchema,
        annotations: { readOnlyHint: true, idempotentHint: true },
      },
      { name: `of_${subject}`, description: `For ${subject}`, inputSchema },
    ];
  }
}

/** Starts a server that ends with the test. */
export async function startProtectedServer(
  t: TestScope,
  authorize: Authorize,
  family: 'legacy' | 'modern' = 'legacy',
): Promise<ProtectedServer> {
  const protectedServer = new ProtectedServer(authorize, family === 'modern');
  const server = createServer((request, response) => void protectedServer.serve(request, response));
  const webSockets = new WebSocketServer({
    server,
    path: '/ws',
    verifyClient: ({ req }: { req: IncomingMessage }, done: (result: boolean, code?: number) => void) =>
      done(protectedServer.verify(req), protectedServer.refusal),
  });
  protectedServer.attach(webSockets);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  protectedServer.origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  t.after(async () => {
    for (const socket of webSockets.clients) socket.terminate();
    webSockets.close();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return protectedServer;
}
