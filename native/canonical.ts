/**
 * The canonical form of a JSON value, by which the response cache compares arguments: no white space, members of objects sorted
 * by the bytes of their names, and each character of a string in the one spelling that is shortest. Numbers stay as they are
 * written, so `1` and `1.0` differ, and so do documents in which a name that occurs twice has other values or another order of them.
 * `canonical.cc` has the same function.
 */

import { hex4 } from './json-reader.js';

const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const BACKSLASH = 0x5c;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;
const U = 0x75;
/** Deeper values have no canonical form; `limits.maxDepth` is below. */
const MAX_DEPTH = 1_024;
/** Control characters that have an escape of two characters, by that character. */
const SHORT_ESCAPES: Readonly<Record<number, number>> = { 8: 0x62, 9: 0x74, 10: 0x6e, 12: 0x66, 13: 0x72 };
const ESCAPED = new Map([...'"\\bfnrt'].map((character) => [character.charCodeAt(0), true]));
const HEX = Buffer.from('0123456789abcdef');
const FAILED = -1;

let bytes: Uint8Array = new Uint8Array(0);
let out: Uint8Array = bytes;
let at = 0;
let end = 0;
let length = 0;

/**
 * Writes the canonical form of the valid JSON value `source[start, stop)`, which is never longer than the value.
 *
 * @param target at least as long as the value
 * @returns the length of the form; -1 when the value is no valid JSON or is nested more than 1,024 levels deep
 * @throws TypeError for positions outside of the memory
 */
export function writeCanonical(source: Uint8Array, start: number, stop: number, target: Uint8Array): number {
  if (start < 0 || start > stop || stop > source.length || target.length < stop - start) {
    throw new TypeError('canonical(bytes: Uint8Array, start: number, end: number, out: Uint8Array)');
  }
  bytes = source;
  out = target;
  at = start;
  end = stop;
  length = 0;
  skipSpace();
  let isWhole = value(0);
  skipSpace();
  isWhole &&= at === end;
  bytes = EMPTY;
  out = EMPTY;
  return isWhole ? length : FAILED;
}

const EMPTY = new Uint8Array(0);

function skipSpace(): void {
  while (at < end && isSpace(bytes[at]!)) at += 1;
}

function isSpace(byte: number): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

function put(byte: number): void {
  out[length] = byte;
  length += 1;
}

function value(depth: number): boolean {
  if (at >= end || depth > MAX_DEPTH) return false;
  const first = bytes[at];
  if (first === QUOTE) return text();
  if (first === OPEN_OBJECT) return object(depth);
  if (first === OPEN_ARRAY) return array(depth);
  const start = at;
  for (; at < end; at += 1) {
    const byte = bytes[at]!;
    if (byte === COMMA || byte === CLOSE_OBJECT || byte === CLOSE_ARRAY || isSpace(byte)) break;
    put(byte);
  }
  return at > start;
}

function array(depth: number): boolean {
  put(OPEN_ARRAY);
  at += 1;
  skipSpace();
  if (bytes[at] !== CLOSE_ARRAY || at >= end) {
    for (;;) {
      if (!value(depth + 1)) return false;
      skipSpace();
      if (at >= end || bytes[at] !== COMMA) break;
      put(COMMA);
      at += 1;
      skipSpace();
    }
  }
  if (at >= end || bytes[at] !== CLOSE_ARRAY) return false;
  at += 1;
  put(CLOSE_ARRAY);
  return true;
}

/** One member in the form: its name is `[start, nameEnd)`, quotes included. */
interface Member {
  readonly start: number;
  readonly nameEnd: number;
  readonly end: number;
}

