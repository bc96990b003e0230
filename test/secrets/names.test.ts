import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isSecretName } from '../../src/secrets/names.js';

const SECRET = [
  'apiKey',
  'api_key',
  '--api-key',
  'APIKEY',
  'X-Api-Key',
  'OPENAI_KEY',
  'key',
  '--token',
  'GITHUBTOKEN',
  'GITHUB_PERSONAL_ACCESS_TOKEN',
  'access_token',
  'password',
  'PGPASSWORD',
  'DB_PASS',
  'client_secret',
  'Authorization',
  'Proxy-Authorization',
  'Cookie',
  'Set-Cookie',
  'sig',
  'X-Amz-Signature',
  'AccountKey',
  'sessionToken',
  '_auth',
];
const OPEN = [
  '',
  'port',
  'host',
  'monkey',
  'keyboard',
  'maxTokens',
  'max-tokens',
  'token-file',
  'keyFile',
  'AUTH_TYPE',
  'tokenUrl',
  'publicKey',
  'primary_key',
  'compass',
  'author',
  'name',
  'design',
  'level',
  'x'.repeat(300),
];

for (const name of SECRET) test(`${name} announces a secret`, () => assert.equal(isSecretName(name), true));
for (const name of OPEN) test(`"${name.slice(0, 20)}" announces none`, () => assert.equal(isSecretName(name), false));
