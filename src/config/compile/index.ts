import { availableParallelism } from 'node:os';
import { basename, dirname, join, parse, resolve } from 'node:path';
import type { LoadedConfig } from '../loaded.js';
import type { ConfigPath } from '../problems.js';
import { list } from '../schema/fields.js';
import type { ResolvedConfig } from '../schema/index.js';
import { patternsOf } from '../schema/match.js';
import type {
  LoginsSnapshot,
  LogSnapshot,
  RouteSnapshot,
  ServerSnapshot,
  SessionsSnapshot,
  Snapshot,
  ViewSnapshot,
} from '../snapshot/index.js';
import type { PinningRules } from '../snapshot/pinning.js';
import { loginsOf } from '../snapshot/user-logins.js';
import { compileAuth, publicOrigin, scopeList } from './auth.js';
import { compileCache } from './cache.js';
import { Compilation } from './compilation.js';
import { joinFailOver } from './fail-over.js';
import { compileLock } from './lock.js';
import { isHost, isLoopbackHost } from './loopback.js';
import { compileMatch } from './match.js';
import { compileConcurrency, compileLimit, compileRateLimits } from './rate-limits.js';
import { serverIndex } from './server-index.js';
import { compileServers } from './servers.js';
import { compileVariants } from './variants.js';
import { compileViews } from './views.js';

/** Values of a command line, which override the file. */
export interface ConfigOverrides {
  readonly host?: string | undefined;
  /** `false` = no listener for clients. */
  readonly port?: number | false | undefined;
  /** `false` = no admin listener. */
  readonly adminPort?: number | false | undefined;
  readonly workers?: number | 'auto' | undefined;
  readonly logLevel?: LogSnapshot['level'] | undefined;
  readonly logFormat?: LogSnapshot['format'] | undefined;
  readonly frontEnd?: Snapshot['frontEnd'] | undefined;
  readonly allowUnauthenticated?: boolean | undefined;
}

/** Options of {@link compileSnapshot}. */
export interface CompileOptions {
  /** Version of the snapshot; default 1. */
  readonly version?: number;
  readonly overrides?: ConfigOverrides;
  /** Whether the lockfile is not read and nothing is pinned: it is to be written, or compared as a whole. Default false. */
  readonly isUnpinned?: boolean;
}

/** Most workers that `auto` gives. */
const MAX_AUTO_WORKERS = 16;

/**
 * Compiles a checked configuration to the frozen Snapshot that the policy works with. Reads the key files it names.
 * @throws ConfigError with the problems that concern several keys: unknown servers in routes, equal prefixes, a bind that
 * is reachable from other machines without authentication, ...
 */
export function compileSnapshot(loaded: LoadedConfig, options: CompileOptions = {}): Snapshot {
  const compilation = new Compilation(loaded);
  const { config } = loaded;
  const overrides = options.overrides ?? {};
  const host = overrides.host ?? config.host;
  const auth = compileAuth(compilation, config.auth, ['auth'], '');
  const port = overrides.port ?? config.port;
  const isPermitted = overrides.allowUnauthenticated ?? config.allowUnauthenticated;
  const isExposed = port !== false && !isPermitted && isHost(host) && !isLoopbackHost(host);
  checkBind(compilation, host, isExposed && auth.providers.length === 0);
  const servers = compileServers(compilation);
  const views = compileViews(compilation, servers, auth, isExposed);
  const rateLimits = compileRateLimits(compilation);
  const lock = options.isUnpinned === true ? null : compileLock(compilation);
  const snapshot: Snapshot = {
    version: options.version ?? 1,
    name: config.name,
    host: withoutBrackets(host),
    port: port === false ? 0 : port,
    listens: port !== false,
    publicUrl: publicOrigin(compilation),
    path: config.path,
    admin: compileAdmin(compilation, host, overrides),
    workers: workerCount(overrides.workers ?? config.workers),
    frontEnd: overrides.frontEnd ?? config.frontEnd,
    allowedHosts: compileHosts(compilation),
    allowedOrigins: compileOrigins(compilation),
    auth,
    servers,
    routes: joinFailOver(compileRoutes(compilation, servers, views)),
    views,
    rateLimits,
    cache: compileCache(compilation),
    limits: config.limits,
    concurrency: compileConcurrency(compilation, rateLimits),
    overload: config.overload,
    catalog: {
      ...config.catalog,
      manifestFile: compileManifestFile(loaded),
      pinning: lock === null ? null : pinningRules(config),
    },
    lock,
    sessions: {
      required: config.sessions.required,
      secrets: list(config.sessions.secret),
      ttlSeconds: config.sessions.ttlSeconds,
      ...compileKeyFile(loaded, port !== false || servers.some((server) => loginsOf(server).length > 0)),
      eventLogBytes: config.sessions.eventLogBytes,
      eventLogTotalBytes: config.sessions.eventLogTotalBytes,
      retryMs: config.sessions.retryMs,
    },
    logins: compileLogins(loaded),
    transports: config.transports,
    log: {
      level: overrides.logLevel ?? config.log.level,
      format: overrides.logFormat ?? config.log.format,
      access: config.log.access,
    },
    ready: { require: compileRequired(compilation, servers) },
    // Last: the steps above add to these.
    attributes: compilation.attributes,
    secrets: compilation.secrets,
  };
  compilation.problems.throwIfAny();
  return deepFreeze(snapshot);
}

