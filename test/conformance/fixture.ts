/**
 * The server that the conformance scenarios expect, on SDK v2.
 *
 *     node fixture.js http FAMILY      prints `listening on http://127.0.0.1:PORT/mcp`
 *     node fixture.js stdio FAMILY
 *
 * FAMILY is `modern` (2026-07-28 only), `legacy` (with `initialize` only; over HTTP one session per client), or for HTTP
 * `dual`: both on one endpoint.
 */
import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import {
  localhostHostValidation,
  localhostOriginValidation,
  type NodeIncomingMessageLike,
  NodeStreamableHTTPServerTransport,
  toNodeHandler,
} from '@modelcontextprotocol/node';
import {
  createMcpHandler,
  type EventStore,
  isLegacyRequest,
  type JSONRPCMessage,
  type McpServer,
} from '@modelcontextprotocol/server';
import { StdioServerTransport, serveStdio } from '@modelcontextprotocol/server/stdio';
import { buildFixture } from './fixture-server.js';

/** Events that a session keeps for clients that come back for them. */
const KEPT_EVENTS = 200;

/** The events of one session in memory: enough for a client to resume a stream that was closed under it. */
class RecentEvents implements EventStore {
  readonly #events: { id: string; stream: string; message: JSONRPCMessage }[] = [];
  #last = 0;

  async storeEvent(stream: string, message: JSONRPCMessage): Promise<string> {
    this.#last += 1;
    const id = String(this.#last);
    this.#events.push({ id, stream, message });
    if (this.#events.length > KEPT_EVENTS) this.#events.shift();
    return id;
  }

  async replayEventsAfter(
    lastEventId: string,
    { send }: { send: (id: string, message: JSONRPCMessage) => Promise<void> },
  ): Promise<string> {
    const stream = this.#events.find(({ id }) => id === lastEventId)?.stream ?? '';
    const missed = this.#events.filter((event) => event.stream === stream && Number(event.id) > Number(lastEventId));
    for (const { id, message } of missed) {
      // A priming event is stored as an empty object.
      if (Object.keys(message).length > 0) await send(id, message);
    }
    return stream;
  }
}

type Answer = (request: IncomingMessage, response: ServerResponse, body: unknown) => Promise<void>;

/** One transport and one server object per session. */
function answerWithSessions(): Answer {
  const sessions = new Map<string, NodeStreamableHTTPServerTransport>();
  return async (request, response, body) => {
    const id = request.headers['mcp-session-id'];
    const known = typeof id === 'string' ? sessions.get(id) : undefined;
    if (known !== undefined) {
      await known.handleRequest(request, response, body);
      return;
    }
    if (id !== undefined) {
      response.writeHead(404, { 'content-type': 'application/json' });
      response.end('{"jsonrpc":"2.0","error":{"code":-32001,"message":"Session not found"},"id":null}');
      return;
    }
    const transport = new NodeStreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      eventStore: new RecentEvents(),
      retryInterval: 500,
      onsessioninitialized: (session) => {
        sessions.set(session, transport);
      },
      onsessionclosed: (session) => {
        sessions.delete(session);
      },
    });
    await buildFixture().connect(transport);
    await transport.handleRequest(request, response, body);
  };
}

function answerStateless(): Answer {
  const handler = createMcpHandler(() => buildFixture(handler.notify), { legacy: 'reject' });
  const answer = toNodeHandler(handler);
  // Node's own type allows members that the SDK's structural one does not under exactOptionalPropertyTypes.
  return (request, response, body) => answer(request as NodeIncomingMessageLike, response, body);
}

async function read(request: IncomingMessage): Promise<string> {
  const pieces: Buffer[] = [];
  for await (const piece of request) pieces.push(piece as Buffer);
  return Buffer.concat(pieces).toString();
}

function parse(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}

function serveHttp(family: string): void {
  const [modern, legacy] = [answerStateless(), answerWithSessions()];
  const [hostAllowed, originAllowed] = [localhostHostValidation(), localhostOriginValidation()];
  const http = createServer(async (request, response) => {
    if (!hostAllowed(request, response) || !originAllowed(request, response)) return;
    const body = await read(request);
    let answer = family === 'legacy' ? legacy : modern;
    if (family === 'dual') {
      const headers = Object.entries(request.headers).map(([name, value]): [string, string] => [name, String(value)]);
      const { method = 'GET' } = request;
      const copy = new Request(`http://127.0.0.1${request.url}`, {
        method,
        headers,
        ...(method === 'POST' ? { body } : {}),
      });
      if (await isLegacyRequest(copy)) answer = legacy;
    }
    await answer(request, response, parse(body));
  });
  http.listen(Number(process.env['PORT'] ?? 0), '127.0.0.1', () => {
    console.log(`listening on http://127.0.0.1:${(http.address() as { port: number }).port}/mcp`);
  });
}

const [, , transport, family = 'dual'] = process.argv;
if (transport === 'http') serveHttp(family);
else if (transport === 'stdio' && family === 'modern') serveStdio(() => buildFixture(), { legacy: 'reject' });
else if (transport === 'stdio') await (buildFixture() satisfies McpServer).connect(new StdioServerTransport());
