/**
 * The document of `/metrics` in the Prometheus text format. Labels take values from closed sets only: the
 * configuration (upstreams), the tables of this program (error codes), and as many tool names as `limits.maxToolMetrics`
 * allows; never anything that a client sends.
 */
import { type Metric, Registry } from 'prom-client';
import { LISTS } from '../catalog/types.js';
import { COUNTER_NAMES, Counter, type CounterName, Counters, Series } from '../shared/counters.js';
import type { HistogramView } from '../shared/histogram.js';
import { namedSeries, type ObservedState } from './state.js';

/** Media type of the text format. */
export const METRICS_TYPE = Registry.PROMETHEUS_CONTENT_TYPE;

type Labels = Readonly<Record<string, string>>;
interface Sample {
  readonly labels: Labels;
  readonly value: number;
  /** Where it differs from the metric's: `_bucket`, `_sum`, `_count`. */
  readonly metricName?: string;
}

/** Upper bounds in seconds: a gateway's own work is microseconds, upstreams take up to minutes. */
const BUCKETS = [
  0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60,
];
/** Upstreams and tools, of which there may be many. */
const COARSE_BUCKETS = [0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10, 60];

/** Counters that are one metric together, told apart by a label. */
const FAMILIES: readonly {
  readonly name: string;
  readonly help: string;
  readonly label: string;
  readonly members: Readonly<Partial<Record<CounterName, string>>>;
}[] = [
  {
    name: 'config_reloads_total',
    help: 'Reloads of the configuration by outcome; a failed one changes nothing.',
    label: 'outcome',
    members: { configReloads: 'ok', configReloadFailures: 'failed' },
  },
  {
    name: 'verdicts_total',
    help: 'Decisions about requests, by who made them.',
    label: 'source',
    members: { memoHits: 'memo', decisions: 'worker' },
  },
  {
    name: 'cache_requests_total',
    help: 'Cacheable calls by what the response cache had.',
    label: 'result',
    members: { cacheHits: 'hit', cacheMisses: 'miss', cacheStale: 'stale', cacheCoalesced: 'coalesced' },
  },
  {
    name: 'rate_limited_total',
    help: 'Requests refused by a rate limit, by the limit.',
    label: 'limit',
    members: { limitedGlobal: 'global', limitedClient: 'client', limitedTool: 'tool', limitedRoute: 'route' },
  },
  {
    name: 'tokens_total',
    help: 'Bearer tokens by outcome.',
    label: 'outcome',
    members: { tokensVerified: 'verified', tokensRemembered: 'remembered', tokensRejected: 'rejected' },
  },
  {
    name: 'bytes_total',
    help: 'Bytes of bodies by direction.',
    label: 'direction',
    members: { bytesIn: 'in', bytesOut: 'out' },
  },
];

const UPSTREAM_STATES = ['connecting', 'ready', 'backoff', 'failed', 'stopped'] as const;

/** Renders the document; runs in the control pool. */
export async function renderMetrics(state: ObservedState): Promise<string> {
  const metrics = new Metrics();
  const counters = new Counters(state.counters, 0);
  gaugesOf(metrics, state);
  countersOf(metrics, counters);
  upstreamsOf(metrics, state);

  const { request, upstream, decide, loopDelay } = Series;
  metrics.histogram('request_duration_seconds', 'Whole time of a request in the gateway.', BUCKETS, [
    [{}, counters.read(request)],
  ]);
  metrics.histogram('upstream_duration_seconds', 'Time that upstreams took.', BUCKETS, [[{}, counters.read(upstream)]]);
  metrics.histogram('decide_duration_seconds', 'From dispatch to verdict.', BUCKETS, [[{}, counters.read(decide)]]);
  metrics.histogram('event_loop_delay_seconds', 'Delay of the event loop of the front.', BUCKETS, [
    [{}, counters.read(loopDelay)],
  ]);
  for (const [kind, lines] of [
    ['upstream', state.upstreamSeries],
    ['tool', state.toolSeries],
  ] as const) {
    const series = namedSeries(lines).map(({ name, id }) => ({ labels: { [kind]: name }, view: counters.read(id) }));
    if (kind === 'tool') series.push({ labels: { tool: 'other' }, view: counters.read(state.otherSeries) });
    const called = series.filter(({ view }) => view.count > 0);
    metrics.histogram(
      `${kind}_call_duration_seconds`,
      `Calls by ${kind}.`,
      COARSE_BUCKETS,
      called.map(({ labels, view }) => [labels, view]),
    );
    metrics.counter(
      `${kind}_call_errors_total`,
      `Calls by ${kind} that ended with an error.`,
      called.map(({ labels, view }) => ({ labels, value: view.errors })),
    );
  }
  return metrics.text();
}

