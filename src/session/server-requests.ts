/**
 * Requests of upstreams to clients (sampling, elicitation, roots), on their way to the one client that a request belongs
 * to and back (MCP 2025-11-25, client features).
 */
import type { LimitsSnapshot } from '../config/snapshot.js';
import type { Exchange, SessionLike } from '../request/exchange.js';
import type { Endpoint } from '../upstream/types.js';

/** What {@link ServerRequests} needs of the rest. */
export interface ServerRequestsOptions {
  readonly limits: Pick<LimitsSnapshot, 'maxServerRequests' | 'answerMs'>;
  /** Sends one message on the stream of a call; false = the client left or takes no stream. */
  toCall(exchange: Exchange, message: Uint8Array): boolean;
  /** Sends one message on the standalone stream of a session; false = it has none. */
  toSession(sessionId: string, message: Uint8Array): boolean;
  /** The session behind a sealed id. */
  openSession(id: string): SessionLike | null;
}

/** See the file comment. */
export class ServerRequests {
  constructor(_options: ServerRequestsOptions) {}

  /** Passes a request of an upstream on to the legacy client it belongs to, or refuses it. */
  asked(
    _endpoint: Endpoint,
    _exchange: Exchange | null,
    _bytes: Uint8Array,
    _length: number,
    _spans: Int32Array,
  ): void {}

  /** A notification of an upstream: a request is taken back, an elicitation by URL is complete. */
  noted(
    _endpoint: Endpoint,
    _exchange: Exchange | null,
    _bytes: Uint8Array,
    _length: number,
    _spans: Int32Array,
  ): void {}

  /** A client's answer; `exchange` is the message that brought it. */
  answered(_exchange: Exchange, _bytes: Uint8Array): void {}

  /** A client's notification about a request of an upstream: progress, cancellation. */
  clientNoted(_exchange: Exchange, _bytes: Uint8Array): void {}

  /** The call is over: its upstream gets no answers any more. */
  over(_exchange: Exchange): void {}

  /** The endpoint waits no longer for answers. */
  lost(_endpoint: Endpoint): void {}

  /** Stops the clock. */
  close(): void {}
}
