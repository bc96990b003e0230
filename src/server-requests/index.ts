/**
 * Relays requests of upstreams (sampling, elicitation, roots) to the legacy client that they belong to, and its responses
 * back (MCP 2025-11-25, client features). Towards the client each request has an id assigned by the gateway, which is also
 * its progress token; the upstream gets its own id and token back byte for byte.
 */

import { METHODS, Method } from '../../native/layout.js';
import type { Spans } from '../../native/spans.js';
import type { Current } from '../config/snapshot/current.js';
import type { LimitsSnapshot } from '../config/snapshot/index.js';
import { ERRORS } from '../errors.js';
import { applyEdits, type Edit, findPath, parseValue } from '../protocol/json-cursor.js';
import { Accepts, type Exchange, Phase, type SessionLike } from '../request/exchange/index.js';
import type { ExchangeTable } from '../request/exchange/table.js';
import type { Session, SessionTable } from '../session/sessions.js';
import type { Count, Milliseconds } from '../units.js';
import type { Endpoint } from '../upstream/core/types.js';
import { clientRequestFor } from './client-request.js';
import { Elicitations } from './elicitations.js';
import { type Call, callOf, isUnderWay, type OpenRequest, OpenRequests, type Outcome } from './open-requests.js';
import { copy, digits, errorMessage, relayed } from './relayed-messages.js';
import { WaitingRequests } from './waiting-requests.js';

/** What {@link ServerRequests} works with. */
export interface ServerRequestsParts {
  readonly config: Current<{ readonly limits: Pick<LimitsSnapshot, 'maxServerRequests' | 'answerMs'> }>;
  readonly table: Pick<ExchangeTable, 'forEach'>;
  readonly sessions: Pick<SessionTable, 'open'>;
  readonly write: {
    /** Sends one message on the stream of a call; false = the client disconnected or does not accept a stream. */
    event(exchange: Exchange, message: Uint8Array): boolean;
  };
  readonly streams: {
    /** Sends one message on the standalone stream of a session; false = it has none. */
    sendTo(session: Session, message: Uint8Array): boolean;
  };
  readonly upstreams: {
    /** The roots of a session changed. */
    rootsChanged(sessionId: string): void;
  };
}

/** Counts of server requests, for /stats. */
export interface ServerRequestCounts {
  /** Without a response at this moment. */
  readonly open: Count;
  readonly answered: Count;
  /** Not relayed: the client lacks the capability or a stream, or too many requests are open. */
  readonly refused: Count;
  /** Not relayed: the client that they belong to could not be determined. */
  readonly unattributable: Count;
  /** Not answered within `limits.answerMs`. */
  readonly expired: Count;
  /** Responses to requests that had ended, that never existed, or that were sent to another client. */
  readonly late: Count;
}

const METHOD_NOT_FOUND = -32601;
const INTERNAL_ERROR = -32603;
/**
 * Ids start above those that clients use, so that a client that cancels its own request 7 does not cancel a request of an
 * upstream.
 */
const FIRST_ID = 1_000_000_000;
/** Lower bound of the open requests to one session. */
const MIN_PER_SESSION: Count = 10;
/** Longest id or token that is parsed. */
const MAX_DIGITS = 16;
/** Lower bound of the timer: each run checks all open requests. */
const MIN_TIMER_MS: Milliseconds = 20;
/** Upper bound of setTimeout. */
const MAX_TIMER_MS: Milliseconds = 2 ** 31 - 1;
const NO_STREAM = 'The client has no stream open on which the request could be sent.';
const NO_STREAM_ACCEPTED = `The client has no stream open on which the request could be sent. ${ERRORS.GW_STREAM_REQUIRED.sentence}`;
const CANCELLED = METHODS[Method.cancelled];

/** See the file comment. The router calls it for legacy clients, the write stage for their answers; one per front. */
export class ServerRequests {
  readonly #parts: ServerRequestsParts;
  readonly #open = new OpenRequests();
  readonly #waiting = new WaitingRequests();
  readonly #elicitations = new Elicitations();
  readonly #counts = { answered: 0, refused: 0, unattributable: 0, expired: 0, late: 0 };
  #nextId = FIRST_ID;
  #timer: NodeJS.Timeout | undefined;
  /** When the timer is due. */
  #timerAt: Milliseconds = 0;

