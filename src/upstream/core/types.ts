/**
 * The types by which the rest of the gateway uses upstreams. A server is a namespace with one or more endpoints (replicas).
 * Main thread only.
 */

import type { Spans } from '../../../native/spans.js';
import type { EndpointSnapshot } from '../../config/snapshot/index.js';
import type { ErrorCode } from '../../errors.js';
import { ASKABLE, Capability } from '../../protocol/client-capabilities.js';
import type { Era } from '../../protocol/revisions.js';
import type { CallTarget, Exchange } from '../../request/exchange/index.js';
import type { Packed } from '../../shared/packed.js';

/** Receives the messages of upstreams and the outcome of calls; implemented by the front. */
export interface UpstreamSink {
  /**
   * One JSON-RPC message that belongs to `exchange`: a notification (progress, log message) or the response.
   * `spans` is the scan of `bytes[0, length)`; both are valid only during the call. The response is the last report of a call.
   */
  message(exchange: Exchange, bytes: Uint8Array, length: number, spans: Spans): void;
  /**
   * The call failed; the last report of a call. `sent` = any byte of it may have reached the upstream; if not, the call may
   * be sent to another endpoint.
   */
  failed(exchange: Exchange, error: ErrorCode, sent: boolean): void;
  /**
   * A request of a (legacy) server to the client: sampling, elicitation, roots, anything but `ping`. The response is sent
   * through {@link Endpoint.reply}.
   *
   * @param exchange the call that it belongs to; null = unknown, and only the owner of the endpoint can be meant
   */
  serverRequest(endpoint: Endpoint, exchange: Exchange | null, bytes: Uint8Array, length: number, spans: Spans): void;
  /**
   * A notification that is neither progress, log message, list change nor resource update: the server cancels a request
   * (`notifications/cancelled`), an elicitation by URL is complete, a legacy task changed.
   */
  serverNotification(
    endpoint: Endpoint,
    exchange: Exchange | null,
    bytes: Uint8Array,
    length: number,
    spans: Spans,
  ): void;
  /** The endpoint's connection, child or session has ended, and with it the requests of its server. */
  disconnected(endpoint: Endpoint): void;
  /**
   * A response that is too large to hold has begun: `bytes[0, length)` is its JSON so far. The rest follows with `largePart`,
   * and `largeEnd` is the last report of the call.
   *
   * @returns false when it cannot be passed on in parts: the endpoint fails the call
   */
  largeStart(exchange: Exchange, bytes: Uint8Array, length: number): boolean;
  largePart(exchange: Exchange, bytes: Uint8Array, start: number, end: number): void;
  /** @param complete false = it was truncated */
  largeEnd(exchange: Exchange, complete: boolean): void;
}

/** The client that a dedicated endpoint of an isolated server belongs to. */
export interface ConnectionOwner {
  /** The sealed id of its legacy session; '' = a principal (`isolation: principal`, and clients without sessions). */
  readonly sessionId: string;
  /** 128 bits of the subject's digest, all 0 = anonymous. */
  readonly subject: Int32Array;
}

/** A client, as its dedicated endpoint depends on it; see `clientIdentity`. */
export interface ClientIdentity extends ConnectionOwner {
  /** Capabilities of the client, bits of Capability. */
  readonly capabilities: number;
  /** Its bearer token, '' = none. */
  readonly token: string;
}

/** What can be followed upstream: a resource by its URI, a task (tasks extension) by its id. */
export type WatchKind = 'resource' | 'task';

/** What the connection of an endpoint is used for. */
export interface ConnectionProfile {
  /** Bits of Capability (src/protocol/client-capabilities.ts) that `initialize` declares. */
  readonly capabilities: number;
  /** The client that it belongs to; null = clients share it, and requests of the server outside of calls are refused. */
  readonly owner: ConnectionOwner | null;
  /** Leased to one call at a time: all messages of the server belong to that call. */
  readonly exclusive: boolean;
  /** The upstream is legacy: no probe. */
  readonly legacyOnly: boolean;
  /** Started by a call: calls wait until it is ready instead of failing. */
  readonly lazy: boolean;
  /** The bearer token of the client that the endpoint is for, as it was when the endpoint was created; '' = none. */
  readonly token: string;
}

