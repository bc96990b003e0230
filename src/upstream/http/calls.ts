import { Era } from '../../protocol/revisions.js';
import type { Exchange } from '../../request/exchange/index.js';
import type { Count, Milliseconds } from '../../units.js';
import { CallQueue, recycle } from '../balance/queue.js';
import type { HttpHeads } from '../core/http-heads.js';
import { type ConnectionListener, HttpConnection } from './connection.js';
import type { ConnectionTarget } from './target.js';

/** How long the rest of an answer is read after its response, so that the connection can be kept. */
const DRAIN_MS: Milliseconds = 1_000;

/** The connections that calls go over, and the calls that wait for one. */
export class HttpCalls {
  /** Headers of the session in force. */
  heads: HttpHeads;
  /** Calls wait, because there is no session (yet). */
  held = true;

  readonly #target: ConnectionTarget;
  readonly #listener: ConnectionListener;
  readonly #maxConnections: Count;
  readonly #queue: CallQueue;
  readonly #connections: HttpConnection[] = [];
  readonly #free: HttpConnection[] = [];
  #era: Era = Era.legacy;
  #closed = false;

  constructor(
    target: ConnectionTarget,
    listener: ConnectionListener,
    limits: { maxConnections: Count; maxQueue: Count },
    heads: HttpHeads,
  ) {
    this.#target = target;
    this.#listener = listener;
    this.#maxConnections = limits.maxConnections;
    this.#queue = new CallQueue(limits.maxQueue);
    this.heads = heads;
  }

  /** For /stats. */
  get counts(): Record<string, Count> {
    return { connections: this.#connections.length, idle: this.#free.length, queued: this.#queue.size };
  }

  /** A session is open: what is sent from now on belongs to it. */
  use(heads: HttpHeads, era: Era): void {
    this.heads = heads;
    this.#era = era;
  }

  /** Calls that wait are sent. */
  go(): void {
    this.held = false;
    while (this.#queue.size > 0) {
      const connection = this.#checkout();
      if (connection === null) return;
      this.idle(connection);
    }
  }

  /** Sends a call, now or when its turn comes. @returns false when too many wait already */
  submit(
    exchange: Exchange,
    bytes: Buffer,
    method: number,
    nameHeader: string,
    extraHeaders: readonly string[] | null,
  ): boolean {
    const connection = this.held ? null : this.#checkout();
    if (connection === null) return this.#queue.push(exchange, bytes, method, nameHeader, extraHeaders);
    this.#send(connection, exchange, bytes, method, nameHeader, extraHeaders);
    return true;
  }

  /**
   * Sends a call that was on a connection, which is free now, once more.
   *
   * @returns false when too many wait already
   */
  again(connection: HttpConnection, exchange: Exchange): boolean {
    const { requestBytes, method, nameHeader, extraHeaders } = connection;
    exchange.call.connection = null;
    exchange.call.sent = false;
    const queued = this.#queue.push(exchange, requestBytes, method, nameHeader, extraHeaders);
    this.idle(connection);
    return queued;
  }

  /** A connection is free: the next call that waits takes it. */
  idle(connection: HttpConnection): void {
    if (this.#closed) return;
    const next = this.#queue.size > 0 && !this.held ? this.#queue.shift() : null;
    if (next === null) {
      connection.forgetCall();
      this.#free.push(connection);
      return;
    }
    const { exchange, bytes, method, nameHeader, extraHeaders } = next;
    recycle(next);
    this.#send(connection, exchange!, bytes, method, nameHeader, extraHeaders);
  }

  /** Takes a call back that waits. @returns whether it did */
  remove(exchange: Exchange): boolean {
    return this.#queue.remove(exchange);
  }

  /** The next call that waits, taken out of the line; null = none. */
  shift(): Exchange | null {
    const next = this.#queue.shift();
    if (next === null) return null;
    const { exchange } = next;
    recycle(next);
    return exchange;
  }

  tick(now: Milliseconds): void {
    for (const connection of this.#connections) {
      if (connection.drainingSince > 0 && now - connection.drainingSince > DRAIN_MS) connection.abandon();
      connection.tick(now);
    }
  }

  /** No connection is given out any more. */
  close(): void {
    this.#closed = true;
    this.held = true;
  }

  destroy(): void {
    for (const connection of this.#connections) connection.destroy();
  }

  #checkout(): HttpConnection | null {
    const free = this.#free.pop();
    if (free !== undefined) return free;
    if (this.#connections.length >= this.#maxConnections) return null;
    const connection = new HttpConnection(this.#target, this.#listener);
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
  ): void {
    exchange.call.connection = connection;
    connection.method = method;
    connection.nameHeader = nameHeader;
    connection.extraHeaders = this.#era === Era.modern ? extraHeaders : null;
    connection.sessionId = this.heads.sessionId;
    connection.send(exchange, bytes, this.heads.forMethod(method));
  }
}
