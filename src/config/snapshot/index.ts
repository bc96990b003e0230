/**
 * The immutable, versioned form of a configuration that crosses threads. Data only: it survives `structuredClone`. The
 * front and every worker compile it to closures once.
 * Indexes (`server`, `route`, `entry`, `bucket`) are positions in the arrays of one snapshot or catalog version.
 */

import type { KnownSecret } from '../../secrets/show.js';
import type { Bytes, Count, Milliseconds, Seconds } from '../../units.js';
import type { FRONT_ENDS, LOG_FORMATS, LOG_LEVELS } from '../schema/index.js';
import type { PRIORITIES } from '../schema/overload.js';
import type { UrlTransport } from '../schema/servers.js';
import type { AuthSnapshot } from './auth.js';
import type { CacheRule, CacheSnapshot } from './cache.js';
import type { ConditionsSnapshot, PatternText, VariantsSnapshot } from './match.js';
import type { Lock, PinningRules } from './pinning.js';
import type { ConcurrencySnapshot, LimitRule, OverloadSnapshot, RateLimitsSnapshot } from './rate-limits.js';

export type { CacheRule, CacheSnapshot } from './cache.js';
export type { PinningRules } from './pinning.js';
export type {
  ClientKey,
  ConcurrencySnapshot,
  LimitMatchSnapshot,
  LimitRule,
  LimitRuleSnapshot,
  OverloadSnapshot,
  RateLimitsSnapshot,
  ToolLimitSnapshot,
} from './rate-limits.js';

/** The compiled configuration. */
export interface Snapshot {
  /** Grows by one with each accepted configuration. */
  readonly version: number;
  /** Name of the gateway in `serverInfo`. */
  readonly name: string;
  readonly host: string;
  /** 0 = any free one. */
  readonly port: number;
  /** false = no listener for clients (`port: false`); `port` is 0 then. */
  readonly listens: boolean;
  /** Origin of the gateway as clients see it, without a slash at its end; `null` = `http://` and the `Host` of the request. */
  readonly publicUrl: string | null;
  /** Path of the MCP endpoint besides `/mcp` and `/`. */
  readonly path: string;
  /** `null` = no admin listener. */
  readonly admin: { readonly host: string; readonly port: number } | null;
  /** Resolved number of policy workers, at least 1. */
  readonly workers: Count;
  readonly frontEnd: (typeof FRONT_ENDS)[number];
  /** Host names (without port, lower case) accepted in `Host`; empty = loopback names when bound to loopback, any otherwise. */
  readonly allowedHosts: readonly string[];
  /** Origins accepted when `Origin` is present; loopback origins are accepted on a loopback bind. `*` = any. */
  readonly allowedOrigins: readonly string[];
  readonly auth: AuthSnapshot;
  readonly servers: readonly ServerSnapshot[];
  /** Positions in `servers` in the order of the configuration, which a reload may change; absent = as they stand. */
  readonly order?: readonly number[];
  readonly routes: readonly RouteSnapshot[];
  /** The first is the endpoint that offers everything; the others have paths of their own. */
  readonly views: readonly ViewSnapshot[];
  /** Lower-case names of the request headers that policy reads; others refer to them by position. */
  readonly attributes: readonly string[];
  readonly rateLimits: RateLimitsSnapshot;
  readonly cache: CacheSnapshot;
  readonly limits: LimitsSnapshot;
  readonly concurrency: ConcurrencySnapshot;
  readonly overload: OverloadSnapshot;
  readonly catalog: CatalogRules;
  /** What `catalog.pinning` compares tools with; null = nothing. Workers do not get it. */
  readonly lock: Lock | null;
  readonly sessions: SessionsSnapshot;
  readonly logins: LoginsSnapshot;
  readonly transports: TransportsSnapshot;
  readonly log: LogSnapshot;
  readonly ready: ReadySnapshot;
  /** Values that must not appear in any log line, and their replacements. */
  readonly secrets: readonly KnownSecret[];
}

/** The transports for clients besides Streamable HTTP on `/mcp`. */
export interface TransportsSnapshot {
  /** HTTP with SSE (2024-11-05): `/sse` and `/messages`. */
  readonly sse: boolean;
  /** WebSocket: `/ws`. */
  readonly websocket: boolean;
  /** REST: `/tools`, `/prompts`, `/resources`, `/openapi.json`. */
  readonly rest: boolean;
}

