/**
 * A client's connection that carries many messages, whatever it is made of: WebSocket, stdio, in-process, or the event
 * stream of HTTP with SSE. Each message is an exchange of its own; answers go back in any order.
 */

import { Method } from '../../../../native/layout.js';
import { ERRORS, type ErrorCode } from '../../../errors.js';
import type { Holder } from '../../../shared/buffer-budget.js';
import type { VerdictRecord } from '../../../shared/verdict-record.js';
import type { Bytes, Count, Milliseconds } from '../../../units.js';
import { Accepts, type ClientLink, type Exchange, Framing, Phase, Verb } from '../../exchange/index.js';
import type { ExchangeTable } from '../../exchange/table.js';
import type { FrontHandler } from '../http/handler.js';
import { ConnectionReply } from './reply.js';

/** Why the gateway ends a connection, as close codes of RFC 6455 section 7.4.1. */
export const CloseCode = {
  goingAway: 1001,
  notText: 1003,
  badText: 1007,
  policy: 1008,
  tooBig: 1009,
  busy: 1013,
} as const;

/** What a connection is made of. No method throws. */
export interface ConnectionWire {
  /** One of Framing: the form in which streamed messages are written. */
  readonly framing: number;
  /**
   * Sends one message, copied before the call returns.
   *
   * @param framed the bytes have the form that `framing` names already; otherwise they are one bare JSON document
   */
  send(bytes: Uint8Array, start: number, end: number, framed: boolean): void;
  /** Bytes that the client has not taken. */
  buffered(): Bytes;
  /** Its address as text; empty when it has none. */
  remoteAddress(): string;
  /**
   * Ends the connection; `ClientConnection.closed` is called before or after the call returns.
   *
   * @param reason one sentence for the client, where its transport has room for one (up to 123 bytes)
   */
  close(code: number, reason?: string): void;
  /** Stops and goes on reading; transports that cannot are held to a bound instead. */
  pause?(): void;
  resume?(): void;
}

/** `limits` that hold for one connection. */
export interface ConnectionLimits {
  /** Largest message of a client. */
  readonly maxBodyBytes: Bytes;
  /** Bytes queued towards the client before upstreams are paused and no more messages are taken. */
  readonly maxClientBufferBytes: Bytes;
  /** With `maxClientBufferBytes` the most that is queued; then the connection is cut. */
  readonly maxResponseBytes: Bytes;
}

export interface ConnectionOptions {
  readonly wire: ConnectionWire;
  readonly handler: FrontHandler;
  readonly table: ExchangeTable;
  readonly limits: ConnectionLimits;
  /** The bearer token that every message is judged with; empty = none. */
  readonly token: string;
  /** The decision that let the client in, if it was asked for before: the connection ends with its right. */
  readonly verdict?: VerdictRecord;
}

/** Pause before another look when every exchange of the gateway is in use. */
const RETRY_MS = 5;

/** See the file comment. */
export class ClientConnection implements ClientLink, Holder {
  /** Who opened the connection, where messages could come from somebody else (HTTP with SSE); null = nobody else can. */
  subject: Int32Array | null = null;
  /** The session that `initialize` made; empty before. */
  sessionId = '';
  isClosed = false;
  /** A stage waits for the client. */
  hasBlocked = false;
  /** Messages that wait and bytes that the client has not taken, as the budget counts them. */
  held = 0;
  leaving = false;

  readonly wire: ConnectionWire;
  readonly limits: ConnectionLimits;
  readonly #handler: FrontHandler;
  readonly #table: ExchangeTable;
  readonly #token: string;
  readonly #maxOpen: Count;
  readonly #open = new Set<ConnectionReply>();
  #rests = false;
  /** Why the connection ends once its calls in flight have; null = it does not. */
  #endingFor: ErrorCode | null = null;
  /** The answer to `initialize` that what follows waits for. */
  #opening: ConnectionReply | null = null;
  #streamWanted = false;
  #held: Buffer[] = [];
  #heldBytes: Bytes = 0;
  #timer: NodeJS.Timeout | NodeJS.Immediate | null = null;
  #draining = false;
  #address: string | null = null;
  #lastBuffered: Bytes = 0;
  #progressAt: Milliseconds = 0;

