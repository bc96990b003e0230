import type { Snapshot } from '../../../config/snapshot/index.js';
import type { ErrorCode } from '../../../errors.js';
import type { VerdictRecord } from '../../../shared/ring/verdict-record.js';
import type { Count, Milliseconds } from '../../../units.js';
import type { Caller } from '../../exchange/caller.js';
import type { ClientLink, Exchange } from '../../exchange/index.js';

/** The answer to a probe. */
export interface PlainAnswer {
  readonly status: number;
  readonly contentType: string;
  readonly body: string | Uint8Array;
}

/** The answer to the browser of a user who logs in at an upstream. */
export interface LoginAnswer extends PlainAnswer {
  /** Where the browser goes next, '' = nowhere. */
  readonly location: string;
  /** `Set-Cookie`, '' = none. */
  readonly cookie: string;
}

/**
 * What accept passes requests to. An exchange given to `request`, `stream`, `terminate` or `refuse` belongs to the
 * handler from then on: it answers through `exchange.client.reply` and releases the exchange, also after `aborted`.
 */
export interface FrontHandler {
  /**
   * A POST on the endpoint with its whole body.
   *
   * @param bytes the body; valid only during the call, `length` bytes of it count
   */
  request(exchange: Exchange, bytes: Uint8Array, length: number): void;
  /** A GET on the endpoint, or a request to open a connection, which has a `link` and no session: 200 authorizes it. */
  stream(exchange: Exchange): void;
  /** A DELETE on the endpoint. */
  terminate(exchange: Exchange): void;
  /** A request that accept refuses: answers with the error `code`. Called without the body. */
  refuse(exchange: Exchange, code: ErrorCode): void;
  /** A connection that carries many messages is closed; this ends the session that it opened, as a DELETE does. */
  ended(sessionId: string): void;
  /** A WebSocket was closed because it sent too many small frames (`limits.smallFrameRate`). @param address of the client */
  tooManyFrames(address: string): void;
  /** Headers of a proxy were ignored, since the peer is not one of `trustedProxies`. Called once for each configuration. */
  ignoredProxy(address: string): void;
  /**
   * A connection was opened, or began a session, with a token: `ClientLink.end` ends it when the token is no longer valid.
   *
   * @param verdict that authorized it; valid during the call
   */
  connected(link: ClientLink, caller: Caller, verdict: VerdictRecord): void;
  /** A connection is closed, {@link connected} or not. */
  disconnected(link: ClientLink): void;
  /** The queue towards the client of a streamed answer is empty again. */
  drained(exchange: Exchange): void;
  /** The client disconnected before the answer was complete. `exchange.client.reply` has no effect any more. */
  aborted(exchange: Exchange): void;
  /** The answer to a probe (`/health`, `/ready`); `null` = the path is unknown. */
  plain(path: string): PlainAnswer | null;
  /**
   * A GET of `/oauth/login` or `/oauth/callback`; null = no upstream wants logins. The promise never rejects.
   *
   * @param cookies `Cookie` of the request, '' = none
   */
  login(path: string, query: string, cookies: string): Promise<LoginAnswer> | null;
}

/** Where a front end writes warnings. */
export interface FrontEndLog {
  warn(sentence: string): void;
}

/** Which HTTP server runs: uWebSockets.js, or node:http where its binary does not load. */
export type FrontEndKind = 'uws' | 'node';

/** What clients connect to; the gateway opens and owns it. */
export interface ClientListener {
  /** Client connections open now. */
  connections(): Count;
  /** Puts the rules of another snapshot (hosts, origins, sizes) into force; the address stays. */
  reconfigure(snapshot: Snapshot): void;
  /** Accepts no more connections. HTTP answers from now on carry `Connection: close`. */
  stopListening(): void;
  /**
   * Stops listening, waits until complete answers have reached their clients, then cuts every connection.
   *
   * @param graceMs how long answers may take; default 0 = cut at once
   */
  close(graceMs?: Milliseconds): Promise<void>;
}

/** The listener of the data port. */
export interface FrontEnd extends ClientListener {
  readonly kind: FrontEndKind;
  /** Where it listens; the port is the actual one when 0 was configured. */
  readonly address: { readonly host: string; readonly port: number };
}
