/**
 * A legacy upstream under a modern client: while the upstream waits for an answer, the client's request ends with
 * `input_required` and the call is parked; the client's next request goes on with it (docs/protocol.md, parked calls).
 */
import type { LimitsSnapshot } from '../config/snapshot.js';
import type { ErrorCode } from '../errors.js';
import type { Exchange } from '../request/exchange.js';
import type { ExchangeTable } from '../request/exchanges.js';
import type { Endpoint } from '../upstream/types.js';
import type { HandleSealer } from './handles.js';

/** What {@link ParkedCalls} needs of the rest. */
export interface ParkedCallsOptions {
  readonly limits: Pick<LimitsSnapshot, 'maxParked' | 'maxParkedPerPrincipal' | 'parkMs'>;
  readonly table: ExchangeTable;
  readonly handles: HandleSealer;
  /** Answers the client's request with a result (`bytes` is the whole `result` object) and keeps the exchange. */
  suspend(exchange: Exchange, result: Uint8Array): void;
  /** Passes on what the upstream said at last, as if it came now. */
  message(exchange: Exchange, bytes: Uint8Array, length: number, spans: Int32Array): void;
  fail(exchange: Exchange, code: ErrorCode): void;
  /** Ends a request with an error of the table. */
  refuse(exchange: Exchange, code: ErrorCode): void;
  /** The era of the server that a permitted call goes to; -1 = not known. */
  eraOf(server: number): number;
}

/** See the file comment. */
export class ParkedCalls {
  constructor(_options: ParkedCallsOptions) {}

  /** Calls parked now. */
  get size(): number {
    return 0;
  }

  /** A request of a legacy upstream that belongs to the call of a modern client. */
  asked(_endpoint: Endpoint, _exchange: Exchange, _bytes: Uint8Array, _length: number, _spans: Int32Array): void {}

  /** A call of a modern client with answers. @returns false when it belongs to no parked call and goes its usual way */
  resume(_exchange: Exchange, _bytes: Uint8Array, _length: number): boolean {
    return false;
  }

  /** The upstream's response to a parked call. */
  response(_exchange: Exchange, _bytes: Uint8Array, _length: number, _spans: Int32Array): void {}

  /** A parked call failed. */
  failed(_exchange: Exchange, _code: ErrorCode): void {}

  /** A legacy upstream answered -32042: tells a modern client in its way. @returns false when that is impossible */
  urlRequired(_exchange: Exchange, _bytes: Uint8Array, _length: number, _spans: Int32Array): boolean {
    return false;
  }

  /** The upstream takes a question back. */
  noted(_endpoint: Endpoint, _bytes: Uint8Array, _length: number, _spans: Int32Array): void {}

  /** The endpoint waits no longer for answers. */
  lost(_endpoint: Endpoint): void {}

  /** Ends all of them. */
  close(): void {}
}
