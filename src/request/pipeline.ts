/**
 * Connects the stages on the front: requests from accept go to decode, decoded messages to dispatch, decisions to send,
 * to the local answers or to write. The stages do not import each other.
 */

import { type Decoder, Kind, Method } from '../../native/layout.js';
import type { Current } from '../config/snapshot/current.js';
import type { Snapshot } from '../config/snapshot/index.js';
import { restrictsLists } from '../config/snapshot/restrictions.js';
import type { ErrorCode } from '../errors.js';
import { Era } from '../protocol/revisions.js';
import { CacheOutcome, outcomeOf } from '../shared/cache/answer-head.js';
import type { FaultLog } from '../shared/fault-log.js';
import { Operation, Verdict } from '../shared/ring/records.js';
import type { VerdictRecord } from '../shared/ring/verdict-record.js';
import type { FrontHandler, LoginAnswer, PlainAnswer } from './accept/http/handler.js';
import { BatchReply } from './batch.js';
import type { CallLimits } from './call-limits.js';
import type { Cancellation } from './cancellation.js';
import type { DecodedMessages, DecodeStage } from './decode/index.js';
import type { DecidedExchanges } from './dispatch/options.js';
import type { Caller } from './exchange/caller.js';
import { Accepts, type ClientLink, type Exchange, MessageFlag, Phase, type SessionLike } from './exchange/index.js';
import type { ExchangeTable } from './exchange/table.js';
import type { Shedding } from './overload/index.js';
import type { SendStage } from './send/index.js';
import type { FirstLists, HeldRequests } from './write/first-lists.js';
import type { WriteStage } from './write/index.js';
import type { LocalAnswers } from './write/local.js';

/** What the pipeline works with, in the order in which a request meets it. */
export interface PipelineParts {
  readonly config: Current<Pick<Snapshot, 'auth' | 'routes' | 'views'>>;
  readonly table: ExchangeTable;
  readonly accounting: {
    /** Whether every exchange keeps its body, for the access log: it names tools. */
    readonly keepsBodies: boolean;
  };
  readonly decode: DecodeStage;
  readonly decoder: Pick<Decoder, 'splitBatch'>;
  /** `limits.maxBatch`: elements allowed in one batch. */
  readonly maxBatch: number;
  /** Tasks whose ids are sealed (src/session/tasks.ts). */
  readonly tasks: {
    /** Leaves the address of the tool that made the task in `exchange.message.decodedName`. */
    nameTool(exchange: Exchange, bytes: Uint8Array): void;
  };
  readonly dispatch: PipelineDispatch;
  readonly parked: {
    /**
     * A call of a modern client with answers to earlier questions (`inputResponses`, `requestState`).
     *
     * @returns true when it belongs to a call that is under way and goes on with it
     */
    resume(exchange: Exchange, bytes: Uint8Array, length: number): boolean;
  };
  readonly questions: {
    /** Sends the requests of upstreams that waited for a stream of this session; `exchange` can have one. */
    deliverWaiting(session: SessionLike, exchange: Exchange | null): void;
  };
  readonly shedding: Pick<Shedding, 'beforeDecision' | 'beforeSending'>;
  readonly callLimits: Pick<CallLimits, 'admit'>;
  readonly send: SendStage;
  readonly firstLists: FirstLists;
  readonly local: LocalAnswers;
  readonly write: WriteStage;
  readonly cancellation: Cancellation;
  /** Rights of connections to stay open (src/session/rights.ts). */
  readonly rights: {
    hold(link: ClientLink, caller: Caller, verdict: VerdictRecord): void;
    release(link: ClientLink): void;
  };
  readonly ends: {
    /** The connection that opened a session is closed. */
    sessionClosed(sessionId: string): void;
  };
  readonly readiness: {
    /** Answers `/health` and `/ready`; null = nothing is at this path. */
    page(path: string): PlainAnswer | null;
  };
  /** Logins of users at upstreams. */
  readonly logins: {
    /** See {@link FrontHandler.login}. */
    page(path: string, query: string, cookies: string): Promise<LoginAnswer> | null;
  };
  readonly log: PipelineLog;
}

/** What the pipeline hands to its stages and takes back. */
export interface PipelineDispatch {
  attach(next: DecidedExchanges): void;
  dispatch(exchange: Exchange, bytes: Uint8Array, length: number): void;
  /** The exchange is no longer interested in its verdict or in the result it waits for. */
  forget(exchange: Exchange): void;
  /** The exchange leads a cache key and will have no result. @param hasFailed its upstream has failed */
  release(exchange: Exchange, hasFailed: boolean): void;
}

/** What is logged of connections and faults. */
export interface PipelineLog extends FaultLog {
  /** A WebSocket was closed for the rate of its frames. */
  tooManyFrames(address: string): void;
  ignoredProxy(address: string): void;
}

/** One per front; see the file comment. */
export class Pipeline implements FrontHandler, DecodedMessages, DecidedExchanges, HeldRequests {
  readonly #parts: PipelineParts;
  readonly #elements: Int32Array;

