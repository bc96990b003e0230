/**
 * The seam for credentials towards upstreams that change with time. Fixed ones (`headers`, `auth` with `bearer` or `basic`)
 * are among the configured headers of an endpoint and need none of this.
 */

import type { ServerSnapshot, UrlEndpointSnapshot } from '../../config/snapshot/index.js';
import type { ErrorCode } from '../../errors.js';
import type { Exchange } from '../../request/exchange/index.js';
import { MASK } from '../../secrets/show.js';
import { Scheme } from '../../shared/scheme.js';
import { ControlError } from './control.js';
import type { ConnectionProfile } from './types.js';

/** A response with a status of 401 or 403, as far as credentials are concerned. */
export interface CredentialRefusal {
  readonly status: number;
  /** `WWW-Authenticate`, '' = none. */
  readonly challenge: string;
}

/** What one endpoint proves its identity with. One for each endpoint that is reached by a URL, which owns it. */
export interface Credentials {
  /**
   * Headers of the next request, names in lower case and values in turn: the same array as long as they are the same. Runs for
   * each call, and allocates nothing when they are there.
   *
   * @param exchange the call that they are for; null = a request of the gateway itself (handshake, lists, streams)
   * @returns null = they have to be fetched first
   */
  current(exchange: Exchange | null): readonly string[] | null;
  /**
   * Fetches the headers for which `current` returned null; requests for the same ones share one fetch. Reads `exchange` during
   * the call only.
   *
   * @throws CredentialError when there are none. A promise that is fulfilled says only that asking `current` again makes sense
   */
  fetch(exchange: Exchange | null): Promise<void>;
  /**
   * The upstream refused a request.
   *
   * @param headers what `current` gave for it
   * @returns whether other headers can be had, so that it makes sense to send the request once more
   */
  refused(headers: readonly string[], refusal: CredentialRefusal): boolean;
  /** What to do about a refusal that stays, a sentence for the client after the one of the error; '' = nothing to add. */
  readonly advice: string;
}

/** Makes the credentials of endpoints. */
export interface CredentialSource {
  /** @param profile whom the endpoint is for */
  of(server: ServerSnapshot, endpoint: UrlEndpointSnapshot, profile: ConnectionProfile): Credentials;
  /** What clients are told of a server that cannot be connected before a user logs in, with the link; '' = none has to. */
  loginAdvice(server: ServerSnapshot): string;
}

/** There are no credentials for a request. `message` is a sentence for operators and clients, without secrets. */
export class CredentialError extends ControlError {
  /** The error that a call gets. */
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string) {
    super('refused', message);
    this.name = 'CredentialError';
    this.code = code;
  }
}

/** No headers. */
export const NO_HEADERS: readonly string[] = Object.freeze([]);

/** Of an endpoint whose credentials never change. */
export const FIXED_CREDENTIALS: Credentials = Object.freeze({
  current: () => NO_HEADERS,
  fetch: () => Promise.resolve(),
  refused: () => false,
  advice: '',
});

/** The bearer token by which the gateway knows the client of a call, '' = none. */
export function callerToken({ client }: Exchange): string {
  const { scheme, token } = client.caller;
  return scheme === Scheme.bearer ? token : '';
}

/** The error and the detail of a call that cannot be sent because of `error`, the failure of a handshake or of a fetch. */
export function callFailure(error: unknown, advice: string): { code: ErrorCode; detail: string } {
  if (error instanceof CredentialError) return { code: error.code, detail: error.message };
  if (error instanceof ControlError && error.kind === 'refused') return { code: 'GW_UPSTREAM_REFUSED', detail: advice };
  return { code: 'GW_UPSTREAM_DOWN', detail: '' };
}

/** The reason of a handshake that failed, with the advice where credentials were refused. */
export function withAdvice(reason: string, error: unknown, advice: string): string {
  const isRefusal = error instanceof ControlError && error.kind === 'refused' && !(error instanceof CredentialError);
  return isRefusal && advice !== '' ? `${reason}. ${advice}` : reason;
}

/** Whether a status may mean that the credentials were refused. */
export function isCredentialStatus(status: number): boolean {
  return status === 401 || status === 403;
}

/**
 * The headers of a request that is no call on the hot path, fetched if necessary.
 *
 * @param exchange see {@link Credentials.current}
 * @param signal ends the wait, with its reason; null = nothing does
 * @throws CredentialError
 */
export async function credentialHeaders(
  credentials: Credentials,
  exchange: Exchange | null,
  signal: AbortSignal | null = null,
): Promise<readonly string[]> {
  const known = credentials.current(exchange);
  if (known !== null) return known;
  await (signal === null ? credentials.fetch(exchange) : untilAborted(credentials.fetch(exchange), signal));
  const fetched = credentials.current(exchange);
  if (fetched === null) throw new CredentialError('GW_UPSTREAM_CREDENTIALS', 'the credentials ended at once');
  return fetched;
}

/** Shortest value of a credential that is masked in texts. */
const MASKED_LENGTH = 8;

/** What an upstream said, without the credentials that it may repeat. */
export function withoutCredentials(text: string, headers: readonly string[] | null): string {
  let shown = text;
  for (let index = 1; headers !== null && index < headers.length; index += 2) {
    const value = headers[index]?.replace(/^\S+ /, '') ?? '';
    if (value.length >= MASKED_LENGTH) shown = shown.replaceAll(value, MASK);
  }
  return shown;
}

function untilAborted(fetched: Promise<void>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const aborted = (): void => reject(new Error('aborted'));
    const done = (): void => signal.removeEventListener('abort', aborted);
    signal.addEventListener('abort', aborted);
    fetched.then(resolve, reject).finally(done);
    if (signal.aborted) aborted();
  });
}
