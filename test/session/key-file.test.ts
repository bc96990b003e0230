import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { openSealer, readOrCreateKeyFile } from '../../src/session/index.js';

function folder(context: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'switchyard-key-'));
  context.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

test('the key file is made once, readable by its owner only, and kept', (context) => {
  const file = join(folder(context), 'state', 'session.key');
  const key = readOrCreateKeyFile(file);
  assert.match(key, /^[A-Za-z0-9_-]{43}$/);
  assert.equal(statSync(file).mode & 0o777, 0o600);
  assert.equal(readOrCreateKeyFile(file), key);
});

test('processes that start at once agree on one key and leave nothing behind', async (context) => {
  const path = folder(context);
  const file = join(path, 'session.key');
  const script = fileURLToPath(new URL('../../src/session/key-file.js', import.meta.url));
  const code = `import(${JSON.stringify(script)}).then((m) => process.stdout.write(m.readOrCreateKeyFile(${JSON.stringify(file)})))`;
  const runs = await Promise.all(
    Array.from({ length: 6 }, () => promisify(execFile)(process.execPath, ['--input-type=module', '-e', code])),
  );
  const keys = new Set(runs.map((run) => run.stdout));
  assert.equal(keys.size, 1);
  assert.equal(readFileSync(file, 'utf8').trim(), [...keys][0]);
  assert.deepEqual(readdirSync(path), ['session.key']);
});

test('a key file that others can read, or that is too short, is refused with its name', (context) => {
  const file = join(folder(context), 'session.key');
  writeFileSync(file, 'x'.repeat(40), { mode: 0o600 });
  chmodSync(file, 0o644);
  assert.throws(() => readOrCreateKeyFile(file), /session\.key.*owner only/);
  writeFileSync(file, 'short');
  assert.throws(() => readOrCreateKeyFile(file), /session\.key.*32 characters/);
});

test('without a secret and a file sessions survive a reload within the process', () => {
  const none = {
    secrets: [],
    ttlSeconds: 60,
    keyFile: null,
    eventLogBytes: 65_536,
    eventLogTotalBytes: 1_048_576,
    retryMs: 1000,
  };
  const session = {
    revision: 1,
    capabilities: Buffer.from('{}'),
    clientInfo: Buffer.alloc(0),
    subject: new Int32Array(4),
    issuedAt: 1000,
  };
  const id = openSealer(none).seal(session);
  assert.ok(openSealer(none).open(id, 1000, 60) !== null);
  assert.equal(openSealer({ ...none, secrets: ['0123456789'.repeat(4)] }).open(id, 1000, 60), null);
});
