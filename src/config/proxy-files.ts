/**
 * Reads the files of other gateways: a multiplexer whose JSON has `mcpServers` with `circuit_breaker`, `retry` and seconds, and
 * a proxy whose TOML has `[mcp.proxy]`. What they ask for in other words is written in those of the schema; what the gateway
 * cannot do yet is named in a warning. docs/migrating.md lists the keys.
 */
import type { AdaptedFile } from './client-files.js';
import type { ConfigPath, Problems, Warning } from './problems.js';
import { quoteKey, type SourceEntry, type SourceNode } from './source/index.js';
import { find, isFlag, member, numberOf, type ObjectNode, object, scalar, textOf, without } from './source/nodes.js';

/** Keys whose feature is missing, and what happens instead. */
const NOT_YET = {
  circuit_breaker:
    'not in force yet: an endpoint is left out after 5 failures in a row, for 1 s and then longer up to 30 s, and gets one call at a time until one succeeds',
  retry:
    'not in force yet: a call is sent again only where nothing of it was sent, or on a route with idempotent: true',
  health_check_interval: 'not in force yet: endpoints are judged by calls and handshakes, not by checks of their own',
  hot_reload: 'not in force yet: the file is read again at SIGHUP',
  redact_patterns: 'not in force yet: the log has no arguments and no results, and known secrets are masked in it',
} as const;

/** Faults go to `problems`, and their places are left out. A file of neither kind stays as it is. */
export function adaptProxyFile(root: SourceNode, problems: Problems): AdaptedFile {
  if (root.kind !== 'object') return { root, warnings: [] };
  const proxy = proxyOf(root);
  if (proxy !== null) {
    const file = new ProxyFile(problems);
    return { root: file.adapt(root, proxy), warnings: file.warnings };
  }
  if (!isMultiplexer(root)) return { root, warnings: [] };
  const file = new MultiplexerFile(problems);
  return { root: file.adapt(root), warnings: file.warnings };
}

/** Keys of servers that no other file has. */
const MULTIPLEXER_KEYS = ['circuit_breaker', 'health_check_interval', 'retry'];

function isMultiplexer(root: ObjectNode): boolean {
  const servers = find(root, 'mcpServers')?.value;
  if (servers?.kind !== 'object') return false;
  if (root.entries.some(({ key }) => key === 'log_level' || key === 'hot_reload')) return true;
  return servers.entries.some(
    ({ value }) => value.kind === 'object' && value.entries.some(({ key }) => MULTIPLEXER_KEYS.includes(key)),
  );
}

/** Its levels that are called otherwise here. */
const LEVELS: Readonly<Record<string, string>> = { warning: 'warn', critical: 'fatal' };

/** Its time limit for calls in milliseconds, where a server names none. */
const DEFAULT_TIMEOUT_MS = 30_000;

class MultiplexerFile {
  readonly warnings: Warning[] = [];
  readonly #problems: Problems;

  constructor(problems: Problems) {
    this.#problems = problems;
  }

