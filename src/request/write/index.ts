/**
 * write: answers back to the client, as one JSON body or as a stream of events, with the client's ids restored;
 * and the end of an exchange.
 */

import { Flag, Kind, Method } from '../../../native/layout.js';
import type { Spans } from '../../../native/spans.js';
import type { Current } from '../../config/snapshot/current.js';
import { ERROR_CODES, ERRORS, type ErrorCode } from '../../errors.js';
import { levelNumber } from '../../protocol/levels.js';
import { Era } from '../../protocol/revisions.js';
import type { GatewayIdentity } from '../../shared/gateway-identity.js';
import { Verdict } from '../../shared/ring/records.js';
import { type Exchange, MessageFlag, Phase, Verb } from '../exchange/index.js';
import { detach, leaveToCache, sendAhead } from './ahead.js';
import { type AnswerSettings, CacheAnswers, type LeaderResults } from './cache-answers.js';
import { type ChallengeConfig, challenge } from './challenge.js';
import { errorBody, withRetryAfter } from './error-body.js';
import { JSON_HEAD, NO_HEAD, withFields } from './heads.js';
import { LargeAnswers } from './large.js';
import type { AnswerLimits } from './limit-fields.js';
import { loginLink } from './login-link.js';
import { EventStreams, keeps, needsStream, type StreamLog, type VariantNames } from './streams.js';
import { composeResult, translateResponse } from './translate.js';
import { keepUnknown, type OfferedNames } from './unknown.js';
import { replacementOf, statusOf, URL_ELICITATION_REQUIRED } from './upstream-errors.js';

/** Requests of upstreams to clients, as far as answers have to do with them (src/server-requests). */
export interface ClientQuestions {
  /**
   * A modern upstream answers a legacy client with `input_required`.
   *
   * @returns false when the client cannot be asked: the answer is an error
   */
  inputRequired(exchange: Exchange, bytes: Uint8Array, length: number, spans: Spans): boolean;
  /** An upstream answered -32042; false = a modern client cannot be told in its way, an older one gets the error. */
  urlRequired(exchange: Exchange, bytes: Uint8Array, length: number, spans: Spans): boolean;
  /** A user has to log in at a page of the gateway; false = a modern client cannot be told in its way. */
  loginRequired(exchange: Exchange, url: string): boolean;
  /** The call has ended without an answer of its upstream, which waits for answers of the client. */
  callEnded(exchange: Exchange): void;
  /** The call was answered by its upstream, which waits for answers of the client. */
  callAnswered(exchange: Exchange): void;
}

/** Names in answers; follows a reload (src/control/identity.ts). */
export interface AnswerNames extends GatewayIdentity {
  /** Name of a server as a JSON string token, or null. */
  serverName(index: number): Uint8Array | null;
  /** Why a server is not usable, for clients, as a JSON string token; null = it is. */
  serverReason(index: number): Uint8Array | null;
}

/** What write works with. */
export interface WriteParts {
  readonly config: Current<ChallengeConfig> & AnswerSettings;
  readonly identity: AnswerNames;
  readonly catalogs: OfferedNames;
  readonly cache: LeaderResults;
  readonly limits: AnswerLimits;
  /** Keeps the events of streams that may be resumed. */
  readonly log: StreamLog;
  readonly routes: VariantNames;
  readonly accounting: {
    /** Counts and logs an exchange that is about to be given back. */
    finished(exchange: Exchange): void;
  };
  readonly exchanges: {
    /** Takes an exchange back. */
    release(exchange: Exchange): void;
    /** Its client is answered, but its call goes on. */
    suspended(exchange: Exchange): void;
  };
}

const NO_BYTES = Buffer.alloc(0);
/** Refusals for a reason that passes soon. */
const RETRY_SOON: ReadonlySet<ErrorCode> = new Set([
  'GW_OVERLOADED',
  'GW_DRAINING',
  'GW_AUTH_UNAVAILABLE',
  'GW_BUFFERS_FULL',
]);
const RETRY_HEAD: readonly string[] = Object.freeze([...JSON_HEAD, 'retry-after', '1']);

