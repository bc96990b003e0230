import { randomBytes } from 'node:crypto';
import { ERROR_CODES, ERRORS, type ErrorCode } from '../../errors.js';
import type { Composer } from '../../protocol/composer.js';
import { REVISIONS, Revision } from '../../protocol/revisions.js';
import type { Exchange } from '../exchange/index.js';

const OPEN = Buffer.from('{"jsonrpc":"2.0","id":');
const NULL = Buffer.from('null');
const HEX = Buffer.from('0123456789abcdef');

/** Everything of an error body up to its variable parts, made once. */
interface Prepared {
  /** From behind the id to the end of the sentence, without its quote. */
  readonly sentence: Buffer;
  /** From there to the correlation id. */
  readonly data: Buffer;
}

/** Distinguishes the correlation ids of this process from those of others. */
const PROCESS_TAG = randomBytes(4).toString('hex');

const prepared = new Map<ErrorCode, Prepared>(
  ERROR_CODES.map((code) => {
    const { rpc, sentence, retryable } = ERRORS[code];
    const head = JSON.stringify({ code: rpc, message: sentence }).slice(0, -2);
    const data = JSON.stringify({ code, retryable }).slice(0, -1);
    return [
      code,
      {
        sentence: Buffer.from(`,"error":${head}`),
        data: Buffer.from(`","data":${data},"correlationId":"${PROCESS_TAG}-`),
      },
    ];
  }),
);

const CLOSE = Buffer.from('}}}');
const QUOTE = Buffer.from('"');
const UPSTREAM = Buffer.from(',"upstream":');
const RETRY_AFTER = Buffer.from(',"retryAfterMs":');
const URI = Buffer.from(',"uri":"');
const REASON = Buffer.from(',"reason":');
const REQUIRED = Buffer.from(',"requiredCapabilities":');
const SUPPORTED = Buffer.from(`,"supported":["${REVISIONS[Revision.r2026_07_28]}"],"requested":`);

function hex(composer: Composer, value: number): void {
  composer.reserve(8);
  for (let shift = 28; shift >= 0; shift -= 4) {
    composer.bytes[composer.length] = HEX[(value >>> shift) & 15]!;
    composer.length += 1;
  }
}

/** The id by which an operator finds this exchange in the log. */
export function correlationId(exchange: Exchange): string {
  const part = (value: number): string => (value >>> 0).toString(16).padStart(8, '0');
  return `${PROCESS_TAG}-${part(exchange.generation)}${part(exchange.slot)}`;
}

/**
 * Appends the JSON-RPC error for `code` to `composer`: the client's id, the table's code and sentence with the detail of the call,
 * `data: {code, retryable, correlationId, upstream?, retryAfterMs?, supported?, requested?, requiredCapabilities?, uri?, reason?}`.
 *
 * @param upstream name of the server concerned as a JSON string token, or null
 */
export function errorBody(
  composer: Composer,
  exchange: Exchange,
  code: ErrorCode,
  upstream: Uint8Array | null,
  retryAfterMs: number,
): void {
  composer.put(OPEN);
  if (exchange.client.idLength > 0) composer.range(exchange.client.id, 0, exchange.client.idLength);
  else composer.put(NULL);
  const { sentence, data } = prepared.get(code)!;
  composer.put(sentence);
  if (exchange.call.detail !== '') composer.text(JSON.stringify(` ${exchange.call.detail}`).slice(1, -1));
  composer.put(data);
  hex(composer, exchange.generation);
  hex(composer, exchange.slot);
  composer.put(QUOTE);
  if (upstream !== null) composer.put(UPSTREAM).put(upstream);
  if (retryAfterMs > 0) composer.put(RETRY_AFTER).integer(retryAfterMs);
  if (code === 'GW_UNSUPPORTED_VERSION') composer.put(SUPPORTED).text(JSON.stringify(exchange.message.detail));
  else if (code === 'GW_CAPABILITY_REQUIRED' && exchange.message.detail !== '')
    composer.put(REQUIRED).text(exchange.message.detail);
  // The characters of a JSON string as they came, escapes included.
  else if (code === 'GW_UNKNOWN_RESOURCE' && exchange.message.detail !== '')
    composer.put(URI).text(exchange.message.detail).put(QUOTE);
  else if (code === 'GW_INVALID_URI') composer.put(REASON).text(JSON.stringify(exchange.message.detail));
  composer.put(CLOSE);
}

/** @param waitMs 0 = there is no such header */
export function withRetryAfter(head: readonly string[], waitMs: number): readonly string[] {
  return waitMs > 0 ? [...head, 'retry-after', String(Math.ceil(waitMs / 1_000))] : head;
}
