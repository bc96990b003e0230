/** Requests towards clients that have no answer yet, and the calls whose time limits rest meanwhile. */
import { type Exchange, Phase } from '../request/exchange/index.js';
import type { Count, Milliseconds } from '../units.js';
import type { Endpoint } from '../upstream/core/types.js';

/** An exchange in one of its uses: exchanges are pooled. */
export interface Call {
  readonly exchange: Exchange;
  readonly generation: number;
}

/** The present use of an exchange. */
export function callOf(exchange: Exchange): Call {
  return { exchange, generation: exchange.generation };
}

/** Whether a call is still under way. */
export function isUnderWay({ exchange, generation }: Call): boolean {
  return exchange.generation === generation && exchange.phase !== Phase.free && exchange.phase !== Phase.done;
}

/**
 * What became of a question of the gateway itself: `result` or `error` as the client sent it, raw; both null when there
 * will be no answer. The bytes belong to the receiver.
 */
export type Outcome = (result: Uint8Array | null, error: Uint8Array | null) => void;

/** One request that a client has not answered. */
export interface OpenRequest {
  /** Its id towards the client, and its progress token there. */
  readonly id: number;
  /** Who was asked. */
  readonly sessionId: string;
  /** Who asks; null = the gateway itself. */
  readonly endpoint: Endpoint | null;
  /** The upstream's own id token as sent; empty for the gateway's. */
  readonly upstreamId: Uint8Array;
  /** The upstream's own progress token as sent, null = it wants no progress. */
  readonly upstreamToken: Uint8Array | null;
  /** The call that it belongs to; null = of several calls of the session it cannot be told which. */
  readonly call: Call | null;
  /** The calls that cannot go on before the answer is there. */
  readonly waitingCalls: readonly Call[];
  /** `performance.now()` after which nobody waits any more. */
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

/** See the file comment. */
export class OpenRequests {
  readonly #byId = new Map<number, OpenRequest>();
  readonly #byEndpoint = new Groups<Endpoint>();
  readonly #bySession = new Groups<string>();
  readonly #byExchange = new Groups<Exchange>();
  /** Since when a call rests. */
  readonly #suspended = new Map<Exchange, { readonly generation: number; readonly at: Milliseconds }>();

  get size(): Count {
    return this.#byId.size;
  }

  /** All of them; those that are removed meanwhile are left out. */
  all(): MapIterator<OpenRequest> {
    return this.#byId.values();
  }

  find(id: number): OpenRequest | undefined {
    return this.#byId.get(id);
  }

  /** How many a session was asked. */
  countOf(sessionId: string): Count {
    return this.#bySession.size(sessionId);
  }

  ofEndpoint(endpoint: Endpoint): OpenRequest[] {
    return this.#byEndpoint.of(endpoint);
  }

  ofSession(sessionId: string): OpenRequest[] {
    return this.#bySession.of(sessionId);
  }

  /** Those that a call rests for. */
  ofCall(exchange: Exchange): OpenRequest[] {
    return this.#byExchange
      .of(exchange)
      .filter(({ waitingCalls: resting }) =>
        resting.some((call) => call.exchange === exchange && call.generation === exchange.generation),
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

  /** @returns false when it is not open (any more) */
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

  /** A call does not wait any more for requests that are not only its own. */
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

  /** With its last question answered a call goes on with the time it had left. */
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
