/**
 * The one schema of the configuration: types, defaults, the published JSON Schema and the reference page come from it.
 * Rules that concern several keys (references, key files, equal prefixes) are checked by the compile step.
 */
import { z } from 'zod';
import { authSchema } from './auth.js';
import { cacheSchema } from './cache.js';
import { alias, bytes, flag, holds, KIB, MIB, milliseconds, named, strings, whole } from './fields.js';
import { limitsSchema } from './limits.js';
import { overloadSchema } from './overload.js';
import { pinningSchema } from './pinning.js';
import { rateLimitsSchema } from './rate-limits.js';
import { routeSchema } from './routes.js';
import { serverSchema } from './servers.js';
import { RESERVED_SEGMENTS, viewPath, viewSchema } from './views.js';

const port = z.int().min(0).max(65_535);

const adminSchema = z.strictObject({
  host: z.string().min(1).default('127.0.0.1').describe('Address the admin listener binds to.'),
  port: z
    .union([port, z.literal(false)])
    .default(9090)
    .describe('Port of the admin listener. 0 = any free port; `false` = no admin listener.'),
  allowUnauthenticated: flag(
    false,
    'Permits a `host` other than loopback, where metrics and statistics are readable without authentication.',
  ),
});

const catalogSchema = z.strictObject({
  separator: z
    .string()
    .regex(/^[A-Za-z0-9_.-]{1,8}$/)
    .default('__')
    .describe('Between prefix and name: 1 to 8 letters, digits, `_`, `-`, `.`.'),
  conflict: z
    .enum(['prefix', 'auto-prefix', 'reject', 'priority'])
    .default('prefix')
    .describe(
      '`prefix` = every name gets its prefix; `auto-prefix` = only names that collide; `reject` = the first server keeps a name, the others lose it; `priority` = the server with the highest `priority` keeps it.',
    ),
  names: z
    .enum(['strict', 'as-is'])
    .default('strict')
    .describe(
      "`strict` = names of tools and prompts have only letters, digits, `_` and `-`, at most 64, because model APIs refuse a whole request for one other name; other characters become `_`, and the upstream's name stays in `title` and `_meta` and can be called too. `as-is` = any characters.",
    ),
  maxNameLength: whole(
    64,
    'Longest name, together with what clients put in front (`namePrefixRoom`); longer ones are shortened stably. With `names: strict` at most 64 count.',
    { min: 16, max: 1_024 },
  ),
  namePrefixRoom: whole(
    16,
    'Characters of `maxNameLength` that are left free, because many clients put the name of the server in front of each name, as in `mcp__switchyard__`. A name always has at least 16 characters.',
    { max: 512, zero: 'none are left free' },
  ),
  pageSize: whole(0, 'Items on one page of a list.', { max: 100_000, zero: 'all on one page' }),
  ttlMs: milliseconds(60_000, 'How long clients of 2026-07-28 may keep a list.', { zero: 'they must not keep it' }),
  startupWaitMs: milliseconds(
    2_000,
    'How long a start waits for the first discovery of all servers before it is ready and says that it listens; its ports are open before. Later ones are added while running.',
    { zero: 'not at all', max: 600_000 },
  ),
  firstListWaitMs: milliseconds(
    15_000,
    'How long `initialize`, `server/discover` and lists of a client wait for servers that were never listed and have not failed.',
    { zero: 'not at all', max: 600_000 },
  ),
  manifestFile: z
    .union([z.string().min(1), z.literal(false)])
    .optional()
    .describe(
      'File in which the lists of all servers are kept, relative to the configuration file, so that clients get them at once after a restart. A server whose configuration has changed is not taken from it. `false` = none. Default: `.NAME.manifest.json` beside the key file, where NAME is the name of the configuration file; none where the configuration comes from a program.',
    ),
  schemas: z
    .enum(['as-is', 'compatible'])
    .default('as-is')
    .describe(
      'Input schemas with `oneOf`, `anyOf`, `allOf`, `if` or `not` at the root, which some model APIs refuse together with the whole request: `as-is` = they are offered and named in the log; `compatible` = they are offered as one object with the properties of all alternatives. Calls are the same.',
    ),
  pinning: pinningSchema
    .optional()
    .describe(
      'Offers only what a lockfile approves of, which `switchyard lock` writes (docs/pinning.md); `{}` = with all defaults. Without it nothing is compared.',
    ),
});

