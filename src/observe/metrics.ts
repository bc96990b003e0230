/**
 * The document of `/metrics` in the Prometheus text format. Labels have values of closed sets only: the configuration
 * (upstreams), the tables of this program (error codes), and at most `limits.maxToolMetrics` tool names; never a text that
 * a client sent.
 */
import { LISTS } from '../catalog/items/list-names.js';
import type { StreamCounts } from '../session/streams/long-lived.js';
import { CACHE_EVENTS } from '../shared/cache/events.js';
import { Counter, type CounterName, Counters, Series, type SeriesKind, type SeriesView } from '../shared/counters.js';
import type { EndpointState } from '../upstream/core/types.js';
import { clientBuckets } from './limit-stats.js';
import { COUNTER_FAMILIES, SINGLE_COUNTERS } from './metric-names.js';
import { MetricRegistry } from './metric-registry.js';
import { namedSeries, type ObservedState, variantLabels } from './state.js';

/** Upper bounds in seconds: from the microseconds of the gateway to the minutes of upstreams. */
const BUCKETS = [
  0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60,
];
/** Upstreams and tools, of which there may be many. */
const COARSE_BUCKETS = [0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10, 60];

const UPSTREAM_STATES: readonly EndpointState[] = ['connecting', 'ready', 'backoff', 'failed', 'stopped'];

/** The labels of one endpoint. */
const ENDPOINT = ['upstream', 'endpoint'] as const;

/** Renders the document; runs in the control pool. */
export async function renderMetrics(state: ObservedState): Promise<string> {
  const metrics = new MetricRegistry();
  const counters = new Counters(state.counters, 0);
  gaugesOf(metrics, state);
  countersOf(metrics, counters);
  upstreamsOf(metrics, state);

  const { request, upstream, decide, loopDelay } = Series;
  metrics.histogram('request_duration_seconds', 'Whole time of a request in the gateway.', BUCKETS, [
    { labels: {}, view: counters.read(request) },
  ]);
  metrics.histogram('upstream_duration_seconds', 'Time that upstreams took.', BUCKETS, [
    { labels: {}, view: counters.read(upstream) },
  ]);
  metrics.histogram('decide_duration_seconds', 'From dispatch to verdict.', BUCKETS, [
    { labels: {}, view: counters.read(decide) },
  ]);
  metrics.histogram('event_loop_delay_seconds', 'Delay of the event loop of the front.', BUCKETS, [
    { labels: {}, view: counters.read(loopDelay) },
  ]);
  metrics.counter<string>(
    'cache_events_total',
    'What happened in the response cache, by route; an empty route stands for calls without one.',
    ['route', 'event'],
    state.cacheEvents.flatMap(({ route, counts }) =>
      CACHE_EVENTS.map((event, position) => ({ labels: { route, event }, value: counts[position] ?? 0 })),
    ),
  );
  const read = (lines: string, labelsOf: (name: string) => CallSeries['labels']): CallSeries[] =>
    namedSeries(lines).map(({ name, id }) => ({ labels: labelsOf(name), view: counters.read(id) }));
  callsOf(
    metrics,
    'upstream',
    ['upstream'],
    read(state.upstreamSeries, (upstream) => ({ upstream })),
  );
  const other = { labels: { tool: 'other' }, view: counters.read(state.otherSeries) };
  callsOf(metrics, 'tool', ['tool'], [...read(state.toolSeries, (tool) => ({ tool })), other]);
  callsOf(metrics, 'variant', ['route', 'group'], read(state.variantSeries, variantLabels));
  return metrics.text();
}

/** The calls of one upstream, tool or variant. */
interface CallSeries {
  readonly labels: Readonly<Record<string, string>>;
  readonly view: SeriesView;
}

/** Durations and errors of calls by upstream, tool or variant; those without a call are left out. */
function callsOf(
  metrics: MetricRegistry,
  kind: SeriesKind,
  labelNames: readonly string[],
  series: readonly CallSeries[],
): void {
  const called = series.filter(({ view }) => view.count > 0);
  metrics.histogram(`${kind}_call_duration_seconds`, `Calls by ${kind}.`, COARSE_BUCKETS, called);
  metrics.counter<string>(
    `${kind}_call_errors_total`,
    `Calls by ${kind} that ended with an error.`,
    labelNames,
    called.map(({ labels, view }) => ({ labels, value: view.errors })),
  );
  if (kind === 'upstream') return;
  metrics.counter<string>(
    `${kind}_error_results_total`,
    `Results by ${kind} that say that the tool failed (isError).`,
    labelNames,
    called.map(({ labels, view }) => ({ labels, value: view.errorResults })),
  );
}

