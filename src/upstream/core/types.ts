/**
 * What the rest of the gateway knows of upstreams: a server is a namespace with one or more endpoints (replicas).
 * Everything here lives on the main thread.
 */
import type { ErrorCode } from '../../errors.js';
import { ASKABLE, Capability } from '../../protocol/client-capabilities.js';
import type { CallTarget, Exchange } from '../../request/exchange/index.js';
import type { Packed } from '../../shared/packed.js';

/** Receives what an upstream says about a call: implemented by the write stage. */
export interface UpstreamSink {
  /**
   * One JSON-RPC message that belongs to `exchange`: a notification (progress, log message) or the response.
   * `spans` is the scan of `bytes[0, length)`; both are valid only during the call. After a response nothing more follows for this call.
   */
  message(exchange: Exchange, bytes: Uint8Array, length: number, spans: Int32Array): void;
  /**
   * The call failed on the way. `sent` tells whether any byte of it may have reached the upstream:
   * if not, the sender may try elsewhere.
   */
  failed(exchange: Exchange, error: ErrorCode, sent: boolean): void;
  /**
   * A (legacy) server asks the client for something: sampling, elicitation, roots, anything but `ping`. The answer goes
   * back through {@link Endpoint.reply}.
   *
   * @param exchange the call it belongs to; null when that cannot be told, then only the owner of the lane can be meant
   */
  serverRequest(
    endpoint: Endpoint,
    exchange: Exchange | null,
    bytes: Uint8Array,
    length: number,
    spans: Int32Array,
  ): void;
  /**
   * A notification that is neither progress, log message, list change nor resource update: the server takes a request
   * back (`notifications/cancelled`), an elicitation by URL is complete, a legacy task changed.
   */
  serverNotification(
    endpoint: Endpoint,
    exchange: Exchange | null,
    bytes: Uint8Array,
    length: number,
    spans: Int32Array,
  ): void;
  /** The endpoint's connection, child or session ended: nobody waits for answers to its requests any more. */
  disconnected(endpoint: Endpoint): void;
  /**
   * A response too large to hold has begun: `bytes[0, length)` is its JSON so far. The rest follows with `largePart`,
   * and `largeEnd` is its last report.
   *
   * @returns false when it cannot be passed on in parts: the endpoint fails the call
   */
  largeStart(exchange: Exchange, bytes: Uint8Array, length: number): boolean;
  largePart(exchange: Exchange, bytes: Uint8Array, start: number, end: number): void;
  /** @param complete false = it broke off */
  largeEnd(exchange: Exchange, complete: boolean): void;
}

/** The client that a lane of an isolated server belongs to. */
export interface ConnectionOwner {
  /** The sealed id of its legacy session; '' = a principal (`isolation: principal`, and clients without sessions). */
  readonly sessionId: string;
  /** 128 bits of the subject's digest, all 0 = anonymous. */
  readonly subject: Int32Array;
}

/** A client as far as the choice of its lane depends on it; outlives the exchange that it was read from (`laneClient`). */
export interface ClientIdentity extends ConnectionOwner {
  /** What the client can be asked for, bits of Capability. */
  readonly capabilities: number;
}

/** What can be followed upstream: a resource by its URI, a task (tasks extension) by its id. */
export type WatchKind = 'resource' | 'task';

/** On whose behalf an endpoint speaks to its upstream. */
export interface ConnectionProfile {
  /** Bits of Capability (src/protocol/client-capabilities.ts) that `initialize` declares. */
  readonly capabilities: number;
  /** Null = all clients share it: what the server asks outside of a call belongs to nobody. */
  readonly owner: ConnectionOwner | null;
  /** One call at a time: whatever the server says meanwhile belongs to it. */
  readonly exclusive: boolean;
  /** The upstream is known to be legacy: no probe. */
  readonly legacyOnly: boolean;
  /** Calls wait while it is being started, instead of failing. */
  readonly lazy: boolean;
}

/** The lane that all clients share; nothing is declared on it. */
export const SHARED_PROFILE: ConnectionProfile = Object.freeze({
  capabilities: 0,
  owner: null,
  exclusive: false,
  legacyOnly: false,
  lazy: false,
});

/**
 * What `subscriptions/listen` asks for (MCP 2026-07-28, subscriptions): a client of the gateway, or the gateway of a modern
 * upstream, where one listen an endpoint carries all of it.
 */
export interface ListenFilter {
  readonly toolsListChanged: boolean;
  readonly promptsListChanged: boolean;
  readonly resourcesListChanged: boolean;
  /** URIs, none twice. Empty = the member is left out. */
  readonly resourceSubscriptions: readonly string[];
  /** Tasks extension; none twice. Empty = the member is left out. */
  readonly taskIds: readonly string[];
}

/**
 * The shared lane of an isolated server. Only its lists are read there, and some servers have tools that they list for
 * nobody but a client that can be asked. What they ask on it is refused.
 */
export const DISCOVERY_PROFILE: ConnectionProfile = Object.freeze({
  ...SHARED_PROFILE,
  capabilities: ASKABLE & ~Capability.roots,
});

/** State of an endpoint as shown in /stats and used by the choice of endpoint. */
export type EndpointState = 'connecting' | 'ready' | 'backoff' | 'failed' | 'stopped';

/** How an upstream is reached. */
export type Transport = 'stdio' | 'http' | 'sse' | 'websocket';

/** One replica, or a lane of one: a stdio child, an HTTP origin, a connection. */
export interface Endpoint extends CallTarget {
  readonly server: number;
  readonly weight: number;
  readonly transport: Transport;
  readonly profile: ConnectionProfile;
  readonly state: EndpointState;
  /** Number of the negotiated revision. */
  readonly revision: number;
  /** Calls in flight. */
  readonly inFlight: number;
  /**
   * Sends a message that is no call: the answer to a request of the server, or a notification of a client. Nobody waits
   * for the outcome; without a connection it is dropped.
   */
  reply(bytes: Buffer): void;
  /** Why the endpoint is not ready, one sentence without secrets, or ''. */
  readonly reason: string;
}

/** What discovery found behind one server; lists keep the items' raw bytes, unknown members and number spelling included. */
export interface Discovery {
  readonly server: number;
  readonly era: number;
  readonly revision: number;
  /** Raw JSON of the server's `capabilities`. */
  readonly capabilities: Record<string, unknown>;
  readonly instructions: string | null;
  readonly serverInfo: Record<string, unknown> | null;
  /** Raw JSON bytes of each item, in memory that all threads share. */
  readonly tools: Packed;
  readonly prompts: Packed;
  readonly resources: Packed;
  readonly templates: Packed;
  /** Smallest remaining freshness the upstream gave, ms; 0 = none. */
  readonly ttlMs: number;
  readonly cacheScope: 'public' | 'private';
}

/** Changes of upstreams that the control plane follows. */
export interface UpstreamEvents {
  /** First discovery, or lists changed and were read again. */
  discovered(discovery: Discovery): void;
  /**
   * `notifications/resources/updated` of an upstream; `bytes[0, length)` is the whole notification, valid during the
   * call.
   *
   * @param owner whose lane it came on; null = everybody's
   */
  resourceUpdated(server: number, uri: string, bytes: Uint8Array, length: number, owner: ConnectionOwner | null): void;
  /** `notifications/tasks` of a modern upstream (tasks extension); see {@link resourceUpdated}. */
  taskChanged(server: number, taskId: string, bytes: Uint8Array, length: number): void;
  /** A reload has put another server in the place of this one: what was followed there is not followed any more. */
  replaced(server: number): void;
}
