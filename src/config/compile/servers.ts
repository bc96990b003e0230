import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { resolve } from 'node:path';
import { parseEnv } from 'node:util';
import { readablePrefix } from '../../protocol/names/forms.js';
import { showText } from '../../secrets/show.js';
import type { ConfigPath } from '../problems.js';
import type { ServerConfig } from '../schema/index.js';
import { TRANSPORTS, URL_SCHEMES, URL_TRANSPORTS, type UrlTransport } from '../schema/servers.js';
import type { EndpointSnapshot, ServerSnapshot, UpstreamAuthSnapshot } from '../snapshot/index.js';
import { quoteKey } from '../source/index.js';
import type { Compilation } from './compilation.js';
import { globs } from './patterns.js';
import { checkHeaders, compileUpstreamAuth } from './upstream-auth.js';

/** The configuration of one endpoint, completed from its server. */
interface EndpointConfig {
  readonly command?: string | readonly string[] | undefined;
  readonly args?: readonly (string | number)[] | undefined;
  readonly env?: Readonly<Record<string, string | number | boolean>> | undefined;
  readonly cwd?: string | undefined;
  readonly url?: string | undefined;
  readonly transport?: keyof typeof TRANSPORTS | undefined;
  readonly headers?: Readonly<Record<string, string | number | boolean>> | undefined;
  readonly auth?: ServerConfig['auth'];
  readonly passthrough: boolean;
  readonly weight: number;
}

/** The enabled servers in the order of the file, each with a unique prefix. */
export function compileServers(compilation: Compilation): ServerSnapshot[] {
  const { config } = compilation.loaded;
  const servers: ServerSnapshot[] = [];
  const prefixes = new Map<string, string>();
  for (const [name, entry] of Object.entries(config.mcpServers)) {
    const path = ['mcpServers', name];
    checkName(compilation, name, path);
    if (
      entry.disabled !== undefined &&
      entry.disabled === entry.enabled &&
      compilation.isWritten([...path, 'enabled'])
    ) {
      compilation.problem([...path, 'disabled'], 'contradicts "enabled"; keep one of them');
    }
    if (!entry.enabled || entry.disabled === true) continue;
    const prefix = prefixOf(compilation, name, entry, path);
    const other = prefix === null ? undefined : prefixes.get(prefix);
    if (other !== undefined) {
      compilation.problem(
        [...path, ...(entry.prefix === undefined ? [] : ['prefix'])],
        `has the same prefix as ${quoteKey(other)}; give one of them another "prefix"`,
      );
    }
    if (prefix !== null) prefixes.set(prefix, name);
    const endpoints = compileEndpoints(compilation, entry, path);
    const takesTokens = entry.passthrough || endpoints.some((endpoint) => authOf(endpoint)?.type === 'tokenExchange');
    const isOfClients = takesTokens || endpoints.some(isPerPrincipal);
    if (isOfClients) checkClientCredentials(compilation, entry, path, takesTokens);
    servers.push({
      name,
      prefix,
      endpoints,
      connectTimeoutMs: entry.connectTimeoutMs,
      requestTimeoutMs: requestTimeout(compilation, entry, path),
      maxConnections: entry.maxConnections,
      maxQueue: entry.maxQueue,
      maxConcurrent: entry.maxConcurrent,
      invalidUtf8: entry.invalidUtf8,
      tags: entry.tags,
      include: globs(compilation, entry.include, [...path, 'include']),
      exclude: globs(compilation, entry.exclude, [...path, 'exclude']),
      rename: compileRename(compilation, entry, path),
      priority: entry.priority,
      isolation: entry.isolation ?? (isOfClients ? 'principal' : defaultIsolation(endpoints)),
      clientCredentials: isOfClients,
      clientTokens: takesTokens,
      passthrough: entry.passthrough,
      maxDedicated: entry.maxDedicated,
      dedicatedIdleMs: entry.dedicatedIdleMs,
      methods: globs(compilation, entry.methods, [...path, 'methods']),
    });
  }
  return servers;
}

function authOf(endpoint: EndpointSnapshot): UpstreamAuthSnapshot | undefined {
  return endpoint.transport === 'stdio' ? undefined : endpoint.auth;
}

function isPerPrincipal(endpoint: EndpointSnapshot): boolean {
  const auth = authOf(endpoint);
  return auth?.type === 'oauth' && auth.per === 'principal';
}

/** The types of `auth` whose clients send bearer tokens. */
const TOKEN_PROVIDERS: ReadonlySet<string> = new Set(['bearer', 'jwt', 'oauth2']);

