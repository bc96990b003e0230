/** The upstream MCP servers. An entry has the shape that desktop clients use; their own keys are accepted. */

import { z } from 'zod';
import { alias, flag, holds, milliseconds, named, strings, whole } from './fields.js';
import { concurrent } from './overload.js';
import { upstreamAuth } from './upstream-auth.js';
import { viewPath } from './views.js';

const scalar = z.union([z.string(), z.number(), z.boolean()]);

const command = alias(
  holds(
    'arguments',
    z
      .union([z.string().min(1), z.array(z.string().min(1)).min(1)])
      .optional()
      .describe(
        'Program to start: a name on PATH or a path, or a list of the program and its arguments. No shell is used.',
      ),
  ),
  'cmd',
);
const args = holds(
  'arguments',
  z
    .array(z.union([z.string(), z.number()]))
    .optional()
    .describe('Arguments, one an item. Other users of the machine can see them; secrets belong into `env`.'),
);
const env = alias(
  holds(
    'variables',
    named(scalar).optional().describe('Environment variables of the child, besides a minimal set (PATH, HOME, ...).'),
  ),
  'environment',
  'envs',
);
const cwd = z
  .string()
  .min(1)
  .optional()
  .describe(
    'Working directory of the child, relative to the folder of the configuration file; `~/` is the home folder.',
  );
const url = z.string().min(1).optional().describe('Address of the MCP endpoint.');
const headers = holds('headers', named(scalar).optional().describe('Headers sent with each request to the upstream.'));

/** The transports that are reached by a URL, and the schemes of their URLs. The first with its scheme is the default for a URL. */
export const URL_SCHEMES = {
  http: ['http:', 'https:'],
  sse: ['http:', 'https:'],
  websocket: ['ws:', 'wss:'],
} as const satisfies Readonly<Record<string, readonly string[]>>;

/** A transport that is reached by a URL. */
export type UrlTransport = keyof typeof URL_SCHEMES;

/** All of them. */
export const URL_TRANSPORTS = Object.keys(URL_SCHEMES) as readonly UrlTransport[];

/** The transports by the spellings that client files use. */
export const TRANSPORTS = {
  stdio: 'stdio',
  local: 'stdio',
  http: 'http',
  'streamable-http': 'http',
  streamable_http: 'http',
  streamableHttp: 'http',
  sse: 'sse',
  websocket: 'websocket',
  ws: 'websocket',
} as const;

const transport = alias(
  z
    .enum(Object.keys(TRANSPORTS) as [keyof typeof TRANSPORTS, ...(keyof typeof TRANSPORTS)[]])
    .optional()
    .describe(
      'Transport of the server. Default: `command` is stdio, a ws or wss URL is websocket, an http or https URL is Streamable HTTP or, if it does not answer as such, HTTP with SSE.',
    ),
  'type',
);

const endpointSchema = z.strictObject({
  command,
  args,
  env,
  cwd,
  url,
  transport,
  headers,
  auth: upstreamAuth,
  weight: whole(1, 'Share of the calls relative to the other endpoints.', { max: 1_000 }),
});

