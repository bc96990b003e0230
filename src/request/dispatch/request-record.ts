/** Writes request records (src/shared/ring/records.ts) onto the ring of a worker. */

import { Flag, Method } from '../../../native/layout.js';
import type { Spans } from '../../../native/spans.js';
import { decodeString } from '../../protocol/json-cursor.js';
import { Era } from '../../protocol/revisions.js';
import { ANSWER_HEAD_BYTES, type AnswerHead } from '../../shared/cache/answer-head.js';
import type { Ring } from '../../shared/ring/index.js';
import { Ask, REQUEST_HEAD, RequestFlag, RequestWord, Verdict } from '../../shared/ring/records.js';
import type { VerdictRecord } from '../../shared/ring/verdict-record.js';
import { Scheme } from '../../shared/scheme.js';
import type { Milliseconds } from '../../units.js';
import { type Exchange, MessageFlag } from '../exchange/index.js';
import type { CallArguments } from './call-arguments.js';

/** Longest token that is sent to a worker; of a longer one only so much that it is refused. */
const MAX_TOKEN = 16 * 1024;

function padded(length: number): number {
  return (length + 3) & ~3;
}

/** Where the name of an exchange is: in `decodedName` where policy compares another text than the body has, else in the body. */
export function nameLength(exchange: Exchange): number {
  if (exchange.message.decodedName.length > 0) return exchange.message.decodedName.length;
  const start = exchange.message.spans.nameStart;
  return start < 0 ? 0 : exchange.message.spans.nameEnd - start;
}

/**
 * Writes the question about an exchange.
 *
 * @param mayCache false = the arguments are too large to be looked up: decide without the cache
 * @param attributeNames the request headers that policy reads (`Snapshot.attributes`)
 * @param args the arguments on the second pass of a cacheable call, else null
 * @returns -1 = no room, 0 = written, 1 = written and the worker must be rung
 */
export function writeDecide(
  ring: Ring,
  exchange: Exchange,
  bytes: Uint8Array,
  catalogVersion: number,
  attributeNames: readonly string[],
  mayCache: boolean,
  args: CallArguments | null,
): number {
  const { spans } = exchange.message;
  const { caller } = exchange.client;
  const token = Math.min(caller.token.length, MAX_TOKEN);
  const attributeValues = caller.attributes(attributeNames);
  const attributes = attributeValues.length;
  // A method that is not in the table is routed by the method itself, which takes the place of the name.
  const isUnknown = spans.method === Method.unknown && spans.methodStart >= 0;
  const nameFrom = isUnknown ? spans.methodStart : spans.nameStart;
  const name = isUnknown ? spans.methodEnd - nameFrom : nameLength(exchange);
  const address = exchange.client.remoteAddress.length;
  const argumentBytes = args === null ? 0 : args.length;
  const length = padded(token) + padded(name) + padded(address) + padded(argumentBytes) + padded(attributes);
  const at = ring.reserve(REQUEST_HEAD + length / 4);
  if (at < 0) return -1;
  const { words, buffer } = ring;
  const scanFlags = spans.flags;
  let flags = args === null ? 0 : RequestFlag.hasArguments;
  if (exchange.client.era === Era.modern) flags |= RequestFlag.modern;
  if (caller.scheme !== Scheme.none) flags |= RequestFlag.hasToken;
  if (exchange.message.decodedName.length > 0) flags |= RequestFlag.nameDecoded;
  if ((scanFlags & Flag.nameIsUri) !== 0) flags |= RequestFlag.nameIsUri;
  // Servers may tell URIs apart that policy takes for one (src/protocol/uri.ts, judged).
  const isFolded = exchange.message.decodedName.length > 0 && (scanFlags & Flag.nameIsUri) !== 0;
  if ((exchange.message.flags & MessageFlag.hasInputResponses) !== 0 || !mayCache || isFolded)
    flags |= RequestFlag.uncacheable;
  if (!mayCache && args === null) flags |= RequestFlag.argumentsTooLarge;
  if ((exchange.message.flags & MessageFlag.unmetered) !== 0) flags |= RequestFlag.unmetered;
  words[at + RequestWord.ask] = Ask.decide;
  words[at + RequestWord.slot] = exchange.slot;
  words[at + RequestWord.generation] = exchange.generation;
  words[at + RequestWord.method] = spans.method;
  words[at + RequestWord.flags] = flags;
  words[at + RequestWord.revision] = exchange.client.revision;
  words[at + RequestWord.catalogVersion] = catalogVersion;
  words[at + RequestWord.argumentsHashLow] = args === null ? 0 : args.hash[0]!;
  words[at + RequestWord.argumentsHashHigh] = args === null ? 0 : args.hash[1]!;
  words[at + RequestWord.cacheKey] = 0;
  words[at + RequestWord.tokenLength] = token;
  words[at + RequestWord.nameLength] = name;
  words[at + RequestWord.addressLength] = address;
  words[at + RequestWord.argumentsLength] = argumentBytes;
  words[at + RequestWord.attributesLength] = attributes;
  words[at + RequestWord.payloadLength] = 0;
  words[at + RequestWord.scheme] = caller.scheme;
  words[at + RequestWord.view] = caller.view;
  let to = (at + REQUEST_HEAD) * 4;
  if (token > 0) buffer.write(caller.token, to, token, 'latin1');
  to += padded(token);
  if (!isUnknown && exchange.message.decodedName.length > 0) exchange.message.decodedName.copy(buffer, to);
  else for (let i = 0; i < name; i += 1) buffer[to + i] = bytes[nameFrom + i]!;
  to += padded(name);
  if (address > 0) buffer.write(exchange.client.remoteAddress, to, address, 'latin1');
  to += padded(address);
  if (args !== null && argumentBytes > 0) ring.bytes.set(args.bytes.subarray(0, argumentBytes), to);
  to += padded(argumentBytes);
  if (attributes > 0) buffer.write(attributeValues, to, attributes, 'latin1');
  return ring.commit() ? 1 : 0;
}