/** The stage; one per front. */
export class WriteStage {
  readonly #parts: WriteParts;
  /** Streamed answers. */
  readonly streams: EventStreams;
  /** Answers too large to be held. */
  readonly large: LargeAnswers;
  readonly #cached: CacheAnswers;
  #questions: ClientQuestions | null = null;

  constructor(parts: WriteParts) {
    this.#parts = parts;
    this.streams = new EventStreams(parts.log, parts.routes, parts.limits);
    this.#cached = new CacheAnswers(parts.config, parts.cache);
    this.large = new LargeAnswers(this, parts.identity, parts.cache);
  }

  /** Sets who asks clients on behalf of upstreams. Called once after both were made, since questions are written by this stage. */
  attach(questions: ClientQuestions): void {
    this.#questions = questions;
  }

  /** A message of the upstream about this call (CallSink.message). */
  message(exchange: Exchange, bytes: Uint8Array, length: number, spans: Spans): void {
    if (spans.kind === Kind.response) this.#response(exchange, bytes, length, spans);
    else if (spans.kind === Kind.notification) this.#notification(exchange, bytes, length, spans);
  }

  #response(exchange: Exchange, bytes: Uint8Array, length: number, spans: Spans): void {
    const flags = spans.flags;
    exchange.call.upstream = null;
    exchange.call.isErrorResult = (flags & Flag.isError) !== 0;
    if (this.#asksBack(exchange, bytes, length, spans, flags)) return;
    const leads = exchange.verdict.kind === Verdict.lead;
    const replaced = replacementOf(exchange, flags, spans.errorCode);
    if (replaced === 'GW_INPUT_REQUIRED_UNSUPPORTED' && exchange.client.era === Era.legacy) {
      this.unanswerable(exchange, replaced, ERRORS[replaced].sentence);
      return;
    }
    if (replaced !== null) {
      this.fail(exchange, replaced);
      return;
    }
    if (exchange.call.openRequests > 0) this.#questions?.callAnswered(exchange);
    const status = statusOf(exchange, flags, spans.errorCode);
    const head = leads ? this.#cached.forwardedHead(exchange) : NO_HEAD;
    if (status === 200) this.#openNeeded(exchange, head);
    const composer = this.streams.begin(exchange);
    translateResponse(composer, exchange, bytes, length, spans, this.#parts.identity.serverInfo);
    if (leads) this.#cached.settle(exchange, bytes, length, spans, composer, this.streams.prefix(exchange));
    if (exchange.client.reply === null && !keeps(exchange)) {
      this.#finish(exchange);
      return;
    }
    if ((flags & Flag.isErrorResponse) !== 0) exchange.client.error = 'GW_UPSTREAM_ERROR';
    if (exchange.client.streaming) this.#endStream(exchange);
    else this.#json(exchange, status, withFields(head));
  }

  /** Whether an answer that asks the client for something is taken care of. */
  #asksBack(exchange: Exchange, bytes: Uint8Array, length: number, spans: Spans, flags: number): boolean {
    if ((flags & (Flag.resultInputRequired | Flag.isErrorResponse)) === 0) return false;
    if ((flags & Flag.isErrorResponse) === 0) {
      if (exchange.client.era === Era.modern) return false;
      // A result that depends on answers of one client is not shared (2026-07-28, caching).
      this.leadNoLonger(exchange);
      return this.#questions?.inputRequired(exchange, bytes, length, spans) ?? false;
    }
    if (spans.errorCode !== URL_ELICITATION_REQUIRED) return false;
    return this.#questions?.urlRequired(exchange, bytes, length, spans) ?? false;
  }

  /**
   * Sends one message on the stream of a call, which is opened if it is not yet: a request of the upstream, or a
   * notification that belongs to the call.
   *
   * @returns false when nothing can be sent there: the client left for good, or takes no stream
   */
  event(exchange: Exchange, message: Uint8Array): boolean {
    const { streams } = this;
    if (!streams.takes(exchange)) return false;
    streams.open(exchange);
    streams.begin(exchange).put(message);
    streams.send(exchange);
    return true;
  }