  constructor(parts: ServerRequestsParts) {
    this.#parts = parts;
  }

  get counts(): ServerRequestCounts {
    return { open: this.#open.size, ...this.#counts };
  }

  /**
   * Relays a request of an upstream to the legacy client that it belongs to, or refuses it.
   *
   * @param exchange the call that it belongs to; null = it belongs to the owner of the endpoint, if that is a session
   */
  serverRequest(endpoint: Endpoint, exchange: Exchange | null, bytes: Uint8Array, length: number, spans: Spans): void {
    const upstreamId = copy(bytes, spans.idStart, spans.idEnd);
    const refuse = (code: number, sentence: string): void => endpoint.reply(errorMessage(upstreamId, code, sentence));
    const sessionId =
      exchange === null ? (endpoint.profile.owner?.sessionId ?? '') : (exchange.client.session?.id ?? '');
    const session = sessionId === '' ? null : this.#parts.sessions.open(sessionId);
    if (session === null) {
      this.#counts.unattributable += 1;
      refuse(INTERNAL_ERROR, 'The gateway cannot determine the client that this request is for.');
      return;
    }
    const content = bytes.subarray(0, length);
    const start = spans.paramsStart;
    const params = start < 0 ? undefined : { start, end: spans.paramsEnd };
    const adapted = clientRequestFor(session, spans.method, content, params);
    if (adapted.refusal !== '' || this.#isFull(sessionId)) {
      this.#counts.refused += 1;
      if (adapted.refusal !== '') refuse(METHOD_NOT_FOUND, adapted.refusal);
      else refuse(INTERNAL_ERROR, 'Too many requests wait for responses of clients.');
      return;
    }
    const id = this.#newId();
    const token = spans.progressTokenStart;
    const ours = Buffer.from(String(id));
    const edits: Edit[] = [...adapted.edits, { start: spans.idStart, end: spans.idEnd, text: ours }];
    if (token >= 0) edits.push({ start: token, end: spans.progressTokenEnd, text: ours });
    const calls = exchange === null ? this.#callsAt(endpoint, sessionId) : [exchange];
    const request: OpenRequest = {
      id,
      sessionId,
      endpoint,
      upstreamId,
      upstreamToken: token < 0 ? null : copy(bytes, token, spans.progressTokenEnd),
      call: exchange === null ? null : callOf(exchange),
      waitingCalls: calls.map(callOf),
      expiresAt: performance.now() + this.#parts.config.current.limits.answerMs,
      outcome: null,
    };
    // The calls that wait for the answer would wait for a stream that their client excludes.
    const isExcluded = calls.length > 0 && calls.every(takesNoStream);
    if (!this.#send(request, isExcluded ? null : session, applyEdits(content, 0, length, edits))) {
      this.#counts.refused += 1;
      refuse(INTERNAL_ERROR, isExcluded ? NO_STREAM_ACCEPTED : NO_STREAM);
      return;
    }
    if (adapted.elicitationId !== '') {
      this.#elicitations.add(endpoint, adapted.elicitationId, { sessionId, call: request.call });
    }
  }

  /**
   * Sends a request of the gateway itself to the client of a call.
   *
   * @param params raw JSON, null = none
   * @param outcome called at most once, and not after the call has ended
   * @returns false when the client has no stream or too many requests are open
   */
  ask(exchange: Exchange, method: string, params: Uint8Array | null, outcome: Outcome): boolean {
    if (exchange.client.session === null || this.#isFull(exchange.client.session.id)) return false;
    const id = this.#newId();
    const call = callOf(exchange);
    const request: OpenRequest = {
      id,
      sessionId: exchange.client.session.id,
      endpoint: null,
      upstreamId: Buffer.alloc(0),
      upstreamToken: null,
      call,
      waitingCalls: [call],
      expiresAt: performance.now() + this.#parts.config.current.limits.answerMs,
      outcome,
    };
    const head = `{"jsonrpc":"2.0","id":${id},"method":${JSON.stringify(method)}`;
    const parts = params === null ? [head, '}'] : [`${head},"params":`, params, '}'];
    if (this.#send(request, null, Buffer.concat(parts.map((part) => Buffer.from(part))))) return true;
    this.#counts.refused += 1;
    return false;
  }

  /** A notification of an upstream: `notifications/cancelled` or `notifications/elicitation/complete`. */
  serverNotification(endpoint: Endpoint, bytes: Uint8Array, length: number, spans: Spans): void {
    if (spans.method === Method.cancelled) {
      const start = spans.requestIdStart;
      const end = spans.requestIdEnd;
      if (start < 0) return;
      const upstreamId = bytes.subarray(start, end);
      const request = this.#open.ofEndpoint(endpoint).find((open) => Buffer.compare(open.upstreamId, upstreamId) === 0);
      if (request === undefined || !this.#open.remove(request) || this.#waiting.remove(request)) return;
      const ours = { start, end, text: Buffer.from(String(request.id)) };
      this.#notify(request, applyEdits(bytes, 0, length, [ours]));
    } else if (spans.method === Method.elicitationComplete) {
      const id = findPath(bytes.subarray(0, length), 0, length, 'params', 'elicitationId');
      const text = id === undefined ? undefined : parseValue(bytes, id.start, id.end);
      const recipient = typeof text === 'string' ? this.#elicitations.complete(endpoint, text) : null;
      if (recipient !== null) this.#notify(recipient, copy(bytes, 0, length));
    }
  }

  /** Remembers the elicitations in an error -32042 to a legacy client; the error itself is passed on unchanged. */
  urlRequired(exchange: Exchange, bytes: Uint8Array, length: number, spans: Spans): void {
    const { session } = exchange.client;
    const list = findPath(bytes.subarray(0, length), spans.errorStart, spans.errorEnd, 'data');
    const data = list === undefined ? undefined : parseValue(bytes, list.start, list.end);
    const elicitations = (data as { elicitations?: unknown } | null | undefined)?.elicitations;
    if (session === null || !Array.isArray(elicitations)) return;
    for (const each of elicitations.slice(0, 100)) {
      const id: unknown = each?.elicitationId;
      if (typeof id === 'string') {
        this.#elicitations.add(exchange.call.server, id, { sessionId: session.id, call: null });
      }
    }
  }

  /** A client's response to a server request; `exchange` holds the message. */
  clientResponse(exchange: Exchange, bytes: Uint8Array): void {
    const { spans } = exchange.message;
    const request = this.#findFor(exchange, bytes, spans.idStart, spans.idEnd);
    if (request === null || !this.#open.remove(request)) {
      this.#counts.late += 1;
      return;
    }
    this.#counts.answered += 1;
    const { endpoint, outcome, upstreamId } = request;
    endpoint?.reply(relayed(bytes, spans.idStart, spans.idEnd, upstreamId));
    outcome?.(
      spans.resultStart < 0 ? null : copy(bytes, spans.resultStart, spans.resultEnd),
      spans.errorStart < 0 ? null : copy(bytes, spans.errorStart, spans.errorEnd),
    );
  }

  /** A client's notification: progress of a server request, or changed roots. */
  clientNotification(exchange: Exchange, bytes: Uint8Array): void {
    const { spans } = exchange.message;
    const { session } = exchange.client;
    if (spans.method === Method.progress) {
      const start = spans.progressTokenStart;
      const request = this.#findFor(exchange, bytes, start, spans.progressTokenEnd);
      if (request === null || request.upstreamToken === null) return;
      request.endpoint?.reply(relayed(bytes, start, spans.progressTokenEnd, request.upstreamToken));
    } else if (spans.method === Method.rootsListChanged && session !== null) {
      this.#parts.upstreams.rootsChanged(session.id);
    }
  }

  /**
   * A client cancels something that is not its own request. If it is a server request, the upstream gets an error response:
   * a relayed notification would name a request of the client there.
   */
  clientCancelled(exchange: Exchange, bytes: Uint8Array, start: number, end: number): void {
    const request = this.#findFor(exchange, bytes, start, end);
    if (request !== null && this.#open.remove(request)) this.#end(request, 'The client cancelled this request.');
  }

  /** The call has ended: its requests are cancelled at the client, and the upstream gets errors. */
  callEnded(exchange: Exchange): void {
    for (const request of this.#open.ofCall(exchange)) {
      if (request.call?.exchange === exchange) this.#endWithCall(request);
    }
    this.#open.detachCall(exchange);
  }

  /**
   * The upstream has answered the call. What it asked on the call's own stream is no longer needed. Where the call was only
   * inferred, an answer without that response shows that the request does not belong to the call: it stays open.
   */
  callAnswered(exchange: Exchange): void {
    for (const request of this.#open.ofCall(exchange)) {
      if (request.call?.exchange === exchange && !isOfSession(request)) this.#endWithCall(request);
    }
    this.#open.detachCall(exchange);
  }

  /** Sends the requests that waited for a stream of this session. @param exchange a request of it that can have a stream */
  deliverWaiting(session: SessionLike, exchange: Exchange | null): void {
    const waiting = this.#waiting.take(session);
    for (const { request, message } of waiting) {
      if (this.#open.find(request.id) !== request) continue;
      if (exchange !== null && this.#parts.write.event(exchange, message)) continue;
      if (!this.#deliver(request, message)) this.#waiting.add(session, { request, message });
    }
  }

  /** The endpoint disconnected: its requests are cancelled at the clients. */
  endpointDisconnected(endpoint: Endpoint): void {
    for (const request of this.#open.ofEndpoint(endpoint)) {
      if (this.#open.remove(request)) this.#cancel(request);
    }
  }

  /** The session ended: upstreams get errors for the requests to it. */
  sessionEnded(sessionId: string): void {
    this.#waiting.drop(sessionId);
    for (const request of this.#open.ofSession(sessionId)) {
      if (this.#open.remove(request)) this.#end(request, 'The session of the client has ended.');
    }
  }

  /** Stops the timer and drops all requests. */
  close(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#open.clear();
    this.#waiting.clear();
    this.#elicitations.clear();
  }

  /** Whether `maxServerRequests`, or the tenth of it that one session may use, is reached. */
  #isFull(sessionId: string): boolean {
    const { maxServerRequests } = this.#parts.config.current.limits;
    if (this.#open.size >= maxServerRequests) return true;
    return this.#open.countOf(sessionId) >= Math.max(MIN_PER_SESSION, maxServerRequests / 10);
  }

  #newId(): number {
    const id = this.#nextId;
    this.#nextId += 1;
    return id;
  }

  /**
   * Registers a request and sends it; the response may arrive before this returns.
   *
   * @param session the owner of the endpoint, for which the request may wait until it has a stream; null = it does not wait
   */
  #send(request: OpenRequest, session: SessionLike | null, message: Uint8Array): boolean {
    this.#open.add(request);
    this.#schedule(request.expiresAt);
    if (this.#deliver(request, message)) return true;
    if (session !== null && request.endpoint?.profile.owner?.sessionId === session.id) {
      this.#waiting.add(session, { request, message });
      return true;
    }
    this.#open.remove(request);
    return false;
  }

  #deliver({ call, sessionId }: OpenRequest, message: Uint8Array): boolean {
    if (call !== null && isUnderWay(call) && this.#parts.write.event(call.exchange, message)) return true;
    return this.#toSession(sessionId, message) || (call === null && this.#toAnyRequest(sessionId, message));
  }

  /** The stream of any request of the session reaches the client. */
  #toAnyRequest(sessionId: string, message: Uint8Array): boolean {
    let isSent = false;
    this.#parts.table.forEach((exchange) => {
      if (isSent || exchange.client.session?.id !== sessionId) return;
      if (exchange.phase !== Phase.sending && exchange.phase !== Phase.streaming) return;
      isSent = this.#parts.write.event(exchange, message);
    });
    return isSent;
  }

  /** Sends a notification about a request: on the stream of its call where that is open, else on the standalone stream. */
  #notify(about: { readonly call: Call | null; readonly sessionId: string }, message: Uint8Array): void {
    const { call, sessionId } = about;
    if (
      call !== null &&
      isUnderWay(call) &&
      call.exchange.client.streaming &&
      this.#parts.write.event(call.exchange, message)
    ) {
      return;
    }
    this.#toSession(sessionId, message);
  }

  #toSession(sessionId: string, message: Uint8Array): boolean {
    const session = this.#parts.sessions.open(sessionId);
    return session !== null && this.#parts.streams.sendTo(session, message);
  }

  /** The calls of a session in flight at an endpoint. */
  #callsAt(endpoint: Endpoint, sessionId: string): Exchange[] {
    const calls: Exchange[] = [];
    this.#parts.table.forEach((exchange) => {
      if (exchange.call.upstream === endpoint && exchange.client.session?.id === sessionId) calls.push(exchange);
    });
    return calls;
  }

  /** A server may wait for the response although its call has ended. */
  #endWithCall(request: OpenRequest): void {
    if (!this.#open.remove(request)) return;
    this.#cancel(request);
    request.endpoint?.reply(errorMessage(request.upstreamId, INTERNAL_ERROR, 'The call of this request has ended.'));
  }

  /** Cancels a request at the client, unless it was never sent there. */
  #cancel(request: OpenRequest): void {
    if (this.#waiting.remove(request)) return;
    const params = { requestId: request.id, reason: 'The response is no longer needed.' };
    this.#notify(request, Buffer.from(JSON.stringify({ jsonrpc: '2.0', method: CANCELLED, params })));
  }

  /** Ends a request without a response of the client. */
  #end({ endpoint, upstreamId, outcome }: OpenRequest, sentence: string): void {
    endpoint?.reply(errorMessage(upstreamId, INTERNAL_ERROR, sentence));
    outcome?.(null, null);
  }

