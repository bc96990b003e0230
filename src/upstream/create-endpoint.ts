import type { EndpointSnapshot, StdioEndpointSnapshot, UrlEndpointSnapshot } from '../config/snapshot.js';
import type { Breaker } from './balance/breaker.js';
import { ConsecutiveFailureBreaker } from './balance/consecutive-failures.js';
import { transportOf } from './core/detection.js';
import type { BaseEndpoint, EndpointContext, EndpointOwner } from './core/endpoint.js';
import type { ConnectionProfile } from './core/types.js';
import { HttpEndpoint } from './http/endpoint.js';
import { SseEndpoint } from './sse/endpoint.js';
import { StdioEndpoint } from './stdio/endpoint.js';
import { WebSocketEndpoint } from './websocket/endpoint.js';

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
  switch (transportOf(config)) {
    case 'stdio':
      return new StdioEndpoint(context, owner, at, config as StdioEndpointSnapshot, breaker, profile);
    case 'sse':
      return new SseEndpoint(context, owner, at, config as UrlEndpointSnapshot, breaker, profile);
    case 'websocket':
      return new WebSocketEndpoint(context, owner, at, config as UrlEndpointSnapshot, breaker, profile);
    case 'http':
      return new HttpEndpoint(context, owner, at, config as UrlEndpointSnapshot, breaker, profile);
  }
}