  constructor(options: ConnectionOptions) {
    this.wire = options.wire;
    this.limits = options.limits;
    this.#handler = options.handler;
    this.#table = options.table;
    this.#token = options.token;
    // One client must not take every exchange: what it sends beyond half of them waits.
    this.#maxOpen = Math.ceil(options.table.capacity / 2);
    if (options.verdict !== undefined) this.#rest(options.verdict);
  }

  /** From now on the connection rests on the right that let its client in. */
  #rest(verdict: VerdictRecord): void {
    if (this.#rests) return;
    this.#rests = true;
    this.#handler.connected(this, this.#token, verdict);
  }

  /** Messages without their answer yet, and streams. */
  get size(): Count {
    return this.#open.size;
  }

  /** Requests whose answer is to come: neither held messages nor streams that only end with the connection. */
  get pending(): Count {
    let count = this.#held.length;
    for (const { exchange } of this.#open) {
      if (exchange !== null && !(exchange.phase === Phase.streaming && exchange.call.upstream === null)) count += 1;
    }
    return count;
  }

  /** Takes one message of the client; `bytes[0, length)` are valid during the call only. */
  receive(bytes: Uint8Array, length: number): void {
    // An empty message says nothing, as an empty line on stdio.
    if (this.isClosed || length === 0) return;
    if (length > this.limits.maxBodyBytes) this.refuse('GW_BODY_TOO_LARGE');
    else if (this.#held.length > 0 || this.#isBusy() || !this.#deliver(bytes, length)) this.#hold(bytes, length);
  }

  /** Answers a message that cannot be read, without its id. */
  refuse(code: ErrorCode): void {
    const exchange = this.isClosed ? null : this.#table.acquire();
    if (exchange === null) return;
    this.fill(exchange);
    this.add(exchange, false);
    this.#handler.refuse(exchange, code);
  }

  /** Writes into an exchange what the connection knows of its client. */
  fill(exchange: Exchange): void {
    exchange.message.verb = Verb.post;
    exchange.client.startedAt = performance.now();
    exchange.client.accepts = Accepts.json | Accepts.sse;
    exchange.client.token = this.#token;
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
   * @param silent the client has not asked for it, so that an answer would mean nothing to it
   */
  add(exchange: Exchange, silent: boolean): ConnectionReply {
    const reply = new ConnectionReply(this, exchange, silent);
    exchange.client.reply = reply;
    this.#open.add(reply);
    return reply;
  }

  /** Puts a Reply made elsewhere under the care of this connection. */
  attach(reply: ConnectionReply): void {
    this.#open.add(reply);
  }

  /** The exchange of `reply` is over. */
  over(reply: ConnectionReply): void {
    this.#open.delete(reply);
    if (this.#endingFor !== null) this.#endIfIdle();
    if (reply === this.#opening) this.#opening = null;
    else if (this.#held.length === 0) return;
    this.#schedule(0);
  }

  /**
   * `initialize` was answered with a session.
   *
   * @param verdict that permitted it; valid during the call
   */
  opened(sessionId: string, verdict: VerdictRecord): void {
    if (this.sessionId !== '') {
      // Two of them were under way at once: the connection stays with the first.
      this.#handler.ended(sessionId);
      return;
    }
    this.sessionId = sessionId;
    this.#rest(verdict);
    this.#streamWanted = true;
    this.#schedule(0);
  }

  /** Sends one message; see {@link ConnectionWire.send}. @returns false when the client is slow */
  send(bytes: Uint8Array, start: number, end: number, framed: boolean): boolean {
    if (this.isClosed) return true;
    const { wire, limits } = this;
    wire.send(bytes, start, end, framed);
    const buffered = wire.buffered();
    if (buffered > limits.maxClientBufferBytes + limits.maxResponseBytes) wire.close(CloseCode.busy);
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
        if (exchange === null || !reply.blocked) continue;
        reply.blocked = false;
        this.#handler.drained(exchange);
      }
    }
    if (this.#held.length > 0) this.#schedule(0);
  }

  /** Whether the client has taken nothing of what waits for it for so long; to be asked again and again. */
  stuck(now: Milliseconds, slowClientMs: Milliseconds): boolean {
    const buffered = this.wire.buffered();
    this.#count(buffered);
    if (buffered === 0 || buffered < this.#lastBuffered || this.#lastBuffered === 0) this.#progressAt = now;
    this.#lastBuffered = buffered;
    return buffered > 0 && now - this.#progressAt > slowClientMs;
  }

  /** Takes no more streams of its own: the gateway or the client is about to end. */
  drain(): void {
    this.#draining = true;
  }

  /** See {@link ClientLink.end}. What comes meanwhile is judged as ever, and refused. */
  end(code: ErrorCode): void {
    if (this.isClosed || this.#endingFor !== null) return;
    this.#endingFor = code;
    this.#draining = true;
    this.#endIfIdle();
  }

  #endIfIdle(): void {
    for (const { exchange } of this.#open) {
      if (exchange !== null && (exchange.call.upstream !== null || exchange.phase === Phase.asking)) return;
    }
    if (!this.isClosed) this.wire.close(CloseCode.policy, ERRORS[this.#endingFor!].sentence);
  }

  /** The connection is gone: nobody can come back to it, so everything that belongs to it ends. */
  closed(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.#handler.disconnected(this);
    this.#held = [];
    this.#heldBytes = 0;
    this.#table.budget.set(this, 0);
    if (this.#timer !== null) this.#clear();
    for (const reply of [...this.#open]) {
      const exchange = reply.lost();
      if (exchange !== null) this.#handler.aborted(exchange);
    }
    this.#open.clear();
    if (this.sessionId !== '') this.#handler.ended(this.sessionId);
  }

  /** What waits for the client and from it has to make room: the connection is cut. */
  evicted(): void {
    this.wire.close(CloseCode.busy);
  }

  /** The queue of an event stream is counted by the HTTP call below. */
  #count(buffered: Bytes): void {
    if (this.isClosed) return;
    const queued = this.wire.framing === Framing.sse ? 0 : buffered;
    this.#table.budget.set(this, queued + this.#heldBytes);
  }

  /** More has to wait for something whose end will be told: an answer, or a client that reads. */
  #isBusy(): boolean {
    if (this.#opening !== null || this.#open.size >= this.#maxOpen) return true;
    return this.wire.buffered() > this.limits.maxClientBufferBytes;
  }

  /** @returns false when there is no exchange for it */
  #deliver(bytes: Uint8Array, length: number): boolean {
    const exchange = this.#table.acquire();
    if (exchange === null) return false;
    this.fill(exchange);
    const reply = this.add(exchange, false);
    const { generation } = exchange;
    this.#handler.request(exchange, bytes, length);
    const undecided = exchange.generation === generation && exchange.phase === Phase.deciding;
    if (undecided && exchange.message.spans.method === Method.initialize) this.#opening = reply;
    return true;
  }

  /** Keeps a message until there is room; a client that sends on and on is cut. */
  #hold(bytes: Uint8Array, length: number): void {
    const { limits, wire } = this;
    this.#heldBytes += length;
    if (this.#heldBytes > Math.max(limits.maxClientBufferBytes, limits.maxBodyBytes)) {
      wire.close(CloseCode.busy);
      return;
    }
    this.#held.push(Buffer.from(bytes.subarray(0, length)));
    this.#count(wire.buffered());
    wire.pause?.();
    this.#retry();
  }

  /** Looks again later where nobody will tell: others have every exchange. */
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
    if (this.#streamWanted) this.#openStream();
    const held = this.#held;
    this.#held = [];
    let taken = 0;
    while (taken < held.length && !this.isClosed && !this.#isBusy()) {
      const message = held[taken]!;
      if (!this.#deliver(message, message.byteLength)) break;
      this.#heldBytes -= message.byteLength;
      taken += 1;
    }
    if (this.isClosed) return;
    this.#held = [...held.slice(taken), ...this.#held];
    this.#count(this.wire.buffered());
    if (this.#held.length === 0) this.wire.resume?.();
    else this.#retry();
  };

  /** What concerns the session and no call (changes, requests of upstreams) comes on a stream, as on a GET. */
  #openStream(): void {
    if (this.#draining) return;
    const exchange = this.#table.acquire();
    if (exchange === null) {
      this.#schedule(RETRY_MS);
      return;
    }
    this.#streamWanted = false;
    this.fill(exchange);
    exchange.message.verb = Verb.get;
    this.add(exchange, true);
    this.#handler.stream(exchange);
  }
}
