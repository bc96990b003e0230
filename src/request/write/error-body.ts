import { randomBytes } from 'node:crypto';
import { ERROR_CODES, ERRORS, type ErrorCode } from '../../errors.js';
import type { Composer } from '../../protocol/composer.js';
import { REVISIONS, Revision } from '../../protocol/revisions.js';
import type { Exchange } from '../exchange/index.js';
import { loginElicitations } from './login-link.js';
import { URL_ELICITATION_REQUIRED } from './upstream-errors.js';

const OPEN = Buffer.from('{"jsonrpc":"2.0","id":');
const NULL = Buffer.from('null');
const HEX = Buffer.from('0123456789abcdef');

/** The parts of an error body between its variable parts, made once. */
interface Prepared {
  /** From behind the id to the place of the server's name in the sentence, behind "the upstream". */
  readonly head: Buffer;
  /** The rest of the sentence. */
  readonly rest: Buffer;
  /** From behind the sentence to the correlation id. */
  readonly data: Buffer;
}

/** What an error body says besides its code. */
export interface ErrorDetails {
  /** Name of the server concerned as a JSON string token, or null. */
  readonly upstream: Uint8Array | null;
  /** Why that server is not usable as a JSON string token, null = it is. */
  readonly reason: Uint8Array | null;
  /** 0 = none. */
  readonly retryAfterMs: number;
  /** Where the rate limit that refused the call is written; '' = none. */
  readonly limit: string;
}

/** Distinguishes the correlation ids of this process from those of others. */
const PROCESS_TAG = randomBytes(4).toString('hex');

const prepared = new Map<ErrorCode, Prepared>(ERROR_CODES.map((code) => [code, prepare(code, ERRORS[code].sentence)]));

/** The parts around the name of the server and the reason. */
function prepare(code: ErrorCode, sentence: string, rpc: number = ERRORS[code].rpc): Prepared {
  const { retryable } = ERRORS[code];
  const words = JSON.stringify(sentence).slice(1, -1);
  const at = /\bthe upstream\b/i.exec(words);
  const cut = at === null ? words.length : at.index + at[0].length;
  const data = JSON.stringify({ code, retryable }).slice(0, -1);
  return {
    head: Buffer.from(`,"error":{"code":${rpc},"message":"${words.slice(0, cut)}`),
    rest: Buffer.from(words.slice(cut)),
    data: Buffer.from(`","data":${data},"correlationId":"${PROCESS_TAG}-`),
  };
}

/** Errors whose sentence, with the name of the tool or prompt in it, is the detail of the message. */
const NAMING: ReadonlySet<ErrorCode> = new Set(['GW_UNKNOWN_TOOL', 'GW_UNKNOWN_PROMPT', 'GW_TOOL_NOT_APPROVED']);

/** Of a client that can show a link (2025-11-25, URL elicitation). */
const LOGIN = prepare('GW_UPSTREAM_LOGIN', ERRORS.GW_UPSTREAM_LOGIN.sentence, URL_ELICITATION_REQUIRED);
const CLOSE = Buffer.from('}}}');
const QUOTE = Buffer.from('"');
const NAME_OPEN = Buffer.from(' \\"');
const NAME_CLOSE = Buffer.from('\\"');
const SENTENCE_REASON = Buffer.from(' Reason: ');
const UPSTREAM = Buffer.from(',"upstream":');
const ELICITATIONS = Buffer.from(',"elicitations":');
const RETRY_AFTER = Buffer.from(',"retryAfterMs":');
const LIMIT = Buffer.from(',"limit":"');
const URI = Buffer.from(',"uri":"');
const REASON = Buffer.from(',"reason":');
const REQUIRED = Buffer.from(',"requiredCapabilities":');
const SUPPORTED = Buffer.from(`,"supported":["${REVISIONS[Revision.r2026_07_28]}"],"requested":`);

/** The characters of a JSON string token, without its quotes. */
function inner(token: Uint8Array): Uint8Array {
  return token.subarray(1, -1);
}

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
 * `data: {code, retryable, correlationId, upstream?, retryAfterMs?, limit?, supported?, requested?, requiredCapabilities?, uri?, reason?}`.
 *
 * The sentence names the server, and ends with the reason why it is not usable.
 */
export function errorBody(
  composer: Composer,
  exchange: Exchange,
  code: ErrorCode,
  { upstream, reason, retryAfterMs, limit }: ErrorDetails,
): void {
  composer.put(OPEN);
  if (exchange.client.idLength > 0) composer.range(exchange.client.id, 0, exchange.client.idLength);
  else composer.put(NULL);
  const { detail } = exchange.message;
  const hasSentence = detail !== '' && NAMING.has(code);
  const elicitations = code === 'GW_UPSTREAM_LOGIN' ? loginElicitations(exchange) : '';
  const { head, rest, data } = elicitations !== '' ? LOGIN : hasSentence ? prepare(code, detail) : prepared.get(code)!;
  composer.put(head);
  if (upstream !== null) composer.put(NAME_OPEN).put(inner(upstream)).put(NAME_CLOSE);
  composer.put(rest);
  if (reason !== null) composer.put(SENTENCE_REASON).put(inner(reason));
  if (exchange.call.detail !== '') composer.text(JSON.stringify(` ${exchange.call.detail}`).slice(1, -1));
  composer.put(data);
  hex(composer, exchange.generation);
  hex(composer, exchange.slot);
  composer.put(QUOTE);
  if (upstream !== null) composer.put(UPSTREAM).put(upstream);
  if (elicitations !== '') composer.put(ELICITATIONS).text(elicitations);
  if (retryAfterMs > 0) composer.put(RETRY_AFTER).integer(retryAfterMs);
  if (limit !== '') composer.put(LIMIT).text(limit).put(QUOTE);
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
