/**
 * A legacy MCP server that sends more than anyone asked for, without an SDK so that it is as fast as it can be.
 *
 *     node flooding-server.js stdio|http|sse|websocket [--send KIND] [--count N] [--tools N] [--page N] [--nice N]
 *
 * `--send` is what it sends as soon as its long-lived stream is open, `--count` how often (0 = until it is stopped):
 * `log`, `list`, `resource`, `unknown` (answers to no request), `request` (sampling), `stderr`, `none`. The last one of a
 * counted flood is a list change after which the server has one more tool, `flooded`. The tool `call` is answered at
 * once, `update` behind updates of two resources, `stream` with a flood before its answer (over HTTP on the stream of the call). `--tools` adds tools with
 * schemas; `--page` is how many of them a page has (0 = all on one). Except over stdio it prints
 * `listening on http://127.0.0.1:PORT`.
 */
import { createServer, type ServerResponse } from 'node:http';
import { constants, setPriority } from 'node:os';
import type { Writable } from 'node:stream';
import { parseArgs } from 'node:util';
import { WebSocketServer } from 'ws';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    send: { type: 'string', default: 'log' },
    count: { type: 'string', default: '0' },
    tools: { type: 'string', default: '0' },
    page: { type: 'string', default: '0' },
    nice: { type: 'string', default: '0' },
  },
});
const [transport = 'stdio'] = positionals;
const COUNT = Number(values.count);
const TOOLS = Number(values.tools);
const PAGE = Number(values.page);
const niceness = Number(values.nice);
if (niceness > 0) setPriority(Math.min(niceness, constants.priority.PRIORITY_LOW));

// biome-ignore lint/suspicious/noExplicitAny: JSON of the other side
type Message = any;
/** Messages written at once: about as many bytes as a socket buffer takes. */
const BATCH = 500;

const MESSAGES: Record<string, object> = {
  log: { method: 'notifications/message', params: { level: 'info', data: 'so much to say' } },
  list: { method: 'notifications/tools/list_changed' },
  resource: { method: 'notifications/resources/updated', params: { uri: 'flood://clock' } },
  unknown: { id: 99_999_999, result: {} },
  request: { id: 'again', method: 'sampling/createMessage', params: { messages: [], maxTokens: 1 } },
};

let flooded = false;
let version = 0;

function tool(name: string): object {
  return {
    name,
    description: `Takes a path and a list of words and does with them what its number says. Version ${version}.`,
    inputSchema: {
      type: 'object',
      properties: {
        path: { type: 'string', description: 'Where' },
        words: { type: 'array', items: { type: 'string' } },
      },
      required: ['path'],
    },
  };
}

function listed(cursor: string | undefined): object {
  const from = Number(cursor ?? 0);
  const to = PAGE > 0 ? Math.min(TOOLS, from + PAGE) : TOOLS;
  const tools = from === 0 ? [tool('call'), tool('stream'), tool('change')] : [];
  if (from === 0 && flooded) tools.push(tool('flooded'));
  for (let index = from; index < to; index += 1) tools.push(tool(`tool${index}`));
  return to < TOOLS ? { tools, nextCursor: String(to) } : { tools };
}

const done = { content: [{ type: 'text', text: 'done' }] };

function resultOf({ method, params }: Message): object | null {
  if (method === 'initialize') {
    return {
      protocolVersion: params.protocolVersion,
      capabilities: { tools: { listChanged: true }, logging: {}, resources: { subscribe: true } },
      serverInfo: { name: 'flood', version: '1' },
    };
  }
  if (method === 'tools/list') return listed(params?.cursor);
  if (method === 'tools/call') return done;
  if (method === 'resources/list') return { resources: [{ uri: 'flood://clock', name: 'clock' }] };
  if (method === 'resources/templates/list') return { resourceTemplates: [] };
  return method.startsWith('server/') ? null : {};
}

function answerTo(message: Message): object {
  const result = resultOf(message);
  const outcome = result === null ? { error: { code: -32_601, message: 'Method not found' } } : { result };
  return { jsonrpc: '2.0', id: message.id, ...outcome };
}

/** Something that takes framed bytes and says when it wants no more for now. */
interface Sink {
  write(bytes: string): boolean;
  drained(go: () => void): void;
}

function sinkOf(stream: Writable): Sink {
  return { write: (bytes) => stream.write(bytes), drained: (go) => void stream.once('drain', go) };
}

/** Sends `message` so often, as fast as it is taken. */
function flood(sink: Sink, message: string, count: number, then: () => void): void {
  const batch = message.repeat(BATCH);
  let sent = 0;
  const go = (): void => {
    for (;;) {
      const left = count === 0 ? BATCH : Math.min(BATCH, count - sent);
      if (left === 0) {
        then();
        return;
      }
      sent += left;
      if (!sink.write(left === BATCH ? batch : message.repeat(left))) {
        sink.drained(go);
        return;
      }
      // Input is to be read as well.
      if (sent % (BATCH * 20) === 0) {
        setImmediate(go);
        return;
      }
    }
  };
  go();
}

