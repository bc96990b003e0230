/** What an answer about an active token says of its client (RFC 7662 section 2.2). */
import assert from 'node:assert/strict';
import { after, before, it } from 'node:test';
import type { IntrospectionProvider } from '../../../src/config/snapshot/auth.js';
import { Scheme } from '../../../src/shared/scheme.js';
import type { Principal } from '../../../workers/authenticate/principal.js';
import { Revoked } from '../../../workers/authenticate/revoked.js';
import { authenticatorFor, judge, LoopbackServer } from './tokens.js';

let server: LoopbackServer;
let answer: Record<string, unknown>;
before(async () => {
  server = await LoopbackServer.start((_request, response) => response.end(JSON.stringify(answer)));
});
after(() => server.stop());

function provider(changes: Partial<IntrospectionProvider> = {}): IntrospectionProvider {
  return {
    type: 'oauth2',
    scheme: Scheme.bearer,
    waitsFor: 'the answer of auth.introspectionUrl',
    introspectionUrl: server.url('/introspect'),
    clientId: 'gateway',
    clientSecret: 'secret',
    issuer: null,
    audience: [],
    subjectClaim: 'sub',
    scopeClaims: ['scope', 'scp'],
    permissionClaims: ['permissions'],
    cacheMs: 60_000,
    negativeCacheMs: 5_000,
    timeoutMs: 5_000,
    maxConcurrent: 32,
    maxTokens: 100,
    ...changes,
  };
}

/** The outcome for a token about which the endpoint says that. @param log filled with the sentences of the log */
async function outcome(
  claims: Record<string, unknown>,
  changes: Partial<IntrospectionProvider> = {},
  log: string[] = [],
  revoked = new Revoked([]),
): Promise<Principal | string> {
  answer = { active: true, ...claims };
  return await judge(authenticatorFor(provider(changes), undefined, revoked, log), 'opaque-token');
}

async function subject(claims: Record<string, unknown>, changes?: Partial<IntrospectionProvider>): Promise<string> {
  const found = await outcome(claims, changes);
  return typeof found === 'string' ? found : found.subject;
}

const ALL = { sub: 'ann', username: 'Ann', client_id: 'app' };

it('takes the subject, else the name of the user, else the client', async () => {
  assert.equal(await subject(ALL), 'ann');
  for (const missing of [undefined, null, '']) {
    assert.equal(await subject({ ...ALL, sub: missing }), 'Ann');
    assert.equal(await subject({ ...ALL, sub: missing, username: missing }), 'app');
  }
  assert.equal(await subject({ client_id: 'app' }), 'app');
});

it('takes nothing in the place of another member that the configuration names', async () => {
  assert.equal(await subject({ ...ALL, mail: 'ann@example.com' }, { subjectClaim: 'mail' }), 'ann@example.com');
  assert.equal(await subject(ALL, { subjectClaim: 'mail' }), 'GW_INVALID_TOKEN');
  assert.equal(await subject(ALL, { subjectClaim: 'constructor' }), 'GW_INVALID_TOKEN');
});

it('keeps a user and the client of the same name apart', async () => {
  const digests = new Set<string>();
  for (const name of ['sub', 'username', 'client_id']) {
    digests.add(((await outcome({ [name]: 'ann' })) as Principal).digest.join());
  }
  assert.equal(digests.size, 3);
});

it('says in the log why an active token is refused', async () => {
  const later = Math.floor(Date.now() / 1_000) + 1_000;
  const rows: [claims: Record<string, unknown>, changes: Partial<IntrospectionProvider>, why: string][] = [
    [{}, {}, 'the answer names no subject in "sub", "username", "client_id"'],
    [ALL, { subjectClaim: 'mail' }, 'the answer names no subject in "mail"'],
    [{ ...ALL, sub: 7 }, {}, 'the subject in "sub" is no text'],
    [{ client_id: ['app'] }, {}, 'the subject in "client_id" is no text'],
    [{ ...ALL, iss: 'https://other.example' }, { issuer: 'https://one.example' }, 'it is of another issuer'],
    [{ ...ALL, aud: ['other'] }, { audience: ['gateway'] }, 'it is for another audience'],
    [ALL, { audience: ['gateway'] }, 'it is for another audience'],
    [{ ...ALL, nbf: later }, {}, 'it is not valid yet'],
  ];
  for (const [claims, changes, why] of rows) {
    const log: string[] = [];
    assert.equal(await outcome(claims, changes, log), 'GW_INVALID_TOKEN', why);
    assert.deepEqual(log, [`a token that is active by introspection was refused: ${why}`]);
  }
  const settings = { issuer: 'https://one.example', audience: ['gateway'] };
  assert.equal(await subject({ ...ALL, aud: ['x', 'gateway'] }, settings), 'ann', 'an answer may name no issuer');
  assert.equal(await subject({ ...ALL, aud: 'gateway', iss: settings.issuer }, settings), 'ann');
});

it('gives scopes and permissions, and ends with the answer', async () => {
  const exp = Math.floor(Date.now() / 1_000) + 20;
  const found = (await outcome({ ...ALL, scope: 'a b', scp: ['c', 7], permissions: 'read', exp })) as Principal;
  assert.deepEqual([...found.scopes], ['a', 'b', 'c']);
  assert.deepEqual([...found.permissions], ['read']);
  assert.equal(found.expiresAt, exp);
  assert.equal(await subject({ ...ALL, exp: exp - 30 }), 'GW_INVALID_TOKEN');
  assert.equal(await subject({ ...ALL, exp: `${exp}` }), 'GW_INVALID_TOKEN');
  assert.equal(await subject({ ...ALL, active: 'true' }), 'GW_AUTH_UNAVAILABLE');
  assert.equal(await subject({ ...ALL, active: false }), 'GW_INVALID_TOKEN');
});

it('follows a revocation of the subject, unless the token was issued later', async () => {
  const at = Math.floor(Date.now() / 1_000);
  const revoked = () => new Revoked([{ type: 'revocation', kind: 'subject', value: 'ann', at }]);
  assert.equal(await outcome(ALL, {}, [], revoked()), 'GW_TOKEN_REVOKED');
  assert.equal(await outcome({ ...ALL, iat: at - 1 }, {}, [], revoked()), 'GW_TOKEN_REVOKED');
  assert.equal(typeof (await outcome({ ...ALL, iat: at + 1 }, {}, [], revoked())), 'object');
});
