import type { ErrorCode } from '../../../errors.js';
import { ControlError } from '../control.js';
import { connectionFault, isTlsFault } from '../reasons.js';

const UNREACHABLE = new Set([
  'ECONNREFUSED',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ETIMEDOUT',
  'UND_ERR_CONNECT_TIMEOUT',
]);

/** The ControlError for a failed request, without text of the original error. */
export function connectionError(error: unknown): ControlError {
  const code = (error as { code?: string }).code ?? (error as Error).name;
  return UNREACHABLE.has(code) || isTlsFault(code)
    ? new ControlError('unreachable', `the upstream cannot be reached (${connectionFault(code)})`)
    : new ControlError('closed', `the connection ended (${code})`);
}

/** The error of a call that an upstream refused with this HTTP status. */
export function errorOfStatus(status: number): ErrorCode {
  if (status === 401 || status === 403) return 'GW_UPSTREAM_REFUSED';
  if (status === 429) return 'GW_UPSTREAM_BUSY';
  return status === 502 || status === 503 ? 'GW_UPSTREAM_UNAVAILABLE' : 'GW_UPSTREAM_PROTOCOL';
}
