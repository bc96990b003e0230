/** Stops what is under way for clients that cancel a request or leave, in the way of their family and of their transport. */
import { findMember, stringValue } from '../protocol/json-cursor.js';
import { Era } from '../protocol/revisions.js';
import { Verdict } from '../shared/ring/records.js';
import { type Exchange, Phase } from './exchange/index.js';
import type { ExchangeTable } from './exchange/table.js';

/** Longest reason of a cancellation that is passed on, in characters; a longer one is cut. */
const MAX_REASON = 1_024;

/** What {@link Cancellation} works with. */
export interface CancellationParts {
  readonly table: ExchangeTable;
  readonly dispatch: {
    /** The exchange is does not need its verdict, or the result it waits for, any more. */
    forget(exchange: Exchange): void;
    /** The exchange leads a cache key and will have no result. */
    release(exchange: Exchange, hasFailed: boolean): void;
  };
  readonly write: {
    /** Ends the answer of a cancelled request. */
    cancelled(exchange: Exchange): void;
    /** Gives back an exchange whose client is disconnected. */
    abandon(exchange: Exchange): void;
  };
  readonly streams: {
    /** The client of a long-lived stream is disconnected. */
    streamClosed(exchange: Exchange): void;
  };
}

/** See the file comment; one per front. */
export class Cancellation {
  readonly #parts: CancellationParts;

  constructor(parts: CancellationParts) {
    this.#parts = parts;
  }

  /**
   * A client cancels its request with the id `bytes[start, end)` (`notifications/cancelled`): of its session, or on the
   * same connection where that carries many messages.
   *
   * @returns whether there was one
   */
  cancel(origin: Exchange, bytes: Uint8Array, start: number, end: number): boolean {
    const { link } = origin.client;
    // By id: the table may have dropped the session's state and built it again.
    const sessionId = origin.client.session?.id;
    const reason = reasonOf(origin, bytes);
    let isFound = false;
    this.#parts.table.forEach((exchange) => {
      if (exchange === origin) return;
      const { client } = exchange;
      if (link !== null) {
        if (client.link !== link) return;
      } else if (client.session === null || client.session.id !== sessionId) {
        return;
      }
      if (client.idLength !== end - start) return;
      for (let index = 0; index < client.idLength; index += 1) {
        if (client.id[index] !== bytes[start + index]) return;
      }
      if (!this.#stop(exchange, reason)) return;
      isFound = true;
      this.#parts.write.cancelled(exchange);
    });
    return isFound;
  }

  /** The client is disconnected before the answer was complete; its Reply is without effect. */
  disconnected(exchange: Exchange): void {
    const { client, phase } = exchange;
    const { dispatch, streams, write } = this.#parts;
    if (client.link !== null) {
      this.#linkClosed(exchange);
      return;
    }
    // A batch ends when its elements have: they answer into it.
    if (client.batch !== null) return;
    const { upstream } = exchange.call;
    if (phase === Phase.accepting) {
      write.abandon(exchange);
    } else if (phase === Phase.deciding) {
      dispatch.forget(exchange);
      write.abandon(exchange);
    } else if (phase === Phase.asking) {
      // A legacy client may still answer on another request, and resume the stream for the result.
    } else if (upstream === null) {
      if (phase === Phase.streaming) {
        streams.streamClosed(exchange);
        write.abandon(exchange);
      }
    } else if (client.era === Era.modern) {
      // 2026-07-28: closing the response stream is the cancellation.
      this.#cancelUpstream(exchange);
      write.abandon(exchange);
    } else {
      // Before 2026-07-28 a lost connection is not a cancellation: the call goes on and its answer is dropped.
      upstream.resume(exchange);
    }
  }

  /** A closed connection cannot be resumed: its requests end with it, in both families. */
  #linkClosed(exchange: Exchange): void {
    const { batch } = exchange.client;
    const { table, write } = this.#parts;
    if (batch === null) {
      this.#stop(exchange);
      write.abandon(exchange);
      return;
    }
    // The batch itself ends with its last element.
    table.forEach((element) => {
      if (element === exchange || element.client.batch !== batch) return;
      this.#stop(element);
      write.cancelled(element);
    });
  }

  /**
   * Stops what is done for an exchange.
   *
   * @param reason the client's, '' = none
   * @returns false when nothing is under way that could be stopped
   */
  #stop(exchange: Exchange, reason = ''): boolean {
    if (exchange.phase === Phase.deciding) this.#parts.dispatch.forget(exchange);
    else if (exchange.call.upstream !== null) this.#cancelUpstream(exchange, reason);
    else if (exchange.phase === Phase.streaming) this.#parts.streams.streamClosed(exchange);
    else return exchange.phase === Phase.asking;
    return true;
  }

  #cancelUpstream(exchange: Exchange, reason = ''): void {
    exchange.call.upstream?.cancel(exchange, reason);
    exchange.call.upstream = null;
    if (exchange.verdict.kind === Verdict.lead) this.#parts.dispatch.release(exchange, false);
  }
}

/** The `reason` of a `notifications/cancelled` (MCP, cancellation), '' = none. */
function reasonOf({ message: { spans } }: Exchange, bytes: Uint8Array): string {
  const reason = findMember(bytes, spans.paramsStart, spans.paramsEnd, 'reason');
  const text = reason === undefined ? undefined : stringValue(bytes, reason.start, reason.end);
  return text === undefined ? '' : text.slice(0, MAX_REASON);
}
