const NO_HEAD: readonly string[] = Object.freeze([]);
/** What pages may read of an answer (MCP sessions, authorization challenges and rate limits). */
const EXPOSED = 'Mcp-Session-Id, WWW-Authenticate, Retry-After, RateLimit, RateLimit-Policy';

let lastOrigin = '';
let lastHead = NO_HEAD;

/**
 * Header names and values to add to an answer so that the page that asked may read it (Fetch standard, CORS protocol).
 *
 * @param origin an allowed `Origin`; empty = none was sent, and nothing is added
 */
export function originHead(origin: string): readonly string[] {
  if (origin === '') return NO_HEAD;
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
