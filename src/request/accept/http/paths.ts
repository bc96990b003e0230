/** The paths of the data port. */
import type { TransportsSnapshot } from '../../../config/snapshot.js';
import { type RestCall, restCall } from './rest-paths.js';

/** Paths that answer probes, besides those of the transports. */
export const PROBE_PATHS: ReadonlySet<string> = new Set(['/health', '/ready']);

/** The MCP endpoint (Streamable HTTP). */
export const ENDPOINT_PATH = '/mcp';

/** Where WebSockets are opened. */
export const WEBSOCKET_PATH = '/ws';

/** Where the client of HTTP with SSE posts its messages. */
export const MESSAGES_PATH = '/messages';

/** The transport that serves a request, and the methods that its path takes. */
export type Target =
  | { readonly route: 'endpoint' | 'sse' | 'websocket'; readonly methods: readonly string[] }
  | { readonly route: 'messages'; readonly methods: readonly string[]; readonly query: string }
  | {
      readonly route: 'rest';
      readonly methods: readonly string[];
      readonly query: string;
      readonly rest: RestCall;
    };

const ENDPOINT: Target = { route: 'endpoint', methods: ['POST', 'GET', 'DELETE'] };
const WEBSOCKET: Target = { route: 'websocket', methods: ['GET'] };
const SSE: Target = { route: 'sse', methods: ['GET'] };
const MESSAGES_METHODS: readonly string[] = ['POST'];

/**
 * The target of `path`; null = it is unknown, or its transport is closed by the configuration.
 *
 * @param query everything behind the question mark
 */
export function targetOf(path: string, query: string, transports: TransportsSnapshot): Target | null {
  if (path === ENDPOINT_PATH || path === '/mcp/') return ENDPOINT;
  if (path === WEBSOCKET_PATH) return transports.websocket ? WEBSOCKET : null;
  if (path === '/sse') return transports.sse ? SSE : null;
  if (path === MESSAGES_PATH) return transports.sse ? { route: 'messages', methods: MESSAGES_METHODS, query } : null;
  const rest = transports.rest ? restCall(path) : null;
  return rest === null ? null : { route: 'rest', methods: [rest.verb], query, rest };
}
