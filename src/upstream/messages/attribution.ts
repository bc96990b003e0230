import type { Exchange } from '../../request/exchange/index.js';
import type { Count, Milliseconds } from '../../units.js';
import { type ConnectionProfile, isDedicated } from '../core/types.js';
import { RecentClients } from './recent-clients.js';

/** Time for which a server may continue a call that was cancelled. */
const CANCELLED_MS: Milliseconds = 10_000;

/** The calls that the server of an endpoint may be working on. The endpoint implements it. */
export interface CallsInFlight {
  readonly callCount: Count;
  isInFlight(exchange: Exchange): boolean;
  callsInFlight(): Exchange[];
}

/**
 * Finds the call that a message of the server belongs to where the message names none: a request, a log message. A message
 * that could be about a call of another client belongs to no call. One for each endpoint, called by {@link ServerMessages}.
 */
export class Attribution {
  readonly #calls: CallsInFlight;
  readonly #hasCallStreams: boolean;
  /** All calls of the endpoint are of one client. */
  readonly #isDedicated: boolean;
  /** Null where it makes no difference. */
  readonly #recent: RecentClients | null;
  /** The call that was written last. */
  #last: Exchange | null = null;
  #cancelledUntil: Milliseconds = 0;

  /**
   * @param hasCallStreams messages about a call come on the call's own stream (Streamable HTTP), and only the others here
   */
  constructor(calls: CallsInFlight, profile: ConnectionProfile, hasCallStreams: boolean) {
    this.#calls = calls;
    this.#hasCallStreams = hasCallStreams;
    this.#isDedicated = isDedicated(profile);
    // With streams for calls only requests are attributed, and a server that was offered no capabilities sends none.
    const isNeeded = !this.#isDedicated && (!hasCallStreams || profile.capabilities !== 0);
    this.#recent = isNeeded ? new RecentClients(hasCallStreams ? 'session' : 'subject') : null;
  }

  /** Whether no cancelled call is left that a request of the server could be about. */
  get isSettled(): boolean {
    return this.#cancelledUntil === 0 || performance.now() >= this.#cancelledUntil;
  }

  /** A call was written to the server. */
  written(exchange: Exchange): void {
    this.#last = exchange;
  }

  /** A call that was written has ended, whatever its outcome. */
  ended(exchange: Exchange): void {
    this.#recent?.ended(exchange, performance.now());
  }

  /** A call was cancelled after it was written. */
  cancelled(): void {
    this.#cancelledUntil = performance.now() + CANCELLED_MS;
  }

  /** The connection has ended, and every call with it. */
  reset(): void {
    this.#last = null;
    this.#cancelledUntil = 0;
  }

  /** The call that a request of the server belongs to, or a notification about one; null = unknown. */
  requestingCall(): Exchange | null {
    const only = this.#only();
    if (only === null || (this.#isDedicated && this.#hasCallStreams)) return only;
    if (!this.isSettled) return null;
    return this.#isOfOneClient(only) ? only : null;
  }

  /** The call that a log message belongs to; null = unknown. */
  loggingCall(): Exchange | null {
    if (this.#isDedicated) return this.#latest();
    if (this.#hasCallStreams) return null;
    const only = this.#only();
    return only !== null && this.#isOfOneClient(only) ? only : null;
  }

  #isOfOneClient(exchange: Exchange): boolean {
    return this.#recent === null || this.#recent.only(exchange, performance.now());
  }

  #only(): Exchange | null {
    if (this.#calls.callCount !== 1) return null;
    if (this.#last !== null && this.#calls.isInFlight(this.#last)) return this.#last;
    const [only = null, ...others] = this.#calls.callsInFlight();
    return others.length === 0 ? only : null;
  }

  #latest(): Exchange | null {
    if (this.#calls.callCount === 0) return null;
    if (this.#last !== null && this.#calls.isInFlight(this.#last)) return this.#last;
    let latest: Exchange | null = null;
    for (const exchange of this.#calls.callsInFlight()) {
      if (latest === null || exchange.call.sentAt > latest.call.sentAt) latest = exchange;
    }
    return latest;
  }
}
