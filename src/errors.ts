/**
 * The one table of errors: what a client, an operator or a program is told, and how.
 *
 * JSON-RPC codes are the standard ones (JSON-RPC 2.0 section 5.1) and those of MCP 2026-07-28 (-32020 to -32022);
 * -32000 and -32001 are used only where legacy clients key on them (see docs/protocol.md).
 * `data.code` of an answer is the key of this table; match on it, never on the sentence.
 */

/** Where the fault lies. */
export type ErrorSource = 'client' | 'gateway' | 'upstream' | 'configuration';

/** One row of {@link ERRORS}. */
export interface ErrorRow {
  /** One sentence a person can act on; `{name}` parts are filled in on cold paths and left out on hot ones. */
  readonly sentence: string;
  /** HTTP status on the MCP endpoint. 200 = in-band, see docs/architecture.md. */
  readonly status: number;
  /** HTTP status where HTTP semantics are expected throughout (REST bridge, admin). */
  readonly restStatus: number;
  /** JSON-RPC error code. */
  readonly rpc: number;
  /** Whether the same request may succeed later without being changed. */
  readonly retryable: boolean;
  readonly source: ErrorSource;
}

function row(
  status: number,
  restStatus: number,
  rpc: number,
  retryable: boolean,
  source: ErrorSource,
  sentence: string,
): ErrorRow {
  return Object.freeze({ status, restStatus, rpc, retryable, source, sentence });
}

