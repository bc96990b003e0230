/** Credentials of the gateway towards an upstream: `auth` of a server or endpoint. */
import { z } from 'zod';
import { alias, holds, named, strings, whole } from './fields.js';

const TOKEN = 'The token; best taken from a variable.';
const USERNAME = 'User name, without a colon.';
const PASSWORD = 'Password; best taken from a variable.';

const bearer = z.strictObject({
  type: z.literal('bearer').describe('`Authorization: Bearer`.'),
  token: holds('secret', z.string().min(1).optional().describe(TOKEN)),
  credentials: z
    .strictObject({ token: holds('secret', z.string().min(1).describe(TOKEN)) })
    .optional()
    .describe('The same, as other proxies spell it.'),
});

const basic = z.strictObject({
  type: z.literal('basic').describe('`Authorization: Basic` (RFC 7617).'),
  username: alias(z.string().optional().describe(USERNAME), 'user'),
  password: holds('secret', z.string().optional().describe(PASSWORD)),
  credentials: z
    .strictObject({
      username: alias(z.string().describe(USERNAME), 'user'),
      password: holds('secret', z.string().describe(PASSWORD)),
    })
    .optional()
    .describe('The same, as other proxies spell it.'),
});

const headers = z.strictObject({
  type: z.literal(['headers', 'custom']).describe('Headers of any name, such as `X-API-Key`; all values are secret.'),
  headers: alias(
    holds(
      'secret',
      named(z.string().min(1)).describe('Names and values. They are sent with each request to the upstream.'),
    ),
    'credentials',
  ),
});

/** What the requests to a token endpoint have in common. */
const tokenEndpoint = {
  tokenUrl: alias(
    z.url().describe('Token endpoint of the authorization server; https, or http on a loopback host.'),
    'tokenEndpoint',
  ),
  clientId: z.string().min(1).max(256).describe('Client id of the gateway at the authorization server.'),
  clientSecret: holds('secret', z.string().min(1).describe('Its secret; best taken from a variable.')),
  clientAuth: z
    .enum(['basic', 'post'])
    .default('basic')
    .describe('How the client authenticates: `client_secret_basic` or `client_secret_post` (RFC 6749 2.3.1).'),
  scopes: alias(
    strings().optional().describe('Scopes to ask for: a list, or one string with spaces between them. Default: none.'),
    'scope',
  ),
  audience: z.string().min(1).max(1_024).optional().describe('`audience` of the request, where the server wants one.'),
  resource: z
    .url()
    .optional()
    .describe('Resource indicator (RFC 8707) of the request. MCP wants the URL of the upstream here.'),
};

const clientCredentials = z.strictObject({
  type: z
    .literal(['clientCredentials', 'client_credentials'])
    .describe('Tokens of the gateway itself by OAuth client credentials (RFC 6749 4.4).'),
  ...tokenEndpoint,
});

const tokenExchange = z.strictObject({
  type: z
    .literal(['tokenExchange', 'token_exchange'])
    .describe('Tokens in the name of each caller, in exchange for the token of the caller (RFC 8693).'),
  ...tokenEndpoint,
  subjectTokenType: z
    .string()
    .min(1)
    .max(256)
    .default('urn:ietf:params:oauth:token-type:access_token')
    .describe('`subject_token_type` of the request (RFC 8693 3).'),
  requestedTokenType: z
    .string()
    .min(1)
    .max(256)
    .optional()
    .describe('`requested_token_type` of the request. Default: left to the server.'),
  discovery: z
    .enum(['clientCredentials', 'none'])
    .default('clientCredentials')
    .describe(
      "Credentials of the gateway's own requests, for the handshake and the lists that all clients share: a token by client credentials of the same client, or none.",
    ),
  maxTokens: whole(
    10_000,
    'Tokens of callers that are kept; those that were not used for longest are dropped, and exchanged again when they are needed.',
    { max: 1_000_000 },
  ),
});

const oauth = z.strictObject({
  type: z
    .literal(['oauth', 'oauth2'])
    .describe(
      'The consent of a user: OAuth 2.1 authorization code with PKCE. `switchyard login SERVER`, or the link in the log, logs in.',
    ),
  clientId: z
    .string()
    .min(1)
    .max(2_048)
    .optional()
    .describe(
      'Client id of the gateway at the authorization server. Default: the gateway registers itself (RFC 7591).',
    ),
  clientSecret: holds('secret', z.string().min(1).optional().describe('Its secret; best taken from a variable.')),
  clientMetadataUrl: z
    .url()
    .optional()
    .describe(
      'https URL of a client metadata document, which is the client id at authorization servers that support it; others get a registration.',
    ),
  scopes: alias(
    strings()
      .optional()
      .describe('Scopes to ask for: a list, or one string with spaces between them. Default: what the upstream names.'),
    'scope',
  ),
  redirectUrl: alias(
    z
      .url()
      .optional()
      .describe('Redirect URL, where it was registered by hand. Default: `/oauth/callback` of the data port.'),
    'redirectUri',
  ),
  redirectPort: alias(
    z
      .int()
      .min(1)
      .max(65_535)
      .optional()
      .describe('Port on which `switchyard login` awaits the browser. Default: one that is free.'),
    'callbackPort',
  ),
  per: z
    .enum(['gateway', 'principal'])
    .default('gateway')
    .describe(
      'Who logs in: one user for all clients, or each principal for itself, whichever provider of `auth` knows it. With `principal` the lists that all clients share are read by the login of the gateway.',
    ),
});

/** See the file comment. */
export const upstreamAuth = z
  .discriminatedUnion('type', [bearer, basic, headers, clientCredentials, tokenExchange, oauth])
  .optional()
  .describe(
    "Credentials of the gateway towards the upstream. A client's own token is passed on only with `passthrough: true`.",
  );

/** The checked value of `auth`. */
export type UpstreamAuthConfig = NonNullable<z.output<typeof upstreamAuth>>;
