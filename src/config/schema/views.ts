/** Endpoints with paths and lists of their own. */
import { z } from 'zod';
import { authSchema } from './auth.js';
import { alias, flag, strings } from './fields.js';

/** First segments of paths that the gateway serves on every endpoint, so that no view begins with them. */
export const RESERVED_SEGMENTS =
  'mcp|sse|messages|ws|tools|prompts|resources|openapi\\.json|health|ready|oauth|\\.well-known';

const VIEW_PATH = new RegExp(`^/(?!(?:${RESERVED_SEGMENTS})(?:/|$))[A-Za-z0-9._~-]+(?:/[A-Za-z0-9._~-]+)*/?$`);

/** The path of a view, as a key of `views` or as `mcpServers.NAME.path`. */
export const viewPath = z
  .string()
  .max(128)
  .regex(VIEW_PATH, 'must begin with / and must not be a path of the gateway itself');

/** One entry of `views`. */
export const viewSchema = z.strictObject({
  servers: alias(strings().optional().describe('Servers whose entries are offered. Default: all.'), 'server'),
  tools: strings()
    .optional()
    .describe('Globs over the names of tools in this view, or `server:name`: only these are offered. Default: all.'),
  prompts: strings().optional().describe('Globs over prompts, as for `tools`.'),
  resources: strings().optional().describe('Globs over URIs of resources, and texts of templates. Default: all.'),
  prefix: flag(
    true,
    'Whether names have the prefixes of their servers; `false` = they are the own names of the servers.',
  ),
  requiredScopes: alias(
    strings().optional().describe('Scopes that every request to this view needs; otherwise the answer is 403.'),
    'scopes',
  ),
  auth: authSchema
    .optional()
    .describe(
      'Authentication of clients at this path, as the top-level `auth`, in whose place it is: credentials of one are not good for the other. `type: none` opens the view to everybody. Default: the top-level `auth`.',
    ),
});
