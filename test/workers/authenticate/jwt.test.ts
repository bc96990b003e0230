/** The attacks on tokens that a gateway must withstand (RFC 8725), row by row, and what it must still accept. */
import assert from 'node:assert/strict';
import { createHmac, generateKeyPairSync, sign } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { EncryptJWT, SignJWT } from 'jose';
import { Scheme } from '../../../src/shared/scheme.js';
import { MAX_TOKEN_BYTES } from '../../../workers/authenticate/jwt.js';
import type { Principal } from '../../../workers/authenticate/principal.js';
import {
  AUDIENCE,
  authenticatorFor,
  checkAt,
  claims,
  hs256,
  ISSUER,
  judge,
  jwtAuth,
  LoopbackServer,
  part,
  rs256,
  rsaKey,
  SECRET,
} from './tokens.js';

const key = rsaKey('k1');
const other = rsaKey('k2');
const withKey = jwtAuth({
  publicKey: JSON.stringify({ keys: [key.jwk] }),
  algorithms: ['RS256', 'RS384', 'PS256', 'HS256'],
});
const now = Math.floor(Date.now() / 1000);

async function refused(token: string | null, auth = withKey): Promise<void> {
  assert.equal(await judge(authenticatorFor(auth), token), token === null ? 'GW_UNAUTHENTICATED' : 'GW_INVALID_TOKEN');
}

async function accepted(token: string, auth = withKey): Promise<Principal> {
  const principal = await judge(authenticatorFor(auth), token);
  assert.notEqual(typeof principal, 'string', `${principal as string}`);
  return principal as Principal;
}

describe('tokens that are refused', () => {
  const good = rs256(key);
  const [head, body, signature] = good.split('.') as [string, string, string];

  it('the base case is accepted, so the rows below fail for their own reason', async () => {
    await accepted(good);
  });

  const rows: readonly (readonly [string, () => string | Promise<string>])[] = [
    ['alg none', () => `${part({ alg: 'none' })}.${body}.`],
    ['alg nOnE with a signature', () => `${part({ alg: 'nOnE' })}.${body}.${signature}`],
    ['alg none with a signature', () => `${part({ alg: 'none', kid: 'k1' })}.${body}.${signature}`],
    ['HS256 signed with the public key as PEM', () => hs256(key.pem)],
    ['HS256 signed with the public key as PEM, with kid', () => hs256(key.pem, claims(), { kid: 'k1' })],
    ['HS256 signed with the JWK text', () => hs256(JSON.stringify(key.jwk), claims(), { kid: 'k1' })],
    ['a key of the attacker embedded as jwk', () => rs256(other, claims(), { kid: undefined, jwk: other.jwk })],
    [
      'a key of the attacker embedded as jwk, kid of the victim',
      () => rs256(other, claims(), { kid: 'k1', jwk: other.jwk }),
    ],
    ['kid that is a path', () => rs256(key, claims(), { kid: '../../dev/null' })],
    ['kid __proto__', () => rs256(key, claims(), { kid: '__proto__' })],
    ['kid that is SQL', () => rs256(key, claims(), { kid: "' OR 1=1 --" })],
    ['kid that is no text', () => rs256(key, claims(), { kid: 7 })],
    ['kid of 6 KB', () => rs256(key, claims(), { kid: 'k'.repeat(6000) })],
    ['signed by another key', () => rs256(other, claims(), { kid: 'k1' })],
    ['empty signature', () => `${head}.${body}.`],
    ['two parts', () => `${head}.${body}`],
    ['four parts', () => `${good}.AA`],
    ['one part', () => head],
    ['dots only', () => '..'],
    ['empty text', () => ''],
    ['1 MB', () => `${head}.${'A'.repeat(1_000_000)}.${signature}`],
    ['one byte above the limit', () => rs256(key, claims({ filler: 'x'.repeat(MAX_TOKEN_BYTES) }))],
    ['expired', () => rs256(key, claims({ exp: now - 60 }))],
    ['expired a little longer than the tolerance', () => rs256(key, claims({ exp: now - 6 }))],
    ['not yet valid', () => rs256(key, claims({ nbf: now + 60 }))],
    ['wrong audience', () => rs256(key, claims({ aud: 'https://other.example' }))],
    ['no audience', () => rs256(key, claims({ aud: undefined }))],
    ['empty list of audiences', () => rs256(key, claims({ aud: [] }))],
    ['wrong issuer', () => rs256(key, claims({ iss: 'https://evil.example' }))],
    ['no issuer', () => rs256(key, claims({ iss: undefined }))],
    ['no exp', () => rs256(key, claims({ exp: undefined }))],
    ['exp that is text', () => rs256(key, claims({ exp: `${now + 300}` }))],
    ['no subject', () => rs256(key, claims({ sub: undefined }))],
    ['empty subject', () => rs256(key, claims({ sub: '' }))],
    ['subject that is a number', () => rs256(key, claims({ sub: 7 }))],
    ['padding', () => `${good}==`],
    ['padding inside', () => `${head}=.${body}.${signature}`],
    ['a space before', () => ` ${good}`],
    ['a space inside', () => `${head}. ${body}.${signature}`],
    ['a line break behind', () => `${good}\n`],
    ['standard base64 alphabet', () => `${head}.${body}.${signature.slice(0, -1)}+`],
    ['a stray bit in the last character', () => `${head}.${body}.${respell(signature)}`],
    [
      'a length base64 cannot have',
      () => `${head}.${body}.${signature}AAA`.replace(/AAA$/, 'A'.repeat((5 - (signature.length % 4)) % 4 || 1)),
    ],
    ['crit with an unknown name', () => rs256(key, claims(), { crit: ['exp2'], exp2: 1 })],
    ['crit empty', () => rs256(key, claims(), { crit: [] })],
    ['b64 false', () => rs256(key, claims(), { b64: false, crit: ['b64'] })],
    ['payload that is no JSON', () => rs256(key, 'not json')],
    ['payload that is a list', () => rs256(key, [])],
    ['header that is no JSON', () => `${part('{')}.${body}.${signature}`],
    [
      'an algorithm that is not on the list',
      () => new SignJWT(claims()).setProtectedHeader({ alg: 'RS512', kid: 'k1' }).sign(key.privateKey),
    ],
    [
      'an encrypted token',
      () => new EncryptJWT(claims()).setProtectedHeader({ alg: 'RSA-OAEP-256', enc: 'A256GCM' }).encrypt(key.publicKey),
    ],
    ['the payload changed', () => `${head}.${part(claims({ sub: 'mallory' }))}.${signature}`],
  ];
  for (const [name, token] of rows) {
    it(name, async () => refused(await token()));
  }

  it('no token at all', () => refused(null));

  it('a secret never checks what a public key should, nor the reverse', async () => {
    await refused(rs256(key), jwtAuth({ secret: SECRET, algorithms: ['RS256', 'HS256'] }));
    await refused(hs256(SECRET), jwtAuth({ publicKey: key.pem, algorithms: ['RS256', 'HS256'] }));
    await refused(
      hs256('another secret, which is long enough too'),
      jwtAuth({ secret: SECRET, algorithms: ['HS256'] }),
    );
  });

  /** Another last character for the same bytes: base64url leaves unused bits there. */
  function respell(text: string): string {
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
    const last = alphabet.indexOf(text.at(-1)!);
    const changed = text.slice(0, -1) + alphabet.charAt(last ^ 1);
    assert.deepEqual(Buffer.from(changed, 'base64url'), Buffer.from(text, 'base64url'));
    return changed;
  }
});

