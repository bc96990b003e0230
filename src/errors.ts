/**
 * The one table of errors of the gateway: what each means to a client, an operator and a program.
 *
 * JSON-RPC codes are the standard ones (JSON-RPC 2.0 section 5.1) and those of MCP 2026-07-28 (-32020 to -32022);
 * -32000 and -32001 are used only where legacy clients key on them (see docs/protocol.md).
 * `data.code` of an answer is the key of this table; match on it, never on the sentence.
 */

import { client, type ErrorRow, gateway, upstream } from './error-row.js';
import { POLICY_ERRORS } from './policy-errors.js';

/** Every error of the gateway by its stable code. The order numbers them on the rings. */
export const ERRORS = {
  GW_PARSE: client({ status: 400, rpc: -32700, sentence: 'The body is not one valid JSON document in UTF-8.' }),
  GW_TOO_DEEP: client({ status: 400, rpc: -32600, sentence: 'The JSON is nested deeper than limits.maxDepth allows.' }),
  GW_AMBIGUOUS: client({
    status: 400,
    rpc: -32600,
    sentence: 'A JSON key that routing depends on is repeated or spelled with escapes.',
  }),
  GW_INVALID_REQUEST: client({ status: 400, rpc: -32600, sentence: 'The body is not a JSON-RPC 2.0 message.' }),
  GW_INVALID_ID: client({
    status: 400,
    rpc: -32600,
    sentence: 'The id must be a string or an integer of at most 256 bytes.',
  }),
  GW_INVALID_METHOD: client({
    status: 400,
    rpc: -32600,
    sentence: 'The method must be a plain string of 1 to 256 bytes.',
  }),
  GW_INVALID_PARAMS: client({
    status: 400,
    rpc: -32602,
    sentence: 'params must be an object with the members the method needs.',
  }),
  GW_BATCH_REFUSED: client({
    status: 400,
    rpc: -32600,
    sentence: 'JSON-RPC batches are accepted only from 2025-03-26 clients and up to limits.maxBatch messages.',
  }),
  GW_HEADER_MISMATCH: client({
    status: 400,
    rpc: -32020,
    sentence: 'An MCP header is missing or disagrees with the body.',
  }),
  GW_ENVELOPE: client({
    status: 400,
    rpc: -32602,
    sentence:
      'params._meta must carry io.modelcontextprotocol/protocolVersion and /clientCapabilities, and no unknown /logLevel.',
  }),
  GW_UNSUPPORTED_VERSION: client({
    status: 400,
    rpc: -32022,
    sentence: 'This protocol version is not supported; data.supported lists those that are.',
  }),
  GW_BAD_VERSION_HEADER: client({
    status: 400,
    rpc: -32000,
    sentence: 'Bad Request: Unsupported protocol version in MCP-Protocol-Version.',
  }),
  GW_SESSION_REQUIRED: client({
    status: 400,
    rpc: -32000,
    sentence:
      'Bad Request: Mcp-Session-Id header is required; send initialize first, or set sessions.required: false for clients without sessions.',
  }),
  GW_SESSION_NOT_FOUND: client({ status: 404, rpc: -32001, sentence: 'Session not found; initialize again.' }),
  GW_NOT_ACCEPTABLE: client({
    status: 406,
    rpc: -32000,
    sentence: 'Not Acceptable: Client must accept application/json or text/event-stream; both are best.',
  }),
  GW_NOT_ACCEPTABLE_STREAM: client({
    status: 406,
    rpc: -32000,
    sentence: 'Not Acceptable: Client must accept text/event-stream.',
  }),
  GW_MEDIA_TYPE: client({
    status: 415,
    rpc: -32000,
    sentence: 'The content type must be application/json, without a content encoding.',
  }),
  GW_BODY_TOO_LARGE: client({ status: 413, rpc: -32000, sentence: 'The body is larger than limits.maxBodyBytes.' }),
  GW_METHOD_NOT_ALLOWED: client({ status: 405, rpc: -32000, sentence: 'Method not allowed.' }),
  GW_RESUME_UNSUPPORTED: client({
    status: 400,
    rpc: -32000,
    sentence: 'This stream cannot be resumed; send the request again without Last-Event-ID.',
  }),
  GW_FORBIDDEN_HOST: client({
    status: 403,
    rpc: -32000,
    sentence: 'The Host header is not allowed; add it to allowedHosts.',
  }),
  GW_FORBIDDEN_ORIGIN: client({
    status: 403,
    rpc: -32000,
    sentence: 'The Origin header is not allowed; add it to allowedOrigins.',
  }),
  GW_FRAMING: client({
    status: 400,
    rpc: -32600,
    sentence: 'The HTTP framing of the request is malformed or ambiguous.',
  }),
  GW_NOT_FOUND: client({
    status: 404,
    rpc: -32601,
    sentence: 'There is nothing at this path; the MCP endpoint is /mcp.',
  }),
  GW_UNAUTHENTICATED: client({
    status: 401,
    rpc: -32001,
    sentence: 'A valid credential is required; WWW-Authenticate says which kinds are taken (auth).',
  }),
  GW_INVALID_TOKEN: client({ status: 401, rpc: -32001, sentence: 'The credential is invalid or expired.' }),
  GW_INSUFFICIENT_SCOPE: client({
    status: 403,
    rpc: -32001,
    sentence: 'The credential does not grant a scope that this operation needs.',
  }),
  GW_RATE_LIMITED: client({
    status: 429,
    rpc: -32000,
    retryable: true,
    sentence: 'Too many requests: a rate limit of the gateway is used up.',
  }),
  GW_METHOD_NOT_FOUND: client({ status: 200, restStatus: 404, rpc: -32601, sentence: 'Method not found.' }),
  GW_METHOD_NOT_FOUND_MODERN: client({ status: 404, rpc: -32601, sentence: 'Method not found.' }),
  GW_UNKNOWN_TOOL: client({ status: 200, restStatus: 404, rpc: -32602, sentence: 'Unknown tool.' }),
  GW_UNKNOWN_PROMPT: client({ status: 200, restStatus: 404, rpc: -32602, sentence: 'Unknown prompt.' }),
  GW_UNKNOWN_RESOURCE: client({ status: 200, restStatus: 404, rpc: -32602, sentence: 'Resource not found.' }),
  GW_INVALID_CURSOR: client({
    status: 200,
    restStatus: 400,
    rpc: -32602,
    sentence: 'The cursor is not valid; list again from the start.',
  }),
  GW_INVALID_LEVEL: client({
    status: 200,
    restStatus: 400,
    rpc: -32602,
    sentence: 'level must be debug, info, notice, warning, error, critical, alert or emergency.',
  }),
  GW_CAPABILITY_REQUIRED: client({
    status: 400,
    rpc: -32021,
    sentence:
      'The operation needs a client capability that the request does not declare; data.requiredCapabilities names it.',
  }),
  GW_INPUT_REQUIRED_UNSUPPORTED: upstream({
    status: 200,
    restStatus: 502,
    rpc: -32603,
    sentence: 'The upstream requests client input that this client cannot give.',
  }),
  GW_OVERLOADED: gateway({
    status: 503,
    rpc: -32603,
    retryable: true,
    sentence: 'Too many requests in flight; retry later.',
  }),
  GW_DRAINING: gateway({
    status: 503,
    rpc: -32603,
    retryable: true,
    sentence: 'The gateway is shutting down; connect again.',
  }),
  GW_INTERNAL: gateway({ status: 200, restStatus: 500, rpc: -32603, sentence: 'Internal error of the gateway.' }),
  GW_AUTH_UNAVAILABLE: gateway({
    status: 503,
    rpc: -32603,
    retryable: true,
    sentence: 'The credential cannot be checked at the moment; retry later.',
  }),
  GW_UPSTREAM_CLOSED: upstream({
    status: 200,
    restStatus: 502,
    rpc: -32603,
    retryable: true,
    sentence: 'The upstream closed the connection before it answered.',
  }),
  GW_UPSTREAM_TIMEOUT: upstream({
    status: 200,
    restStatus: 504,
    rpc: -32603,
    retryable: true,
    sentence: 'The upstream did not answer within requestTimeoutMs of the route or server.',
  }),
  GW_UPSTREAM_UNREACHABLE: upstream({
    status: 200,
    restStatus: 502,
    rpc: -32603,
    retryable: true,
    sentence: 'The upstream cannot be reached any more; retry later.',
  }),
  GW_UPSTREAM_PROTOCOL: upstream({
    status: 200,
    restStatus: 502,
    rpc: -32603,
    sentence: 'The upstream sent an invalid response.',
  }),
  GW_UPSTREAM_TRUNCATED: upstream({
    status: 200,
    restStatus: 502,
    rpc: -32603,
    retryable: true,
    sentence: 'The upstream ended the connection in the middle of its response.',
  }),
  GW_UPSTREAM_DOWN: upstream({
    status: 200,
    restStatus: 503,
    rpc: -32603,
    retryable: true,
    sentence: 'The upstream was connected before and is not at the moment; retry later.',
  }),
  GW_UPSTREAM_BUSY: upstream({
    status: 200,
    restStatus: 503,
    rpc: -32603,
    retryable: true,
    sentence:
      'The upstream takes no further calls at the moment (mcpServers.NAME.maxQueue, maxDedicated); retry later.',
  }),
  GW_UPSTREAM_REFUSED: upstream({
    status: 200,
    restStatus: 502,
    rpc: -32603,
    sentence: 'The upstream refused the credentials of the gateway; check mcpServers.NAME.auth.',
  }),
  GW_RESPONSE_TOO_LARGE: upstream({
    status: 200,
    restStatus: 502,
    rpc: -32603,
    sentence:
      'The response of the upstream is larger than limits.maxResponseBytes, or must be held as a whole and is larger than limits.maxLineBytes.',
  }),
  GW_CIRCUIT_OPEN: upstream({
    status: 200,
    restStatus: 503,
    rpc: -32603,
    retryable: true,
    sentence: 'The circuit breaker of the upstream is open after repeated failures; retry later.',
  }),
  GW_MISSING_NAME: client({
    status: 200,
    restStatus: 400,
    rpc: -32602,
    sentence: 'params lacks the string that the method is about (name, uri, taskId or ref).',
  }),
  GW_ALREADY_INITIALIZED: client({
    status: 400,
    rpc: -32600,
    sentence: 'This session is already initialized; send initialize without its id, or on a new connection.',
  }),
  GW_CANCELLED: client({ status: 200, restStatus: 499, rpc: -32603, sentence: 'The request was cancelled.' }),
  GW_INPUT_STATE: client({
    status: 200,
    restStatus: 400,
    rpc: -32602,
    sentence: 'The requestState is not valid for this call or has expired; call again without it.',
  }),
  GW_TOO_MANY_PARKED: gateway({
    status: 200,
    restStatus: 503,
    rpc: -32603,
    retryable: true,
    sentence:
      'Too many calls wait for input of their clients (limits.maxParked, limits.maxParkedPerPrincipal); retry later.',
  }),
  GW_INPUT_ROUNDS: upstream({
    status: 200,
    restStatus: 502,
    rpc: -32603,
    sentence: 'The upstream requested client input more often than limits.maxInputRounds allows.',
  }),
  GW_CLIENT_SILENT: client({
    status: 200,
    restStatus: 504,
    rpc: -32603,
    sentence: 'The client did not answer the request of the upstream within limits.answerMs.',
  }),
  GW_RESUME_GONE: client({
    status: 400,
    rpc: -32000,
    sentence: 'The events after this Last-Event-ID are no longer kept; send the request again.',
  }),
  GW_INVALID_FILTER: client({
    status: 200,
    restStatus: 400,
    rpc: -32602,
    sentence: 'subscriptions/listen needs params.notifications.',
  }),
  GW_SUBSCRIPTION_LIMIT: gateway({
    status: 200,
    restStatus: 429,
    rpc: -32603,
    retryable: true,
    sentence: 'limits.maxSubscriptions or limits.maxStreams is reached; end a subscription first.',
  }),
  GW_UNKNOWN_TASK: client({ status: 200, restStatus: 404, rpc: -32602, sentence: 'Unknown task.' }),
  GW_CLIENT_REFUSED: client({
    status: 200,
    restStatus: 502,
    rpc: -32603,
    sentence: 'The client answered the request of the upstream with an error.',
  }),
  GW_WEBSOCKET_HANDSHAKE: client({
    status: 400,
    rpc: -32600,
    sentence: 'This path accepts WebSocket handshakes of version 13 only, with the sub-protocol mcp if any is offered.',
  }),
  GW_NOT_ACCEPTABLE_JSON: client({
    status: 406,
    rpc: -32000,
    sentence: 'Not Acceptable: Client must accept application/json.',
  }),
  GW_INVALID_URI: client({
    status: 400,
    rpc: -32602,
    sentence:
      'URL parsers disagree about this URI, or reject it; data.reason says why. Send it in normal form (RFC 3986, section 6).',
  }),
  GW_BUFFERS_FULL: gateway({
    status: 503,
    rpc: -32603,
    retryable: true,
    sentence: 'The gateway holds as many bytes as limits.maxBufferedBytes allows; retry later.',
  }),
  GW_LENGTH_REQUIRED: client({
    status: 411,
    rpc: -32600,
    sentence:
      'A chunked body cannot be checked here: send Content-Length, let the proxy in front buffer requests, or set frontEnd: node.',
  }),
  GW_TOKEN_EXPIRED: client({ status: 401, rpc: -32001, sentence: 'The bearer token has expired; send a new one.' }),
  GW_TOKEN_REVOKED: client({ status: 401, rpc: -32001, sentence: 'The bearer token was revoked.' }),
  GW_REVOCATIONS_FULL: gateway({
    status: 200,
    restStatus: 507,
    rpc: -32603,
    sentence: 'limits.maxRevoked is reached and nothing was revoked; undo a revocation or raise the limit.',
  }),
  GW_UPSTREAM_REDIRECTED: upstream({
    status: 200,
    restStatus: 502,
    rpc: -32603,
    sentence:
      'The upstream redirects to an address that is not followed; the log and /stats say which one: write it as mcpServers.NAME.url.',
  }),
  GW_METHOD_NEEDS_SESSION: client({
    status: 405,
    rpc: -32000,
    sentence:
      'Method not allowed: GET opens the event stream of a session and DELETE ends it; without Mcp-Session-Id only POST is served.',
  }),
  GW_NOT_INITIALIZED: client({
    status: 200,
    restStatus: 400,
    rpc: -32600,
    sentence: 'This needs a session, which the connection does not have; send initialize first.',
  }),
  GW_STREAM_REQUIRED: client({
    status: 200,
    restStatus: 406,
    rpc: -32603,
    sentence:
      'The server asks the client for something during this call, and the client accepts no event stream to be asked on; send Accept: application/json, text/event-stream.',
  }),
  GW_UPSTREAM_UNAVAILABLE: upstream({
    status: 200,
    restStatus: 503,
    rpc: -32603,
    retryable: true,
    sentence: 'The upstream answered with HTTP 502 or 503, that it is not available; retry later.',
  }),
  GW_UPSTREAM_ERROR: upstream({
    status: 200,
    restStatus: 502,
    rpc: -32603,
    sentence:
      'The upstream answered with a JSON-RPC error, which is passed on as it is; only statistics have this code.',
  }),
  GW_UPSTREAM_NOT_CONNECTED: upstream({
    status: 200,
    restStatus: 503,
    rpc: -32603,
    retryable: true,
    sentence: 'The upstream could not be connected since the gateway started; retry later.',
  }),
  ...POLICY_ERRORS,
} as const satisfies Record<string, ErrorRow>;

/** A stable error code: a key of {@link ERRORS}. */
export type ErrorCode = keyof typeof ERRORS;

/** Codes in table order; the position is the code's number on the rings. */
export const ERROR_CODES = Object.freeze(Object.keys(ERRORS)) as readonly ErrorCode[];

const NUMBERS = Object.fromEntries(ERROR_CODES.map((code, index) => [code, index])) as Readonly<
  Record<ErrorCode, number>
>;

/** The number of `code` on the rings. */
export function errorNumber(code: ErrorCode): number {
  return NUMBERS[code];
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

/** A failure with a row in {@link ERRORS} that is thrown to the program or the admin listener, not written to a client. */
export class GatewayError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode) {
    super(ERRORS[code].sentence);
    this.name = 'GatewayError';
    this.code = code;
  }
}