function countersOf(metrics: MetricRegistry, counters: Counters): void {
  for (const { name, help, label, members } of COUNTER_FAMILIES) {
    metrics.counter<string>(
      name,
      help,
      [label],
      Object.entries(members).map(([counter, value]) => ({
        labels: { [label]: value },
        value: counters.total(Counter[counter as CounterName]),
      })),
    );
  }
  for (const [counter, { name, help }] of Object.entries(SINGLE_COUNTERS)) {
    metrics.counter(name, help, [], [{ labels: {}, value: counters.total(Counter[counter as CounterName]) }]);
  }
  metrics.counter(
    'requests_total',
    'Requests and notifications of clients, by method and outcome: ok, failed, cancelled.',
    ['method', 'outcome'],
    counters.requestTotals().map(({ method, outcome, value }) => ({ labels: { method, outcome }, value })),
  );
  metrics.counter(
    'errors_total',
    'Answers with an error, by code.',
    ['code'],
    [...counters.errorTotals()].map(([code, value]) => ({ labels: { code }, value })),
  );
}

function gaugesOf(metrics: MetricRegistry, state: ObservedState): void {
  const { gauges, catalog, buffers, overload } = state;
  metrics.gauge(
    'build_info',
    'Always 1; the labels say what runs.',
    ['version', 'node', 'decoder', 'front_end'],
    [
      {
        labels: {
          version: state.version,
          node: state.node,
          decoder: state.decoder.kind,
          front_end: state.frontEnd.kind,
        },
        value: 1,
      },
    ],
  );
  metrics.single('ready', 'Whether the gateway takes requests.', state.notReady.length === 0 ? 1 : 0);
  metrics.single('overloaded', 'Whether the overload guard refuses new work.', overload.active ? 1 : 0);
  metrics.single(
    'overload_level',
    'Kinds of overload.order that are refused; the fraction is the share of the next one.',
    overload.level,
  );
  metrics.single('uptime_seconds', 'Time since the start.', state.uptimeMs / 1000);
  metrics.single('configuration_version', 'Version of the configuration in force.', state.snapshotVersion);
  metrics.single('requests_in_flight', 'Requests that are not answered yet.', gauges.inFlight);
  metrics.single('parked_calls', 'Calls that wait for the next request of their client.', gauges.parked);
  metrics.single('connections', 'Open client connections.', gauges.connections);
  metrics.single('sessions', 'Sessions with state in memory.', gauges.sessions);
  streamsOf(metrics, state.streams);
  metrics.single('buffered_bytes', 'Bytes held for calls and streams (limits.maxBufferedBytes).', buffers.bytes);
  metrics.single('buffered_bytes_peak', 'The most that was held at once.', buffers.peakBytes);
  metrics.counter(
    'buffers_refused_total',
    'Answers, bodies and clients that were ended because of limits.maxBufferedBytes.',
    [],
    [{ labels: {}, value: buffers.refused }],
  );
  metrics.single('revocations', 'Tokens, subjects and sessions that are revoked.', gauges.revoked);
  metrics.single('remembered_verdicts', 'Verdicts that are remembered.', gauges.rememberedVerdicts);
  const clients = clientBuckets(state.limits);
  metrics.single('rate_limit_buckets', 'Buckets of clients under rate limits.', clients.buckets);
  metrics.counter(
    'rate_limit_buckets_evicted_total',
    'Buckets given to another client before they were unused.',
    [],
    [{ labels: {}, value: clients.evictedEarly }],
  );
  metrics.counter(
    'rate_limit_buckets_shared_total',
    'Times that clients shared a bucket for lack of room.',
    [],
    [{ labels: {}, value: clients.sharing }],
  );
  metrics.single('catalog_version', 'Version of the catalog in force.', catalog.version);
  metrics.single('catalog_undiscovered_servers', 'Servers whose lists are not known.', catalog.undiscovered.length);
  metrics.gauge(
    'catalog_entries',
    'Offered items by kind.',
    ['kind'],
    LISTS.map((kind, index) => ({
      labels: { kind },
      value: catalog.offered.reduce((sum, counts) => sum + (counts[index] ?? 0), 0),
    })),
  );
  metrics.gauge(
    'catalog_problems',
    'Items of upstreams that were changed or left out, by kind.',
    ['kind'],
    Object.entries(catalog.problemCounts).map(([kind, value]) => ({ labels: { kind }, value })),
  );
  metrics.gauge(
    'worker_incarnation',
    'Number of the worker at each place of the pool; it grows with each replacement.',
    ['worker'],
    state.workers.map(({ incarnation }, index) => ({ labels: { worker: String(index) }, value: incarnation })),
  );
  metrics.counter(
    'log_lines_dropped_total',
    'Log lines that could not be written.',
    [],
    [{ labels: {}, value: state.logDropped }],
  );
  metrics.single('resident_memory_bytes', 'Memory of the process.', state.rssBytes);
  metrics.single('event_loop_utilization', 'Share of time the front was busy since the start.', state.loopUtilization);
  metrics.counter(
    'cpu_seconds_total',
    'Processor time of the process.',
    ['mode'],
    [
      { labels: { mode: 'user' }, value: state.cpuMs.user / 1000 },
      { labels: { mode: 'system' }, value: state.cpuMs.system / 1000 },
    ],
  );
}

