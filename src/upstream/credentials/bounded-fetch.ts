import { isLoopbackHost } from '../../config/compile/loopback.js';
import { AnswerTooLarge, boundedRequest } from '../../outbound/bounded-request.js';
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
  const mayBePlain = isLoopbackHost(new URL(serverUrl).hostname);
  return async (target, init = {}) => {
    const url = new URL(target);
    if (url.protocol !== 'https:' && !(url.protocol === 'http:' && mayBePlain && isLoopbackHost(url.hostname))) {
      throw new UnreachableError(`${url.origin} is not asked: it must be https`);
    }
    const headers = Object.fromEntries(new Headers(init.headers).entries());
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    const method = init.method ?? 'GET';
    const body = init.body === undefined || init.body === null ? null : String(init.body);
    try {
      const { status, ...answer } = await boundedRequest(url, { method, headers, body, maxBytes: MAX_BYTES, signal });
      if (status === 429 || status >= 500) throw new UnreachableError(`${url.origin} answered ${status}`);
      const fields = new Headers();
      for (const [name, value] of Object.entries(answer.headers)) {
        for (const item of [value ?? []].flat()) fields.append(name, item);
      }
      return new Response(NO_BODY.has(status) ? null : new Uint8Array(answer.body), { status, headers: fields });
    } catch (error) {
      if (error instanceof UnreachableError) throw error;
      if (error instanceof AnswerTooLarge) throw new UnreachableError(`the answer of ${url.origin} is too large`);
      if (signal.aborted) throw new UnreachableError(`${url.origin} did not answer within ${TIMEOUT_MS / 1_000} s`);
      const { code } = error as { code?: unknown };
      throw new UnreachableError(
        `${url.origin} cannot be reached (${typeof code === 'string' ? code : 'no connection'})`,
      );
    }
  };
}
