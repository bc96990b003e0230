/** Asks an introspection endpoint (RFC 7662), within bounds that hold for hostile endpoints too. */
import type { IntrospectionProvider } from '../config/auth-snapshot.js';

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
  // Both are form-encoded before they are joined (RFC 6749 section 2.3.1).
  const credentials = Buffer.from(`${formEncoded(clientId)}:${formEncoded(clientSecret)}`).toString('base64');
  // Loaded by the first request, since most gateways make none.
  const { request } = await import('undici');
  const { statusCode, body } = await request(introspectionUrl, {
    method: 'POST',
    headers: {
      accept: 'application/json',
      authorization: `Basic ${credentials}`,
      'content-type': 'application/x-www-form-urlencoded',
    },
    body: new URLSearchParams({ token, token_type_hint: 'access_token' }).toString(),
    signal: AbortSignal.timeout(timeoutMs),
  });
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of body as AsyncIterable<Uint8Array>) {
    length += chunk.length;
    if (length > MAX_BYTES) throw new Error(`its answer is larger than ${MAX_BYTES} bytes`);
    chunks.push(chunk);
  }
  if (statusCode !== 200) throw new Error(`it answered with status ${statusCode}`);
  let answer: unknown;
  try {
    answer = JSON.parse(Buffer.concat(chunks).toString('utf8'));
  } catch {
    throw new Error('its answer is not JSON');
  }
  const members = typeof answer === 'object' && answer !== null ? (answer as Record<string, unknown>) : {};
  if (typeof members['active'] !== 'boolean') throw new Error('its answer does not say whether the token is active');
  return members;
}

function formEncoded(text: string): string {
  return new URLSearchParams([['', text]]).toString().slice(1);
}
