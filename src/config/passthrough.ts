import type { ServerSnapshot } from './snapshot/index.js';

/** The warning about one server with `passthrough`. */
export function passthroughWarning(name: string): string {
  return `mcpServers.${name}.passthrough: the clients' own tokens are passed on to this upstream, which can use them in their names elsewhere; auth with type: tokenExchange gives it tokens of its own`;
}

/** The warnings about all of them. */
export function passthroughWarnings(servers: readonly ServerSnapshot[]): string[] {
  return servers.filter(({ passthrough }) => passthrough).map(({ name }) => passthroughWarning(name));
}
