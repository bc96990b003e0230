/** What the command line and the programmatic API see of a gateway that runs. */
import type { Snapshot } from '../config/snapshot.js';
import type { Stats } from '../observe/stats.js';
import type { FrontHandler } from '../request/accept/http/handler.js';
import type { ExchangeTable } from '../request/exchange/table.js';
import type { UpstreamHealth } from './health.js';
import type { Revocation } from './revocations.js';

/** Where something listens. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

/** A gateway that serves. */
export interface RunningGateway {
  /** `null` without a listener for clients (`port: false`). */
  readonly address: Address | null;
  /** `null` without an admin listener. */
  readonly adminAddress: Address | null;
  /** The configuration in force. */
  readonly snapshot: Snapshot;
  /** Where connections that are no sockets bring their messages: stdio, and clients in this process. */
  readonly connectionParts: ConnectionParts;
  /**
   * Puts another configuration into force between two requests. Requests in flight finish by the rules they came under;
   * servers whose endpoints are the same go on with what they have. Reloads happen one after another. Resolves when
   * servers that changed have taken over and new ones had `catalog.startupWaitMs` to tell what they offer.
   *
   * @throws ConfigError when something differs that only a restart can change; nothing has changed then
   */
  reload(snapshot: Snapshot): Promise<void>;
  /** Logs and counts a reload that failed, also one that failed before it got here. */
  reloadFailed(error: unknown): void;
  /** The document of `/stats`. */
  stats(): Promise<Stats>;
  /**
   * Revokes a token, a subject or a session in this process, until it is taken back or the process ends: requests are
   * refused at once, streams end within a second, calls in flight finish.
   *
   * @returns false when there is no such session
   * @throws GatewayError GW_REVOCATIONS_FULL
   * @throws TypeError when `revocation` is none
   */
  revoke(revocation: Revocation): boolean;
  /** Takes a revocation back. @returns false when there was none. @throws TypeError when `revocation` is none */
  unrevoke(revocation: Revocation): boolean;
  /** How the upstreams are at this moment. */
  upstreamHealth(): UpstreamHealth[];
  /**
   * Drains and ends: readiness fails, requests in flight finish within `limits.drainMs`, children stop.
   * A second call returns the same promise.
   */
  stop(): Promise<void>;
}

/** See {@link RunningGateway.connectionParts}. */
export interface ConnectionParts {
  readonly handler: FrontHandler;
  readonly table: ExchangeTable;
}