  /** The open request with the id `bytes[start, end)`, if it was sent to the session of `exchange`. */
  #findFor({ client: { session } }: Exchange, bytes: Uint8Array, start: number, end: number): OpenRequest | null {
    const id = start < 0 || end - start > MAX_DIGITS ? Number.NaN : digits(bytes, start, end);
    const request = this.#open.find(id);
    return request !== undefined && session?.id === request.sessionId ? request : null;
  }

  readonly #expire = (): void => {
    const now = performance.now();
    this.#timer = undefined;
    let next = Number.POSITIVE_INFINITY;
    for (const request of this.#open.all()) {
      if (request.expiresAt > now) {
        next = Math.min(next, request.expiresAt);
      } else if (this.#open.remove(request)) {
        this.#counts.expired += 1;
        this.#cancel(request);
        this.#end(request, 'The client did not answer in time.');
      }
    }
    if (next < Number.POSITIVE_INFINITY) this.#schedule(next);
  };

  /** Makes sure that expired requests are looked for at that time, or earlier. */
  #schedule(time: Milliseconds): void {
    if (this.#timer !== undefined && this.#timerAt <= time) return;
    clearTimeout(this.#timer);
    this.#timerAt = time;
    const wait = Math.max(MIN_TIMER_MS, time - performance.now());
    this.#timer = setTimeout(this.#expire, Math.min(wait, MAX_TIMER_MS)).unref();
  }
}

/** Whether the client of a call excluded event streams from its answer. */
function takesNoStream({ client }: Exchange): boolean {
  return client.reply !== null && (client.accepts & Accepts.sse) === 0;
}

/** Whether a request came on the connection of a session, where no stream tells which call it belongs to. */
function isOfSession({ endpoint }: OpenRequest): boolean {
  return endpoint !== null && endpoint.transport !== 'http' && (endpoint.profile.owner?.sessionId ?? '') !== '';
}
