/** The document of `/stats`: counts and state of the gateway, for people and scripts. */
import type { PatternFault } from '../catalog/pattern-faults.js';
import { CACHE_EVENTS } from '../shared/cache/events.js';
import { Counter, Counters, type Outcome, REFUSED_BY, Series, type SeriesView } from '../shared/counters.js';
import { LIMIT_SCOPES } from '../shared/limit-scopes.js';
import type { Count } from '../units.js';
import { limitStats } from './limit-stats.js';
import { namedSeries, type ObservedState, variantLabels } from './state.js';

/** Durations in microseconds. */
export interface LatencyStats {
  readonly min: number;
  readonly avg: number;
  readonly max: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly p999: number;
}

/** Calls of one series. */
export interface CallStats {
  readonly calls: Count;
  readonly errors: Count;
  /** Of those answered; 0 to 1; 1 when there were no calls. */
  readonly successRate: number;
  readonly latencyUs: LatencyStats;
}

/** Runs in the control pool. */
export function buildStats(state: ObservedState) {
  const counters = new Counters(state.counters, 0);
  const total = (counter: number): Count => counters.total(counter);
  const calls = (series: number): CallStats => callStats(counters.read(series));
  const upstreamSeries = new Map(namedSeries(state.upstreamSeries).map(({ name, id }) => [name, id]));
  const request = calls(Series.request);
  return {
    name: state.name,
    version: state.version,
    node: state.node,
    uptimeSeconds: Math.floor(state.uptimeMs / 1000),
    ready: state.notReady.length === 0,
    notReady: state.notReady,
    configuration: state.snapshotVersion,
    decoder: state.decoder,
    frontEnd: state.frontEnd,
    requests: {
      total: request.calls + total(Counter.cancelled),
      failed: request.errors,
      successRate: request.successRate,
      byMethod: byMethod(counters),
      inFlight: state.gauges.inFlight,
      latencyUs: request.latencyUs,
      errors: Object.fromEntries(counters.errorTotals()),
      bytesIn: total(Counter.bytesIn),
      bytesOut: total(Counter.bytesOut),
      notifications: total(Counter.notifications),
      cancelled: total(Counter.cancelled),
    },
    decisions: {
      remembered: total(Counter.memoHits),
      byWorkers: total(Counter.decisions),
      rememberedVerdicts: state.gauges.rememberedVerdicts,
      dispatchedAgain: total(Counter.redispatched),
      timeouts: total(Counter.decideTimeouts),
      latencyUs: calls(Series.decide).latencyUs,
    },
    upstreams: state.upstreams.map((upstream, index) => {
      const [tools, prompts, resources, templates] = state.catalog.offered[index] ?? [0, 0, 0, 0];
      const id = upstreamSeries.get(upstream.name);
      return {
        name: upstream.name,
        healthy: upstream.healthy,
        endpoints: upstream.endpoints,
        isolation: upstream.isolation,
        /** What it makes of client capabilities, as far as it is known. */
        clientUse: upstream.clientUse,
        offers: { tools, prompts, resources, templates },
        ...(id === undefined ? NO_CALLS : calls(id)),
      };
    }),
    tools: namedSeries(state.toolSeries)
      .map(({ name, id }) => ({ name, ...calls(id), errorResults: counters.read(id).errorResults }))
      .filter((tool) => tool.calls > 0)
      .sort((a, b) => b.calls - a.calls),
    variants: namedSeries(state.variantSeries).map(({ name, id }) => ({
      ...variantLabels(name),
      ...calls(id),
      errorResults: counters.read(id).errorResults,
    })),
    otherTools: { ...calls(state.otherSeries), errorResults: counters.read(state.otherSeries).errorResults },
    cache: {
      hits: total(Counter.cacheHits),
      misses: total(Counter.cacheMisses),
      stale: total(Counter.cacheStale),
      coalesced: total(Counter.cacheCoalesced),
      stored: total(Counter.cacheStored),
      evicted: total(Counter.cacheEvicted),
      purged: total(Counter.cachePurged),
      hitRate: cacheHitRate(counters),
      /** Patterns that match nothing. */
      faults: faultsOf(state, 'cache'),
      routes: state.cacheEvents.map(({ route, counts }) => ({
        route,
        ...Object.fromEntries(CACHE_EVENTS.map((event, position) => [event, counts[position] ?? 0])),
      })),
    },
    limiter: {
      refused: Object.fromEntries(LIMIT_SCOPES.map((scope) => [scope, total(Counter[REFUSED_BY[scope]])])),
      ...limitStats(state.limits),
      faults: faultsOf(state, 'rateLimits'),
      /** Calls refused because too many were under way. */
      concurrency: {
        global: total(Counter.concurrencyGlobal),
        client: total(Counter.concurrencyClient),
        route: total(Counter.concurrencyRoute),
        server: total(Counter.concurrencyServer),
      },
    },
    tokens: {
      verified: total(Counter.tokensVerified),
      remembered: total(Counter.tokensRemembered),
      rejected: total(Counter.tokensRejected),
    },
    sending: {
      calls: total(Counter.upstreamCalls),
      retries: total(Counter.upstreamRetries),
      failures: total(Counter.upstreamFailures),
      unknownAnswers: eventTotal(state, 'unknownIds'),
      droppedNotifications: eventTotal(state, 'droppedNotifications'),
      junkLines: eventTotal(state, 'junkLines'),
      latencyUs: calls(Series.upstream).latencyUs,
    },
    catalog: {
      version: state.catalog.version,
      ...offeredTotals(state),
      undiscovered: state.catalog.undiscovered,
      problems: state.catalog.problems,
      problemCounts: state.catalog.problemCounts,
      renamed: state.catalog.renamed,
      renamedCount: state.catalog.renamedCount,
    },
    routes: { faults: state.catalog.routeFaults },
    buffers: state.buffers,
    overload: {
      ...state.overload,
      refused: {
        low: total(Counter.shedLow),
        lists: total(Counter.shedLists),
        reads: total(Counter.shedReads),
        sessions: total(Counter.shedSessions),
        calls: total(Counter.shedCalls),
        high: total(Counter.shedHigh),
      },
    },
    serverRequests: state.serverRequests,
    parkedCalls: state.gauges.parked,
    workers: state.workers,
    workerCrashes: total(Counter.workerDeaths),
    connections: state.gauges.connections,
    webSocketsRateLimited: total(Counter.webSocketsTooFast),
    sessions: state.gauges.sessions,
    streams: state.streams.open,
    eventStreams: eventStreams(state),
    revoked: state.gauges.revoked,
    process: {
      rssBytes: state.rssBytes,
      cpuUserMs: Math.round(state.cpuMs.user),
      cpuSystemMs: Math.round(state.cpuMs.system),
      loopUtilization: round(state.loopUtilization, 1000),
      loopDelayUs: calls(Series.loopDelay).latencyUs,
    },
    logLinesDropped: state.logDropped,
  };
}

