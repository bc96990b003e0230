import { originHead } from '../../../protocol/origin-head.js';

const REQUEST_HEADERS = [
  'Authorization',
  'Content-Type',
  'Accept',
  'MCP-Protocol-Version',
  'Mcp-Method',
  'Mcp-Name',
  'Mcp-Session-Id',
  'Last-Event-ID',
];
const PARAM_HEADER = /^mcp-param-[a-z0-9-]{1,128}$/i;

/**
 * The head of a preflight answer (Fetch standard, CORS protocol): the headers MCP clients send, and those
 * `Mcp-Param-*` headers that the page asks for.
 *
 * @param asked value of `Access-Control-Request-Headers`
 */
export function preflightHead(origin: string, asked: string): readonly string[] {
  const params = asked
    .split(',', 100)
    .map((name) => name.trim())
    .filter((name) => PARAM_HEADER.test(name));
  return [
    ...originHead(origin),
    'access-control-allow-methods',
    'GET, POST, DELETE, OPTIONS',
    'access-control-allow-headers',
    [...REQUEST_HEADERS, ...params].join(', '),
    'access-control-max-age',
    '7200',
  ];
}
