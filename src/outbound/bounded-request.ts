/** Requests of the gateway to servers that are no upstreams: authorization servers and key sets. */
import type { IncomingHttpHeaders } from 'node:http';
import type { Bytes } from '../units.js';

/** A request and the bounds of its answer. */
export interface BoundedRequest {
  /** Default GET. */
  readonly method?: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string | null;
  /** Longest body of the answer. */
  readonly maxBytes: Bytes;
  /** Aborted, it ends the request, up to the end of the body. */
  readonly signal: AbortSignal;
}

/** The whole answer, whatever its status. */
export interface BoundedAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** The answer is longer than `maxBytes`. */
export class AnswerTooLarge extends Error {}

/**
 * Sends a request and reads the whole answer. Redirects are not followed: a redirect is an answer like any other.
 *
 * Not the global fetch: it drops its signal once the head is there and a garbage collection ran, and then waits for the rest of a
 * body without end.
 *
 * @throws AnswerTooLarge, and what undici throws
 */
export async function boundedRequest(url: string | URL, bounded: BoundedRequest): Promise<BoundedAnswer> {
  const { body: sent = null, headers, maxBytes, method = 'GET', signal } = bounded;
  // Loaded by the first request, since most gateways make none.
  const { request } = await import('undici');
  const answer = await request(url, { method, headers, body: sent, signal });
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of answer.body as AsyncIterable<Uint8Array>) {
    length += chunk.length;
    if (length > maxBytes) throw new AnswerTooLarge(`the answer is larger than ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  return { status: answer.statusCode, headers: answer.headers, body: Buffer.concat(chunks) };
}
