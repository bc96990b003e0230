import type { GatewayConfig } from './schema/index.js';

export type { GatewayConfig } from './schema/index.js';

/** Gives a configuration written in TypeScript its type; returns it unchanged. */
export function defineConfig(config: GatewayConfig): GatewayConfig {
  return config;
}