  #notification(exchange: Exchange, bytes: Uint8Array, length: number, spans: Spans): void {
    const { streams } = this;
    if (!streams.takes(exchange)) return;
    if (spans.method === Method.progress) {
      const start = spans.progressTokenStart;
      if (exchange.client.progressLength === 0 || start < 0) return;
      streams.open(exchange);
      const composer = streams.begin(exchange);
      composer.range(bytes, 0, start).range(exchange.client.progress, 0, exchange.client.progressLength);
      composer.range(bytes, spans.progressTokenEnd, length);
    } else if (spans.method === Method.message) {
      const start = spans.levelStart;
      if (start < 0 || levelNumber(bytes, start, spans.levelEnd) < exchange.client.logLevel) return;
      streams.open(exchange);
      streams.begin(exchange).range(bytes, 0, length);
    } else {
      return;
    }
    streams.send(exchange);
  }

  #endStream(exchange: Exchange): void {
    this.streams.sendLast(exchange);
    this.#finish(exchange);
  }

  #json(exchange: Exchange, status: number, head: readonly string[]): void {
    const { composer } = this.streams;
    exchange.client.status = status;
    exchange.client.bytesOut += composer.length;
    exchange.client.reply!.send(status, this.head(exchange, head), composer.bytes, 0, composer.length);
    this.#finish(exchange);
  }

  /** A head with what the client's origin needs besides. */
  head(exchange: Exchange, head: readonly string[]): readonly string[] {
    return this.streams.head(exchange, head);
  }

  /** Answers the client's request with a result, but keeps the exchange: its call goes on upstream without a client. */
  suspend(exchange: Exchange, result: Uint8Array): void {
    if (exchange.client.reply !== null) {
      this.#openNeeded(exchange, NO_HEAD);
      composeResult(this.streams.begin(exchange), exchange, result);
      sendAhead(exchange, this.streams, JSON_HEAD);
    }
    this.leadNoLonger(exchange);
    this.#detach(exchange);
    exchange.enter(Phase.parked);
  }

  /**
   * Answers the client's request with an old answer of the cache, its head in front, but keeps the exchange: its call goes on for
   * the cache alone (RFC 5861 section 3).
   */
  cachedAhead(exchange: Exchange, answer: Buffer): void {
    if (exchange.client.reply !== null) {
      const head = this.#cached.open(answer);
      this.#openNeeded(exchange, head);
      this.#cached.compose(this.streams.begin(exchange), exchange, answer);
      sendAhead(exchange, this.streams, withFields(head));
    }
    this.#detach(exchange);
    leaveToCache(exchange);
  }

  #detach(exchange: Exchange): void {
    this.#parts.accounting.finished(exchange);
    this.#parts.exchanges.suspended(exchange);
    detach(exchange);
  }

  /**
   * A result that is ready as bytes: prepared answers.
   *
   * @param head fields besides the media type
   */
  result(exchange: Exchange, result: Uint8Array, head: readonly string[] = NO_HEAD): void {
    if (exchange.client.reply === null && !keeps(exchange)) {
      this.#finish(exchange);
      return;
    }
    this.#openNeeded(exchange, head);
    composeResult(this.streams.begin(exchange), exchange, result);
    if (exchange.client.streaming) this.#endStream(exchange);
    else this.#json(exchange, 200, withFields(head));
  }

  /** An answer of the response cache, its head in front. */
  cached(exchange: Exchange, answer: Buffer): void {
    if (exchange.client.reply === null && !keeps(exchange)) {
      this.#finish(exchange);
      return;
    }
    const head = this.#cached.open(answer);
    this.#openNeeded(exchange, head);
    this.#cached.compose(this.streams.begin(exchange), exchange, answer);
    if (exchange.client.streaming) this.#endStream(exchange);
    else this.#json(exchange, 200, withFields(head));
  }

  /** A whole message that is ready as it is. */
  whole(exchange: Exchange, message: Uint8Array): void {
    this.#openNeeded(exchange, NO_HEAD);
    this.streams.begin(exchange).put(message);
    if (exchange.client.streaming) this.#endStream(exchange);
    else this.#json(exchange, 200, JSON_HEAD);
  }

  /** Opens the stream of an answer that cannot be JSON. @param head fields besides the media type */
  #openNeeded(exchange: Exchange, head: readonly string[]): void {
    if (needsStream(exchange)) this.streams.open(exchange, head);
  }

  /** Ends with a status and no body (202 for notifications, 200 for a DELETE). */
  empty(exchange: Exchange, status: number): void {
    if (exchange.client.reply !== null) {
      exchange.client.status = status;
      exchange.client.reply.send(status, this.head(exchange, NO_HEAD), NO_BYTES, 0, 0);
    }
    this.#finish(exchange);
  }

  /** A refusal before a decision: bad input, no token. */
  refuse(exchange: Exchange, code: ErrorCode): void {
    let head: readonly string[] = JSON_HEAD;
    if (ERRORS[code].status === 401) {
      // Nothing is wrong with a token that was not sent (RFC 6750 section 3.1).
      const reason = code === 'GW_UNAUTHENTICATED' ? null : 'invalid_token';
      head = [...JSON_HEAD, 'www-authenticate', challenge(this.#parts.config.current, exchange.client, reason, '')];
    } else if (ERRORS[code].status === 405) {
      // A GET or DELETE is refused only to clients without sessions, which have nothing but POST.
      const allowed = exchange.message.detail || (exchange.message.verb === Verb.post ? 'POST, GET, DELETE' : 'POST');
      head = [...JSON_HEAD, 'allow', allowed];
    } else if (RETRY_SOON.has(code)) {
      head = RETRY_HEAD;
    }
    this.#error(exchange, code, head, 0);
  }

  /**
   * A denial of the policy; the words are in `exchange.verdict`.
   *
   * @param payload the scopes for the challenge, space separated; of GW_AUTH_UNAVAILABLE, what the check waits for
   * @param bytes the body that was judged
   */
  deny(exchange: Exchange, payload: string, bytes: Uint8Array): void {
    const code = ERROR_CODES[exchange.verdict.error] ?? 'GW_INTERNAL';
    keepUnknown(exchange, code, bytes, this.#parts.catalogs);
    if (code === 'GW_INSUFFICIENT_SCOPE') {
      const value = challenge(this.#parts.config.current, exchange.client, 'insufficient_scope', payload);
      this.#error(exchange, code, [...JSON_HEAD, 'www-authenticate', value], 0);
    } else if (code === 'GW_RATE_LIMITED') {
      const { limit, retryAfterMs } = exchange.verdict;
      const wait = Math.max(1, retryAfterMs);
      exchange.call.detail = this.#parts.limits.sentence(limit, wait);
      this.#error(exchange, code, [...JSON_HEAD, ...this.#parts.limits.refusal(limit, wait)], wait);
    } else {
      if (code === 'GW_AUTH_UNAVAILABLE') exchange.call.detail = payload;
      this.refuse(exchange, code);
    }
  }

  /**
   * Ends a call of a legacy client that could not be asked or gave no answer: the result of a tool says why, so that the
   * model learns of it; other calls fail with the error (2026-07-28, multi round-trip requests towards older clients).
   */
  unanswerable(exchange: Exchange, code: ErrorCode, sentence: string): void {
    if (exchange.message.spans.method !== Method.toolsCall) {
      this.fail(exchange, code);
      return;
    }
    this.leadNoLonger(exchange);
    if (exchange.call.openRequests > 0) this.#questions?.callEnded(exchange);
    exchange.client.error = code;
    this.result(exchange, Buffer.from(JSON.stringify({ content: [{ type: 'text', text: sentence }], isError: true })));
  }

  /** The answer is for this client alone: waiters of its cache key get another leader. */
  leadNoLonger(exchange: Exchange): void {
    if (exchange.verdict.kind !== Verdict.lead) return;
    this.#parts.cache.release(exchange, false);
    exchange.verdict.kind = Verdict.forward;
  }

  /** A failure after the decision: in-band, on the stream if one is open; or an older answer of the cache, if a rule says so. */
  fail(exchange: Exchange, code: ErrorCode): void {
    const link = code === 'GW_UPSTREAM_LOGIN' ? loginLink(exchange) : '';
    if (link !== '') {
      if (exchange.client.era === Era.modern) this.leadNoLonger(exchange);
      if (this.#questions?.loginRequired(exchange, link) === true) return;
    }
    if (exchange.verdict.kind === Verdict.lead) {
      const answer = this.#cached.fallbackOf(exchange, ERRORS[code].source === 'upstream');
      if (answer !== null) {
        if (exchange.call.openRequests > 0) this.#questions?.callEnded(exchange);
        this.cached(exchange, answer);
        return;
      }
    }
    const wait = ERRORS[code].retryable ? exchange.call.retryAfterMs : 0;
    this.#error(exchange, code, code === 'GW_BUFFERS_FULL' ? RETRY_HEAD : withRetryAfter(JSON_HEAD, wait), wait);
  }

  #error(exchange: Exchange, code: ErrorCode, head: readonly string[], retryAfterMs: number): void {
    exchange.client.error = code;
    if (exchange.call.openRequests > 0) this.#questions?.callEnded(exchange);
    if (exchange.client.reply === null && !keeps(exchange)) {
      this.#finish(exchange);
      return;
    }
    const row = ERRORS[code];
    if ((exchange.message.flags & MessageFlag.noAnswer) !== 0 && row.status === 200) {
      this.empty(exchange, 202);
      return;
    }
    // A refusal with a status of its own is JSON for every client, as on the SDK's servers.
    if (row.status === 200) this.#openNeeded(exchange, NO_HEAD);
    const { identity } = this.#parts;
    const { server } = exchange.call;
    const isUpstream = row.source === 'upstream';
    errorBody(this.streams.begin(exchange), exchange, code, {
      upstream: isUpstream ? identity.serverName(server) : null,
      // Where a user has to log in, the detail is the reason, with the link.
      reason: isUpstream && code !== 'GW_UPSTREAM_LOGIN' ? identity.serverReason(server) : null,
      retryAfterMs,
      limit: code === 'GW_RATE_LIMITED' ? this.#parts.limits.path(exchange.verdict.limit) : '',
    });
    if (exchange.client.streaming) this.#endStream(exchange);
    else this.#json(exchange, row.status, head);
  }

  /** The client cancelled: the stream ends without an answer (MCP, cancellation). */
  cancelled(exchange: Exchange): void {
    exchange.client.error = 'GW_CANCELLED';
    if (exchange.call.openRequests > 0) this.#questions?.callEnded(exchange);
    if (exchange.verdict.kind === Verdict.lead) this.#parts.cache.release(exchange, false);
    if (exchange.client.reply !== null) this.streams.open(exchange);
    if (exchange.client.streaming) this.streams.end(exchange);
    this.#finish(exchange);
  }

  /** The client takes bytes again. */
  drained(exchange: Exchange): void {
    exchange.call.upstream?.resume(exchange);
  }

  /**
   * Nothing more will be written: counts the exchange and gives it back.
   *
   * @param code why; default: its client left
   */
  abandon(exchange: Exchange, code: ErrorCode = 'GW_CANCELLED'): void {
    exchange.client.error ??= code;
    this.#finish(exchange);
  }

  /** Everything is written: counts the exchange and gives it back. */
  complete(exchange: Exchange): void {
    this.#finish(exchange);
  }

  #finish(exchange: Exchange): void {
    if (exchange.phase === Phase.done || exchange.phase === Phase.free) return;
    exchange.enter(Phase.done);
    if (exchange.call.openRequests > 0) this.#questions?.callEnded(exchange);
    this.#parts.accounting.finished(exchange);
    this.large.forget(exchange);
    this.#parts.exchanges.release(exchange);
  }
}
