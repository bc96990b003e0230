/**
 * Tasks of a modern upstream behind a legacy client (MCP, tasks extension of 2026-07-28): the gateway polls the task until it
 * has ended and answers the call with its result. Input requests of the task become requests to the client.
 */
import { type Decoder, ScanStatus } from '../../native/layout.js';
import { Spans } from '../../native/spans.js';
import type { Current } from '../config/snapshot/current.js';
import type { LimitsSnapshot } from '../config/snapshot/index.js';
import type { ErrorCode } from '../errors.js';
import { UPSTREAM_DEPTH } from '../protocol/depth.js';
import { findMember, findPath, parseValue, type Range, stringValue } from '../protocol/json-cursor.js';
import { TASKS_DECLARED } from '../protocol/tasks-extension.js';
import { type Exchange, Phase } from '../request/exchange/index.js';
import type { Milliseconds } from '../units.js';
import type { ControlChannel, ControlReply } from '../upstream/core/control.js';
import { type Call, callOf, isUnderWay } from './open-requests.js';

/** What {@link PolledTasks} works with. */
export interface PolledTasksParts {
  readonly config: Current<{ readonly limits: Pick<LimitsSnapshot, 'taskMs'> }>;
  /** By server index. */
  readonly upstreams: { readonly servers: readonly { readyEndpoint(): ControlChannel | null }[] };
  readonly decoder: Pick<Decoder, 'scan'>;
  readonly rounds: {
    /** Asks the client for what a result with `inputRequests` wants. @returns false when that is impossible */
    inputRequired(exchange: Exchange, bytes: Uint8Array, length: number, spans: Spans): boolean;
  };
  readonly write: {
    message(exchange: Exchange, bytes: Uint8Array, length: number, spans: Spans): void;
    fail(exchange: Exchange, code: ErrorCode): void;
  };
}

/** Pause between two polls: what the server asks for within bounds. */
const POLL_MS: Milliseconds = 1_000;
const MIN_POLL_MS: Milliseconds = 50;
const MAX_POLL_MS: Milliseconds = 30_000;
/** Longest wait for the response to a request about a task. */
const REQUEST_MS: Milliseconds = 30_000;
/** Polls in a row that may fail, as another endpoint or a restarted server can have the task. */
const MAX_FAILURES = 5;
/** Longest task id of an upstream, in characters. */
const MAX_ID = 1024;

interface PolledTask {
  readonly call: Call;
  readonly server: number;
  readonly id: string;
  /** `performance.now()` at which it is cancelled. */
  readonly until: Milliseconds;
  pollMs: Milliseconds;
  failures: number;
  /** The client was asked for what the task needs, and has not answered. */
  isAsking: boolean;
}

/** See the file comment. The sink of upstream messages and the input rounds call it; one per front. */
export class PolledTasks {
  readonly #parts: PolledTasksParts;
  readonly #tasks = new Map<Exchange, PolledTask>();

  constructor(parts: PolledTasksParts) {
    this.#parts = parts;
  }

  /**
   * A result with `resultType: "task"`: the call waits for the end of the task.
   *
   * @returns false when it names no task
   */
  created(exchange: Exchange, bytes: Uint8Array, spans: Spans): boolean {
    const place = findMember(bytes, spans.resultStart, spans.resultEnd, 'taskId');
    const id = place === undefined ? undefined : stringValue(bytes, place.start, place.end);
    if (id === undefined || id === '' || id.length > MAX_ID) return false;
    const task: PolledTask = {
      call: callOf(exchange),
      server: exchange.call.server,
      id,
      until: performance.now() + this.#parts.config.current.limits.taskMs,
      pollMs: POLL_MS,
      failures: 0,
      isAsking: false,
    };
    exchange.enter(Phase.asking);
    exchange.call.upstream = null;
    exchange.call.deadline = 0;
    this.#tasks.set(exchange, task);
    this.#readPause(task, bytes, { start: spans.resultStart, end: spans.resultEnd });
    this.#schedule(task);
    return true;
  }

