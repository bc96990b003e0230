import assert from 'node:assert/strict';
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { cliPath } from '../support/gateway.js';
import { startProcess, tempFolder } from '../support/process.js';
import { runHere } from './support.js';

for (const name of ['gateway.json', 'gateway.jsonc', 'gateway.yaml', 'gateway.yml', 'gateway.toml']) {
  test(`init ${name} writes a commented file that validates`, async (t) => {
    const cwd = await tempFolder(t);
    const written = await runHere(['init', name], { cwd });
    assert.deepEqual([written.code, written.stderr], [0, '']);
    assert.match(written.stdout, new RegExp(`^${name} written\\.`));
    const text = await readFile(join(cwd, name), 'utf8');
    assert.match(text, /^\s*(\/\/|#) /m);
    assert.match(text, /isolation/);
    assert.equal((await stat(join(cwd, name))).mode & 0o077, 0, 'readable by its owner only');
    // The starter file names npx, which is where this Node is or on PATH.
    const valid = await runHere(['validate', name], { cwd });
    assert.deepEqual([valid.code, valid.stderr], [0, '']);
  });
}

test('init without a name writes switchyard.json', async (t) => {
  const cwd = await tempFolder(t);
  assert.equal((await runHere(['init'], { cwd })).code, 0);
  assert.ok((await stat(join(cwd, 'switchyard.json'))).isFile());
});

test('init never overwrites', async (t) => {
  const cwd = await tempFolder(t);
  await writeFile(join(cwd, 'mine.yaml'), 'port: 1\n');
  const { code, stdout, stderr } = await runHere(['init', 'mine.yaml'], { cwd });
  assert.deepEqual(
    [code, stdout, stderr],
    [1, '', 'switchyard: mine.yaml: the file exists already; nothing was written\n'],
  );
  assert.equal(await readFile(join(cwd, 'mine.yaml'), 'utf8'), 'port: 1\n');
});

test('of many inits at once exactly one writes', async (t) => {
  const cwd = await tempFolder(t);
  const children = Array.from({ length: 6 }, () =>
    startProcess(t, process.execPath, [cliPath, 'init', 'a.toml'], { cwd }),
  );
  const codes = await Promise.all(children.map(async (child) => (await child.exited).code));
  assert.deepEqual(codes.sort(), [0, 1, 1, 1, 1, 1]);
});

test('init reports why it cannot write', async (t) => {
  const cwd = await tempFolder(t);
  await mkdir(join(cwd, 'folder.json'));
  const rows: [string, number, RegExp][] = [
    ['config.ini', 78, /config\.ini: the extension must be/],
    ['no/such/folder/x.json', 1, /its folder does not exist; nothing was written/],
    ['folder.json', 1, /folder\.json: the file exists already/],
  ];
  for (const [name, expected, sentence] of rows) {
    const { code, stderr } = await runHere(['init', name], { cwd });
    assert.equal(code, expected, name);
    assert.match(stderr, sentence);
  }
});
