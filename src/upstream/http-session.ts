import { Flag, Span } from '../../native/layout.js';

/**
 * Whether an answer says that the session is not known (any more), so that the request was certainly not executed:
 * 404 (Streamable HTTP, session management), or the 400 that servers built on SDK v1 give.
 *
 * @param sessionId the session that the request was made in; '' = none
 * @param spans the scan of `body` if it is a JSON-RPC response, else null
 */
export function isSessionLost(status: number, sessionId: string, body: Buffer, spans: Int32Array | null): boolean {
  if (sessionId === '') return false;
  const isError = spans !== null && (spans[Span.flags]! & Flag.isErrorResponse) !== 0;
  const code = isError ? spans[Span.errorCode]! : 0;
  // A JSON-RPC error of another kind with 404 is an answer to the call ("method not found" and the like).
  if (status === 404) return !isError || code === -32_001 || code === -32_000;
  if (status !== 400 || code !== -32_000) return false;
  return /session|not initialized/i.test(body.toString('utf8', 0, 2_048));
}