/** Of the calls that were looked up, the share that was answered without a call of their own; 0 = there were none. */
/** The patterns below a key of the configuration that match nothing that is offered. */
function faultsOf({ catalog }: ObservedState, key: string): readonly PatternFault[] {
  return catalog.patternFaults.filter(({ path }) => path.startsWith(`${key}.`));
}

function cacheHitRate(counters: Counters): number {
  const { cacheCoalesced, cacheHits, cacheMisses, cacheStale } = Counter;
  const answered = counters.total(cacheHits) + counters.total(cacheStale) + counters.total(cacheCoalesced);
  const all = answered + counters.total(cacheMisses);
  return all === 0 ? 0 : round(answered / all, 1e6);
}

/** Event streams that belong to no request, and by which side they were closed. */
function eventStreams({ streams }: ObservedState) {
  const { open, opened, closedByClient, closedByGateway, bytes, events } = streams;
  return { open, opened, closed: { client: closedByClient, gateway: closedByGateway }, bytes, events };
}

/** Requests by method, each with its outcomes. */
function byMethod(counters: Counters): Readonly<Record<string, Readonly<Partial<Record<Outcome, Count>>>>> {
  const methods: Record<string, Partial<Record<Outcome, Count>>> = {};
  for (const { method, outcome, value } of counters.requestTotals()) {
    methods[method] = { ...methods[method], [outcome]: value };
  }
  return methods;
}

/** The sum of an event over all endpoints. */
function eventTotal(state: ObservedState, event: string): number {
  let sum = 0;
  for (const { endpoints } of state.upstreams) {
    for (const { events } of endpoints) sum += events?.[event] ?? 0;
  }
  return sum;
}

/** The document of `/stats`. */
export type Stats = ReturnType<typeof buildStats>;

/** Rendered for the wire; runs in the control pool. */
export function renderStats(state: ObservedState): string {
  return `${JSON.stringify(buildStats(state), null, 2)}\n`;
}

function callStats(view: SeriesView): CallStats {
  const { count, errors } = view;
  return {
    calls: count,
    errors,
    successRate: count === 0 ? 1 : round((count - errors) / count, 1e6),
    latencyUs: {
      min: micros(view.min),
      avg: count === 0 ? 0 : micros(view.sum / count),
      max: micros(view.max),
      p50: micros(view.percentile(0.5)),
      p90: micros(view.percentile(0.9)),
      p99: micros(view.percentile(0.99)),
      p999: micros(view.percentile(0.999)),
    },
  };
}

const NO_CALLS: CallStats = {
  calls: 0,
  errors: 0,
  successRate: 1,
  latencyUs: { min: 0, avg: 0, max: 0, p50: 0, p90: 0, p99: 0, p999: 0 },
};

function offeredTotals(state: ObservedState) {
  const totals = { tools: 0, prompts: 0, resources: 0, templates: 0 };
  for (const [tools, prompts, resources, templates] of state.catalog.offered) {
    totals.tools += tools;
    totals.prompts += prompts;
    totals.resources += resources;
    totals.templates += templates;
  }
  return totals;
}

function micros(milliseconds: number): number {
  return Math.round(milliseconds * 1000);
}

function round(value: number, parts: number): number {
  return Math.round(value * parts) / parts;
}
