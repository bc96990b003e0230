/**
 * Processor time of the gateway per kilobyte that a client sends, for messages that are made to be expensive. SECURITY.md promises less than 1 ms a kilobyte.
 *
 *     npm run bench:cost -- [--front-end uws|node] [--decoder native|typescript] [--only PATTERN] [--seconds 2]
 */
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { parseArgs } from 'node:util';
import { TOO_MANY_FRAMES } from '../src/request/accept/connection/websocket.js';
import { type RunningGateway, startGateway } from '../test/support/gateway.js';
import { rawUpstream, type Script } from '../test/support/raw-upstream.js';
import { LEGACY_VERSION, modernHeaders, modernMessage, openSession } from '../test/support/rpc.js';

const { values } = parseArgs({
  options: {
    'front-end': { type: 'string', multiple: true, default: ['uws', 'node'] },
    decoder: { type: 'string', multiple: true, default: ['native', 'typescript'] },
    only: { type: 'string', default: '' },
    seconds: { type: 'string', default: '2' },
  },
});
/** Milliseconds of processor time a kilobyte may cost. */
const GOAL = 1;
/** Factor over the goal at which a row fails: the variation of a shared machine from one run to the next. */
const TOLERANCE = 1.15;
/** A row that is cut off before it has sent this much is no measure of a lasting cost. */
const LEAST_KB = 16;
const TICK_MS = 10;
const WARM_UP_MS = 1_000;
/** Characters kept of the end of what a connection has received. */
const KEPT_TEXT = 32_768;
const SECONDS = Number(values.seconds);

interface Target {
  readonly gateway: RunningGateway;
  readonly sessionId: string;
  /** Of the only revision that has batches. */
  readonly batchSessionId: string;
  /** Where messages of an open connection of HTTP with SSE go. */
  readonly messagesPath: string;
}

/** A way to spend a gateway's time. It returns the bytes that it has sent by `until`, and waits for their effect. */
interface Attack {
  readonly name: string;
  /** Why the row is shown but not judged; '' = it is judged. */
  readonly aside?: string;
  run(target: Target, until: number): Promise<number>;
}

/** IP and TCP of a segment with time stamps: a client sends them with each request, and four to open and end a connection. */
const SEGMENT_BYTES = 52;
const CONNECTION_BYTES = 4 * SEGMENT_BYTES;

/** One connection that counts the bytes it sends and discards what it receives. */
class Wire {
  sent = CONNECTION_BYTES;
  received = 0;
  closed = false;
  readonly socket: Socket;
  #wake: (() => void) | null = null;
  #mark = '';
  #isMarked = false;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      this.received += chunk.length;
      const text = this.text + chunk.toString('latin1');
      this.#isMarked ||= this.#mark !== '' && text.includes(this.#mark);
      this.text = text.slice(-KEPT_TEXT);
      this.#notify();
    });
    socket.on('close', () => {
      this.closed = true;
      this.#notify();
    });
    socket.on('drain', () => this.#notify());
  }

  /** The end of what has been received. */
  text = '';

  static open(port: number): Promise<Wire> {
    return new Promise((resolve, reject) => {
      const socket = connect({ port, host: '127.0.0.1', noDelay: true }, () => resolve(new Wire(socket)));
      socket.once('error', reject);
    });
  }

  /** Waits until the gateway reads more. */
  async send(bytes: Buffer): Promise<void> {
    if (this.closed) return;
    this.sent += bytes.length + SEGMENT_BYTES;
    if (!this.socket.write(bytes)) await this.until(() => this.socket.writableLength === 0);
  }

  /** Waits until this text has been received, counted from the call on. */
  async mark(text: string, timeoutMs?: number): Promise<boolean> {
    this.#mark = text;
    this.#isMarked = this.text.includes(text);
    return this.until(() => this.#isMarked, timeoutMs);
  }

  async until(condition: () => boolean, timeoutMs = 500): Promise<boolean> {
    const deadline = performance.now() + timeoutMs;
    while (!condition() && !this.closed && performance.now() < deadline) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 50);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    return condition();
  }

  #notify(): void {
    const wake = this.#wake;
    this.#wake = null;
    wake?.();
  }
}