const sessionsSchema = z.strictObject({
  required: flag(
    true,
    'Whether a POST of a client before 2026-07-28 needs the session that `initialize` opens. `false` = one without `Mcp-Session-Id` is served too, as from a client without capabilities, and without what needs a session (subscriptions, log levels, requests of servers).',
  ),
  secret: alias(
    holds(
      'secret',
      z
        .union([z.string().min(32), z.array(z.string().min(32)).min(1).max(16)])
        .optional()
        .describe(
          'Key that seals session ids, so that they survive a restart and are valid at other replicas: at least 32 characters, or a list with the newest first.',
        ),
    ),
    'secrets',
  ),
  ttlSeconds: alias(
    whole(86_400, 'Time for which a session id is valid after it was issued.', { max: 31_536_000 }),
    'ttl',
  ),
  keyFile: z
    .union([z.string().min(1), z.literal(false)])
    .optional()
    .describe(
      'File for a generated key when no `secret` is given, relative to the configuration file. It must be writable, or the gateway does not start. `false`: in memory only; sessions then end with the process. Default: `.NAME.key` beside a configuration file `NAME.yaml` (JSON, TOML), or in memory where that cannot be written or there is no file.',
    ),
  eventLogBytes: bytes(
    256 * KIB,
    'Events of one session that are kept for resumption of broken streams; each counts 256 bytes besides its content.',
    { zero: 'none, and streams cannot be resumed' },
  ),
  eventLogTotalBytes: bytes(64 * MIB, 'The same over all sessions; the oldest go first.', { zero: 'none' }),
  retryMs: milliseconds(1_000, 'Reconnection time that event streams give to clients of 2025-11-25 (`retry`).'),
});

const loginsSchema = z.strictObject({
  folder: z
    .string()
    .min(1)
    .optional()
    .describe(
      'Folder in which logins of users at upstreams are kept, sealed with the session key, relative to the configuration file. Default: `.NAME.logins` beside the key file, or in memory where there is none.',
    ),
  publicUrl: z
    .url()
    .optional()
    .describe(
      'Where browsers reach the data port, as for `https://mcp.example.com`; links for logins and their redirects begin with it. Default: its own address, which only browsers on the same machine reach.',
    ),
  maxLogins: whole(10_000, 'Logins that are kept; further ones are refused.', { max: 1_000_000 }),
});

const transportsSchema = z.strictObject({
  sse: flag(true, 'HTTP with SSE of 2024-11-05 on `/sse` and `/messages`.'),
  websocket: flag(true, 'WebSocket on `/ws`, sub-protocol `mcp`.'),
  rest: flag(true, 'REST on `/tools`, `/prompts` and `/resources`, described by `/openapi.json`.'),
});

/** Levels of the log, the most severe first. */
export const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;
/** Formats of the log. */
export const LOG_FORMATS = ['auto', 'pretty', 'json'] as const;
/** HTTP front ends. */
export const FRONT_ENDS = ['auto', 'uws', 'node'] as const;

const logSchema = z.strictObject({
  level: z.enum(LOG_LEVELS).default('info').describe('Least severe level that is written.'),
  format: z.enum(LOG_FORMATS).default('auto').describe('`auto` = pretty on a terminal, JSON lines otherwise.'),
  access: flag(false, 'One line for each request at `info`; otherwise at `debug`.'),
});

const readySchema = z.strictObject({
  require: strings()
    .optional()
    .describe(
      'Names of servers without which `/ready` and `/readyz` answer 503. Others that are down are listed there with 200.',
    ),
});

