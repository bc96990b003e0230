/**
 * Servers that ask their clients back, one program for both families, on the real SDKs.
 *
 *     node dialogue-server.js legacy|modern stdio|http      http prints `listening on http://127.0.0.1:PORT/mcp`
 *
 * Tools (the same names in both families, text results):
 * - `confirm {question, steps}`: asks by a form, once per step, and says all answers
 * - `sample {prompt}`: asks for a completion
 * - `roots {}`: asks for the roots
 * - `several {tag}`: asks by form, for a completion and for the roots at once
 * - `visit {}`: sends the user to a URL
 * and, legacy only:
 * - `aside {question}`: asks by a form that names no call (over HTTP: on the standalone stream)
 * - `progress {}`: asks for a completion and reports the progress that the client makes with it
 * - `withdraw {}`: asks by a form and takes the question back after 50 ms
 * - `must_visit {}`: fails with -32042
 */
import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { type NodeIncomingMessageLike, toNodeHandler } from '@modelcontextprotocol/node';
import { McpServer as LegacyServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js';
import {
  CreateMessageResultSchema,
  ElicitResultSchema,
  ListRootsResultSchema,
  RootsListChangedNotificationSchema,
  UrlElicitationRequiredError,
} from '@modelcontextprotocol/sdk/types.js';
import {
  createMcpHandler,
  inputRequired,
  inputResponse,
  McpServer as ModernServer,
  type ServerContext,
} from '@modelcontextprotocol/server';
import { serveStdio } from '@modelcontextprotocol/server/stdio';
import { z } from 'zod';
import { record } from './call-journal.js';
import { pause } from './server-content.js';

const text = (value: string) => ({ content: [{ type: 'text' as const, text: value }] });
const requestedSchema = { type: 'object' as const, properties: { answer: { type: 'string' as const } } };
const formOf = (message: string) => ({ mode: 'form' as const, message, requestedSchema });
const samplingOf = (prompt: string) => ({
  messages: [{ role: 'user' as const, content: { type: 'text' as const, text: prompt } }],
  maxTokens: 10,
});

/** What an answer says, whatever kind it is. */
function told(answer: unknown): string {
  const { action, content, roots } = answer as {
    action?: string;
    content?: { answer?: string; text?: string };
    roots?: { uri: string }[];
  };
  if (roots !== undefined) return roots.map(({ uri }) => uri).join();
  if (action !== undefined) return action === 'accept' ? String(content?.answer ?? 'accepted') : action;
  return String(content?.text);
}

/** Time that a question may take, in milliseconds; the SDK's own limit is shorter than some tests. */
const LONG = { timeout: 120_000 };

function buildLegacy(): LegacyServer {
  const server = new LegacyServer({ name: 'dialogue-legacy', version: '1.0.0' }, { capabilities: { logging: {} } });
  server.registerTool(
    'confirm',
    { inputSchema: { question: z.string(), steps: z.number().default(1) } },
    async ({ question, steps }, extra) => {
      record('confirm', 'called', { question });
      const answers: string[] = [];
      for (let step = 1; step <= steps; step += 1) {
        const params = formOf(steps === 1 ? question : `${question} ${step}`);
        answers.push(told(await extra.sendRequest({ method: 'elicitation/create', params }, ElicitResultSchema, LONG)));
      }
      return text(answers.join());
    },
  );
  server.registerTool('sample', { inputSchema: { prompt: z.string() } }, async ({ prompt }, extra) => {
    record('sample', 'called', { prompt });
    const params = samplingOf(prompt);
    return text(
      told(await extra.sendRequest({ method: 'sampling/createMessage', params }, CreateMessageResultSchema, LONG)),
    );
  });
  server.registerTool('roots', { inputSchema: {} }, async (_args, extra) =>
    text(told(await extra.sendRequest({ method: 'roots/list' }, ListRootsResultSchema, LONG))),
  );
  server.registerTool('several', { inputSchema: { tag: z.string() } }, async ({ tag }, extra) => {
    const answers = await Promise.all([
      extra.sendRequest({ method: 'elicitation/create', params: formOf(tag) }, ElicitResultSchema, LONG),
      extra.sendRequest({ method: 'sampling/createMessage', params: samplingOf(tag) }, CreateMessageResultSchema, LONG),
      extra.sendRequest({ method: 'roots/list' }, ListRootsResultSchema, LONG),
    ]);
    return text(answers.map(told).join('|'));
  });
  server.registerTool('visit', { inputSchema: {} }, async (_args, extra) => {
    const elicitationId = randomUUID();
    const params = { mode: 'url' as const, message: 'Visit', url: 'https://visit.example/', elicitationId };
    const answer = await extra.sendRequest({ method: 'elicitation/create', params }, ElicitResultSchema, LONG);
    await server.server.createElicitationCompletionNotifier(elicitationId)();
    return text(told(answer));
  });
  server.registerTool('aside', { inputSchema: { question: z.string() } }, async ({ question }) =>
    text(told(await server.server.elicitInput(formOf(question), LONG))),
  );
  server.registerTool('progress', { inputSchema: {} }, async (_args, extra) => {
    const seen: number[] = [];
    const onprogress = ({ progress }: { progress: number }) => {
      seen.push(progress);
      record('progress', 'called', { progress });
    };
    const options = { ...LONG, onprogress };
    const params = samplingOf('slowly');
    await extra.sendRequest({ method: 'sampling/createMessage', params }, CreateMessageResultSchema, options);
    return text(seen.join());
  });
  server.registerTool('withdraw', { inputSchema: {} }, async (_args, extra) => {
    const params = formOf('never mind');
    const options = { ...LONG, signal: AbortSignal.timeout(50) };
    const asked = extra.sendRequest({ method: 'elicitation/create', params }, ElicitResultSchema, options);
    return text(
      await asked.then(
        () => 'answered',
        () => 'withdrawn',
      ),
    );
  });
  server.registerTool('must_visit', { inputSchema: {} }, async () => {
    const elicitationId = 'must-visit';
    setTimeout(() => void server.server.createElicitationCompletionNotifier(elicitationId)(), 200);
    throw new UrlElicitationRequiredError([
      { mode: 'url', message: 'Visit first', url: 'https://visit.example/', elicitationId },
    ]);
  });
  server.registerTool('hang', { inputSchema: {} }, async (_args, extra) => {
    record('hang', 'called', {});
    await new Promise<void>((resolve) => extra.signal.addEventListener('abort', () => resolve()));
    record('hang', 'cancelled', {});
    return text('cancelled');
  });
  server.server.setNotificationHandler(RootsListChangedNotificationSchema, () => record('roots changed', 'called', {}));
  server.server.onerror = () => {};
  return server;
}

function buildModern(): ModernServer {
  const server = new ModernServer({ name: 'dialogue-modern', version: '2.0.0' }, { capabilities: {} });
  const answered = (ctx: ServerContext, key: string): string | null => {
    const view = inputResponse(ctx.mcpReq.inputResponses, key);
    if (view.kind === 'missing') return null;
    return told(view.kind === 'sampling' ? view.result : view);
  };
  server.registerTool(
    'confirm',
    { inputSchema: z.object({ question: z.string(), steps: z.number().default(1) }) },
    async ({ question, steps }, ctx) => {
      record('confirm', 'called', { question });
      // Earlier answers travel in the state: each round brings its own only.
      const before = JSON.parse(String(ctx.mcpReq.requestState() ?? '[]')) as string[];
      const answer = answered(ctx, 'answer');
      const answers = answer === null ? before : [...before, answer];
      if (answers.length === steps) return text(answers.join());
      const message = steps === 1 ? question : `${question} ${answers.length + 1}`;
      return inputRequired({
        inputRequests: { answer: inputRequired.elicit({ message, requestedSchema }) },
        requestState: JSON.stringify(answers),
      });
    },
  );
  server.registerTool('sample', { inputSchema: z.object({ prompt: z.string() }) }, async ({ prompt }, ctx) => {
    record('sample', 'called', { prompt });
    const answer = answered(ctx, 'a');
    if (answer !== null) return text(answer);
    return inputRequired({ inputRequests: { a: inputRequired.createMessage(samplingOf(prompt)) } });
  });
  server.registerTool('roots', { inputSchema: z.object({}) }, async (_args, ctx) => {
    const answer = answered(ctx, 'a');
    return answer === null ? inputRequired({ inputRequests: { a: inputRequired.listRoots() } }) : text(answer);
  });
  server.registerTool('several', { inputSchema: z.object({ tag: z.string() }) }, async ({ tag }, ctx) => {
    const answers = ['form', 'sample', 'roots'].map((key) => answered(ctx, key));
    if (answers.every((answer) => answer !== null)) return text(answers.join('|'));
    return inputRequired({
      inputRequests: {
        form: inputRequired.elicit({ message: tag, requestedSchema }),
        sample: inputRequired.createMessage(samplingOf(tag)),
        roots: inputRequired.listRoots(),
      },
    });
  });
  server.registerTool('visit', { inputSchema: z.object({}) }, async (_args, ctx) => {
    const answer = answered(ctx, 'a');
    if (answer !== null) return text(answer);
    const visit = inputRequired.elicitUrl({ message: 'Visit', url: 'https://visit.example/' });
    return inputRequired({ inputRequests: { a: visit } });
  });
  server.registerTool('state', { inputSchema: z.object({}) }, async (_args, ctx) => {
    const state = Number(ctx.mcpReq.requestState() ?? 0);
    return state === 2 ? text('state 2') : inputRequired({ requestState: String(state + 1) });
  });
  server.registerTool('endless', { inputSchema: z.object({}) }, async () =>
    inputRequired({ inputRequests: { a: inputRequired.listRoots() } }),
  );
  server.registerPrompt('asks', {}, async (ctx) => {
    const answer = answered(ctx, 'a');
    if (answer === null) {
      return inputRequired({ inputRequests: { a: inputRequired.elicit({ message: 'prompt?', requestedSchema }) } });
    }
    return { messages: [{ role: 'user', content: { type: 'text', text: answer } }] };
  });
  server.registerResource('asks', 'asks://it', {}, async (uri, ctx) => {
    const answer = answered(ctx, 'a');
    if (answer === null) return inputRequired({ inputRequests: { a: inputRequired.listRoots() } });
    return { contents: [{ uri: uri.href, text: answer }] };
  });
  return server;
}

function listen(handle: (request: IncomingMessage, response: ServerResponse) => void): void {
  const http = createServer(handle);
  http.listen(Number(process.env['PORT'] ?? 0), '127.0.0.1', () => {
    console.log(`listening on http://127.0.0.1:${(http.address() as { port: number }).port}/mcp`);
  });
}

/** One transport and one server object per session. */
function serveLegacyHttp(): void {
  const sessions = new Map<string, StreamableHTTPServerTransport>();
  listen(async (request, response) => {
    const id = request.headers['mcp-session-id'];
    let transport = typeof id === 'string' ? sessions.get(id) : undefined;
    if (transport === undefined && id !== undefined) {
      response.writeHead(404, { 'content-type': 'application/json' });
      response.end('{"jsonrpc":"2.0","error":{"code":-32001,"message":"Session not found"},"id":null}');
      return;
    }
    if (transport === undefined) {
      const made: StreamableHTTPServerTransport = new StreamableHTTPServerTransport({
        sessionIdGenerator: randomUUID,
        onsessioninitialized: (session) => void sessions.set(session, made),
      });
      await buildLegacy().connect(made as Transport);
      transport = made;
    }
    await transport.handleRequest(request, response);
  });
}

const [, , family, transport] = process.argv;
if (family === 'legacy' && transport === 'stdio') await buildLegacy().connect(new StdioServerTransport());
else if (family === 'legacy') serveLegacyHttp();
else if (transport === 'stdio') serveStdio(buildModern, { legacy: 'reject' });
else {
  const answer = toNodeHandler(createMcpHandler(buildModern, { legacy: 'reject' }));
  listen((request, response) => void answer(request as NodeIncomingMessageLike, response));
}
// Questions in flight when the process is told to end must not keep it.
process.on('SIGTERM', () => void pause(0).then(() => process.exit(0)));
