/** Properties of single JSON tokens that have been validated. */

import { hex4 } from './json-reader.js';

/** Bound on exponents: beyond it the exponent cannot change whether a token of an allowed length is an integer. */
const EXPONENT_CAP = 100_000;

/**
 * Whether `bytes[start, end)` is a number token that denotes an integer: `7`, `-0`, `1.0`, `1e2`, `10e-1`,
 * but not `1.5` or `1e-1`. Nothing is evaluated, so any number of digits is exact. False for other tokens.
 */
export function isIntegerToken(bytes: Uint8Array, start: number, end: number): boolean {
  let at = bytes[start] === 0x2d ? start + 1 : start;
  if (at >= end || (bytes[at]! ^ 0x30) > 9) return false;
  let fraction = 0;
  let trailingZeros = 0;
  let seenPoint = false;
  let seenNonZero = false;
  for (; at < end; at++) {
    const byte = bytes[at]!;
    if (byte === 0x2e) {
      seenPoint = true;
      continue;
    }
    if ((byte | 0x20) === 0x65) break;
    if (seenPoint) fraction++;
    if (byte === 0x30) trailingZeros++;
    else {
      trailingZeros = 0;
      seenNonZero = true;
    }
  }
  if (!seenNonZero) return true;
  return exponent(bytes, at + 1, end) - fraction + trailingZeros >= 0;
}

/** The exponent digits in `bytes[start, end)` with their sign, within the cap; 0 if there are none. */
function exponent(bytes: Uint8Array, start: number, end: number): number {
  let value = 0;
  const signed = start < end && (bytes[start] === 0x2b || bytes[start] === 0x2d);
  for (let at = signed ? start + 1 : start; at < end; at++) {
    value = Math.min(value * 10 + (bytes[at]! - 0x30), EXPONENT_CAP);
  }
  return signed && bytes[start] === 0x2d ? -value : value;
}

/** The value of an integer token that fits 32 bits; 0 for any other token. */
export function smallInteger(bytes: Uint8Array, start: number, end: number): number {
  const negative = bytes[start] === 0x2d;
  let value = 0;
  if (end - start > 11) return 0;
  for (let at = negative ? start + 1 : start; at < end; at++) {
    const digit = bytes[at]! ^ 0x30;
    if (digit > 9) return 0;
    value = value * 10 + digit;
  }
  if (value > (negative ? 2147483648 : 2147483647)) return 0;
  return negative ? -value | 0 : value;
}

/** Whether a string's content has a backslash or a control character of ASCII. */
export function hasControl(bytes: Uint8Array, start: number, end: number): boolean {
  for (let at = start; at < end; at++) {
    const byte = bytes[at]!;
    if (byte === 0x5c || byte < 0x20 || byte === 0x7f) return true;
  }
  return false;
}

/** Whether a string's content has a `\u` escape of a surrogate that is not half of a pair (RFC 8259 section 8.2). */
export function hasLoneSurrogate(bytes: Uint8Array, start: number, end: number): boolean {
  for (let at = start; at < end; ) {
    if (bytes[at] !== 0x5c) at++;
    else if (bytes[at + 1] !== 0x75) at += 2;
    else {
      const unit = hex4(bytes, at + 2);
      at += 6;
      if (unit < 0xd800 || unit > 0xdfff) continue;
      if (unit > 0xdbff || at + 6 > end || bytes[at] !== 0x5c || bytes[at + 1] !== 0x75) return true;
      const low = hex4(bytes, at + 2);
      if (low < 0xdc00 || low > 0xdfff) return true;
      at += 6;
    }
  }
  return false;
}