/** Credentials of clients are kept apart by subject, so there must be subjects. */
function checkClientCredentials(
  compilation: Compilation,
  entry: ServerConfig,
  path: ConfigPath,
  takesTokens: boolean,
): void {
  const { auth, views } = compilation.loaded.config;
  const key = entry.passthrough ? [...path, 'passthrough'] : [...path, 'auth'];
  const providers = [auth, ...Object.values(views).map((view) => view.auth ?? [])].flat();
  // Users, keys and headers of proxies bring no token.
  if (takesTokens && !providers.some(({ type }) => TOKEN_PROVIDERS.has(type))) {
    compilation.problem(key, 'needs tokens of clients that the gateway has verified; set the top-level "auth"');
  } else if (providers.every(({ type }) => type === 'none')) {
    compilation.problem(key, 'with "per: principal" needs clients that are authenticated; set the top-level "auth"');
  }
  if (entry.isolation === 'shared' || entry.isolation === 'auto') {
    compilation.problem(
      [...path, 'isolation'],
      'must be "principal" or "session" for a server that is called with credentials of its clients',
    );
  }
  if (
    entry.passthrough &&
    entry.url === undefined &&
    entry.endpoints?.every(({ url }) => url === undefined) !== false
  ) {
    compilation.problem(key, 'needs a "url"; a child process gets no headers');
  }
}

/** Several endpoints are replicas of a server whose clients need not stay at one of them. */
function defaultIsolation(endpoints: readonly EndpointSnapshot[]): ServerSnapshot['isolation'] {
  const [only, ...others] = endpoints;
  if (only === undefined || others.length > 0) return 'shared';
  return only.transport === 'http' && !only.detect ? 'shared' : 'auto';
}

function checkName(compilation: Compilation, name: string, path: ConfigPath): void {
  if (name === '' || name.length > 128 || /[\p{C}:]/u.test(name)) {
    compilation.problem(path, 'a server name has 1 to 128 characters, without ":" and control characters');
  }
}

function prefixOf(compilation: Compilation, name: string, entry: ServerConfig, path: ConfigPath): string | null {
  if (entry.prefix === false) return null;
  const { separator } = compilation.loaded.config.catalog;
  if (entry.prefix !== undefined) {
    if (!/^[A-Za-z0-9_.-]+$/.test(entry.prefix)) {
      compilation.problem([...path, 'prefix'], 'may hold only letters, digits, "_", "-" and "."');
    } else if (entry.prefix.includes(separator)) {
      compilation.problem([...path, 'prefix'], 'must not contain catalog.separator');
    }
    return entry.prefix;
  }
  const filler = separator === '_' ? '-' : '_';
  return readablePrefix(name, filler).replaceAll(separator, filler).slice(0, 64);
}

/** @returns a map without a prototype's members, or a template */
function compileRename(compilation: Compilation, entry: ServerConfig, path: ConfigPath): ServerSnapshot['rename'] {
  const { rename } = entry;
  if (rename === undefined) return null;
  const strict = compilation.loaded.config.catalog.names === 'strict';
  const check = (text: string, at: ConfigPath): void => {
    const plain = text.replace(/\{(?:name|server)\}/g, '');
    if (/\p{C}/u.test(text)) compilation.problem(at, 'a name has no control characters');
    else if (strict && !/^[A-Za-z0-9_-]*$/.test(typeof rename === 'string' ? plain : text)) {
      compilation.problem(at, 'may hold only letters, digits, "_" and "-"; catalog.names: as-is permits others');
    }
  };
  if (typeof rename === 'string') {
    check(rename, [...path, 'rename']);
    if (!rename.includes('{name}')) {
      compilation.problem([...path, 'rename'], "a template needs {name}, the place of the upstream's name");
    }
    return rename;
  }
  const owners = new Map<string, string>();
  for (const [from, to] of Object.entries(rename)) {
    const at = [...path, 'rename', from];
    check(to, at);
    const other = owners.get(to);
    if (other !== undefined) compilation.problem(at, `is the new name of ${quoteKey(other)} too`);
    owners.set(to, from);
  }
  return rename;
}

function requestTimeout(compilation: Compilation, entry: ServerConfig, path: ConfigPath): number {
  if (entry.timeout === undefined) return entry.requestTimeoutMs;
  if (compilation.isWritten([...path, 'requestTimeoutMs'])) {
    compilation.problem([...path, 'timeout'], 'means the same as "requestTimeoutMs"; keep one of them');
  }
  return Math.round(entry.timeout <= 3_600 ? entry.timeout * 1_000 : entry.timeout);
}

function compileEndpoints(compilation: Compilation, entry: ServerConfig, path: ConfigPath): EndpointSnapshot[] {
  const shared = { ...entry, env: { ...envFile(compilation, entry, path), ...entry.env } };
  if (entry.endpoints === undefined) {
    const endpoint = compileEndpoint(compilation, { ...shared, weight: 1 }, path);
    return endpoint === null ? [] : [endpoint];
  }
  for (const key of ['command', 'url'] as const) {
    if (entry[key] !== undefined)
      compilation.problem([...path, key], 'cannot stand beside "endpoints"; move it into the list');
  }
  return entry.endpoints.flatMap((own, i) => {
    const merged: EndpointConfig = {
      command: own.command,
      args: own.args ?? entry.args,
      env: { ...shared.env, ...own.env },
      cwd: own.cwd ?? entry.cwd,
      url: own.url,
      transport: own.transport ?? entry.transport,
      headers: mergeHeaders(entry.headers, own.headers),
      auth: own.auth ?? entry.auth,
      passthrough: entry.passthrough,
      weight: own.weight,
    };
    const endpoint = compileEndpoint(compilation, merged, [...path, 'endpoints', i]);
    return endpoint === null ? [] : [endpoint];
  });
}

