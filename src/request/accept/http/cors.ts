import type { Exchange } from '../../exchange/index.js';

const NO_HEAD: readonly string[] = Object.freeze([]);
/** What pages may read of an answer (MCP sessions and authorization challenges). */
const EXPOSED = 'Mcp-Session-Id, WWW-Authenticate, Retry-After';
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

let lastOrigin = '';
let lastHead: readonly string[] = NO_HEAD;

/**
 * Header names and values to add to an answer so that the page that asked may read it; empty without an allowed
 * `Origin`. Accept leaves `exchange.origin` empty when the origin is not allowed.
 */
export function corsHead(exchange: Exchange): readonly string[] {
  return exchange.client.origin === '' ? NO_HEAD : originHead(exchange.client.origin);
}

/** The same for an origin that was found to be allowed. */
export function originHead(origin: string): readonly string[] {
  if (origin !== lastOrigin) {
    lastOrigin = origin;
    lastHead = Object.freeze([
      'access-control-allow-origin',
      origin,
      'vary',
      'Origin',
      'access-control-expose-headers',
      EXPOSED,
    ]);
  }
  return lastHead;
}

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
