/** Each endpoint has authenticators of its own: of `auth`, and of the views with one. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { everyAuth } from '../../../src/config/snapshot/endpoint-auth.js';
import { CredentialChecks } from '../../../src/control/credentials/checks.js';
import { Counters, counterMemory } from '../../../src/shared/counters.js';
import { CREDENTIAL_SEPARATOR, Scheme } from '../../../src/shared/scheme.js';
import { Authenticators } from '../../../workers/authenticate/authenticators.js';
import type { Principal } from '../../../workers/authenticate/principal.js';
import { snapshotOfObject } from '../../config/support.js';
import { startAuthorizationServer } from '../../support/authorization-server.js';
import type { TestScope } from '../../support/process.js';
import { AUDIENCE, hs256, ISSUER, judge, SECRET, verifierContext } from './tokens.js';

/** Every kind of provider, each with a client `alice`. */
const providers = (introspectionUrl: string, clientId = 'gateway') => [
  { type: 'bearer', tokens: { alice: 'token-of-alice' } },
  { type: 'basic', users: { alice: 'password' } },
  { type: 'apiKey', keys: { alice: 'key-of-alice' } },
  { type: 'jwt', issuer: ISSUER, audience: AUDIENCE, secret: SECRET },
  { type: 'oauth2', introspectionUrl, clientId, clientSecret: 'gateway-secret' },
  { type: 'proxyHeader', trustedProxies: '127.0.0.1' },
];
const base64 = (text: string): string => Buffer.from(text).toString('base64');
const CREDENTIALS: readonly (readonly [scheme: number, credential: string])[] = [
  [Scheme.bearer, 'token-of-alice'],
  [Scheme.basic, base64('alice:password')],
  [Scheme.header, 'key-of-alice'],
  [Scheme.bearer, hs256(SECRET)],
  [Scheme.bearer, 'opaque-of-alice'],
  [Scheme.header + 1, ['alice', '', ''].join(CREDENTIAL_SEPARATOR)],
];

async function started(scope: TestScope) {
  const authority = await startAuthorizationServer(scope);
  const expiresAt = Date.now() + 600_000;
  const alice = { subject: 'alice', scope: '', audience: AUDIENCE, clientId: 'c', expiresAt, active: true };
  authority.tokens.set('opaque-of-alice', alice);
  const url = authority.url('introspect');
  const counters = new Counters(counterMemory(1, 1), 0);
  const front = new CredentialChecks({ checkPassword: async () => false }, counters, { warn: () => {} });
  return { url, front, context: verifierContext(counters, front), asked: () => authority.requests.length };
}

const viewsOf = (auth: unknown) => ({ '/own': { auth }, '/same': {}, '/open': { auth: { type: 'none' } } });

test('the same client is another principal in each view with providers of its own, of every kind', async (scope) => {
  const { asked, context, front, url } = await started(scope);
  const snapshot = snapshotOfObject({ auth: providers(url), views: viewsOf(providers(url)) });
  front.configure(everyAuth(snapshot));
  const all = new Authenticators(snapshot, context);
  assert.equal(all.at(2), all.at(0), 'a view without providers has those of the gateway');
  for (const [scheme, credential] of CREDENTIALS) {
    const [gateway, own, open] = [0, 1, 3].map((view) =>
      judge(all.at(view), credential, scheme),
    ) as Promise<Principal>[];
    const found = [(await gateway)!, (await own)!];
    assert.deepEqual(
      found.map(({ subject }) => subject),
      ['alice', 'alice'],
      credential,
    );
    assert.notDeepEqual(found[0]!.digest, found[1]!.digest, credential);
    assert.deepEqual([...(await open)!.digest], [0, 0, 0, 0]);
  }
  assert.equal(asked(), 2, 'each realm asks with the credentials of its own client');
});

test('a reload replaces the authenticator of the view that changed, and no other', async (scope) => {
  const { context, url } = await started(scope);
  const before = snapshotOfObject({ auth: providers(url), views: viewsOf(providers(url)) });
  const all = new Authenticators(before, context);
  const first = [0, 1, 2, 3].map((view) => all.at(view));
  all.reconfigure(snapshotOfObject({ auth: providers(url), views: viewsOf(providers(url, 'another')) }));
  assert.deepEqual(
    [0, 1, 2, 3].map((view) => all.at(view) === first[view]),
    [true, false, true, true],
  );
});