/** Every error of the gateway by its stable code. New rows are appended: their order numbers them on the rings. */
export const ERRORS = {
  GW_PARSE: row(400, 400, -32700, false, 'client', 'The body is not one valid JSON document in UTF-8.'),
  GW_TOO_DEEP: row(400, 400, -32600, false, 'client', 'The JSON is nested deeper than limits.maxDepth allows.'),
  GW_AMBIGUOUS: row(400, 400, -32600, false, 'client', 'A key that routing reads is repeated or spelled with escapes.'),
  GW_INVALID_REQUEST: row(400, 400, -32600, false, 'client', 'The body is not a JSON-RPC 2.0 message.'),
  GW_INVALID_ID: row(400, 400, -32600, false, 'client', 'The id must be a string or an integer of at most 256 bytes.'),
  GW_INVALID_METHOD: row(400, 400, -32600, false, 'client', 'The method must be a plain string of 1 to 256 bytes.'),
  GW_INVALID_PARAMS: row(
    400,
    400,
    -32602,
    false,
    'client',
    'params must be an object with the members the method needs.',
  ),
  GW_BATCH_REFUSED: row(
    400,
    400,
    -32600,
    false,
    'client',
    'JSON-RPC batches are accepted only from 2025-03-26 clients and up to limits.maxBatch messages.',
  ),
  GW_DUPLICATE_ID: row(400, 400, -32600, false, 'client', 'A request with this id is still in flight in this session.'),
  GW_HEADER_MISMATCH: row(400, 400, -32020, false, 'client', 'An MCP header is missing or disagrees with the body.'),
  GW_ENVELOPE: row(
    400,
    400,
    -32602,
    false,
    'client',
    'params._meta must carry io.modelcontextprotocol/protocolVersion and /clientCapabilities, and no unknown /logLevel.',
  ),
  GW_UNSUPPORTED_VERSION: row(400, 400, -32022, false, 'client', 'This protocol version is not supported here.'),
  GW_BAD_VERSION_HEADER: row(
    400,
    400,
    -32000,
    false,
    'client',
    'Bad Request: Unsupported protocol version in MCP-Protocol-Version.',
  ),
  GW_SESSION_REQUIRED: row(400, 400, -32000, false, 'client', 'Bad Request: Mcp-Session-Id header is required.'),
  GW_SESSION_NOT_FOUND: row(404, 404, -32001, false, 'client', 'Session not found; initialize again.'),
  GW_NOT_ACCEPTABLE: row(
    406,
    406,
    -32000,
    false,
    'client',
    'Not Acceptable: Client must accept both application/json and text/event-stream.',
  ),
  GW_NOT_ACCEPTABLE_STREAM: row(
    406,
    406,
    -32000,
    false,
    'client',
    'Not Acceptable: Client must accept text/event-stream.',
  ),
  GW_MEDIA_TYPE: row(
    415,
    415,
    -32000,
    false,
    'client',
    'The content type must be application/json, without a content encoding.',
  ),
  GW_BODY_TOO_LARGE: row(413, 413, -32000, false, 'client', 'The body is larger than limits.maxBodyBytes.'),
  GW_METHOD_NOT_ALLOWED: row(405, 405, -32000, false, 'client', 'Method not allowed.'),
  GW_STREAM_CONFLICT: row(409, 409, -32000, false, 'client', 'Conflict: Only one SSE stream is allowed per session.'),
  GW_RESUME_UNSUPPORTED: row(400, 400, -32000, false, 'client', 'This stream cannot be resumed.'),
  GW_FORBIDDEN_HOST: row(403, 403, -32000, false, 'client', 'The Host header is not allowed; add it to allowedHosts.'),
  GW_FORBIDDEN_ORIGIN: row(
    403,
    403,
    -32000,
    false,
    'client',
    'The Origin header is not allowed; add it to allowedOrigins.',
  ),
  GW_FRAMING: row(400, 400, -32600, false, 'client', 'The HTTP framing of the request is not acceptable.'),
  GW_NOT_FOUND: row(404, 404, -32601, false, 'client', 'There is nothing at this path; the MCP endpoint is /mcp.'),
  GW_UNAUTHENTICATED: row(401, 401, -32001, false, 'client', 'A valid bearer token is required.'),
  GW_INVALID_TOKEN: row(401, 401, -32001, false, 'client', 'The bearer token is invalid or expired.'),
  GW_INSUFFICIENT_SCOPE: row(
    403,
    403,
    -32001,
    false,
    'client',
    'The token does not grant a scope this operation needs.',
  ),
  GW_RATE_LIMITED: row(
    429,
    429,
    -32000,
    true,
    'client',
    'The rate limit is exhausted; retry after the time given in Retry-After.',
  ),
  GW_METHOD_NOT_FOUND: row(200, 404, -32601, false, 'client', 'Method not found.'),
  GW_METHOD_NOT_FOUND_MODERN: row(404, 404, -32601, false, 'client', 'Method not found.'),
  GW_UNKNOWN_TOOL: row(200, 404, -32602, false, 'client', 'Unknown tool.'),
  GW_UNKNOWN_PROMPT: row(200, 404, -32602, false, 'client', 'Unknown prompt.'),
  GW_UNKNOWN_RESOURCE: row(200, 404, -32602, false, 'client', 'Resource not found.'),
  GW_INVALID_CURSOR: row(200, 400, -32602, false, 'client', 'The cursor is not valid; list again from the start.'),
  GW_INVALID_LEVEL: row(200, 400, -32602, false, 'client', 'The logging level is not one of the protocol.'),
  GW_CAPABILITY_REQUIRED: row(
    400,
    400,
    -32021,
    false,
    'client',
    'The operation needs a client capability that the request does not declare.',
  ),
  GW_INPUT_REQUIRED_UNSUPPORTED: row(
    200,
    502,
    -32603,
    false,
    'upstream',
    'The upstream asks for input, which this client cannot be asked for.',
  ),
  GW_OVERLOADED: row(503, 503, -32603, true, 'gateway', 'Too many requests in flight; retry later.'),
  GW_DRAINING: row(503, 503, -32603, true, 'gateway', 'The gateway is shutting down; connect again.'),
  GW_INTERNAL: row(200, 500, -32603, false, 'gateway', 'Internal error of the gateway.'),
  GW_AUTH_UNAVAILABLE: row(
    503,
    503,
    -32603,
    true,
    'gateway',
    'The keys that verify tokens cannot be loaded at the moment.',
  ),
  GW_UPSTREAM_CLOSED: row(200, 502, -32603, true, 'upstream', 'The upstream closed the connection before it answered.'),
  GW_UPSTREAM_TIMEOUT: row(200, 504, -32603, true, 'upstream', 'The upstream did not answer in time.'),
  GW_UPSTREAM_UNREACHABLE: row(200, 502, -32603, true, 'upstream', 'The upstream cannot be reached.'),
  GW_UPSTREAM_PROTOCOL: row(
    200,
    502,
    -32603,
    false,
    'upstream',
    'The upstream sent something that is not a valid answer.',
  ),
  GW_UPSTREAM_TRUNCATED: row(200, 502, -32603, true, 'upstream', 'The answer of the upstream broke off.'),
  GW_UPSTREAM_DOWN: row(200, 503, -32603, true, 'upstream', 'The upstream is not running at the moment.'),
  GW_UPSTREAM_BUSY: row(200, 503, -32603, true, 'upstream', 'The queue of the upstream is full; retry later.'),
  GW_UPSTREAM_REFUSED: row(
    200,
    502,
    -32603,
    false,
    'upstream',
    'The upstream refused the credentials of the gateway; check mcpServers.NAME.auth.',
  ),
  GW_RESPONSE_TOO_LARGE: row(
    200,
    502,
    -32603,
    false,
    'upstream',
    'The answer of the upstream is larger than limits.maxResponseBytes, or has to be held whole and is larger than limits.maxLineBytes.',
  ),
  GW_CIRCUIT_OPEN: row(200, 503, -32603, true, 'upstream', 'The upstream failed repeatedly and is given a pause.'),
  GW_MISSING_NAME: row(
    200,
    400,
    -32602,
    false,
    'client',
    'params must name what the method is about, as a string (name, uri, taskId or ref).',
  ),
  GW_ALREADY_INITIALIZED: row(
    400,
    400,
    -32600,
    false,
    'client',
    'This session is initialized already; initialize without Mcp-Session-Id.',
  ),
  GW_CANCELLED: row(200, 499, -32603, false, 'client', 'The request was cancelled.'),
  GW_INPUT_STATE: row(
    200,
    400,
    -32602,
    false,
    'client',
    'The requestState is not valid for this call or is no longer waited for; call again without it.',
  ),
  GW_TOO_MANY_PARKED: row(
    200,
    503,
    -32603,
    true,
    'gateway',
    'Too many calls wait for an answer of their clients; retry later.',
  ),
  GW_INPUT_ROUNDS: row(
    200,
    502,
    -32603,
    false,
    'upstream',
    'The upstream asked more often than limits.maxInputRounds.',
  ),
  GW_CLIENT_SILENT: row(200, 504, -32603, false, 'client', 'The client did not answer the question of the upstream.'),
  GW_RESUME_GONE: row(
    400,
    400,
    -32000,
    false,
    'client',
    'The events after this Last-Event-ID are no longer kept; send the request again.',
  ),
  GW_INVALID_FILTER: row(200, 400, -32602, false, 'client', 'subscriptions/listen needs params.notifications.'),
  GW_SUBSCRIPTION_LIMIT: row(200, 429, -32603, true, 'gateway', 'Subscription limit reached.'),
  GW_UNKNOWN_TASK: row(200, 404, -32602, false, 'client', 'Unknown task.'),
  GW_CLIENT_REFUSED: row(200, 502, -32603, false, 'client', 'The client refused the question of the upstream.'),
  GW_WEBSOCKET_HANDSHAKE: row(
    400,
    400,
    -32600,
    false,
    'client',
    'This path takes WebSocket handshakes of version 13, with the sub-protocol mcp where any is offered.',
  ),
  GW_NOT_ACCEPTABLE_JSON: row(
    406,
    406,
    -32000,
    false,
    'client',
    'Not Acceptable: Client must accept application/json.',
  ),
  GW_INVALID_URI: row(
    400,
    400,
    -32602,
    false,
    'client',
    'Parsers do not agree on what this URI names; data.reason says why. Send it in normal form (RFC 3986, section 6).',
  ),
  GW_BUFFERS_FULL: row(
    503,
    503,
    -32603,
    true,
    'gateway',
    'The gateway holds as many bytes as limits.maxBufferedBytes allows; retry later.',
  ),
  GW_LENGTH_REQUIRED: row(
    411,
    411,
    -32600,
    false,
    'client',
    'A chunked body cannot be checked here: send Content-Length, let the proxy in front buffer requests, or set frontEnd: node.',
  ),
  GW_TOKEN_EXPIRED: row(401, 401, -32001, false, 'client', 'The bearer token has expired; come back with a new one.'),
  GW_TOKEN_REVOKED: row(401, 401, -32001, false, 'client', 'The bearer token was revoked.'),
  GW_REVOCATIONS_FULL: row(
    200,
    507,
    -32603,
    false,
    'gateway',
    'limits.maxRevoked is reached: nothing was revoked; take a revocation back or raise the limit.',
  ),
} as const satisfies Record<string, ErrorRow>;

/** A stable error code: a key of {@link ERRORS}. */
export type ErrorCode = keyof typeof ERRORS;

/** Codes in table order; the position is the code's number on the rings. */
export const ERROR_CODES = Object.freeze(Object.keys(ERRORS)) as readonly ErrorCode[];

const numbers = new Map<string, number>(ERROR_CODES.map((code, index) => [code, index]));

/** The number under which `code` travels on the rings. */
export function errorNumber(code: ErrorCode): number {
  return numbers.get(code)!;
}

/**
 * A configuration that cannot be used. The command ends with exit code 78 (EX_CONFIG of sysexits.h).
 */
export class ConfigError extends Error {
  readonly code = 'CONFIG';
  /** One sentence a problem, each with `file:line` where known. */
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(problems.join('\n'));
    this.name = 'ConfigError';
    this.problems = problems;
  }
}

/** A failure with a row in {@link ERRORS}, for cold paths. */
export class GatewayError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, detail?: string) {
    super(detail === undefined ? ERRORS[code].sentence : `${ERRORS[code].sentence} ${detail}`);
    this.name = 'GatewayError';
    this.code = code;
  }
}
