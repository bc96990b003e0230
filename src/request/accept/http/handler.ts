import type { Snapshot } from '../../../config/snapshot.js';
import type { ErrorCode } from '../../../errors.js';
import type { VerdictRecord } from '../../../shared/verdict-record.js';
import type { Count, Milliseconds } from '../../../units.js';
import type { ClientLink, Exchange } from '../../exchange/index.js';
import type { ExchangeTable } from '../../exchange/table.js';

/** A finished answer to a path that is not the MCP endpoint. */
export interface PlainAnswer {
  readonly status: number;
  readonly contentType: string;
  readonly body: string | Uint8Array;
}

/**
 * What accept hands requests to. An exchange given to `request`, `stream`, `terminate` or `refuse` belongs to the
 * handler from then on: it answers through `exchange.reply` and releases the exchange, also after `aborted`.
 */
export interface FrontHandler {
  /**
   * A POST on the endpoint with its whole body.
   *
   * @param bytes the body; valid only during the call, `length` bytes of it count
   */
  request(exchange: Exchange, bytes: Uint8Array, length: number): void;
  /** A GET on the endpoint; on a connection without a session (`link`) whether it may be opened, answered with 200. */
  stream(exchange: Exchange): void;
  /** A DELETE on the endpoint. */
  terminate(exchange: Exchange): void;
  /** A request that must not go further: render the row of `code`, then release. Never called with a body. */
  refuse(exchange: Exchange, code: ErrorCode): void;
  /** A connection that carries many messages is gone, and with it the session that it opened (as by a DELETE). */
  ended(sessionId: string): void;
  /** A WebSocket was closed because it sent too many small frames (`limits.smallFrameRate`). @param address of the client */
  tooManyFrames(address: string): void;
  /**
   * A connection was opened, or began a session, with a token: it ends when that is not good any more (`ClientLink.end`).
   *
   * @param verdict that let it in; valid during the call
   */
  connected(link: ClientLink, token: string, verdict: VerdictRecord): void;
  /** A connection is gone, {@link connected} or not. */
  disconnected(link: ClientLink): void;
  /** The queue towards the client of a streamed answer is empty again. */
  drained(exchange: Exchange): void;
  /** The client is gone before the answer was complete. `exchange.reply` is already without effect. */
  aborted(exchange: Exchange): void;
  /** Answers `/health` and `/ready`; `null` = nothing at this path. */
  plain(path: string): PlainAnswer | null;
}

/** What {@link openFrontEnd} needs. */
export interface FrontEndOptions {
  readonly snapshot: Snapshot;
  readonly table: ExchangeTable;
  readonly handler: FrontHandler;
  /** Called with one sentence a warning; default: nothing is said. */
  readonly warn?: (sentence: string) => void;
}

/** Which HTTP server runs: uWebSockets.js, or node:http where its binary does not load. */
export type FrontEndKind = 'uws' | 'node';

/** The listening side of the data port. */
export interface FrontEnd {
  readonly kind: FrontEndKind;
  /** Where it listens; the port is the real one when 0 was asked for. */
  readonly address: { readonly host: string; readonly port: number };
  /** Client connections open now. */
  connections(): Count;
  /** Puts another snapshot's host, origin and size rules into force; address and front end stay. */
  reconfigure(snapshot: Snapshot): void;
  /** Takes no more connections; answers from now on carry `Connection: close`. */
  stopListening(): void;
  /**
   * Stops listening, lets answers that are complete reach their clients, then cuts every connection.
   *
   * @param graceMs how long answers may take; default 0 = cut at once
   */
  close(graceMs?: Milliseconds): Promise<void>;
}
