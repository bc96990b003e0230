import type { GatewayConfig } from '../config/define.js';
import type { UrlTransport } from '../config/schema/servers.js';
import { compiled, type EmbeddedGateway, OwnGateway } from './gateway.js';

/** Time that the first discovery of the server may take before clients are served. */
const STARTUP_WAIT_MS = 10_000;

/** Options of a proxy that do not depend on its server. */
export interface ProxyRules {
  /** Name of the server entry and in `serverInfo`; default `proxy`. */
  readonly name?: string;
  /** Port to listen on; 0 = any free port, `false` (default) = none. */
  readonly port?: number | false;
  /** Default 127.0.0.1. */
  readonly host?: string;
  /** Authentication of clients, as in a configuration; default none. */
  readonly auth?: GatewayConfig['auth'];
  readonly log?: GatewayConfig['log'];
}

/** A server behind a URL. */
export interface UrlProxyOptions extends ProxyRules {
  readonly url: string;
  /** Default: auto-detected: Streamable HTTP or HTTP with SSE, WebSocket for ws: and wss: URLs. */
  readonly transport?: UrlTransport;
  /** Sent with every request to the server. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** A server that is a program, started by the gateway. */
export interface CommandProxyOptions extends ProxyRules {
  readonly command: string;
  readonly args?: readonly string[];
  /** Variables besides the minimal environment of children. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

export type ProxyOptions = UrlProxyOptions | CommandProxyOptions;

/**
 * A gateway that re-exposes one server unchanged: names without a prefix, every method passed on, a dedicated child or
 * upstream session for each client, no admin listener. Reached through `serveStdio()`, `connect()`, or a port.
 *
 * @throws ConfigError when the options cannot be used
 */
export function createProxy(options: ProxyOptions): EmbeddedGateway {
  return new OwnGateway(compiled(proxyConfig(options)));
}

/** The configuration of a proxy. */
export function proxyConfig(options: ProxyOptions): GatewayConfig {
  const { name = 'proxy', port = false, host, auth, log } = options;
  return {
    name,
    port,
    admin: false,
    ...(host === undefined ? {} : { host }),
    ...(auth === undefined ? {} : { auth }),
    ...(log === undefined ? {} : { log }),
    catalog: { startupWaitMs: STARTUP_WAIT_MS },
    mcpServers: { [name]: { ...serverOf(options), prefix: false, isolation: 'session', methods: ['**'] } },
  };
}

type ServerEntry = NonNullable<GatewayConfig['mcpServers']>[string];

function serverOf(options: ProxyOptions): ServerEntry {
  if ('url' in options) {
    const { url, transport, headers } = options;
    return {
      url,
      ...(transport === undefined ? {} : { transport }),
      ...(headers === undefined ? {} : { headers: { ...headers } }),
    };
  }
  const { command, args, env, cwd } = options;
  return {
    command,
    ...(args === undefined ? {} : { args: [...args] }),
    ...(env === undefined ? {} : { env: { ...env } }),
    ...(cwd === undefined ? {} : { cwd }),
  };
}