function countersOf(metrics: Metrics, counters: Counters): void {
  const grouped = new Set<CounterName>();
  for (const { name, help, label, members } of FAMILIES) {
    const samples = Object.entries(members).map(([counter, value]) => {
      grouped.add(counter as CounterName);
      return { labels: { [label]: value }, value: counters.total(Counter[counter as CounterName]) };
    });
    metrics.counter(name, help, samples);
  }
  for (const name of COUNTER_NAMES) {
    if (grouped.has(name)) continue;
    const words = name.replaceAll(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
    metrics.counter(`${words.replaceAll(' ', '_')}_total`, `Counter of ${words}.`, [
      { labels: {}, value: counters.total(Counter[name]) },
    ]);
  }
  metrics.counter(
    'errors_total',
    'Answers with an error, by code.',
    [...counters.errorTotals()].map(([code, value]) => ({ labels: { code }, value })),
  );
}

function gaugesOf(metrics: Metrics, state: ObservedState): void {
  const { gauges, catalog, buffers } = state;
  metrics.gauge('build_info', 'Always 1; the labels tell what runs.', [
    {
      labels: {
        version: state.version,
        node: state.node,
        decoder: state.decoder.kind,
        front_end: state.frontEnd.kind,
      },
      value: 1,
    },
  ]);
  metrics.single('ready', 'Whether the gateway takes requests.', state.notReady.length === 0 ? 1 : 0);
  metrics.single('uptime_seconds', 'Time since the start.', state.uptimeMs / 1000);
  metrics.single('configuration_version', 'Version of the configuration in force.', state.snapshotVersion);
  metrics.single('requests_in_flight', 'Requests that are not answered yet.', gauges.inFlight);
  metrics.single('parked_calls', 'Calls that wait for the next request of their client.', gauges.parked);
  metrics.single('connections', 'Open client connections.', gauges.connections);
  metrics.single('sessions', 'Sessions with state in memory.', gauges.sessions);
  metrics.single('streams', 'Open event streams.', gauges.streams);
  metrics.single('buffered_bytes', 'Bytes held for calls and streams (limits.maxBufferedBytes).', buffers.bytes);
  metrics.single('buffered_bytes_peak', 'The most that was held at once.', buffers.peakBytes);
  metrics.counter('buffers_refused_total', 'Answers, bodies and clients that had to make room.', [
    { labels: {}, value: buffers.refused },
  ]);
  metrics.single('revocations', 'Tokens, subjects and sessions that are revoked.', gauges.revoked);
  metrics.single('memo_entries', 'Verdicts remembered.', gauges.memo);
  metrics.single('catalog_version', 'Version of the catalog in force.', catalog.version);
  metrics.single('catalog_undiscovered_servers', 'Servers whose lists are not known.', catalog.undiscovered.length);
  metrics.gauge(
    'catalog_entries',
    'Offered items by kind.',
    LISTS.map((kind, index) => ({
      labels: { kind },
      value: catalog.offered.reduce((sum, counts) => sum + counts[index]!, 0),
    })),
  );
  metrics.gauge(
    'catalog_problems',
    'Items of upstreams that were changed or left out, by kind.',
    Object.entries(catalog.problemCounts).map(([kind, value]) => ({ labels: { kind }, value })),
  );
  metrics.gauge(
    'worker_incarnation',
    'Number of the worker at each place of the pool; it grows with each replacement.',
    state.workers.map(({ incarnation }, index) => ({ labels: { worker: String(index) }, value: incarnation })),
  );
  metrics.counter('log_lines_dropped_total', 'Log lines that could not be written.', [
    { labels: {}, value: state.logDropped },
  ]);
  metrics.single('resident_memory_bytes', 'Memory of the process.', state.rssBytes);
  metrics.single('event_loop_utilization', 'Share of time the front was busy since the start.', state.loopUtilization);
  metrics.counter('cpu_seconds_total', 'Processor time of the process.', [
    { labels: { mode: 'user' }, value: state.cpuMs.user / 1000 },
    { labels: { mode: 'system' }, value: state.cpuMs.system / 1000 },
  ]);
}

function upstreamsOf(metrics: Metrics, state: ObservedState): void {
  const endpoints = state.upstreams.flatMap(({ name, endpoints: list }) =>
    list.map((endpoint, index) => ({ endpoint, labels: { upstream: name, endpoint: String(index) } })),
  );
  metrics.gauge(
    'upstream_state',
    'State of each endpoint: 1 for the one it is in.',
    endpoints.flatMap(({ endpoint, labels }) =>
      UPSTREAM_STATES.map((name) => ({ labels: { ...labels, state: name }, value: endpoint.state === name ? 1 : 0 })),
    ),
  );
  metrics.gauge(
    'upstream_in_flight',
    'Calls that an endpoint has not answered yet.',
    endpoints.map(({ endpoint, labels }) => ({ labels, value: endpoint.inFlight })),
  );
  metrics.gauge(
    'upstream_lanes',
    'Children or sessions that an endpoint has for clients of its own.',
    endpoints.map(({ endpoint, labels }) => ({ labels, value: endpoint.lanes ?? 0 })),
  );
  metrics.counter(
    'upstream_restarts_total',
    'Times that an endpoint was started again.',
    endpoints.map(({ endpoint, labels }) => ({ labels, value: endpoint.restarts })),
  );
  metrics.counter(
    'upstream_events_total',
    'What happened at each endpoint, by kind.',
    endpoints.flatMap(({ endpoint, labels }) =>
      Object.entries(endpoint.events ?? {}).map(([event, value]) => ({ labels: { ...labels, event }, value })),
    ),
  );
  metrics.gauge(
    'upstream_breaker_open',
    'Whether the breaker of an endpoint keeps calls away (1), lets one through (0.5) or all (0).',
    endpoints
      .filter(({ endpoint }) => endpoint.breaker !== 'none')
      .map(({ endpoint, labels }) => ({
        labels,
        value: endpoint.breaker === 'open' ? 1 : endpoint.breaker === 'half-open' ? 0.5 : 0,
      })),
  );
}

/** Metrics of one scrape. prom-client formats and escapes; the values come from shared memory as they are. */
class Metrics {
  readonly #registry = new Registry();

  single(name: string, help: string, value: number): void {
    this.gauge(name, help, [{ labels: {}, value }]);
  }

  gauge(name: string, help: string, samples: readonly Sample[]): void {
    this.#add(name, help, 'gauge', samples);
  }

  counter(name: string, help: string, samples: readonly Sample[]): void {
    this.#add(name, help, 'counter', samples);
  }

  histogram(
    name: string,
    help: string,
    bounds: readonly number[],
    series: readonly (readonly [labels: Labels, view: HistogramView])[],
  ): void {
    const full = `switchyard_${name}`;
    const samples: Sample[] = [];
    for (const [labels, view] of series) {
      for (const bound of bounds) {
        const value = view.atMost(bound * 1000);
        samples.push({ labels: { ...labels, le: String(bound) }, value, metricName: `${full}_bucket` });
      }
      samples.push({ labels: { ...labels, le: '+Inf' }, value: view.count, metricName: `${full}_bucket` });
      samples.push({ labels, value: view.sum / 1000, metricName: `${full}_sum` });
      samples.push({ labels, value: view.count, metricName: `${full}_count` });
    }
    this.#add(name, help, 'histogram', samples);
  }

  text(): Promise<string> {
    return this.#registry.metrics();
  }

  #add(name: string, help: string, type: 'gauge' | 'counter' | 'histogram', values: readonly Sample[]): void {
    const metric = { name: `switchyard_${name}`, help, type, aggregator: 'sum', values };
    // The registry asks a metric for its name and, at each scrape, for its values; nothing else.
    const source = { name: metric.name, get: () => Promise.resolve(metric) };
    this.#registry.registerMetric(source as unknown as Metric);
  }
}
