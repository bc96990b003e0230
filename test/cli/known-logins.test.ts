import assert from 'node:assert/strict';
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { knownLogins } from '../../src/cli/files/known-logins.js';
import { compileSnapshot } from '../../src/config/compile/index.js';
import { loadConfigFile } from '../../src/config/load.js';
import { type Login, loginKey } from '../../src/upstream/credentials/login-store.js';
import { openLoginStore } from '../../src/upstream/credentials/logins.js';
import { tempFolder } from '../support/process.js';

const KEY = 'a-session-key-of-thirty-two-characters';
const URL_OF = (name: string) => `https://${name}.example.com/mcp`;
const LOGIN: Login = {
  serverUrl: '',
  issuer: '',
  metadata: null,
  resource: '',
  client: { client_id: 'gateway' },
  redirectUrl: '',
  accessToken: 'a-token',
  refreshToken: '',
  endsAt: 0,
  scope: '',
};

test('which logins are stored is known from their files, without making any', async (t) => {
  const folder = await tempFolder(t);
  const server = (name: string, more: object = {}) => ({ url: URL_OF(name), auth: { type: 'oauth', ...more } });
  const mcpServers = {
    open: { url: URL_OF('open') },
    fresh: server('fresh'),
    over: server('over'),
    foreign: server('foreign'),
    each: server('each', { per: 'principal' }),
  };
  const auth = { type: 'bearer', tokens: { ann: { token: 'token-of-ann' } } };
  const file = join(folder, 'gateway.json');
  const keyFile = join(folder, 'session.key');
  await writeFile(
    file,
    JSON.stringify({ mcpServers, auth, sessions: { keyFile: 'session.key' }, logins: { folder: 'logins' } }),
  );
  const snapshot = compileSnapshot(await loadConfigFile(file));
  const state = async () => Object.fromEntries(await knownLogins(snapshot));
  const none = { per: 'gateway', state: 'none', principals: 0 };
  assert.deepEqual(await state(), {
    fresh: none,
    over: none,
    foreign: none,
    each: { ...none, per: 'principal' },
  });
  assert.deepEqual(await readdir(folder), ['gateway.json'], 'no key and no folder were made');

  await writeFile(keyFile, KEY, { mode: 0o600 });
  const write = async (name: string, principal: string, login: Login, key = KEY) => {
    const store = openLoginStore(snapshot.logins, [key]);
    const at = loginKey(name, URL_OF(name), principal);
    await store.locked(at, () => store.write(at, login));
  };
  await write('fresh', '', LOGIN);
  await write('over', '', { ...LOGIN, accessToken: '' });
  await write('foreign', '', LOGIN, 'another-key-of-thirty-two-characters');
  await write('each', 'ann', LOGIN);
  await write('each', 'bob', LOGIN);
  assert.deepEqual(await state(), {
    fresh: { ...none, state: 'stored' },
    over: { ...none, state: 'ended' },
    foreign: { ...none, state: 'unreadable' },
    each: { per: 'principal', state: 'none', principals: 2 },
  });
});
