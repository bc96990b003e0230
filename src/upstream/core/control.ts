/** The gateway's own requests to an upstream (handshake, lists, subscriptions): few, so clarity comes before speed. */

import type { Decoder } from '../../../native/layout.js';
import { Flag, Kind, ScanStatus } from '../../../native/layout.js';
import { Spans } from '../../../native/spans.js';
import { packageVersion } from '../../package-root.js';
import { MODERN, REVISIONS } from '../../protocol/revisions.js';
import type { Count, Milliseconds } from '../../units.js';
import { scanServerMessage } from './server-scan.js';

/** Ids of control requests are below those of calls, which start at 65,536 (`ExchangeTable.byUpstreamId`). */
export const FIRST_CALL_ID = 65_536;

/** The response to a control request; owns its bytes. */
export interface ControlReply {
  readonly bytes: Buffer;
  /** The scan of `bytes`. */
  readonly spans: Spans;
  /** HTTP only. */
  readonly status: number;
  /** HTTP only: `Mcp-Session-Id` of the response, '' if none. */
  readonly sessionId: string;
}

/** Carries control requests. */
export interface ControlChannel {
  /**
   * @param params members of `params`; the envelope of a modern upstream is added
   * @throws ControlError
   */
  request(method: string, params: object | null, options: { timeoutMs: Milliseconds }): Promise<ControlReply>;
}

/** Characters of an upstream's text that are kept of it. */
const MAX_TEXT: Count = 2_048;

/** Why a control request has no usable response. The message holds no text of the upstream but protocol versions. */
export class ControlError extends Error {
  /**
   * `closed` the connection ended before a response, `timeout`, `refused` 401 or 403, `http` another status without a
   * JSON-RPC response, `rpc` a JSON-RPC error, `invalid` no valid response, `unreachable` no connection.
   */
  readonly kind: 'closed' | 'timeout' | 'refused' | 'http' | 'rpc' | 'invalid' | 'unreachable';
  /** HTTP status or JSON-RPC code, else 0. */
  readonly number: number;
  /** For `rpc`: `error.data`. */
  readonly data: unknown;
  /** What the upstream said about it: `error.message`, or the body of the status. It is searched, and shown to no client. */
  readonly text: string;

  constructor(kind: ControlError['kind'], message: string, number = 0, data: unknown = undefined, text = '') {
    super(message);
    this.name = 'ControlError';
    this.kind = kind;
    this.number = number;
    this.data = data;
    this.text = text.slice(0, MAX_TEXT);
  }
}

/** `clientInfo` of the gateway towards upstreams. */
export const CLIENT_INFO = { name: 'switchyard', version: packageVersion } as const;

/** The envelope of the gateway's own modern requests (MCP 2026-07-28, per-request metadata). */
const MODERN_META = {
  'io.modelcontextprotocol/protocolVersion': REVISIONS[MODERN],
  'io.modelcontextprotocol/clientCapabilities': {},
  'io.modelcontextprotocol/clientInfo': CLIENT_INFO,
} as const;

/** Writes a request; `id` null makes it a notification. `params._meta` adds to the envelope of a modern one. */
export function controlMessage(id: number | null, method: string, params: object | null, modern: boolean): Buffer {
  const meta = (params as { readonly _meta?: object } | null)?._meta;
  const body = modern ? { ...params, _meta: { ...MODERN_META, ...meta } } : params;
  return Buffer.from(
    JSON.stringify({
      jsonrpc: '2.0',
      ...(id === null ? {} : { id }),
      method,
      ...(body === null ? {} : { params: body }),
    }),
  );
}

/** Parameters of `notifications/cancelled`. @param reason '' = none */
export function cancelledParams(requestId: number, reason: string): object {
  return reason === '' ? { requestId } : { requestId, reason };
}

/** Copies a scanned response whose memory is valid only now. */
export function copyReply(bytes: Uint8Array, length: number, spans: Spans, status = 0, sessionId = ''): ControlReply {
  return { bytes: Buffer.from(bytes.subarray(0, length)), spans: spans.copy(), status, sessionId };
}

/** Scans a body that should be one response. @returns null if it is none */
export function scanResponse(decoder: Decoder, bytes: Uint8Array): Spans | null {
  const spans = new Spans();
  if (scanServerMessage(decoder, bytes, bytes.length, spans) !== ScanStatus.ok) return null;
  return spans.kind === Kind.response ? spans : null;
}

/** The `result` of a reply. @throws ControlError of kind `rpc` or `invalid` */
export function resultOf(reply: ControlReply): Record<string, unknown> {
  const { bytes, spans } = reply;
  if ((spans.flags & Flag.isErrorResponse) !== 0) {
    const error = JSON.parse(bytes.toString('utf8', spans.errorStart, spans.errorEnd)) as {
      code?: unknown;
      message?: unknown;
      data?: unknown;
    } | null;
    const code = typeof error?.code === 'number' ? error.code : 0;
    const text = typeof error?.message === 'string' ? error.message : '';
    throw new ControlError('rpc', `the upstream answered with error ${code}`, code, error?.data, text);
  }
  if ((spans.flags & Flag.resultIsObject) === 0) {
    throw new ControlError('invalid', 'the upstream answered without a result object');
  }
  return JSON.parse(bytes.toString('utf8', spans.resultStart, spans.resultEnd)) as Record<string, unknown>;
}

/** The integer in `bytes[start, end)`, also when it is quoted; -1 for anything that is no id of the gateway. */
export function parseId(bytes: Uint8Array, start: number, end: number): number {
  let from = start;
  let to = end;
  // Some servers return ids as strings; the gateway uses no other ids of that form.
  if (bytes[from] === 0x22) {
    from += 1;
    to -= 1;
  }
  if (from < 0 || to <= from || to - from > 15) return -1;
  let value = 0;
  for (let index = from; index < to; index += 1) {
    const digit = bytes[index]! - 0x30;
    if (digit < 0 || digit > 9) return from === start ? integerOf(bytes, start, end) : -1;
    value = value * 10 + digit;
  }
  return value;
}

/** The integer in a number such as `5.0`, as serialisers write one that is a double to them; -1 for any other number. */
function integerOf(bytes: Uint8Array, start: number, end: number): number {
  const value = Number(String.fromCharCode(...bytes.subarray(start, end)));
  return Number.isSafeInteger(value) && value >= 0 ? value : -1;
}

/**
 * Whether a response that came in answer to the request with that id, and to no other one, is the response to it. An error may
 * have the id `null`, none, or a text of the server's own, where the server refused the request before it read the id
 * (JSON-RPC 2.0 section 5).
 */
export function isResponseTo(bytes: Uint8Array, spans: Spans, id: number): boolean {
  const named = parseId(bytes, spans.idStart, spans.idEnd);
  return named === id || (named < 0 && (spans.flags & Flag.isErrorResponse) !== 0);
}

/** An error response with another id, or with one where it had none. */
export function errorUnderId(bytes: Uint8Array, spans: Spans, id: number): Buffer {
  const error = bytes.subarray(spans.errorStart, spans.errorEnd);
  return Buffer.concat([Buffer.from(`{"jsonrpc":"2.0","id":${id},"error":`), error, Buffer.from('}')]);
}
