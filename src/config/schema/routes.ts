/** Rules for calls by pattern. */
import { z } from 'zod';
import { alias, flag, milliseconds, strings } from './fields.js';
import { bucketSchema } from './limits.js';
import { concurrent, PRIORITIES } from './overload.js';

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
      tools: strings()
        .optional()
        .describe(
          'Globs over the tool names clients see, over `server:name`, and, on a route with `servers`, over the own names of their tools: `*` within a name, `**` anything.',
        ),
      prompts: strings().optional().describe('Globs over prompt names, as for `tools`.'),
      resources: strings()
        .optional()
        .describe(
          'Globs over resource URIs, or URI templates; URIs are compared in their normal form. A `*` at the end matches all that follows.',
        ),
      methods: strings()
        .optional()
        .describe('Globs over unknown methods that a server gets by `mcpServers.NAME.methods`.'),
    })
    .optional()
    .describe('The calls the route applies to. Default: all.'),
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
  rateLimit: bucketSchema.optional().describe('For all calls on the route.'),
  clientRateLimit: bucketSchema.optional().describe('For each client on the route, besides `rateLimit`.'),
  maxConcurrent: concurrent('Calls on the route that may be under way at once; more are answered 429.'),
  priority: z
    .enum(PRIORITIES)
    .default('normal')
    .describe('When the overload guard refuses the calls on the route (`overload.order`).'),
  cache: z
    .strictObject({
      ttlMs: milliseconds(60_000, 'Time for which an answer is fresh.'),
      staleMs: milliseconds(0, 'Time after that for which it may be served while a new one is fetched.', {
        zero: 'not at all',
      }),
      public: flag(false, 'Whether clients share entries. Only for answers that do not depend on the client.'),
    })
    .optional()
    .describe('Stores answers of successful calls. Only for tools without side effects.'),
  requestTimeoutMs: milliseconds(0, 'Time for an answer.', { zero: 'the value of the server' }),
  idempotent: flag(false, 'Whether a call may be sent again although bytes of it were sent already.'),
});
