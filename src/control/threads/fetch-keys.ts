/** Loads the keys of `auth.jwksUrl`, under rules that leave a hostile or broken endpoint no room. */

/** Loads key sets, in whatever thread. */
export interface KeyLoader {
  /** @returns JSON text of an object with a list of keys. @throws Error when there are none */
  fetchKeys(url: string): Promise<string>;
}

/** A larger answer is refused. */
const MAX_BYTES = 1024 * 1024;
const TIMEOUT_MS = 5_000;

/**
 * Fetches a key set: https only, but for loopback; no redirect is followed; at most 1 MiB; five seconds.
 *
 * @returns JSON text of an object with a list of keys
 * @throws Error for everything else
 */
export async function fetchKeys(url: string): Promise<string> {
  const target = new URL(url);
  if (target.protocol !== 'https:' && !(target.protocol === 'http:' && isLoopback(target.hostname))) {
    throw new Error('keys are loaded over https, or over http from this machine');
  }
  const response = await fetch(target, {
    redirect: 'error',
    headers: { accept: 'application/jwk-set+json, application/json' },
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  if (response.status !== 200 || response.body === null) throw new Error('the answer is not 200');
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
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
