import type { AcceptRules } from './rules.js';

/** Head of {@link startPage}: plain text, whatever its name holds. */
export const PAGE_HEAD: readonly string[] = Object.freeze([
  'content-type',
  'text/plain; charset=utf-8',
  'x-content-type-options',
  'nosniff',
  'cache-control',
  'no-store',
]);

/**
 * What a person sees who opens the address of the gateway in a browser.
 *
 * @param host the allowed `Host` of the request, where the browser has reached the gateway
 */
export function startPage(rules: AcceptRules, host: string): Buffer {
  const { auth, endpointPath, name, transports } = rules;
  const url = `http://${host}${endpointPath === '' ? '/' : endpointPath}`;
  const addresses = [`Streamable HTTP   ${url}`];
  if (transports.sse) addresses.push(`HTTP with SSE     http://${host}/sse`);
  if (transports.websocket) addresses.push(`WebSocket         ws://${host}/ws`);
  if (transports.rest) addresses.push(`REST              http://${host}/openapi.json`);
  const file = JSON.stringify({ mcpServers: { [name]: { type: 'http', url } } }, null, 2);
  const page = [
    `${name}: a Switchyard gateway for the Model Context Protocol (MCP).`,
    'It serves MCP clients; there is nothing to see for a browser.',
    addresses.join('\n'),
    'A client with an mcpServers file is connected with',
    file,
    `Where TLS ends at a proxy in front, write https and wss.${auth[0]?.isRequired === true ? ' Clients have to authenticate.' : ''}`,
  ];
  return Buffer.from(`${page.join('\n\n')}\n`);
}
