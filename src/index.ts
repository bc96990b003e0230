/**
 * Switchyard from a program (docs/api.md):
 *
 *     import { createGateway } from 'mcp-switchyard';
 *
 *     const gateway = createGateway({ port: 0, mcpServers: { files: { command: 'files-server' } } });
 *     await gateway.start();
 *     console.log(gateway.url);
 *     await gateway.stop();
 */
import { compiled, type EmbeddedGateway, OwnGateway } from './api/gateway.js';
import type { GatewayConfig } from './config/define.js';

export {
  Gateway,
  type HttpRunOptions,
  type MaxRequests,
  type RateLimitOptions,
  type RouteOptions,
  type RunOptions,
  type ServerOptions,
  type StdioRunOptions,
  type ToolRateLimitOptions,
} from './api/builder.js';
export type { ClientOptions, EmbeddedGateway, StdioOptions } from './api/gateway.js';
export type { ClientTransport, Message } from './api/local-transport.js';
export {
  type CommandProxyOptions,
  createProxy,
  type ProxyOptions,
  type ProxyRules,
  type UrlProxyOptions,
} from './api/proxy.js';
export type { StatsSummary } from './api/summary.js';
export { defineConfig, type GatewayConfig } from './config/define.js';
export type { Revocation } from './control/credentials/revocations.js';
export type { EndpointHealth, UpstreamHealth } from './control/health.js';
export type { Address } from './control/running-gateway.js';
export type { ErrorRow, ErrorSource } from './error-row.js';
export {
  ConfigError,
  ERROR_CODES,
  ERRORS,
  type ErrorCode,
  GatewayError,
} from './errors.js';
export type { Stats } from './observe/stats.js';

/**
 * A gateway in this process that does nothing before `start()`. The configuration has the shape of a configuration file,
 * `${VAR}` included.
 *
 * @throws ConfigError when the configuration cannot be used
 */
export function createGateway(config: GatewayConfig): EmbeddedGateway {
  return new OwnGateway(compiled(config));
}
