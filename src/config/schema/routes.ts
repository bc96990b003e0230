/** Rules for calls by pattern. */
import { z } from 'zod';
import { routeCacheSchema } from './cache.js';
import { alias, flag, milliseconds, strings } from './fields.js';
import { conditionFields, patternList, variantsSchema } from './match.js';
import { concurrent, PRIORITIES } from './overload.js';
import { limitSchema } from './rate-limits.js';

/** The `match` of a route without one. */
export const EVERYTHING = { tools: '**', prompts: '**', resources: '**', methods: '**' };

/** One item of `routes`. */
export const routeSchema = z.strictObject({
  name: z
    .string()
    .min(1)
    .max(128)
    .optional()
    .describe('Name in logs and metrics. Default: `route-` and the position, counted from 1.'),
  match: z
    .strictObject({
      tools: patternList()
        .optional()
        .describe(
          'Patterns over the tool names clients see, over `server:name`, and, on a route with `servers`, over the own names of their tools: globs (`*` within a name, `**` anything), exact names, or `{ regex: ... }`.',
        ),
      prompts: patternList().optional().describe('Patterns over prompt names, as for `tools`.'),
      resources: patternList()
        .optional()
        .describe(
          'Patterns over resource URIs, or URI templates; URIs are compared in their normal form. A `*` at the end of a glob matches all that follows.',
        ),
      methods: patternList()
        .optional()
        .describe(
          'Patterns over methods: of MCP (`tools/call`, `prompts/*`, also those that the gateway answers itself, as `tools/list`), and those that a server gets by `mcpServers.NAME.methods`. With `tools`, `prompts` or `resources`, methods of MCP that have a name limit the route to themselves.',
        ),
      ...conditionFields,
    })
    .optional()
    .describe(
      'The calls the route applies to: all members must match, of `tools`, `prompts` and `resources` the one that the call is about. Default: all calls.',
    ),
  servers: alias(
    strings()
      .optional()
      .describe(
        'Servers to send to, in order; the later ones are the fallback, and so are those of later routes with the same `match`. A tool that is matched by its own name goes to its own server first. Default: the one that offers the name.',
      ),
    'server',
  ),
  requiredScopes: alias(
    strings().optional().describe('Scopes a token must have, all of them; otherwise the answer is 403.'),
    'scopes',
  ),
  whenDenied: z
    .enum(['hide', 'challenge'])
    .default('hide')
    .describe(
      'What clients without the right get: `hide` = the answer for what does not exist, and nothing of it in lists; `challenge` = it is listed, and calls are answered 403 with the scopes that are needed.',
    ),
  permissions: z
    .union([z.enum(['read', 'write']), z.array(z.enum(['read', 'write']))])
    .optional()
    .describe(
      'Permissions that are asked for on the route: `read` by calls of tools with `readOnlyHint`, of prompts and resources, `write` by all others. A client without it gets 403. Default: none is asked for.',
    ),
  variants: variantsSchema
    .optional()
    .describe('Sends each call to the servers of one of several groups (A/B test, canary).'),
  rateLimit: limitSchema.optional().describe('For all calls on the route.'),
  clientRateLimit: limitSchema.optional().describe('For each client on the route, besides `rateLimit`.'),
  rateLimitOverride: limitSchema
    .optional()
    .describe('For all calls on the route, in the place of `rateLimits.global`.'),
  maxConcurrent: concurrent('Calls on the route that may be under way at once; more are answered 429.'),
  priority: z
    .enum(PRIORITIES)
    .default('normal')
    .describe('When the overload guard refuses the calls on the route (`overload.order`).'),
  cache: routeCacheSchema
    .optional()
    .describe(
      'Stores answers of successful calls, instead of by `cache`; `false` = of none. Only for tools without side effects. Default: as `cache` says.',
    ),
  requestTimeoutMs: milliseconds(0, 'Time for an answer.', { zero: 'the value of the server' }),
  idempotent: flag(false, 'Whether a call may be sent again although bytes of it were sent already.'),
});
