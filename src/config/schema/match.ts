/** What rules compare calls with. */
import { z } from 'zod';
import { named, strings } from './fields.js';

const pattern = z.union([
  z.string().min(1),
  z.strictObject({
    regex: z
      .string()
      .min(1)
      .max(1_024)
      .describe(
        'Regular expression in the syntax of RE2, which matches in linear time; it has to match the whole text.',
      ),
  }),
]);

/** One pattern or a list: globs, exact texts, or `{ regex }`. */
export function patternList() {
  return z.union([pattern, z.array(pattern)]);
}

/** The list form of what {@link patternList} accepts. */
export function patternsOf<T>(value: T | readonly T[] | undefined): T[] {
  if (value === undefined) return [];
  return Array.isArray(value) ? [...(value as readonly T[])] : [value as T];
}

const scalar = z.union([pattern, z.number(), z.boolean(), z.null()]);

/** What a call must have besides its name; for routes and other rules. */
export const conditionFields = {
  headers: named(patternList())
    .optional()
    .describe(
      'Request headers by name, each with a pattern or several of which one must match its value. A header that is not sent, is empty or has other characters than ASCII matches nothing.',
    ),
  paths: patternList().optional().describe('Patterns over the path of the endpoint (`path`, `views`).'),
  principals: patternList()
    .optional()
    .describe('Patterns over the subject of the client, which is empty without authentication.'),
  scopes: patternList().optional().describe('Patterns over scopes of the client; one scope that matches is enough.'),
  tags: patternList().optional().describe('Patterns over the `tags` of the server that offers the target.'),
  arguments: named(z.union([scalar, z.array(scalar)]))
    .optional()
    .describe(
      'Arguments of `tools/call` and `prompts/get` by JSON pointer (`/filter/kind`), each with a value, a pattern or a list of which one must match. Patterns compare the text of a string, and numbers and booleans as they are written.',
    ),
};

/** `variants` of a route. */
export const variantsSchema = z.strictObject({
  by: z
    .union([
      z.enum(['principal', 'session', 'address', 'random']),
      z.strictObject({ header: z.string().min(1).describe('Name of a request header.') }),
      z.strictObject({ argument: z.string().min(1).describe('JSON pointer into the arguments.') }),
    ])
    .default('principal')
    .describe(
      'What decides the group of a call; calls that have the same in it are in the same group. `random` = each call by itself.',
    ),
  otherwise: z
    .enum(['random', 'address'])
    .default('random')
    .describe('For calls without that: anonymous clients, a header that is not sent.'),
  responseHeader: z
    .string()
    .regex(/^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}$/)
    .optional()
    .describe('Header of responses that names the group.'),
  groups: z
    .array(
      z.strictObject({
        name: z
          .string()
          .regex(/^[A-Za-z0-9._-]{1,64}$/)
          .describe('Name in the response header and in metrics: letters, digits, `.`, `_`, `-`.'),
        weight: z
          .number()
          .min(0)
          .max(1_000_000)
          .default(1)
          .describe('Share of the calls, relative to the other groups. 0 = none.'),
        servers: strings().describe(
          'Servers of the group in order; the later ones are the fallback, then those of the route.',
        ),
      }),
    )
    .min(1)
    .max(32)
    .describe('The groups.'),
});
