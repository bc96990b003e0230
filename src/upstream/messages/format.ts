/** JSON of single messages that servers send on their own account. */

import { Method } from '../../../native/layout.js';
import type { Spans } from '../../../native/spans.js';

/**
 * The response to a request of a server that no client can answer: `ping` has a result, everything else is unknown.
 *
 * @param bytes the request, `spans` is its scan
 */
export function answerToRequest(bytes: Uint8Array, spans: Spans): Buffer {
  const id = textOf(bytes, spans.idStart, spans.idEnd);
  const outcome = spans.method === Method.ping ? '"result":{}' : '"error":{"code":-32601,"message":"Method not found"}';
  return Buffer.from(`{"jsonrpc":"2.0","id":${id},${outcome}}`);
}

/** The URI of a `notifications/resources/updated`, or null if it has none. */
export function updatedUri(bytes: Uint8Array, length: number): string | null {
  const { params } = JSON.parse(textOf(bytes, 0, length)) as { params?: { uri?: unknown } | null };
  return typeof params?.uri === 'string' ? params.uri : null;
}

/** A `notifications/resources/updated` that the gateway itself sends to clients. */
export function resourceUpdate(uri: string): Buffer {
  const params = JSON.stringify({ uri });
  return Buffer.from(`{"jsonrpc":"2.0","method":"notifications/resources/updated","params":${params}}`);
}

/** The task of a `notifications/tasks` (tasks extension), or null if it names none. */
export function changedTask(bytes: Uint8Array, length: number): string | null {
  const { params } = JSON.parse(textOf(bytes, 0, length)) as { params?: { taskId?: unknown } | null };
  return typeof params?.taskId === 'string' ? params.taskId : null;
}

function textOf(bytes: Uint8Array, start: number, end: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8', start, end);
}
