/** Authentication of clients. */
import { z } from 'zod';
import { alias, flag, holds, milliseconds, named, strings, whole } from './fields.js';

const resourceMetadata = z
  .url()
  .optional()
  .describe(
    'URL of the protected-resource metadata (RFC 9728) named in `WWW-Authenticate`. Default: that of the gateway itself.',
  );

/** Signature algorithms of RFC 7518 and RFC 8037 that are accepted. `none` is not one of them. */
export const ALGORITHMS = [
  'HS256',
  'HS384',
  'HS512',
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
] as const;

/** One of {@link ALGORITHMS}. */
export type Algorithm = (typeof ALGORITHMS)[number];

const scopes = strings()
  .optional()
  .describe('Scopes the credential grants: a list, or one string with spaces between them.');
const permissions = strings()
  .optional()
  .describe(
    'Permissions the credential grants, as `permissions` of routes names them: a list, or one string with spaces.',
  );
const metadata = named(z.union([z.string().max(1_024), z.number(), z.boolean()]))
  .optional()
  .describe('Facts about the client, for extensions; the gateway gives them no meaning.');
const token = holds(
  'secret',
  z.string().min(8).max(4_096).describe('The token, at least 8 characters; best taken from a variable.'),
);
const key = holds(
  'secret',
  z.string().min(8).max(4_096).describe('The key, at least 8 characters; best taken from a variable.'),
);
const password = holds(
  'secret',
  z
    .string()
    .min(1)
    .max(1_024)
    .describe(
      'The password: plain (best taken from a variable), hashed by scrypt (`$scrypt$ln=15,r=8,p=1$SALT$HASH`) or by bcrypt (`$2b$10$...`, as `htpasswd -B` writes it).',
    ),
);
const subject = z.string().min(1).max(256);
const grants = { scopes, permissions, metadata };

const noneSchema = z.strictObject({
  type: z.literal('none').describe('No authentication. Only on a loopback `host`, or with `allowUnauthenticated`.'),
});

const bearerSchema = z.strictObject({
  type: z.literal('bearer').describe('A fixed list of bearer tokens.'),
  tokens: z
    .union([
      z.array(z.strictObject({ token, subject: subject.describe('Subject of the token.'), ...grants })),
      named(z.union([token, z.strictObject({ token, ...grants })])),
    ])
    .describe(
      'A list of {token, subject, scopes, permissions, metadata}, or a map from subject to a token or to an object without the subject.',
    ),
  resourceMetadata,
});

const header = z.string().min(1).max(128);

const apiKeySchema = z.strictObject({
  type: z.literal('apiKey').describe('A fixed list of keys in a header of their own.'),
  header: header.default('X-API-Key').describe('Name of the header.'),
  keys: z
    .union([
      z.array(z.strictObject({ key, subject: subject.describe('Subject of the key.'), ...grants })),
      named(z.union([key, z.strictObject({ key, ...grants })])),
    ])
    .describe(
      'A list of {key, subject, scopes, permissions, metadata}, or a map from subject to a key or to an object without the subject.',
    ),
  resourceMetadata,
});

const basicSchema = z.strictObject({
  type: z
    .literal('basic')
    .describe('Users with passwords (RFC 7617). Only behind TLS: the password is readable in each request.'),
  users: named(z.union([password, z.strictObject({ password, ...grants })])).describe(
    'A map from user name to a password or to {password, scopes, permissions, metadata}.',
  ),
  maxWaiting: whole(
    32,
    'Hashed passwords that wait for their check at once; a thread of its own checks one after the other, and clients beyond the bound are answered 503.',
    { max: 1_000 },
  ),
  resourceMetadata,
});

const claimName = z.string().min(1).max(128);
const claimNames = (fallback: string[], text: string) =>
  z.array(claimName).min(1).max(8).default(fallback).describe(text);
const permissionClaims = claimNames(
  ['permissions'],
  'Claims read for permissions, all that are present: a list, or a string with spaces.',
);

