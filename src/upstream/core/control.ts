/**
 * The gateway's own requests to an upstream (handshake, lists, subscriptions): few, so clarity comes before speed.
 */

import type { Decoder } from '../../../native/layout.js';
import { Flag, Kind, ScanStatus } from '../../../native/layout.js';
import { Spans } from '../../../native/spans.js';
import { packageVersion } from '../../package-root.js';
import { UPSTREAM_DEPTH } from '../../protocol/depth.js';
import { MODERN, REVISIONS } from '../../protocol/revisions.js';
import type { Milliseconds } from '../../units.js';

export { UPSTREAM_DEPTH };

/** Ids of control requests lie below those of calls, which start at 65,536 (request/exchanges.ts). */
export const FIRST_CALL_ID = 65_536;

/** An answer to a control request; owns its bytes. */
export interface ControlReply {
  readonly bytes: Buffer;
  /** The scan of `bytes`. */
  readonly spans: Spans;
  /** HTTP only. */
  readonly status: number;
  /** HTTP only: `Mcp-Session-Id` of the answer, '' if none. */
  readonly sessionId: string;
}

/** Something that carries control requests. */
export interface ControlChannel {
  /**
   * @param params members of `params`; the envelope of a modern upstream is added
   * @throws ControlError
   */
  request(method: string, params: object | null, options: { timeoutMs: Milliseconds }): Promise<ControlReply>;
}

/** Why a control request has no usable answer. The message holds nothing of the upstream's text. */
export class ControlError extends Error {
  /**
   * `closed` nothing came back, `timeout`, `refused` 401 or 403, `http` another status without a JSON-RPC answer,
   * `rpc` a JSON-RPC error, `invalid` an answer that is none, `unreachable` no connection.
   */
  readonly kind: 'closed' | 'timeout' | 'refused' | 'http' | 'rpc' | 'invalid' | 'unreachable';
  /** HTTP status or JSON-RPC code, else 0. */
  readonly number: number;
  /** For `rpc`: `error.data`. */
  readonly data: unknown;

  constructor(kind: ControlError['kind'], message: string, number = 0, data: unknown = undefined) {
    super(message);
    this.name = 'ControlError';
    this.kind = kind;
    this.number = number;
    this.data = data;
  }
}

/** How the gateway names itself to upstreams. */
export const CLIENT_INFO = { name: 'switchyard', version: packageVersion } as const;

/** The envelope of the gateway's own modern requests (MCP 2026-07-28, per-request metadata). */
export const MODERN_META = {
  'io.modelcontextprotocol/protocolVersion': REVISIONS[MODERN],
  'io.modelcontextprotocol/clientCapabilities': {},
  'io.modelcontextprotocol/clientInfo': CLIENT_INFO,
} as const;

/** Writes a request; `id` null makes it a notification. */
export function controlMessage(id: number | null, method: string, params: object | null, modern: boolean): Buffer {
  const body = modern ? { ...params, _meta: MODERN_META } : params;
  return Buffer.from(
    JSON.stringify({
      jsonrpc: '2.0',
      ...(id === null ? {} : { id }),
      method,
      ...(body === null ? {} : { params: body }),
    }),
  );
}

/** Copies a scanned response out of memory that is about to go away. */
export function keepReply(bytes: Uint8Array, length: number, spans: Spans, status = 0, sessionId = ''): ControlReply {
  return { bytes: Buffer.from(bytes.subarray(0, length)), spans: spans.copy(), status, sessionId };
}

/** Scans a whole body that should be one response. @returns null if it is none */
export function scanResponse(decoder: Decoder, bytes: Uint8Array): Spans | null {
  const spans = new Spans();
  if (decoder.scan(bytes, bytes.length, spans.words, UPSTREAM_DEPTH) !== ScanStatus.ok) return null;
  return spans.kind === Kind.response ? spans : null;
}

/** The `result` of a reply. @throws ControlError of kind `rpc` or `invalid` */
export function resultOf(reply: ControlReply): Record<string, unknown> {
  const { bytes, spans } = reply;
  if ((spans.flags & Flag.isErrorResponse) !== 0) {
    const error = JSON.parse(bytes.toString('utf8', spans.errorStart, spans.errorEnd)) as {
      code?: unknown;
      data?: unknown;
    } | null;
    const code = typeof error?.code === 'number' ? error.code : 0;
    throw new ControlError('rpc', `the upstream answered with error ${code}`, code, error?.data);
  }
  if ((spans.flags & Flag.resultIsObject) === 0) {
    throw new ControlError('invalid', 'the upstream answered without a result object');
  }
  return JSON.parse(bytes.toString('utf8', spans.resultStart, spans.resultEnd)) as Record<string, unknown>;
}

interface Pending {
  readonly resolve: (reply: ControlReply) => void;
  readonly reject: (error: ControlError) => void;
  readonly timer: NodeJS.Timeout;
}

/** Control requests that wait for an answer on a channel shared with calls (stdio). */
export class PendingControls {
  readonly #pending = new Map<number, Pending>();
  #next = 0;

  /** @returns the id to send and the promise of its answer */
  open(timeoutMs: Milliseconds): { id: number; reply: Promise<ControlReply> } {
    do this.#next = (this.#next % (FIRST_CALL_ID - 1)) + 1;
    while (this.#pending.has(this.#next));
    const id = this.#next;
    const reply = new Promise<ControlReply>((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#pending.delete(id);
        reject(new ControlError('timeout', 'the upstream did not answer in time'));
      }, timeoutMs);
      this.#pending.set(id, { resolve, reject, timer });
    });
    // Whoever asked may have lost interest (a raced probe); that must not count as unhandled.
    reply.catch(() => {});
    return { id, reply };
  }

  /** @returns whether a request of that id was waiting */
  settle(id: number, bytes: Uint8Array, length: number, spans: Spans): boolean {
    const waiting = this.#pending.get(id);
    if (waiting === undefined) return false;
    this.#pending.delete(id);
    clearTimeout(waiting.timer);
    waiting.resolve(keepReply(bytes, length, spans));
    return true;
  }

  /** Fails one. @returns whether a request of that id was waiting */
  fail(id: number, error: ControlError): boolean {
    const waiting = this.#pending.get(id);
    if (waiting === undefined) return false;
    this.#pending.delete(id);
    clearTimeout(waiting.timer);
    waiting.reject(error);
    return true;
  }

  /** Fails all of them. */
  failAll(error: ControlError): void {
    for (const waiting of this.#pending.values()) {
      clearTimeout(waiting.timer);
      waiting.reject(error);
    }
    this.#pending.clear();
  }
}

/** The integer in `bytes[start, end)`, also when it is quoted; -1 for anything that is no id of ours. */
export function parseId(bytes: Uint8Array, start: number, end: number): number {
  let from = start;
  let to = end;
  // Some servers hand ids back as strings; nothing else of ours looks like that, so it is taken.
  if (bytes[from] === 0x22) {
    from += 1;
    to -= 1;
  }
  if (from < 0 || to <= from || to - from > 15) return -1;
  let value = 0;
  for (let index = from; index < to; index += 1) {
    const digit = bytes[index]! - 0x30;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return value;
}
