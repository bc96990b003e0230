/** Reads the state of the gateway for /metrics, /stats and the programmatic API. */

import type { Catalog } from '../catalog/index.js';
import { isTombstone } from '../config/numbering.js';
import type { Current } from '../config/snapshot/current.js';
import type { Snapshot } from '../config/snapshot/index.js';
import type { LimitState } from '../observe/limit-stats.js';
import type { Log } from '../observe/log.js';
import type {
  CatalogStatus,
  Choice,
  EndpointStatus,
  Gauges,
  StatsSources,
  UpstreamStatus,
  WorkerStatus,
} from '../observe/state.js';
import { packageVersion } from '../package-root.js';
import { REVISIONS } from '../protocol/revisions.js';
import type { ClientListener } from '../request/accept/http/handler.js';
import type { Dispatcher } from '../request/dispatch/index.js';
import type { ExchangeTable } from '../request/exchange/table.js';
import type { OverloadGuard, OverloadStatus } from '../request/overload/guard.js';
import { Scrubber } from '../secrets/scrub.js';
import type { ServerRequestCounts, ServerRequests } from '../server-requests/index.js';
import type { ParkedCalls } from '../server-requests/parked/index.js';
import type { SessionTable } from '../session/sessions.js';
import type { StandaloneStreams } from '../session/streams/index.js';
import type { StreamCounts } from '../session/streams/long-lived.js';
import type { BufferCounts } from '../shared/buffer-budget.js';
import type { RouteCacheEvents } from '../shared/cache/events.js';
import type { CounterMemory, SeriesNames } from '../shared/counters.js';
import { planBuckets } from '../shared/limits/bucket-plan.js';
import type { Count } from '../units.js';
import type { UpstreamCredentials } from '../upstream/credentials/index.js';
import type { UpstreamPool } from '../upstream/pool.js';
import type { UpstreamServer } from '../upstream/server.js';
import type { Revocations } from './credentials/revocations.js';
import type { Readiness } from './readiness.js';
import type { WorkerPool } from './worker-pool.js';

/** The parts that {@link GatewayState} reads. */
export interface StateParts {
  readonly config: Current<Snapshot>;
  readonly pool: WorkerPool;
  readonly table: ExchangeTable;
  readonly catalog: Catalog;
  readonly sessions: SessionTable;
  readonly streams: StandaloneStreams;
  readonly upstreams: UpstreamPool;
  /** Those that are open. */
  readonly listeners: readonly Pick<ClientListener, 'connections'>[];
  readonly front: {
    readonly dispatch: Pick<Dispatcher, 'remembered'>;
    readonly requests: Pick<ServerRequests, 'counts'>;
    readonly parked: Pick<ParkedCalls, 'size'>;
  };
  readonly guard: Pick<OverloadGuard, 'status'>;
  readonly seriesNames: SeriesNames;
  readonly revocations: Pick<Revocations, 'size'>;
  readonly readiness: Readiness;
  readonly log: Pick<Log, 'dropped'>;
  readonly decoder: Choice;
  readonly frontEnd: Choice;
}

/** See the file comment. One per gateway. */
export class GatewayState implements StatsSources {
  readonly version = packageVersion;
  readonly startedAt = Date.now();
  readonly decoder: Choice;
  readonly frontEnd: Choice;
  readonly counters: CounterMemory;
  readonly seriesNames: SeriesNames;
  readonly #parts: StateParts;

  constructor(parts: StateParts) {
    this.#parts = parts;
    this.decoder = parts.decoder;
    this.frontEnd = parts.frontEnd;
    this.counters = parts.pool.counterMemory;
    this.seriesNames = parts.seriesNames;
  }

  get name(): string {
    return this.#parts.config.current.name;
  }

  snapshotVersion(): number {
    return this.#parts.config.current.version;
  }

  gauges(): Gauges {
    const { front, listeners, revocations, sessions, table } = this.#parts;
    const parked = front.parked.size;
    return {
      inFlight: table.inUse - parked,
      connections: listeners.reduce((sum, listener) => sum + listener.connections(), 0),
      sessions: sessions.size,
      rememberedVerdicts: front.dispatch.remembered,
      parked,
      revoked: revocations.size,
    };
  }

