import type { GatewayConfig } from '../config/define.js';
import { type ConfigPath, Problems } from '../config/problems.js';
import type { TRANSPORTS } from '../config/schema/servers.js';
import { quoteKey } from '../config/source/index.js';
import { compiled, type EmbeddedGateway, OwnGateway, type StdioOptions } from './gateway.js';
import { type StatsSummary, summaryOf } from './summary.js';

type Server = NonNullable<GatewayConfig['mcpServers']>[string];
type Route = NonNullable<GatewayConfig['routes']>[number];
type RateLimits = NonNullable<GatewayConfig['rateLimits']>;
type Limit = NonNullable<RateLimits['global']>;
type ToolLimit = NonNullable<RateLimits['perTool']>[number];
type Patterns = NonNullable<NonNullable<Route['match']>['tools']>;

/** A server: an entry of `mcpServers`, two of whose keys have a second name. */
export interface ServerOptions extends Server {
  /** The same as `transport`. */
  readonly transportType?: keyof typeof TRANSPORTS;
  /** The same as `auth: { type: 'bearer', token }`. */
  readonly authToken?: string;
}

/** What rate limits have besides their keys in a configuration. */
export interface MaxRequests {
  /** The same as `limit`: requests in `windowMs`. */
  readonly maxRequests?: number;
}

/** A rate limit, as in a configuration, or with {@link MaxRequests}. */
export interface RateLimitOptions extends Limit, MaxRequests {}

/** A rate limit of a tool, as in a configuration, or with {@link MaxRequests}. */
export interface ToolRateLimitOptions extends Omit<ToolLimit, 'tools'>, MaxRequests {}

/** A route: an item of `routes`, some of whose keys have a second name. */
export interface RouteOptions extends Omit<Route, 'rateLimitOverride'> {
  /** The same as `servers`. */
  readonly upstreamName?: string;
  /** The same as `match.tools`. */
  readonly toolPattern?: Patterns;
  /** The same as `match.prompts`. */
  readonly promptPattern?: Patterns;
  /** The same as `match.resources`. */
  readonly resourcePattern?: Patterns;
  /** The same as `requiredScopes`. */
  readonly requiredScope?: string;
  /** As in a configuration; a number is requests a minute. */
  readonly rateLimitOverride?: RateLimitOptions | number;
}

/** Serves clients on a port. */
export interface HttpRunOptions {
  /** `http` (default): the transports that the configuration has; `sse`: HTTP with SSE on `/sse` in any case. */
  readonly transport?: 'http' | 'sse';
  /** Default: `host` of the configuration, which is 127.0.0.1 unless it says otherwise. */
  readonly host?: string;
  /** 0 = any free port, `false` = none, for clients in this process. Default: `port` of the configuration, else 8000. */
  readonly port?: number | false;
}

/** Serves one client on pipes, and stops when it has disconnected. There is no port, and no admin listener by default. */
export interface StdioRunOptions extends StdioOptions {
  readonly transport: 'stdio';
}

/** How {@link Gateway.run} serves clients. */
export type RunOptions = HttpRunOptions | StdioRunOptions;

const MINUTE_MS = 60_000;

/**
 * Builds a configuration step by step and runs a gateway with it. Each method takes what the configuration takes in its
 * place, and the names that users of Python proxies know. Faults are those of the configuration: `run` reports them.
 */
export class Gateway {
  #config: GatewayConfig;
  #running: OwnGateway | null = null;

  /** @param config the configuration to begin with, such as `{ name: 'proxy' }` */
  constructor(config: GatewayConfig = {}) {
    this.#config = config;
  }

  /** What was built so far: for a file, or for `reload` of the gateway that {@link run} has started. */
  get config(): GatewayConfig {
    return this.#config;
  }

  /** The routes in the order in which they are tried. */
  get routes(): readonly Route[] {
    return this.#config.routes ?? [];
  }

  /**
   * Adds a server.
   *
   * @throws ConfigError when there is one of this name, or a key is given under both of its names
   */
  addServer(name: string, options: ServerOptions): this {
    const { mcpServers = {} } = this.#config;
    const path = ['mcpServers', name];
    if (Object.hasOwn(mcpServers, name)) refuse(path, 'there is a server of this name already');
    const { authToken, transportType, ...server } = options;
    const auth = authToken === undefined ? undefined : ({ type: 'bearer', token: authToken } as const);
    const entry: Server = {
      ...server,
      ...member(path, 'transport', server.transport, 'transportType', transportType),
      ...member(path, 'auth', server.auth, 'authToken', auth),
    };
    this.#config = { ...this.#config, mcpServers: { ...mcpServers, [name]: entry } };
    return this;
  }

  /**
   * Adds a route behind the others; the first one that matches a call counts.
   *
   * @throws ConfigError when a key is given under both of its names
   */
  addRoute(options: RouteOptions): this {
    const { routes } = this;
    this.#config = { ...this.#config, routes: [...routes, routeOf(options, ['routes', routes.length])] };
    return this;
  }

  /** Sets how clients are authenticated, in the place of what was set before. */
  setAuth(auth: NonNullable<GatewayConfig['auth']>): this {
    this.#config = { ...this.#config, auth };
    return this;
  }

