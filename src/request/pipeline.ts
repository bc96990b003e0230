/**
 * The junction of the stages on the front: what accept reports goes to decode, what dispatch decides goes to send or
 * write, and a client that leaves is dealt with in its era's way. The stages do not know each other.
 */

import { Method } from '../../native/layout.js';
import type { ErrorCode } from '../errors.js';
import { Era } from '../protocol/revisions.js';
import { Operation, Verdict } from '../shared/records.js';
import type { VerdictRecord } from '../shared/verdict-record.js';
import type { FrontHandler, PlainAnswer } from './accept/http/handler.js';
import { BatchReply } from './batch.js';
import type { DecodeStage } from './decode/index.js';
import { Accepts, type ClientLink, type Exchange, MessageFlag, Phase } from './exchange/index.js';
import type { ExchangeTable } from './exchange/table.js';
import type { SendStage } from './send/index.js';
import { JSON_HEAD } from './write/heads.js';
import type { WriteStage } from './write/index.js';
import type { LocalAnswers } from './write/local.js';

/** What the junction needs of dispatch. */
export interface PipelineDispatch {
  dispatch(exchange: Exchange, bytes: Uint8Array, length: number): void;
  /** The exchange is no longer interested in its verdict or in the result it waits for. */
  forget(exchange: Exchange): void;
  /** The exchange leads a cache key and will have no result. */
  release(exchange: Exchange): void;
}

/** Tasks whose ids are sealed (src/session/tasks.ts). */
export interface PipelineTasks {
  /** Leaves the address of the tool that made the task in `exchange.decodedName`. */
  nameTool(exchange: Exchange, bytes: Uint8Array): void;
}

export interface PipelineOptions {
  readonly table: ExchangeTable;
  readonly decode: DecodeStage;
  readonly dispatch: PipelineDispatch;
  readonly send: SendStage;
  readonly write: WriteStage;
  readonly local: LocalAnswers;
  /**
   * A call of a modern client with answers to earlier questions (`inputResponses`, `requestState`).
   *
   * @returns true when it belongs to a call that is under way and goes on with it
   */
  resume(exchange: Exchange, bytes: Uint8Array, length: number): boolean;
  /** Splits a batch into (start, end) pairs; -1 when it has more than `limits.maxBatch` elements. */
  splitBatch(bytes: Uint8Array, length: number, out: Int32Array): number;
  /** Elements allowed in one batch. */
  readonly maxBatch: number;
  /** Every exchange keeps its body, for the access log: it names tools. */
  readonly keepBodies: boolean;
  /** A standalone stream's client is gone. */
  streamClosed(exchange: Exchange): void;
  /** See FrontHandler. */
  connected(link: ClientLink, token: string, verdict: VerdictRecord): void;
  disconnected(link: ClientLink): void;
  /** The connection that opened a session is gone. */
  sessionClosed(sessionId: string): void;
  /** Tells what `tasks/*` calls are about. */
  readonly tasks: PipelineTasks;
  /** `/health` and `/ready`. */
  plain(path: string): PlainAnswer | null;
  /** See {@link FrontHandler.tooManyFrames}. */
  tooManyFrames(address: string): void;
  /** A stage threw, which none should: for the log. */
  broke(error: unknown): void;
}

/** One per front; see the file comment. */
export class Pipeline implements FrontHandler {
  readonly #options: PipelineOptions;
  readonly #elements: Int32Array;

  constructor(options: PipelineOptions) {
    this.#options = options;
    this.#elements = new Int32Array(2 * options.maxBatch);
  }

