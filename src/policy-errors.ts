/** Rows of the table of errors (errors.ts) about rules and credentials. */
import { client, type ErrorRow, gateway, upstream } from './error-row.js';

/** They number on behind those of the table. */
export const POLICY_ERRORS = {
  GW_INSUFFICIENT_PERMISSION: client({
    status: 403,
    rpc: -32001,
    sentence:
      'The client does not have the permission (read or write) that this operation needs; an operator can grant it.',
  }),
  GW_ARGUMENTS_TOO_LARGE: client({
    status: 413,
    rpc: -32602,
    sentence:
      'The arguments are too large to be compared with the rules of the gateway (limits.ringBytes); send less in one call.',
  }),
  GW_UPSTREAM_CREDENTIALS: upstream({
    status: 200,
    restStatus: 502,
    rpc: -32603,
    retryable: true,
    sentence: 'The gateway could not get credentials for the upstream (mcpServers.NAME.auth).',
  }),
  GW_CLIENT_TOKEN_REQUIRED: client({
    status: 200,
    restStatus: 403,
    rpc: -32603,
    sentence:
      'The upstream is called with a token of the caller, and this request has none; send a bearer token (mcpServers.NAME.auth).',
  }),
  GW_UPSTREAM_LOGIN: upstream({
    status: 200,
    restStatus: 502,
    rpc: -32603,
    sentence: 'The upstream wants the consent of a user, who has to log in.',
  }),
  GW_CONCURRENCY: client({
    status: 429,
    rpc: -32000,
    retryable: true,
    sentence: 'Too many calls are under way at once; call again when one has ended, or after data.retryAfterMs.',
  }),
  GW_UPSTREAM_FULL: upstream({
    status: 503,
    rpc: -32603,
    retryable: true,
    sentence:
      'The upstream has as many calls under way as mcpServers.NAME.maxConcurrent allows; retry after data.retryAfterMs.',
  }),
  GW_SHED: gateway({
    status: 503,
    rpc: -32603,
    retryable: true,
    sentence:
      'The gateway is overloaded and refuses this kind of request for now (overload.order); retry after data.retryAfterMs.',
  }),
  GW_TOOL_NOT_APPROVED: gateway({
    status: 200,
    restStatus: 403,
    rpc: -32602,
    sentence:
      'The tool is not as the lockfile says (catalog.pinning); an operator can look at it with `switchyard lock --check` and approve of it with `switchyard lock`.',
  }),
} as const satisfies Record<string, ErrorRow>;
