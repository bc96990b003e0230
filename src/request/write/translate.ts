/**
 * Turns the upstream's response into the client's: the client's id, and the result shape of its era; every other byte
 * stays as the upstream sent it (bridging, results).
 */

import { Flag, Method } from '../../../native/layout.js';
import type { Spans } from '../../../native/spans.js';
import type { Composer } from '../../protocol/composer.js';
import { findMember } from '../../protocol/json-cursor.js';
import { MemberCuts } from '../../protocol/member-cuts.js';
import { Era } from '../../protocol/revisions.js';
import type { Exchange } from '../exchange/index.js';

const RESULT_OPEN = Buffer.from('{"jsonrpc":"2.0","id":');
const RESULT_MIDDLE = Buffer.from(',"result":');
const CLOSE = Buffer.from('}');
/** What follows the result in a response that {@link composeOpen} has begun. */
export const RESULT_CLOSE = CLOSE;
const OPEN = Buffer.from('{');
const COMMA = Buffer.from(',');
export const COMPLETE = Buffer.from('"resultType":"complete"');
export const NOT_CACHEABLE = Buffer.from('"ttlMs":0,"cacheScope":"private"');
const WRAPPED_OPEN = Buffer.from('{"result":');
/** Bytes of the quoted keys of members that legacy clients do not know. */
const RESULT_TYPE_KEY = '"resultType"'.length;
const TTL_KEY = '"ttlMs"'.length;
const SCOPE_KEY = '"cacheScope"'.length;
const cuts = new MemberCuts(3);
const NOT_FOUND_LEGACY = -32002;
const INVALID_PARAMS = Buffer.from('-32602');

/** Methods whose results carry cache hints in 2026-07-28 and are relayed rather than answered locally. */
export function isCacheable(method: number): boolean {
  return method === Method.resourcesRead;
}

/** Appends `{"jsonrpc":"2.0","id":…,"result":` and the bytes of a result and `}`. */
export function composeResult(composer: Composer, exchange: Exchange, result: Uint8Array): void {
  composeOpen(composer, exchange);
  composer.put(result).put(CLOSE);
}

/** Appends `{"jsonrpc":"2.0","id":…,"result":`. */
export function composeOpen(composer: Composer, exchange: Exchange): void {
  composer.put(RESULT_OPEN).range(exchange.client.id, 0, exchange.client.idLength).put(RESULT_MIDDLE);
}

/**
 * Appends the client's form of a response.
 *
 * @param spans the scan of `bytes[0, length)`, a response with an id
 * @param serverInfo `"_meta":{"io.modelcontextprotocol/serverInfo":…}` for results that come without `_meta`
 */
export function translateResponse(
  composer: Composer,
  exchange: Exchange,
  bytes: Uint8Array,
  length: number,
  spans: Spans,
  serverInfo: Uint8Array,
): void {
  const idStart = spans.idStart;
  const idEnd = spans.idEnd;
  const flags = spans.flags;
  if ((flags & Flag.isErrorResponse) !== 0) {
    translateError(composer, exchange, bytes, length, spans);
    return;
  }
  if (exchange.call.era === exchange.client.era || (flags & Flag.resultIsObject) === 0) {
    composer
      .range(bytes, 0, idStart)
      .range(exchange.client.id, 0, exchange.client.idLength)
      .range(bytes, idEnd, length);
    return;
  }
  const start = spans.resultStart;
  const end = spans.resultEnd;
  const idFirst = idStart < start;
  if (idFirst) {
    composer.range(bytes, 0, idStart).range(exchange.client.id, 0, exchange.client.idLength).range(bytes, idEnd, start);
  } else {
    composer.range(bytes, 0, start);
  }
  if (exchange.client.era === Era.modern) modernResult(composer, exchange, bytes, start, end, spans, serverInfo);
  else legacyResult(composer, bytes, start, end, spans);
  if (idFirst) composer.range(bytes, end, length);
  else
    composer
      .range(bytes, end, idStart)
      .range(exchange.client.id, 0, exchange.client.idLength)
      .range(bytes, idEnd, length);
}

