/** The value encoding of `Mcp-Name` and `Mcp-Param-*` headers (MCP 2026-07-28, Streamable HTTP, value encoding). */

const SENTINEL_START = '=?base64?';
const SENTINEL_END = '?=';

/** Whether a value has the shape of the Base64 form. */
export function isEncoded(value: string): boolean {
  return value.startsWith(SENTINEL_START) && value.endsWith(SENTINEL_END);
}

/**
 * Decodes an `Mcp-Name` or `Mcp-Param-*` value (MCP 2026-07-28, Streamable HTTP, value encoding).
 *
 * @returns the text, or null for bad Base64, bad UTF-8 or characters a plain value may not have
 */
export function decodeHeaderValue(value: string): string | null {
  if (isEncoded(value)) {
    const base64 = value.slice(SENTINEL_START.length, -SENTINEL_END.length);
    if (base64.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(base64)) return null;
    const bytes = Buffer.from(base64, 'base64');
    if (bytes.toString('base64') !== base64) return null;
    const text = bytes.toString('utf8');
    return Buffer.from(text, 'utf8').equals(bytes) ? text : null;
  }
  return /^[\x20-\x7e\t]*$/.test(value) ? value : null;
}

/**
 * Encodes a value for `Mcp-Name` and `Mcp-Param-*` (MCP 2026-07-28, Streamable HTTP, value encoding): plain when it is
 * printable ASCII without outer white space and not itself shaped like the sentinel, else Base64 of its UTF-8.
 */
export function encodeHeaderValue(value: string): string {
  const plain = value !== '' && /^[\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?$/.test(value);
  if (plain && !isEncoded(value)) return value;
  return `${SENTINEL_START}${Buffer.from(value, 'utf8').toString('base64')}${SENTINEL_END}`;
}
