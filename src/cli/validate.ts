import { authWarnings } from '../config/auth-warnings.js';
import { compileSnapshot } from '../config/compile/index.js';
import { loadConfigFile } from '../config/load.js';
import type { LoadedConfig } from '../config/loaded.js';
import { passthroughWarnings } from '../config/passthrough.js';
import type { ConfigPath } from '../config/problems.js';
import { list } from '../config/schema/fields.js';
import type { ResolvedConfig } from '../config/schema/index.js';
import { conditionFields, patternsOf } from '../config/schema/match.js';
import { EVERYTHING } from '../config/schema/routes.js';
import type { EndpointSnapshot, ServerSnapshot, Snapshot, TransportsSnapshot } from '../config/snapshot/index.js';
import type { Lock } from '../config/snapshot/pinning.js';
import { loginsOf } from '../config/snapshot/user-logins.js';
import { ConfigError } from '../errors.js';
import { keyFileProblem } from '../session/key-file.js';
import { limitInWords } from '../shared/limiters/words.js';
import { findProgram } from '../upstream/stdio/program.js';
import { authority } from './console/addresses.js';
import { type Command, EXIT, type ExitCode, type Options, oneFile, readArguments } from './console/command.js';
import { maskWith, printError, printLine, printWarning, style, table } from './console/print.js';
import { requiredFile } from './files/config-file.js';
import { checkKeyFile } from './files/key-file.js';
import { type KnownLists, knownLists } from './files/known-lists.js';
import type { KnownLogin } from './files/known-logins.js';
import { checkPrograms, endpointPath } from './files/programs.js';
import { type Rename, renames } from './files/renames.js';

const OPTIONS = {
  config: { type: 'string', short: 'c', value: 'FILE', help: 'the file; also without the flag' },
  json: { type: 'boolean', help: 'the result as one JSON document; secrets are masked' },
} as const satisfies Options;

type Route = ResolvedConfig['routes'][number];

/** The decoder and the front end that would run on this machine. */
interface Runtime {
  readonly decoder: { readonly kind: string; readonly reason: string | null };
  readonly frontEnd: { readonly kind: string; readonly reason: string | null };
}

interface Upstream {
  readonly name: string;
  readonly transport: string;
  /** Program or address, without secrets. */
  readonly target: string;
  /** What its isolation takes from clients, and what is stored of a login; '' = nothing. */
  readonly note: string;
  /** Absent = it wants no login. */
  readonly login?: KnownLogin;
}

async function run(args: readonly string[]): Promise<ExitCode> {
  const { flags, files } = readArguments(args, OPTIONS);
  const file = requiredFile(oneFile(flags.config, files), 'validate');
  try {
    const loaded = await loadConfigFile(file);
    maskWith(loaded);
    const snapshot = compileSnapshot(loaded);
    await checkKeyFile(loaded, snapshot);
    checkPrograms(loaded, snapshot);
    const known = await knownLists(snapshot);
    const upstreams = resolveUpstreams(snapshot, loaded, known, await storedLogins(snapshot));
    const runtime = await detectRuntime(snapshot);
    if (flags.json) printLine(JSON.stringify(report(loaded, snapshot, known, upstreams, runtime), null, 2));
    else printReport(file, loaded, snapshot, known, upstreams, runtime);
    return EXIT.ok;
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    if (flags.json) printLine(JSON.stringify({ valid: false, problems: error.problems }, null, 2));
    else for (const problem of error.problems) printError(problem);
    return EXIT.config;
  }
}

/** The programs exist ({@link checkPrograms}). */
function resolveUpstreams(
  snapshot: Snapshot,
  loaded: LoadedConfig,
  known: KnownLists,
  logins: ReadonlyMap<string, KnownLogin>,
): Upstream[] {
  return snapshot.servers.flatMap((server) =>
    server.endpoints.map((endpoint, index) => {
      const { name } = server;
      const target = targetOf(endpoint, endpointPath(loaded, name, index), loaded);
      const login = logins.get(name);
      const notes = [noteOf(server, endpoint, known), login === undefined ? '' : loginNote(name, login)];
      const note = notes.filter((each) => each !== '').join('; ');
      return { name, transport: endpoint.transport, target, note, ...(login === undefined ? {} : { login }) };
    }),
  );
}