/** One entry of `mcpServers`. */
export const serverSchema = z.strictObject({
  command,
  args,
  env,
  envFile: z
    .string()
    .min(1)
    .optional()
    .describe('File of KEY=VALUE lines for the child, relative to the configuration file; `env` wins.'),
  cwd,
  url: alias(url, 'serverUrl', 'httpUrl', 'uri'),
  transport,
  headers: alias(headers, 'requestHeaders', 'httpHeaders'),
  auth: upstreamAuth,
  passthrough: flag(
    false,
    "Whether calls are sent with the client's own bearer token, which the upstream can then use in the client's name at every service that takes it: only for an upstream that is meant by the token. `auth` serves the gateway's own requests then.",
  ),
  endpoints: z
    .array(endpointSchema)
    .min(1)
    .optional()
    .describe('Several replicas instead of one `command` or `url`. Keys that they leave out are taken from the entry.'),
  prefix: z
    .union([z.string().min(1).max(64), z.literal(false)])
    .optional()
    .describe(
      'Prefix of the names of its tools and prompts, without the separator: letters, digits, `_`, `-`, `.`; `false` = none. Default: the name of the entry, other characters replaced.',
    ),
  path: viewPath
    .optional()
    .describe(
      'Path of an endpoint that offers this server alone, without prefixes; the short form of an entry of `views`.',
    ),
  enabled: flag(true, 'Whether the server is used.'),
  connectTimeoutMs: milliseconds(30_000, 'Time to connect, or to start the child, and to finish the handshake.'),
  requestTimeoutMs: milliseconds(
    300_000,
    'Time for an answer, counted from the last progress where the server reports any; then at most an hour, or ten times this value where that is more.',
    { zero: 'no limit' },
  ),
  maxConnections: whole(512, 'Connections to an HTTP endpoint, or calls in flight to a stdio child.', {
    max: 65_535,
  }),
  maxQueue: whole(4_096, 'Calls that may wait for a connection or for the pipe; more are answered with an error.', {
    max: 65_535,
    zero: 'none wait',
  }),
  maxConcurrent: concurrent(
    'Calls to the server that may be under way at once, over all its endpoints and waiting ones included; more go to the fallback of their route, or are answered 503.',
  ),
  tags: z.array(z.string().min(1).max(64)).max(64).default([]).describe('Free labels.'),
  include: alias(
    strings().optional().describe("Globs over the upstream's own tool names: only these are offered. Default: all."),
    'includeTools',
    'enabledTools',
    'availableTools',
    'tools',
  ),
  exclude: alias(
    strings().optional().describe('Globs of tools that are not offered; wins over `include`.'),
    'excludeTools',
    'disabledTools',
  ),
  rename: z
    .union([z.string().min(1).max(128), named(z.string().min(1).max(128))])
    .optional()
    .describe(
      "Other names for its tools and prompts, in front of which the prefix stands as well: a map from the upstream's name to another one, or a template with `{name}` and `{server}`. Rules hold for the old names too.",
    ),
  priority: z
    .int()
    .min(-1_000)
    .max(1_000)
    .default(0)
    .describe('Under `catalog.conflict: priority` the server with the highest value keeps a name.'),
  isolation: z
    .enum(['auto', 'shared', 'session', 'principal'])
    .optional()
    .describe(
      'Scope of a child or upstream session of a server before 2026-07-28: `shared` = one for all clients, and a shared child gets no client capabilities; `session` = one for each client session; `principal` = one for each subject; `auto` = shared, and a child or connection of its own for each client that declares sampling, elicitation or roots, where the server makes use of them. Default: `auto`; `shared` for Streamable HTTP and for several `endpoints`. Anonymous clients are one subject. A server that is called with credentials of its clients (`passthrough`, `auth` with `tokenExchange`, or `oauth` per principal) has `principal` or `session`; default `principal`. Answers of a server with `session` or with credentials of clients, and those of dedicated children under `auto`, are never stored by `routes[].cache`.',
    ),
  maxDedicated: whole(
    64,
    'Dedicated children or upstream sessions per endpoint, besides the shared one; with all in use, calls that need another one are answered with an error.',
    { max: 65_535 },
  ),
  dedicatedIdleMs: milliseconds(
    300_000,
    'Idle time after which a dedicated child or session is stopped; its server state is lost.',
  ),
  invalidUtf8: z
    .enum(['refuse', 'repair'])
    .default('refuse')
    .describe(
      'A message of the server over stdio, HTTP with SSE or WebSocket that holds bytes which are no UTF-8: `refuse` = its call fails at once, `repair` = the bytes become U+FFFD.',
    ),
  methods: strings().optional().describe('Globs of unknown methods that are passed to this server as they are.'),
  disabled: z.boolean().optional().describe('As in client files: the opposite of `enabled`.'),
  timeout: z
    .number()
    .min(0)
    .max(86_400_000)
    .optional()
    .describe('As in client files: `requestTimeoutMs`, in seconds up to 3600 (Cline, Roo), in milliseconds above.'),
});

/** Keys of client files that change nothing here. */
export const IGNORED_SERVER_KEYS = [
  'autoApprove',
  'bundled',
  'alwaysAllow',
  'alwaysLoad',
  'description',
  'displayName',
  'gallery',
  'icon',
  'iconPath',
  'id',
  'dev',
  'name',
  'note',
  'provider',
  'remoteConfigured',
  'required',
  'settings',
  'source',
  'title',
  'trust',
  'version',
  'watchPaths',
] as const;

/** Keys of client files for features that this gateway does not have: they are ignored with a warning. */
export const UNSUPPORTED_SERVER_KEYS: Readonly<Record<string, string>> = {
  oauth_resource: 'the resource is the one that the upstream names',
  scopes: 'write auth: { type: oauth, scopes: ... }',
  oauth: 'a login is for a server with a url and without auth',
  headersHelper: 'commands that make headers are not supported; set auth or headers',
  authProviderType: 'provider authentication is not supported; set auth or headers',
  sandbox: 'the child is not sandboxed by the gateway',
  sandboxEnabled: 'the child is not sandboxed by the gateway',
};

/** Keys beside `mcpServers` in client files that change nothing here. */
export const IGNORED_TOP_KEYS = [
  '$schema',
  'inputs',
  'globalShortcut',
  'preferences',
  'scale',
  'locale',
  'userThemeMode',
  'isUsingBuiltInNodeForMcp',
  'isDxtAutoUpdatesEnabled',
] as const;
