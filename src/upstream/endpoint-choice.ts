import type { ErrorCode } from '../errors.js';
import type { IndexSet } from '../shared/index-set.js';
import type { Count, Milliseconds } from '../units.js';
import type { Balancer } from './balance/balancer.js';
import { WeightedRoundRobin } from './balance/weighted-round-robin.js';
import type { BaseEndpoint } from './core/endpoint.js';

/** Failed tries in a row after which an endpoint counts as failed at the start. */
const FINAL_TRIES: Count = 2;
/** Failed tries in a row after which calls do not wait for an endpoint that was connected before. */
const RECONNECTING_TRIES: Count = 2;
/** Longest time that a client is told to wait. */
const LONGEST_RETRY_MS: Milliseconds = 3_600_000;

/** How the endpoints of a server are that clients share. */
export interface ServerHealth {
  /** See `UpstreamHealth.healthy`. */
  readonly isHealthy: boolean;
  /** Whether no more is to be expected of the start: every endpoint has failed repeatedly. One try may lead to another way. */
  readonly hasFailed: boolean;
  /** Why calls cannot be sent, of the first endpoint with a reason; '' = they can, or the first try goes on. */
  readonly fault: string;
}

/** Chooses among the endpoints of a server that clients share. */
export class EndpointChoice implements ServerHealth {
  readonly #endpoints: readonly BaseEndpoint[];
  readonly #balancer: Balancer;
  /** Used within one choice. */
  readonly #usable: Int32Array;

  /** @param endpoints may be replaced by others in their places */
  constructor(endpoints: readonly BaseEndpoint[]) {
    this.#endpoints = endpoints;
    this.#balancer = new WeightedRoundRobin(endpoints);
    this.#usable = new Int32Array(endpoints.length);
  }

  /** A ready endpoint that was not tried and whose breaker allows a call, or null. */
  choose(tried: IndexSet): BaseEndpoint | null {
    const endpoints = this.#endpoints;
    const usable = this.#usable;
    let count = 0;
    let chosen: BaseEndpoint | undefined;
    let now = -1;
    for (let index = 0; index < endpoints.length; index += 1) {
      const endpoint = endpoints[index];
      if (endpoint === undefined || endpoint.state !== 'ready' || tried.has(index)) continue;
      if (endpoint.breaker.tripped) {
        if (now < 0) now = performance.now();
        if (!endpoint.breaker.allows(now)) continue;
      }
      usable[count] = index;
      count += 1;
      chosen = endpoint;
    }
    if (count > 1) chosen = endpoints[this.#balancer.choose(usable, count)];
    if (chosen === undefined) return null;
    if (chosen.breaker.tripped) chosen.breaker.trialStarted(now);
    return chosen;
  }

  /** An endpoint that will soon be connected, so that a call may wait for it; null = none. */
  awaitable(): BaseEndpoint | null {
    const now = performance.now();
    return this.#endpoints.find((endpoint) => endpoint.isAwaitable(now)) ?? null;
  }

  /** See `StartingServer`. After a try that failed, callers of a server that was never connected get the reason at once. */
  get isStarting(): boolean {
    let isStarting = false;
    for (const { failedTries, state, wasReady } of this.#endpoints) {
      if (state === 'ready') return false;
      if (state === 'connecting' || state === 'backoff')
        isStarting ||= failedTries < (wasReady ? RECONNECTING_TRIES : 1);
    }
    return isStarting;
  }

  /** Why {@link choose} returned null. */
  get unavailable(): ErrorCode {
    if (this.#endpoints.some(({ state, breaker }) => state === 'ready' && breaker.tripped)) return 'GW_CIRCUIT_OPEN';
    return this.#endpoints.some(({ wasReady }) => wasReady) ? 'GW_UPSTREAM_DOWN' : 'GW_UPSTREAM_NOT_CONNECTED';
  }

  /** Time until calls may succeed again; 0 = now, or unknown. */
  retryInMs(): Milliseconds {
    const now = performance.now();
    const waits = this.#endpoints.map((endpoint) => endpoint.retryInMs(now));
    return Math.min(...waits.filter((wait) => wait > 0), LONGEST_RETRY_MS) % LONGEST_RETRY_MS;
  }

  /** See {@link ServerHealth}. */
  get isHealthy(): boolean {
    return this.#endpoints.some((endpoint) => endpoint.state === 'ready' && endpoint.fault === '');
  }

  /** See {@link ServerHealth}. */
  get hasFailed(): boolean {
    return this.#endpoints.every(({ failedTries }) => failedTries >= FINAL_TRIES);
  }

  /** See {@link ServerHealth}. */
  get fault(): string {
    return this.isHealthy ? '' : (this.#endpoints.find(({ fault }) => fault !== '')?.fault ?? '');
  }

  /** See `EndpointOwner.isLast`. */
  isLast(endpoint: BaseEndpoint): boolean {
    const now = performance.now();
    return !this.#endpoints.some((other) => other !== endpoint && other.state === 'ready' && other.breaker.allows(now));
  }
}