/** Loaded where a server wants a login. */
async function storedLogins(snapshot: Snapshot): Promise<ReadonlyMap<string, KnownLogin>> {
  if (snapshot.servers.every((server) => loginsOf(server).length === 0)) return new Map();
  return await (await import('./files/known-logins.js')).knownLogins(snapshot);
}

/** Why nobody has to log in, or why somebody has. */
const LOGIN_STATES = {
  stored: 'stored',
  none: 'nobody has logged in',
  ended: 'it has ended',
  unreadable: 'it cannot be opened with the session key',
} as const;

function loginNote(server: string, { per, principals, state }: KnownLogin): string {
  const own = `login: ${LOGIN_STATES[state]}${state === 'stored' ? '' : `, run \`switchyard login ${server}\``}`;
  return per === 'principal' ? `${own}; of principals: ${principals}` : own;
}

/** What a server makes of its clients is known when it has run. */
function noteOf({ name, isolation }: ServerSnapshot, { transport }: EndpointSnapshot, { used }: KnownLists): string {
  if (isolation !== 'shared' || transport === 'http') return '';
  const capabilities = used.get(name) ?? [];
  if (capabilities.length > 0) {
    return `shared: would offer more to clients that declare ${capabilities.join(', ')} with isolation: session`;
  }
  return 'shared: cannot ask clients; `switchyard check` shows what isolation: session would add';
}

function targetOf(endpoint: EndpointSnapshot, path: ConfigPath, loaded: LoadedConfig): string {
  if (endpoint.transport !== 'stdio') return loaded.shownAt([...path, 'url']) ?? endpoint.url;
  const { command, shownCommand } = endpoint;
  const program = findProgram(endpoint);
  // The folder of the program depends on the machine; the name is part of the file, and may come from a variable.
  return command === shownCommand && 'file' in program ? loaded.mask(program.file) : shownCommand;
}

async function detectRuntime(snapshot: Snapshot): Promise<Runtime> {
  // Loaded here: problems of a configuration are reported without them.
  const [native, accept] = await Promise.all([import('../../native/index.js'), import('../request/accept/index.js')]);
  return {
    decoder: { kind: native.decoderKind, reason: native.decoderReason },
    frontEnd: accept.frontEndKind(snapshot.frontEnd, snapshot.limits.maxHeaderBytes),
  };
}

function report(
  loaded: LoadedConfig,
  snapshot: Snapshot,
  known: KnownLists,
  upstreams: readonly Upstream[],
  runtime: Runtime,
): object {
  return {
    valid: true,
    warnings: [
      ...loaded.warnings,
      ...[...authWarnings(snapshot), ...passthroughWarnings(snapshot.servers)].map((warning) => loaded.mask(warning)),
    ],
    upstreams,
    renamed: shownRenames(loaded, snapshot),
    listed: { servers: known.listed.map((name) => loaded.mask(name)), note: loaded.mask(known.note) },
    routes: known.routeFaults.map(({ route, kind, detail }) => ({
      route: loaded.mask(route),
      kind,
      detail: loaded.mask(detail),
    })),
    patterns: known.patternFaults.map(({ path, detail }) => ({ path, detail: loaded.mask(detail) })),
    unmatched: known.unmatched.map(({ server, key, pattern }) => ({
      server: loaded.mask(server),
      key,
      pattern: loaded.mask(pattern),
    })),
    ...runtime,
    config: loaded.printable(),
  };
}

/** See {@link renames}, without secrets. */
function shownRenames(loaded: LoadedConfig, snapshot: Snapshot): Rename[] {
  const mask = (text: string): string => loaded.mask(text);
  return renames(snapshot).map(({ server, name, offered }) => ({
    server: mask(server),
    name: mask(name),
    offered: mask(offered),
  }));
}

function printReport(
  file: string,
  loaded: LoadedConfig,
  snapshot: Snapshot,
  known: KnownLists,
  upstreams: readonly Upstream[],
  runtime: Runtime,
): void {
  const config = loaded.printable();
  const shownHost = loaded.shownAt(['host']) ?? snapshot.host;
  const adminHost = loaded.shownAt(['admin', 'host']) ?? snapshot.admin?.host ?? '';
  for (const warning of loaded.warnings) printWarning(warning);
  for (const warning of passthroughWarnings(snapshot.servers)) printWarning(loaded.mask(warning));
  for (const warning of authWarnings(snapshot)) printWarning(loaded.mask(warning));
  for (const { route, detail } of known.routeFaults) printWarning(loaded.mask(`route ${route} ${detail}`));
  for (const { path, detail } of known.patternFaults) printWarning(loaded.mask(`${path}: ${detail}`));
  for (const { server, key, pattern } of known.unmatched) {
    printWarning(loaded.mask(`mcpServers.${server}.${key}: ${JSON.stringify(pattern)} matches nothing that it offers`));
  }
  printLine(`${file} ${style('green', 'can be used')}.`);
  section('Listeners', [
    ['endpoint', snapshot.listens ? `http://${authority({ ...snapshot, host: shownHost })}${snapshot.path}` : 'none'],
    ['transports', transportsOf(snapshot)],
    ['admin', snapshot.admin === null ? 'none' : `http://${authority({ ...snapshot.admin, host: adminHost })}`],
    ['auth', snapshot.auth.providers.map(({ type }) => type).join(', ') || 'none'],
    ['session key', sessionKeyOf(loaded, snapshot)],
    ['lists', loaded.mask(known.note)],
    ...(snapshot.lock === null ? [] : [['lockfile', loaded.mask(lockInWords(snapshot.lock))]]),
    ['workers', String(snapshot.workers)],
    ['decoder', withReason(runtime.decoder)],
    ['front end', withReason(runtime.frontEnd)],
  ]);
  section(
    `Upstreams (${snapshot.servers.length})`,
    upstreams.map(({ name, transport, target, note }) => [loaded.mask(name), transport, target, note]),
  );
  const changed = shownRenames(loaded, snapshot);
  if (changed.length > 0) {
    section(
      'Names',
      changed.map(({ server, name, offered }) => [server, name, `is offered as ${offered}`]),
    );
  }
  const views = viewRows(config, snapshot);
  if (views.length > 0) section(`Views (${views.length})`, views);
  section(
    `Routes (${snapshot.routes.length})`,
    config.routes.map((route, i) => [route.name ?? `route-${i + 1}`, matchOf(route), rulesOf(route, snapshot, i)]),
  );
}