/** Legacy upstream, modern client: every result says what it is (2026-07-28, results). */
function modernResult(
  composer: Composer,
  exchange: Exchange,
  bytes: Uint8Array,
  start: number,
  end: number,
  spans: Spans,
  serverInfo: Uint8Array,
): void {
  const flags = spans.flags;
  composer.put(OPEN);
  let members = 0;
  if (spans.resultTypeStart < 0) {
    composer.put(COMPLETE);
    members += 1;
  }
  if (isCacheable(exchange.message.spans.method) && (flags & Flag.hasCacheHints) === 0) {
    if (members > 0) composer.put(COMMA);
    composer.put(NOT_CACHEABLE);
    members += 1;
  }
  if (spans.metaStart < 0) {
    if (members > 0) composer.put(COMMA);
    composer.put(serverInfo);
    members += 1;
  }
  if (members > 0 && (flags & Flag.resultIsEmpty) === 0) composer.put(COMMA);
  composer.range(bytes, start + 1, end);
}

/**
 * Modern upstream, legacy client: strict legacy schemas know neither the result type nor cache hints. The scan has the
 * positions of these members, so that a large result is not read once more.
 */
function legacyResult(composer: Composer, bytes: Uint8Array, start: number, end: number, spans: Spans): void {
  cuts.clear();
  cuts.add(bytes, spans.resultTypeStart, spans.resultTypeEnd, RESULT_TYPE_KEY);
  cuts.add(bytes, spans.ttlMsStart, spans.ttlMsEnd, TTL_KEY);
  cuts.add(bytes, spans.cacheScopeStart, spans.cacheScopeEnd, SCOPE_KEY);
  cuts.takeCommas(bytes);
  let at = start;
  for (let index = 0; index < cuts.count; index += 1) {
    copyWrapped(composer, bytes, at, cuts.startOf(index), spans);
    at = cuts.endOf(index);
  }
  copyWrapped(composer, bytes, at, end, spans);
}

/** Copies `[start, end)`; structured content that is no object becomes `{"result":…}` (it was always an object). */
function copyWrapped(composer: Composer, bytes: Uint8Array, start: number, end: number, spans: Spans): void {
  const { structuredContentStart: from, structuredContentEnd: to } = spans;
  if ((spans.flags & Flag.structuredNotObject) === 0 || from < start || to > end) {
    composer.range(bytes, start, end);
    return;
  }
  composer.range(bytes, start, from).put(WRAPPED_OPEN).range(bytes, from, to).put(CLOSE).range(bytes, to, end);
}

function translateError(composer: Composer, exchange: Exchange, bytes: Uint8Array, length: number, spans: Spans): void {
  const idStart = spans.idStart;
  const idEnd = spans.idEnd;
  // -32002 must not reach a 2026-07-28 client (error codes); its successor is -32602.
  const code =
    exchange.client.era === Era.modern && spans.errorCode === NOT_FOUND_LEGACY
      ? findMember(bytes, spans.errorStart, spans.errorEnd, 'code')
      : undefined;
  if (code === undefined) {
    composer
      .range(bytes, 0, idStart)
      .range(exchange.client.id, 0, exchange.client.idLength)
      .range(bytes, idEnd, length);
  } else if (idStart < code.start) {
    composer
      .range(bytes, 0, idStart)
      .range(exchange.client.id, 0, exchange.client.idLength)
      .range(bytes, idEnd, code.start);
    composer.put(INVALID_PARAMS).range(bytes, code.end, length);
  } else {
    composer.range(bytes, 0, code.start).put(INVALID_PARAMS).range(bytes, code.end, idStart);
    composer.range(exchange.client.id, 0, exchange.client.idLength).range(bytes, idEnd, length);
  }
}