function pinningRules({ catalog: { pinning } }: ResolvedConfig): PinningRules | null {
  return pinning === undefined ? null : { onChange: pinning.onChange, onNew: pinning.onNew };
}

/** @param listens without a port there are no sessions to keep, and no file is made unasked */
function compileKeyFile(
  { config, file, folder }: LoadedConfig,
  listens: boolean,
): Pick<SessionsSnapshot, 'keyFile' | 'isKeyFileOptional'> {
  const { keyFile } = config.sessions;
  if (typeof keyFile === 'string') return { keyFile: resolve(folder, keyFile), isKeyFileOptional: false };
  const isKept = keyFile !== false && file !== null && listens;
  return { keyFile: isKept ? join(folder, `.${parse(file).name}.key`) : null, isKeyFileOptional: isKept };
}

/** Beside the key file, which opens them. */
function compileLogins({ config: { logins, sessions }, file, folder }: LoadedConfig): LoginsSnapshot {
  const state = typeof sessions.keyFile === 'string' ? dirname(resolve(folder, sessions.keyFile)) : folder;
  const beside = file === null ? null : join(state, `.${parse(file).name}.logins`);
  return {
    folder: logins.folder === undefined ? beside : resolve(folder, logins.folder),
    publicUrl: (logins.publicUrl ?? '').replace(/\/+$/, ''),
    maxLogins: logins.maxLogins,
  };
}

/** Beside the key file, since both are state of the gateway; named after the configuration, of which a folder may have several. */
function compileManifestFile({ config: { catalog, sessions }, file, folder }: LoadedConfig): string | false | null {
  const { manifestFile } = catalog;
  if (manifestFile !== undefined) return manifestFile === false ? false : resolve(folder, manifestFile);
  if (file === null) return null;
  const state = typeof sessions.keyFile === 'string' ? dirname(resolve(folder, sessions.keyFile)) : folder;
  return join(state, `.${basename(file)}.manifest.json`);
}

function withoutBrackets(host: string): string {
  return host.replace(/^\[(.*)\]$/, '$1');
}

function workerCount(configured: number | 'auto'): number {
  return configured === 'auto' ? Math.min(MAX_AUTO_WORKERS, Math.max(1, availableParallelism() - 1)) : configured;
}

function checkBind(compilation: Compilation, host: string, isOpen: boolean): void {
  if (!isHost(host)) compilation.problem(['host'], 'must be an IP address or a host name');
  else if (isOpen) {
    compilation.problem(
      ['host'],
      'is reachable from other machines without authentication; set "auth", or set "allowUnauthenticated" to true to permit it',
    );
  }
}

