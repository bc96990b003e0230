/** Asks an introspection endpoint (RFC 7662), within bounds that hold for hostile endpoints too. */
import type { IntrospectionProvider } from '../../config/snapshot/auth.js';
import { boundedRequest } from '../../outbound/bounded-request.js';
import { clientSecretBasic } from '../../outbound/client-secret-basic.js';

/** What is asked, and how. */
export type IntrospectionRequest = Pick<
  IntrospectionProvider,
  'introspectionUrl' | 'clientId' | 'clientSecret' | 'timeoutMs'
> & { readonly token: string };

/** Asks introspection endpoints. */
export interface Introspector {
  /** See {@link introspect}. */
  introspect(request: IntrospectionRequest): Promise<Record<string, unknown>>;
}

/** Longest response. */
const MAX_BYTES = 64 * 1024;

/**
 * Asks whether a token is active. The configuration has checked the URL: https, or http on a loopback host. Redirects are not
 * followed, since the request has a secret and a token.
 *
 * @returns the members of the answer, with a boolean `active`
 * @throws Error for any other response, and when there is none; its message holds nothing of the request
 */
export async function introspect(asked: IntrospectionRequest): Promise<Record<string, unknown>> {
  const { introspectionUrl, clientId, clientSecret, timeoutMs, token } = asked;
  const { status, body } = await boundedRequest(introspectionUrl, {
    method: 'POST',
    headers: {
      accept: 'application/json',
      authorization: clientSecretBasic(clientId, clientSecret),
      'content-type': 'application/x-www-form-urlencoded',
    },
    body: new URLSearchParams({ token, token_type_hint: 'access_token' }).toString(),
    maxBytes: MAX_BYTES,
    signal: AbortSignal.timeout(timeoutMs),
  });
  if (status !== 200) throw new Error(`it answered with status ${status}`);
  let answer: unknown;
  try {
    answer = JSON.parse(body.toString('utf8'));
  } catch {
    throw new Error('its answer is not JSON');
  }
  const members = typeof answer === 'object' && answer !== null ? (answer as Record<string, unknown>) : {};
  if (typeof members['active'] !== 'boolean') throw new Error('its answer does not say whether the token is active');
  return members;
}
