/** Requests to the token endpoint of an authorization server (RFC 6749 section 3.2), within bounds that hold for hostile ones too. */
import type { TokenEndpointSnapshot } from '../../config/snapshot/index.js';
import type { ErrorCode } from '../../errors.js';
import { AnswerTooLarge, boundedRequest } from '../../outbound/bounded-request.js';
import { clientSecretBasic } from '../../outbound/client-secret-basic.js';
import type { Bytes, Milliseconds } from '../../units.js';
import { excerpt } from '../core/reasons.js';

/** Longest response. */
const MAX_BYTES: Bytes = 65_536;
/** Time for the whole response. */
const TIMEOUT_MS: Milliseconds = 10_000;

/** A token as it was issued. */
export interface IssuedToken {
  readonly accessToken: string;
  /** 0 = the response does not say. */
  readonly lifetimeMs: Milliseconds;
}

/** There is no token. `message` is a sentence for operators and clients: it has nothing that the server wrote but its error code. */
export class TokenError extends Error {
  /** The server refused the request, so that the same one will not succeed; else it may later. */
  readonly isRefusal: boolean;
  /** What the server said about it, for operators; '' = nothing. */
  readonly description: string;
  /** The error that a call gets. */
  readonly code: ErrorCode;

  constructor(message: string, isRefusal = false, description = '', code: ErrorCode = 'GW_UPSTREAM_CREDENTIALS') {
    super(message);
    this.name = 'TokenError';
    this.isRefusal = isRefusal;
    this.description = description;
    this.code = code;
  }
}

/**
 * Asks for a token as the client of `endpoint`. Redirects are not followed.
 *
 * @param form parameters of the grant; scope, audience and resource are added
 * @throws TokenError
 */
export async function requestToken(
  endpoint: TokenEndpointSnapshot,
  form: Readonly<Record<string, string>>,
): Promise<IssuedToken> {
  const { clientId, clientSecret, clientAuth, scope, audience, resource } = endpoint;
  const body = new URLSearchParams(form);
  for (const [name, value] of Object.entries({ scope, audience, resource })) if (value !== '') body.set(name, value);
  const headers: Record<string, string> = {
    'content-type': 'application/x-www-form-urlencoded',
    accept: 'application/json',
  };
  if (clientAuth === 'post') {
    body.set('client_id', clientId);
    body.set('client_secret', clientSecret);
  } else {
    headers['authorization'] = clientSecretBasic(clientId, clientSecret);
  }
  const { status, text } = await post(endpoint.tokenUrl, headers, body.toString());
  return status === 200 ? readToken(text) : refusal(status, text);
}

async function post(
  url: string,
  headers: Readonly<Record<string, string>>,
  body: string,
): Promise<{ status: number; text: string }> {
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  try {
    const answer = await boundedRequest(url, { method: 'POST', headers, body, maxBytes: MAX_BYTES, signal });
    return { status: answer.status, text: answer.body.toString('utf8') };
  } catch (error) {
    if (error instanceof AnswerTooLarge) throw new TokenError('The answer of the token endpoint is too large.');
    if (signal.aborted) throw new TokenError(`The token endpoint did not answer within ${TIMEOUT_MS / 1_000} s.`);
    const code = (error as { code?: unknown }).code;
    throw new TokenError(
      `The token endpoint cannot be reached (${typeof code === 'string' ? code : 'no connection'}).`,
    );
  }
}

/** RFC 6749 section 5.1. */
function readToken(text: string): IssuedToken {
  const members = membersOf(text);
  const token = members['access_token'];
  // Anything else could not be sent in a header (RFC 6750 2.1).
  if (typeof token !== 'string' || !/^[\x21-\x7e]+$/.test(token)) {
    throw new TokenError('The answer of the token endpoint has no access token.');
  }
  const type = members['token_type'];
  if (typeof type === 'string' && !['bearer', 'n_a'].includes(type.toLowerCase())) {
    throw new TokenError('The token endpoint issues tokens of another type than Bearer.', true);
  }
  const seconds = Number(members['expires_in']);
  return { accessToken: token, lifetimeMs: seconds > 0 ? Math.min(seconds, MAX_LIFETIME) * 1_000 : 0 };
}

/** A year in seconds. */
const MAX_LIFETIME = 31_536_000;

/** RFC 6749 section 5.2. */
function refusal(status: number, text: string): never {
  let code = '';
  let description = '';
  if (status >= 400 && status < 500 && status !== 429) {
    try {
      const members = membersOf(text);
      if (typeof members['error'] === 'string') code = members['error'].replace(/[^\w.:/-]/g, '').slice(0, 64);
      if (typeof members['error_description'] === 'string') description = excerpt(members['error_description']);
    } catch {
      // The status says enough.
    }
  }
  if (code === '') throw new TokenError(`The token endpoint answered ${status}.`);
  throw new TokenError(`The token endpoint refused the request (${code}).`, true, description);
}

function membersOf(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null) return value as Readonly<Record<string, unknown>>;
  } catch {
    // Reported below.
  }
  throw new TokenError('The answer of the token endpoint is no JSON object.');
}
