/** What both front ends share of WebSockets (RFC 6455; MCP has no binding of its own). */

import type { ErrorCode } from '../../../errors.js';
import type { VerdictRecord } from '../../../shared/ring/verdict-record.js';
import type { Bytes, Count, Milliseconds } from '../../../units.js';
import type { Caller } from '../../exchange/caller.js';
import { Accepts, type Exchange, Framing } from '../../exchange/index.js';
import type { HttpCall } from '../http/call.js';
import type { AcceptContext } from '../http/context.js';
import type { FrontHandler } from '../http/handler.js';
import { FrameRate } from './frame-rate.js';
import { ClientConnection } from './index.js';
import { ConnectionRequest } from './request.js';
import { CloseCode, type ConnectionWire } from './wire.js';

const MIB: Bytes = 1_048_576;

/** The sub-protocol of MCP over WebSocket. */
export const SUB_PROTOCOL = 'mcp';

/** The close reason of a WebSocket with too many small frames (at most 123 bytes, RFC 6455 section 5.5). */
export const TOO_MANY_FRAMES = 'Too many frames of less than 64 bytes (limits.smallFrameRate); put more into each.';

const LARGEST: Bytes = 2 ** 31 - 1;

/**
 * Longest message that is read from a WebSocket. One that is longer than `maxBodyBytes` is refused with its id, and one that
 * is longer than this ends the WebSocket: with the close code 1009 on node:http, without one on uWebSockets.js.
 */
export function longestMessage(maxBodyBytes: Bytes): Bytes {
  return Math.min(LARGEST, maxBodyBytes + Math.max(MIB, maxBodyBytes));
}

/** Header fields of a handshake; empty = not sent. */
export interface WebSocketHandshake {
  readonly upgrade: string;
  readonly version: string;
  readonly protocols: string;
}

/** Why a handshake is refused; null = it is not. A client without any sub-protocol is served too. */
export function handshakeError({ upgrade, version, protocols }: WebSocketHandshake): ErrorCode | null {
  const isWebSocket = upgrade.toLowerCase() === 'websocket' && version === '13';
  return isWebSocket && (protocols === '' || offersMcp(protocols)) ? null : 'GW_WEBSOCKET_HANDSHAKE';
}

/** Whether `Sec-WebSocket-Protocol` of a client names `mcp`. */
export function offersMcp(protocols: string): boolean {
  return protocols.split(',', 100).some((protocol) => protocol.trim() === SUB_PROTOCOL);
}

/** What a connection takes over from the exchange that asked whether it may be opened. */
export interface AuthorizedClient {
  readonly caller: Caller;
  readonly remoteAddress: string;
  readonly verdict: VerdictRecord;
}

/** Asks the policy whether the client of a handshake may open a WebSocket. */
export abstract class WebSocketRequest extends ConnectionRequest {
  constructor(call: HttpCall, exchange: Exchange, handler: FrontHandler) {
    super(call, exchange, handler);
    exchange.client.accepts = Accepts.json | Accepts.sse;
  }

  /** Answers the handshake; the call is finished already. */
  protected abstract upgrade(client: AuthorizedClient): void;

  protected override authorized({ client: { caller, remoteAddress }, verdict }: Exchange): void {
    this.call.upgraded();
    this.upgrade({ caller, remoteAddress, verdict: verdict.copy() });
  }
}

/** One WebSocket, whatever library it comes from. */
export abstract class WebSocketWire implements ConnectionWire {
  readonly framing = Framing.message;
  connection: ClientConnection | null = null;
  readonly frames: FrameRate;

  /** @param smallFrameRate see {@link FrameRate} */
  constructor(smallFrameRate: Count) {
    this.frames = new FrameRate(smallFrameRate);
  }

  abstract send(bytes: Uint8Array, start: number, end: number): void;
  abstract buffered(): Bytes;
  abstract remoteAddress(): string;
  abstract close(code: CloseCode, reason?: string): void;

  /** Whether the client has not answered the last ping; to be called every second, and sends pings where the library does not. */
  isUnresponsive(_now: Milliseconds, _keepAliveMs: Milliseconds): boolean {
    return false;
  }
}

/** The WebSockets of one front end. */
export abstract class WebSockets<Wire extends WebSocketWire> {
  protected readonly context: AcceptContext;
  readonly #wires = new Set<Wire>();

  constructor(context: AcceptContext) {
    this.context = context;
  }

  get handler(): FrontHandler {
    return this.context.handler;
  }

  /** WebSockets open now. */
  get size(): Count {
    return this.#wires.size;
  }

  /** Closes all of them with 1001 (going away). */
  close(): void {
    for (const wire of [...this.#wires]) wire.close(CloseCode.goingAway);
  }

  /** Cuts clients that have taken nothing for `limits.slowClientMs`, or that answer no ping; to be called every second. */
  cutSlow(): void {
    const now = performance.now();
    const { slowClientMs, keepAliveMs } = this.context.rules;
    for (const wire of [...this.#wires]) {
      const isStuck = wire.connection?.isStuck(now, slowClientMs) === true;
      if (isStuck || wire.isUnresponsive(now, keepAliveMs)) wire.close(CloseCode.tryAgainLater);
    }
  }

  /** A WebSocket is open: messages may come. */
  protected opened(wire: Wire, { caller, verdict }: AuthorizedClient): void {
    const { handler, table, rules } = this.context;
    wire.connection = new ClientConnection({ wire, handler, table, limits: rules, caller, verdict });
    this.#wires.add(wire);
  }

  /** A frame of an open WebSocket arrived. @returns false when its rate was too high, and the WebSocket is closed */
  protected admits(wire: Wire, frameBytes: Bytes): boolean {
    if (wire.frames.take(frameBytes)) return true;
    this.context.handler.tooManyFrames(wire.remoteAddress());
    wire.close(CloseCode.policyViolation, TOO_MANY_FRAMES);
    return false;
  }

  /** A WebSocket is closed. */
  protected closed(wire: Wire): void {
    this.#wires.delete(wire);
    wire.connection?.closed();
  }
}