const handshake = (target: Target): Buffer =>
  Buffer.from(
    `GET /ws HTTP/1.1\r\nHost: 127.0.0.1:${target.gateway.port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
      'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mcp\r\n\r\n',
  );

/** A masked frame of a client (RFC 6455 section 5.2). */
function frame(opcode: number, payload: Buffer | string, fin = true): Buffer {
  const body = Buffer.from(payload);
  const head = [(fin ? 0x80 : 0) | opcode];
  if (body.length < 126) head.push(0x80 | body.length);
  else head.push(0x80 | 126, body.length >> 8, body.length & 255);
  // A mask of zeros leaves the payload as it is.
  return Buffer.concat([Buffer.from([...head, 0, 0, 0, 0]), body]);
}

const TEXT = 1;
const PING = 9;
const PONG = 10;
const CONTINUATION = 0;

const repeated = (piece: Buffer, bytes: number): Buffer =>
  Buffer.concat(Array.from({ length: Math.max(1, Math.floor(bytes / piece.length)) }, () => piece));

/** Sends frames over WebSockets, a new one for each that the gateway closes. */
function webSocket(name: string, frames: () => Buffer, opening: Buffer = Buffer.alloc(0)): Attack {
  return {
    name: `WebSocket: ${name}`,
    async run(target, until) {
      const flood = frames();
      let bytes = 0;
      while (performance.now() < until) {
        const wire = await Wire.open(target.gateway.port);
        await wire.send(handshake(target));
        await wire.until(() => wire.text.includes('\r\n\r\n'));
        await wire.send(opening);
        const isEnded = (): boolean => wire.closed || wire.text.includes(TOO_MANY_FRAMES);
        for (let turn = 0; performance.now() < until && !isEnded(); turn += 1) {
          // Bytes in the buffers of the system have cost nothing yet: a pong shows that its ping was read.
          const mark = `turn${turn}.`;
          await wire.send(Buffer.concat([flood, frame(PING, mark)]));
          wire.text = '';
          await wire.until(() => wire.text.includes(mark) || isEnded());
        }
        bytes += wire.sent;
        wire.socket.destroy();
      }
      return bytes;
    },
  };
}

function request(target: Target, body: string | Buffer, more: Record<string, string> = {}, method = 'POST'): Buffer {
  const headers: Record<string, string> = { host: `127.0.0.1:${target.gateway.port}` };
  if (method === 'POST') {
    Object.assign(headers, { 'content-type': 'application/json', accept: 'application/json, text/event-stream' });
    headers['content-length'] = String(Buffer.byteLength(body));
  }
  const lines = Object.entries({ ...headers, ...more }).filter(([, value]) => value !== '');
  const head = `${method} ${more[':path'] ?? '/mcp'} HTTP/1.1\r\n`;
  const fields = lines.filter(([name]) => name !== ':path').map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.concat([Buffer.from(`${head}${fields.join('')}\r\n`), Buffer.from(body)]);
}

/** Whether the answer to a request is complete by its length. */
function isAnswered(wire: Wire): boolean {
  const end = wire.text.indexOf('\r\n\r\n');
  if (end < 0) return false;
  const length = /content-length: (\d+)/i.exec(wire.text.slice(0, end));
  if (length !== null) return wire.text.length >= end + 4 + Number(length[1]);
  return /HTTP\/1\.1 (202|204|304)/.test(wire.text) || wire.text.endsWith('0\r\n\r\n');
}

const CONNECTIONS = 16;

/** Sends one request after another over some connections, each when the one before is answered. */
function http(name: string, make: (target: Target, turn: number) => Buffer): Attack {
  return {
    name: `HTTP: ${name}`,
    async run(target, until) {
      let bytes = 0;
      let turn = 0;
      const loop = async (): Promise<void> => {
        while (performance.now() < until) {
          const wire = await Wire.open(target.gateway.port);
          while (performance.now() < until && !wire.closed) {
            wire.text = '';
            turn += 1;
            await wire.send(make(target, turn));
            if (!(await wire.until(() => isAnswered(wire)))) break;
          }
          bytes += wire.sent;
          wire.socket.destroy();
        }
      };
      await Promise.all(Array.from({ length: CONNECTIONS }, loop));
      return bytes;
    },
  };
}

/** Opens event streams with one request each and leaves again when they are acknowledged. */
function listen(name: string, uris: readonly string[], aside = ''): Attack {
  return {
    aside,
    name: `HTTP: subscriptions/listen, ${name}`,
    async run(target, until) {
      let bytes = 0;
      const loop = async (): Promise<void> => {
        while (performance.now() < until) {
          const wire = await Wire.open(target.gateway.port);
          const message = modernMessage('subscriptions/listen', { notifications: { resourceSubscriptions: uris } });
          await wire.send(request(target, JSON.stringify(message), modernHeaders(message)));
          await wire.mark('acknowledged', 30_000);
          bytes += wire.sent;
          wire.socket.destroy();
        }
      };
      await Promise.all(Array.from({ length: 4 }, loop));
      return bytes;
    },
  };
}

const modern =
  (method: string, params: Record<string, unknown>) =>
  (target: Target): Buffer => {
    const message = modernMessage(method, params);
    return request(target, JSON.stringify(message), modernHeaders(message));
  };
const legacy =
  (message: object | string) =>
  (target: Target): Buffer =>
    request(target, typeof message === 'string' ? message : JSON.stringify(message), {
      'mcp-session-id': target.sessionId,
      'mcp-protocol-version': LEGACY_VERSION,
    });
const legacyRequest = (method: string, params?: object) => legacy({ jsonrpc: '2.0', id: 1, method, params });
const uris = (prefix: string, count = 1_000): string[] =>
  Array.from({ length: count }, (_, index) => `${prefix}${index.toString(36)}`);
/** A call that goes no further than the decoder, with something in its arguments. */
const withArguments = (text: string): string =>
  `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"no","arguments":${text}}}`;

const ATTACKS: readonly Attack[] = [
  webSocket('messages of no byte', () => repeated(frame(TEXT, ''), 65_536)),
  webSocket('messages of 1 byte', () => repeated(frame(TEXT, '1'), 65_536)),
  webSocket('messages of 8 bytes', () => repeated(frame(TEXT, '12345678'), 65_536)),
  webSocket('tiny notifications', () => repeated(frame(TEXT, '{"jsonrpc":"2.0","method":"a"}'), 65_536)),
  webSocket('tiny requests', () => repeated(frame(TEXT, '{"jsonrpc":"2.0","id":1,"method":"ping"}'), 65_536)),
  webSocket('fragments of 1 byte', () => repeated(frame(CONTINUATION, 'x', false), 65_536), frame(TEXT, 'x', false)),
  webSocket('fragments of no byte', () => repeated(frame(CONTINUATION, '', false), 65_536), frame(TEXT, 'x', false)),
  webSocket('pings of no byte', () => repeated(frame(PING, ''), 65_536)),
  webSocket('pings of 125 bytes', () => repeated(frame(PING, 'x'.repeat(125)), 65_536)),
  webSocket('pongs of no byte', () => repeated(frame(PONG, ''), 65_536)),
  listen('1,000 tiny URIs that no upstream offers', uris('x:')),
  listen('1,000 tiny URIs', uris('a:')),
  listen('1,000 long URIs', uris(`a:${'x'.repeat(500)}`)),
  listen(
    '1,000 tiny URIs of an upstream with a request for each',
    uris('b:'),
    'each URI is two requests to the upstream',
  ),
  listen('no URI', []),
  http('ping of a session', legacyRequest('ping')),
  http('ping, modern', modern('ping', {})),
  http('initialize', (target) => {
    const params = { protocolVersion: LEGACY_VERSION, capabilities: {}, clientInfo: { name: 'x', version: '1' } };
    return request(target, JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'initialize', params }));
  }),
  http('a batch of 50 pings', (target) => {
    const ping = (_: unknown, id: number): object => ({ jsonrpc: '2.0', id, method: 'ping' });
    const batch = JSON.stringify(Array.from({ length: 50 }, ping));
    return request(target, batch, { 'mcp-session-id': target.batchSessionId });
  }),
  http('a batch of 50 numbers', (target) =>
    request(target, `[${Array(50).fill('1').join()}]`, { 'mcp-session-id': target.batchSessionId }),
  ),
  http('HTTP with SSE, a message that is no JSON', (target) => request(target, 'x', { ':path': target.messagesPath })),
  http('HTTP with SSE, ping', (target) =>
    request(target, '{"jsonrpc":"2.0","id":1,"method":"ping"}', { ':path': target.messagesPath }),
  ),
  http('empty object', (target) => request(target, '{}')),
  http('no body', (target) => request(target, '')),
  http('an unknown path', (target) => request(target, '', { ':path': '/x' }, 'GET')),
  http('100 headers', (target) =>
    request(target, '{}', Object.fromEntries(Array.from({ length: 90 }, (_, index) => [`x${index}`, '1']))),
  ),
  http('chunks of 1 byte', (target) => {
    const body = legacyChunks('{"jsonrpc":"2.0","id":1,"method":"ping"}');
    const fields = { 'content-length': '', 'transfer-encoding': 'chunked', 'mcp-session-id': target.sessionId };
    return Buffer.concat([request(target, '', fields), body]);
  }),
  http('a long token', (target) => request(target, '{}', { authorization: `Bearer ${'x'.repeat(8_000)}` })),
  http('a session id of garbage', (target) =>
    request(target, '{"jsonrpc":"2.0","id":1,"method":"ping"}', { 'mcp-session-id': 'A'.repeat(400) }),
  ),
  http('a task id of garbage', modern('tasks/get', { taskId: 'A'.repeat(400) })),
  http('resources/subscribe', (target, turn) =>
    legacyRequest('resources/subscribe', { uri: `a:${turn % 900}` })(target),
  ),
  http('resources/read of an unknown URI', legacyRequest('resources/read', { uri: 'x:1' })),
  http('tools/list with a cursor', modern('tools/list', { cursor: 'AAAAAAAA' })),
  http('tools/call of an unknown tool', modern('tools/call', { name: 'no', arguments: {} })),
  http('tools/call', modern('tools/call', { name: 'peer__call', arguments: {} })),
  http(
    'completion/complete',
    modern('completion/complete', {
      ref: { type: 'ref/resource', uri: 'a:{x}' },
      argument: { name: 'x', value: 'y' },
    }),
  ),
  http('JSON of deep arrays', (target) => legacy(withArguments(`${'['.repeat(50)}${']'.repeat(50)}`))(target)),
  http('JSON too deep', (target) => legacy(withArguments(`${'['.repeat(2_000)}`))(target)),
  http('JSON of many members, 32 KB', (target) =>
    legacy(withArguments(`{${Array.from({ length: 5_000 }, (_, index) => `"${index.toString(36)}":1`).join()}}`))(
      target,
    ),
  ),
  http('JSON of escapes, 32 KB', (target) => legacy(withArguments(`"${'\\u0041'.repeat(5_000)}"`))(target)),
  http('JSON of small arrays, 32 KB', (target) => legacy(withArguments(`[${'[],'.repeat(10_000)}0]`))(target)),
  http('JSON of numbers, 32 KB', (target) => legacy(withArguments(`[${'1e1,'.repeat(8_000)}0]`))(target)),
];

function legacyChunks(text: string): Buffer {
  return Buffer.from(`${[...text].map((letter) => `1\r\n${letter}\r\n`).join('')}0\r\n\r\n`);
}

/** User and system time of all threads of a process, milliseconds. */
function processorMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}

interface Row {
  readonly name: string;
  readonly kilobytes: number;
  readonly cost: number;
}

async function measure(target: Target, attack: Attack): Promise<Row> {
  const { pid } = target.gateway.process;
  // The promise is about what an attacker can keep up, not about code that is not compiled yet.
  await attack.run(target, performance.now() + WARM_UP_MS);
  const before = processorMs(pid);
  const bytes = await attack.run(target, performance.now() + SECONDS * 1_000);
  // What is still in hand belongs to it.
  let used = processorMs(pid);
  for (let now = -1; now !== used; ) {
    used = processorMs(pid);
    await new Promise((resolve) => setTimeout(resolve, 200));
    now = processorMs(pid);
    if (now - used <= TICK_MS) break;
  }
  return { name: attack.name, kilobytes: bytes / 1_024, cost: (processorMs(pid) - before) / (bytes / 1_024) };
}

const cleanups: (() => unknown)[] = [];
const scope = { after: (work: () => unknown) => void cleanups.push(work) };
/** An upstream with a resource template of its own. */
const upstreamOf = (scheme: string, resources: object) => {
  const script: Script = ({ message }, answer) => {
    if (message.method === 'resources/list') answer.result({ resources: [] });
    else if (message.method === 'resources/templates/list') {
      answer.result({ resourceTemplates: [{ uriTemplate: `${scheme}:{x}`, name: 'some' }] });
    } else answer.result({ content: [] });
  };
  return rawUpstream(scope, script, { capabilities: { resources, completions: {} } });
};
const peer = await upstreamOf('a', {});
const watched = await upstreamOf('b', { subscribe: true });

let failures = 0;
for (const frontEnd of values['front-end']) {
  for (const decoder of values.decoder) {
    const env = { SWITCHYARD_DECODER: decoder === 'native' ? undefined : decoder };
    const config = { mcpServers: { peer: { url: peer.url }, watched: { url: watched.url } } };
    const gateway = await startGateway(scope, config, { frontEnd: frontEnd as 'uws' | 'node', env });
    const session = await openSession(gateway.url);
    const batches = await openSession(gateway.url, { version: '2025-03-26' });
    const stream = await Wire.open(gateway.port);
    await stream.send(Buffer.from('GET /sse HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n\r\n'));
    await stream.until(() => /data: \S+\n/.test(stream.text), 5_000);
    const messagesPath = /data: (\S+)/.exec(stream.text)?.[1] ?? '';
    const target: Target = { gateway, sessionId: session.id, batchSessionId: batches.id, messagesPath };
    console.log(`\nfront end ${frontEnd}, decoder ${decoder}`);
    for (const attack of ATTACKS) {
      if (!attack.name.includes(values.only)) continue;
      const { name, kilobytes, cost } = await measure(target, attack);
      const isOver = cost > GOAL * TOLERANCE && kilobytes > LEAST_KB;
      const fails = isOver && !attack.aside;
      if (fails) failures += 1;
      const mark = fails ? '  over the goal' : isOver ? `  not judged: ${attack.aside}` : '';
      console.log(
        `${name.padEnd(60)} ${kilobytes.toFixed(0).padStart(9)} KB  ${cost.toFixed(3).padStart(8)} ms/KB${mark}`,
      );
    }
    stream.socket.destroy();
    await gateway.stop();
  }
}
for (const work of cleanups.reverse()) await work();
if (failures > 0) console.log(`\n${failures} rows cost more than ${GOAL} ms a kilobyte (tolerance ${TOLERANCE} times)`);
process.exit(failures > 0 ? 1 : 0);
