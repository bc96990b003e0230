/** Where the numbers of /metrics and /stats come from: short functions that only read. */

import type { Catalog } from '../catalog/index.js';
import { isTombstone } from '../config/numbering.js';
import type { Snapshot } from '../config/snapshot.js';
import type { Choice, EndpointStatus, StatsSources, UpstreamStatus } from '../observe/state.js';
import { packageVersion } from '../package-root.js';
import { REVISIONS } from '../protocol/revisions.js';
import type { ExchangeTable } from '../request/exchange/table.js';
import type { ServerRequests } from '../server-requests/index.js';
import type { SessionTable } from '../session/sessions.js';
import type { StandaloneStreams } from '../session/streams/index.js';
import type { SeriesNames } from '../shared/counters.js';
import type { UpstreamPool } from '../upstream/pool.js';
import type { UpstreamServer } from '../upstream/server.js';
import type { WorkerPool } from './worker-pool.js';

/** The parts that are read. */
export interface StatsParts {
  /** The rules in force. */
  readonly snapshot: Snapshot;
  readonly pool: WorkerPool;
  readonly table: ExchangeTable;
  readonly catalog: Catalog;
  readonly sessions: SessionTable;
  readonly streams: StandaloneStreams;
  readonly upstreams: UpstreamPool;
  readonly serverRequests: Pick<ServerRequests, 'counts'>;
  readonly seriesNames: SeriesNames;
  readonly decoder: Choice;
  readonly frontEnd: Choice;
  connections(): number;
  /** Verdicts remembered. */
  memo(): number;
  /** Calls parked. */
  parked(): number;
  /** Tokens, subjects and sessions revoked. */
  revoked(): number;
  notReady(): readonly string[];
  logDropped(): number;
}

/** The sources of one running gateway. */
export function statsSources(parts: StatsParts): StatsSources {
  const { snapshot, pool, table, catalog, sessions, streams, upstreams } = parts;
  return {
    get name() {
      return snapshot.name;
    },
    version: packageVersion,
    startedAt: Date.now(),
    decoder: parts.decoder,
    frontEnd: parts.frontEnd,
    counters: pool.counterMemory,
    seriesNames: parts.seriesNames,
    snapshotVersion: () => snapshot.version,
    gauges: () => ({
      inFlight: table.inUse - parts.parked(),
      connections: parts.connections(),
      sessions: sessions.size,
      streams: streams.standing.size,
      memo: parts.memo(),
      parked: parts.parked(),
      revoked: parts.revoked(),
    }),
    upstreams: () => upstreams.servers.filter((server) => !isTombstone(server)).map(upstreamStatus),
    workers: () =>
      Array.from({ length: pool.size }, (_, index) => {
        const { ready, incarnation, requests, verdicts } = pool.slot(index);
        return { ready, incarnation, queuedBytes: requests.used() + verdicts.used() };
      }),
    catalog: () => {
      const { version, offered, problems, problemCounts, table: names } = catalog.current;
      const undiscovered = names.undiscovered.map((server) => upstreams.servers[server]!.name);
      // By position among the servers that there are, as `upstreams` shows them.
      const shown = offered.filter((_, server) => !isTombstone(upstreams.servers[server]!));
      return { version, offered: shown, undiscovered, problems, problemCounts };
    },
    buffers: () => table.budget.counts,
    serverRequests: () => parts.serverRequests.counts,
    notReady: parts.notReady,
    logDropped: parts.logDropped,
  };
}

function upstreamStatus(server: UpstreamServer): UpstreamStatus {
  return {
    name: server.name,
    endpoints: server.endpoints.map((endpoint, index): EndpointStatus => {
      const { inFlight, lanes, stats, overLimit } = server.totals(index);
      return {
        transport: endpoint.transport,
        state: endpoint.state,
        reason: endpoint.reason,
        revision: REVISIONS[endpoint.revision] ?? '',
        inFlight,
        lanes,
        overLimit,
        breaker: endpoint.breaker.state,
        restarts: stats.restarts,
        events: { ...stats },
      };
    }),
  };
}
