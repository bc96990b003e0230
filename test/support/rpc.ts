/** The newest revision with sessions and `initialize`. */
export const LEGACY_VERSION = '2025-11-25';
/** The first stateless revision. */
export const MODERN_VERSION = '2026-07-28';

// biome-ignore lint/suspicious/noExplicitAny: messages under test have any shape, that is the point of testing them
export type Message = any;

/** An answer of an MCP endpoint over HTTP. */
export interface RpcReply {
  readonly status: number;
  readonly headers: Headers;
  /** The body exactly as received. */
  readonly text: string;
  /** Every JSON-RPC message of the body: one for JSON, one per event for SSE, none for an empty body. */
  readonly messages: Message[];
  /** The last message: the response to a request. Undefined when the body held none. */
  readonly message: Message;
}

const POST_HEADERS = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' };

/**
 * Posts one message (an object, or a string or buffer sent as it is) and reads the whole answer.
 * Headers with an empty value are left out, so that a default can be removed.
 */
export async function rpc(
  url: string,
  message: unknown,
  headers: Record<string, string> = {},
  options: { method?: string; signal?: AbortSignal } = {},
): Promise<RpcReply> {
  const body = typeof message === 'string' || Buffer.isBuffer(message) ? message : JSON.stringify(message);
  const all: Record<string, string> = { ...POST_HEADERS, ...lowerCaseNames(headers) };
  for (const name of Object.keys(all)) if (all[name] === '') delete all[name];
  const method = options.method ?? 'POST';
  const response = await fetch(url, {
    method,
    headers: all,
    ...(method === 'POST' && body !== undefined ? { body } : {}),
    ...(options.signal ? { signal: options.signal } : {}),
  });
  const text = await response.text();
  const messages = parseMessages(text, response.headers.get('content-type') ?? '');
  return { status: response.status, headers: response.headers, text, messages, message: messages.at(-1) };
}

function lowerCaseNames(headers: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
}

/** The JSON messages of a JSON or SSE body; a body of another kind has none. */
export function parseMessages(text: string, contentType: string): Message[] {
  if (contentType.startsWith('text/event-stream')) {
    return text
      .split(/\r?\n\r?\n/)
      .map((event) =>
        event
          .split(/\r?\n/)
          .filter((line) => line.startsWith('data:'))
          .map((line) => line.slice(5).replace(/^ /, ''))
          .join('\n'),
      )
      .filter((data) => data !== '')
      .map((data) => JSON.parse(data));
  }
  if (text === '' || !contentType.startsWith('application/json')) return [];
  const parsed = JSON.parse(text);
  return Array.isArray(parsed) ? parsed : [parsed];
}

export interface ModernOptions {
  id?: string | number;
  headers?: Record<string, string>;
  clientCapabilities?: object;
  meta?: Record<string, unknown>;
  version?: string;
  signal?: AbortSignal;
}

/** A request of revision 2026-07-28 with its `_meta` envelope and the headers that mirror it. */
export function modernMessage(
  method: string,
  params: Record<string, unknown> = {},
  options: ModernOptions = {},
): Message {
  const version = options.version ?? MODERN_VERSION;
  const { _meta, ...rest } = params;
  return {
    jsonrpc: '2.0',
    id: options.id ?? 1,
    method,
    params: {
      ...rest,
      _meta: {
        'io.modelcontextprotocol/protocolVersion': version,
        'io.modelcontextprotocol/clientCapabilities': options.clientCapabilities ?? {},
        'io.modelcontextprotocol/clientInfo': { name: 'switchyard-test', version: '1.0.0' },
        ...options.meta,
        ...(_meta as object | undefined),
      },
    },
  };
}

/** The headers that a 2026-07-28 client sends with this message. */
export function modernHeaders(message: Message): Record<string, string> {
  const { method, params } = message;
  const headers: Record<string, string> = {
    'mcp-protocol-version': params._meta['io.modelcontextprotocol/protocolVersion'],
    'mcp-method': method,
  };
  const name = method === 'resources/read' ? params.uri : method.startsWith('tasks/') ? params.taskId : params.name;
  const named = ['tools/call', 'prompts/get', 'resources/read', 'tasks/get', 'tasks/update', 'tasks/cancel'];
  if (named.includes(method) && typeof name === 'string') {
    headers['mcp-name'] = /^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$/.test(name)
      ? name
      : `=?base64?${Buffer.from(name).toString('base64')}?=`;
  }
  return headers;
}

/** Sends one request of revision 2026-07-28. */
export function modernRpc(
  url: string,
  method: string,
  params: Record<string, unknown> = {},
  options: ModernOptions = {},
): Promise<RpcReply> {
  const message = modernMessage(method, params, options);
  const headers = { ...modernHeaders(message), ...options.headers };
  return rpc(url, message, headers, options.signal ? { signal: options.signal } : {});
}

/** A session of one of the revisions with `initialize`. */
export interface LegacySession {
  /** The value of Mcp-Session-Id; empty when the endpoint gave none. */
  readonly id: string;
  /** The answer to `initialize`. */
  readonly initialized: RpcReply;
  /** The headers that belong on every further request. */
  readonly headers: Record<string, string>;
  request(
    method: string,
    params?: object,
    options?: { id?: string | number; headers?: Record<string, string> },
  ): Promise<RpcReply>;
  notify(method: string, params?: object): Promise<RpcReply>;
  /** Ends the session with DELETE. */
  close(): Promise<RpcReply>;
}

/** Runs `initialize` and `notifications/initialized`. */
export async function openSession(
  url: string,
  options: { version?: string; headers?: Record<string, string>; capabilities?: object } = {},
): Promise<LegacySession> {
  const version = options.version ?? LEGACY_VERSION;
  const initialize = {
    jsonrpc: '2.0',
    id: 0,
    method: 'initialize',
    params: {
      protocolVersion: version,
      capabilities: options.capabilities ?? {},
      clientInfo: { name: 'switchyard-test', version: '1.0.0' },
    },
  };
  const initialized = await rpc(url, initialize, options.headers);
  if (initialized.status !== 200 || initialized.message?.result === undefined) {
    throw new Error(`initialize was answered ${initialized.status} ${initialized.text}`);
  }
  const id = initialized.headers.get('mcp-session-id') ?? '';
  const headers: Record<string, string> = {
    ...options.headers,
    ...(id === '' ? {} : { 'mcp-session-id': id }),
    'mcp-protocol-version': initialized.message.result.protocolVersion,
  };
  await rpc(url, { jsonrpc: '2.0', method: 'notifications/initialized' }, headers);
  let next = 1;
  return {
    id,
    initialized,
    headers,
    request: (method, params, more = {}) =>
      rpc(
        url,
        { jsonrpc: '2.0', id: more.id ?? next++, method, ...(params === undefined ? {} : { params }) },
        { ...headers, ...more.headers },
      ),
    notify: (method, params) =>
      rpc(url, { jsonrpc: '2.0', method, ...(params === undefined ? {} : { params }) }, headers),
    close: () => rpc(url, undefined, headers, { method: 'DELETE' }),
  };
}
