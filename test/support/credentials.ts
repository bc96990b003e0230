/** Credentials of every kind, and a list of providers that takes them. */
import { createHmac, scryptSync } from 'node:crypto';
import { hashSync } from 'bcryptjs';
import type { GatewayConfig } from '../../src/index.js';
import type { AuthorizationServer, IssuedToken } from './authorization-server.js';

/** Of the issuer `https://one.example`. */
export const SECRET = 'a shared secret of more than thirty-two bytes';
export const base64 = (text: string): string => Buffer.from(text).toString('base64');
export const basic = (name: string, password: string) => ({ authorization: `Basic ${base64(`${name}:${password}`)}` });
export const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
export const now = (): number => Math.floor(Date.now() / 1_000);

/** A password hashed by scrypt, quick to check. */
export function phc(password: string): string {
  const salt = Buffer.from('sixteen salt byt');
  const unpadded = (bytes: Buffer): string => bytes.toString('base64').replace(/=+$/, '');
  return `$scrypt$ln=10,r=8,p=1$${unpadded(salt)}$${unpadded(scryptSync(password, salt, 32, { N: 1024, r: 8, p: 1 }))}`;
}

export const part = (value: unknown): string =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');

/** Claims of a token that the gateway takes; `undefined` leaves one out. */
export function claims(changes: object = {}): Record<string, unknown> {
  return { iss: 'https://one.example', aud: 'gateway', sub: 'joe', iat: now(), exp: now() + 600, ...changes };
}

/** A token signed by HS256. @param header besides `alg` and `typ`, or instead of them */
export function jwt(changes: object = {}, header: object = {}, secret: string | Buffer = SECRET): string {
  const signed = `${part({ alg: 'HS256', typ: 'JWT', ...header })}.${part(claims(changes))}`;
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`;
}

/** Providers of every type; two issuers of JWTs, one of them with the key set of `authority`. */
export function providers(authority: AuthorizationServer): Extract<GatewayConfig['auth'], readonly unknown[]> {
  const common = { type: 'jwt', audience: 'gateway', clockToleranceSeconds: 0 } as const;
  return [
    {
      type: 'basic',
      users: {
        ann: { password: 'plain password of ann', scopes: 'use' },
        björn: { password: phc('pässwörd'), scopes: 'use' },
        cleo: { password: hashSync('password of cleo', 4), scopes: 'use' },
      },
    },
    { type: 'bearer', tokens: { bob: { token: 'token-of-bob', scopes: ['use', 'admin'], permissions: ['read'] } } },
    {
      type: 'apiKey',
      header: 'X-API-Key',
      keys: { carl: { key: 'key of {carl}'.replaceAll(' ', '_'), scopes: ['use'] } },
    },
    { ...common, issuer: 'https://one.example', secret: SECRET },
    { ...common, issuer: authority.issuer, jwksUrl: authority.url('jwks'), algorithms: 'ES256' },
    {
      type: 'oauth2',
      introspectionUrl: authority.url('introspect'),
      clientId: 'gateway',
      clientSecret: 'gateway-secret',
      audience: 'gateway',
      cacheMs: 1_000,
      negativeCacheMs: 100,
    },
    { type: 'proxyHeader', trustedProxies: '127.0.0.0/8', subjectHeader: 'X-User', scopesHeader: 'X-Groups' },
  ];
}

/** Adds a token that is no JWT. @param changes what `authority` says about it, by default that it is of `olga`, for the gateway */
export function opaque(authority: AuthorizationServer, token: string, changes: Partial<IssuedToken> = {}): string {
  const expiresAt = Date.now() + 600_000;
  const told = { subject: 'olga', scope: 'use', audience: 'gateway', clientId: 'c', expiresAt, active: true };
  authority.tokens.set(token, { ...told, ...changes });
  return token;
}
