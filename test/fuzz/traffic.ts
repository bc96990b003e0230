import { connect } from 'node:net';
import { modernHeaders, modernMessage } from '../support/rpc.js';
import { HTTP_DEEDS } from './chaos-upstream.js';

/** A reproducible source of choices (xorshift32). */
export class Choice {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 1;
  }

  /** A whole number from 0 to `below` - 1. */
  number(below: number): number {
    this.#state ^= this.#state << 13;
    this.#state ^= this.#state >>> 17;
    this.#state ^= this.#state << 5;
    return (this.#state >>> 0) % below;
  }

  of<T>(items: readonly T[]): T {
    return items[this.number(items.length)]!;
  }

  chance(percent: number): boolean {
    return this.number(100) < percent;
  }
}

/** One request as bytes, and what is known of a right answer to it. */
export interface Request {
  readonly bytes: Buffer;
  /** The id that an answer must have; undefined when the request was damaged, or has none or several. */
  readonly id: string | number | undefined;
  /** The text that a result must hold. */
  readonly text: string | undefined;
}

/** A session of a client. */
export interface ClientSession {
  readonly id: string;
  readonly version: string;
  readonly token: string;
}

const STDIO_DEEDS = [
  'echo',
  'echo',
  'hang',
  'wait',
  'junk',
  'bad',
  'twice',
  'unknown-id',
  'string-id',
  'log',
  'progress',
];
const METHODS = ['ping', 'tools/list', 'prompts/list', 'resources/list', 'logging/setLevel', 'resources/read'];
const NAMES = ['web__call', 'web__cached', 'old__call', 'new__call'];
const ODD_NAMES = ['web__missing', 'nobody__call', '', '__proto__', 'web__call\u0000', 'x'.repeat(5000), 'wéb__call'];

/** A child that ends more often than five times in a minute is left alone for another. */
const MAX_EXITS = 3;

/** Makes requests of both families, right ones and damaged ones. */
export class Traffic {
  readonly #choice: Choice;
  readonly #host: string;
  readonly #tokens: readonly string[];
  #count = 0;
  #exits = 0;

  constructor(choice: Choice, host: string, tokens: readonly string[]) {
    this.#choice = choice;
    this.#host = host;
    this.#tokens = tokens;
  }

  initialize(version: string, token: string): Buffer {
    const params = { protocolVersion: version, capabilities: {}, clientInfo: { name: 'fuzz', version: '1' } };
    return this.#post(JSON.stringify({ jsonrpc: '2.0', id: 0, method: 'initialize', params }), { token });
  }

  /** Any request; with a session, mostly one of that session. */
  next(session: ClientSession | null): Request {
    const choice = this.#choice;
    const request = session === null || choice.chance(40) ? this.#modern() : this.#legacy(session);
    if (!choice.chance(12)) return request;
    const bytes = Buffer.from(request.bytes);
    for (let damage = choice.number(4); damage >= 0; damage -= 1) {
      bytes[choice.number(bytes.length)] = choice.chance(50)
        ? choice.number(256)
        : choice.of([...Buffer.from('{}[]",:\\\r\n 0')]);
    }
    return { bytes, id: undefined, text: undefined };
  }