/** Event streams that belong to no request. */
function streamsOf(metrics: MetricRegistry, streams: StreamCounts): void {
  const { open, opened, closedByClient, closedByGateway, bytes, events } = streams;
  const total = (name: string, help: string, value: number): void =>
    metrics.counter(name, help, [], [{ labels: {}, value }]);
  metrics.single('streams', 'Open event streams that belong to no request.', open);
  total('streams_opened_total', 'Event streams opened; they are no requests.', opened);
  metrics.counter(
    'streams_closed_total',
    'Event streams closed, by the side that closed them.',
    ['by'],
    [
      { labels: { by: 'client' }, value: closedByClient },
      { labels: { by: 'gateway' }, value: closedByGateway },
    ],
  );
  total('stream_bytes_total', 'Bytes sent on event streams.', bytes);
  total('stream_events_total', 'Messages sent on event streams.', events);
}

function upstreamsOf(metrics: MetricRegistry, state: ObservedState): void {
  const endpoints = state.upstreams.flatMap(({ name, endpoints: list }) =>
    list.map((endpoint, index) => ({ endpoint, labels: { upstream: name, endpoint: String(index) } })),
  );
  metrics.gauge(
    'upstream_state',
    'State of each endpoint: 1 for the one it is in.',
    [...ENDPOINT, 'state'],
    endpoints.flatMap(({ endpoint, labels }) =>
      UPSTREAM_STATES.map((name) => ({ labels: { ...labels, state: name }, value: endpoint.state === name ? 1 : 0 })),
    ),
  );
  metrics.gauge(
    'upstream_in_flight',
    'Calls that an endpoint has not answered yet.',
    ENDPOINT,
    endpoints.map(({ endpoint, labels }) => ({ labels, value: endpoint.inFlight })),
  );
  metrics.gauge(
    'upstream_dedicated',
    'Dedicated children or upstream sessions of an endpoint (isolation).',
    ENDPOINT,
    endpoints.map(({ endpoint, labels }) => ({ labels, value: endpoint.dedicated ?? 0 })),
  );
  metrics.counter(
    'upstream_restarts_total',
    'Restarts of an endpoint.',
    ENDPOINT,
    endpoints.map(({ endpoint, labels }) => ({ labels, value: endpoint.restarts })),
  );
  metrics.counter(
    'upstream_events_total',
    'Events of each endpoint, by kind.',
    [...ENDPOINT, 'event'],
    endpoints.flatMap(({ endpoint, labels }) =>
      Object.entries(endpoint.events ?? {}).map(([event, value]) => ({ labels: { ...labels, event }, value })),
    ),
  );
  metrics.gauge(
    'upstream_breaker_open',
    'Circuit breaker of an endpoint: open (1), half-open (0.5) or closed (0).',
    ENDPOINT,
    endpoints
      .filter(({ endpoint }) => endpoint.breaker !== 'none')
      .map(({ endpoint, labels }) => ({
        labels,
        value: endpoint.breaker === 'open' ? 1 : endpoint.breaker === 'half-open' ? 0.5 : 0,
      })),
  );
}
