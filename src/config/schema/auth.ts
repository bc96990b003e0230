/** Authentication of clients. */
import { z } from 'zod';
import { alias, holds, milliseconds, named, strings, whole } from './fields.js';

const resourceMetadata = z
  .url()
  .optional()
  .describe('URL of the protected-resource metadata (RFC 9728) named in `WWW-Authenticate` of a 401.');

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
  .describe('Scopes the token grants: a list, or one string with spaces between them.');
const token = holds(
  'secret',
  z.string().min(8).max(4_096).describe('The token, at least 8 characters; best taken from a variable.'),
);

const noneSchema = z.strictObject({
  type: z.literal('none').describe('No authentication. Only on a loopback `host`, or with `allowUnauthenticated`.'),
});

const bearerSchema = z.strictObject({
  type: z.literal('bearer').describe('A fixed list of bearer tokens.'),
  tokens: z
    .union([
      z.array(z.strictObject({ token, subject: z.string().min(1).max(256).describe('Subject of the token.'), scopes })),
      named(z.union([token, z.strictObject({ token, scopes })])),
    ])
    .describe('A list of {token, subject, scopes}, or a map from subject to a token or to {token, scopes}.'),
  resourceMetadata,
});

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
  subjectClaim: z.string().min(1).max(128).default('sub').describe('Claim that names the subject.'),
  scopeClaims: z
    .array(z.string().min(1).max(128))
    .min(1)
    .max(8)
    .default(['scope', 'scp', 'scopes', 'permissions'])
    .describe('Claims read for scopes, all that are present: a list, or a string with spaces.'),
  resourceMetadata,
});

/** `auth` of the configuration. */
export const authSchema = z.discriminatedUnion('type', [noneSchema, bearerSchema, jwtSchema]);
