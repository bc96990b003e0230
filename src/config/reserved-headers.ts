/** The header that names a session (MCP 2025-11-25, session management). */
export const SESSION_HEADER = 'mcp-session-id';

/** Header names that the gateway itself sets on requests to upstreams: framing, connection and protocol headers. */
const RESERVED = new Set([
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
  SESSION_HEADER,
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** Whether a header cannot be configured for an upstream, because the gateway itself sets it. In any case of letters. */
export function isReservedHeader(name: string): boolean {
  return RESERVED.has(name.toLowerCase());
}
