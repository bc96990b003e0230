import type { EndpointSnapshot } from '../config/snapshot.js';
import type { Breaker } from './balance.js';
import type { BaseEndpoint, EndpointContext, EndpointOwner } from './endpoint.js';
import { HttpEndpoint } from './http-endpoint.js';
import { StdioEndpoint } from './stdio-endpoint.js';
import type { LaneProfile } from './types.js';

/** The endpoint that a configuration asks for; it does nothing before `start`. */
export function createEndpoint(
  context: EndpointContext,
  owner: EndpointOwner,
  at: { server: number; index: number },
  config: EndpointSnapshot,
  breaker: Breaker,
  profile: LaneProfile,
): BaseEndpoint {
  return config.transport === 'stdio'
    ? new StdioEndpoint(context, owner, at, config, breaker, profile)
    : new HttpEndpoint(context, owner, at, config, breaker, profile);
}