  #modern(): Request {
    const choice = this.#choice;
    const call = this.#call();
    const meta: Record<string, unknown> = {};
    if (choice.chance(30)) meta['progressToken'] = choice.chance(50) ? 'p' : choice.number(1e9);
    if (choice.chance(30)) meta['io.modelcontextprotocol/logLevel'] = choice.of(['debug', 'error', 'loud']);
    if (choice.chance(5)) for (let i = 0; i < choice.number(60); i += 1) meta[`io.modelcontextprotocol/x${i}`] = i;
    const method = call === null ? choice.of([...METHODS, 'server/discover', 'no/such']) : 'tools/call';
    const id = this.#id();
    const message = modernMessage(method, call?.params ?? this.#params(method), { id, meta });
    const token = choice.of(this.#tokens);
    const bytes = this.#post(JSON.stringify(message), { token, ...modernHeaders(message) });
    return { bytes, id, text: call?.text };
  }

  #legacy(session: ClientSession): Request {
    const choice = this.#choice;
    const head = { token: session.token, 'mcp-session-id': session.id, 'mcp-protocol-version': session.version };
    const kind = choice.number(100);
    if (kind < 4) return this.#bare('GET', { ...head, accept: 'text/event-stream' });
    if (kind < 6) return this.#bare('DELETE', head);
    if (kind < 16 && session.version === '2025-03-26') {
      const elements = Array.from({ length: choice.number(8) }, () => this.#legacyMessage().message);
      return { bytes: this.#post(JSON.stringify(elements), head), id: undefined, text: undefined };
    }
    if (kind < 26) {
      const requestId = choice.chance(70) ? Math.max(0, this.#count - choice.number(20)) : 'none';
      const method = choice.of(['notifications/cancelled', 'notifications/cancelled', 'notifications/initialized']);
      const message = { jsonrpc: '2.0', method, params: { requestId } };
      return { bytes: this.#post(JSON.stringify(message), head), id: undefined, text: undefined };
    }
    const { message, id, text } = this.#legacyMessage();
    const token = choice.chance(5) ? choice.of(this.#tokens) : session.token;
    return { bytes: this.#post(JSON.stringify(message), { ...head, token }), id, text };
  }

  #legacyMessage(): { message: object; id: string | number; text: string | undefined } {
    const choice = this.#choice;
    const call = this.#call();
    const id = this.#id();
    const method = call === null ? choice.of([...METHODS, 'no/such']) : 'tools/call';
    const params: Record<string, unknown> = { ...(call?.params ?? this.#params(method)) };
    if (choice.chance(30)) params['_meta'] = { progressToken: choice.chance(50) ? 'p' : choice.number(1e9) };
    return { message: { jsonrpc: '2.0', id, method, params }, id, text: call?.text };
  }

  #call(): { params: Record<string, unknown>; text: string | undefined } | null {
    const choice = this.#choice;
    if (choice.chance(25)) return null;
    if (choice.chance(6)) return { params: { name: choice.of(ODD_NAMES), arguments: {} }, text: undefined };
    const name = choice.of(NAMES);
    const own = name === 'web__cached' ? `cached-${choice.number(6)}` : `text-${this.#count}`;
    const deed = name.startsWith('web') ? choice.of(HTTP_DEEDS) : choice.of(STDIO_DEEDS);
    const exits = !name.startsWith('web') && this.#exits < MAX_EXITS && choice.chance(2);
    if (exits) this.#exits += 1;
    const args = { do: exits ? 'exit' : deed, text: own, ms: choice.number(30) };
    return { params: { name, arguments: args }, text: name.startsWith('web') ? own : undefined };
  }

  #params(method: string): Record<string, unknown> {
    if (method === 'logging/setLevel') return { level: this.#choice.of(['debug', 'error', 'emergency', 'none']) };
    if (method === 'resources/read') return { uri: this.#choice.of(['test://a', 'file:///etc/passwd', '']) };
    return this.#choice.chance(10) ? { cursor: this.#choice.of(['', 'x', 'MTAw']) } : {};
  }

  #id(): string | number {
    this.#count += 1;
    return this.#choice.chance(70) ? this.#count : `id-${this.#count}`;
  }

  #bare(method: string, headers: Record<string, string>): Request {
    return { bytes: Buffer.from(`${this.#head(`${method} /mcp`, headers)}\r\n`), id: undefined, text: undefined };
  }

  #post(body: string, headers: Record<string, string>): Buffer {
    const bytes = Buffer.from(body);
    const all = { accept: 'application/json, text/event-stream', 'content-type': 'application/json', ...headers };
    if (this.#choice.chance(10)) {
      const cut = this.#choice.number(bytes.length + 1);
      const chunks = [bytes.subarray(0, cut), bytes.subarray(cut)].filter(({ length }) => length > 0);
      const parts = chunks.flatMap((chunk) => [
        Buffer.from(`${chunk.length.toString(16)}\r\n`),
        chunk,
        Buffer.from('\r\n'),
      ]);
      const head = `${this.#head('POST /mcp', { ...all, 'transfer-encoding': 'chunked' })}\r\n`;
      return Buffer.concat([Buffer.from(head), ...parts, Buffer.from('0\r\n\r\n')]);
    }
    const head = `${this.#head('POST /mcp', { ...all, 'content-length': String(bytes.length) })}\r\n`;
    return Buffer.concat([Buffer.from(head), bytes]);
  }

  #head(line: string, { token, ...headers }: Record<string, string>): string {
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
    const authorization = token === undefined || token === '' ? '' : `authorization: Bearer ${token}\r\n`;
    return `${line} HTTP/1.1\r\nhost: ${this.#host}\r\nconnection: close\r\n${authorization}${lines.join('')}`;
  }
}

/** What came back, as far as it came. */
export interface Answer {
  readonly status: number;
  readonly head: string;
  readonly body: string;
}

/** How one request is sent: in pieces, given up after some time, read slowly. Times in ms. */
export interface Manner {
  readonly pieces: number;
  /** Leave after so long; -1 = wait for the answer. */
  readonly abortAfter: number;
  /** Read nothing for so long. */
  readonly deafFor: number;
}

/** Sends bytes on a connection of their own and gives what arrived when the connection ended. */
export function exchange(port: number, bytes: Buffer, manner: Manner, patienceMs: number): Promise<Answer> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    const timers: NodeJS.Timeout[] = [];
    const later = (ms: number, run: () => void): void => void timers.push(setTimeout(run, ms));
    const finish = (): void => {
      for (const timer of timers) clearTimeout(timer);
      socket.destroy();
      resolve(parse(Buffer.concat(chunks)));
    };
    // Unread bytes make it a reset, otherwise it is an end. (`resetAndDestroy` may leave the handle open for ever.)
    socket.on('error', finish);
    socket.on('close', finish);
    socket.on('data', (chunk) => chunks.push(chunk));
    const size = Math.ceil(bytes.length / manner.pieces);
    // One timer after the other: several at once may fire in another order when the loop is late.
    const write = (from: number): void => {
      if (socket.destroyed) return;
      socket.write(bytes.subarray(from, from + size));
      if (from + size < bytes.length) later(2, () => write(from + size));
    };
    socket.on('connect', () => write(0));
    if (manner.deafFor > 0) {
      socket.pause();
      later(manner.deafFor, () => socket.resume());
    }
    if (manner.abortAfter >= 0) later(manner.abortAfter, finish);
    later(patienceMs, finish);
  });
}

function parse(bytes: Buffer): Answer {
  const at = bytes.indexOf('\r\n\r\n');
  const head = bytes.toString('latin1', 0, at < 0 ? bytes.length : at);
  const raw = at < 0 ? Buffer.alloc(0) : bytes.subarray(at + 4);
  const body = /\r\ntransfer-encoding: chunked/i.test(head) ? unchunk(raw) : raw;
  return { status: Number(/^HTTP\/1\.1 (\d{3})/.exec(head)?.[1] ?? 0), head, body: body.toString() };
}

/** The content of a chunked body, as far as it is whole. */
function unchunk(bytes: Buffer): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = bytes.indexOf('\r\n', at);
    if (end < 0) break;
    const size = Number.parseInt(bytes.toString('latin1', at, end), 16);
    if (!(size > 0)) break;
    parts.push(bytes.subarray(end + 2, end + 2 + size));
    at = end + 2 + size + 2;
  }
  return Buffer.concat(parts);
}
