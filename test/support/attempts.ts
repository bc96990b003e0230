/** One request with given headers over each transport of the data port: what it answers, before anything of MCP. */
import { once } from 'node:events';
import { WebSocket } from 'ws';
import { modernHeaders, modernMessage } from './rpc.js';

/** What came back. */
export interface Attempt {
  /** 101 counts as 200. */
  readonly status: number;
  /** `WWW-Authenticate`; empty = none. */
  readonly challenge: string;
}

/** @param query behind the path, with its `?` */
export type Try = (origin: string, headers: Record<string, string>, query?: string) => Promise<Attempt>;

/** Header fields of a POST. */
export const POST = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' };
const INITIALIZE = {
  jsonrpc: '2.0',
  id: 1,
  method: 'initialize',
  params: { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'test', version: '1' } },
};

/** One HTTP request. */
export async function attempt(url: string, init: RequestInit): Promise<Attempt> {
  const response = await fetch(url, init);
  await response.body?.cancel();
  return { status: response.status, challenge: response.headers.get('www-authenticate') ?? '' };
}

/** By name of the transport, both families of HTTP. */
export const ATTEMPTS: Readonly<Record<string, Try>> = {
  'HTTP, modern': (origin, headers, query = '') => {
    const message = modernMessage('tools/list');
    const all = { ...POST, ...modernHeaders(message), ...headers };
    return attempt(`${origin}/mcp${query}`, { method: 'POST', headers: all, body: JSON.stringify(message) });
  },
  'HTTP, legacy': (origin, headers, query = '') =>
    attempt(`${origin}/mcp${query}`, {
      method: 'POST',
      headers: { ...POST, ...headers },
      body: JSON.stringify(INITIALIZE),
    }),
  SSE: (origin, headers, query = '') =>
    attempt(`${origin}/sse${query}`, { headers: { accept: 'text/event-stream', ...headers } }),
  REST: (origin, headers, query = '') => attempt(`${origin}/tools${query}`, { headers }),
  'REST, the document': (origin, headers, query = '') => attempt(`${origin}/openapi.json${query}`, { headers }),
  WebSocket: async (origin, headers, query = '') => {
    const socket = new WebSocket(`${origin.replace('http', 'ws')}/ws${query}`, 'mcp', { headers });
    socket.on('error', () => {});
    const refused = once(socket, 'unexpected-response') as Promise<
      [unknown, { statusCode: number; headers: Record<string, string> }]
    >;
    const opened = once(socket, 'open').then(() => null);
    refused.catch(() => {});
    opened.catch(() => {});
    const outcome = await Promise.race([opened, refused]);
    socket.terminate();
    if (outcome === null) return { status: 200, challenge: '' };
    return { status: outcome[1].statusCode, challenge: outcome[1].headers['www-authenticate'] ?? '' };
  },
};
