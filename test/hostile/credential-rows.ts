/** Credentials in requests: those that providers of test/support/credentials.ts take, and forged ones that they must not take. */
import { createPublicKey, generateKeyPairSync, type JsonWebKey, type KeyObject, sign } from 'node:crypto';
import { EncryptJWT } from 'jose';
import type { AuthorizationServer } from '../support/authorization-server.js';
import { base64, basic, bearer, claims, jwt, now, opaque, part, phc } from '../support/credentials.js';

/** Header fields by what they are. */
export type CredentialRows = Readonly<Record<string, Readonly<Record<string, string>>>>;

/** What is accepted. The base cases of the forged ones are among them, so that those are refused for their own reason. */
export async function goodCredentials(authority: AuthorizationServer): Promise<CredentialRows> {
  const key = { 'x-api-key': 'key_of_{carl}' };
  return {
    'a plain password': basic('ann', 'plain password of ann'),
    'a password hashed by scrypt, in UTF-8': basic('björn', 'pässwörd'),
    'a password hashed by bcrypt': basic('cleo', 'password of cleo'),
    'a token of the table': bearer('token-of-bob'),
    'a scheme in other letters, with spaces behind': { authorization: 'bEARER   token-of-bob' },
    'Basic in other letters': { authorization: `BASIC ${base64('ann:plain password of ann')}` },
    'a key': key,
    'a key beside an Authorization that no provider takes': { authorization: 'Digest x', ...key },
    'a JWT with a secret': bearer(jwt({ scope: 'use' })),
    'a JWT of another issuer with a key set': bearer(
      await authority.issue({ subject: 'kim', scope: 'use', audience: 'gateway' }),
    ),
    'an opaque token': bearer(opaque(authority, 'opaque-token')),
    'an opaque token of a client without a user': bearer(opaque(authority, 'opaque-client', { subject: '' })),
    'headers of the proxy': { 'x-user': 'pat', 'x-groups': 'other, use' },
  };
}

/**
 * What is refused with 401.
 *
 * @param trap an address that no gateway may connect to
 */
export async function forgedCredentials(authority: AuthorizationServer, trap: string): Promise<CredentialRows> {
  return {
    'no credential': {},
    ...forgedHeaders(),
    ...forgedJwts(),
    ...(await forgedKeys(authority, trap)),
    ...forgedOpaque(authority),
  };
}

function forgedHeaders(): CredentialRows {
  const ann = basic('ann', 'plain password of ann');
  const field = (authorization: string) => ({ authorization });
  const key = { 'x-api-key': 'key_of_{carl}' };
  return {
    'an unknown scheme': field('Digest username=ann'),
    'a scheme alone': field('Bearer'),
    'a token alone': field('token-of-bob'),
    'a tab behind the scheme': field('Bearer\ttoken-of-bob'),
    'no space behind the scheme': field('Bearertoken-of-bob'),
    'a token and more': field('Bearer token-of-bob x'),
    'a list of tokens': field('Bearer token-of-bob, Bearer token-of-bob'),
    'a list of schemes': field(`Digest x, ${ann.authorization}`),
    'the scheme of another': field(ann.authorization.replace('Basic', 'Bearer')),
    'a token as Basic': field('Basic token-of-bob'),
    'a wrong password': basic('ann', 'plain password of bob'),
    'a name in other letters': basic('Ann', 'plain password of ann'),
    'no password': basic('ann', ''),
    'a wrong hashed password': basic('cleo', 'password of cle'),
    'the hash as the password': basic('björn', phc('pässwörd')),
    'an unknown user': basic('nobody', 'password of cleo'),
    'a user of the prototype': basic('__proto__', 'x'),
    'Basic without a colon': field(`Basic ${base64('ann')}`),
    'Basic in latin1': field(`Basic ${Buffer.from('björn:pässwörd', 'latin1').toString('base64')}`),
    'Basic with a NUL': basic('ann', 'plain password of ann\0'),
    'Basic with other padding': field(ann.authorization.replace(/=+$/, '!')),
    'Basic without padding': field(ann.authorization.replace(/=+$/, '')),
    'Basic with a stray bit': field(
      respelled(ann.authorization.replace(/=+$/, ''), STANDARD).padEnd(ann.authorization.length, '='),
    ),
    'a token as a password': basic('bob', 'token-of-bob'),
    'a token in the header of keys': { 'x-api-key': 'token-of-bob' },
    'a key as a token': bearer('key_of_carl'),
    'a key with another character': { 'x-api-key': 'key_of_{carl} x' },
    'a longer token': bearer('token-of-bob2'),
    '7 KB of token': bearer('a'.repeat(7_000)),
    'a subject of no proxy header': { 'x-groups': 'use' },
    'a subject in another alphabet': { 'x-user': 'p\u00e4t' },
    'a wrong password beside a right key': { ...basic('ann', 'x'), ...key },
    'a wrong token beside a right key': { ...bearer('x'), ...key },
    'a wrong key beside a subject of the proxy': { 'x-api-key': 'x', 'x-user': 'pat' },
  };
}

