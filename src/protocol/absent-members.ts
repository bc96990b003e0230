/**
 * Members of a message that count as absent although they are there: serialisers of several languages write `null` for an
 * optional member without a value, and an empty map as `[]`. They are overwritten with white space, so that the message means
 * the same to all that read it later, and every other byte stays where it was.
 */
import { Kind, ScanStatus } from '../../native/layout.js';
import type { Spans } from '../../native/spans.js';

const QUOTE = 0x22;
const COMMA = 0x2c;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;
const LETTER_N = 0x6e;
const SPACE = 0x20;

/**
 * Whether a client's message has members that count as absent: `null`, or a cursor without characters (MCP, pagination).
 *
 * @param status the result of the scan that filled `spans`
 */
export function hasAbsentMembers(bytes: Uint8Array, spans: Spans, status: number): boolean {
  if (status !== ScanStatus.ok) return status === ScanStatus.badParams && isNull(bytes, spans.paramsStart);
  return (
    isNull(bytes, spans.metaStart) ||
    isNull(bytes, spans.argumentsStart) ||
    isAbsentCursor(bytes, spans) ||
    isNull(bytes, spans.progressTokenStart) ||
    isNull(bytes, spans.levelStart) ||
    isNull(bytes, spans.requestIdStart) ||
    isNull(bytes, spans.inputResponsesStart) ||
    isNull(bytes, spans.requestStateStart) ||
    isNull(bytes, spans.clientInfoStart) ||
    isNull(bytes, spans.traceparentStart)
  );
}

/** Overwrites what {@link hasAbsentMembers} has found. The message has to be scanned again. */
export function blankAbsentMembers(bytes: Uint8Array, spans: Spans): void {
  blankNull(bytes, spans.paramsStart, spans.paramsEnd);
  blankNull(bytes, spans.metaStart, spans.metaEnd);
  blankNull(bytes, spans.argumentsStart, spans.argumentsEnd);
  if (isAbsentCursor(bytes, spans)) blankMember(bytes, spans.cursorStart, spans.cursorEnd);
  blankNull(bytes, spans.progressTokenStart, spans.progressTokenEnd);
  blankNull(bytes, spans.levelStart, spans.levelEnd);
  blankNull(bytes, spans.requestIdStart, spans.requestIdEnd);
  blankNull(bytes, spans.inputResponsesStart, spans.inputResponsesEnd);
  blankNull(bytes, spans.requestStateStart, spans.requestStateEnd);
  blankNull(bytes, spans.clientInfoStart, spans.clientInfoEnd);
  blankNull(bytes, spans.traceparentStart, spans.traceparentEnd);
}

/**
 * Overwrites members of a server's message that count as absent: `params` and `_meta` that are `null` or `[]`, also in a
 * result, and a progress token that is `null`.
 *
 * @param status the result of the scan that filled `spans`
 * @returns whether there were any: the message has to be scanned again
 */
export function blankOfServer(bytes: Uint8Array, spans: Spans, status: number): boolean {
  if (status === ScanStatus.badParams) return blankEmpty(bytes, spans.paramsStart, spans.paramsEnd);
  if (status !== ScanStatus.ok || spans.metaStart < 0) {
    // `params.progressToken` of a notification is no member of `_meta`.
    if (status !== ScanStatus.ok || spans.kind === Kind.response) return false;
    return blankNull(bytes, spans.progressTokenStart, spans.progressTokenEnd);
  }
  if (blankEmpty(bytes, spans.metaStart, spans.metaEnd)) return true;
  return spans.kind !== Kind.response && blankNull(bytes, spans.progressTokenStart, spans.progressTokenEnd);
}

function isAbsentCursor(bytes: Uint8Array, { cursorStart, cursorEnd }: Spans): boolean {
  if (cursorStart < 0) return false;
  return bytes[cursorStart] === LETTER_N || (bytes[cursorStart] === QUOTE && cursorEnd - cursorStart === 2);
}

/** Whether the value at `start` is `null`: in valid JSON no other one begins with its first letter. */
function isNull(bytes: Uint8Array, start: number): boolean {
  return start >= 0 && bytes[start] === LETTER_N;
}

function blankNull(bytes: Uint8Array, start: number, end: number): boolean {
  if (!isNull(bytes, start)) return false;
  blankMember(bytes, start, end);
  return true;
}

function blankEmpty(bytes: Uint8Array, start: number, end: number): boolean {
  if (blankNull(bytes, start, end)) return true;
  if (start < 0 || bytes[start] !== OPEN_ARRAY || bytes[afterSpace(bytes, start + 1)] !== CLOSE_ARRAY) return false;
  blankMember(bytes, start, end);
  return true;
}

/** Overwrites the member with the value `[start, end)` and one comma. Its key has no escapes: a scan refuses such keys. */
export function blankMember(bytes: Uint8Array, start: number, end: number): void {
  let from = start - 1;
  while (bytes[from] !== QUOTE) from -= 1;
  from -= 1;
  while (bytes[from] !== QUOTE) from -= 1;
  let before = from - 1;
  while (isSpace(bytes[before])) before -= 1;
  let to = end;
  if (bytes[before] === COMMA) from = before;
  else if (bytes[afterSpace(bytes, end)] === COMMA) to = afterSpace(bytes, end) + 1;
  bytes.fill(SPACE, from, to);
}

function afterSpace(bytes: Uint8Array, position: number): number {
  let at = position;
  while (isSpace(bytes[at])) at += 1;
  return at;
}

function isSpace(byte: number | undefined): boolean {
  return byte === SPACE || byte === 0x0a || byte === 0x0d || byte === 0x09;
}