  constructor(parts: PipelineParts) {
    this.#parts = parts;
    this.#elements = new Int32Array(2 * parts.maxBatch);
    parts.decode.attach(this);
    parts.dispatch.attach(this);
    parts.firstLists.attach(this);
  }

  request(exchange: Exchange, bytes: Uint8Array, length: number): void {
    const { generation } = exchange;
    try {
      exchange.client.bytesIn = length;
      if (this.#parts.accounting.keepsBodies) {
        const body = Buffer.from(bytes.subarray(0, length));
        exchange.message.body = body;
        exchange.message.bodyLength = length;
        this.#parts.decode.decode(exchange, body, length);
      } else {
        this.#parts.decode.decode(exchange, bytes, length);
      }
    } catch (error) {
      this.contain(exchange, generation, error);
    }
  }

  stream(exchange: Exchange): void {
    this.#operation(exchange, Operation.stream);
  }

  terminate(exchange: Exchange): void {
    this.#operation(exchange, Operation.terminate);
  }

  #operation(exchange: Exchange, operation: Method): void {
    const { generation } = exchange;
    try {
      this.#parts.decode.operation(exchange, operation);
    } catch (error) {
      this.contain(exchange, generation, error);
    }
  }

  refuse(exchange: Exchange, code: ErrorCode): void {
    this.#parts.write.refuse(exchange, code);
  }

  /**
   * Ends one exchange whose stage threw, so that a mistake costs one request and not all of them: what calls the
   * stages (sockets, rings, pipes) ends the process when something is thrown into it.
   */
  contain(exchange: Exchange, generation: number, error: unknown): void {
    const { log, table, write } = this.#parts;
    log.fault(error);
    if (exchange.generation !== generation || exchange.phase === Phase.free) return;
    const { reply } = exchange.client;
    try {
      this.#parts.dispatch.forget(exchange);
      exchange.call.upstream?.cancel(exchange);
      exchange.call.upstream = null;
      write.fail(exchange, 'GW_INTERNAL');
    } catch (second) {
      log.fault(second);
      try {
        reply?.abort();
      } finally {
        table.release(exchange);
      }
    }
  }

  login(path: string, query: string, cookies: string): Promise<LoginAnswer> | null {
    return this.#parts.logins.page(path, query, cookies);
  }

  plain(path: string): PlainAnswer | null {
    return this.#parts.readiness.page(path);
  }

  ended(sessionId: string): void {
    try {
      this.#parts.ends.sessionClosed(sessionId);
    } catch (error) {
      this.#parts.log.fault(error);
    }
  }

  tooManyFrames(address: string): void {
    this.#parts.log.tooManyFrames(address);
  }

  ignoredProxy(address: string): void {
    this.#parts.log.ignoredProxy(address);
  }

  connected(link: ClientLink, caller: Caller, verdict: VerdictRecord): void {
    this.#parts.rights.hold(link, caller, verdict);
  }

  disconnected(link: ClientLink): void {
    this.#parts.rights.release(link);
  }

  drained(exchange: Exchange): void {
    this.#parts.write.drained(exchange);
  }

  aborted(exchange: Exchange): void {
    exchange.client.reply = null;
    this.#parts.cancellation.disconnected(exchange);
  }

  /** decode is done. */
  decoded(exchange: Exchange, bytes: Uint8Array, length: number): void {
    const { shedding, table, write } = this.#parts;
    if (shedding.beforeDecision(exchange)) return;
    if (!table.count(exchange, length)) {
      write.refuse(exchange, 'GW_BUFFERS_FULL');
      return;
    }
    exchange.enter(Phase.deciding);
    const method = exchange.message.spans.method;
    if (method >= Method.tasksGet && method <= Method.tasksUpdate) this.#parts.tasks.nameTool(exchange, bytes);
    this.#parts.dispatch.dispatch(exchange, bytes, length);
  }

  /**
   * dispatch is done: the verdict is in `exchange.verdict`.
   *
   * @param payload the scopes or the detail of a denial, or an answer of the cache; valid during the call
   */
  decided(exchange: Exchange, bytes: Uint8Array, length: number, payload: Buffer): void {
    const { generation } = exchange;
    try {
      this.#decided(exchange, bytes, length, payload);
    } catch (error) {
      this.contain(exchange, generation, error);
    }
  }

  released(exchange: Exchange, bytes: Uint8Array, length: number): void {
    const { generation } = exchange;
    try {
      exchange.message.flags |= MessageFlag.waited | MessageFlag.unmetered;
      // What was listed meanwhile is not judged yet.
      if (restrictsLists(this.#parts.config.current)) this.#parts.dispatch.dispatch(exchange, bytes, length);
      else this.#parts.local.answer(exchange, bytes, length);
    } catch (error) {
      this.contain(exchange, generation, error);
    }
  }

  #decided(exchange: Exchange, bytes: Uint8Array, length: number, payload: Buffer): void {
    const { verdict } = exchange;
    const { session } = exchange.client;
    const { write } = this.#parts;
    const kind = verdict.kind;
    if (kind === Verdict.deny) {
      write.deny(exchange, payload.toString('utf8'), bytes);
      return;
    }
    // A session exists only for the subject that initialized it.
    if (session !== null && !verdict.isFor(session.subject)) {
      if (kind === Verdict.lead) this.#parts.dispatch.release(exchange, false);
      write.refuse(exchange, 'GW_SESSION_NOT_FOUND');
      return;
    }
    const subject = exchange.client.link?.subject ?? null;
    if (subject !== null && !verdict.isFor(subject)) {
      if (kind === Verdict.lead) this.#parts.dispatch.release(exchange, false);
      write.refuse(exchange, 'GW_SESSION_NOT_FOUND');
      return;
    }
    switch (kind) {
      case Verdict.forward:
      case Verdict.lead:
        if (payload.length > 0 && outcomeOf(payload) === CacheOutcome.stale) write.cachedAhead(exchange, payload);
        else if (payload.length > 0) exchange.call.fallback = Buffer.from(payload);
        if (this.#parts.shedding.beforeSending(exchange) || !this.#parts.callLimits.admit(exchange)) return;
        exchange.client.reply?.acknowledged();
        if (
          (exchange.message.flags & MessageFlag.hasInputResponses) !== 0 &&
          this.#parts.parked.resume(exchange, bytes, length)
        )
          return;
        this.#parts.send.send(exchange, bytes, length);
        if (session?.hasWaitingRequests === true) this.#parts.questions.deliverWaiting(session, null);
        return;
      case Verdict.local:
        // A connection may be opened; what comes on it is judged message by message.
        if (session === null && exchange.message.spans.method === Operation.stream) write.empty(exchange, 200);
        else if (!this.#parts.firstLists.hold(exchange, bytes, length)) this.#answer(exchange, bytes, length);
        return;
      case Verdict.cached:
        write.cached(exchange, payload);
        return;
      default:
        write.refuse(exchange, 'GW_INTERNAL');
    }
  }

  /** Requests of upstreams that wait for a stream of the session go before the answer, or on the stream that is opened. */
  #answer(exchange: Exchange, bytes: Uint8Array, length: number): void {
    const { local, questions } = this.#parts;
    const { session } = exchange.client;
    const { kind, method } = exchange.message.spans;
    if (session?.hasWaitingRequests === true && kind === Kind.request && method < Operation.stream) {
      questions.deliverWaiting(session, exchange);
    }
    local.answer(exchange, bytes, length);
    if (session?.hasWaitingRequests === true) questions.deliverWaiting(session, null);
  }

  /** Splits a batch; every element becomes an exchange of its own. */
  batch(parent: Exchange, bytes: Uint8Array, length: number): void {
    const { write, table, decode, decoder } = this.#parts;
    const count = decoder.splitBatch(bytes, length, this.#elements);
    if (count < 0) {
      write.refuse(parent, 'GW_BATCH_REFUSED');
      return;
    }
    // All or nothing: an element without an exchange could not even be answered with its id.
    if (table.capacity - table.inUse < count) {
      write.refuse(parent, 'GW_OVERLOADED');
      return;
    }
    const spans = this.#elements.slice(0, 2 * count);
    const reply = new BatchReply(table.budget, count, (body, isWhole) => {
      if (parent.client.reply === null) {
        write.abandon(parent);
      } else if (!isWhole) {
        write.refuse(parent, 'GW_BUFFERS_FULL');
      } else if (body === null) {
        write.empty(parent, 202);
      } else {
        write.whole(parent, body);
      }
    });
    // Elements answer into the parent, so it must not look finished or cancellable meanwhile.
    parent.enter(Phase.accepting);
    parent.client.batch = reply;
    parent.message.spans.method = Method.unknown;
    const own = Buffer.from(bytes.subarray(0, length));
    for (let index = 0; index < count; index += 1) {
      const element = table.acquire()!;
      copyHead(parent, element);
      element.client.reply = reply;
      element.client.batch = reply;
      const part = own.subarray(spans[2 * index]!, spans[2 * index + 1]!);
      decode.element(element, part, part.length);
    }
  }
}

function copyHead(parent: Exchange, element: Exchange): void {
  element.message.verb = parent.message.verb;
  element.client.accepts = Accepts.json;
  element.client.caller = parent.client.caller;
  element.client.sessionId = parent.client.sessionId;
  element.message.versionHeader = parent.message.versionHeader;
  element.client.headerless = parent.client.headerless;
  element.client.framing = parent.client.framing;
  element.client.link = parent.client.link;
  element.client.remoteAddress = parent.client.remoteAddress;
  element.client.startedAt = parent.client.startedAt;
  element.client.session = parent.client.session;
  element.client.revision = parent.client.revision;
  element.client.era = Era.legacy;
  element.client.logLevel = parent.client.logLevel;
}
