import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { packageRoot } from '../../src/package-root.js';
import { readSource, sourcesBelow } from '../support/sources.js';

test('formatting and lint have nothing to say', () => {
  const biome = join(packageRoot, 'node_modules/@biomejs/biome/bin/biome');
  const args = [biome, 'check', '--error-on-warnings', '--colors=off', '--max-diagnostics=50'];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: packageRoot, encoding: 'utf8' });
  assert.equal(status, 0, `${stdout}${stderr}`);
});

test('sources hold no unfinished-work marks and no paths of one machine', () => {
  // Spelled apart, so that this file does not find itself.
  const marks = new RegExp(
    ['TO' + 'DO', 'FIX' + 'ME', 'X' + 'XX', '/wo' + 'rk/', '/ro' + 'ot/']
      .map((mark) => `(?<![A-Za-z])${mark}`)
      .join('|'),
  );
  const folders = ['src', 'workers', 'native', 'test', 'bench', 'examples', 'scripts', 'docs'];
  const found = folders
    .flatMap((folder) => sourcesBelow(folder, ['.ts', '.mjs', '.js', '.cc', '.cpp', '.h', '.hpp', '.sh', '.md']))
    .concat('README.md', 'CHANGELOG.md', 'CONTRIBUTING.md', 'SECURITY.md', 'Dockerfile')
    .flatMap((file) =>
      readSource(file)
        .split('\n')
        .map((line, index) => `${file}:${index + 1}: ${line.trim()}`)
        .filter((line) => marks.test(line)),
    );
  assert.deepEqual(found, []);
});
