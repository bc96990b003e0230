/**
 * The immutable, versioned form of a configuration that crosses threads. Data only: it survives `structuredClone`. The
 * front and every worker compile it to closures once.
 * Indexes (`server`, `route`, `entry`, `bucket`) are positions in the arrays of one snapshot or catalog version.
 */
import type { KnownSecret } from '../secrets/show.js';
import type { Bytes, Count, Milliseconds, Seconds } from '../units.js';
import type { FRONT_ENDS, LOG_FORMATS, LOG_LEVELS } from './schema/index.js';
import type { PRIORITIES, SHED_KINDS } from './schema/overload.js';
import type { UrlTransport } from './schema/servers.js';

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
  readonly sessions: SessionsSnapshot;
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

/** How clients authenticate. */
export type AuthSnapshot =
  | { readonly type: 'none' }
  | {
      readonly type: 'bearer';
      readonly tokens: readonly {
        readonly token: string;
        readonly subject: string;
        readonly scopes: readonly string[];
      }[];
      readonly resourceMetadata: string | null;
    }
  | {
      readonly type: 'jwt';
      /** Accepted `alg` values; never `none`. */
      readonly algorithms: readonly string[];
      readonly secret: string | null;
      /** PEM text (SPKI or certificate) or JWK(S) JSON text. */
      readonly publicKey: string | null;
      readonly jwksUrl: string | null;
      /** Pause between two fetches for unknown key ids, and how long keys may serve. */
      readonly jwksCooldownMs: Milliseconds;
      readonly jwksMaxAgeMs: Milliseconds;
      readonly issuer: string | null;
      readonly audience: readonly string[];
      readonly clockToleranceSeconds: Seconds;
      /** Claim that names the subject; default `sub`. */
      readonly subjectClaim: string;
      /** Claims read for scopes, in order; default `scope`, `scp`, `scopes`, `permissions`. */
      readonly scopeClaims: readonly string[];
      readonly resourceMetadata: string | null;
    };

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
  /** Sent with each request; includes the `Authorization` made from `auth`. */
  readonly headers: Readonly<Record<string, string>>;
  readonly weight: number;
}

/** One replica of a server. */
export type EndpointSnapshot = StdioEndpointSnapshot | UrlEndpointSnapshot;

/** An endpoint with a path and lists of its own. */
export interface ViewSnapshot {
  /** The path as the configuration writes it, without a slash at its end; the path of the endpoint for the first view. */
  readonly path: string;
  /** What stands in front of `/mcp`, `/sse`, `/ws` and the other paths of the transports; '' for the first view. */
  readonly base: string;
}

/** A rule that matches calls by pattern; the first that matches counts. */
export interface RouteSnapshot {
  readonly name: string;
  /**
   * Globs (`*` within a name, `**` anything) over public names, addresses (`server:name`) and, if `servers` has the server, its own
   * names; for resources over URIs, or URI templates.
   */
  readonly tools: readonly string[];
  readonly prompts: readonly string[];
  readonly resources: readonly string[];
  /** Globs over unknown methods that the gateway passes through. */
  readonly methods: readonly string[];
  /** Server indexes in order; the later ones are the fallback. Empty = the catalog decides. */
  readonly servers: readonly number[];
  /** Position of an earlier route with the same patterns, whose fallback the servers of this one are; it matches nothing itself then. */
  readonly failOverOf?: number;
  /** All of them are needed. */
  readonly requiredScopes: readonly string[];
  readonly rateLimit: BucketRule | null;
  /** Counted per client and route besides `rateLimit`. */
  readonly clientRateLimit: BucketRule | null;
  /** Calls under way at once; 0 = no limit. */
  readonly maxConcurrent: Count;
  /** When the overload guard refuses its calls. */
  readonly priority: (typeof PRIORITIES)[number];
  readonly cache: { readonly ttlMs: Milliseconds; readonly staleMs: Milliseconds; readonly public: boolean } | null;
  /** 0 = the server's. */
  readonly requestTimeoutMs: Milliseconds;
  /** Calls may be repeated although bytes were sent. */
  readonly idempotent: boolean;
}

/** A token bucket: `burst` tokens at most, refilled with `rate` tokens a second. */
export interface BucketRule {
  /** Tokens a second, > 0. */
  readonly rate: number;
  /** Capacity, >= 1. */
  readonly burst: number;
}

/** Rate limits besides those of routes. Of the tool limits, the first pattern that matches counts. */
export interface RateLimitsSnapshot {
  readonly global: BucketRule | null;
  readonly perClient: BucketRule | null;
  readonly perTool: readonly { readonly tools: readonly string[]; readonly rule: BucketRule }[];
  /** Clients with buckets at once. */
  readonly maxClients: Count;
}

/** Calls to servers under way at once; 0 = no limit. */
export interface ConcurrencySnapshot {
  readonly global: Count;
  readonly perClient: Count;
}

/** The overload guard (src/request/overload/guard.ts). */
export interface OverloadSnapshot {
  readonly enabled: boolean;
  /** 0 = not watched. */
  readonly eventLoopDelayMs: Milliseconds;
  /** 0 = 90 % of what the process may have. */
  readonly maxMemoryBytes: Bytes;
  /** Share of a ring, 0 to 1; 0 = not watched. */
  readonly ringFullness: number;
  /** What is refused, the first first. */
  readonly order: readonly (typeof SHED_KINDS)[number][];
  readonly retryAfterMs: Milliseconds;
}

/** The response cache. */
export interface CacheSnapshot {
  readonly enabled: boolean;
  /** Per worker. */
  readonly maxBytes: Bytes;
  readonly maxEntryBytes: Bytes;
  readonly maxEntries: Count;
  /** Callers that may wait for one leader; more are forwarded. */
  readonly maxWaiters: Count;
  /** Time they wait before the next one becomes leader. */
  readonly waitMs: Milliseconds;
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
  /** Bytes read from one source of an upstream in one turn of the event loop (src/upstream/core/read-turns.ts). */
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
  /** Lists and combinations of lists that are kept for clients with dedicated endpoints. */
  readonly maxClientLists: Count;
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
  /** Size of `catalog.manifestFile`. */
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
  /** Input schemas with alternatives at the root: as the upstream sends them, or without (src/catalog/flat-schema.ts). */
  readonly schemas: 'as-is' | 'compatible';
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
