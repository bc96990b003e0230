/** The paths of the data port. */
import type { TransportsSnapshot, ViewSnapshot } from '../../../config/snapshot/index.js';
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
export type Target = {
  readonly methods: readonly string[];
  /** Position of the view in `Snapshot.views`. */
  readonly view: number;
} & (
  | { readonly route: 'endpoint' | 'sse' | 'websocket' }
  | { readonly route: 'messages'; readonly query: string }
  | { readonly route: 'rest'; readonly query: string; readonly rest: RestCall }
);

const ENDPOINT_METHODS: readonly string[] = ['POST', 'GET', 'DELETE'];
const GET_METHODS: readonly string[] = ['GET'];
const MESSAGES_METHODS: readonly string[] = ['POST'];
const ENDPOINT: Target = { route: 'endpoint', methods: ENDPOINT_METHODS, view: 0 };

/** The paths of the views besides the first. */
export class ViewPaths {
  readonly #bases: readonly string[];
  /** By base path, without the numbers at which no view is any more. */
  readonly #views: ReadonlyMap<string, number>;
  readonly #endpoints: readonly Target[];
  /** Characters of the longest base path. */
  readonly #longest: number;

  constructor(views: readonly ViewSnapshot[]) {
    this.#bases = views.map(({ base }) => base);
    this.#views = new Map(views.flatMap(({ base }, view) => (base === '' ? [] : [[base, view] as const])));
    this.#endpoints = views.map((_, view) => ({ route: 'endpoint', methods: ENDPOINT_METHODS, view }));
    this.#longest = Math.max(0, ...this.#bases.map(({ length }) => length));
  }

  /** The view whose base path is the longest in front of `path`; 0 = none, so that the path is one of the first view. */
  find(path: string): number {
    if (this.#views.size === 0) return 0;
    const longest = this.#longest;
    let end = path.length > longest ? path.lastIndexOf('/', longest) : path.length;
    for (; end > 0; end = path.lastIndexOf('/', end - 1)) {
      const view = this.#views.get(path.slice(0, end));
      if (view !== undefined) return view;
    }
    return 0;
  }

  /** The path in front of all paths of a view; '' for the first. */
  base(view: number): string {
    return this.#bases[view] ?? '';
  }

  /** What the endpoint of a view leads to. */
  endpoint(view: number): Target {
    return this.#endpoints[view] ?? ENDPOINT;
  }
}

/** Which paths lead to a transport. */
export interface PathRules {
  /** The configured path of the endpoint, without a slash at its end. */
  readonly endpointPath: string;
  readonly transports: TransportsSnapshot;
  readonly views: ViewPaths;
}

/**
 * The target of a path, with or without a slash at its end; null = it is unknown, or its transport is closed by the
 * configuration.
 *
 * @param query everything behind the question mark
 */
export function targetOf(requested: string, query: string, rules: PathRules): Target | null {
  const { endpointPath, transports, views } = rules;
  const view = views.find(requested);
  const path = view === 0 ? requested : requested.slice(views.base(view).length);
  const bare = withoutSlash(path);
  if (bare === ENDPOINT_PATH || path === ROOT_PATH || (view === 0 ? bare === endpointPath : path === '')) {
    return views.endpoint(view);
  }
  if (path === WEBSOCKET_PATH) return transports.websocket ? { route: 'websocket', methods: GET_METHODS, view } : null;
  if (bare === SSE_PATH) return transports.sse ? { route: 'sse', methods: GET_METHODS, view } : null;
  if (bare === MESSAGES_PATH || bare === APPENDED_MESSAGES_PATH) {
    return transports.sse ? { route: 'messages', methods: MESSAGES_METHODS, view, query } : null;
  }
  const rest = transports.rest ? restCall(path) : null;
  return rest === null ? null : { route: 'rest', methods: [rest.verb], view, query, rest };
}

/** The path as the resource that clients sign in to (RFC 9728): that of an endpoint or stream; '' = another one. */
export function resourcePath(path: string, target: Target): string {
  return target.route === 'messages' || target.route === 'rest' ? '' : path;
}

/** A path without a slash at its end. */
export function withoutSlash(path: string): string {
  return path.endsWith('/') ? path.slice(0, -1) : path;
}

/** Whether WebSockets are opened at a path, unless the configuration closes the transport. */
export function isWebSocketPath(path: string, { views }: PathRules): boolean {
  return path === WEBSOCKET_PATH || path === views.base(views.find(path)) + WEBSOCKET_PATH;
}