function object(depth: number): boolean {
  put(OPEN_OBJECT);
  at += 1;
  skipSpace();
  if (at < end && bytes[at] === CLOSE_OBJECT) {
    at += 1;
    put(CLOSE_OBJECT);
    return true;
  }
  const members: Member[] = [];
  let isSorted = true;
  for (;;) {
    const start = length;
    if (at >= end || bytes[at] !== QUOTE || !text()) return false;
    const nameEnd = length;
    skipSpace();
    if (at >= end || bytes[at] !== COLON) return false;
    put(COLON);
    at += 1;
    skipSpace();
    if (!value(depth + 1)) return false;
    const member = { start, nameEnd, end: length };
    const before = members.at(-1);
    if (before !== undefined && compareNames(before, member) > 0) isSorted = false;
    members.push(member);
    skipSpace();
    if (at >= end || bytes[at] !== COMMA) break;
    put(COMMA);
    at += 1;
    skipSpace();
  }
  if (at >= end || bytes[at] !== CLOSE_OBJECT) return false;
  at += 1;
  if (!isSorted) sort(members);
  put(CLOSE_OBJECT);
  return true;
}

/** The order of the decoded names, whose bytes are compared; equal names keep their order. */
function compareNames(a: Member, b: Member): number {
  const count = Math.min(a.nameEnd - a.start, b.nameEnd - b.start) - 1;
  for (let i = 1; i < count; i += 1) {
    const difference = out[a.start + i]! - out[b.start + i]!;
    if (difference !== 0) return difference;
  }
  return a.nameEnd - a.start - (b.nameEnd - b.start);
}

function sort(members: Member[]): void {
  const from = members[0]!.start;
  const copy = out.slice(from, length);
  members.sort(compareNames);
  // Names are compared in `out`, which is changed only now.
  length = from;
  for (const member of members) {
    if (length > from) put(COMMA);
    out.set(copy.subarray(member.start - from, member.end - from), length);
    length += member.end - member.start;
  }
}

/** A string: characters as themselves, unless JSON demands an escape or there is no such character (a lone surrogate). */
function text(): boolean {
  put(QUOTE);
  at += 1;
  while (at < end) {
    const byte = bytes[at]!;
    if (byte === QUOTE) {
      at += 1;
      put(QUOTE);
      return true;
    }
    if (byte !== BACKSLASH) {
      put(byte);
      at += 1;
      continue;
    }
    if (at + 1 >= end) return false;
    const kind = bytes[at + 1]!;
    if (kind !== U) {
      if (ESCAPED.has(kind)) put(BACKSLASH);
      else if (kind !== 0x2f) return false;
      put(kind);
      at += 2;
    } else if (!unicode()) {
      return false;
    }
  }
  return false;
}

/** The character of a `\u` escape, or of two that are a surrogate pair. */
function unicode(): boolean {
  const unit = at + 6 <= end ? hex4(bytes, at + 2) : FAILED;
  if (unit < 0) return false;
  at += 6;
  const isHigh = unit >= 0xd800 && unit <= 0xdbff;
  if (isHigh && at + 6 <= end && bytes[at] === BACKSLASH && bytes[at + 1] === U) {
    const low = hex4(bytes, at + 2);
    if (low >= 0xdc00 && low <= 0xdfff) {
      at += 6;
      putCharacter(0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00));
      return true;
    }
  }
  putCharacter(unit);
  return true;
}

function putCharacter(code: number): void {
  if (code < 0x20 || (code >= 0xd800 && code <= 0xdfff)) {
    put(BACKSLASH);
    const short = SHORT_ESCAPES[code];
    if (short !== undefined) {
      put(short);
      return;
    }
    put(U);
    for (let shift = 12; shift >= 0; shift -= 4) put(HEX[(code >> shift) & 15]!);
  } else if (code < 0x80) {
    if (code === QUOTE || code === BACKSLASH) put(BACKSLASH);
    put(code);
  } else if (code < 0x800) {
    put(0xc0 | (code >> 6));
    put(0x80 | (code & 0x3f));
  } else if (code < 0x10000) {
    put(0xe0 | (code >> 12));
    put(0x80 | ((code >> 6) & 0x3f));
    put(0x80 | (code & 0x3f));
  } else {
    put(0xf0 | (code >> 18));
    put(0x80 | ((code >> 12) & 0x3f));
    put(0x80 | ((code >> 6) & 0x3f));
    put(0x80 | (code & 0x3f));
  }
}
