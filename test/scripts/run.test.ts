import assert from 'node:assert/strict';
import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { cp, mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { packageRoot } from '../../src/package-root.js';
import { type RunningProcess, startProcess, type TestScope, tempFolder } from '../support/process.js';

const MAIN = `
console.log(JSON.stringify(process.argv.slice(2)));
if (process.argv.includes('wait')) {
  const timer = setInterval(() => {}, 1000);
  process.on('SIGTERM', () => {
    console.log('drained');
    clearInterval(timer);
    process.exitCode = 5;
  });
  process.on('SIGINT', () => console.log('interrupted'));
  console.log('waiting');
} else process.exitCode = 7;
`;

/** A checkout of the scripts around a two-file program, with the dependencies that are already here. */
async function checkout(scope: TestScope) {
  const folder = await tempFolder(scope);
  for (const name of ['package.json', 'package-lock.json', 'tsconfig.json', 'scripts']) {
    await cp(join(packageRoot, name), join(folder, name), { recursive: true });
  }
  await rm(join(folder, 'scripts/build-native.mjs'), { force: true });
  // A folder of its own, so that an installation that should not happen would not touch the real one.
  await mkdir(join(folder, 'node_modules'));
  for (const name of ['typescript', '@typescript', '@types', 'undici-types', '.package-lock.json']) {
    await symlink(join(packageRoot, 'node_modules', name), join(folder, 'node_modules', name));
  }
  await mkdir(join(folder, 'src/cli'), { recursive: true });
  await writeFile(join(folder, 'src/cli/main.ts'), MAIN);
  await writeFile(join(folder, 'src/other.ts'), 'export const other = 1;\n');
  const run = (...args: string[]): RunningProcess =>
    startProcess(scope, process.execPath, [join(folder, 'scripts/run.mjs'), ...args], {
      cwd: folder,
      env: { npm_lifecycle_event: 'start' },
    });
  return { folder, run };
}

test('the first command builds, the second says nothing, and standard output is the program’s own', async (t) => {
  const { run } = await checkout(t);
  const first = run('switchyard', 'validate', 'a b');
  assert.deepEqual(await first.exited, { code: 7, signal: null });
  assert.equal(first.stdout, '["validate","a b"]\n');
  assert.doesNotMatch(first.stderr, /installing/);
  assert.match(first.stderr, /compiling TypeScript \(3\/3\)[\s\S]*ready after/);

  const second = run('switchyard');
  assert.equal((await second.exited).code, 7);
  assert.equal(second.output, '[]\n');
});

test('npm start is the start command, npm run switchyard any command', async (t) => {
  const { run } = await checkout(t);
  for (const [args, expected] of [
    [['start'], ['start']],
    [
      ['start', '--config', 'a.json'],
      ['start', '--config', 'a.json'],
    ],
    [
      ['switchyard', 'validate', 'a.json'],
      ['validate', 'a.json'],
    ],
  ] as const) {
    const started = run(...args);
    await started.exited;
    assert.deepEqual(JSON.parse(started.stdout), expected);
  }
});

test('a signal reaches the program and its exit code comes back', async (t) => {
  const { run } = await checkout(t);
  const running = run('switchyard', 'wait');
  await running.waitForLine(/^waiting$/);
  assert.deepEqual(await running.stop('SIGTERM'), { code: 5, signal: null });
  assert.match(running.stdout, /drained/);
});

test('one Ctrl+C under npm is one interrupt, a second one later is a second', async (t) => {
  const { run } = await checkout(t);
  const running = run('switchyard', 'wait');
  await running.waitForLine(/^waiting$/);
  running.child.kill('SIGINT');
  await running.waitForLine(/^interrupted$/);
  running.child.kill('SIGINT');
  await new Promise((resolve) => setTimeout(resolve, 500));
  running.child.kill('SIGINT');
  await running.waitForLine(/^interrupted\n[\s\S]*interrupted$/);
  await running.stop('SIGTERM');
  assert.equal(running.stdout, '["wait"]\nwaiting\ninterrupted\ninterrupted\ndrained\n');
});

test('a changed source is compiled again, a deleted one leaves dist', async (t) => {
  const { folder, run } = await checkout(t);
  await run('build').exited;
  assert.equal(existsSync(join(folder, 'dist/src/other.js')), true);
  await rm(join(folder, 'src/other.ts'));
  appendFileSync(join(folder, 'src/cli/main.ts'), "console.log('changed');\n");
  const again = run('switchyard');
  await again.exited;
  assert.equal(again.stdout, '[]\nchanged\n');
  for (const extension of ['js', 'js.map', 'd.ts']) {
    assert.equal(existsSync(join(folder, `dist/src/other.${extension}`)), false, extension);
  }
});

test('a source that does not compile is named, and nothing runs', async (t) => {
  const { folder, run } = await checkout(t);
  await writeFile(join(folder, 'src/other.ts'), 'export const other: string = 1;\n');
  for (const attempt of [run('switchyard'), run('build')]) {
    assert.equal((await attempt.exited).code, 1);
    assert.equal(attempt.stdout, '');
    assert.match(attempt.stderr, /src\/other\.ts\(1,14\)/);
    assert.match(attempt.stderr, /do not compile/);
  }
  await writeFile(join(folder, 'src/other.ts'), 'export const other = 1;\n');
  assert.equal((await run('switchyard').exited).code, 7);
});

test('two first starts at once do not build over each other', async (t) => {
  const { run } = await checkout(t);
  const both = [run('switchyard'), run('switchyard')];
  for (const started of both) assert.deepEqual(await started.exited, { code: 7, signal: null });
  const compiled = both.filter((started) => started.stderr.includes('compiling TypeScript'));
  assert.equal(compiled.length, 1);
});

test('a lock is held by one process at a time and outlives no owner', async (t) => {
  const folder = await tempFolder(t);
  const lock = join(folder, 'lock');
  const journal = join(folder, 'journal');
  const script = `
    const { withLock } = await import(${JSON.stringify(pathToFileURL(join(packageRoot, 'scripts/lock.mjs')).href)});
    const { appendFileSync } = await import('node:fs');
    await withLock(${JSON.stringify(lock)}, () => {}, async () => {
      appendFileSync(${JSON.stringify(journal)}, 'in ');
      await new Promise((resolve) => setTimeout(resolve, 50));
      appendFileSync(${JSON.stringify(journal)}, 'out ');
    });`;
  const owner = startProcess(t, process.execPath, ['-e', '']);
  await owner.exited;
  await writeFile(lock, String(owner.pid));
  const contenders = [1, 2, 3, 4].map(() => startProcess(t, process.execPath, ['--input-type=module', '-e', script]));
  for (const contender of contenders) assert.equal((await contender.exited).code, 0, contender.output);
  assert.equal(readFileSync(journal, 'utf8'), 'in out '.repeat(4));
  assert.equal(existsSync(lock), false);
});

test('an unknown command shows the commands there are', async (t) => {
  const { run } = await checkout(t);
  const started = run('fly');
  assert.equal((await started.exited).code, 2);
  assert.match(started.stderr, /usage: .*run\.mjs COMMAND/);
});
