/**
 * A client's connection that carries many messages: WebSocket, stdio, in-process, or the event stream of HTTP with SSE.
 * Each message is an exchange of its own; answers go back in any order.
 */

import { randomBytes } from 'node:crypto';
import { Method } from '../../../../native/layout.js';
import { ERRORS, type ErrorCode } from '../../../errors.js';
import { RequestId } from '../../../protocol/request-id.js';
import type { Holder } from '../../../shared/buffer-budget.js';
import type { VerdictRecord } from '../../../shared/ring/verdict-record.js';
import type { Bytes, Count, Milliseconds } from '../../../units.js';
import type { Caller } from '../../exchange/caller.js';
import { Accepts, type ClientLink, type Exchange, Framing, Phase, setId, Verb } from '../../exchange/index.js';
import type { ExchangeTable } from '../../exchange/table.js';
import type { FrontHandler } from '../http/handler.js';
import { ConnectionReply } from './reply.js';
import { CloseCode, type ConnectionWire } from './wire.js';

/** `limits` that hold for one connection. */
export interface ConnectionLimits {
  /** Largest message of a client. */
  readonly maxBodyBytes: Bytes;
  /** Bytes queued towards the client before upstreams are paused and further messages wait. */
  readonly maxClientBufferBytes: Bytes;
  /** Beyond `maxClientBufferBytes` plus this the connection is cut. */
  readonly maxResponseBytes: Bytes;
}

export interface ConnectionOptions {
  readonly wire: ConnectionWire;
  readonly handler: FrontHandler;
  readonly table: ExchangeTable;
  readonly limits: ConnectionLimits;
  /** Whose messages come; the policy verifies the credential for each. */
  readonly caller: Caller;
  /** The verdict that authorized the client, where one was requested before: the connection ends when it is no longer valid. */
  readonly verdict?: VerdictRecord;
}

/** Pause before the next attempt when all exchanges of the gateway are in use. */
const RETRY_MS: Milliseconds = 5;
/** Too many to be guessed. */
const ID_BYTES = 16;

/**
 * See the file comment. A transport makes one for each of its connections and calls {@link receive}, {@link drained} and
 * {@link closed}; it owns the Replies of the connection's exchanges and the messages that wait for an exchange.
 */
export class ClientConnection implements ClientLink, Holder {
  /** Names it as a session to rules that tell sessions apart (`Caller.onConnection`). */
  readonly id = randomBytes(ID_BYTES).toString('base64url');
  /** The subject that opened the connection, where other clients could send messages on it (HTTP with SSE); else null. */
  subject: Int32Array | null = null;
  /** The session that `initialize` made; empty before. */
  sessionId = '';
  isClosed = false;
  /** A stage waits for the client. */
  hasBlocked = false;
  /** Bytes of messages that wait and bytes that the client has not taken, as the budget counts them. */
  held = 0;
  isEvicted = false;

  readonly wire: ConnectionWire;
  readonly limits: ConnectionLimits;
  readonly #handler: FrontHandler;
  readonly #table: ExchangeTable;
  readonly #caller: Caller;
  readonly #maxOpen: Count;
  readonly #open = new Set<ConnectionReply>();
  /** The handler supervises the authorization of the client ({@link FrontHandler.connected}). */
  #isSupervised = false;
  /** Why the connection ends once its calls in flight have; null = it does not. */
  #endCode: ErrorCode | null = null;
  /** The Reply of `initialize`, which later messages wait for. */
  #initializing: ConnectionReply | null = null;
  #needsStream = false;
  /** Messages that wait for an exchange. */
  #waiting: Buffer[] = [];
  #waitingBytes: Bytes = 0;
  #timer: NodeJS.Timeout | NodeJS.Immediate | null = null;
  #isDraining = false;
  #address: string | null = null;
  #lastBuffered: Bytes = 0;
  #progressAt: Milliseconds = 0;

  constructor(options: ConnectionOptions) {
    this.wire = options.wire;
    this.limits = options.limits;
    this.#handler = options.handler;
    this.#table = options.table;
    this.#caller = options.caller.onConnection(this.id);
    // One client gets at most half of the exchanges: further messages wait.
    this.#maxOpen = Math.ceil(options.table.capacity / 2);
    if (options.verdict !== undefined) this.#supervise(options.verdict);
  }

  /** Requests without an answer, waiting messages included; streams that end with the connection do not count. */
  get pending(): Count {
    let count = this.#waiting.length;
    for (const { exchange } of this.#open) {
      if (exchange !== null && !(exchange.phase === Phase.streaming && exchange.call.upstream === null)) count += 1;
    }
    return count;
  }

