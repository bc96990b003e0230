/**
 * The state that the admin listener shows, as plain data of one moment: collected on the main thread in microseconds,
 * rendered in the control pool. Counters and histograms are not copied: their shared memory is passed along.
 */

import type { PatternFault } from '../catalog/pattern-faults.js';
import type { RouteFault } from '../catalog/route-faults.js';
import type { CatalogProblem, RenamedItem } from '../catalog/types.js';
import type { ServerSnapshot } from '../config/snapshot/index.js';
import type { OverloadStatus } from '../request/overload/guard.js';
import type { ServerRequestCounts } from '../server-requests/index.js';
import type { StreamCounts } from '../session/streams/long-lived.js';
import type { BufferCounts } from '../shared/buffer-budget.js';
import type { RouteCacheEvents } from '../shared/cache/events.js';
import type { CounterMemory, SeriesNames } from '../shared/counters.js';
import type { Bytes, Count, Milliseconds } from '../units.js';
import type { BreakerState } from '../upstream/balance/breaker.js';
import type { EndpointState, Transport } from '../upstream/core/types.js';
import type { CredentialStatus } from '../upstream/credentials/index.js';
import type { ClientUseReport } from '../upstream/isolation/client-needs.js';
import type { LimitState } from './limit-stats.js';

/** Gauges: numbers that go up and down. */
export interface Gauges {
  readonly inFlight: Count;
  readonly connections: Count;
  readonly sessions: Count;
  /** Verdicts remembered. */
  readonly rememberedVerdicts: Count;
  /** Parked calls; not part of `inFlight`. */
  readonly parked: Count;
  /** Tokens, subjects and sessions that are revoked. */
  readonly revoked: Count;
}

/** State and counts of one endpoint. */
export interface EndpointStatus {
  readonly transport: Transport;
  readonly state: EndpointState;
  /** Why it is not usable, one sentence without secrets, or ''. Beside `ready` it is about the last contact. */
  readonly reason: string;
  /** Time until the next try to connect; absent = none is scheduled. */
  readonly retryInMs?: Milliseconds;
  /** Negotiated protocol revision, '' before. */
  readonly revision: string;
  /** Includes its dedicated children and sessions, as all counts here. */
  readonly inFlight: Count;
  /** Whether it sends more than `limits.maxNotificationsPerSecond`, so that messages are dropped. */
  readonly overLimit?: boolean;
  /** Dedicated children or upstream sessions (`isolation`), besides the shared one. */
  readonly dedicated?: Count;
  /** Of credentials that change; absent = they are fixed, or there are none. */
  readonly credentials?: CredentialStatus;
  /** `none` where there is no breaker. */
  readonly breaker: 'none' | BreakerState;
  /** Times the child or connection was started again. */
  readonly restarts: Count;
  /** Further counts of the transport by name (a closed set of this program): junk lines, timeouts, lost sessions ... */
  readonly events?: Readonly<Record<string, Count>>;
}

/** One server with its endpoints. */
export interface UpstreamStatus {
  readonly name: string;
  /** Calls can be sent to one of its endpoints. */
  readonly healthy: boolean;
  readonly isolation: ServerSnapshot['isolation'];
  readonly clientUse: ClientUseReport;
  readonly endpoints: readonly EndpointStatus[];
}

/** One policy worker. */
export interface WorkerStatus {
  readonly ready: boolean;
  /** Grows by one with each replacement; the first worker of a place is 1. */
  readonly incarnation: Count;
  /** Bytes queued in its rings. */
  readonly queuedBytes: Bytes;
}

/** The catalog in force. */
export interface CatalogStatus {
  readonly version: number;
  /** Offered tools, prompts, resources and templates by server. */
  readonly offered: readonly (readonly [Count, Count, Count, Count])[];
  /** Names of servers whose lists are not known yet. */
  readonly undiscovered: readonly string[];
  readonly problems: readonly CatalogProblem[];
  readonly problemCounts: Readonly<Record<string, Count>>;
  /** The first 200; `renamedCount` counts all of them. */
  readonly renamed: readonly RenamedItem[];
  readonly renamedCount: Count;
  readonly routeFaults: readonly RouteFault[];
  readonly patternFaults: readonly PatternFault[];
}

/** The implementation that runs, where there are several. */
export interface Choice {
  readonly kind: string;
  /** Why the better one does not run; '' when it does. */
  readonly reason: string;
}