/** In the name of the issuer with a secret. */
function forgedJwts(): CredentialRows {
  const [head = '', body = '', signature = ''] = jwt().split('.');
  const none = (alg: string) => `${part({ alg })}.${body}`;
  const rows: Record<string, string> = {
    'alg none': `${none('none')}.`,
    'alg nOnE': `${none('nOnE')}.`,
    'alg none with a signature': `${none('none')}.${signature}`,
    'another secret': jwt({}, {}, 'another secret of more than thirty-two bytes'),
    'an unknown issuer': jwt({ iss: 'https://unknown.example' }),
    'no issuer': jwt({ iss: undefined }),
    'an issuer with a slash behind': jwt({ iss: 'https://one.example/' }),
    'a list of issuers': jwt({ iss: ['https://one.example'] }),
    expired: jwt({ exp: now() - 1 }),
    'not valid yet': jwt({ nbf: now() + 100 }),
    'issued in the future': jwt({ iat: now() + 100 }),
    'no exp': jwt({ exp: undefined }),
    'exp that is text': jwt({ exp: `${now() + 600}` }),
    'another audience': jwt({ aud: 'other' }),
    'no audience': jwt({ aud: undefined }),
    'an empty list of audiences': jwt({ aud: [] }),
    'no subject': jwt({ sub: undefined }),
    'an empty subject': jwt({ sub: '' }),
    'a subject that is a number': jwt({ sub: 7 }),
    'an unknown crit': jwt({}, { crit: ['x'], x: 1 }),
    'b64: false': jwt({}, { crit: ['b64'], b64: false }),
    'an algorithm that is not on the list': jwt({}, { alg: 'HS512' }),
    'another payload': `${head}.${part(claims({ sub: 'mallory' }))}.${signature}`,
    'an empty signature': `${head}.${body}.`,
    'two parts': `${head}.${body}`,
    'four parts': `${head}.${body}.${signature}.AA`,
    'dots only': '..',
    padding: `${head}.${body}.${signature}=`,
    'padding inside': `${head}=.${body}.${signature}`,
    'a space inside': `${head}. ${body}.${signature}`,
    'a stray bit in the last character': `${head}.${body}.${respelled(signature, URL_SAFE)}`,
    'another alphabet': `${head}.${body}.${signature.slice(0, -1)}+`,
  };
  return Object.fromEntries(Object.entries(rows).map(([what, token]) => [what, bearer(token)]));
}

/** In the name of the issuer with a key set. */
async function forgedKeys(authority: AuthorizationServer, trap: string): Promise<CredentialRows> {
  const { keys } = (await (await fetch(authority.url('jwks'))).json()) as { keys: [JsonWebKey & { kid: string }] };
  const [{ kid, ...jwk }] = keys;
  const victim = createPublicKey({ key: jwk, format: 'jwk' });
  const pem = victim.export({ type: 'spki', format: 'pem' }).toString();
  const own = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const ownJwk = { ...own.publicKey.export({ format: 'jwk' }), kid: 'own' };
  const iss = authority.issuer;
  const signed = (header: object) => es256({ iss }, header, own.privateKey);
  const encrypted = await new EncryptJWT(claims({ iss }))
    .setProtectedHeader({ alg: 'ECDH-ES', enc: 'A256GCM', kid })
    .encrypt(victim);
  const rows: Record<string, string> = {
    'HS256 with the public key as its secret': jwt({ iss }, {}, pem),
    'HS256 with the public key as its secret, and kid': jwt({ iss }, { kid }, pem),
    'HS256 with the JWK as its secret': jwt({ iss }, { kid }, JSON.stringify(keys[0])),
    'the secret of one issuer in the name of another': jwt({ iss }),
    'the key of one issuer in the name of another': es256({}, { kid }, own.privateKey),
    'another key': signed({ kid }),
    'another key, without kid': signed({}),
    'another key embedded as jwk': signed({ jwk: ownJwk }),
    'another key embedded as jwk, and kid': signed({ kid, jwk: ownJwk }),
    'jku that leads elsewhere': signed({ kid: 'own', jku: trap }),
    'jku that leads elsewhere, and kid': signed({ kid, jku: trap }),
    'x5u that leads elsewhere': signed({ kid: 'own', x5u: trap }),
    'kid that is a path': signed({ kid: '../../dev/null' }),
    'kid that is an address': signed({ kid: trap }),
    'kid of the prototype': signed({ kid: '__proto__' }),
    'kid that is SQL': signed({ kid: "' OR 1=1 --" }),
    'kid that is a number': signed({ kid: 7 }),
    'kid of 4 KB': signed({ kid: 'k'.repeat(4_096) }),
    'an encrypted token': encrypted,
  };
  return Object.fromEntries(Object.entries(rows).map(([what, token]) => [what, bearer(token)]));
}

function forgedOpaque(authority: AuthorizationServer): CredentialRows {
  return {
    'an opaque token that nobody issued': bearer('opaque-unknown'),
    'an opaque token for another audience': bearer(opaque(authority, 'opaque-other', { audience: 'other' })),
    'an opaque token that has expired': bearer(opaque(authority, 'opaque-expired', { expiresAt: Date.now() - 1_000 })),
    'an opaque token that was revoked': bearer(opaque(authority, 'opaque-revoked', { active: false })),
    'an opaque token of nobody': bearer(opaque(authority, 'opaque-nobody', { subject: '', clientId: '' })),
    'an opaque token in other characters': bearer(opaque(authority, 'opaque{token}')),
    'an opaque token of 9 KB': bearer(opaque(authority, 'a'.repeat(9_000))),
  };
}

function es256(changes: object, header: object, key: KeyObject): string {
  const text = `${part({ alg: 'ES256', typ: 'JWT', ...header })}.${part(claims(changes))}`;
  return `${text}.${sign('sha256', Buffer.from(text), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`;
}

const STANDARD = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
const URL_SAFE = STANDARD.replace('+/', '-_');

/** Another last character for the same bytes: base64 leaves unused bits there (RFC 4648 section 3.5). */
function respelled(text: string, alphabet: string): string {
  return text.slice(0, -1) + alphabet.charAt(alphabet.indexOf(text.at(-1) ?? '') ^ 1);
}
