import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compileSnapshot } from '../../src/config/compile.js';
import { loadConfigObject } from '../../src/config/load.js';
import { MASK, maskSecrets, redactSnapshot, showArgs, showUrl } from '../../src/config/redact.js';

let canaries = 0;
/** A secret of its own for each place, so that a leak tells where it came from. */
const canary = (): string => `canary-${++canaries}-0123456789abcdef0123456789abcdef`;

test('no secret of a configuration is in its printable form', () => {
  const env = { VALUE: canary(), PATH_KEY: canary(), CWD: canary(), COMMAND: canary() };
  const loaded = loadConfigObject(
    {
      auth: { type: 'bearer', tokens: { alice: canary(), bob: { token: canary() } } },
      sessions: { secret: [canary(), canary()] },
      mcpServers: {
        program: {
          command: `/opt/$\{COMMAND}/run`,
          cwd: `/srv/$\{CWD}`,
          env: { API_KEY: canary(), OTHER: `$\{VALUE}` },
          args: [
            `--api-key=${canary()}`,
            '--token',
            canary(),
            '-H',
            `Authorization: Bearer ${canary()}`,
            `https://user:${canary()}@example.com/?key=${canary()}`,
            `postgres://app:${canary()}@db/x`,
            `--value=$\{VALUE}`,
          ],
        },
        remote: { url: `http://localhost/$\{PATH_KEY}/mcp?api_key=${canary()}`, headers: { 'X-Key': canary() } },
        basic: { url: 'http://localhost/', auth: { type: 'basic', username: 'u', password: canary() } },
        token: { url: 'http://localhost/', auth: { type: 'bearer', token: canary() } },
      },
    },
    { env },
  );
  const snapshot = compileSnapshot(loaded);
  assert.ok(JSON.stringify(snapshot).split('canary-').length > 15, 'the secrets are there to begin with');
  const shown = JSON.stringify(redactSnapshot(snapshot, loaded.secrets), null, 2);
  assert.doesNotMatch(shown, /canary-/);
  assert.doesNotMatch(shown, new RegExp(Buffer.from('canary').toString('base64').slice(0, 7)));
  for (const kept of ['"subject": "alice"', 'API_KEY', 'x-key', '--token', 'http://localhost/', 'example.com']) {
    assert.ok(shown.includes(kept), `${kept} stays readable`);
  }
});

test('a secret for JWTs is masked, its public parts are not', () => {
  const secret = canary();
  const jwt = { auth: { type: 'jwt' as const, secret, audience: 'https://me.example' } };
  const shown = redactSnapshot(compileSnapshot(loadConfigObject(jwt))).auth;
  assert.equal(shown.type === 'jwt' && shown.secret, MASK);
  assert.deepEqual(shown.type === 'jwt' && shown.audience, ['https://me.example']);
});

test('addresses keep scheme, host, port and path', () => {
  assert.equal(
    showUrl('https://u:p@example.com:8443/a/mcp?b=secret&c=#frag'),
    'https://example.com:8443/a/mcp?b=***&c=***',
  );
  assert.equal(showUrl('http://localhost:8123/mcp', ['8123', 'localhost']), 'http://localhost:8123/mcp');
  assert.equal(showUrl('https://h/a%20secret%2Fvalue', ['a secret/value']), 'https://h/***');
  assert.equal(showUrl('https://h/private/mcp', ['https://h/private/mcp']), 'https://h/***');
  assert.equal(showUrl('nonsense'), MASK);
});

test('the longest secret is masked first, and very short values are not', () => {
  assert.equal(maskSecrets('abcd-efgh abcd', ['abcd', 'abcd-efgh']), `${MASK} ${MASK}`);
  assert.equal(maskSecrets('a1 b1', ['1', '']), 'a1 b1');
});

test('arguments without secrets stay as they are', () => {
  const args = ['-y', '@scope/server', '--port', '8080', '/srv/data', '--verbose'];
  assert.deepEqual(showArgs(args), args);
});