/** One upstream namespace. */
export interface ServerSnapshot {
  readonly name: string;
  /** Prefix of names towards clients, without the separator; `null` = none. */
  readonly prefix: string | null;
  readonly endpoints: readonly EndpointSnapshot[];
  readonly connectTimeoutMs: Milliseconds;
  /** 0 = no limit. */
  readonly requestTimeoutMs: Milliseconds;
  /** Connections (HTTP) per endpoint, or calls in flight per stdio child. */
  readonly maxConnections: Count;
  /** Calls that may wait for a connection or for the pipe. */
  readonly maxQueue: Count;
  /** Calls under way at once, over all endpoints; 0 = no limit. */
  readonly maxConcurrent: Count;
  readonly tags: readonly string[];
  /** Tool globs offered; empty = all. */
  readonly include: readonly string[];
  /** Tool globs not offered; wins over `include`. */
  readonly exclude: readonly string[];
  /** Other names for its tools and prompts, by the upstream's name, or a template; `null` = none. */
  readonly rename: Readonly<Record<string, string>> | string | null;
  /** Higher wins under `conflict: priority`; default 0. */
  readonly priority: number;
  /** Scope of a legacy child or upstream session: shared by all clients, or one for each client session or principal. */
  readonly isolation: 'auto' | 'shared' | 'session' | 'principal';
  /**
   * Calls are sent with credentials of the client that makes them, so clients share no upstream session and no answer;
   * `isolation` is `session` or `principal` then.
   */
  readonly clientCredentials: boolean;
  /** Those credentials are made of the token of each call: it is passed on or exchanged. Else they are kept by subject. */
  readonly clientTokens: boolean;
  /** Those credentials are the client's own token. */
  readonly passthrough: boolean;
  /** Dedicated children or upstream sessions per endpoint at once, besides the shared one. */
  readonly maxDedicated: Count;
  /** Idle time after which a dedicated child or session is stopped. */
  readonly dedicatedIdleMs: Milliseconds;
  /** What becomes of messages with bytes that are no UTF-8, over stdio, HTTP with SSE and WebSocket. */
  readonly invalidUtf8: 'refuse' | 'repair';
  /** Globs of unknown methods that are passed to this server as they are. */
  readonly methods: readonly string[];
}

/** A replica that is a child process. */
export interface StdioEndpointSnapshot {
  readonly transport: 'stdio';
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string | null;
  readonly weight: number;
  /** `command` as it may be logged. */
  readonly shownCommand: string;
}

/** A replica behind a URL. */
export interface UrlEndpointSnapshot {
  readonly transport: UrlTransport;
  /** The transport is auto-detected: an http URL that does not answer as Streamable HTTP is tried as HTTP with SSE. */
  readonly detect: boolean;
  readonly url: string;
  /** Sent with each request; includes the `Authorization` made from an `auth` that is fixed. */
  readonly headers: Readonly<Record<string, string>>;
  /** Credentials that are not the same for all requests; absent = there are none. */
  readonly auth?: UpstreamAuthSnapshot;
  readonly weight: number;
}

/** Where and as whom tokens are asked for. */
export interface TokenEndpointSnapshot {
  readonly tokenUrl: string;
  readonly clientId: string;
  readonly clientSecret: string;
  readonly clientAuth: 'basic' | 'post';
  /** Separated by spaces, '' = none; likewise the next two. */
  readonly scope: string;
  readonly audience: string;
  readonly resource: string;
}

/** Credentials towards an upstream that are not the same for all requests. */
export type UpstreamAuthSnapshot =
  /** Value of `Authorization` for requests of the gateway itself, of a server with `passthrough`. */
  | { readonly type: 'own'; readonly authorization: string }
  | { readonly type: 'clientCredentials'; readonly endpoint: TokenEndpointSnapshot }
  | {
      readonly type: 'tokenExchange';
      readonly endpoint: TokenEndpointSnapshot;
      readonly subjectTokenType: string;
      /** '' = left to the server. */
      readonly requestedTokenType: string;
      /** Credentials of the gateway's own requests. */
      readonly discovery: 'clientCredentials' | 'none';
      /** Tokens of callers that are kept. */
      readonly maxTokens: Count;
    }
  /** The consent of a user (OAuth 2.1 authorization code). */
  | {
      readonly type: 'oauth';
      /** Its name and URL. */
      readonly server: string;
      readonly serverUrl: string;
      /** '' = the gateway registers itself; likewise the next one. */
      readonly clientId: string;
      readonly clientSecret: string;
      /** Separated by spaces, '' = what the upstream says. */
      readonly scope: string;
      /** '' = that of the gateway, or of the command. */
      readonly redirectUrl: string;
      /** Of the command `login`; 0 = any. */
      readonly redirectPort: number;
      /** '' = none. */
      readonly clientMetadataUrl: string;
      readonly per: 'gateway' | 'principal';
    };

/** One replica of a server. */
export type EndpointSnapshot = StdioEndpointSnapshot | UrlEndpointSnapshot;