function compileAdmin(compilation: Compilation, dataHost: string, overrides: ConfigOverrides): Snapshot['admin'] {
  const { config } = compilation.loaded;
  const written = config.admin === false ? null : config.admin;
  // A port on the command line opens the listener although the file has `admin: false`.
  const port = overrides.adminPort ?? (written === null ? false : written.port);
  if (port === false) return null;
  const host = withoutBrackets(written?.host ?? '127.0.0.1');
  if (!isHost(host)) compilation.problem(['admin', 'host'], 'must be an IP address or a host name');
  else if (!isLoopbackHost(host) && written?.allowUnauthenticated !== true) {
    compilation.problem(
      ['admin', 'host'],
      'is reachable from other machines without authentication; set "admin.allowUnauthenticated" to true to permit it',
    );
  }
  if (port !== 0 && port === (overrides.port ?? config.port) && host === withoutBrackets(dataHost)) {
    compilation.problem(['admin', 'port'], 'is the port of the MCP endpoint; choose another one');
  }
  return { host, port };
}

/** Names in the form of a `Host` header without a port: lower case, IPv6 addresses in brackets. */
function compileHosts(compilation: Compilation): string[] {
  return list(compilation.loaded.config.allowedHosts).map((written) => {
    const name = withoutBrackets(written.toLowerCase());
    if (!isHost(name)) {
      compilation.problem(['allowedHosts'], 'must be host names or IP addresses, without scheme, port and wildcards');
    }
    return name.includes(':') ? `[${name}]` : name;
  });
}

function compileOrigins(compilation: Compilation): string[] {
  return list(compilation.loaded.config.allowedOrigins).map((origin) => {
    if (origin === '*') return origin;
    const url = URL.canParse(origin) ? new URL(origin) : null;
    if (url === null || url.pathname.length > 1 || url.search !== '' || url.hash !== '' || url.username !== '') {
      compilation.problem(
        ['allowedOrigins'],
        'an origin is scheme, host and port only, as in https://app.example:8443',
      );
      return origin;
    }
    // Editors' schemes such as vscode-webview: have an opaque origin in URL, but a plain one in the header.
    return url.origin === 'null' ? `${url.protocol}//${url.host}` : url.origin;
  });
}

function compileRoutes(
  compilation: Compilation,
  servers: readonly ServerSnapshot[],
  views: readonly ViewSnapshot[],
): RouteSnapshot[] {
  const indexes = new Map(servers.map((server, i) => [server.name, i]));
  const names = new Set<string>();
  const serversAt = (written: string | readonly string[] | undefined, path: ConfigPath): number[] =>
    list(written).flatMap((server, j) => serverIndex(compilation, server, indexes, path, j));
  return compilation.loaded.config.routes.map((route, i) => {
    const path = ['routes', i];
    const name = route.name ?? `route-${i + 1}`;
    if (names.has(name)) compilation.problem([...path, 'name'], 'is the name of another route');
    names.add(name);
    const numbers = serversAt(route.servers, [...path, 'servers']);
    const { variants } = route;
    return {
      name,
      ...compileMatch(compilation, route.match, [...path, 'match'], views),
      servers: numbers,
      requiredScopes: scopeList(route.requiredScopes),
      whenDenied: route.whenDenied,
      permissions: patternsOf(route.permissions),
      variants:
        variants === undefined
          ? null
          : compileVariants(compilation, variants, [...path, 'variants'], route.name ?? '', serversAt, numbers),
      rateLimit: compileLimit(compilation, route.rateLimit, [...path, 'rateLimit']),
      clientRateLimit: compileLimit(compilation, route.clientRateLimit, [...path, 'clientRateLimit']),
      rateLimitOverride: compileLimit(compilation, route.rateLimitOverride, [...path, 'rateLimitOverride']),
      maxConcurrent: route.maxConcurrent,
      priority: route.priority,
      cache: route.cache ?? null,
      requestTimeoutMs: route.requestTimeoutMs,
      idempotent: route.idempotent,
    };
  });
}

/** Names of enabled servers. */
function compileRequired(compilation: Compilation, servers: readonly ServerSnapshot[]): string[] {
  const indexes = new Map(servers.map((server, i) => [server.name, i]));
  const path = ['ready', 'require'];
  return list(compilation.loaded.config.ready.require).filter(
    (name, position) => serverIndex(compilation, name, indexes, path, position).length > 0,
  );
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const member of Object.values(value)) deepFreeze(member);
  }
  return value;
}