  adapt(root: ObjectNode): ObjectNode {
    return { ...root, entries: root.entries.flatMap((entry) => this.#top(entry, root)) };
  }

  #top(entry: SourceEntry, root: ObjectNode): SourceEntry[] {
    const { key, at, value } = entry;
    switch (key) {
      case 'log_level': {
        if (find(root, 'log') !== undefined) {
          this.#problems.add([key], at, 'means the same as "log.level"; keep one of them');
          return [];
        }
        const name = textOf(value)?.toLowerCase();
        const level = name === undefined ? value : scalar(LEVELS[name] ?? name, value.at);
        return [{ key: 'log', at, value: object(value.at, [{ key: 'level', at, value: level }]) }];
      }
      case 'hot_reload':
        if (!isFlag(value, false)) this.warnings.push({ path: [key], at, sentence: NOT_YET.hot_reload });
        return [];
      case 'mcpServers':
        if (value.kind !== 'object') return [entry];
        return [
          {
            ...entry,
            value: object(
              value.at,
              value.entries.map((server) => this.#server(server)),
            ),
          },
        ];
      default:
        return [entry];
    }
  }

  #server(server: SourceEntry): SourceEntry {
    const { value } = server;
    if (value.kind !== 'object') return server;
    const path = ['mcpServers', server.key];
    const entries = value.entries.flatMap((entry) => this.#member(entry, path, server.key));
    const isLimited = entries.some(({ key }) => ['timeout', 'requestTimeoutMs', 'request_timeout_ms'].includes(key));
    if (!isLimited) entries.push(member('requestTimeoutMs', scalar(DEFAULT_TIMEOUT_MS, value.at)));
    return { ...server, value: object(value.at, entries) };
  }

  #member(entry: SourceEntry, path: ConfigPath, server: string): SourceEntry[] {
    const { key, at, value } = entry;
    switch (key) {
      // Always seconds, also where the files of clients count in milliseconds.
      case 'timeout': {
        const seconds = numberOf(value);
        if (seconds === null) return [entry];
        return [{ key: 'requestTimeoutMs', at, value: scalar(Math.round(seconds * 1000), value.at) }];
      }
      case 'name': {
        const name = textOf(value);
        if (name !== null && name !== server) {
          this.warnings.push({
            path: [...path, key],
            at,
            sentence: `ignored: its key ${quoteKey(server)} is its name`,
          });
        }
        return [];
      }
      case 'circuit_breaker':
      case 'retry':
      case 'health_check_interval':
        this.warnings.push({ path: [...path, key], at, sentence: NOT_YET[key] });
        return [];
      default:
        return [entry];
    }
  }
}

/** `[mcp.proxy]`; null = the file has none. A client's server may be called `proxy`, too. */
function proxyOf(root: ObjectNode): ObjectNode | null {
  const mcp = find(root, 'mcp')?.value;
  const proxy = mcp?.kind === 'object' ? find(mcp, 'proxy')?.value : undefined;
  if (proxy?.kind !== 'object') return null;
  return find(proxy, 'upstreams') !== undefined || find(proxy, 'enable') !== undefined ? proxy : null;
}

/** Its strategies for names that several servers offer, as `catalog.conflict`. */
const STRATEGIES: Readonly<Record<string, string>> = {
  autoprefix: 'auto-prefix',
  reject: 'reject',
  priorityoverride: 'priority',
};

/** Its port, where the file names none. */
const DEFAULT_PORT = 3_000;

const PROXY: ConfigPath = ['mcp', 'proxy'];

class ProxyFile {
  readonly warnings: Warning[] = [];
  readonly #problems: Problems;
  /** Members of our own configuration that have been found so far. */
  readonly #found: SourceEntry[] = [];
  #isLogged = false;

  constructor(problems: Problems) {
    this.#problems = problems;
  }