/** The whole configuration file. */
export const configSchema = z.strictObject({
  name: z.string().min(1).max(128).default('switchyard').describe('Name of the gateway in `serverInfo`.'),
  host: z.string().min(1).max(255).default('127.0.0.1').describe('Address to bind to. `0.0.0.0` or `::` for all.'),
  port: z
    .union([port, z.literal(false)])
    .default(8000)
    .describe(
      'Port of the MCP endpoint. 0 = any free port; `false` = none, for a gateway that is used in-process or over standard input.',
    ),
  publicUrl: z
    .url()
    .optional()
    .describe(
      'Origin at which clients reach the gateway, as `https://mcp.example.com`: for the protected-resource metadata (RFC 9728). Default: `http://` and the `Host` of the request.',
    ),
  path: z
    .string()
    .max(128)
    .regex(
      new RegExp(`^/(?!(?:${RESERVED_SEGMENTS.replace('mcp|', '')})(?:/|$))[A-Za-z0-9._~/-]*$`),
      'must begin with / and must not be a path of the other transports',
    )
    .default('/mcp')
    .describe(
      'Path of the MCP endpoint: letters, digits and `.`, `_`, `~`, `-`, `/`. `/mcp` and `/` are the endpoint besides it.',
    ),
  admin: z
    .union([adminSchema, z.literal(false)])
    .prefault({})
    .describe('Listener for metrics, statistics and probes; `false` for none.'),
  workers: z
    .union([z.int().min(1).max(64), z.literal('auto')])
    .default('auto')
    .describe('Policy workers. `auto` = one less than the processors, at least 1 and at most 16.'),
  frontEnd: z
    .enum(FRONT_ENDS)
    .default('auto')
    .describe(
      'HTTP front end: `uws` = uWebSockets.js, `node` = node:http, `auto` = uWebSockets.js where it loads and the native addon is there (without the addon it refuses chunked bodies).',
    ),
  allowedHosts: strings()
    .optional()
    .describe(
      'Host names accepted in `Host`, without port. Default: any; on a loopback `host` the loopback names, which are always accepted there. Elsewhere `/health`, `/ready` and the admin listener also accept IP addresses, which probes send.',
    ),
  allowedOrigins: strings()
    .optional()
    .describe(
      'Origins accepted in `Origin`, as `https://app.example`; `*` = any. Loopback origins are accepted on a loopback `host`.',
    ),
  allowUnauthenticated: flag(false, 'Permits `auth: none` on a `host` other than loopback.'),
  mcpServers: alias(
    named(serverSchema).default({}).describe('The upstream MCP servers by name, as in the files of desktop clients.'),
    'servers',
  ),
  routes: z.array(routeSchema).max(10_000).default([]).describe('Rules for calls; the first that matches counts.'),
  views: z
    .record(viewPath, viewSchema)
    .default({})
    .describe('Endpoints of their own by path, on every transport: what they offer, and to whom.'),
  catalog: catalogSchema.prefault({}).describe('How the names of all servers are merged into one list.'),
  auth: authSchema
    .default({ type: 'none' })
    .describe(
      'Authentication of clients: one provider, or a list of which the first one decides whose credential a request carries.',
    ),
  rateLimits: rateLimitsSchema.prefault({}).describe('Rate limits besides those of routes.'),
  cache: cacheSchema
    .prefault({})
    .describe(
      'Response cache. Which answers are stored is said by `tools`, `resources` and `prompts`, and for routes by `routes[].cache`.',
    ),
  limits: limitsSchema.prefault({}).describe('Limits of everything that grows.'),
  overload: overloadSchema
    .prefault({ enabled: false })
    .describe('The overload guard: refuses new work before the gateway is too slow for all of it.'),
  sessions: sessionsSchema.prefault({}).describe('Sessions of clients before 2026-07-28.'),
  logins: loginsSchema.prefault({}).describe('Logins of users at upstreams (`auth` with `type: oauth`).'),
  transports: transportsSchema
    .prefault({})
    .describe(
      'Transports for clients besides Streamable HTTP on `/mcp`; the same rules and tokens hold on all of them.',
    ),
  log: logSchema.prefault({}).describe('The log.'),
  ready: readySchema.prefault({}).describe('When the gateway counts as ready.'),
});

/** A configuration as it is written: everything with a default may be left out. */
export type GatewayConfig = z.input<typeof configSchema>;

/** A configuration with every default filled in, before it is compiled. */
export type ResolvedConfig = z.output<typeof configSchema>;

/** One resolved entry of `mcpServers`. */
export type ServerConfig = ResolvedConfig['mcpServers'][string];