/** Read access to the parts of a gateway, made by the composition root. */
export interface StatsSources {
  readonly name: string;
  readonly version: string;
  /** `Date.now()` of the start. */
  readonly startedAt: number;
  readonly decoder: Choice;
  readonly frontEnd: Choice;
  readonly counters: CounterMemory;
  readonly seriesNames: Pick<SeriesNames, 'entries' | 'other'>;
  snapshotVersion(): number;
  gauges(): Gauges;
  /** Events of the response cache by route. */
  cacheEvents(): readonly RouteCacheEvents[];
  upstreams(): readonly UpstreamStatus[];
  workers(): readonly WorkerStatus[];
  catalog(): CatalogStatus;
  /** Rate limits and their buckets. */
  limits(): LimitState;
  /** Bytes held for calls and streams. */
  buffers(): BufferCounts;
  /** The overload guard. */
  overload(): OverloadStatus;
  /** Requests of upstreams to clients. */
  serverRequests(): ServerRequestCounts;
  /** Event streams that belong to no request. */
  streams(): StreamCounts;
  /** Reasons why the gateway is not ready, a sentence each; none = ready. */
  notReady(): readonly string[];
  /** Log lines lost. */
  logDropped(): Count;
}

/** The state at one moment; survives `structuredClone`. */
export interface ObservedState {
  readonly name: string;
  readonly version: string;
  readonly node: string;
  readonly uptimeMs: Milliseconds;
  readonly decoder: Choice;
  readonly frontEnd: Choice;
  readonly counters: CounterMemory;
  /** Names of the series as lines `id name`, one text for each kind: a thousand small objects would be slower to clone. */
  readonly upstreamSeries: string;
  readonly toolSeries: string;
  readonly variantSeries: string;
  readonly otherSeries: number;
  readonly snapshotVersion: number;
  readonly gauges: Gauges;
  readonly cacheEvents: readonly RouteCacheEvents[];
  readonly upstreams: readonly UpstreamStatus[];
  readonly workers: readonly WorkerStatus[];
  readonly catalog: CatalogStatus;
  readonly limits: LimitState;
  readonly buffers: BufferCounts;
  readonly overload: OverloadStatus;
  readonly serverRequests: ServerRequestCounts;
  readonly streams: StreamCounts;
  readonly notReady: readonly string[];
  readonly logDropped: Count;
  readonly rssBytes: Bytes;
  readonly cpuMs: { readonly user: Milliseconds; readonly system: Milliseconds };
  /** Share of time the front's event loop was busy since the start, 0 to 1. */
  readonly loopUtilization: number;
}

/** Reads all sources; main thread. */
export function observe(sources: StatsSources): ObservedState {
  const series = { upstream: '', tool: '', variant: '' };
  for (const { kind, name, id } of sources.seriesNames.entries()) {
    series[kind] += `${id} ${name.replaceAll(/[\r\n]/g, ' ')}\n`;
  }
  const cpu = process.cpuUsage();
  return {
    name: sources.name,
    version: sources.version,
    node: process.version,
    uptimeMs: Date.now() - sources.startedAt,
    decoder: sources.decoder,
    frontEnd: sources.frontEnd,
    counters: sources.counters,
    upstreamSeries: series.upstream,
    toolSeries: series.tool,
    variantSeries: series.variant,
    otherSeries: sources.seriesNames.other,
    snapshotVersion: sources.snapshotVersion(),
    gauges: sources.gauges(),
    cacheEvents: sources.cacheEvents(),
    upstreams: sources.upstreams(),
    workers: sources.workers(),
    catalog: sources.catalog(),
    limits: sources.limits(),
    buffers: sources.buffers(),
    overload: sources.overload(),
    serverRequests: sources.serverRequests(),
    streams: sources.streams(),
    notReady: sources.notReady(),
    logDropped: sources.logDropped(),
    rssBytes: process.memoryUsage.rss(),
    cpuMs: { user: cpu.user / 1000, system: cpu.system / 1000 },
    loopUtilization: performance.eventLoopUtilization().utilization,
  };
}

/** A series with its name. */
export interface NamedSeries {
  readonly id: number;
  readonly name: string;
}

/** Reads the lines of `upstreamSeries`, `toolSeries` or `variantSeries`. */
export function namedSeries(lines: string): NamedSeries[] {
  return lines
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const space = line.indexOf(' ');
      return { id: Number(line.slice(0, space)), name: line.slice(space + 1) };
    });
}

/** The route and the group of a series of `variantSeries`. */
export function variantLabels(name: string): { readonly route: string; readonly group: string } {
  const space = name.lastIndexOf(' ');
  return { route: name.slice(0, space), group: name.slice(space + 1) };
}
