import type { ErrorCode } from '../../errors.js';
import type { Exchange } from '../../request/exchange/index.js';
import type { Bytes, Count } from '../../units.js';
import { ControlError, FIRST_CALL_ID, parseId } from '../core/control.js';
import { type MessageEdges, readEdges } from './message-edges.js';
import type { SkippedMessage } from './skipped-message.js';

/** The calls of a channel: its endpoint. */
export interface LosingCalls {
  callOf(id: number): Exchange | null;
  callsInFlight(): Exchange[];
  fail(exchange: Exchange, error: ErrorCode, sent: boolean, detail: string): void;
  /** Sends a response to a request of the server. */
  reply(bytes: Buffer): void;
}

/** The gateway's own requests on the channel. */
export interface LosingRequests {
  readonly size: Count;
  /** The id of the only one that waits. */
  readonly onlyId: number;
  fail(id: number, error: ControlError): boolean;
}

/**
 * Fails the call, or the gateway's own request, whose response arrived but cannot be used, as soon as that is certain: by the
 * id where it can be read, else because nothing else is in flight. Owned by the endpoint.
 */
export class LostAnswers {
  readonly #calls: LosingCalls;
  readonly #requests: LosingRequests;

  constructor(calls: LosingCalls, requests: LosingRequests) {
    this.#calls = calls;
    this.#requests = requests;
  }

  /** Whether a call is in flight under the id as it is spelled in a message. */
  hasCall(id: string): boolean {
    return this.#calls.callOf(parseId(Buffer.from(id), 0, id.length)) !== null;
  }

  /** @returns whether a call or request has failed because of it */
  skipped(message: SkippedMessage, maxLineBytes: Bytes): boolean {
    const { size, error } = message;
    const edges = readEdges(message.head, message.tail);
    const detail =
      error === 'GW_RESPONSE_TOO_LARGE'
        ? `It has ${size} bytes, limits.maxLineBytes is ${maxLineBytes}.`
        : `There was no room for the response of ${size} bytes.`;
    if (edges.kind === 'request' && edges.id !== '') {
      const reason = JSON.stringify({ code: -32_603, message: `The request is too large for the client. ${detail}` });
      this.#calls.reply(Buffer.from(`{"jsonrpc":"2.0","id":${edges.id},"error":${reason}}`));
    }
    return this.lost(edges, error, detail);
  }

  /**
   * @param detail sentences for the client, after the one of `error`
   * @returns whether a call or request has failed
   */
  lost(edges: MessageEdges, error: ErrorCode, detail: string): boolean {
    if (edges.kind === 'request' || (edges.kind === null && !edges.hasVersion)) return false;
    if (edges.id !== '') return this.#fail(parseId(Buffer.from(edges.id), 0, edges.id.length), error, detail);
    if (edges.kind === null) return false;
    const calls = this.#calls.callsInFlight();
    const only = calls[0];
    if (calls.length + this.#requests.size !== 1) return false;
    return this.#fail(only === undefined ? this.#requests.onlyId : only.call.upstreamId, error, detail);
  }

  #fail(id: number, error: ErrorCode, detail: string): boolean {
    if (id >= 0 && id < FIRST_CALL_ID) return this.#requests.fail(id, new ControlError('invalid', unusable(detail)));
    const exchange = this.#calls.callOf(id);
    if (exchange === null) return false;
    this.#calls.fail(exchange, error, true, detail);
    return true;
  }
}

function unusable(detail: string): string {
  return `the upstream sent a response that cannot be used: ${detail.charAt(0).toLowerCase()}${detail.slice(1, -1)}`;
}
