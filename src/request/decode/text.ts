/** Comparisons between header text and body bytes that create no strings in the common case. */
import { decodeHeaderValue, isEncoded } from '../../protocol/header-value.js';
import { decodeString } from '../../protocol/json-cursor.js';

/** Whether `text` (ASCII) has exactly the bytes of `bytes[start, end)`. */
export function sameText(text: string, bytes: Uint8Array, start: number, end: number): boolean {
  if (text.length !== end - start) return false;
  for (let index = 0; index < text.length; index += 1) {
    if (text.charCodeAt(index) !== bytes[start + index]) return false;
  }
  return true;
}

/** Whether an encoded header value means the JSON string whose contents (without quotes) are `bytes[start, end)`. */
export function sameName(value: string, bytes: Uint8Array, start: number, end: number, escaped: boolean): boolean {
  if (!escaped && sameText(value, bytes, start, end)) return !isEncoded(value);
  const decoded = decodeHeaderValue(value);
  if (decoded === null) return false;
  return decoded === decodeString(bytes, start, end);
}
