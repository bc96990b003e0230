import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { compileSnapshot } from '../../src/config/compile/index.js';
import { loadConfigFile } from '../../src/config/load.js';
import { packageRoot } from '../../src/package-root.js';
import { fileWith } from '../cli/support.js';

const PAGE = readFileSync(join(packageRoot, 'docs/login.md'), 'utf8');

test('the example of docs/login.md is a file that the gateway takes', async (t) => {
  const text = /```yaml\n([^`]+)```/.exec(PAGE)?.[1] ?? '';
  const { logins, servers } = compileSnapshot(await loadConfigFile(await fileWith(t, 'switchyard.yaml', text)));
  const endpoint = servers[0]?.endpoints[0];
  assert.ok(endpoint !== undefined && endpoint.transport !== 'stdio' && endpoint.auth?.type === 'oauth');
  assert.equal(endpoint.auth.serverUrl, 'https://tracker.example.com/mcp');
  assert.match(logins.folder ?? '', /\.switchyard\.logins$/);
});

test('its sentences are those of the sources', () => {
  const read = (file: string): string => readFileSync(join(packageRoot, file), 'utf8');
  const sources = ['src/cli/login.ts', 'src/cli/validate.ts', 'src/upstream/credentials/login-credential.ts']
    .map(read)
    .join();
  for (const sentence of [
    'in a browser on this machine:',
    'a gateway that runs takes it within seconds',
    'an upstream waits for a user to log in',
    'nobody has logged in',
  ]) {
    assert.ok(PAGE.includes(sentence) && sources.includes(sentence), sentence);
  }
});