/**
 * Writes what became of an exchange: {@link Ask.release} or {@link Ask.cancel}.
 *
 * @returns -1 = no room, 0 = written, 1 = written and the worker must be rung
 */
export function writeReport(
  ring: Ring,
  ask: number,
  exchange: Pick<Exchange, 'slot' | 'generation'>,
  cacheKey: number,
  flags: number,
): number {
  const at = ring.reserve(REQUEST_HEAD);
  if (at < 0) return -1;
  const { words } = ring;
  words.fill(0, at, at + REQUEST_HEAD);
  words[at + RequestWord.ask] = ask;
  words[at + RequestWord.slot] = exchange.slot;
  words[at + RequestWord.generation] = exchange.generation;
  words[at + RequestWord.flags] = flags;
  words[at + RequestWord.cacheKey] = cacheKey;
  return ring.commit() ? 1 : 0;
}

/**
 * Writes {@link Ask.store}: the result `bytes[start, end)` of a leader, with its head.
 *
 * @returns as {@link writeReport}
 */
export function writeStore(
  ring: Ring,
  exchange: Exchange,
  head: AnswerHead,
  bytes: Uint8Array,
  start: number,
  end: number,
): number {
  const length = ANSWER_HEAD_BYTES + end - start;
  const at = ring.reserve(REQUEST_HEAD + padded(length) / 4);
  if (at < 0) return -1;
  const { words } = ring;
  words.fill(0, at, at + REQUEST_HEAD);
  words[at + RequestWord.ask] = Ask.store;
  words[at + RequestWord.slot] = exchange.slot;
  words[at + RequestWord.generation] = exchange.generation;
  words[at + RequestWord.cacheKey] = exchange.verdict.cacheKey;
  words[at + RequestWord.payloadLength] = length;
  const to = (at + REQUEST_HEAD) * 4;
  head.write(ring.buffer, to);
  ring.bytes.set(bytes.subarray(start, end), to + ANSWER_HEAD_BYTES);
  return ring.commit() ? 1 : 0;
}

/** The name as text says it, in UTF-8. Rare: only names that are spelled with escapes come here. */
export function decodeName(bytes: Uint8Array, spans: Spans): Buffer {
  return Buffer.from(decodeString(bytes, spans.nameStart, spans.nameEnd));
}

/** Makes `verdict` a refusal by the front itself. @param limit number of the rate limit that refused, -1 none */
export function denial(verdict: VerdictRecord, error: number, retryAfterMs: Milliseconds, limit = -1): void {
  verdict.clear();
  verdict.kind = Verdict.deny;
  verdict.server = -1;
  verdict.route = -1;
  verdict.entry = -1;
  verdict.error = error;
  verdict.retryAfterMs = retryAfterMs;
  verdict.limit = limit;
}
