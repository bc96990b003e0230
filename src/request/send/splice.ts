/**
 * Turns the client's message into the upstream's: a new id, the upstream's own name, the progress token, and the
 * era's envelope; every other byte stays as it was sent.
 */
import { Flag } from '../../../native/layout.js';
import { Composer } from '../../protocol/composer.js';
import { type JsonCursor, removeMembers } from '../../protocol/json-cursor.js';
import { MemberCuts } from '../../protocol/member-cuts.js';
import { Era } from '../../protocol/revisions.js';
import type { Exchange } from '../exchange/index.js';
import type { Envelope } from './envelope.js';

const NO_BYTES = Buffer.alloc(0);
const ENVELOPE_PREFIX = Buffer.from('io.modelcontextprotocol/');

/**
 * Room for what nearly every message needs: id, name, progress token, the envelope's keys, inputResponses,
 * requestState, an insertion. A client may put any number of keys under the envelope's prefix, so it grows.
 */
const USUAL_EDITS = 24;
let starts = new Int32Array(USUAL_EDITS);
let ends = new Int32Array(USUAL_EDITS);
const values: Uint8Array[] = new Array<Uint8Array>(USUAL_EDITS).fill(NO_BYTES);
let count = 0;
/** More room than this is given back after the message that needed it. */
const KEPT_EDITS = 1024;

const composer = new Composer();
const digits = new Composer(64);

/** Records that `[start, end)` becomes `value`; edits are kept in the order of their positions. */
function edit(start: number, end: number, value: Uint8Array): void {
  if (count === starts.length) growTo(count * 2);
  let at = count;
  while (at > 0 && starts[at - 1]! > start) {
    starts[at] = starts[at - 1]!;
    ends[at] = ends[at - 1]!;
    values[at] = values[at - 1]!;
    at -= 1;
  }
  starts[at] = start;
  ends[at] = end;
  values[at] = value;
  count += 1;
}

function growTo(edits: number): void {
  const [oldStarts, oldEnds] = [starts, ends];
  starts = new Int32Array(edits);
  ends = new Int32Array(edits);
  starts.set(oldStarts.subarray(0, Math.min(edits, oldStarts.length)));
  ends.set(oldEnds.subarray(0, Math.min(edits, oldEnds.length)));
  values.length = Math.min(values.length, edits);
  while (values.length < edits) values.push(NO_BYTES);
}

/** What the upstream's message differs in. */
export interface SpliceTarget {
  /** Era of the upstream. */
  era: Era;
  /** Upstream name as JSON string contents (escaped, without quotes); null = keep, after cutting `stripBytes`. */
  name: Uint8Array | null;
  stripBytes: number;
  /** For a modern upstream on behalf of a legacy client; null otherwise. */
  envelope: Envelope | null;
}

/**
 * Makes the upstream's message from the client's. The result belongs to the caller.
 *
 * @param bytes the client's message, `exchange.message.spans` is its scan
 */
export function spliceRequest(exchange: Exchange, bytes: Uint8Array, length: number, target: SpliceTarget): Buffer {
  const { spans } = exchange.message;
  count = 0;
  const id = digits.reset().integer(exchange.call.upstreamId);
  const idBytes = id.bytes.subarray(0, id.length);
  edit(spans.idStart, spans.idEnd, idBytes);
  const nameStart = spans.nameStart;
  if (nameStart >= 0) {
    if (target.name !== null) edit(nameStart, spans.nameEnd, target.name);
    else if (target.stripBytes > 0) edit(nameStart, nameStart + target.stripBytes, NO_BYTES);
  }
  const tokenStart = spans.progressTokenStart;
  if (tokenStart >= 0) edit(tokenStart, spans.progressTokenEnd, idBytes);
  if (exchange.client.era !== target.era) {
    if (target.era === Era.legacy) dropEnvelope(exchange, bytes);
    else if (target.envelope !== null) addEnvelope(exchange, target.envelope);
  }
  return apply(bytes, length);
}

function apply(bytes: Uint8Array, length: number): Buffer {
  let size = length;
  for (let index = 0; index < count; index += 1) size += values[index]!.length - (ends[index]! - starts[index]!);
  composer.reset().reserve(size);
  let at = 0;
  for (let index = 0; index < count; index += 1) {
    composer.range(bytes, at, starts[index]!).put(values[index]!);
    values[index] = NO_BYTES;
    at = ends[index]!;
  }
  composer.range(bytes, at, length);
  if (starts.length > KEPT_EDITS) growTo(USUAL_EDITS);
  return composer.take();
}

/** Modern client, legacy upstream: the envelope and the continuation members mean nothing there (bridging, requests). */
function dropEnvelope(exchange: Exchange, bytes: Uint8Array): void {
  const { spans } = exchange.message;
  const metaStart = spans.metaStart;
  if (metaStart >= 0 && (spans.flags & Flag.metaIsObject) !== 0) {
    for (const { start, end, text } of removeMembers(bytes, metaStart, isEnvelopeKey)) edit(start, end, text);
  }
  if (spans.inputResponsesStart < 0 && spans.requestStateStart < 0) return;
  continuation.clear();
  continuation.add(bytes, spans.inputResponsesStart, spans.inputResponsesEnd, INPUT_RESPONSES_KEY);
  continuation.add(bytes, spans.requestStateStart, spans.requestStateEnd, REQUEST_STATE_KEY);
  continuation.takeCommas(bytes);
  for (let index = 0; index < continuation.count; index += 1) {
    edit(continuation.startOf(index), continuation.endOf(index), NO_BYTES);
  }
}

/** Bytes of the quoted keys of a repeated request's members. */
const INPUT_RESPONSES_KEY = '"inputResponses"'.length;
const REQUEST_STATE_KEY = '"requestState"'.length;
const continuation = new MemberCuts(2);

function isEnvelopeKey({ bytes, keyStart }: JsonCursor): boolean {
  for (let index = 0; index < ENVELOPE_PREFIX.length; index += 1) {
    if (bytes[keyStart + index] !== ENVELOPE_PREFIX[index]) return false;
  }
  return true;
}

/** Legacy client, modern upstream: every request carries the envelope. */
function addEnvelope(exchange: Exchange, envelope: Envelope): void {
  const { spans } = exchange.message;
  const flags = spans.flags;
  const metaStart = spans.metaStart;
  const paramsStart = spans.paramsStart;
  if (metaStart >= 0 && (flags & Flag.metaIsObject) !== 0) {
    const inside = metaStart + 1;
    edit(inside, inside, (flags & Flag.metaIsEmpty) === 0 ? envelope.beforeMembers : envelope.members);
  } else if (metaStart >= 0) {
    edit(metaStart, spans.metaEnd, envelope.object);
  } else if (paramsStart >= 0) {
    const inside = paramsStart + 1;
    edit(inside, inside, (flags & Flag.paramsIsEmpty) === 0 ? envelope.metaBeforeMembers : envelope.meta);
  } else {
    // Behind the id, which every request has: `"id":7` becomes `"id":7,"params":{…}`.
    edit(spans.idEnd, spans.idEnd, envelope.params);
  }
}