/** Each view: its path, what it offers, and who may use it. */
function viewRows({ mcpServers, views }: ResolvedConfig, { servers }: Snapshot): string[][] {
  const enabled = new Set(servers.map(({ name }) => name));
  const written = Object.entries(views).map(([path, view]) => {
    const patterns = (['tools', 'prompts', 'resources'] as const).filter((kind) => list(view[kind]).length > 0);
    const offers = [
      view.prefix ? 'with prefixes' : 'without prefixes',
      ...patterns.map((kind) => `${kind} ${list(view[kind]).join(', ')}`),
    ];
    const needs = [
      view.auth === undefined
        ? 'auth as above'
        : `auth ${[view.auth]
            .flat()
            .map(({ type }) => type)
            .join(', ')}`,
      ...(list(view.requiredScopes).length === 0 ? [] : [`scopes ${list(view.requiredScopes).join(' ')}`]),
    ];
    const from = view.servers === undefined ? 'all servers' : list(view.servers).join(', ');
    return [path, from, offers.join('; '), needs.join('; ')];
  });
  const short = Object.entries(mcpServers).flatMap(([name, { path }]) =>
    path === undefined || !enabled.has(name) ? [] : [[path, name, 'without prefixes', 'auth as above']],
  );
  return [...written, ...short];
}

/** Their names in the report, by the keys of `transports`. */
const TRANSPORT_NAMES: Readonly<Record<keyof TransportsSnapshot, string>> = {
  sse: 'HTTP with SSE',
  websocket: 'WebSocket',
  rest: 'REST',
};

