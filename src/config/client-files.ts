/**
 * Reads the files of other programs: their servers come under the one key and in the shape that the schema knows, with their
 * positions in the file. What is only another name for a key is an alias in the schema instead.
 */
import type { ConfigPath, Problems, Warning } from './problems.js';
import { configSchema } from './schema/index.js';
import { IGNORED_TOP_KEYS } from './schema/servers.js';
import { spellingsOf } from './schema-walk.js';
import { type Position, quoteKey, type SourceEntry, type SourceNode } from './source/index.js';
import { find, isFlag, member, type ObjectNode, object, scalar, textAt, textOf, without } from './source/nodes.js';

/** A tree in the shape of the schema. */
export interface AdaptedFile {
  readonly root: SourceNode;
  /** What is left out. */
  readonly warnings: readonly Warning[];
}

/** Keys under which other programs keep their servers: OpenCode and the settings of VS Code, Zed, Goose. */
const SERVER_KEYS = ['mcp', 'context_servers', 'extensions'];

/** Top-level keys that only the settings of other programs have: Codex, Gemini CLI, Continue, Claude Code. */
const FOREIGN_KEYS = new Set([
  'approval_policy',
  'experimental',
  'general',
  'model',
  'model_provider',
  'model_reasoning_effort',
  'models',
  'numStartups',
  'projects',
  'sandbox_mode',
  'schema',
  'security',
  'selectedAuthType',
  'theme',
  'tools',
  'ui',
]);

/** Members of `oauth` in client files that mean something to a gateway; endpoints are discovered. */
const OAUTH_KEYS = new Set([
  'clientId',
  'clientSecret',
  'clientMetadataUrl',
  'scope',
  'scopes',
  'redirectUrl',
  'redirectUri',
  'redirectPort',
  'callbackPort',
  'per',
]);

/** Keys of the address of a server. */
const URL_KEYS = new Set(['url', 'serverUrl', 'httpUrl', 'uri']);

/** Name of the only server of a file that lists URLs without names. */
const UNNAMED = 'server';

/** Types of extensions that are part of Goose itself. */
const BUILT_IN = new Set(['builtin', 'platform', 'frontend', 'inline_python']);

/** Faults go to `problems`, and their places are left out. */
export function adaptClientFile(root: SourceNode, problems: Problems): AdaptedFile {
  if (root.kind !== 'object') return { root, warnings: [] };
  const adapter = new Adapter(problems);
  return { root: adapter.file(root), warnings: adapter.warnings };
}

class Adapter {
  readonly warnings: Warning[] = [];
  readonly #problems: Problems;

  constructor(problems: Problems) {
    this.#problems = problems;
  }

