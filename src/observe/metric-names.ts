/** The metrics that show counters, and the former names of metrics. A new counter gets a row here. */
import type { CounterName } from '../shared/counters.js';

/** Counters that are one metric together, told apart by a label. */
interface CounterFamily {
  /** Without the prefix `switchyard_`, as all names here. */
  readonly name: string;
  readonly help: string;
  readonly label: string;
  /** The label's value for each counter. */
  readonly members: Readonly<Partial<Record<CounterName, string>>>;
}

/** Media type of the text format of Prometheus, version 0.0.4. Written here, since prom-client is loaded where metrics are rendered alone. */
export const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

/** Metrics with one sample for each of their counters. */
export const COUNTER_FAMILIES = [
  {
    name: 'config_reloads_total',
    help: 'Reloads of the configuration by outcome; a failed one changes nothing.',
    label: 'outcome',
    members: { configReloads: 'ok', configReloadFailures: 'failed' },
  },
  {
    name: 'decisions_total',
    help: 'Decisions about requests: remembered verdicts, and those of workers.',
    label: 'source',
    members: { memoHits: 'remembered', decisions: 'worker' },
  },
  {
    name: 'cache_requests_total',
    help: 'Cacheable calls by the result of the look-up in the response cache.',
    label: 'result',
    members: { cacheHits: 'hit', cacheMisses: 'miss', cacheStale: 'stale', cacheCoalesced: 'coalesced' },
  },
  {
    name: 'rate_limited_total',
    help: 'Requests refused by a rate limit, by the limit.',
    label: 'limit',
    members: {
      limitedGlobal: 'global',
      limitedClient: 'client',
      limitedTool: 'tool',
      limitedClientTool: 'client_tool',
      limitedRoute: 'route',
      limitedClientRoute: 'client_route',
      limitedRule: 'rule',
      limitedOther: 'other',
    },
  },
  {
    name: 'concurrency_limited_total',
    help: 'Calls refused because too many were under way at once, by the limit.',
    label: 'limit',
    members: {
      concurrencyGlobal: 'global',
      concurrencyClient: 'client',
      concurrencyRoute: 'route',
      concurrencyServer: 'server',
    },
  },
  {
    name: 'shed_total',
    help: 'Requests refused by the overload guard, by the kind of work in overload.order.',
    label: 'work',
    members: {
      shedLow: 'low',
      shedLists: 'lists',
      shedReads: 'reads',
      shedSessions: 'sessions',
      shedCalls: 'calls',
      shedHigh: 'high',
    },
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
] as const satisfies readonly CounterFamily[];

type KeysOf<T> = T extends unknown ? keyof T : never;
/** A counter that is a metric by itself. */
export type SingleCounter = Exclude<CounterName, KeysOf<(typeof COUNTER_FAMILIES)[number]['members']>>;

/** Counters that are a metric each. */
export const SINGLE_COUNTERS: Readonly<Record<SingleCounter, { readonly name: string; readonly help: string }>> = {
  notifications: { name: 'notifications_total', help: 'Notifications of clients.' },
  cancelled: { name: 'cancelled_total', help: 'Requests that were cancelled, or whose client left.' },
  memoMisses: { name: 'remembered_verdict_misses_total', help: 'Requests for which no verdict was remembered.' },
  ringFull: {
    name: 'ring_full_total',
    help: 'Requests that found the ring of their worker full, and waited or were refused.',
  },
  redispatched: { name: 'redispatched_total', help: 'Requests given to another worker because theirs ended.' },
  decideTimeouts: { name: 'decide_timeouts_total', help: 'Requests without a verdict within limits.decideMs.' },
  staleVerdicts: { name: 'stale_verdicts_total', help: 'Verdicts that came after their request had ended.' },
  workerDeaths: { name: 'worker_crashes_total', help: 'Policy workers that ended unexpectedly and were replaced.' },
  workerHangs: {
    name: 'worker_hangs_total',
    help: 'Policy workers replaced after limits.workerHangMs without progress.',
  },
  cacheStored: { name: 'cache_stored_total', help: 'Answers stored in the response cache.' },
  cachePurged: {
    name: 'cache_purged_total',
    help: 'Answers dropped from the response cache by purges: of operators, of changed resources and lists.',
  },
  cacheEvicted: { name: 'cache_evicted_total', help: 'Answers evicted from the response cache.' },
  jwksRefreshes: { name: 'jwks_refreshes_total', help: 'Fetches of the JWK Set.' },
  jwksFailures: { name: 'jwks_failures_total', help: 'Fetches of the JWK Set that failed.' },
  introspections: { name: 'introspections_total', help: 'Questions to introspection endpoints about tokens.' },
  introspectionFailures: { name: 'introspection_failures_total', help: 'Such questions that got no valid answer.' },
  upstreamCalls: { name: 'upstream_calls_total', help: 'Calls sent to upstreams.' },
  upstreamRetries: { name: 'upstream_retries_total', help: 'Calls that were sent to an endpoint again.' },
  upstreamFailures: { name: 'upstream_failures_total', help: 'Calls that failed at an upstream.' },
  webSocketsTooFast: {
    name: 'websockets_rate_limited_total',
    help: 'WebSockets of clients closed because of limits.smallFrameRate.',
  },
};

/** A former name under which a metric is still exported. */
export interface MetricAlias {
  readonly name: string;
  /** The name that replaced it. */
  readonly of: string;
  /** Former values of labels, by their present ones. */
  readonly labelValues?: Readonly<Record<string, string>>;
}

/** Metrics that were renamed. */
export const METRIC_ALIASES: readonly MetricAlias[] = [
  { name: 'verdicts_total', of: 'decisions_total', labelValues: { remembered: 'memo' } },
  { name: 'memo_misses_total', of: 'remembered_verdict_misses_total' },
  { name: 'memo_entries', of: 'remembered_verdicts' },
  { name: 'worker_deaths_total', of: 'worker_crashes_total' },
  { name: 'web_sockets_too_fast_total', of: 'websockets_rate_limited_total' },
  { name: 'upstream_lanes', of: 'upstream_dedicated' },
];