/** An endpoint with a path and lists of its own. */
export interface ViewSnapshot {
  /** The path as the configuration writes it, without a slash at its end; the path of the endpoint for the first view. */
  readonly path: string;
  /** What stands in front of `/mcp`, `/sse`, `/ws` and the other paths of the transports; '' for the first view. */
  readonly base: string;
  /** Positions of the servers whose entries it offers; `null` = all. */
  readonly servers: readonly number[] | null;
  /** Globs over what it offers of them, in the names of this view; empty = everything. */
  readonly tools: readonly string[];
  readonly prompts: readonly string[];
  readonly resources: readonly string[];
  /** Whether names have the prefixes of their servers. */
  readonly hasPrefixes: boolean;
  /** Every request needs all of them. */
  readonly requiredScopes: readonly string[];
  /** How clients of this path authenticate; `null` = as at the gateway (`Snapshot.auth`). */
  readonly auth: AuthSnapshot | null;
}

/** What a client may do: `read` = tools with `readOnlyHint`, prompts and resources, `write` = everything else. */
export type Permission = 'read' | 'write';

/** A rule that matches calls by pattern; the first that matches counts. */
export interface RouteSnapshot {
  readonly name: string;
  /**
   * Patterns over public names, addresses (`server:name`) and, if `servers` has the server, its own
   * names; for resources over URIs, or URI templates.
   */
  readonly tools: readonly PatternText[];
  readonly prompts: readonly PatternText[];
  readonly resources: readonly PatternText[];
  /** Patterns over unknown methods that the gateway passes through. */
  readonly methods: readonly PatternText[];
  /** What a call must have besides; `null` = nothing. */
  readonly conditions: ConditionsSnapshot | null;
  /** Server indexes in order; the later ones are the fallback. Empty = the catalog decides. */
  readonly servers: readonly number[];
  /** Position of an earlier route with the same patterns, whose fallback the servers of this one are; it matches nothing itself then. */
  readonly failOverOf?: number;
  /** All of them are needed. */
  readonly requiredScopes: readonly string[];
  /** What a client without the right gets: the answer for what does not exist, or 403 with the scopes that it needs. */
  readonly whenDenied: 'hide' | 'challenge';
  /** Which of them a call needs, by what it does. */
  readonly permissions: readonly Permission[];
  /** `null` = all calls go to `servers`. */
  readonly variants: VariantsSnapshot | null;
  readonly rateLimit: LimitRule | null;
  /** Counted per client and route besides `rateLimit`. */
  readonly clientRateLimit: LimitRule | null;
  /** Takes the place of the global limit. */
  readonly rateLimitOverride: LimitRule | null;
  /** Calls under way at once; 0 = no limit. */
  readonly maxConcurrent: Count;
  /** When the overload guard refuses its calls. */
  readonly priority: (typeof PRIORITIES)[number];
  /** `false` = nothing is stored; null = the global rule decides. */
  readonly cache: CacheRule | false | null;
  /** 0 = the server's. */
  readonly requestTimeoutMs: Milliseconds;
  /** Calls may be repeated although bytes were sent. */
  readonly idempotent: boolean;
}

/** Limits of everything that grows. */
export interface LimitsSnapshot {
  readonly maxBodyBytes: Bytes;
  readonly maxHeaderBytes: Bytes;
  readonly maxHeaders: Count;
  readonly maxDepth: Count;
  readonly maxBatch: Count;
  /** Requests in flight over all clients; at most 65,535. */
  readonly maxInFlight: Count;
  readonly maxResponseBytes: Bytes;
  /** One line of a stdio upstream. */
  readonly maxLineBytes: Bytes;
  /** Bytes queued towards one stdio child. */
  readonly maxPipeBytes: Bytes;
  /** Bytes read from one source of an upstream in one turn of the event loop (src/upstream/core/limits/read-turns.ts). */
  readonly readBudgetBytes: Bytes;
  /** Messages a second, other than responses, accepted from one endpoint; 0 = no limit. */
  readonly maxNotificationsPerSecond: Count;
  /** Bytes queued towards one client before the upstream is paused. */
  readonly maxClientBufferBytes: Bytes;
  /** A client that reads no byte for this time is disconnected. */
  readonly slowClientMs: Milliseconds;
  /** Frames of less than 64 bytes that a WebSocket of a client may send a second; 0 = no bound. */
  readonly smallFrameRate: Count;
  readonly maxConnections: Count;
  readonly maxSessions: Count;
  readonly maxStreams: Count;
  /** Event streams (GET) open at once for one session. */
  readonly maxSessionStreams: Count;
  /** Verdicts remembered. */
  readonly maxMemo: Count;
  readonly maxTools: Count;
  /** Lists and combinations of lists that are kept for clients with dedicated endpoints, and sets of hidden entries. */
  readonly maxClientLists: Count;
  /** Lists of clients from which something is hidden. */
  readonly maxListBytes: Bytes;
  /** Longest wait for a task that the gateway has made for a client. */
  readonly taskMs: Milliseconds;
  /** Pages read from one upstream list. */
  readonly maxPages: Count;
  /** Names that get metrics of their own; the rest are counted as `other`. */
  readonly maxToolMetrics: Count;
  readonly drainMs: Milliseconds;
  /** A worker without progress on its ring for this time is replaced. */
  readonly workerHangMs: Milliseconds;
  /** Size of each ring. */
  readonly ringBytes: Bytes;
  /** Time for a verdict (token verification included). */
  readonly decideMs: Milliseconds;
  /** Requests of upstreams that wait for responses of clients, over all clients. */
  readonly maxServerRequests: Count;
  /** Time a client has to answer a request of an upstream. */
  readonly answerMs: Milliseconds;
  /** Rounds of input that a modern upstream may request of a legacy client during one call. */
  readonly maxInputRounds: Count;
  /** Calls parked at once, over all clients and of one principal. */
  readonly maxParked: Count;
  readonly maxParkedPerPrincipal: Count;
  /** Time a parked call waits for its client's next request. */
  readonly parkMs: Milliseconds;
  /** A larger response of an HTTP upstream is passed on in parts instead of being held. */
  readonly maxHeldBytes: Bytes;
  /** Bytes that the front holds over all calls and streams; 0 = no bound. */
  readonly maxBufferedBytes: Bytes;
  /** Between comments on silent event streams; 0 = none. */
  readonly keepAliveMs: Milliseconds;
  /** Tokens, subjects and sessions revoked at once. */
  readonly maxRevoked: Count;
  /** Subscriptions of one session or listen stream. */
  readonly maxSubscriptions: Count;
  /** Size of `catalog.manifestFile` and of `catalog.pinning.lock`. */
  readonly maxManifestBytes: Bytes;
}