type Headers = EndpointConfig['headers'];

/** The endpoint's own headers replace the server's of the same name, in whatever case. */
function mergeHeaders(shared: Headers, own: Headers): Headers {
  if (shared === undefined || own === undefined) return own ?? shared;
  const names = new Set(Object.keys(own).map((name) => name.toLowerCase()));
  const kept = Object.entries(shared).filter(([name]) => !names.has(name.toLowerCase()));
  return { ...Object.fromEntries(kept), ...own };
}

function envFile(compilation: Compilation, entry: ServerConfig, path: ConfigPath): Record<string, string> {
  if (entry.envFile === undefined) return {};
  try {
    const file = readFileSync(resolve(compilation.loaded.folder, entry.envFile), 'utf8');
    const variables = parseEnv(file) as Record<string, string>;
    for (const [name, text] of Object.entries(variables)) {
      compilation.secrets.push(...showText({ text, runs: [], kind: 'variables', name, before: '' }).secrets);
    }
    return variables;
  } catch {
    compilation.problem([...path, 'envFile'], 'the file cannot be read');
    return {};
  }
}

function compileEndpoint(compilation: Compilation, entry: EndpointConfig, path: ConfigPath): EndpointSnapshot | null {
  if ((entry.command === undefined) === (entry.url === undefined)) {
    const sentence =
      entry.command === undefined ? 'needs "command" or "url"' : 'has both "command" and "url"; keep one of them';
    compilation.problem(path, sentence);
    return null;
  }
  return entry.command === undefined ? http(compilation, entry, path) : stdio(compilation, entry, path);
}

function stdio(compilation: Compilation, entry: EndpointConfig, path: ConfigPath): EndpointSnapshot | null {
  const transport = entry.transport === undefined ? 'stdio' : TRANSPORTS[entry.transport];
  if (transport !== 'stdio') {
    compilation.problem([...path, 'transport'], 'must be stdio for a "command"');
    return null;
  }
  const argv = typeof entry.command === 'string' ? [entry.command] : [...(entry.command as readonly string[])];
  const args = [...argv.slice(1), ...(entry.args ?? []).map(String)];
  const env: Record<string, string> = {};
  for (const [name, value] of Object.entries(entry.env ?? {})) {
    if (name === '' || /[=\0]/.test(name))
      compilation.problem([...path, 'env'], 'a variable name is not empty and has no "="');
    env[name] = String(value);
  }
  if ([...argv, ...args, ...Object.values(env)].some((text) => text.includes('\0'))) {
    compilation.problem(path, 'command, arguments and variables cannot hold a NUL character');
  }
  const cwd = entry.cwd === undefined ? null : resolve(compilation.loaded.folder, expandHome(entry.cwd));
  const commandPath = [...path, 'command'];
  const { loaded } = compilation;
  return {
    transport: 'stdio',
    command: argv[0] as string,
    args,
    env,
    cwd,
    weight: entry.weight,
    shownCommand: loaded.shownAt(commandPath) ?? loaded.shownAt([...commandPath, 0]) ?? (argv[0] as string),
  };
}

/** `~` and `~/...` as a shell expands them. */
function expandHome(path: string): string {
  return path === '~' || path.startsWith('~/') ? homedir() + path.slice(1) : path;
}

function http(compilation: Compilation, entry: EndpointConfig, path: ConfigPath): EndpointSnapshot | null {
  const urlPath = [...path, 'url'];
  const url = URL.canParse(entry.url as string) ? new URL(entry.url as string) : null;
  if (url === null) {
    compilation.problem(urlPath, 'must be an absolute URL such as http://127.0.0.1:3000/mcp');
    return null;
  }
  const hasScheme = (name: UrlTransport): boolean => URL_SCHEMES[name].some((scheme) => scheme === url.protocol);
  const transport = entry.transport === undefined ? URL_TRANSPORTS.find(hasScheme) : TRANSPORTS[entry.transport];
  if (transport === 'stdio') {
    compilation.problem([...path, 'transport'], 'cannot be stdio for a "url"; stdio needs "command"');
    return null;
  }
  if (transport === undefined || !hasScheme(transport)) {
    const schemes = URL_SCHEMES[transport ?? 'http'];
    compilation.problem(urlPath, `must start with ${schemes.map((scheme) => `${scheme}//`).join(' or ')}`);
    return null;
  }
  if (url.username !== '' || url.password !== '') {
    compilation.problem(urlPath, 'must not hold a user name or password; use "auth" with type "basic"');
  }
  if (url.hash !== '') compilation.problem(urlPath, 'must not have a fragment ("#...")');
  const written = checkHeaders(compilation, entry.headers ?? {}, [...path, 'headers']);
  const { headers, auth } = compileUpstreamAuth(compilation, entry.auth, written, path, entry.passthrough, url);
  return {
    transport,
    detect: entry.transport === undefined && transport === 'http',
    url: url.href,
    headers,
    ...(auth === null ? {} : { auth }),
    weight: entry.weight,
  };
}