/** Whether all messages of the server are for one client. */
export function isDedicated({ exclusive, owner }: ConnectionProfile): boolean {
  return exclusive || owner !== null;
}

/** Of an endpoint that all clients share; it declares no capabilities. */
export const SHARED_PROFILE: ConnectionProfile = Object.freeze({
  capabilities: 0,
  owner: null,
  exclusive: false,
  legacyOnly: false,
  lazy: false,
  token: '',
});

/**
 * The filter of `subscriptions/listen` (MCP 2026-07-28, subscriptions), of a client of the gateway or of the gateway at a
 * modern upstream, where each endpoint has one listen.
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
 * Of the discovery session of an isolated server, which serves for reading its lists. Some servers list tools only for
 * clients with capabilities, so it declares some; requests of the server are refused.
 */
export const DISCOVERY_PROFILE: ConnectionProfile = Object.freeze({
  ...SHARED_PROFILE,
  capabilities: ASKABLE & ~Capability.roots,
});

/** State of an endpoint, as shown in /stats. Calls are sent to ready endpoints. */
export type EndpointState = 'connecting' | 'ready' | 'backoff' | 'failed' | 'stopped';

/** How an upstream is reached. */
export type Transport = EndpointSnapshot['transport'];

/** One replica of a server, or a dedicated endpoint beside one: a stdio child, an HTTP origin, a connection. */
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
   * Sends a message that is no call: the response to a request of the server, or a notification of a client. Dropped without
   * a connection; the outcome is not reported.
   */
  reply(bytes: Buffer): void;
  /** Why the endpoint is not ready, or was not when it was last tried; one sentence without secrets, or ''. */
  readonly reason: string;
}

/** The lists and properties of one server. Items are raw bytes, with unknown members and the spelling of numbers. */
export interface Discovery {
  readonly server: number;
  readonly era: Era;
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
  /** Shortest time to live of the lists, ms; 0 = none. */
  readonly ttlMs: number;
  readonly cacheScope: 'public' | 'private';
}

/** Which lists have changed. */
export interface ListChanges {
  readonly tools: boolean;
  readonly prompts: boolean;
  /** Resources or resource templates. */
  readonly resources: boolean;
}

/** Receives changes of upstreams; implemented by the control part. */
export interface UpstreamEvents {
  /** First discovery, or lists changed and were read again. */
  discovered(discovery: Discovery): void;
  /**
   * `notifications/resources/updated` of an upstream; `bytes[0, length)` is the whole notification, valid during the
   * call.
   *
   * @param owner the client that the endpoint belongs to; null = all clients
   */
  resourceUpdated(server: number, uri: string, bytes: Uint8Array, length: number, owner: ConnectionOwner | null): void;
  /**
   * A server has other lists for some clients than these were given; they are not part of a {@link Discovery} for all.
   *
   * @param owner the client; null = all clients with the same capabilities
   */
  ownListsChanged(owner: ConnectionOwner | null, changes: ListChanges): void;
  /** `notifications/tasks` of a modern upstream (tasks extension); see {@link resourceUpdated}. */
  taskChanged(server: number, taskId: string, bytes: Uint8Array, length: number): void;
  /** An endpoint that clients share became usable or unusable, or the reason has changed. */
  stateChanged(server: number): void;
  /** A user has logged in at a server. @param elicitationId of the link that was good for it (src/request/write/login-link.ts) */
  loggedIn(elicitationId: string): void;
  /** A reload has put another server in the place of this one: what was followed there is not followed any more. */
  replaced(server: number): void;
}