  /**
   * Sets the limit for all clients together, in the place of what was set before.
   *
   * @throws ConfigError when a key is given under both of its names
   */
  setRateLimit(limit: RateLimitOptions): this {
    const global = limitOf(limit, ['rateLimits', 'global']);
    this.#config = { ...this.#config, rateLimits: { ...this.#config.rateLimits, global } };
    return this;
  }

  /**
   * Sets the limit of a tool for all clients together, in the place of what was set for the same name before.
   *
   * @param tool the name that clients see, or a glob over names; of several limits the first that matches counts
   * @throws ConfigError when a key is given under both of its names
   */
  setToolRateLimit(tool: string, limit: ToolRateLimitOptions): this {
    const { rateLimits } = this.#config;
    const perTool = [...(rateLimits?.perTool ?? [])];
    const before = perTool.findIndex(({ tools }) => tools === tool);
    const position = before < 0 ? perTool.length : before;
    perTool[position] = { tools: tool, ...limitOf(limit, ['rateLimits', 'perTool', position]) };
    this.#config = { ...this.#config, rateLimits: { ...rateLimits, perTool } };
    return this;
  }

  /**
   * Starts a gateway with the configuration, to which the options are added, and resolves once clients are served. What is
   * built afterwards takes effect by `reload(config)` of the result.
   *
   * @throws ConfigError when the configuration cannot be used
   * @throws Error with `code` EADDRINUSE when a port is taken
   */
  async run(options: RunOptions = {}): Promise<EmbeddedGateway> {
    this.#config = { ...this.#config, ...listening(options, this.#config) };
    const gateway = new OwnGateway(compiled(this.#config));
    await gateway.start();
    this.#running = gateway;
    if (options.transport === 'stdio') void gateway.serveStdio(options).then(() => gateway.stop());
    return gateway;
  }

  /** What the gateway has done since it was started. @throws Error when it does not run */
  async stats(): Promise<StatsSummary> {
    return summaryOf(await this.#requireRunning().stats());
  }

  /** Whether calls can be sent to a server, by its name. @throws Error when the gateway does not run */
  upstreamHealth(): Readonly<Record<string, boolean>> {
    return Object.fromEntries(
      this.#requireRunning()
        .upstreamHealth()
        .map(({ name, healthy }) => [name, healthy]),
    );
  }

  #requireRunning(): OwnGateway {
    if (this.#running === null) throw new Error('the gateway does not run; call run() first');
    return this.#running;
  }
}

/** The keys of the configuration that say where clients are served. */
function listening(options: RunOptions, { admin, transports }: GatewayConfig): GatewayConfig {
  // Each client on pipes starts a gateway of its own: on a fixed port there is room for one of them.
  if (options.transport === 'stdio') return { port: false, admin: admin ?? false };
  const { transport, host, port } = options;
  return {
    ...(host === undefined ? {} : { host }),
    ...(port === undefined ? {} : { port }),
    ...(transport === 'sse' ? { transports: { ...transports, sse: true } } : {}),
  };
}

function routeOf(options: RouteOptions, path: ConfigPath): Route {
  const {
    upstreamName,
    toolPattern,
    promptPattern,
    resourcePattern,
    requiredScope,
    rateLimitOverride: override,
    ...route
  } = options;
  const { match } = route;
  const matchPath = [...path, 'match'];
  const patterns = {
    ...member(matchPath, 'tools', match?.tools, 'toolPattern', toolPattern),
    ...member(matchPath, 'prompts', match?.prompts, 'promptPattern', promptPattern),
    ...member(matchPath, 'resources', match?.resources, 'resourcePattern', resourcePattern),
  };
  const limit = typeof override === 'number' ? { limit: override, windowMs: MINUTE_MS } : override;
  return {
    ...route,
    ...(Object.keys(patterns).length === 0 ? {} : { match: { ...match, ...patterns } }),
    ...member(path, 'servers', route.servers, 'upstreamName', upstreamName),
    ...member(path, 'requiredScopes', route.requiredScopes, 'requiredScope', requiredScope),
    ...(limit === undefined ? {} : { rateLimitOverride: limitOf(limit, [...path, 'rateLimitOverride']) }),
  };
}

function limitOf<T extends Limit & MaxRequests>(options: T, path: ConfigPath): Omit<T, 'maxRequests'> {
  const { maxRequests, ...limit } = options;
  return { ...limit, ...member(path, 'limit', limit.limit, 'maxRequests', maxRequests) };
}

/**
 * A member of an object of the configuration that was given under its other name; nothing when it was not.
 *
 * @param own what was given under its own name
 * @throws ConfigError when both are given
 */
function member<Key extends string, T>(
  path: ConfigPath,
  key: Key,
  own: unknown,
  other: string,
  value: T | undefined,
): { [K in Key]?: T } {
  if (value === undefined) return {};
  if (own !== undefined) refuse([...path, key], `given twice, as ${quoteKey(key)} and ${quoteKey(other)}`);
  return { [key]: value } as { [K in Key]?: T };
}

function refuse(path: ConfigPath, sentence: string): void {
  const problems = new Problems(null);
  problems.add(path, null, sentence);
  problems.throwIfAny();
}
