/** The paths of the data port. */
import type { TransportsSnapshot } from '../../../config/snapshot.js';
import { type RestCall, restCall } from './rest-paths.js';

/** Paths that answer probes, besides those of the transports. */
export const PROBE_PATHS: ReadonlySet<string> = new Set(['/health', '/ready']);

/** The MCP endpoint (Streamable HTTP), besides the configured path. */
export const ENDPOINT_PATH = '/mcp';

/** The endpoint for clients that are given an address without a path; browsers get a page there. */
export const ROOT_PATH = '/';

/** Where a user begins a login at an upstream. */
export const LOGIN_PATH = '/oauth/login';

/** Where the authorization server sends the user's browser back to. */
export const CALLBACK_PATH = '/oauth/callback';

/** Where WebSockets are opened. */
export const WEBSOCKET_PATH = '/ws';

/** Where the client of HTTP with SSE opens its stream. */
export const SSE_PATH = '/sse';

/** Where it posts its messages. */
export const MESSAGES_PATH = '/messages';

/** The same, where a client appends the path that it is given to the address of the stream instead of resolving it. */
const APPENDED_MESSAGES_PATH = SSE_PATH + MESSAGES_PATH;

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

/** Which paths lead to a transport. */
export interface PathRules {
  /** The configured path of the endpoint, without a slash at its end. */
  readonly endpointPath: string;
  readonly transports: TransportsSnapshot;
}

/**
 * The target of a path, with or without a slash at its end; null = it is unknown, or its transport is closed by the
 * configuration.
 *
 * @param query everything behind the question mark
 */
export function targetOf(path: string, query: string, { endpointPath, transports }: PathRules): Target | null {
  const bare = withoutSlash(path);
  if (bare === ENDPOINT_PATH || bare === endpointPath || path === ROOT_PATH) return ENDPOINT;
  if (path === WEBSOCKET_PATH) return transports.websocket ? WEBSOCKET : null;
  if (bare === SSE_PATH) return transports.sse ? SSE : null;
  if (bare === MESSAGES_PATH || bare === APPENDED_MESSAGES_PATH) {
    return transports.sse ? { route: 'messages', methods: MESSAGES_METHODS, query } : null;
  }
  const rest = transports.rest ? restCall(path) : null;
  return rest === null ? null : { route: 'rest', methods: [rest.verb], query, rest };
}

/** A path without a slash at its end. */
export function withoutSlash(path: string): string {
  return path.endsWith('/') ? path.slice(0, -1) : path;
}
