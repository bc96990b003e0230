/** The response cache: which answers are stored, for how long, and for whom. */
import { z } from 'zod';
import { alias, bytes, flag, KIB, MIB, milliseconds, strings, whole } from './fields.js';

/** How long answers serve, and for whom: of the global rule and of those of routes. */
const rule = {
  staleMs: milliseconds(0, 'Time after that for which it may be served while a new one is fetched.', {
    zero: 'not at all',
  }),
  staleIfErrorMs: milliseconds(
    0,
    'Time after `ttlMs` for which it is served when the upstream fails: is not reachable, does not answer in time or not validly.',
    { zero: 'not at all' },
  ),
  public: flag(
    false,
    'Whether clients share entries. Only for answers that do not depend on the client; one whose upstream says `private` is not stored then.',
  ),
};

/** `cache` of one item of `routes`. */
export const routeCacheSchema = z.union([
  z.literal(false),
  z.strictObject({ ttlMs: milliseconds(60_000, 'Time for which an answer is fresh.'), ...rule }),
]);

/** `cache` of the configuration. */
export const cacheSchema = z.strictObject({
  enabled: flag(true, 'Whether answers are stored at all, by this rule or by `routes[].cache`.'),
  tools: alias(
    flag(
      false,
      'Whether answers of tools are stored: of those that match `patterns`, and without `patterns` of those whose annotations are `readOnlyHint: true` and `idempotentHint: true`.',
    ),
    'cacheTools',
  ),
  resources: alias(flag(false, 'Whether contents of resources are stored.'), 'cacheResources'),
  prompts: alias(flag(false, 'Whether prompts are stored.'), 'cachePrompts'),
  patterns: alias(
    strings()
      .optional()
      .describe(
        'What is stored of the kinds that are switched on: globs over the names of tools and prompts that clients see, over `server:name`, and over resource URIs, as in `routes[].match`. Default: all prompts and resources, and the tools that `tools` describes.',
      ),
    'cachePatterns',
  ),
  exclude: alias(
    strings()
      .optional()
      .describe(
        'What is never stored by this rule: globs as in `patterns`, over every name of a tool or prompt. They win.',
      ),
    'excludePatterns',
  ),
  ttlMs: z
    .int()
    .min(1)
    .max(86_400_000)
    .optional()
    .describe('Time for which an answer is fresh, unless its upstream says another one. Default: 60,000.'),
  ttl: z.number().min(0.001).max(86_400).optional().describe('`ttlMs` in seconds; one of the two.'),
  ...rule,
  includeHeaders: strings()
    .optional()
    .describe(
      'Request headers whose values are part of the key, as `X-User-ID`: calls with other values have entries of their own. The principal always is, unless the entry is public.',
    ),
  respectCacheControl: flag(
    true,
    'Whether the time that an upstream gives counts instead of `ttlMs`: `ttlMs` of a result (2026-07-28), else `Cache-Control` of a JSON response. `private` counts in any case.',
  ),
  headers: flag(false, 'Whether answers over HTTP say in `Cache-Status` (RFC 9211) and `Age` what the cache has done.'),
  meta: flag(false, 'Whether results from the cache say so in their `_meta`, under `switchyard/cache`.'),
  maxBytes: bytes(64 * MIB, 'Memory for stored answers in each worker.', { min: KIB }),
  maxEntryBytes: bytes(MIB, 'Largest answer that is stored.'),
  maxEntries: alias(whole(10_000, 'Stored answers in each worker.', { max: 10_000_000 }), 'maxSize'),
  maxWaiters: whole(1_000, 'Callers that may wait for one identical call in flight; more are forwarded.', {
    max: 65_535,
    zero: 'identical calls are not coalesced',
  }),
  waitMs: milliseconds(10_000, 'Time they wait before the next one is forwarded.'),
});
