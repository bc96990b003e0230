/** Paths answered on the data port beside the endpoint. */
export const PLAIN_PATHS: ReadonlySet<string> = new Set(['/health', '/ready']);

/** Whether a request path is the MCP endpoint. */
export function isEndpoint(path: string): boolean {
  return path === '/mcp' || path === '/mcp/';
}