const jwtSchema = z.strictObject({
  type: z.literal('jwt').describe('Signed tokens (RFC 7519), verified by the gateway.'),
  algorithms: z
    .union([z.enum(ALGORITHMS), z.array(z.enum(ALGORITHMS)).min(1)])
    .optional()
    .describe('Accepted `alg` values. Default: HS256 with `secret`; RS256, PS256, ES256 and EdDSA with public keys.'),
  secret: holds(
    'secret',
    z
      .string()
      .min(32)
      .optional()
      .describe('Shared secret for HS256, HS384 or HS512: at least 32, 48 or 64 characters (RFC 7518 3.2).'),
  ),
  publicKey: z
    .string()
    .min(1)
    .optional()
    .describe('Public key: PEM (SPKI or certificate), or JWK or JWK Set as JSON text.'),
  publicKeyFile: z
    .string()
    .min(1)
    .optional()
    .describe('File with such a key, relative to the folder of the configuration file.'),
  jwksUrl: alias(
    z.url().optional().describe('URL of a JWK Set (RFC 7517); https, or http on a loopback host.'),
    'jwksUri',
  ),
  jwksCooldownMs: milliseconds(30_000, 'Least time between two fetches of the key set for unknown key ids.', {
    min: 1_000,
  }),
  jwksMaxAgeMs: milliseconds(600_000, 'Time after which fetched keys are fetched again.', { min: 1_000 }),
  issuer: z.string().min(1).optional().describe('Required `iss`. Not checked when absent.'),
  audience: strings().describe(
    'Accepted `aud` values; the token must name one of them. Required: a gateway must not accept tokens that were issued for another audience (MCP authorization, token audience).',
  ),
  clockToleranceSeconds: whole(30, 'Clock difference allowed for `exp`, `nbf` and `iat`.', {
    max: 60,
    zero: 'none',
  }),
  verifyExpiry: flag(
    true,
    'Whether `exp` is needed and checked. `false` accepts tokens for ever, which the log says at each start.',
  ),
  subjectClaim: claimName.default('sub').describe('Claim that names the subject.'),
  scopeClaims: claimNames(
    ['scope', 'scp', 'scopes', 'permissions'],
    'Claims read for scopes, all that are present: a list, or a string with spaces.',
  ),
  permissionClaims,
  resourceMetadata,
});

const oauth2Schema = z.strictObject({
  type: z.literal('oauth2').describe('Tokens that an authorization server is asked about (introspection, RFC 7662).'),
  introspectionUrl: z.url().describe('The introspection endpoint; https, or http on a loopback host.'),
  clientId: z.string().min(1).max(256).describe('Client id of the gateway at the authorization server.'),
  clientSecret: holds(
    'secret',
    z
      .string()
      .min(1)
      .max(1_024)
      .describe('Its secret, sent as HTTP Basic (RFC 6749 2.3.1); best taken from a variable.'),
  ),
  issuer: z
    .string()
    .min(1)
    .optional()
    .describe('Required `iss` of answers that have one; also named as authorization server in the metadata.'),
  audience: strings()
    .optional()
    .describe('Accepted `aud` values; an answer must name one of them. Not checked when absent.'),
  subjectClaim: claimName
    .default('sub')
    .describe(
      'Member of the answer that names the subject. With `sub`, `username` and then `client_id` name it where `sub` is missing.',
    ),
  scopeClaims: claimNames(
    ['scope', 'scp', 'scopes'],
    'Members of the answer read for scopes, all that are present: a list, or a string with spaces.',
  ),
  permissionClaims,
  cacheMs: milliseconds(
    60_000,
    'Longest time that an answer counts, and so the time that a revocation at the authorization server may take; never longer than the `exp` of the token.',
    { min: 1_000, max: 3_600_000 },
  ),
  negativeCacheMs: milliseconds(5_000, 'Time that a token counts as invalid after such an answer.', {
    min: 100,
    max: 60_000,
  }),
  timeoutMs: milliseconds(5_000, 'Longest wait for an answer.', { min: 100, max: 60_000 }),
  maxConcurrent: whole(
    32,
    'Requests about unknown tokens to the endpoint at once, and as many for tokens that were active; clients beyond the bound are answered 503.',
    {
      max: 1_000,
    },
  ),
  maxTokens: whole(10_000, 'Answers that are kept; the least recently used one is dropped.', { max: 1_000_000 }),
  resourceMetadata,
});

const proxyHeaderSchema = z.strictObject({
  type: z
    .literal('proxyHeader')
    .describe('Subject and scopes from headers that a proxy in front of the gateway sets (mTLS, single sign-on).'),
  trustedProxies: strings().describe(
    'Addresses and networks (`10.0.0.0/8`, `fd00::/8`) of the proxies. The headers of other peers are ignored.',
  ),
  subjectHeader: header.default('X-Forwarded-User').describe('Header that names the subject.'),
  scopesHeader: header
    .optional()
    .describe('Header with its scopes, separated by spaces or commas. Without it nobody has a scope.'),
  permissionsHeader: header.optional().describe('Header with its permissions, separated by spaces or commas.'),
  resourceMetadata,
});

/** Most providers of a list. */
const MAX_PROVIDERS = 16;

const providerSchema = z.discriminatedUnion('type', [
  noneSchema,
  bearerSchema,
  basicSchema,
  apiKeySchema,
  jwtSchema,
  oauth2Schema,
  proxyHeaderSchema,
]);

/** `auth` of the configuration. */
export const authSchema = z.union([providerSchema, z.array(providerSchema).max(MAX_PROVIDERS)]);
