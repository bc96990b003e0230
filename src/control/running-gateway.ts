/** A running gateway as the command line and the programmatic API use it. */
import type { Snapshot } from '../config/snapshot/index.js';
import type { Stats } from '../observe/stats.js';
import type { FrontHandler } from '../request/accept/http/handler.js';
import type { ExchangeTable } from '../request/exchange/table.js';
import type { Discovery } from '../upstream/core/types.js';
import type { Revocation } from './credentials/revocations.js';
import type { UpstreamHealth } from './health.js';

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
  /** For connections without a socket: stdio, and clients in this process. */
  readonly entry: PipelineEntry;
  /**
   * Puts another configuration into force between two requests. Requests in flight finish under the rules they started
   * with; servers with unchanged endpoints keep their connections and lists. Reloads run one after another. Resolves when
   * changed servers are replaced and new ones had `catalog.startupWaitMs` for their discovery.
   *
   * @throws ConfigError when something differs that only a restart can change; the configuration in force is unchanged
   */
  reload(snapshot: Snapshot): Promise<void>;
  /** Logs and counts a reload that failed, including one whose configuration could not be loaded. */
  reloadFailed(error: unknown): void;
  /** The document of `/stats`. */
  stats(): Promise<Stats>;
  /**
   * Revokes a token, a subject or a session in this process, until it is unrevoked or the process ends: requests are
   * refused at once, streams end within a second, calls in flight finish.
   *
   * @returns false when there is no such session
   * @throws GatewayError GW_REVOCATIONS_FULL
   * @throws TypeError when `revocation` is invalid
   */
  revoke(revocation: Revocation): boolean;
  /** Removes a revocation. @returns false when there was none. @throws TypeError when `revocation` is invalid */
  unrevoke(revocation: Revocation): boolean;
  /** The lists of all servers as they sent them; a server that has others for some clients occurs more than once. */
  readonly lists: readonly Discovery[];
  /** The current state of the upstreams. */
  upstreamHealth(): UpstreamHealth[];
  /**
   * Drains and stops: readiness fails, requests in flight finish within `limits.drainMs`, children are stopped. A second
   * call returns the same promise.
   */
  stop(): Promise<void>;
}

/** What a connection without a socket needs ({@link RunningGateway.entry}). */
export interface PipelineEntry {
  readonly handler: FrontHandler;
  readonly table: ExchangeTable;
}
