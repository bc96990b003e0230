/** Finds members and elements in JSON that a scan has accepted, so that their raw bytes can be kept. */

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** Calls `visit` with each member of the object at `start`: raw key token (quotes included) and raw value. */
export function eachMember(
  bytes: Uint8Array,
  start: number,
  visit: (keyStart: number, keyEnd: number, valueStart: number, valueEnd: number) => void,
): void {
  let at = skipSpace(bytes, start + 1);
  while (bytes[at] === QUOTE) {
    const keyEnd = skipString(bytes, at);
    const valueStart = skipSpace(bytes, skipSpace(bytes, keyEnd) + 1);
    const valueEnd = skipValue(bytes, valueStart);
    visit(at, keyEnd, valueStart, valueEnd);
    at = skipSpace(bytes, valueEnd);
    if (bytes[at] !== 0x2c) return;
    at = skipSpace(bytes, at + 1);
  }
}

/** Calls `visit` with each element of the array at `start`. */
export function eachElement(
  bytes: Uint8Array,
  start: number,
  visit: (elementStart: number, elementEnd: number) => void,
): void {
  let at = skipSpace(bytes, start + 1);
  if (bytes[at] === 0x5d) return;
  for (;;) {
    const end = skipValue(bytes, at);
    visit(at, end);
    at = skipSpace(bytes, end);
    if (bytes[at] !== 0x2c) return;
    at = skipSpace(bytes, at + 1);
  }
}

function skipSpace(bytes: Uint8Array, from: number): number {
  let at = from;
  while (bytes[at] === 0x20 || bytes[at] === 0x0a || bytes[at] === 0x0d || bytes[at] === 0x09) at += 1;
  return at;
}

function skipString(bytes: Uint8Array, from: number): number {
  let at = from + 1;
  while (bytes[at] !== QUOTE) at += bytes[at] === BACKSLASH ? 2 : 1;
  return at + 1;
}

function skipValue(bytes: Uint8Array, from: number): number {
  let at = from;
  let depth = 0;
  do {
    const byte = bytes[at]!;
    if (byte === QUOTE) {
      at = skipString(bytes, at);
      continue;
    }
    if (byte === 0x7b || byte === 0x5b) depth += 1;
    else if (byte === 0x7d || byte === 0x5d) depth -= 1;
    else if (depth === 0) {
      while (at < bytes.length && !isDelimiter(bytes[at]!)) at += 1;
      return at;
    }
    at += 1;
  } while (depth > 0);
  return at;
}

function isDelimiter(byte: number): boolean {
  return byte === 0x2c || byte === 0x5d || byte === 0x7d || byte <= 0x20;
}