describe('header parameters that name a key elsewhere', () => {
  let trap: LoopbackServer;
  before(async () => {
    trap = await LoopbackServer.start((_request, response) => response.end(JSON.stringify({ keys: [other.jwk] })));
  });
  after(() => trap.stop());

  it('are not followed: the trap gets no connection', async () => {
    for (const kid of ['k1', 'k2', undefined]) {
      for (const name of ['jku', 'x5u']) await refused(rs256(other, claims(), { kid, [name]: trap.url() }));
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.equal(trap.connections, 0);
  });
});

describe('tokens that are accepted', () => {
  it('with a secret, a PEM, a JWK, a key set', async () => {
    await accepted(hs256(SECRET), jwtAuth({ secret: SECRET, algorithms: ['HS256'] }));
    await accepted(rs256(key), jwtAuth({ publicKey: key.pem }));
    await accepted(rs256(key), jwtAuth({ publicKey: JSON.stringify(key.jwk) }));
    await accepted(rs256(other), jwtAuth({ publicKey: JSON.stringify({ keys: [key.jwk, other.jwk] }) }));
  });

  it('without kid, whichever of several keys signed it', async () => {
    const set = jwtAuth({ publicKey: JSON.stringify({ keys: [key.jwk, other.jwk] }) });
    await accepted(rs256(other, claims(), { kid: undefined }), set);
    await accepted(rs256(key, claims(), { kid: undefined }), set);
    await refused(rs256(rsaKey('k3'), claims(), { kid: undefined }), set);
  });

  it('of every algorithm on the list', async () => {
    for (const alg of ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512']) {
      const token = await new SignJWT(claims()).setProtectedHeader({ alg }).sign(key.privateKey);
      await accepted(token, jwtAuth({ publicKey: key.pem, algorithms: [alg] }));
    }
    for (const [alg, namedCurve] of [
      ['ES256', 'P-256'],
      ['ES384', 'P-384'],
      ['ES512', 'P-521'],
    ] as const) {
      const pair = generateKeyPairSync('ec', { namedCurve });
      const token = await new SignJWT(claims()).setProtectedHeader({ alg }).sign(pair.privateKey);
      await accepted(
        token,
        jwtAuth({ publicKey: pair.publicKey.export({ type: 'spki', format: 'pem' }).toString(), algorithms: [alg] }),
      );
    }
    const pair = generateKeyPairSync('ed25519');
    const signed = `${part({ alg: 'EdDSA' })}.${part(claims())}`;
    const token = `${signed}.${sign(null, Buffer.from(signed), pair.privateKey).toString('base64url')}`;
    await accepted(
      token,
      jwtAuth({ publicKey: JSON.stringify(pair.publicKey.export({ format: 'jwk' })), algorithms: ['EdDSA'] }),
    );
    for (const alg of ['HS256', 'HS384', 'HS512']) {
      const secret = 's'.repeat(64);
      const text = `${part({ alg })}.${part(claims())}`;
      const mac = createHmac(`sha${alg.slice(2)}`, secret)
        .update(text)
        .digest('base64url');
      await accepted(`${text}.${mac}`, jwtAuth({ secret, algorithms: [alg] }));
    }
  });

  it('give subject, scopes and end', async () => {
    const exp = now + 100;
    const principal = await accepted(rs256(key, claims({ exp })));
    assert.equal(principal.subject, 'alice');
    assert.deepEqual([...principal.scopes], ['read', 'write']);
    assert.equal(principal.expiresAt, exp + 5);
    assert.ok(principal.digest.some((word) => word !== 0));
    assert.deepEqual(
      [...(await accepted(rs256(key, claims({ scope: undefined, scp: ['a', 'b', 7] })))).scopes],
      ['a', 'b'],
    );
    assert.deepEqual([...(await accepted(rs256(key, claims({ scope: undefined })))).scopes], []);
    assert.equal(
      (await accepted(rs256(key, claims({ client: 'c' })), { ...withKey, subjectClaim: 'client' })).subject,
      'c',
    );
    await accepted(rs256(key, claims({ aud: ['https://other.example', AUDIENCE] })));
    await accepted(rs256(key, claims({ exp: Math.floor(Date.now() / 1000) - 1 })));
  });

  it('have different digests for equal subjects of different issuers', async () => {
    const anyIssuer = { ...withKey, issuer: null };
    const a = await accepted(rs256(key, claims({ iss: `${ISSUER}/a` })), anyIssuer);
    const b = await accepted(rs256(key, claims({ iss: `${ISSUER}/b` })), anyIssuer);
    const again = await accepted(rs256(key, claims({ iss: `${ISSUER}/a`, jti: '2' })), anyIssuer);
    assert.notDeepEqual(a.digest, b.digest);
    assert.deepEqual(a.digest, again.digest);
    const c = await accepted(rs256(key, claims({ iss: `${ISSUER}/a`, sub: 'bc' })), anyIssuer);
    const d = await accepted(rs256(key, claims({ iss: `${ISSUER}/ab`, sub: 'c' })), anyIssuer);
    assert.notDeepEqual(c.digest, d.digest, 'the end of the issuer counts');
  });

  it('are verified once, then known until they expire', async () => {
    const authenticator = authenticatorFor(withKey);
    const token = rs256(key, claims({ exp: now + 100 }));
    const at = (seconds: number): number => checkAt(authenticator, token, seconds);
    assert.equal(at(now), 0);
    const [first, second] = await Promise.all([
      authenticator.verify(Scheme.bearer, token),
      authenticator.verify(Scheme.bearer, token),
    ]);
    assert.equal(first, second);
    assert.equal(at(now), 1);
    assert.equal(at(now + 104), 1);
    assert.equal(at(now + 105), 0, 'not remembered any more: to be verified, which will refuse it');
    await authenticator.verify(Scheme.bearer, token);
    assert.equal(at(now), 1);
    authenticator.forget();
    assert.equal(at(now), 0);
  });

  it('are not remembered if what they were verified by has changed meanwhile', async () => {
    const authenticator = authenticatorFor(withKey);
    const tokens = [rs256(key, claims({ exp: now + 100 })), rs256(other, claims(), { kid: 'k1' })];
    const verified = tokens.map((token) => authenticator.verify(Scheme.bearer, token));
    authenticator.forget();
    await Promise.all(verified);
    for (const token of tokens) assert.equal(checkAt(authenticator, token, now), 0);
  });

  it('are known apart, whatever their lengths and last bytes', async () => {
    const authenticator = authenticatorFor(withKey);
    const tokens = Array.from({ length: 12 }, (_, i) => rs256(key, claims({ sub: `s${'x'.repeat(i)}`, jti: i })));
    for (let round = 0; round < 3; round += 1) {
      for (const [i, token] of tokens.entries()) {
        assert.equal(((await judge(authenticator, token)) as Principal).subject, `s${'x'.repeat(i)}`);
        for (const changed of [`${token}A`, token.slice(0, -1), `A${token.slice(1)}`]) {
          assert.equal(await judge(authenticator, changed), 'GW_INVALID_TOKEN');
        }
      }
    }
  });

  it('refusals are remembered for a moment, under the digest of exactly this token', async () => {
    const authenticator = authenticatorFor(withKey);
    const bad = rs256(other, claims(), { kid: 'k1' });
    assert.equal(await judge(authenticator, bad), 'GW_INVALID_TOKEN');
    assert.equal(checkAt(authenticator, bad, now), 2);
    assert.notEqual(typeof (await judge(authenticator, rs256(key))), 'string');
  });
});
