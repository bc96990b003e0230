import type { UrlTransport } from '../config/schema/servers.js';
import type { EndpointSnapshot } from '../config/snapshot/index.js';
import type { Breaker } from './balance/breaker.js';
import { ConsecutiveFailureBreaker } from './balance/consecutive-failures.js';
import type { BaseEndpoint, EndpointContext, EndpointOwner } from './core/endpoint.js';
import { transportOf } from './core/http/detection.js';
import type { ConnectionProfile } from './core/types.js';
import { HttpEndpoint } from './http/endpoint.js';
import { SseEndpoint } from './sse/endpoint.js';
import { StdioEndpoint } from './stdio/endpoint.js';
import { WebSocketEndpoint } from './websocket/endpoint.js';

/** The endpoints that are reached by a URL. */
const URL_ENDPOINTS = {
  http: HttpEndpoint,
  sse: SseEndpoint,
  websocket: WebSocketEndpoint,
} as const satisfies Readonly<Record<UrlTransport, unknown>>;

/**
 * Creates the endpoint of a configuration, with the configured or detected transport; it does nothing before `start`.
 *
 * @param breaker of the endpoint whose place it takes or whose origin it shares; default: one of its own
 */
export function createEndpoint(
  context: EndpointContext,
  owner: EndpointOwner,
  at: { server: number; index: number },
  config: EndpointSnapshot,
  profile: ConnectionProfile,
  breaker: Breaker = new ConsecutiveFailureBreaker(),
): BaseEndpoint {
  if (config.transport === 'stdio') return new StdioEndpoint(context, owner, at, config, breaker, profile);
  const UrlEndpoint = URL_ENDPOINTS[transportOf(config)];
  return new UrlEndpoint(context, owner, at, config, breaker, profile);
}