  cacheEvents(): RouteCacheEvents[] {
    const scrubber = new Scrubber(this.#parts.config.current.secrets);
    return this.#parts.pool.cacheEvents.rows().map(({ route, counts }) => ({ route: scrubber.scrub(route), counts }));
  }

  upstreams(): UpstreamStatus[] {
    return this.#parts.upstreams.servers
      .filter((server) => !isTombstone(server))
      .map((server) => upstreamStatus(server, this.#parts.upstreams.credentials));
  }

  workers(): WorkerStatus[] {
    const { pool } = this.#parts;
    return Array.from({ length: pool.size }, (_, index) => {
      const { ready, incarnation, requests, verdicts } = pool.slot(index);
      return { ready, incarnation, queuedBytes: requests.used() + verdicts.used() };
    });
  }

  catalog(): CatalogStatus {
    const { servers } = this.#parts.upstreams;
    const { offered, table: names, version, ...seen } = this.#parts.catalog.current;
    const { problemCounts, renamedCount } = seen;
    // Names and patterns of the configuration may come from variables, and servers may say what they were given.
    const scrubber = new Scrubber(this.#parts.config.current.secrets);
    const problems = seen.problems.map((problem) => ({ ...problem, detail: scrubber.scrub(problem.detail) }));
    const renamed = seen.renamed.map((item) => ({ ...item, offered: scrubber.scrub(item.offered) }));
    const routeFaults = seen.routeFaults.map(({ detail, kind, route }) => ({
      route: scrubber.scrub(route),
      kind,
      detail: scrubber.scrub(detail),
    }));
    const patternFaults = seen.patternFaults.map(({ detail, path }) => ({ path, detail: scrubber.scrub(detail) }));
    const undiscovered = names.undiscovered.flatMap((index) => servers[index]?.name ?? []);
    // Without tombstones, in the order of `upstreams`.
    const shown = offered.filter((_, index) => servers[index] !== undefined && !isTombstone(servers[index]));
    const counts = { problemCounts, renamedCount };
    return { version, offered: shown, undiscovered, problems, renamed, ...counts, routeFaults, patternFaults };
  }

  limits(): LimitState {
    const { pool } = this.#parts;
    return { plan: planBuckets(pool.snapshot), layout: pool.buckets.layout };
  }

  buffers(): BufferCounts {
    return this.#parts.table.budget.counts;
  }

  overload(): OverloadStatus {
    return this.#parts.guard.status;
  }

  serverRequests(): ServerRequestCounts {
    return this.#parts.front.requests.counts;
  }

  streams(): StreamCounts {
    return this.#parts.streams.longLived.counts;
  }

  notReady(): string[] {
    return this.#parts.readiness.reasons();
  }

  logDropped(): Count {
    return this.#parts.log.dropped;
  }
}

/** @param at `performance.now()` of the next try, 0 = none is scheduled */
function retryIn(at: number): Pick<EndpointStatus, 'retryInMs'> {
  return at === 0 ? {} : { retryInMs: Math.max(0, Math.round(at - performance.now())) };
}

function upstreamStatus(server: UpstreamServer, credentials: UpstreamCredentials): UpstreamStatus {
  return {
    name: server.name,
    healthy: server.health.isHealthy,
    isolation: server.config.isolation,
    clientUse: server.clientUse,
    endpoints: server.endpoints.map((endpoint, index): EndpointStatus => {
      const { inFlight, dedicated: lanes, stats, overLimit } = server.totals(index);
      const configured = server.config.endpoints[index];
      const status = configured === undefined ? null : credentials.status(server.config, configured);
      return {
        transport: endpoint.transport,
        state: endpoint.state,
        reason: endpoint.shownReason,
        ...retryIn(endpoint.retryAt),
        revision: REVISIONS[endpoint.revision] ?? '',
        inFlight,
        dedicated: lanes,
        ...(status === null ? {} : { credentials: status }),
        overLimit,
        breaker: endpoint.breaker.state,
        restarts: stats.restarts,
        events: { ...stats },
      };
    }),
  };
}
