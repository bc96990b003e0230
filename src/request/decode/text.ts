/** Comparisons between header text and body bytes that create no strings. */

/** Whether `text` (ASCII) has exactly the bytes of `bytes[start, end)`. */
export function sameText(text: string, bytes: Uint8Array, start: number, end: number): boolean {
  if (text.length !== end - start) return false;
  for (let index = 0; index < text.length; index += 1) {
    if (text.charCodeAt(index) !== bytes[start + index]) return false;
  }
  return true;
}

const SENTINEL_START = '=?base64?';
const SENTINEL_END = '?=';

/**
 * Decodes an `Mcp-Name` or `Mcp-Param-*` value (MCP 2026-07-28, Streamable HTTP, value encoding).
 *
 * @returns the text, or null for bad Base64, bad UTF-8 or characters a plain value may not have
 */
export function decodeHeaderValue(value: string): string | null {
  if (value.startsWith(SENTINEL_START) && value.endsWith(SENTINEL_END)) {
    const base64 = value.slice(SENTINEL_START.length, -SENTINEL_END.length);
    if (base64.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(base64)) return null;
    const bytes = Buffer.from(base64, 'base64');
    if (bytes.toString('base64') !== base64) return null;
    const text = bytes.toString('utf8');
    return Buffer.from(text, 'utf8').equals(bytes) ? text : null;
  }
  return /^[\x20-\x7e\t]*$/.test(value) ? value : null;
}

/** Whether an encoded header value means the JSON string whose contents (without quotes) are `bytes[start, end)`. */
export function sameName(value: string, bytes: Uint8Array, start: number, end: number, escaped: boolean): boolean {
  if (!escaped && sameText(value, bytes, start, end)) return !value.startsWith(SENTINEL_START);
  const decoded = decodeHeaderValue(value);
  if (decoded === null) return false;
  const raw = Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString('utf8');
  if (!escaped) return decoded === raw;
  return decoded === (JSON.parse(`"${raw}"`) as string);
}
