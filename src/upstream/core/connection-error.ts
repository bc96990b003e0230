import { ControlError } from './control.js';

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
  return UNREACHABLE.has(code)
    ? new ControlError('unreachable', `the upstream cannot be reached (${code})`)
    : new ControlError('closed', `the connection ended (${code})`);
}
