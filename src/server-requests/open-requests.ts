/** Requests to clients without a response yet, and the calls whose deadlines are suspended meanwhile. */
import { type Exchange, Phase } from '../request/exchange/index.js';
import type { Count, Milliseconds } from '../units.js';
import type { Endpoint } from '../upstream/core/types.js';

/** One use of a pooled exchange. */
export interface Call {
  readonly exchange: Exchange;
  readonly generation: number;
}

/** The current use of an exchange. */
export function callOf(exchange: Exchange): Call {
  return { exchange, generation: exchange.generation };
}

/** Whether a call has not ended. */
export function isUnderWay({ exchange, generation }: Call): boolean {
  return exchange.generation === generation && exchange.phase !== Phase.free && exchange.phase !== Phase.done;
}

/**
 * Receives the response to a request of the gateway itself: `result` or `error` as raw JSON; both null when there is no
 * response. The receiver owns the bytes.
 */
export type Outcome = (result: Uint8Array | null, error: Uint8Array | null) => void;

/** One request that a client has not answered. */
export interface OpenRequest {
  /** Its id and progress token towards the client. */
  readonly id: number;
  /** The session that it was sent to. */
  readonly sessionId: string;
  /** The upstream that sent it; null = the gateway itself. */
  readonly endpoint: Endpoint | null;
  /** The id token as the upstream sent it; empty for requests of the gateway. */
  readonly upstreamId: Uint8Array;
  /** The progress token as the upstream sent it; null = none. */
  readonly upstreamToken: Uint8Array | null;
  /** The call that it belongs to; null = one of several calls of the session. */
  readonly call: Call | null;
  /** The calls that wait for the response. */
  readonly waitingCalls: readonly Call[];
  /** `performance.now()` at which it expires. */
  readonly expiresAt: Milliseconds;
  readonly outcome: Outcome | null;
}

/** Sets of requests by a key. */
class Groups<Key> {
  readonly #sets = new Map<Key, Set<OpenRequest>>();

  add(key: Key, request: OpenRequest): void {
    const set = this.#sets.get(key);
    if (set === undefined) this.#sets.set(key, new Set([request]));
    else set.add(request);
  }

  remove(key: Key, request: OpenRequest): void {
    const set = this.#sets.get(key);
    if (set?.delete(request) && set.size === 0) this.#sets.delete(key);
  }

  size(key: Key): Count {
    return this.#sets.get(key)?.size ?? 0;
  }

  of(key: Key): OpenRequest[] {
    return [...(this.#sets.get(key) ?? [])];
  }
}

/** See the file comment. Owned by ServerRequests. */
export class OpenRequests {
  readonly #byId = new Map<number, OpenRequest>();
  readonly #byEndpoint = new Groups<Endpoint>();
  readonly #bySession = new Groups<string>();
  readonly #byExchange = new Groups<Exchange>();
  /** Since when the deadline of a call is suspended. */
  readonly #suspended = new Map<Exchange, { readonly generation: number; readonly at: Milliseconds }>();

  get size(): Count {
    return this.#byId.size;
  }

  /** All of them; requests that are removed during the iteration are skipped. */
  all(): MapIterator<OpenRequest> {
    return this.#byId.values();
  }

  find(id: number): OpenRequest | undefined {
    return this.#byId.get(id);
  }

  /** Open requests to a session. */
  countOf(sessionId: string): Count {
    return this.#bySession.size(sessionId);
  }

  ofEndpoint(endpoint: Endpoint): OpenRequest[] {
    return this.#byEndpoint.of(endpoint);
  }

  ofSession(sessionId: string): OpenRequest[] {
    return this.#bySession.of(sessionId);
  }

  /** The requests that a call waits for. */
  ofCall(exchange: Exchange): OpenRequest[] {
    return this.#byExchange
      .of(exchange)
      .filter(({ waitingCalls }) =>
        waitingCalls.some((call) => call.exchange === exchange && call.generation === exchange.generation),
      );
  }

  add(request: OpenRequest): void {
    this.#byId.set(request.id, request);
    this.#bySession.add(request.sessionId, request);
    if (request.endpoint !== null) this.#byEndpoint.add(request.endpoint, request);
    for (const call of request.waitingCalls) {
      this.#byExchange.add(call.exchange, request);
      this.#suspendDeadline(call);
    }
  }

  /** @returns false when it is not open */
  remove(request: OpenRequest): boolean {
    if (!this.#byId.delete(request.id)) return false;
    this.#bySession.remove(request.sessionId, request);
    if (request.endpoint !== null) this.#byEndpoint.remove(request.endpoint, request);
    for (const call of request.waitingCalls) {
      this.#byExchange.remove(call.exchange, request);
      this.#resumeDeadline(call);
    }
    return true;
  }

  /** Detaches a call that has ended from requests that other calls still wait for. */
  detachCall(exchange: Exchange): void {
    for (const request of this.ofCall(exchange)) this.#byExchange.remove(exchange, request);
    if (this.#suspended.delete(exchange)) exchange.call.openRequests = 0;
  }

  clear(): void {
    for (const request of [...this.#byId.values()]) this.remove(request);
  }

  #suspendDeadline({ exchange, generation }: Call): void {
    if (this.#suspended.get(exchange)?.generation !== generation) {
      this.#suspended.set(exchange, { generation, at: performance.now() });
    }
    exchange.call.openRequests += 1;
  }

  /** After its last open request a call continues with the time that was left. */
  #resumeDeadline(call: Call): void {
    const { exchange, generation } = call;
    const since = this.#suspended.get(exchange);
    if (since?.generation !== generation || exchange.call.openRequests === 0 || !isUnderWay(call)) return;
    exchange.call.openRequests -= 1;
    if (exchange.call.openRequests > 0) return;
    this.#suspended.delete(exchange);
    if (exchange.call.deadline > 0) exchange.call.deadline += performance.now() - since.at;
  }
}
