/**
 * Switchyard from a program:
 *
 *     import { createGateway, defineConfig } from 'mcp-switchyard';
 *
 *     const gateway = await createGateway(defineConfig({ port: 0, mcpServers: { files: { command: ['files-server'] } } }));
 *     console.log(gateway.address.port);
 *     await gateway.stop();
 */
import { compileSnapshot } from './config/compile.js';
import type { GatewayConfig } from './config/define.js';
import { loadConfigObject } from './config/load.js';
import { type RunningGateway, startGateway } from './control/gateway.js';

export { defineConfig, type GatewayConfig } from './config/define.js';
export type { Address, RunningGateway } from './control/gateway.js';
export {
  ConfigError,
  ERROR_CODES,
  ERRORS,
  type ErrorCode,
  type ErrorRow,
  type ErrorSource,
  GatewayError,
} from './errors.js';

/**
 * Starts a gateway in this process; resolves once it listens. The configuration has the shape of a configuration file,
 * `${VAR}` included.
 *
 * @throws ConfigError when the configuration cannot be used
 * @throws Error with `code` EADDRINUSE when a port is taken
 */
export async function createGateway(config: GatewayConfig): Promise<RunningGateway> {
  return startGateway(compileSnapshot(loadConfigObject(config)));
}