  /** Takes one message of the client; `bytes[0, length)` are valid during the call only. */
  receive(bytes: Uint8Array, length: number): void {
    // An empty message is ignored, as an empty line on stdio.
    if (this.isClosed || length === 0) return;
    if (length > this.limits.maxBodyBytes) this.#refuseLarge(bytes, length);
    else if (this.#waiting.length > 0 || this.#isBusy() || !this.#dispatch(bytes, length)) this.#enqueue(bytes, length);
  }

  /** Answers a message that is not read. @param id the token of its id; empty = unknown */
  refuse(code: ErrorCode, id: Uint8Array): void {
    const exchange = this.isClosed ? null : this.#table.acquire();
    if (exchange === null) return;
    this.fill(exchange);
    setId(exchange, id);
    this.add(exchange, false);
    this.#handler.refuse(exchange, code);
  }

  /** Writes the client's data into an exchange. */
  fill(exchange: Exchange): void {
    exchange.message.verb = Verb.post;
    exchange.client.startedAt = performance.now();
    exchange.client.accepts = Accepts.json | Accepts.sse;
    exchange.client.caller = this.#caller;
    this.join(exchange);
    this.#address ??= this.wire.remoteAddress();
    exchange.client.remoteAddress = this.#address;
  }

  /** Makes an exchange one of this connection. */
  join(exchange: Exchange): void {
    exchange.client.sessionId = this.sessionId;
    exchange.message.versionHeader = '';
    exchange.client.headerless = true;
    exchange.client.framing = this.wire.framing;
    exchange.client.link = this;
  }

  /**
   * Gives an exchange a Reply that answers on this connection.
   *
   * @param silent the client has sent no request for it, so no answer is written
   */
  add(exchange: Exchange, silent: boolean): ConnectionReply {
    const reply = new ConnectionReply(this, exchange, silent);
    exchange.client.reply = reply;
    this.#open.add(reply);
    return reply;
  }

  /** Adds a Reply made elsewhere. */
  attach(reply: ConnectionReply): void {
    this.#open.add(reply);
  }

  /** The exchange of `reply` is finished. */
  finished(reply: ConnectionReply): void {
    this.#open.delete(reply);
    if (this.#endCode !== null) this.#endIfIdle();
    if (reply === this.#initializing) this.#initializing = null;
    else if (this.#waiting.length === 0) return;
    this.#schedule(0);
  }

  /**
   * `initialize` was answered with a session.
   *
   * @param verdict that permitted it; valid during the call
   */
  initialized(sessionId: string, verdict: VerdictRecord): void {
    if (this.sessionId !== '') {
      // Two `initialize` requests were in flight at once: the connection keeps the first session.
      this.#handler.ended(sessionId);
      return;
    }
    this.sessionId = sessionId;
    this.#supervise(verdict);
    this.#needsStream = true;
    this.#schedule(0);
  }

  /** Sends one message; see {@link ConnectionWire.send}. @returns false when the client is slow */
  send(bytes: Uint8Array, start: number, end: number, framed: boolean): boolean {
    if (this.isClosed) return true;
    const { wire, limits } = this;
    wire.send(bytes, start, end, framed);
    const buffered = wire.buffered();
    if (buffered > limits.maxClientBufferBytes + limits.maxResponseBytes) wire.close(CloseCode.tryAgainLater);
    this.#count(buffered);
    return buffered <= limits.maxClientBufferBytes && !this.#table.budget.isTight(buffered);
  }

  /** The client has taken everything. */
  drained(): void {
    if (this.isClosed) return;
    this.#progressAt = performance.now();
    this.#count(0);
    if (this.hasBlocked) {
      this.hasBlocked = false;
      for (const reply of [...this.#open]) {
        const { exchange } = reply;
        if (exchange === null || !reply.isBlocked) continue;
        reply.isBlocked = false;
        this.#handler.drained(exchange);
      }
    }
    if (this.#waiting.length > 0) this.#schedule(0);
  }

  /** Whether the client has taken nothing of its queue for `slowClientMs`; to be called periodically. */
  isStuck(now: Milliseconds, slowClientMs: Milliseconds): boolean {
    const buffered = this.wire.buffered();
    this.#count(buffered);
    if (buffered === 0 || buffered < this.#lastBuffered || this.#lastBuffered === 0) this.#progressAt = now;
    this.#lastBuffered = buffered;
    return buffered > 0 && now - this.#progressAt > slowClientMs;
  }

  /** Opens no stream of its own any more: the gateway or the client is about to end. */
  drain(): void {
    this.#isDraining = true;
  }

  /** See {@link ClientLink.end}. Messages that arrive in the meantime go to the policy as before, which refuses them. */
  end(code: ErrorCode): void {
    if (this.isClosed || this.#endCode !== null) return;
    this.#endCode = code;
    this.#isDraining = true;
    this.#endIfIdle();
  }

  /** Has the handler end the connection when the authorization of its client ends. */
  #supervise(verdict: VerdictRecord): void {
    if (this.#isSupervised) return;
    this.#isSupervised = true;
    this.#handler.connected(this, this.#caller, verdict);
  }

  #refuseLarge(bytes: Uint8Array, length: Bytes): void {
    const id = new RequestId();
    id.feed(bytes, 0, length);
    this.refuse('GW_BODY_TOO_LARGE', id.token);
  }

  #endIfIdle(): void {
    for (const { exchange } of this.#open) {
      if (exchange !== null && (exchange.call.upstream !== null || exchange.phase === Phase.asking)) return;
    }
    if (!this.isClosed && this.#endCode !== null) {
      this.wire.close(CloseCode.policyViolation, ERRORS[this.#endCode].sentence);
    }
  }

  /** The transport has closed the connection, which cannot be resumed: everything that belongs to it ends. */
  closed(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.#handler.disconnected(this);
    this.#waiting = [];
    this.#waitingBytes = 0;
    this.#table.budget.set(this, 0);
    if (this.#timer !== null) this.#clear();
    for (const reply of [...this.#open]) {
      const exchange = reply.closed();
      if (exchange !== null) this.#handler.aborted(exchange);
    }
    this.#open.clear();
    if (this.sessionId !== '') this.#handler.ended(this.sessionId);
  }

  /** See {@link Holder.evicted}: the connection is cut. */
  evicted(): void {
    this.wire.close(CloseCode.tryAgainLater);
  }

  /** Reports to the budget. The queue of an event stream is counted by its HTTP call. */
  #count(buffered: Bytes): void {
    if (this.isClosed) return;
    const queued = this.wire.framing === Framing.sse ? 0 : buffered;
    this.#table.budget.set(this, queued + this.#waitingBytes);
  }

  /** Further messages have to wait for an event: the end of an exchange, or an empty queue towards the client. */
  #isBusy(): boolean {
    if (this.#initializing !== null || this.#open.size >= this.#maxOpen) return true;
    return this.wire.buffered() > this.limits.maxClientBufferBytes;
  }

  /** @returns false when no exchange is free */
  #dispatch(bytes: Uint8Array, length: number): boolean {
    const exchange = this.#table.acquire();
    if (exchange === null) return false;
    this.fill(exchange);
    const reply = this.add(exchange, false);
    const { generation } = exchange;
    this.#handler.request(exchange, bytes, length);
    const isUndecided = exchange.generation === generation && exchange.phase === Phase.deciding;
    if (isUndecided && exchange.message.spans.method === Method.initialize) this.#initializing = reply;
    return true;
  }

  /** Keeps a message until an exchange is free; a client that continues to send is cut. */
  #enqueue(bytes: Uint8Array, length: number): void {
    const { limits, wire } = this;
    this.#waitingBytes += length;
    if (this.#waitingBytes > Math.max(limits.maxClientBufferBytes, limits.maxBodyBytes)) {
      wire.close(CloseCode.tryAgainLater);
      return;
    }
    this.#waiting.push(Buffer.from(bytes.subarray(0, length)));
    this.#count(wire.buffered());
    wire.pause?.();
    this.#retry();
  }

  /** Schedules the next attempt where no event will: other connections use all exchanges. */
  #retry(): void {
    if (!this.#isBusy()) this.#schedule(RETRY_MS);
  }

  #schedule(delayMs: Milliseconds): void {
    if (this.isClosed) return;
    if (this.#timer !== null) {
      if (delayMs > 0) return;
      this.#clear();
    }
    this.#timer = delayMs > 0 ? setTimeout(this.#pump, delayMs) : setImmediate(this.#pump);
  }

  #clear(): void {
    clearTimeout(this.#timer as NodeJS.Timeout);
    clearImmediate(this.#timer as NodeJS.Immediate);
    this.#timer = null;
  }

  readonly #pump = (): void => {
    this.#timer = null;
    if (this.isClosed) return;
    if (this.#needsStream) this.#openStream();
    const waiting = this.#waiting;
    this.#waiting = [];
    let dispatched = 0;
    for (const message of waiting) {
      if (this.isClosed || this.#isBusy() || !this.#dispatch(message, message.byteLength)) break;
      this.#waitingBytes -= message.byteLength;
      dispatched += 1;
    }
    if (this.isClosed) return;
    this.#waiting = [...waiting.slice(dispatched), ...this.#waiting];
    this.#count(this.wire.buffered());
    if (this.#waiting.length === 0) this.wire.resume?.();
    else this.#retry();
  };

  /** Opens the stream for messages of the session that belong to no call (changes, requests of upstreams), as a GET does. */
  #openStream(): void {
    if (this.#isDraining) return;
    const exchange = this.#table.acquire();
    if (exchange === null) {
      this.#schedule(RETRY_MS);
      return;
    }
    this.#needsStream = false;
    this.fill(exchange);
    exchange.message.verb = Verb.get;
    this.add(exchange, true);
    this.#handler.stream(exchange);
  }
}