  request(exchange: Exchange, bytes: Uint8Array, length: number): void {
    const { generation } = exchange;
    try {
      exchange.client.bytesIn = length;
      if (this.#options.keepBodies) {
        const body = Buffer.from(bytes.subarray(0, length));
        exchange.message.body = body;
        exchange.message.bodyLength = length;
        this.#options.decode.decode(exchange, body, length);
      } else {
        this.#options.decode.decode(exchange, bytes, length);
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

  #operation(exchange: Exchange, operation: number): void {
    const { generation } = exchange;
    try {
      this.#options.decode.operation(exchange, operation);
    } catch (error) {
      this.contain(exchange, generation, error);
    }
  }

  refuse(exchange: Exchange, code: ErrorCode): void {
    this.#options.write.refuse(exchange, code);
  }

  /**
   * Ends one exchange whose stage threw, so that a mistake costs one request and not all of them: what calls the
   * stages (sockets, rings, pipes) ends the process when something is thrown into it.
   */
  contain(exchange: Exchange, generation: number, error: unknown): void {
    const { broke, table, write } = this.#options;
    broke(error);
    if (exchange.generation !== generation || exchange.phase === Phase.free) return;
    const { reply } = exchange.client;
    try {
      this.#options.dispatch.forget(exchange);
      exchange.call.upstream?.cancel(exchange);
      exchange.call.upstream = null;
      write.fail(exchange, 'GW_INTERNAL');
    } catch (second) {
      broke(second);
      try {
        reply?.abort();
      } finally {
        table.release(exchange);
      }
    }
  }

  plain(path: string): PlainAnswer | null {
    return this.#options.plain(path);
  }

  ended(sessionId: string): void {
    try {
      this.#options.sessionClosed(sessionId);
    } catch (error) {
      this.#options.broke(error);
    }
  }

  tooManyFrames(address: string): void {
    this.#options.tooManyFrames(address);
  }

  connected(link: ClientLink, token: string, verdict: VerdictRecord): void {
    this.#options.connected(link, token, verdict);
  }

  disconnected(link: ClientLink): void {
    this.#options.disconnected(link);
  }

  drained(exchange: Exchange): void {
    this.#options.write.drained(exchange);
  }

  aborted(exchange: Exchange): void {
    exchange.client.reply = null;
    if (exchange.client.link !== null) {
      this.#linkLost(exchange);
      return;
    }
    // A batch ends when its elements have: they answer into it.
    if (exchange.client.batch !== null) return;
    const { phase } = exchange;
    if (phase === Phase.accepting) {
      this.#options.write.abandon(exchange);
    } else if (phase === Phase.deciding) {
      this.#options.dispatch.forget(exchange);
      this.#options.write.abandon(exchange);
    } else if (phase === Phase.asking) {
      // A legacy client that leaves may answer all the same, and come back for the result.
    } else if (exchange.call.upstream === null) {
      if (phase === Phase.streaming) {
        this.#options.streamClosed(exchange);
        this.#options.write.abandon(exchange);
      }
    } else if (exchange.client.era === Era.modern) {
      // 2026-07-28: closing the response stream is the cancellation.
      this.#cancelUpstream(exchange);
      this.#options.write.abandon(exchange);
    } else {
      // Before 2026-07-28 a lost connection is not a cancellation: the call goes on and its answer is dropped.
      exchange.call.upstream.resume(exchange);
    }
  }

  /** Nobody can come back to a connection: what came on it ends with it, whatever the era. */
  #linkLost(exchange: Exchange): void {
    const { batch } = exchange.client;
    if (batch === null) {
      this.#stop(exchange);
      this.#options.write.abandon(exchange);
      return;
    }
    // The batch itself ends with its last element.
    this.#options.table.forEach((element) => {
      if (element === exchange || element.client.batch !== batch) return;
      this.#stop(element);
      this.#options.write.cancelled(element);
    });
  }

  /** Stops what is done for an exchange. @returns false when nothing is under way that could be stopped */
  #stop(exchange: Exchange): boolean {
    if (exchange.phase === Phase.deciding) this.#options.dispatch.forget(exchange);
    else if (exchange.call.upstream !== null) this.#cancelUpstream(exchange);
    else if (exchange.phase === Phase.streaming) this.#options.streamClosed(exchange);
    else return exchange.phase === Phase.asking;
    return true;
  }

  #cancelUpstream(exchange: Exchange): void {
    exchange.call.upstream?.cancel(exchange);
    exchange.call.upstream = null;
    if (exchange.verdict.kind === Verdict.lead) this.#options.dispatch.release(exchange);
  }

  /** decode is done. */
  decoded(exchange: Exchange, bytes: Uint8Array, length: number): void {
    const { table, write } = this.#options;
    if (!table.count(exchange, length)) {
      write.refuse(exchange, 'GW_BUFFERS_FULL');
      return;
    }
    exchange.phase = Phase.deciding;
    const method = exchange.message.spans.method;
    if (method >= Method.tasksGet && method <= Method.tasksUpdate) this.#options.tasks.nameTool(exchange, bytes);
    this.#options.dispatch.dispatch(exchange, bytes, length);
  }

  /**
   * dispatch is done: the verdict is in `exchange.verdict`.
   *
   * @param payload the scopes of a denial or the result bytes of a cached answer; valid during the call
   */
  decided(exchange: Exchange, bytes: Uint8Array, length: number, payload: Uint8Array): void {
    const { generation } = exchange;
    try {
      this.#decided(exchange, bytes, length, payload);
    } catch (error) {
      this.contain(exchange, generation, error);
    }
  }

  #decided(exchange: Exchange, bytes: Uint8Array, length: number, payload: Uint8Array): void {
    const { verdict } = exchange;
    const { session } = exchange.client;
    const { write } = this.#options;
    const kind = verdict.kind;
    if (kind === Verdict.deny) {
      write.deny(exchange, Buffer.from(payload).toString('utf8'), bytes);
      return;
    }
    // A session belongs to the subject that initialized it; to anybody else it does not exist.
    if (session !== null && !sameSubject(session.subject, verdict)) {
      if (kind === Verdict.lead) this.#options.dispatch.release(exchange);
      write.refuse(exchange, 'GW_SESSION_NOT_FOUND');
      return;
    }
    const subject = exchange.client.link?.subject ?? null;
    if (subject !== null && !sameSubject(subject, verdict)) {
      if (kind === Verdict.lead) this.#options.dispatch.release(exchange);
      write.refuse(exchange, 'GW_SESSION_NOT_FOUND');
      return;
    }
    switch (kind) {
      case Verdict.forward:
      case Verdict.lead:
        exchange.client.reply?.taken();
        if (
          (exchange.message.flags & MessageFlag.hasInputResponses) !== 0 &&
          this.#options.resume(exchange, bytes, length)
        )
          return;
        this.#options.send.send(exchange, bytes, length);
        return;
      case Verdict.local:
        // A connection may be opened; what comes on it is judged message by message.
        if (session === null && exchange.message.spans.method === Operation.stream) write.empty(exchange, 200);
        else this.#options.local.answer(exchange, bytes, length);
        return;
      case Verdict.cached:
        write.result(exchange, payload);
        return;
      default:
        write.refuse(exchange, 'GW_INTERNAL');
    }
  }

  /**
   * A client cancels its request with the id `bytes[start, end)` (`notifications/cancelled`): of its session, or on the
   * same connection where that carries many messages.
   *
   * @returns whether there was one
   */
  cancel(origin: Exchange, bytes: Uint8Array, start: number, end: number): boolean {
    const { link } = origin.client;
    // By id: the table may have dropped the session's state meanwhile and made it anew.
    const sessionId = origin.client.session?.id;
    let isFound = false;
    this.#options.table.forEach((exchange) => {
      if (exchange === origin) return;
      if (link !== null) {
        if (exchange.client.link !== link) return;
      } else if (exchange.client.session === null || exchange.client.session.id !== sessionId) {
        return;
      }
      if (exchange.client.idLength !== end - start) return;
      for (let index = 0; index < exchange.client.idLength; index += 1) {
        if (exchange.client.id[index] !== bytes[start + index]) return;
      }
      if (!this.#stop(exchange)) return;
      isFound = true;
      this.#options.write.cancelled(exchange);
    });
    return isFound;
  }

  /** Splits a batch; every element becomes an exchange of its own. */
  batch(parent: Exchange, bytes: Uint8Array, length: number): void {
    const { write, table, decode } = this.#options;
    const count = this.#options.splitBatch(bytes, length, this.#elements);
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
        write.whole(parent, body, JSON_HEAD);
      }
    });
    // Elements answer into the parent, so it must not look finished or cancellable meanwhile.
    parent.phase = Phase.accepting;
    parent.client.batch = reply;
    parent.message.spans.method = 0;
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
  element.client.token = parent.client.token;
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

function sameSubject(subject: Int32Array, verdict: VerdictRecord): boolean {
  return (
    subject[0] === verdict.subject0 &&
    subject[1] === verdict.subject1 &&
    subject[2] === verdict.subject2 &&
    subject[3] === verdict.subject3
  );
}