/** The transports for clients that are enabled. */
function transportsOf({ listens, transports }: Snapshot): string {
  if (!listens) return 'none';
  const keys = Object.keys(TRANSPORT_NAMES) as (keyof TransportsSnapshot)[];
  return ['Streamable HTTP', ...keys.filter((key) => transports[key]).map((key) => TRANSPORT_NAMES[key])].join(', ');
}

/** The source of the key that seals session ids. */
function sessionKeyOf(loaded: LoadedConfig, { sessions }: Snapshot): string {
  if (sessions.secrets.length > 0) return 'from the configuration';
  if (sessions.keyFile === null) return 'in memory, sessions end with the process';
  if (!sessions.isKeyFileOptional)
    return `in ${loaded.shownAt(['sessions', 'keyFile']) ?? loaded.config.sessions.keyFile}`;
  const problem = keyFileProblem(sessions.keyFile);
  return problem === null ? `in ${sessions.keyFile}` : `in memory, sessions end with the process: ${problem}`;
}

function lockInWords({ path, servers }: Lock): string {
  const count = [...servers.values()].reduce((sum, tools) => sum + tools.size, 0);
  return `${path}, ${count} tools`;
}

function section(title: string, rows: readonly (readonly string[])[]): void {
  printLine();
  printLine(style('bold', title));
  for (const line of rows.length === 0 ? ['  none'] : table(rows)) printLine(line);
}

function withReason({ kind, reason }: { readonly kind: string; readonly reason: string | null }): string {
  return reason === null ? kind : `${kind} (${reason})`;
}

function matchOf({ match }: Route): string {
  const written: Partial<Record<string, unknown>> = match ?? EVERYTHING;
  const shown = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value));
  return ['tools', 'prompts', 'resources', ...(match === undefined ? [] : ['methods', ...Object.keys(conditionFields)])]
    .filter((key) => patternsOf(written[key]).length > 0)
    .map((key) => `${key} ${patternsOf(written[key]).map(shown).join(', ')}`)
    .join('; ');
}

function rulesOf(
  { servers, requiredScopes, permissions, variants, cache }: Route,
  { routes }: Snapshot,
  position: number,
): string {
  const rules: string[] = [];
  const failOver = routes[position]?.failOverOf ?? -1;
  if (failOver >= 0) return `to ${list(servers).join(', then ')}, behind the servers of ${routes[failOver]?.name}`;
  if (list(servers).length > 0) rules.push(`to ${list(servers).join(', then ')}`);
  if (list(requiredScopes).length > 0) rules.push(`scopes ${list(requiredScopes).join(' ')}`);
  if (patternsOf(permissions).length > 0) rules.push(`permissions ${patternsOf(permissions).join(' ')}`);
  if (variants !== undefined) {
    const groups = variants.groups.map(
      ({ name, weight, servers: to }) => `${name} ${weight} to ${list(to).join(', then ')}`,
    );
    rules.push(`variants ${groups.join(', ')}`);
  }
  const { clientRateLimit = null, rateLimit = null, rateLimitOverride = null } = routes[position] ?? {};
  if (rateLimit !== null) rules.push(limitInWords(rateLimit));
  if (clientRateLimit !== null) rules.push(`${limitInWords(clientRateLimit)} for each client`);
  if (rateLimitOverride !== null) rules.push(`${limitInWords(rateLimitOverride)} in the place of the global limit`);
  if (cache === false) rules.push('not cached');
  else if (cache !== undefined) rules.push(`cached ${cache.ttlMs} ms`);
  return rules.join('; ');
}

/** `switchyard validate`. */
export const validate: Command = {
  name: 'validate',
  summary: 'check a configuration',
  usage: ['[FILE] [--json]'],
  about: `Checks a configuration without starting anything: every key, variables, key files, the lockfile, and that the
programs of stdio servers are on PATH. Lists upstreams, views and routes, and says which decoder and which front end would run. Routes
and names are compared with the lists of the last run (catalog.manifestFile).
Without a file it takes that of the working folder.`,
  options: OPTIONS,
  notes: 'Exit codes: 0 the configuration can be used, 78 it cannot, 1 anything else.',
  examples: ['switchyard validate switchyard.yaml', 'switchyard validate --json switchyard.toml | jq .config.routes'],
  run,
};
