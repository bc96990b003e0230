import { Flag } from '../../../native/layout.js';
import type { Spans } from '../../../native/spans.js';
import { ControlError, type ControlReply } from '../core/control.js';

/**
 * The code of a JSON-RPC error, 0 for anything else; also of one whose id is `null`, as servers send it when they refuse a
 * request before they read its id.
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

/** Texts of servers about an unknown session (SDKs in TypeScript and Python, and servers modelled on them). */
const SESSION_TEXT = /session|not initialized/i;
/** Bytes of a body that are searched for them. */
const SEARCHED_BYTES = 2_048;

/**
 * Whether a response means that the session is unknown, so that the request was not executed: 404 (Streamable HTTP, session
 * management), or 400 as some servers send it.
 *
 * @param sessionId the session of the request; '' = none
 * @param spans the scan of `body` if it is a JSON-RPC response, else null
 */
export function isSessionLost(status: number, sessionId: string, body: Buffer, spans: Spans | null): boolean {
  if (sessionId === '' || (status !== 404 && status !== 400)) return false;
  const namesSession = (): boolean => SESSION_TEXT.test(body.toString('utf8', 0, SEARCHED_BYTES));
  const code = errorCodeOf(body, spans);
  if (code === 0) return status === 404 || namesSession();
  if (status === 404 && (code === -32_001 || code === -32_000)) return true;
  // With other codes it is the response to the call ("method not found" and the like) unless its text names the session.
  return (code === -32_000 || code === -32_600) && namesSession();
}

/** Decides for the gateway's own requests whether the session is lost. One for each endpoint, which owns it. */
export class SessionLosses {
  /** Methods that were answered so in the session before. */
  readonly #methods = new Set<string>();

  /**
   * Whether a request was answered as in a session that the upstream does not know. A method that is answered so again is one
   * that the upstream does not have: another session would not help.
   *
   * @param sessionId the session of the request; '' = none
   */
  includes(method: string, sessionId: string, outcome: ControlReply | ControlError): boolean {
    const isLost =
      outcome instanceof Error
        ? outcome instanceof ControlError && outcome.kind === 'http' && outcome.number === 404 && sessionId !== ''
        : isSessionLost(outcome.status, sessionId, outcome.bytes, outcome.spans);
    const wasLost = this.#methods.has(method);
    if (isLost) this.#methods.add(method);
    else if (!(outcome instanceof Error)) this.#methods.delete(method);
    return isLost && !wasLost;
  }
}
