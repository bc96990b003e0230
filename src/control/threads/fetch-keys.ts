/** Loads the keys of `auth.jwksUrl`, within bounds that hold for hostile endpoints too. */

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
  if (target.protocol !== 'https:' && !(target.protocol === 'http:' && isLoopback(target.hostname))) {
    throw new Error('keys are loaded over https, or over http from this machine');
  }
  // Not the global fetch: it drops its signal once the head is there and a garbage collection ran, and then waits for the
  // rest of a body without end. A redirect is an answer like any other here.
  // Loaded by the first request, since most gateways make none.
  const { request } = await import('undici');
  const { statusCode, body } = await request(target, {
    headers: { accept: 'application/jwk-set+json, application/json' },
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  if (statusCode !== 200) {
    await body.dump();
    throw new Error('the answer is not 200');
  }
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of body as AsyncIterable<Uint8Array>) {
    length += chunk.length;
    if (length > MAX_BYTES) throw new Error('the key set is too large');
    chunks.push(chunk);
  }
  const text = Buffer.concat(chunks).toString('utf8');
  const parsed = JSON.parse(text) as { keys?: unknown } | null;
  if (parsed === null || typeof parsed !== 'object' || !Array.isArray(parsed.keys)) throw new Error('not a key set');
  return text;
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '[::1]' || /^127(?:\.\d{1,3}){3}$/.test(host);
}