/** How the names of all servers are merged into one list. */
export interface CatalogRules {
  readonly separator: string;
  readonly conflict: 'prefix' | 'auto-prefix' | 'reject' | 'priority';
  /** `strict` = only characters that model APIs accept, and at most 64 of them. */
  readonly names: 'strict' | 'as-is';
  /** Longest public name, together with `namePrefixRoom`. */
  readonly maxNameLength: Count;
  /** Characters that are left free for what clients put in front. */
  readonly namePrefixRoom: Count;
  /** Items of one list page towards clients; 0 = all on one page. */
  readonly pageSize: Count;
  /** `ttlMs` of list results towards modern clients. */
  readonly ttlMs: Milliseconds;
  /** Time that a start waits for the first discovery before it listens. */
  readonly startupWaitMs: Milliseconds;
  /** Time that `initialize`, `server/discover` and lists wait for servers that were never listed; 0 = none. */
  readonly firstListWaitMs: Milliseconds;
  /** Where the lists of all servers are kept; `false` = nowhere, `null` = nowhere, since there is no place for it. */
  readonly manifestFile: string | false | null;
  /** Input schemas with alternatives at the root: as the upstream sends them, or without (src/catalog/items/flat-schema.ts). */
  readonly schemas: 'as-is' | 'compatible';
  /** What happens with tools that are not as {@link Snapshot.lock} says; null = nothing is compared. */
  readonly pinning: PinningRules | null;
}

/** Sessions of legacy clients. */
export interface SessionsSnapshot {
  /** Whether a legacy POST needs a session. */
  readonly required: boolean;
  /** Newest first; each at least 32 characters, or empty = a key file beside the state. */
  readonly secrets: readonly string[];
  readonly ttlSeconds: Seconds;
  /** Where a generated key is kept; `null` = in memory only. */
  readonly keyFile: string | null;
  /** Whether a key in memory will do where {@link keyFile} cannot be used: it is the default one. */
  readonly isKeyFileOptional: boolean;
  /** Events kept for resumption, per session and over all sessions; 0 = none, and events have no ids. */
  readonly eventLogBytes: Bytes;
  readonly eventLogTotalBytes: Bytes;
  /** Reconnection time of clients (`retry` of an event stream). */
  readonly retryMs: Milliseconds;
}

/** Logins of users at upstreams (`auth` of type `oauth`). */
export interface LoginsSnapshot {
  /** Where they are kept; null = in memory. */
  readonly folder: string | null;
  /** Where browsers reach the data port, without a slash at its end; '' = at its own address. */
  readonly publicUrl: string;
  /** Most that are kept. */
  readonly maxLogins: Count;
}

/** When `/ready` answers 200. */
export interface ReadySnapshot {
  /** Names of servers that must be up. */
  readonly require: readonly string[];
}

/** The log. */
export interface LogSnapshot {
  readonly level: (typeof LOG_LEVELS)[number];
  /** `auto` = pretty on a terminal, JSON otherwise. */
  readonly format: (typeof LOG_FORMATS)[number];
  /** One line a request at `info`; otherwise at `debug`. */
  readonly access: boolean;
}
