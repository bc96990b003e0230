/**
 * Encodes a value for `Mcp-Name` and `Mcp-Param-*` (MCP 2026-07-28, Streamable HTTP, value encoding): plain when it is
 * printable ASCII without outer white space and not itself shaped like the sentinel, else Base64 of its UTF-8.
 */
export function encodeHeaderValue(value: string): string {
  const plain = value !== '' && /^[\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?$/.test(value);
  if (plain && !(value.startsWith('=?base64?') && value.endsWith('?='))) return value;
  return `=?base64?${Buffer.from(value, 'utf8').toString('base64')}?=`;
}
