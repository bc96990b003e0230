import type { Spans } from '../../../native/spans.js';
import { findPath, stringValue } from '../../protocol/json-cursor.js';
import type { Call } from '../../request/exchange/index.js';
import type { Count, Milliseconds } from '../../units.js';
import type { ControlChannel } from './control.js';

/** Most calls that are remembered; beyond them the oldest one is forgotten, and its task runs to its end. */
const MAX_CALLS: Count = 1_024;
/** Longest wait for the response to `tasks/cancel`. */
const CANCEL_MS: Milliseconds = 10_000;

/**
 * Calls that were cancelled before the server answered with the task that the gateway had asked for. A task is cancelled by
 * `tasks/cancel` (MCP 2025-11-25, tasks: never by `notifications/cancelled`), which needs the id in that answer: it is read
 * although the call has ended. Owned by the endpoint.
 */
export class LateTasks {
  readonly #control: ControlChannel;
  readonly #calls = new Set<number>();

  constructor(control: ControlChannel) {
    this.#control = control;
  }

  /** A call is cancelled that was sent. @returns whether it makes a task whose id is not known */
  expect({ taskId, taskTarget, upstreamId }: Call): boolean {
    if (taskTarget === null || taskId !== '') return false;
    if (this.#calls.size >= MAX_CALLS) for (const oldest of this.#calls) if (this.#calls.delete(oldest)) break;
    this.#calls.add(upstreamId);
    return true;
  }

  /** Whether the response to a call that was cancelled is waited for. */
  expects(id: number): boolean {
    return this.#calls.has(id);
  }

  /** A response to no call in flight: cancels its task. @returns whether it was expected */
  answered(id: number, bytes: Uint8Array, { resultEnd, resultStart }: Spans): boolean {
    if (!this.#calls.delete(id)) return false;
    const place = resultStart < 0 ? undefined : findPath(bytes, resultStart, resultEnd, 'task', 'taskId');
    const taskId = place === undefined ? undefined : stringValue(bytes, place.start, place.end);
    if (taskId === undefined) return true;
    // The task may have ended meanwhile.
    this.#control.request('tasks/cancel', { taskId }, { timeoutMs: CANCEL_MS }).catch(() => {});
    return true;
  }
}
