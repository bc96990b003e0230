/**
 * What the rest of the gateway knows of upstreams: a server is a namespace with one or more endpoints (replicas).
 * Everything here lives on the main thread.
 */
import type { ErrorCode } from '../errors.js';
import type { Exchange, UpstreamHandle } from '../request/exchange.js';

/** Receives what an upstream says about a call: implemented by the write stage. */
export interface CallSink {
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
}

/** State of an endpoint as shown in /stats and used by the choice of endpoint. */
export type EndpointState = 'connecting' | 'ready' | 'backoff' | 'failed' | 'stopped';

/** One replica: a stdio child or an HTTP origin. */
export interface Endpoint extends UpstreamHandle {
  readonly server: number;
  readonly index: number;
  readonly weight: number;
  readonly transport: 'stdio' | 'http';
  readonly state: EndpointState;
  /** 0 legacy, 1 modern; meaningful once `ready`. */
  readonly era: number;
  /** Number of the negotiated revision. */
  readonly revision: number;
  /** Calls in flight. */
  readonly inFlight: number;
  /**
   * Sends one call. `bytes` is the whole JSON-RPC request with id `exchange.upstreamId` (no newline) and becomes the endpoint's.
   * Exactly one final report follows on the sink (a response message or `failed`), never during this call... unless the call is cancelled first.
   *
   * @param method method id, @param nameHeader encoded `Mcp-Name` value or '' (modern HTTP only), @param extraHeaders flat list or null (`Mcp-Param-*`)
   */
  call(
    exchange: Exchange,
    bytes: Buffer,
    method: number,
    nameHeader: string,
    extraHeaders: readonly string[] | null,
  ): void;
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
  /** Raw JSON bytes of each item. */
  readonly tools: readonly Uint8Array[];
  readonly prompts: readonly Uint8Array[];
  readonly resources: readonly Uint8Array[];
  readonly templates: readonly Uint8Array[];
  /** Smallest remaining freshness the upstream gave, ms; 0 = none. */
  readonly ttlMs: number;
  readonly cacheScope: 'public' | 'private';
}

/** Changes of upstreams that the control plane follows. */
export interface UpstreamEvents {
  /** First discovery, or lists changed and were read again. */
  discovered(discovery: Discovery): void;
  /** An endpoint changed state. */
  stateChanged(server: number, endpoint: number, state: EndpointState, reason: string): void;
  /** `notifications/resources/updated` of an upstream. */
  resourceUpdated(server: number, uri: Uint8Array): void;
}
