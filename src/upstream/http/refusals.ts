/** What an answer with a status other than 200 means for the call and for what is believed of its upstream. */

import type { Spans } from '../../../native/spans.js';
import type { ErrorCode } from '../../errors.js';
import { Era } from '../../protocol/revisions.js';
import { parseId } from '../core/control.js';
import { errorCodeOf } from './session.js';

const HEADER_MISMATCH = -32_020;
const UNSUPPORTED_VERSION = -32_022;
/** How a server of another family, or of an older transport, turns a request away. */
const STRANGE = new Set([400, 404, 405, 406, 415]);

/** The judgement on a refusal. */
export interface Refusal {
  /** Null = the body is a JSON-RPC error for the client, passed on as an answer. */
  readonly error: ErrorCode | null;
  /** The upstream's family has to be found out again, and its lists read. */
  readonly reprobe: boolean;
}

/** An answer with a status other than 200 that does not say that the session is lost. */
export interface RefusedAnswer {
  readonly status: number;
  readonly body: Buffer;
  /** The scan of `body` if it is a JSON-RPC response, else null. */
  readonly spans: Spans | null;
  /** The id of the call. */
  readonly id: number;
  readonly era: Era;
  /** The session that the call was made in, '' = none. */
  readonly sessionId: string;
}

/** Judges a refusal. Nothing of it reaches the client but a JSON-RPC error meant for it. */
export function judgeRefusal({ status, body, spans, id, era, sessionId }: RefusedAnswer): Refusal {
  const judged = (error: ErrorCode | null, reprobe = false): Refusal => ({ error, reprobe });
  if (status === 401 || status === 403) return judged('GW_UPSTREAM_REFUSED');
  if (status === 429) return judged('GW_UPSTREAM_BUSY');
  if (status === 503) return judged('GW_UPSTREAM_DOWN');
  if (status < 400 || status >= 500) return judged('GW_UPSTREAM_PROTOCOL');
  const code = errorCodeOf(body, spans);
  // They describe our hop: what is believed of this upstream or of its tools is wrong.
  if (code === HEADER_MISMATCH) return judged('GW_UPSTREAM_PROTOCOL', true);
  if (code === UNSUPPORTED_VERSION) return judged('GW_UPSTREAM_DOWN', true);
  if (code !== 0 && spans !== null) {
    if (parseId(body, spans.idStart, spans.idEnd) === id) return judged(null);
  }
  // An upstream without sessions that does not understand the request may have come back as another.
  return judged('GW_UPSTREAM_PROTOCOL', STRANGE.has(status) && (era === Era.modern || sessionId === ''));
}