const framed = (frame: (text: string) => string, message: object): string =>
  frame(JSON.stringify({ jsonrpc: '2.0', ...message }));

let begun = false;
function begin(sink: Sink, frame: (text: string) => string): void {
  if (begun || values.send === 'none') return;
  begun = true;
  const end = (): void => {
    flooded = true;
    sink.write(framed(frame, MESSAGES['list']!));
  };
  if (values.send === 'stderr') flood(sinkOf(process.stderr), 'one more line about nothing at all\n', COUNT, end);
  else flood(sink, framed(frame, MESSAGES[values.send]!), COUNT, end);
}

/** The answer to the tool `stream`, behind a flood of progress that belongs to no call unless the client named a token. */
function streamed(message: Message, sink: Sink, frame: (text: string) => string, then: () => void): void {
  const progressToken = message.params._meta?.progressToken ?? 0;
  const progress = { method: 'notifications/progress', params: { progressToken, progress: 1 } };
  flood(sink, framed(frame, progress), COUNT, () => {
    sink.write(framed(frame, answerTo(message)));
    then();
  });
}

const isRequest = ({ id, method }: Message): boolean => id !== undefined && method !== undefined;
const calls = ({ method, params }: Message, name: string): boolean => method === 'tools/call' && params.name === name;

/** What a message leads to on a connection that carries everything. */
function take(message: Message, sink: Sink, frame: (text: string) => string): void {
  if (message.method === 'notifications/initialized') begin(sink, frame);
  if (!isRequest(message)) return;
  if (calls(message, 'stream')) {
    streamed(message, sink, frame, () => {});
    return;
  }
  if (calls(message, 'change')) version += 1;
  if (calls(message, 'update')) {
    const other = { method: 'notifications/resources/updated', params: { uri: 'flood://other' } };
    const updates = framed(frame, MESSAGES['resource']!) + framed(frame, other);
    flood(sink, updates, COUNT / 2, () => void sink.write(framed(frame, answerTo(message))));
    return;
  }
  sink.write(framed(frame, answerTo(message)));
  if (calls(message, 'change')) sink.write(framed(frame, MESSAGES['list']!));
}

const line = (text: string): string => `${text}\n`;
const event = (text: string): string => `event: message\ndata: ${text}\n\n`;

function stdio(): void {
  const sink = sinkOf(process.stdout);
  let rest = '';
  process.stdin.setEncoding('utf8').on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    for (const each of lines) if (each !== '') take(JSON.parse(each), sink, line);
  });
  process.stdin.on('end', () => process.exit(0));
}

function http(): void {
  let stream: ServerResponse | null = null;
  const server = createServer(async (request, response) => {
    const opens = request.method === 'GET' && (transport === 'http' || request.url === '/sse');
    if (opens) {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.flushHeaders();
      stream = response;
      if (transport === 'http') begin(sinkOf(response), event);
      else response.write('event: endpoint\ndata: /messages\n\n');
      return;
    }
    let body = '';
    for await (const chunk of request) body += chunk;
    if (request.method !== 'POST') {
      response.writeHead(405).end();
      return;
    }
    const message = JSON.parse(body);
    if (transport === 'sse') {
      response.writeHead(202).end();
      if (stream !== null) take(message, sinkOf(stream), event);
    } else if (!isRequest(message)) {
      response.writeHead(202).end();
    } else if (calls(message, 'stream')) {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      streamed(message, sinkOf(response), event, () => void response.end());
    } else {
      if (calls(message, 'change')) version += 1;
      const headers = { 'content-type': 'application/json', 'mcp-session-id': 'flood' };
      response.writeHead(200, headers).end(JSON.stringify(answerTo(message)));
      if (calls(message, 'change')) stream?.write(framed(event, MESSAGES['list']!));
    }
  });
  listen(server);
}

function websocket(): void {
  const server = createServer();
  new WebSocketServer({ server }).on('connection', (socket, request) => {
    const raw = request.socket;
    /** Frames one by one; written to the socket in one go. */
    const sink: Sink = {
      write: (bytes) => {
        raw.cork();
        for (const text of bytes.split('\n')) if (text !== '') socket.send(text);
        raw.uncork();
        return socket.bufferedAmount < 1_000_000;
      },
      drained: (go) => void raw.once('drain', go),
    };
    socket.on('message', (data) => take(JSON.parse(String(data)), sink, line));
    socket.on('error', () => {});
  });
  listen(server);
}

function listen(server: ReturnType<typeof createServer>): void {
  server.listen(0, '127.0.0.1', () => {
    console.log(`listening on http://127.0.0.1:${(server.address() as { port: number }).port}`);
  });
  // It does not outlive whatever started it.
  process.stdin.resume().on('end', () => process.exit(0));
}

process.stdout.on('error', () => process.exit(0));
process.stderr.on('error', () => {});
if (transport === 'stdio') stdio();
else if (transport === 'websocket') websocket();
else http();
