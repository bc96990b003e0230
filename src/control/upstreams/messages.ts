import { decoder } from '../../../native/index.js';
import { Kind } from '../../../native/layout.js';
import { Spans } from '../../../native/spans.js';
import type { ErrorCode } from '../../errors.js';
import { UPSTREAM_DEPTH } from '../../protocol/depth.js';
import { Era } from '../../protocol/revisions.js';
import { type Exchange, Phase } from '../../request/exchange/index.js';
import type { Pipeline } from '../../request/pipeline.js';
import type { SendStage } from '../../request/send/index.js';
import type { WriteStage } from '../../request/write/index.js';
import type { ParkedCalls } from '../../server-requests/parked/index.js';
import type { PolledTasks } from '../../server-requests/polled-tasks.js';
import type { ServerRequestRouter } from '../../server-requests/router.js';
import type { AwaitedTasks } from '../../session/awaited-tasks.js';
import type { TaskRoutes } from '../../session/tasks.js';
import type { Endpoint, UpstreamSink } from '../../upstream/core/types.js';

/** The receivers of upstream messages. */
export interface SinkParts {
  readonly pipeline: Pick<Pipeline, 'contain'>;
  readonly send: SendStage;
  readonly write: WriteStage;
  readonly parked: ParkedCalls;
  readonly tasks: TaskRoutes;
  readonly awaitedTasks: AwaitedTasks;
  readonly polledTasks: PolledTasks;
  readonly router: ServerRequestRouter;
}

/**
 * Passes messages and failures of upstreams on to the stage that handles them. An error that a stage throws ends the call
 * and does not reach the upstream. The upstream pool calls it; one per gateway.
 */
export class UpstreamMessages implements UpstreamSink {
  #parts!: SinkParts;

  /** Sets the receivers. Once, before the first call: the upstream pool is made with this sink, and the stages with the pool. */
  attach(parts: SinkParts): void {
    this.#parts = parts;
  }

  message(exchange: Exchange, bytes: Uint8Array, length: number, spans: Spans): void {
    this.#guard(this.#message, exchange, bytes, length, spans);
  }

  failed(exchange: Exchange, code: ErrorCode, sent: boolean): void {
    this.#guard(this.#failed, exchange, code, sent, undefined);
  }

  largePart(exchange: Exchange, bytes: Uint8Array, start: number, end: number): void {
    this.#guard(this.#largePart, exchange, bytes, start, end);
  }

  largeEnd(exchange: Exchange, complete: boolean): void {
    this.#guard(this.#largeEnd, exchange, complete, undefined, undefined);
  }

  largeStart(exchange: Exchange, bytes: Uint8Array, length: number): boolean {
    return this.#parts.write.large.start(exchange, bytes, length);
  }

  serverRequest(endpoint: Endpoint, exchange: Exchange | null, bytes: Uint8Array, length: number, spans: Spans): void {
    this.#parts.router.serverRequest(endpoint, exchange, bytes, length, spans);
  }

  serverNotification(
    endpoint: Endpoint,
    _exchange: Exchange | null,
    bytes: Uint8Array,
    length: number,
    spans: Spans,
  ): void {
    this.#parts.router.serverNotification(endpoint, bytes, length, spans);
  }

  disconnected(endpoint: Endpoint): void {
    this.#parts.router.endpointDisconnected(endpoint);
  }

  /** Calls one of the methods below; an error ends the exchange. Takes separate arguments, so that no closure is made per message. */
  #guard<A, B, C>(handle: (exchange: Exchange, a: A, b: B, c: C) => void, exchange: Exchange, a: A, b: B, c: C): void {
    const { generation } = exchange;
    try {
      handle.call(this, exchange, a, b, c);
    } catch (error) {
      this.#parts.pipeline.contain(exchange, generation, error);
    }
  }

  #message(exchange: Exchange, bytes: Uint8Array, length: number, spans: Spans): void {
    if (exchange.call.taskTarget !== null && spans.kind === Kind.response) {
      this.#awaitedTask(exchange, bytes, length, spans);
    } else {
      this.#pass(exchange, bytes, length, spans);
    }
  }

  /** A response to a call that the gateway makes a task of. */
  #awaitedTask(exchange: Exchange, bytes: Uint8Array, length: number, spans: Spans): void {
    const response = this.#parts.awaitedTasks.response(exchange, bytes, length, spans);
    if (response === null) return;
    const own = new Spans();
    decoder.scan(response, response.length, own.words, UPSTREAM_DEPTH);
    this.#pass(exchange, response, response.length, own);
  }

  #pass(exchange: Exchange, bytes: Uint8Array, length: number, spans: Spans): void {
    const { parked, polledTasks, tasks, write } = this.#parts;
    // A result that is neither complete nor a question, in the tasks extension: its call waits for the end of the task.
    if (
      exchange.call.era === Era.modern &&
      exchange.client.era === Era.legacy &&
      tasks.mayNameTasks(exchange, spans) &&
      polledTasks.created(exchange, bytes, spans)
    ) {
      return;
    }
    if (exchange.phase === Phase.parked) parked.response(exchange, bytes, length, spans);
    else if (tasks.mayNameTasks(exchange, spans)) this.#taskResponse(exchange, bytes, length, spans);
    else write.message(exchange, bytes, length, spans);
  }

  /** A response that may contain task ids, which clients get sealed. */
  #taskResponse(exchange: Exchange, bytes: Uint8Array, length: number, spans: Spans): void {
    const { tasks, write } = this.#parts;
    const sealed = tasks.sealTaskIds(exchange, bytes, spans, length);
    if (sealed === null) {
      write.message(exchange, bytes, length, spans);
      return;
    }
    const own = new Spans();
    decoder.scan(sealed, sealed.length, own.words, UPSTREAM_DEPTH);
    write.message(exchange, sealed, sealed.length, own);
  }

  #failed(exchange: Exchange, code: ErrorCode, sent: boolean): void {
    const { parked, router, send, write } = this.#parts;
    if (write.large.failed(exchange, code)) return;
    if (exchange.phase === Phase.parked) {
      parked.failed(exchange, code);
      return;
    }
    if (exchange.call.openRequests > 0) router.callEnded(exchange);
    send.failed(exchange, code, sent);
  }

  #largePart(exchange: Exchange, bytes: Uint8Array, start: number, end: number): void {
    this.#parts.write.large.part(exchange, bytes, start, end);
  }

  #largeEnd(exchange: Exchange, complete: boolean): void {
    this.#parts.write.large.end(exchange, complete);
  }
}
