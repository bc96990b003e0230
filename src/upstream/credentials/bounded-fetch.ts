import type { Bytes, Milliseconds } from '../../units.js';

/** Longest response. */
const MAX_BYTES: Bytes = 262_144;
/** Time for the whole response. */
const TIMEOUT_MS: Milliseconds = 10_000;
const NO_BODY: ReadonlySet<number> = new Set([101, 204, 205, 304]);

/** A request of a login failed without an answer that counts: another try may succeed. */
export class UnreachableError extends Error {}

/**
 * The `fetch` of the SDK's client authentication, within bounds that hold for hostile servers too: only https, or http to a
 * loopback host where the upstream is at one; redirects are not followed; a status of 429 or above 499 is a failure.
 *
 * @param serverUrl of the upstream
 */
export function boundedFetch(serverUrl: string): (url: string | URL, init?: RequestInit) => Promise<Response> {
  const mayBePlain = isLoopback(new URL(serverUrl));
  return async (target, init = {}) => {
    const url = new URL(target);
    if (url.protocol !== 'https:' && !(url.protocol === 'http:' && mayBePlain && isLoopback(url))) {
      throw new UnreachableError(`${url.origin} is not asked: it must be https`);
    }
    const headers = Object.fromEntries(new Headers(init.headers).entries());
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    const method = init.method ?? 'GET';
    const body = init.body === undefined || init.body === null ? null : String(init.body);
    try {
      // Loaded by the first request, since most gateways make none.
      const { request } = await import('undici');
      const response = await request(url, { method, headers, body, signal });
      const chunks: Uint8Array[] = [];
      let length = 0;
      for await (const chunk of response.body as AsyncIterable<Uint8Array>) {
        length += chunk.length;
        if (length > MAX_BYTES) throw new UnreachableError(`the answer of ${url.origin} is too large`);
        chunks.push(chunk);
      }
      const status = response.statusCode;
      if (status === 429 || status >= 500) throw new UnreachableError(`${url.origin} answered ${status}`);
      const fields = new Headers();
      for (const [name, value] of Object.entries(response.headers)) {
        for (const item of [value ?? []].flat()) fields.append(name, item);
      }
      return new Response(NO_BODY.has(status) ? null : Buffer.concat(chunks), { status, headers: fields });
    } catch (error) {
      if (error instanceof UnreachableError) throw error;
      if (signal.aborted) throw new UnreachableError(`${url.origin} did not answer within ${TIMEOUT_MS / 1_000} s`);
      const { code } = error as { code?: unknown };
      throw new UnreachableError(
        `${url.origin} cannot be reached (${typeof code === 'string' ? code : 'no connection'})`,
      );
    }
  };
}

/** A loopback address or `localhost`. */
export function isLoopback({ hostname }: URL): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d{1,3}){3}$/.test(hostname);
}
