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
 * The head of a preflight answer (Fetch standard, CORS protocol): the headers that MCP clients send, and the requested
 * `Mcp-Param-*` headers.
 *
 * @param requested value of `Access-Control-Request-Headers`
 * @param credentials the headers that carry credentials besides `Authorization`; null = none
 */
export function preflightHead(
  origin: string,
  requested: string,
  credentials: ReadonlyMap<string, number> | null,
): readonly string[] {
  const params = requested
    .split(',', 100)
    .map((name) => name.trim())
    .filter((name) => PARAM_HEADER.test(name));
  return [
    ...originHead(origin),
    'access-control-allow-methods',
    'GET, POST, DELETE, OPTIONS',
    'access-control-allow-headers',
    [...REQUEST_HEADERS, ...(credentials?.keys() ?? []), ...params].join(', '),
    'access-control-max-age',
    '7200',
  ];
}
