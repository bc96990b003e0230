import type { Bytes, Milliseconds } from '../../../units.js';

const MAX_BYTES: Bytes = 2_048;
const MAX_MS: Milliseconds = 1_000;

/**
 * The beginning of a body that is no message, for the reason of its refusal; what arrives within a second. Never fails.
 *
 * @param source ends the body when it takes longer
 */
export async function textOfBody(
  body: AsyncIterable<unknown>,
  source: AbortController | { destroy(): unknown },
): Promise<string> {
  const parts: Buffer[] = [];
  let length = 0;
  const timer = setTimeout(() => ('abort' in source ? source.abort() : source.destroy()), MAX_MS);
  try {
    for await (const part of body) {
      parts.push(part as Buffer);
      length += (part as Buffer).length;
      if (length >= MAX_BYTES) break;
    }
  } catch {
    // What has arrived counts.
  } finally {
    clearTimeout(timer);
  }
  return Buffer.concat(parts).toString('utf8', 0, MAX_BYTES);
}
