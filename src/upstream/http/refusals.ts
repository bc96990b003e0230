/** The meaning of a response with a status other than 200, for the call and for the detected era of the upstream. */

import { type Decoder, Kind, ScanStatus } from '../../../native/layout.js';
import type { Spans } from '../../../native/spans.js';
import type { ErrorCode } from '../../errors.js';
import { Era } from '../../protocol/revisions.js';
import { errorUnderId, isResponseTo, parseId } from '../core/control.js';
import { errorOfStatus } from '../core/http/connection-error.js';
import { scanServerMessage } from '../core/server-scan.js';
import { errorCodeOf } from './session.js';

const HEADER_MISMATCH = -32_020;
const UNSUPPORTED_VERSION = -32_022;
/** Statuses by which a server of another era or of an older transport refuses a request. */
const OTHER_ERA = new Set([400, 404, 405, 406, 415]);

/** The meaning of a refusal. */
export interface Refusal {
  /** What the server said, a response under the id of the call; null = nothing that is passed on. */
  readonly response: Buffer | null;
  /** Why the call fails without it. */
  readonly error: ErrorCode;
  /** The era of the upstream has to be detected again, and its lists read. */
  readonly reprobe: boolean;
}

/** A response with a status other than 200 that does not mean that the session is lost. */
export interface RefusedResponse {
  readonly status: number;
  readonly body: Buffer;
  /** The scan of `body` if it is a JSON-RPC response, else null. */
  readonly spans: Spans | null;
  /** The id of the call. */
  readonly id: number;
  readonly era: Era;
  /** The session of the call, '' = none. */
  readonly sessionId: string;
}

/** The scan of the body of a refusal, into `spans`; null = it is no JSON-RPC response. */
export function scanRefusal(decoder: Decoder, body: Buffer, spans: Spans): Spans | null {
  const isScanned = scanServerMessage(decoder, body, body.length, spans) === ScanStatus.ok;
  return isScanned && spans.kind === Kind.response ? spans : null;
}

/** Interprets a refusal. Nothing of it is passed on but a JSON-RPC response. */
export function interpretRefusal({ status, body, spans, id, era, sessionId }: RefusedResponse): Refusal {
  const error = errorOfStatus(status);
  const code = errorCodeOf(body, spans);
  // Both errors mean that the detected era or the tools of this upstream are out of date.
  if (code === HEADER_MISMATCH) return { response: null, error: 'GW_UPSTREAM_PROTOCOL', reprobe: true };
  if (code === UNSUPPORTED_VERSION) return { response: null, error: 'GW_UPSTREAM_DOWN', reprobe: true };
  const hasId = spans !== null && parseId(body, spans.idStart, spans.idEnd) === id;
  if (hasId) return { response: body, error, reprobe: false };
  const isForCall = spans !== null && isResponseTo(body, spans, id);
  // An upstream without sessions may have been replaced by one of another era.
  const reprobe = OTHER_ERA.has(status) && (era === Era.modern || sessionId === '');
  return { response: isForCall ? errorUnderId(body, spans, id) : null, error, reprobe };
}
