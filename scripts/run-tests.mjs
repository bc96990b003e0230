import { readdirSync } from 'node:fs';
import { join, relative } from 'node:path';
import { runProgram } from './child.mjs';
import { root } from './prepare.mjs';

/** Time after which a test counts as hanging; none needs a fraction of it. */
const TIMEOUT_MS = 240_000;

/**
 * Runs the test files with Node's own runner. Arguments that begin with a dash go to the runner;
 * the others choose the files whose path contains one of them.
 */
export async function runTests(args) {
  const flags = args.filter((arg) => arg.startsWith('-'));
  const patterns = args.filter((arg) => !arg.startsWith('-')).map((arg) => arg.replace(/\.ts$/, ''));
  const files = testFiles().filter((file) => patterns.length === 0 || patterns.some((part) => file.includes(part)));
  if (files.length === 0) {
    console.error(`switchyard: no test file matches ${patterns.join(' ')}`);
    return 1;
  }
  return runProgram(
    process.execPath,
    [
      '--test',
      '--test-reporter=spec',
      '--test-reporter-destination=stdout',
      `--test-reporter=${new URL('unfinished-tests.mjs', import.meta.url)}`,
      '--test-reporter-destination=stderr',
      // Many tests start several processes; more at once only makes each of them late.
      '--test-concurrency=2',
      `--test-timeout=${TIMEOUT_MS}`,
      ...flags,
      ...files.map((file) => join('dist', `${file}.js`)),
    ],
    { cwd: root, env: { ...process.env, NODE_ENV: 'test' } },
  );
}

/** The test files by their sources, without the extension, so that outputs of deleted sources never run. */
function testFiles() {
  const found = [];
  const visit = (folder) => {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) visit(path);
      else if (entry.name.endsWith('.test.ts')) found.push(relative(root, path).slice(0, -3));
    }
  };
  visit(join(root, 'test'));
  return found.sort();
}
