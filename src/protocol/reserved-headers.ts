/** Header fields that the gateway itself sets on requests to upstreams: framing, connection and protocol (RFC 9110, MCP). */
const RESERVED: ReadonlySet<string> = new Set([
  'accept',
  'connection',
  'content-encoding',
  'content-length',
  'content-type',
  'expect',
  'host',
  'keep-alive',
  'last-event-id',
  'mcp-method',
  'mcp-name',
  'mcp-protocol-version',
  'mcp-session-id',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** Whether the configuration may not set a header field. @param name in lower case */
export function isReservedHeader(name: string): boolean {
  return RESERVED.has(name);
}
