import assert from 'node:assert/strict';
import { readdir, readFile, stat, utimes, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { HandleSealer } from '../../../src/session/handles.js';
import { LockTimeout, withFileLock } from '../../../src/upstream/credentials/file-lock.js';
import { LoginError, LoginFlow, type OAuthSnapshot } from '../../../src/upstream/credentials/login-flow.js';
import { LoginStore, LoginStoreError, loginKey } from '../../../src/upstream/credentials/login-store.js';
import { LoginToken } from '../../../src/upstream/credentials/login-token.js';
import { TokenError } from '../../../src/upstream/credentials/token-endpoint.js';
import { type Fault, startAuthorizationServer } from '../../support/authorization-server.js';
import { type TestScope, tempFolder } from '../../support/process.js';
import { startProtectedServer } from '../../support/protected-server.js';

const sealer = (secret = 'a'.repeat(32)): HandleSealer => new HandleSealer([secret], 'upstream login', 'sy1u.');
const REDIRECT = 'http://127.0.0.1:1/oauth/callback';

async function startPeers(t: TestScope) {
  const authority = await startAuthorizationServer(t);
  const upstream = await startProtectedServer(
    t,
    ({ authorization }) => authority.check(authorization)?.subject ?? null,
  );
  upstream.authorizationServer = authority.issuer;
  const auth: OAuthSnapshot = {
    type: 'oauth',
    server: 'tracker',
    serverUrl: upstream.url,
    clientId: '',
    clientSecret: '',
    scope: '',
    redirectUrl: '',
    redirectPort: 0,
    clientMetadataUrl: '',
    per: 'gateway',
  };
  return { authority, upstream, auth, key: loginKey('tracker', upstream.url, '') };
}

/** Logs in as the user of the authorization server. */
async function logIn(auth: OAuthSnapshot) {
  const flow = new LoginFlow(auth, REDIRECT, null, '');
  const response = await fetch(await flow.start(), { redirect: 'manual' });
  return await flow.finish(new URL(response.headers.get('location') ?? '').searchParams);
}

const observer = () => ({
  invitation: 'Log in.',
  reasons: [] as string[],
  notKept(reason: string) {
    this.reasons.push(reason);
  },
});

test('many tokens over one file renew it once, each process with the token of the other', async (t) => {
  const { auth, authority, key } = await startPeers(t);
  const folder = await tempFolder(t);
  const store = (): LoginStore => new LoginStore(folder, sealer(), 10);
  await store().locked(key, async () => store().write(key, await logIn(auth)));
  const tokens = Array.from({ length: 6 }, () => new LoginToken(auth, key, store(), observer()));
  const first = await Promise.all(tokens.map((token) => token.request()));
  assert.equal(new Set(first.map(({ accessToken }) => accessToken)).size, 1);
  assert.equal(authority.tokenRequests('refresh_token').length, 0);
  // Asked again: the token that was given does not serve any more.
  const second = await Promise.all(tokens.map((token) => token.request()));
  assert.equal(new Set(second.map(({ accessToken }) => accessToken)).size, 1);
  assert.notEqual(second[0]?.accessToken, first[0]?.accessToken);
  assert.equal(authority.tokenRequests('refresh_token').length, 1);
  assert.deepEqual(
    (await readdir(folder)).filter((name) => !name.endsWith('.login')),
    [],
    'no lock stays',
  );
});

test('whatever fails, a login ends by invalid_grant alone', async (t) => {
  const { auth, authority, key } = await startPeers(t);
  const store = new LoginStore(null, sealer(), 10);
  const faults: readonly Fault[] = [
    'none',
    'down',
    'reset',
    'garbage',
    'huge',
    'redirect',
    'invalid_client',
    'invalid_grant',
  ];
  await fc.assert(
    fc.asyncProperty(fc.array(fc.constantFrom(...faults), { maxLength: 6 }), async (sequence) => {
      authority.fault = 'none';
      await store.write(key, await logIn(auth));
      const before = await store.read(key);
      const token = new LoginToken(auth, key, store, observer());
      await token.request();
      let ended = false;
      for (const fault of sequence) {
        authority.fault = fault;
        const outcome = await token.request().then(
          () => 'token',
          (error: unknown) => {
            assert.ok(error instanceof TokenError, String(error));
            return error.code;
          },
        );
        ended ||= fault === 'invalid_grant';
        if (ended) assert.equal(outcome, 'GW_UPSTREAM_LOGIN');
        else assert.equal(outcome, fault === 'none' ? 'token' : 'GW_UPSTREAM_CREDENTIALS', fault);
        const login = await store.read(key);
        assert.equal(login?.refreshToken === '', ended);
        assert.deepEqual(login?.client, before?.client, 'the registration stays');
      }
    }),
    { numRuns: 15 },
  );
});

test('a login is sealed for its place, its key and this user', async (t) => {
  const { auth, key, upstream } = await startPeers(t);
  const folder = join(await tempFolder(t), 'logins');
  const store = new LoginStore(folder, sealer(), 2);
  const login = await logIn(auth);
  const other = loginKey('tracker', upstream.url, 'ann');
  await store.locked(key, () => store.write(key, login));
  const file = store.fileOf(key) ?? '';
  assert.equal((await stat(file)).mode & 0o777, 0o600);
  assert.ok(!(await readFile(file, 'utf8')).includes(login.accessToken));
  // The file of another principal.
  await writeFile(store.fileOf(other) ?? '', await readFile(file));
  await assert.rejects(store.read(other), /belongs to another/);
  await assert.rejects(new LoginStore(folder, sealer('b'.repeat(32)), 2).read(key), LoginStoreError);
  await assert.rejects(store.write(loginKey('tracker', upstream.url, 'bob'), login), /logins\.maxLogins \(2\)/);
  assert.equal(await store.remove(key.server), 2);
  assert.equal(await store.read(key), null);
});

test('an authorization server of another issuer, or without S256, is refused', async (t) => {
  const { auth, authority, upstream } = await startPeers(t);
  upstream.authorizationServer = `${authority.issuer}/tenant`;
  await assert.rejects(logIn(auth), LoginError);
  assert.equal(authority.tokenRequests().length, 0);
});

test('a lock excludes, and one whose owner is gone is taken over', async (t) => {
  const path = join(await tempFolder(t), 'lock');
  let inside = 0;
  let most = 0;
  const turns = Array.from({ length: 8 }, () =>
    withFileLock(path, 20_000, async () => {
      inside += 1;
      most = Math.max(most, inside);
      await new Promise((resolve) => setImmediate(resolve));
      inside -= 1;
    }),
  );
  await Promise.all(turns);
  assert.equal(most, 1);
  await writeFile(path, `${process.pid} ${hostname()} of-this-process\n`);
  await assert.rejects(
    withFileLock(path, 50, async () => {}),
    LockTimeout,
  );
  // Of a process that has died, and of one elsewhere that is silent for long.
  await writeFile(path, `4194304 ${hostname()} of-nobody\n`);
  assert.equal(await withFileLock(path, 50, async () => 'mine'), 'mine');
  await writeFile(path, '1 elsewhere of-another-machine\n');
  await assert.rejects(
    withFileLock(path, 50, async () => {}),
    LockTimeout,
  );
  const longAgo = new Date(Date.now() - 120_000);
  await utimes(path, longAgo, longAgo);
  assert.equal(await withFileLock(path, 50, async () => 'mine'), 'mine');
});
