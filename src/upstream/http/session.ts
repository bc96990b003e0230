import { Flag } from '../../../native/layout.js';
import type { Spans } from '../../../native/spans.js';
import type { ControlError } from '../core/control.js';
import { isGone, SEARCHED_BYTES, saysSessionLost } from '../core/lost-session.js';

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

/**
 * Whether a refusal means that the upstream does not know the session. `lost`: it says so, and the request was not executed;
 * `perhaps`: some servers refuse an unknown session in this way, and other requests too.
 */
export type SessionLoss = 'none' | 'perhaps' | 'lost';

/** Texts about a session, in a response that is hardly about anything else. */
const NAMES_SESSION = /session|not initialized/i;
/** Codes of errors about a session: those of the SDKs, and `Invalid Request`. */
const SESSION_CODES = [-32_001, -32_000, -32_600];

/** Whether a request of the gateway itself failed because the session is unknown. */
export function isSessionError({ kind, number, text }: ControlError): boolean {
  return (kind === 'http' && isGone(number)) || ((kind === 'http' || kind === 'refused') && saysSessionLost(text));
}

/**
 * What a response says about the session of its request (Streamable HTTP, session management: 404).
 *
 * @param sessionId the session of the request; '' = none
 * @param spans the scan of `body` if it is a JSON-RPC response, else null
 */
export function sessionLoss(status: number, sessionId: string, body: Buffer, spans: Spans | null): SessionLoss {
  if (sessionId === '') return 'none';
  const text = (): string => body.toString('utf8', 0, SEARCHED_BYTES);
  switch (status) {
    case 200:
      return lossInAnswer(body, spans);
    case 401:
    case 403:
      return saysSessionLost(text()) ? 'lost' : 'none';
    case 400:
    case 404:
    case 410:
    case 422: {
      const code = errorCodeOf(body, spans);
      if (code === 0) return isGone(status) || NAMES_SESSION.test(text()) ? 'lost' : 'perhaps';
      if (isGone(status) && (code === -32_001 || code === -32_000)) return 'lost';
      // With other codes it is the response to the call ("method not found" and the like) unless its text names the session.
      return SESSION_CODES.includes(code) && NAMES_SESSION.test(text()) ? 'lost' : 'none';
    }
    default:
      return 'none';
  }
}

/** A server that answers 200 has read the request: an error with its id and another code may be one of the tool itself. */
function lossInAnswer(body: Buffer, spans: Spans | null): SessionLoss {
  if (spans === null || (spans.flags & Flag.isErrorResponse) === 0) return 'none';
  const end = Math.min(spans.errorEnd, spans.errorStart + SEARCHED_BYTES);
  if (!saysSessionLost(body.toString('utf8', spans.errorStart, end))) return 'none';
  return spans.idStart < 0 || SESSION_CODES.includes(spans.errorCode) ? 'lost' : 'perhaps';
}
