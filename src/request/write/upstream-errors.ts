/** Errors of upstreams towards clients: the status they have, and those that are not for the client. */
import { Flag } from '../../../native/layout.js';
import type { ErrorCode } from '../../errors.js';
import { Era } from '../../protocol/revisions.js';
import type { Exchange } from '../exchange/index.js';

const HEADER_MISMATCH = -32020;
const CAPABILITY_REQUIRED = -32021;
const UNSUPPORTED_VERSION = -32022;
/** Of 2025-11-25, and not to be sent to clients of 2026-07-28 (error codes). */
export const URL_ELICITATION_REQUIRED = -32042;

/** Status of an in-band error that HTTP shows too (2026-07-28, validation order 12 and 14). */
export function statusOf(exchange: Exchange, flags: number, code: number): number {
  if ((flags & Flag.isErrorResponse) === 0 || exchange.client.era !== Era.modern) return 200;
  if (code === -32601) return 404;
  return code === CAPABILITY_REQUIRED ? 400 : 200;
}

/** The error that takes the place of an answer which is not for this client; null for all others. */
export function replacementOf(exchange: Exchange, flags: number, code: number): ErrorCode | null {
  const { era } = exchange.client;
  if ((flags & Flag.isErrorResponse) === 0) {
    const asks = (flags & Flag.resultInputRequired) !== 0 && era === Era.legacy;
    return asks ? 'GW_INPUT_REQUIRED_UNSUPPORTED' : null;
  }
  // They are about what the gateway sent: its headers and its revision, not the client's.
  if (code === HEADER_MISMATCH || code === UNSUPPORTED_VERSION) return 'GW_UPSTREAM_PROTOCOL';
  // Either code exists in one family only, and both say that the client would have to be asked for something.
  const foreign = era === Era.legacy ? CAPABILITY_REQUIRED : URL_ELICITATION_REQUIRED;
  return code === foreign ? 'GW_INPUT_REQUIRED_UNSUPPORTED' : null;
}
