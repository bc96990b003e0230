/**
 * Tools that run only as tasks (MCP 2025-11-25, tasks; `execution.taskSupport: required`) for clients whose calls ask for no
 * task: the gateway makes the task and waits for its result, which becomes the answer of the call. The call stays in
 * flight at the endpoint that has the task, so requests, progress and cancellation are those of any call.
 */
import { Flag, Method } from '../../native/layout.js';
import type { Spans } from '../../native/spans.js';
import type { Current } from '../config/snapshot/current.js';
import type { LimitsSnapshot } from '../config/snapshot/index.js';
import { applyEdits, findMember, findPath, insertMember, removeMembers, stringValue } from '../protocol/json-cursor.js';
import { type CallTarget, type Exchange, Phase } from '../request/exchange/index.js';
import { SECOND_ID } from '../request/exchange/table.js';
import { RELATED_TASK } from './tasks.js';

/** Longest task id of an upstream, in characters. */
const MAX_ID = 1024;

/** See the file comment. *send* and the sink of upstream messages call it; one per front. */
export class AwaitedTasks {
  readonly #config: Current<{ readonly limits: Pick<LimitsSnapshot, 'taskMs'> }>;

  constructor(config: Current<{ readonly limits: Pick<LimitsSnapshot, 'taskMs'> }>) {
    this.#config = config;
  }

  /** The call as it is sent to a tool that runs only as a task; unchanged where the client asks for the task itself. */
  asTask(exchange: Exchange, target: CallTarget, message: Buffer): Buffer {
    const params = findMember(message, 0, message.length, 'params');
    if (params === undefined || findMember(message, params.start, params.end, 'task') !== undefined) return message;
    exchange.call.taskTarget = target;
    exchange.call.taskId = '';
    const ttl = JSON.stringify({ ttl: this.#config.current.limits.taskMs });
    return Buffer.from(applyEdits(message, 0, message.length, [insertMember(message, params.start, 'task', ttl)]));
  }

  /**
   * A response to a call for which {@link asTask} has asked for a task.
   *
   * @returns the response for the client; null = the task was made, and the call waits for its result
   */
  response(exchange: Exchange, bytes: Uint8Array, length: number, spans: Spans): Uint8Array | null {
    const { call } = exchange;
    const content = bytes.subarray(0, length);
    if (call.taskId === '' && (spans.flags & Flag.resultIsObject) !== 0) {
      const place = findPath(content, spans.resultStart, spans.resultEnd, 'task', 'taskId');
      const id = place === undefined ? undefined : stringValue(content, place.start, place.end);
      if (id !== undefined && id !== '' && id.length <= MAX_ID) {
        this.#await(exchange, id);
        return null;
      }
    }
    call.taskTarget = null;
    call.taskId = '';
    return withoutTask(content, spans);
  }

  /** Asks for the result, which a server sends when the task has ended (MCP 2025-11-25, `tasks/result`). */
  #await(exchange: Exchange, taskId: string): void {
    const { call } = exchange;
    const target = call.taskTarget;
    if (target === null) return;
    const { taskMs } = this.#config.current.limits;
    call.taskId = taskId;
    // Another id, as no id may be used twice; progress goes on under the first one.
    call.upstreamId += SECOND_ID;
    call.sent = false;
    call.sentAt = performance.now();
    call.deadline = call.sentAt + taskMs;
    call.upstream = target;
    if (exchange.phase !== Phase.parked) exchange.enter(exchange.client.streaming ? Phase.streaming : Phase.sending);
    const message = { jsonrpc: '2.0', id: call.upstreamId, method: 'tasks/result', params: { taskId } };
    target.call(exchange, Buffer.from(JSON.stringify(message)), Method.tasksResult, '', null);
  }
}

/** A response without the id of its task, which is of no use to the client. */
function withoutTask(bytes: Uint8Array, spans: Spans): Uint8Array {
  if ((spans.flags & Flag.resultIsObject) === 0) return bytes;
  const meta = findMember(bytes, spans.resultStart, spans.resultEnd, '_meta');
  if (meta === undefined || bytes[meta.start] !== 0x7b) return bytes;
  const edits = removeMembers(bytes, meta.start, [RELATED_TASK]);
  return edits.length === 0 ? bytes : applyEdits(bytes, 0, bytes.length, edits);
}
