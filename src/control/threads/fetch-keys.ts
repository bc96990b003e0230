/** Loads the keys of `auth.jwksUrl`, within bounds that hold for hostile endpoints too. */
import { isLoopbackHost } from '../../config/compile/loopback.js';
import { boundedRequest } from '../../outbound/bounded-request.js';

/** Loads key sets in this or another thread. */
export interface KeyLoader {
  /** See {@link fetchKeys}. */
  fetchKeys(url: string): Promise<string>;
}

/** Longest response. */
const MAX_BYTES = 1024 * 1024;
const TIMEOUT_MS = 5_000;

/**
 * Fetches a key set: https only, except from loopback; no redirects; at most 1 MiB; five seconds.
 *
 * @returns JSON text of an object with a list of keys
 * @throws Error for any other response, and when there is none
 */
export async function fetchKeys(url: string): Promise<string> {
  const target = new URL(url);
  if (target.protocol !== 'https:' && !(target.protocol === 'http:' && isLoopbackHost(target.hostname))) {
    throw new Error('keys are loaded over https, or over http from this machine');
  }
  const { status, body } = await boundedRequest(target, {
    headers: { accept: 'application/jwk-set+json, application/json' },
    maxBytes: MAX_BYTES,
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  if (status !== 200) throw new Error(`it answered with status ${status}`);
  const text = body.toString('utf8');
  if (!isKeySet(text)) throw new Error('its answer is no JWK Set');
  return text;
}

function isKeySet(text: string): boolean {
  try {
    const parsed = JSON.parse(text) as { keys?: unknown } | null;
    return typeof parsed === 'object' && Array.isArray(parsed?.keys);
  } catch {
    return false;
  }
}
