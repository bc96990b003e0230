/** Rate limits. */

import { z } from 'zod';
import { alias, flag, named, strings, whole } from './fields.js';
import { patternList } from './match.js';
import { concurrent } from './overload.js';

/** Algorithms of rate limits (src/shared/limiters). */
export const LIMIT_ALGORITHMS = ['token-bucket', 'sliding-window', 'fixed-window'] as const;

const limitShape = {
  algorithm: z
    .enum(LIMIT_ALGORITHMS)
    .optional()
    .describe(
      '`token-bucket` (default) = `rate` a second, and `burst` at once. `sliding-window` = `limit` in the last `windowMs`. `fixed-window` = `limit` in a window of `windowMs`, which begins with its first request.',
    ),
  rate: z
    .number()
    .positive()
    .max(1e9)
    .optional()
    .describe('Requests a second, fractions allowed (0.5 = one every two seconds).'),
  limit: alias(z.int().min(1).max(1e9).optional().describe('Requests in `windowMs`.'), 'maxRequests'),
  windowMs: z.int().min(100).max(86_400_000).optional().describe('Length of the window.'),
  burst: alias(
    z
      .int()
      .min(1)
      .max(1e9)
      .optional()
      .describe('Requests that may come at once. Default: `rate` rounded up, at least 1; or `limit`.'),
    'capacity',
  ),
};

/** One rate limit: `rate` and `burst`, or `limit` and `windowMs`. */
export const limitSchema = z.strictObject(limitShape);

const clientKeySchema = z.union([
  z.enum(['principal', 'address', 'session']),
  z.strictObject({ header: z.string().min(1).max(128).describe('Name of the header.') }),
]);

/** `rateLimits.concurrency` of the configuration. */
const concurrencySchema = z.strictObject({
  global: concurrent('Calls of all clients together.'),
  perClient: concurrent('Calls of one client, which `key` tells apart from others.'),
  key: clientKeySchema
    .optional()
    .describe(
      'What tells clients apart, as `rateLimits.perClient.key`, which is the default: the subject of the token, or the address without one, unless it says otherwise.',
    ),
});

/** `rateLimits` of the configuration. */
export const rateLimitsSchema = z.strictObject({
  count: z
    .enum(['calls', 'all'])
    .default('calls')
    .describe(
      'What the limits count. `calls` = `tools/call`, `prompts/get`, `resources/read`, `completion/complete` and methods that are passed through; the rest has the limit `other`. `all` = every request and notification.',
    ),
  global: limitSchema.optional().describe('For all clients together.'),
  perClient: z
    .strictObject({
      key: clientKeySchema
        .optional()
        .describe(
          'What tells clients apart, here and wherever a limit is for each client. `principal` (default) = the subject of the token, or the address without one; `address`; `session`, which is the connection on transports that keep one, although a client can begin a new one at any time; or the value of a request header, `{ header: X-Client-ID }`, which a client can choose unless a proxy sets it. Without session or header a client is counted by its principal.',
        ),
      ...limitShape,
      clients: named(limitSchema)
        .default({})
        .describe('Limits of single clients in the place of the common one, by what `key` reads of them.'),
    })
    .optional()
    .describe('For each client.'),
  perTool: z
    .array(
      z.strictObject({
        tools: strings().describe('Globs over the names clients see.'),
        ...limitShape,
        cost: alias(whole(1, 'What one call takes from every limit that applies to it.', { max: 1_000_000 }), 'weight'),
        perClient: limitSchema.optional().describe('For each client, besides the limit for all together.'),
      }),
    )
    .max(10_000)
    .default([])
    .describe('For the matching tools, all clients together. The first entry that matches counts.'),
  rules: z
    .array(
      z.strictObject({
        match: z
          .strictObject({
            headers: named(strings())
              .default({})
              .describe('Values of request headers, or globs over them, by name; all of them must match.'),
            paths: strings().optional().describe('Paths of the endpoint, or globs over them.'),
            principals: strings().optional().describe('Subjects of tokens, or globs over them.'),
            scopes: strings().optional().describe('Scopes the token must have, all of them.'),
            tools: patternList()
              .optional()
              .describe(
                'Patterns over names of tools, as in `routes[].match`: the names clients see, and `server:name`. Of `tools`, `prompts` and `resources` the one that the request is about must match.',
              ),
            prompts: patternList().optional().describe('Patterns over names of prompts, as for `tools`.'),
            resources: patternList()
              .optional()
              .describe('Patterns over URIs of resources, or URI templates, as in `routes[].match`.'),
          })
          .describe('The requests that the rule is about: what is given must match, all of it.'),
        ...limitShape,
        key: clientKeySchema
          .optional()
          .describe('Counts clients apart, as `perClient.key`. Default: all requests that match together.'),
        exempt: flag(false, 'Requests that match are not limited at all.'),
      }),
    )
    .max(1_000)
    .default([])
    .describe('Limits by other properties, besides the others. The first that matches counts.'),
  other: z
    .union([limitSchema, z.literal(false)])
    .optional()
    .describe(
      'For each client, all requests and notifications that are no calls: handshakes, lists, subscriptions, pings. `false` = no limit. Default: ten times `perClient`; none without it.',
    ),
  headers: flag(
    false,
    'Adds the fields `RateLimit` and `RateLimit-Policy` to the answers of calls. Refusals have them always.',
  ),
  concurrency: concurrencySchema
    .prefault({})
    .describe('Calls to servers that may be under way at once; more are answered 429.'),
  maxClients: whole(65_536, 'Clients whose buckets are kept at once.', { max: 16_777_216 }),
});
