/**
 * Reads what the two ends of a message say when it cannot be read as a whole: because it was skipped, cut, or has bytes in
 * it that are no JSON. Every server writes the members that matter (id, result, error, method) before or after the one large
 * member, so the ends suffice. Cold path.
 */

/** What a message that cannot be read is known to be. */
export interface MessageEdges {
  /** The id as it is spelled in the message, with the quotes of a string; '' = it cannot be read. */
  readonly id: string;
  /** `response` and `request` (or notification) by the members that were seen, else null. */
  readonly kind: 'response' | 'request' | null;
  /** It has the member `jsonrpc`. */
  readonly hasVersion: boolean;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;

/** The members of a message that decide what it is. */
class Members {
  id = '';
  kind: MessageEdges['kind'] = null;
  hasVersion = false;

  /** @param value its token; '' = it is no whole string, number or literal */
  add(key: string, value: string): void {
    if (key === 'id') {
      if (this.id === '' && /^(?:\d{1,15}|"[^"\\]{0,256}")$/.test(value)) this.id = value;
    } else if (key === 'jsonrpc') {
      this.hasVersion = true;
    } else if (key === 'result' || key === 'error') {
      this.kind ??= 'response';
    } else if (key === 'method' || key === 'params') {
      this.kind = 'request';
    }
  }
}

/**
 * @param head the first bytes of the message, from its opening brace on
 * @param tail its last bytes; empty = its end is not known
 */
export function readEdges(head: Uint8Array, tail: Uint8Array): MessageEdges {
  const members = new Members();
  readHead(head, members);
  if (members.id === '' || members.kind === null) readTail(tail, members);
  return members;
}

/** Reads members from the opening brace up to the first one that does not end within `bytes`. */
function readHead(bytes: Uint8Array, members: Members): void {
  let at = skipBlanks(bytes, 0);
  if (bytes[at] !== OPEN_OBJECT) return;
  for (;;) {
    at = skipBlanks(bytes, at + 1);
    const keyEnd = valueEnd(bytes, at);
    if (bytes[at] !== QUOTE || keyEnd < 0) return;
    const key = text(bytes, at + 1, keyEnd - 1);
    at = skipBlanks(bytes, keyEnd);
    if (bytes[at] !== COLON) return;
    at = skipBlanks(bytes, at + 1);
    const end = valueEnd(bytes, at);
    members.add(key, end < 0 || isNested(bytes[at]) ? '' : text(bytes, at, end));
    if (end < 0) return;
    at = skipBlanks(bytes, end);
    if (bytes[at] !== COMMA) return;
  }
}

/**
 * Reads members backwards from the closing brace, up to the first one that is an object or a list. What stands between that
 * brace and the value before it lies outside all strings, so this needs nothing of what comes before.
 */
function readTail(bytes: Uint8Array, members: Members): void {
  let at = skipBlanksBack(bytes, bytes.length);
  if (bytes[at - 1] !== CLOSE_OBJECT) return;
  for (;;) {
    const end = skipBlanksBack(bytes, at - 1);
    const start = scalarStart(bytes, end);
    if (start < 0) return;
    at = skipBlanksBack(bytes, start);
    if (bytes[at - 1] !== COLON) return;
    const keyEnd = skipBlanksBack(bytes, at - 1);
    const keyStart = bytes[keyEnd - 1] === QUOTE ? scalarStart(bytes, keyEnd) : -1;
    if (keyStart < 0) return;
    members.add(text(bytes, keyStart + 1, keyEnd - 1), text(bytes, start, end));
    at = skipBlanksBack(bytes, keyStart);
    if (bytes[at - 1] !== COMMA) return;
  }
}

/**
 * The end of the JSON value at `start`, exclusive; -1 = it does not end within `bytes`. Looks at strings and brackets only:
 * the value may be invalid otherwise.
 */
export function valueEnd(bytes: Uint8Array, start: number): number {
  const first = bytes[start];
  if (first === QUOTE) return stringEnd(bytes, start);
  if (!isNested(first)) return scalarEnd(bytes, start);
  let depth = 0;
  for (let at = start; at < bytes.length; at += 1) {
    const byte = bytes[at];
    if (byte === QUOTE) {
      at = stringEnd(bytes, at) - 1;
      if (at < 0) return -1;
    } else if (byte === OPEN_OBJECT || byte === OPEN_LIST) {
      depth += 1;
    } else if (byte === CLOSE_OBJECT || byte === CLOSE_LIST) {
      depth -= 1;
      if (depth === 0) return at + 1;
    }
  }
  return -1;
}

function stringEnd(bytes: Uint8Array, start: number): number {
  for (let quote = bytes.indexOf(QUOTE, start + 1); quote >= 0; quote = bytes.indexOf(QUOTE, quote + 1)) {
    if (!isEscaped(bytes, quote, start)) return quote + 1;
  }
  return -1;
}

/** The end of a number or literal; -1 when more of it may follow. */
function scalarEnd(bytes: Uint8Array, start: number): number {
  let at = start;
  while (at < bytes.length && isScalar(bytes[at])) at += 1;
  return at === start || at === bytes.length ? -1 : at;
}

/** The start of the string, number or literal that ends at `end`; -1 when it does not begin within `bytes`, or is none. */
function scalarStart(bytes: Uint8Array, end: number): number {
  let at = end - 1;
  if (bytes[at] === QUOTE) {
    do at = at > 0 ? bytes.lastIndexOf(QUOTE, at - 1) : -1;
    while (at > 0 && isEscaped(bytes, at, 0));
    return at > 0 ? at : -1;
  }
  while (at >= 0 && isScalar(bytes[at])) at -= 1;
  return at < 0 || at === end - 1 ? -1 : at + 1;
}

/** Whether an odd number of backslashes precedes the quote. */
function isEscaped(bytes: Uint8Array, quote: number, start: number): boolean {
  let at = quote;
  while (at > start && bytes[at - 1] === BACKSLASH) at -= 1;
  return (quote - at) % 2 === 1;
}

function isNested(byte: number | undefined): boolean {
  return byte === OPEN_OBJECT || byte === OPEN_LIST;
}

/** A byte of a number, `true`, `false` or `null`. */
function isScalar(byte: number | undefined): boolean {
  if (byte === undefined) return false;
  return (
    (byte >= 0x30 && byte <= 0x39) ||
    (byte >= 0x61 && byte <= 0x7a) ||
    byte === 0x45 ||
    byte === 0x2b ||
    byte === 0x2d ||
    byte === 0x2e
  );
}

function isBlank(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x09 || byte === 0x0a || byte === 0x0d;
}

function skipBlanks(bytes: Uint8Array, from: number): number {
  let at = from;
  while (isBlank(bytes[at])) at += 1;
  return at;
}

function skipBlanksBack(bytes: Uint8Array, from: number): number {
  let at = from;
  while (isBlank(bytes[at - 1])) at -= 1;
  return at;
}

function text(bytes: Uint8Array, start: number, end: number): string {
  return end - start > 300 ? '' : Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString('latin1');
}