  adapt(root: ObjectNode, proxy: ObjectNode): ObjectNode {
    const { at } = proxy;
    const others = root.entries.filter((entry) => {
      if (entry.key !== 'mcp') return true;
      if (entry.value.kind === 'object') this.#besides(entry.value);
      return false;
    });
    for (const entry of proxy.entries) this.#setting(entry, PROXY);
    if (this.#isLogged) this.#found.push(member('log', object(at, [member('access', scalar(true, at))])));
    const isGiven = (key: string): boolean => [...others, ...this.#found].some((entry) => entry.key === key);
    if (!isGiven('port')) this.#found.unshift(member('port', scalar(DEFAULT_PORT, at)));
    if (!isGiven('catalog')) this.#found.push(conflict('auto-prefix', proxy));
    return { ...root, entries: [...others, ...this.#found] };
  }

  #besides(mcp: ObjectNode): void {
    for (const { key, at } of mcp.entries) {
      if (key !== 'proxy') this.#warn(['mcp', key], at, 'ignored: settings of another program');
    }
  }

  #warn(path: ConfigPath, at: SourceEntry['at'], sentence: string): void {
    this.warnings.push({ path, at, sentence });
  }

  /** One key of `[mcp.proxy]` or of `[mcp.proxy.security]`. */
  #setting(entry: SourceEntry, parent: ConfigPath): void {
    const { key, at, value } = entry;
    const path = [...parent, key];
    switch (key) {
      case 'enable':
        if (!isFlag(value, true)) this.#warn(path, at, 'ignored: the gateway runs when it is started');
        return;
      case 'port':
        this.#found.push(entry);
        return;
      // Every transport is served, whichever is named.
      case 'transport':
        if (textOf(value) === 'stdio')
          this.#warn(path, at, 'ignored: `switchyard start --stdio` serves standard input');
        else if (!['http', 'sse'].includes(textOf(value) ?? '')) {
          this.#problems.add(path, value.at, 'must be "http", "sse" or "stdio"');
        }
        return;
      case 'max_connections':
        this.#found.push({ key: 'limits', at, value: object(value.at, [{ ...entry, key: 'maxConnections' }]) });
        return;
      case 'conflict_strategy': {
        const strategy = STRATEGIES[(textOf(value) ?? '').toLowerCase().replaceAll(/[-_]/g, '')];
        if (strategy === undefined) {
          this.#problems.add(path, value.at, 'must be "AutoPrefix", "Reject" or "PriorityOverride"');
        } else this.#found.push(conflict(strategy, value));
        return;
      }
      case 'security':
        if (value.kind !== 'object') this.#problems.add(path, value.at, 'must be a table');
        else for (const part of value.entries) this.#setting(part, path);
        return;
      case 'rate_limit_per_minute':
        this.#found.push({ key: 'rateLimits', at, value: perMinute(value) });
        this.#warn(path, at, 'counts the calls of a client to all tools together, not to each tool');
        return;
      case 'redact_patterns':
      case 'redaction_patterns':
        this.#warn(path, at, NOT_YET.redact_patterns);
        return;
      case 'log_requests':
      case 'log_responses':
        this.#isLogged ||= isFlag(value, true);
        return;
      case 'upstreams':
        if (value.kind !== 'array') this.#problems.add(path, value.at, 'must be a list of tables');
        else this.#found.push({ key: 'mcpServers', at, value: object(value.at, this.#servers(value.items)) });
        return;
      default:
        this.#problems.add(path, at, `unknown key ${quoteKey(key)}; docs/migrating.md lists the keys that are read`);
    }
  }

  #servers(items: readonly SourceNode[]): SourceEntry[] {
    const names = new Set<string>();
    return items.flatMap((item, index) => {
      const name = item.kind === 'object' ? find(item, 'name') : undefined;
      const key = name === undefined ? null : textOf(name.value);
      const path = [...PROXY, 'upstreams', index];
      if (item.kind !== 'object' || name === undefined || key === null) {
        this.#problems.add(path, item.at, 'an upstream needs a "name"');
        return [];
      }
      if (names.has(key)) this.#problems.add(path, name.at, `another upstream is called ${quoteKey(key)}, too`);
      names.add(key);
      const entries = without(item, 'name').entries.flatMap((entry) => this.#member(entry, ['mcpServers', key]));
      return [{ key, at: name.at, value: object(item.at, entries) }];
    });
  }

  #member(entry: SourceEntry, path: ConfigPath): SourceEntry[] {
    const { key, at, value } = entry;
    switch (key) {
      // There 1 is the first choice and the default, here the greatest number is, and 0 the default.
      case 'priority': {
        const place = numberOf(value);
        return [place === null ? entry : { key, at, value: scalar(1 - place, value.at) }];
      }
      case 'health_check_interval':
        this.#warn([...path, key], at, NOT_YET.health_check_interval);
        return [];
      case 'auth':
        if (value.kind !== 'object') return [entry];
        return [
          {
            ...entry,
            value: object(
              value.at,
              value.entries.map((part) => (part.key === 'auth_type' ? { ...part, key: 'type' } : part)),
            ),
          },
        ];
      default:
        return [entry];
    }
  }
}

function conflict(strategy: string, { at }: SourceNode): SourceEntry {
  return member('catalog', object(at, [member('conflict', scalar(strategy, at))]));
}

/** So many calls of each client in any minute. */
function perMinute(limit: SourceNode): ObjectNode {
  const { at } = limit;
  const members = [
    member('algorithm', scalar('sliding-window', at)),
    member('limit', limit),
    member('windowMs', scalar(60_000, at)),
  ];
  return object(at, [member('perClient', object(at, members))]);
}
