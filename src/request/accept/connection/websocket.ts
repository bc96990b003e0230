/** What both front ends agree on about WebSockets (RFC 6455; MCP has no binding of its own). */

import type { ErrorCode } from '../../../errors.js';
import type { VerdictRecord } from '../../../shared/verdict-record.js';
import { Accepts, type Exchange } from '../../exchange/index.js';
import type { HttpCall } from '../http/call.js';
import type { FrontHandler } from '../http/handler.js';
import type { AcceptRules } from '../http/rules.js';
import { Opening, UNOPENED } from './opening.js';

/** The sub-protocol of MCP over WebSocket. */
export const SUB_PROTOCOL = 'mcp';

/** Why a WebSocket is closed with code 1008 when its frames are too many (at most 123 bytes, RFC 6455 section 5.5). */
export const TOO_MANY_FRAMES = 'Too many frames of less than 64 bytes (limits.smallFrameRate); put more into each.';

/** Parts of a handshake that {@link handshakeCode} looks at; empty = not sent. */
export interface Handshake {
  readonly upgrade: string;
  readonly version: string;
  readonly protocols: string;
}

/** What speaks against a handshake, null = nothing. A client without any sub-protocol is served too. */
export function handshakeCode({ upgrade, version, protocols }: Handshake): ErrorCode | null {
  const isWebSocket = upgrade.toLowerCase() === 'websocket' && version === '13';
  return isWebSocket && (protocols === '' || offersMcp(protocols)) ? null : 'GW_WEBSOCKET_HANDSHAKE';
}

/** Whether `Sec-WebSocket-Protocol` of a client names `mcp`. */
export function offersMcp(protocols: string): boolean {
  return protocols.split(',', 100).some((protocol) => protocol.trim() === SUB_PROTOCOL);
}

/** What a connection takes over from the exchange that asked whether it may be opened. */
export interface OpeningClient {
  readonly token: string;
  readonly remoteAddress: string;
  readonly verdict: VerdictRecord;
}

/** Asks the policy whether the client of a handshake may come in; `open` is called when it may. */
export function askToOpen(
  call: HttpCall,
  exchange: Exchange,
  rules: AcceptRules,
  handler: FrontHandler,
  open: (client: OpeningClient) => void,
): void {
  call.head.fill(exchange, rules, call.verb, call.startedAt);
  exchange.client.accepts = Accepts.json | Accepts.sse;
  exchange.client.sessionId = '';
  exchange.message.versionHeader = '';
  exchange.client.link = UNOPENED;
  exchange.client.reply = new Opening(call, exchange, handler, ({ client: { token, remoteAddress }, verdict }) =>
    open({ token, remoteAddress, verdict: verdict.slice() }),
  );
  handler.stream(exchange);
}
