import type { ErrorCode } from '../../errors.js';
import type { Milliseconds } from '../../units.js';

/** `open`: calls are kept from the endpoint; `half-open`: one is let through at a time. */
export type BreakerState = 'closed' | 'open' | 'half-open';

/** A circuit breaker: decides whether an endpoint may be used at the moment. Times are `performance.now()`. */
export interface Breaker {
  readonly state: BreakerState;
  /** Not closed: {@link allows} decides. Saves reading the clock for most calls. */
  readonly tripped: boolean;
  /** Whether a call may be sent; one at a time while half-open. */
  allows(now: Milliseconds): boolean;
  /** Time until {@link allows} may let a call through; 0 = now, or when a trial call has ended. */
  allowsInMs(now: Milliseconds): Milliseconds;
  /** The call that {@link allows} permitted is sent. */
  trialStarted(now: Milliseconds): void;
  succeeded(): void;
  /** @param lastOne no other endpoint of the server is usable */
  failed(error: ErrorCode, lastOne: boolean, now: Milliseconds): void;
  /** The outcome of the call does not depend on the endpoint (cancelled, local limit). */
  neutral(): void;
}

const ENDPOINT_FAILURES = new Set<ErrorCode>([
  'GW_UPSTREAM_CLOSED',
  'GW_UPSTREAM_TIMEOUT',
  'GW_UPSTREAM_UNREACHABLE',
  'GW_UPSTREAM_PROTOCOL',
  'GW_UPSTREAM_TRUNCATED',
  'GW_UPSTREAM_DOWN',
  'GW_UPSTREAM_UNAVAILABLE',
]);

/** Whether an error is a failure of the endpoint; others depend on the call. */
export function isEndpointFailure(error: ErrorCode): boolean {
  return ENDPOINT_FAILURES.has(error);
}
