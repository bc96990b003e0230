import { style } from './console/print.js';

/** A tools/call of MCP 2026-07-28: one request without a session, with the headers repeated in the body. */
function curlLine(url: string): string {
  const name = 'weather__current_weather';
  const body = {
    jsonrpc: '2.0',
    id: 1,
    method: 'tools/call',
    params: {
      name,
      arguments: { city: 'Lisbon' },
      _meta: {
        'io.modelcontextprotocol/protocolVersion': '2026-07-28',
        'io.modelcontextprotocol/clientInfo': { name: 'curl', version: '1' },
        'io.modelcontextprotocol/clientCapabilities': {},
      },
    },
  };
  const headers = [
    'content-type: application/json',
    'accept: application/json, text/event-stream',
    'mcp-protocol-version: 2026-07-28',
    'mcp-method: tools/call',
    `mcp-name: ${name}`,
  ];
  return ['curl -s', url, ...headers.map((header) => `-H '${header}'`), `-d '${JSON.stringify(body)}'`].join(' ');
}

/** How to use the demo: the endpoint, an entry for a client's file, and a call to paste. */
export function demoNotes(url: string): string[] {
  const snippet = JSON.stringify({ mcpServers: { switchyard: { type: 'http', url } } }, null, 2);
  return [
    '',
    `This is a demo: two example servers, "notes" (stdio) and "weather" (Streamable HTTP), behind one endpoint.`,
    '',
    style('bold', 'Endpoint'),
    `  ${url}`,
    '',
    style('bold', 'For the file of an MCP client'),
    ...snippet.split('\n').map((line) => `  ${line}`),
    '',
    style('bold', 'Call a tool'),
    curlLine(url),
    '',
    `With your own servers: ${style('bold', 'switchyard init')} writes a starter file. Ctrl+C stops.`,
  ];
}
