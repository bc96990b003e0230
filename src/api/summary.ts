import type { Stats } from '../observe/stats.js';
import type { Count, Milliseconds } from '../units.js';

/** What a gateway has done since its start, in the figures that people ask for first. */
export interface StatsSummary {
  /** Everything that clients sent: calls, handshakes, lists, notifications, also what they cancelled. */
  readonly totalRequests: Count;
  readonly successfulRequests: Count;
  /** Answered with an error. Cancelled requests are neither successful nor failed. */
  readonly failedRequests: Count;
  /** Calls that were sent to an endpoint again. */
  readonly retriedRequests: Count;
  /** Calls that were answered from the response cache, or by the answer that an equal call got at the same time. */
  readonly cachedResponses: Count;
  /** Successful requests among those that were answered, 0 to 1; 1 when there were none. */
  readonly successRate: number;
  /** Durations of requests, upstream included, to the microsecond; 0 when there were none. */
  readonly minLatencyMs: Milliseconds;
  readonly maxLatencyMs: Milliseconds;
  readonly avgLatencyMs: Milliseconds;
  /** Calls that were sent to a server, by its name; every server has its number. */
  readonly upstreamRequests: Readonly<Record<string, Count>>;
  /** Calls that were sent to a server, by the name of the tool that clients see; at most `limits.maxToolMetrics` tools. */
  readonly toolRequests: Readonly<Record<string, Count>>;
}

/** The summary of the document of `/stats`. */
export function summaryOf({ requests, sending, cache, upstreams, tools }: Stats): StatsSummary {
  const { total, failed, cancelled, successRate, latencyUs } = requests;
  return {
    totalRequests: total,
    successfulRequests: total - failed - cancelled,
    failedRequests: failed,
    retriedRequests: sending.retries,
    cachedResponses: cache.hits + cache.stale + cache.coalesced,
    successRate,
    minLatencyMs: latencyUs.min / 1000,
    maxLatencyMs: latencyUs.max / 1000,
    avgLatencyMs: latencyUs.avg / 1000,
    upstreamRequests: callsByName(upstreams),
    toolRequests: callsByName(tools),
  };
}

function callsByName(series: readonly { readonly name: string; readonly calls: Count }[]): Record<string, Count> {
  return Object.fromEntries(series.map(({ name, calls }) => [name, calls]));
}
