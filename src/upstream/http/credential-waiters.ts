import type { Exchange } from '../../request/exchange/index.js';
import type { Count } from '../../units.js';
import { CallQueue, type QueuedCall } from '../balance/queue.js';
import { CredentialError, type Credentials } from '../core/credentials.js';

/** What becomes of calls that waited for credentials is reported to this: the calls of the endpoint. */
export interface CredentialWaitersOwner {
  /** The credentials are there. */
  authorized(call: QueuedCall): void;
  /** There are none. @param error usually a CredentialError */
  unauthorized(exchange: Exchange, error: unknown): void;
}

/** The calls of an endpoint that wait until their credentials were fetched, each up to its deadline. Owned by `HttpCalls`. */
export class CredentialWaiters {
  readonly #credentials: Credentials;
  readonly #owner: CredentialWaitersOwner;
  readonly #queue: CallQueue;

  /** @param maxQueue most calls that wait; one may wait in any case, as the first call of a client always has to */
  constructor(credentials: Credentials, maxQueue: Count, owner: CredentialWaitersOwner) {
    this.#credentials = credentials;
    this.#owner = owner;
    this.#queue = new CallQueue(Math.max(1, maxQueue));
  }

  /** Fetches the credentials of a call. @returns false when too many calls wait already */
  add(
    exchange: Exchange,
    bytes: Buffer,
    method: number,
    nameHeader: string,
    extraHeaders: readonly string[] | null,
  ): boolean {
    if (!this.#queue.push(exchange, bytes, method, nameHeader, extraHeaders)) return false;
    const id = exchange.call.upstreamId;
    this.#credentials.fetch(exchange).then(
      () => this.#fetched(exchange, id),
      (error: unknown) => this.#failed(exchange, id, error),
    );
    return true;
  }

  /** Removes a call that waits. @returns whether it did */
  remove(exchange: Exchange): boolean {
    return this.#queue.remove(exchange);
  }

  /** Removes one call that waits, the first one; null = none waits. */
  shift(): QueuedCall | null {
    return this.#queue.shift();
  }

  #fetched(exchange: Exchange, id: number): void {
    // Asked again only once: whatever is fetched and ends at once would be fetched without a break.
    if (exchange.call.upstreamId === id && this.#credentials.current(exchange) === null) {
      this.#failed(exchange, id, new CredentialError('GW_UPSTREAM_CREDENTIALS', 'the credentials ended at once'));
      return;
    }
    const call = this.#take(exchange, id);
    if (call !== null) this.#owner.authorized(call);
  }

  #failed(exchange: Exchange, id: number, error: unknown): void {
    if (this.#take(exchange, id) !== null) this.#owner.unauthorized(exchange, error);
  }

  /** Null where the call has ended meanwhile; its exchange may have another one. */
  #take(exchange: Exchange, id: number): QueuedCall | null {
    return exchange.call.upstreamId === id ? this.#queue.take(exchange) : null;
  }
}
