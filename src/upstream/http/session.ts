import { Flag } from '../../../native/layout.js';
import type { Spans } from '../../../native/spans.js';

/**
 * The code of a JSON-RPC error; 0 for anything else. Servers that refuse a request before they have read its id answer
 * with `null` for it, which is no response to a call but tells as much.
 *
 * @param spans the scan of `body` if it is a JSON-RPC response, else null
 */
export function errorCodeOf(body: Buffer, spans: Spans | null): number {
  if (spans !== null) return (spans.flags & Flag.isErrorResponse) !== 0 ? spans.errorCode : 0;
  try {
    const code = (JSON.parse(body.toString('utf8')) as { error?: { code?: unknown } } | null)?.error?.code;
    return typeof code === 'number' ? code : 0;
  } catch {
    return 0;
  }
}

/** How servers speak of a session they do not have (SDKs in TypeScript and Python, and servers modelled on them). */
const SESSION_TEXT = /session|not initialized/i;
/** How much of a body is looked at. */
const LOOKED_AT = 2_048;

/**
 * Whether an answer says that the session is not known (any more), so that the request was certainly not executed:
 * 404 (Streamable HTTP, session management), or the 400 that some servers give.
 *
 * @param sessionId the session that the request was made in; '' = none
 * @param spans the scan of `body` if it is a JSON-RPC response, else null
 */
export function isSessionLost(status: number, sessionId: string, body: Buffer, spans: Spans | null): boolean {
  if (sessionId === '' || (status !== 404 && status !== 400)) return false;
  const saysSo = (): boolean => SESSION_TEXT.test(body.toString('utf8', 0, LOOKED_AT));
  const code = errorCodeOf(body, spans);
  if (code === 0) return status === 404 || saysSo();
  if (status === 404 && (code === -32_001 || code === -32_000)) return true;
  // With other codes it is an answer to the call ("method not found" and the like) unless it speaks of the session.
  return (code === -32_000 || code === -32_600) && saysSo();
}
