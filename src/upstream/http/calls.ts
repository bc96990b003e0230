import { Era } from '../../protocol/revisions.js';
import type { Exchange } from '../../request/exchange/index.js';
import type { Count, Milliseconds } from '../../units.js';
import { CallQueue, type QueuedCall, recycle } from '../balance/queue.js';
import { CredentialError } from '../core/credentials.js';
import type { HttpHeads } from '../core/http/heads.js';
import type { CallStreamListener } from './call-stream.js';
import { type ConnectionListener, HttpConnection } from './connection.js';
import { CredentialWaiters, type CredentialWaitersOwner } from './credential-waiters.js';
import type { ConnectionTarget } from './wire/target.js';

/** What calls report to, their endpoint. */
export interface CallsListener extends ConnectionListener {
  /** A call was not sent because of `error`. */
  unauthorized(exchange: Exchange, error: unknown): void;
}

/** The connections of an endpoint's calls, and the calls that wait for one or for credentials. Owned by the endpoint. */
export class HttpCalls implements CredentialWaitersOwner {
  /** Headers of the current session. */
  heads: HttpHeads;
  /** Calls wait because there is no session. */
  isHeld = true;

  readonly #target: ConnectionTarget;
  readonly #listener: CallsListener;
  readonly #messages: CallStreamListener;
  readonly #maxConnections: Count;
  readonly #queue: CallQueue;
  readonly #waiters: CredentialWaiters;
  readonly #connections: HttpConnection[] = [];
  readonly #free: HttpConnection[] = [];
  #era: Era = Era.legacy;
  #closed = false;

  constructor(
    target: ConnectionTarget,
    listener: CallsListener,
    messages: CallStreamListener,
    limits: { maxConnections: Count; maxQueue: Count },
    heads: HttpHeads,
  ) {
    this.#target = target;
    this.#listener = listener;
    this.#messages = messages;
    this.#maxConnections = limits.maxConnections;
    this.#queue = new CallQueue(limits.maxQueue);
    this.#waiters = new CredentialWaiters(target.credentials, limits.maxQueue, this);
    this.heads = heads;
  }

  /** A session is open: calls that are sent from now on belong to it. */
  use(heads: HttpHeads, era: Era): void {
    this.heads = heads;
    this.#era = era;
  }

  /** Sends the calls that wait. */
  sendQueued(): void {
    this.isHeld = false;
    while (this.#queue.size > 0) {
      const connection = this.#checkout();
      if (connection === null) return;
      this.release(connection);
    }
  }

  /** Sends a call, now or when a connection is free. @returns false when too many calls wait already */
  submit(
    exchange: Exchange,
    bytes: Buffer,
    method: number,
    nameHeader: string,
    extraHeaders: readonly string[] | null,
  ): boolean {
    const credentials = this.#target.credentials.current(exchange);
    if (credentials === null) return this.#waiters.add(exchange, bytes, method, nameHeader, extraHeaders);
    const connection = this.isHeld ? null : this.#checkout();
    if (connection === null) return this.#queue.push(exchange, bytes, method, nameHeader, extraHeaders);
    this.#send(connection, exchange, bytes, method, nameHeader, extraHeaders, credentials);
    return true;
  }

  /** See {@link CredentialWaitersOwner}. */
  authorized({ exchange, bytes, method, nameHeader, extraHeaders }: QueuedCall): void {
    if (exchange !== null && !this.submit(exchange, bytes, method, nameHeader, extraHeaders)) this.#crowded(exchange);
  }

  /** See {@link CredentialWaitersOwner}. */
  unauthorized(exchange: Exchange, error: unknown): void {
    this.#listener.unauthorized(exchange, error);
  }

  #crowded(exchange: Exchange): void {
    this.#listener.unauthorized(exchange, new CredentialError('GW_UPSTREAM_BUSY', ''));
  }

  /**
   * Sends a call a second time whose connection is free now.
   *
   * @returns false when too many calls wait already
   */
  resend(connection: HttpConnection, exchange: Exchange): boolean {
    const queued = this.#requeue(connection, exchange);
    this.release(connection);
    return queued;
  }

  /** Like {@link resend}, of a call whose connection still reads the rest of its stream. */
  resendElsewhere(connection: HttpConnection, exchange: Exchange): boolean {
    const queued = this.#requeue(connection, exchange);
    if (!this.isHeld) this.sendQueued();
    return queued;
  }

  /** A connection is free: the next call that waits takes it. */
  release(connection: HttpConnection): void {
    if (this.#closed) return;
    const next = this.#queue.size > 0 && !this.isHeld ? this.#queue.shift() : null;
    if (next === null || next.exchange === null) {
      connection.forgetCall();
      this.#free.push(connection);
      return;
    }
    const { exchange, bytes, method, nameHeader, extraHeaders } = next;
    recycle(next);
    const credentials = this.#target.credentials.current(exchange);
    if (credentials !== null) {
      this.#send(connection, exchange, bytes, method, nameHeader, extraHeaders, credentials);
      return;
    }
    // They have ended, or were refused.
    if (!this.#waiters.add(exchange, bytes, method, nameHeader, extraHeaders)) this.#crowded(exchange);
    this.release(connection);
  }

  /** Removes a call that waits. @returns whether it did */
  remove(exchange: Exchange): boolean {
    return this.#queue.remove(exchange) || this.#waiters.remove(exchange);
  }

  /** Removes all calls that wait, the first one first. */
  takeQueued(): Exchange[] {
    const taken: Exchange[] = [];
    const shift = (): QueuedCall | null => this.#queue.shift() ?? this.#waiters.shift();
    for (let next = shift(); next !== null; next = shift()) {
      if (next.exchange !== null) taken.push(next.exchange);
      recycle(next);
    }
    return taken;
  }

  tick(now: Milliseconds): void {
    for (const connection of this.#connections) connection.tick(now);
  }

  /** No more calls are sent. */
  close(): void {
    this.#closed = true;
    this.isHeld = true;
  }

  destroy(): void {
    for (const connection of this.#connections) connection.destroy();
  }

  #requeue(connection: HttpConnection, exchange: Exchange): boolean {
    const { requestBytes, method, nameHeader, extraHeaders } = connection;
    exchange.call.connection = null;
    exchange.call.sent = false;
    return this.#queue.push(exchange, requestBytes, method, nameHeader, extraHeaders);
  }

  #checkout(): HttpConnection | null {
    const free = this.#free.pop();
    if (free !== undefined) return free;
    if (this.#connections.length >= this.#maxConnections) return null;
    const connection = new HttpConnection(this.#target, this.#listener, this.#messages);
    this.#connections.push(connection);
    return connection;
  }

  #send(
    connection: HttpConnection,
    exchange: Exchange,
    bytes: Buffer,
    method: number,
    nameHeader: string,
    extraHeaders: readonly string[] | null,
    credentials: readonly string[],
  ): void {
    exchange.call.connection = connection;
    connection.method = method;
    connection.nameHeader = nameHeader;
    connection.extraHeaders = this.#era === Era.modern ? extraHeaders : null;
    connection.heads = this.heads;
    connection.send(exchange, bytes, this.heads.forMethod(method), credentials);
  }
}
