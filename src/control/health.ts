/** The state of the upstreams, for programs that run a gateway. */
import { isTombstone } from '../config/numbering.js';
import { Era, REVISIONS } from '../protocol/revisions.js';
import type { Count } from '../units.js';
import type { BreakerState } from '../upstream/balance/breaker.js';
import type { EndpointState, Transport } from '../upstream/core/types.js';
import type { UpstreamPool } from '../upstream/pool.js';

/** One endpoint of an upstream server. */
export interface EndpointHealth {
  readonly transport: Transport;
  readonly state: EndpointState;
  /**
   * Why it is not usable, one sentence without secrets; '' = it is, or the first try to connect goes on. Beside `ready` it is
   * about the last contact.
   */
  readonly reason: string;
  /** Tries to connect in a row that failed. */
  readonly failedTries: Count;
  /** The family of its protocol revision; null before the first handshake. */
  readonly era: 'legacy' | 'modern' | null;
  /** The negotiated protocol revision; null before the first handshake. */
  readonly revision: string | null;
  /** The circuit breaker. `open`: no calls are sent after repeated failures; `half-open`: one trial call is sent. */
  readonly breaker: BreakerState;
  /** Calls in flight, on dedicated connections too. */
  readonly inFlight: Count;
  /** Children or upstream sessions of single clients (`isolation`) besides the shared one. */
  readonly dedicated: Count;
}

/** One server of the configuration. */
export interface UpstreamHealth {
  readonly name: string;
  /** Whether calls can be sent to it: an endpoint is ready, was reached at the last contact, and has a closed circuit breaker. */
  readonly healthy: boolean;
  readonly endpoints: readonly EndpointHealth[];
}

/** Reads the state of every server, in the order of the configuration. */
export function upstreamHealth(pool: UpstreamPool, order: readonly number[] | undefined): UpstreamHealth[] {
  const servers = order === undefined ? pool.servers : order.flatMap((number) => pool.servers[number] ?? []);
  return servers
    .filter((server) => !isTombstone(server))
    .map((server) => ({
      name: server.name,
      healthy: server.health.isHealthy,
      endpoints: server.endpoints.map((endpoint, index): EndpointHealth => {
        const { inFlight, dedicated: lanes } = server.totals(index);
        const isInitialized = endpoint.handshake !== null;
        return {
          transport: endpoint.transport,
          state: endpoint.state,
          reason: endpoint.shownReason,
          failedTries: endpoint.failedTries,
          era: isInitialized ? (endpoint.era === Era.modern ? 'modern' : 'legacy') : null,
          revision: isInitialized ? (REVISIONS[endpoint.revision] ?? null) : null,
          breaker: endpoint.breaker.state,
          inFlight,
          dedicated: lanes,
        };
      }),
    }));
}