  file(root: ObjectNode): SourceNode {
    const own = spellingsOf(configSchema);
    const isServers = ({ key }: SourceEntry): boolean => own.get(key)?.name === 'mcpServers';
    const hasServers = root.entries.some(isServers);
    const foreign = hasServers ? undefined : root.entries.find(({ key }) => SERVER_KEYS.includes(key));
    const isForeign = foreign !== undefined || root.entries.some(({ key }) => FOREIGN_KEYS.has(key));
    const unknown: SourceEntry[] = [];
    const entries = root.entries.flatMap((entry) => {
      if (entry === foreign)
        return [this.#servers({ ...entry, key: 'mcpServers', value: withVariables(insideMcp(entry)) })];
      if (isServers(entry)) return [this.#servers(entry)];
      const isKnown = own.has(entry.key) || (IGNORED_TOP_KEYS as readonly string[]).includes(entry.key);
      if (!isForeign || isKnown) return [entry];
      unknown.push(entry);
      return [];
    });
    const [first] = unknown;
    if (first !== undefined) {
      const names = unknown.map(({ key }) => quoteKey(key));
      const shown =
        names.length > 6 ? `${names.slice(0, 5).join(', ')} and ${names.length - 5} more` : names.join(', ');
      this.#warn([], first.at, `ignored: ${shown}; settings of another program`);
    }
    return { ...root, entries };
  }

  #warn(path: ConfigPath, at: Position | null, sentence: string): void {
    this.warnings.push({ path, at, sentence });
  }

  #servers(entry: SourceEntry): SourceEntry {
    const { value } = entry;
    if (value.kind === 'array') return { ...entry, value: this.#list(value.items, value.at) };
    if (value.kind !== 'object') return entry;
    return { ...entry, value: { ...value, entries: value.entries.flatMap((server) => this.#server(server)) } };
  }

  /** Servers in a list: objects with names (Continue), or the URLs of the replicas of one server without a name. */
  #list(items: readonly SourceNode[], at: Position | null): SourceNode {
    if (items.length > 0 && items.every((item) => textOf(item) !== null)) {
      const replicas = items.map((item) => object(item.at, [member('url', item)]));
      const value =
        replicas.length === 1
          ? [...(replicas[0] as ObjectNode).entries]
          : [member('endpoints', { kind: 'array', at, items: replicas })];
      return object(at, [member(UNNAMED, object(at, [...value, member('prefix', scalar(false, at))]))]);
    }
    const entries = items.flatMap((item, index) => {
      const name = item.kind === 'object' ? find(item, 'name') : undefined;
      const key = name === undefined ? null : textOf(name.value);
      if (item.kind !== 'object' || name === undefined || key === null) {
        this.#problems.add(['mcpServers', index], item.at, 'a server in a list needs a "name", unless all are URLs');
        return [];
      }
      return this.#server({ key, at: name.at, value: without(item, 'name') });
    });
    return object(at, entries);
  }

  #server(server: SourceEntry): SourceEntry[] {
    if (server.value.kind !== 'object') return [server];
    const path = ['mcpServers', server.key];
    const type = textAt(server.value, 'type');
    if (type !== null && BUILT_IN.has(type)) {
      this.#warn(path, server.at, `ignored: an extension of type ${quoteKey(type)} is part of its program`);
      return [];
    }
    const isExtension = !['command', 'cmd', 'url', 'endpoints'].some((key) => find(server.value as ObjectNode, key));
    if (isExtension && find(server.value, 'settings') !== undefined) {
      this.#warn(path, server.at, 'ignored: an extension of the editor provides this server; name its command or url');
      return [];
    }
    return [{ ...server, value: new Server(server.value).adapt() }];
  }
}

/** `{ "servers": {...} }` within `mcp` of the settings of VS Code; otherwise the value itself. */
function insideMcp({ key, value }: SourceEntry): SourceNode {
  if (key !== 'mcp' || value.kind !== 'object') return value;
  const inner = find(value, 'servers');
  const isMap = inner?.value.kind === 'object' && !['command', 'url', 'type'].some((name) => textAt(inner.value, name));
  return inner !== undefined && isMap ? inner.value : value;
}

/** OpenCode writes `{env:NAME}` for a variable. */
function withVariables(node: SourceNode): SourceNode {
  switch (node.kind) {
    case 'object':
      return { ...node, entries: node.entries.map((entry) => ({ ...entry, value: withVariables(entry.value) })) };
    case 'array':
      return { ...node, items: node.items.map(withVariables) };
    case 'scalar':
      return typeof node.value === 'string'
        ? scalar(node.value.replaceAll(/(?<!\$)\{env:(\w+)\}/g, '${env:$1}'), node.at)
        : node;
    default:
      return node;
  }
}

/** One entry of a file, whose members are collected under the keys of the schema. */
class Server {
  readonly #entries: SourceEntry[];
  readonly #at: Position | null;

  constructor(node: ObjectNode) {
    this.#entries = [...node.entries];
    this.#at = node.at;
  }

  adapt(): SourceNode {
    for (const entry of [...this.#entries]) this.#adapt(entry);
    return object(this.#at, this.#entries);
  }

  #adapt(entry: SourceEntry): void {
    const { key, value, at } = entry;
    switch (key) {
      // OpenCode: HTTP or SSE, as is found out.
      case 'type':
        if (textOf(value) === 'remote') this.#remove(entry);
        return;
      // Zed: `{ "path", "args", "env" }`.
      case 'command':
        if (value.kind !== 'object') return;
        this.#remove(entry);
        for (const part of value.entries) this.#entries.push(part.key === 'path' ? { ...part, key: 'command' } : part);
        return;
      // Codex.
      case 'startup_timeout_sec':
        this.#time(entry, 'connectTimeoutMs', 1000);
        return;
      case 'startup_timeout_ms':
        this.#time(entry, 'connectTimeoutMs', 1);
        return;
      case 'tool_timeout_sec':
        this.#time(entry, 'requestTimeoutMs', 1000);
        return;
      case 'bearer_token_env_var': {
        const token = variable(value);
        if (token === null) return;
        this.#remove(entry);
        this.#entries.push({
          key: 'auth',
          at,
          value: object(at, [member('type', scalar('bearer', at)), member('token', token)]),
        });
        return;
      }
      case 'env_http_headers':
        if (value.kind !== 'object') return;
        this.#remove(entry);
        this.#merge(
          'headers',
          ['http_headers'],
          value.entries.map((header) => ({ ...header, value: variable(header.value) ?? header.value })),
        );
        return;
      // Claude Code, Gemini CLI, OpenCode.
      case 'oauth': {
        if (!this.#entries.some(({ key: other }) => URL_KEYS.has(other))) return;
        const members = value.kind === 'object' ? value.entries : [];
        const isOff =
          value.kind !== 'object' || members.some((part) => part.key === 'enabled' && isFlag(part.value, false));
        if (!isOff && this.#entries.some((other) => other.key === 'auth')) return;
        this.#remove(entry);
        if (isOff) return;
        const kept = members.filter((part) => OAUTH_KEYS.has(part.key));
        this.#entries.push({ key: 'auth', at, value: object(at, [member('type', scalar('oauth', at)), ...kept]) });
        return;
      }
      // Codex, Goose: variables that the child inherits.
      case 'env_vars':
      case 'env_keys':
        if (value.kind !== 'array') return;
        this.#remove(entry);
        this.#merge('env', ['envs', 'environment'], value.items.flatMap(inherited));
        return;
      // Continue.
      case 'connectionTimeout':
        this.#time(entry, 'connectTimeoutMs', 1);
        return;
      case 'requestOptions': {
        const headers = value.kind === 'object' ? find(value, 'headers') : undefined;
        this.#remove(entry);
        if (headers !== undefined) this.#entries.push(headers);
        return;
      }
    }
  }

  #remove(entry: SourceEntry): void {
    this.#entries.splice(this.#entries.indexOf(entry), 1);
  }

  #time(entry: SourceEntry, key: string, factor: number): void {
    const { value } = entry;
    const number = value.kind === 'scalar' ? Number(value.value) : Number.NaN;
    const node = Number.isFinite(number) ? scalar(Math.round(number * factor), value.at) : value;
    this.#entries[this.#entries.indexOf(entry)] = { ...entry, key, value: node };
  }

  /** Adds members to an object under `key` or one of its other names; those that it has win. */
  #merge(key: string, others: readonly string[], added: readonly SourceEntry[]): void {
    const at = this.#entries.findIndex((entry) => entry.key === key || others.includes(entry.key));
    const existing = this.#entries[at];
    if (existing === undefined) {
      this.#entries.push(member(key, object(this.#at, added)));
    } else if (existing.value.kind === 'object') {
      const { entries } = existing.value;
      const more = added.filter((entry) => !entries.some((known) => known.key === entry.key));
      this.#entries[at] = { ...existing, value: object(existing.value.at, [...entries, ...more]) };
    }
  }
}

/** `"NAME"` as the variable of the gateway that the child gets, empty where it is not set. */
function inherited(node: SourceNode): SourceEntry[] {
  const name = textOf(node);
  return name === null ? [] : [{ key: name, at: node.at, value: scalar(`\${${name}:-}`, node.at) }];
}

/** A text that names a variable as the value of that variable. */
function variable(node: SourceNode): SourceNode | null {
  const name = textOf(node);
  return name === null ? null : scalar(`\${${name}}`, node.at);
}