  /**
   * The client has answered what a task asked.
   *
   * @param inputResponses raw JSON object
   * @returns false when the call waits for no task
   */
  answered(exchange: Exchange, inputResponses: Uint8Array): boolean {
    const task = this.#tasks.get(exchange);
    if (task === undefined || !isUnderWay(task.call)) return false;
    const responses: unknown = JSON.parse(Buffer.from(inputResponses).toString('utf8'));
    void this.#request(task, 'tasks/update', { inputResponses: responses }).then(() => {
      task.isAsking = false;
    });
    return true;
  }

  #schedule(task: PolledTask): void {
    setTimeout(() => void this.#poll(task), task.pollMs).unref();
  }

  async #poll(task: PolledTask): Promise<void> {
    if (this.#hasEnded(task)) return;
    const { exchange } = task.call;
    if (performance.now() > task.until) {
      this.#parts.write.fail(exchange, 'GW_UPSTREAM_TIMEOUT');
      this.#hasEnded(task);
      return;
    }
    // What it asks for is known; the answer is sent when it is there.
    const reply = task.isAsking ? null : await this.#request(task, 'tasks/get', {});
    if (this.#hasEnded(task)) return;
    if (reply === null) {
      task.failures += task.isAsking ? 0 : 1;
      if (task.failures < MAX_FAILURES) this.#schedule(task);
      else this.#fail(task, 'GW_UPSTREAM_DOWN');
      return;
    }
    task.failures = 0;
    this.#judge(task, reply);
  }

  #judge(task: PolledTask, { bytes, spans }: ControlReply): void {
    const { exchange } = task.call;
    const range = { start: spans.resultStart, end: spans.resultEnd };
    // An error about the task itself, which is unknown to the server.
    if (range.start < 0) this.#answer(task, bytes, 'error', { start: spans.errorStart, end: spans.errorEnd });
    else {
      this.#readPause(task, bytes, range);
      const status = findMember(bytes, range.start, range.end, 'status');
      const member = (key: string): Range | undefined => findPath(bytes, range.start, range.end, key);
      switch (status === undefined ? '' : stringValue(bytes, status.start, status.end)) {
        case 'completed':
          this.#answer(task, bytes, 'result', member('result'));
          return;
        case 'failed':
          this.#answer(task, bytes, 'error', member('error'));
          return;
        case 'cancelled':
          this.#fail(task, 'GW_CANCELLED');
          return;
        case 'input_required':
          task.isAsking = true;
          if (!this.#parts.rounds.inputRequired(exchange, bytes, bytes.length, spans)) {
            this.#fail(task, 'GW_INPUT_REQUIRED_UNSUPPORTED');
            this.#cancel(task);
            return;
          }
      }
      this.#schedule(task);
    }
  }

  /** Answers the call with a part of `bytes`. */
  #answer(task: PolledTask, bytes: Uint8Array, key: 'result' | 'error', range: Range | undefined): void {
    const { exchange } = task.call;
    const spans = new Spans();
    const head = Buffer.from(`{"jsonrpc":"2.0","id":${exchange.call.upstreamId},"${key}":`);
    const value = range === undefined ? Buffer.from('null') : bytes.subarray(range.start, range.end);
    const message = Buffer.concat([head, value, Buffer.from('}')]);
    this.#tasks.delete(exchange);
    const isRead = this.#parts.decoder.scan(message, message.length, spans.words, UPSTREAM_DEPTH) === ScanStatus.ok;
    if (!isRead || range === undefined) {
      this.#parts.write.fail(exchange, 'GW_UPSTREAM_PROTOCOL');
      return;
    }
    exchange.enter(exchange.client.streaming ? Phase.streaming : Phase.sending);
    this.#parts.write.message(exchange, message, message.length, spans);
  }

  #fail(task: PolledTask, code: ErrorCode): void {
    this.#tasks.delete(task.call.exchange);
    this.#parts.write.fail(task.call.exchange, code);
  }

  /** Whether the call has ended; then its task is cancelled. */
  #hasEnded(task: PolledTask): boolean {
    const { exchange } = task.call;
    if (isUnderWay(task.call) && this.#tasks.get(exchange) === task) return false;
    if (this.#tasks.get(exchange) === task) this.#tasks.delete(exchange);
    this.#cancel(task);
    return true;
  }

  #cancel(task: PolledTask): void {
    void this.#request(task, 'tasks/cancel', {});
  }

  /** A request about the task; null = it failed. Any replica of a modern server has the task. */
  async #request(task: PolledTask, method: string, params: object): Promise<ControlReply | null> {
    const endpoint = this.#parts.upstreams.servers[task.server]?.readyEndpoint() ?? null;
    const all = { taskId: task.id, ...params, _meta: TASKS_DECLARED };
    return (await endpoint?.request(method, all, { timeoutMs: REQUEST_MS }).catch(() => null)) ?? null;
  }

  #readPause(task: PolledTask, bytes: Uint8Array, { start, end }: Range): void {
    const place = findMember(bytes, start, end, 'pollIntervalMs');
    const pollMs = place === undefined ? undefined : parseValue(bytes, place.start, place.end);
    if (typeof pollMs === 'number') task.pollMs = Math.min(MAX_POLL_MS, Math.max(MIN_POLL_MS, pollMs));
  }
}
