import type { ServerSnapshot, UpstreamAuthSnapshot } from './index.js';

/** `auth` of type `oauth`: a user has to consent. */
export type OAuthSnapshot = Extract<UpstreamAuthSnapshot, { type: 'oauth' }>;

/** Those of the endpoints of a server; empty = it wants no login. */
export function loginsOf({ endpoints }: Pick<ServerSnapshot, 'endpoints'>): OAuthSnapshot[] {
  return endpoints.flatMap((endpoint) =>
    endpoint.transport !== 'stdio' && endpoint.auth?.type === 'oauth' ? [endpoint.auth] : [],
  );
}
