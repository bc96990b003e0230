import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { packageRoot } from '../../src/package-root.js';
import { startProcess } from '../support/process.js';

/** The compiled files that this test is one of. */
const build = fileURLToPath(new URL('../../', import.meta.url));
const page = readFileSync(join(packageRoot, 'docs/api.md'), 'utf8');
const programs = [...page.matchAll(/^## (.+)$|^```ts\n([\s\S]*?)^```$/gm)];

let section = '';
let count = 0;
for (const [, heading, text] of programs) {
  if (text === undefined) {
    section = heading as string;
    continue;
  }
  count += 1;
  test(`docs/api.md, ${section}: program ${count} runs as it stands`, async (t) => {
    assert.match(text, /\bassert\./, 'it shows that it works');
    // Inside the package, so that its dependencies are found.
    mkdirSync(join(packageRoot, '.cache'), { recursive: true });
    const folder = mkdtempSync(join(packageRoot, '.cache/docs-'));
    t.after(() => rmSync(folder, { recursive: true, force: true }));
    const file = join(folder, 'program.mjs');
    const own = text
      .replaceAll("'mcp-switchyard'", `'${pathToFileURL(join(build, 'src/index.js')).href}'`)
      .replaceAll("'dist/", `'${relative(packageRoot, build)}/`);
    writeFileSync(file, own);
    const program = startProcess(t, process.execPath, [file], { cwd: packageRoot });
    assert.deepEqual(await program.exited, { code: 0, signal: null }, program.output);
  });
}

test('docs/api.md has programs', () => assert.ok(count >= 5));
