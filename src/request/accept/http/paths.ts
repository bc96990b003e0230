import type { TransportsSnapshot } from '../../../config/snapshot.js';
import { type RestCall, restCall } from './rest-paths.js';

/** Paths answered on the data port beside the doors. */
export const PLAIN_PATHS: ReadonlySet<string> = new Set(['/health', '/ready']);

/** Where the client of HTTP with SSE posts its messages. */
export const MESSAGES_PATH = '/messages';

/** What a path leads to. */
export const Door = { endpoint: 0, sse: 1, messages: 2, websocket: 3, rest: 4 } as const;

/** One way in. */
export interface Target {
  /** One of {@link Door}. */
  readonly door: number;
  /** The HTTP methods it takes, as the value of `Allow`. */
  readonly allow: string;
  /** What is asked of the REST door. */
  readonly rest: RestCall | null;
  /** Everything behind the question mark. */
  readonly query: string;
}

const endpoint: Target = { door: Door.endpoint, allow: 'POST, GET, DELETE', rest: null, query: '' };
const websocket: Target = { door: Door.websocket, allow: 'GET', rest: null, query: '' };
const sse: Target = { door: Door.sse, allow: 'GET', rest: null, query: '' };

/** Whether a request path is the MCP endpoint. */
export function isEndpoint(path: string): boolean {
  return path === '/mcp' || path === '/mcp/';
}

/** What `path` leads to; null = nothing, or a door that the configuration keeps shut. */
export function targetOf(path: string, query: string, transports: TransportsSnapshot): Target | null {
  if (isEndpoint(path)) return endpoint;
  if (path === '/ws') return transports.websocket ? websocket : null;
  if (path === '/sse') return transports.sse ? sse : null;
  if (path === MESSAGES_PATH) return transports.sse ? { door: Door.messages, allow: 'POST', rest: null, query } : null;
  const rest = transports.rest ? restCall(path) : null;
  return rest === null ? null : { door: Door.rest, allow: rest.verb, rest, query };
}
