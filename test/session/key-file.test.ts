import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { KeyFileError, keyFileProblem, readOrCreateKeyFile } from '../../src/session/key-file.js';
import { openSealer } from '../../src/session/secrets.js';

const PRIVATE = { mode: 0o600 };

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

/** What stands at the path, made with this folder; null = nothing. */
const UNUSABLE: readonly [what: string, make: (file: string) => void, sentence: RegExp][] = [
  [
    'that others can read',
    (file) => {
      writeFileSync(file, 'x'.repeat(40));
      chmodSync(file, 0o640);
    },
    /owner only \(chmod 600\)/,
  ],
  ['that is too short', (file) => writeFileSync(file, 'short', PRIVATE), /32 characters/],
  ['that is empty', (file) => writeFileSync(file, '', PRIVATE), /32 characters/],
  ['that a power failure left full of NUL', (file) => writeFileSync(file, Buffer.alloc(44), PRIVATE), /printable/],
  ['that holds bytes and no text', (file) => writeFileSync(file, Buffer.alloc(64, 0xe9), PRIVATE), /printable/],
  ['that holds two lines', (file) => writeFileSync(file, `${'x'.repeat(40)}\n${'y'.repeat(40)}`, PRIVATE), /one line/],
  ['that is too long', (file) => writeFileSync(file, 'x'.repeat(5_000), PRIVATE), /4096 bytes/],
  ['that is a folder', (file) => mkdirSync(file, { mode: 0o700 }), /not a regular file/],
  ['that is a named pipe', (file) => void execFileSync('mkfifo', ['-m', '600', file]), /not a regular file/],
  ['that is a link to nothing', (file) => symlinkSync(join(file, '..', 'nothing'), file), /does not exist/],
  ['that is a link to itself', (file) => symlinkSync(file, file), /circle/],
  ['that is a device', (file) => symlinkSync('/dev/zero', file), /not a regular file/],
];

for (const [what, make, sentence] of UNUSABLE) {
  test(`a key file ${what} is refused with its name, before anything is made`, (context) => {
    const path = folder(context);
    const file = join(path, 'session.key');
    make(file);
    const before = readdirSync(path);
    assert.match(keyFileProblem(file) ?? '', sentence);
    assert.throws(
      () => readOrCreateKeyFile(file),
      (error: Error) => error instanceof KeyFileError && error.message.startsWith(file) && sentence.test(error.message),
    );
    assert.deepEqual(readdirSync(path), before);
  });
}

test('a link to a good key file is followed', (context) => {
  const path = folder(context);
  writeFileSync(join(path, 'key'), `${'x'.repeat(40)}\n`, PRIVATE);
  symlinkSync('key', join(path, 'link'));
  assert.equal(keyFileProblem(join(path, 'link')), null);
  assert.equal(readOrCreateKeyFile(join(path, 'link')), 'x'.repeat(40));
});

test('a place below a file cannot hold a key file, and asking writes nothing', (context) => {
  const path = folder(context);
  writeFileSync(join(path, 'file'), '');
  const file = join(path, 'file', 'state', 'session.key');
  const sentence = /session\.key: the session key file cannot be (read|written) \(a part of its path is a file/;
  assert.match(keyFileProblem(file) ?? '', sentence);
  assert.throws(() => readOrCreateKeyFile(file), sentence);
  assert.equal(keyFileProblem(join(path, 'new', 'state', 'session.key')), null);
  assert.deepEqual(readdirSync(path), ['file']);
});

test('a key that cannot be written as a whole leaves nothing behind', async (context) => {
  const path = folder(context);
  const file = join(path, 'state', 'session.key');
  const script = fileURLToPath(new URL('../../src/session/key-file.js', import.meta.url));
  // A limit of 0 bytes stands for the full device: the file can be made, and not filled. Without a handler the signal of
  // the limit would end the process.
  const code = `
    process.on('SIGXFSZ', () => {});
    const { readOrCreateKeyFile } = await import(${JSON.stringify(script)});
    try { readOrCreateKeyFile(${JSON.stringify(file)}); } catch (error) { console.log(error.message); }`;
  const limited = ['-c', 'ulimit -f 0; exec "$0" --input-type=module -e "$1"', process.execPath, code];
  const { stdout } = await promisify(execFile)('bash', limited);
  assert.match(stdout, /session\.key: the session key file cannot be written \(.+\); set sessions\.keyFile to a place/);
  assert.deepEqual(readdirSync(join(path, 'state')), []);
});

test('without a secret and a file sessions survive a reload within the process', () => {
  const none = {
    required: true,
    secrets: [],
    ttlSeconds: 60,
    keyFile: null,
    isKeyFileOptional: false,
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
    viewBase: '',
  };
  const id = openSealer(none).seal(session);
  assert.ok(openSealer(none).open(id, 1000, 60) !== null);
  assert.equal(openSealer({ ...none, secrets: ['0123456789'.repeat(4)] }).open(id, 1000, 60), null);
});
