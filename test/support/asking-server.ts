/**
 * A test server of the revisions with `initialize` whose tools ask the client for something, on SDK v1.
 *
 *     node asking-server.js stdio
 *     node asking-server.js http        prints `listening on http://127.0.0.1:PORT/mcp`; one session per client
 *     node asking-server.js websocket   prints `listening on ws://127.0.0.1:PORT/mcp`
 */
import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import type { RequestHandlerExtra } from '@modelcontextprotocol/sdk/shared/protocol.js';
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js';
import {
  CreateMessageResultSchema,
  type ElicitResult,
  ElicitResultSchema,
  ListRootsResultSchema,
  type ServerNotification,
  type ServerRequest,
  UrlElicitationRequiredError,
} from '@modelcontextprotocol/sdk/types.js';
import { z } from 'zod';
import { record } from './call-journal.js';
import { pause } from './server-content.js';
import { serveWebSocket } from './websocket-transport.js';

type Extra = RequestHandlerExtra<ServerRequest, ServerNotification>;

const text = (value: string) => ({ content: [{ type: 'text' as const, text: value }] });

/** Asks for a name; the key is the convention by which the gateway names the question. */
function askName(
  extra: Extra,
  message: string,
  options: { key?: string; timeout?: number } = {},
): Promise<ElicitResult> {
  const { key, timeout } = options;
  const requestedSchema = { type: 'object' as const, properties: { name: { type: 'string' as const } } };
  const params = {
    mode: 'form' as const,
    message,
    requestedSchema,
    ...(key === undefined ? {} : { _meta: { 'switchyard/inputKey': key } }),
  };
  return extra.sendRequest({ method: 'elicitation/create', params }, ElicitResultSchema, {
    timeout: timeout ?? 60_000,
  });
}

function sample(extra: Extra) {
  const messages = [{ role: 'user' as const, content: { type: 'text' as const, text: 'Say something' } }];
  const params = { messages, maxTokens: 10 };
  return extra.sendRequest({ method: 'sampling/createMessage', params }, CreateMessageResultSchema);
}

const nameOf = ({ action, content }: ElicitResult): string =>
  action === 'accept' ? String(content?.['name']) : `nobody (${action})`;

let signedIn = false;

function build(): McpServer {
  const server = new McpServer({ name: 'asking-test-server', version: '1.0.0' });
  const tool = (
    name: string,
    answer: (args: { text: string }, extra: Extra) => Promise<ReturnType<typeof text>>,
  ): void => {
    server.registerTool(
      name,
      { description: 'Asks the client', inputSchema: { text: z.string().default('') } },
      async (args, extra) => {
        record(name, 'called', args);
        extra.signal.addEventListener('abort', () => record(name, 'cancelled', args));
        return answer(args, extra).catch((error: unknown) => {
          // What the client, or the gateway for it, answered to the question.
          record(`${name} refused`, 'called', { code: (error as { code?: number }).code });
          throw error;
        });
      },
    );
  };
  tool('greet', async (args, extra) => {
    const answer = await askName(extra, 'What is your name?');
    record('greeted', 'called', { name: nameOf(answer) });
    return text(`${args.text} ${nameOf(answer)}`);
  });
  tool('named', async (_args, extra) => text(nameOf(await askName(extra, 'Who?', { key: 'user_name' }))));
  tool('interview', async (_args, extra) => {
    const [who, said, { roots }] = await Promise.all([
      askName(extra, 'Who?'),
      sample(extra),
      extra.sendRequest({ method: 'roots/list' }, ListRootsResultSchema),
    ]);
    const words = said.content.type === 'text' ? said.content.text : said.content.type;
    return text([nameOf(who), words, roots.map(({ uri }) => uri).join()].join(' | '));
  });
  tool('steps', async (_args, extra) => {
    const one = await askName(extra, 'First name?');
    const two = await askName(extra, `Last name, ${nameOf(one)}?`);
    return text(`${nameOf(one)} ${nameOf(two)}`);
  });
  tool('sample', async (_args, extra) => {
    const { content } = await sample(extra);
    return text(content.type === 'text' ? content.text : content.type);
  });
  tool('impatient', async (_args, extra) => {
    const name = await askName(extra, 'Quick?', { timeout: 400 }).then(nameOf, () => 'too late');
    return text(name);
  });
  tool('hasty', async (_args, extra) => {
    askName(extra, 'Never mind?').catch(() => {});
    await pause(400);
    return text('not needed');
  });
  tool('exit', async (_args, extra) => {
    askName(extra, 'Last words?').catch(() => {});
    await pause(400);
    process.exit(3);
  });
  tool('sign_in', async () => {
    if (!signedIn) {
      signedIn = true;
      const elicitation = { elicitationId: 'e-1', url: 'https://sign-in.example/start', message: 'Sign in first' };
      throw new UrlElicitationRequiredError([{ mode: 'url', ...elicitation }]);
    }
    return text('signed in');
  });
  server.registerPrompt('letter', { description: 'Asks for a name', argsSchema: {} }, async (_args, extra) => {
    const name = nameOf(await askName(extra, 'To whom?'));
    return { messages: [{ role: 'user', content: { type: 'text', text: `Dear ${name}` } }] };
  });
  return server;
}

/** One transport and one server object per session, as servers of these revisions do. */
function serveHttp(): void {
  const sessions = new Map<string, StreamableHTTPServerTransport>();
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
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

if (process.argv[2] === 'stdio') await build().connect(new StdioServerTransport());
else if (process.argv[2] === 'http') serveHttp();
else if (process.argv[2] === 'websocket') serveWebSocket((transport) => void build().connect(transport as Transport));
