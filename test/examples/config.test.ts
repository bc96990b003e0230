import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { compileSnapshot } from '../../src/config/compile/index.js';
import { loadConfigFile, parseConfig } from '../../src/config/load.js';
import { packageRoot } from '../../src/package-root.js';

const folder = join(packageRoot, 'examples/config');
const files = readdirSync(folder).sort();

/** A value for every variable that the file mentions. */
function variablesOf(file: string): Record<string, string> {
  const text = readFileSync(join(folder, file), 'utf8');
  return Object.fromEntries([...text.matchAll(/\$\{(\w+)/g)].map(([, name]) => [name, `value-of-${name}-`.repeat(3)]));
}

for (const file of files) {
  test(`examples/config/${file} is a valid configuration`, async () => {
    const loaded = await loadConfigFile(join(folder, file), { env: variablesOf(file) });
    assert.notEqual(Object.keys(loaded.config.mcpServers).length, 0);
    assert.deepEqual(loaded.warnings, []);
    assert.doesNotThrow(() => compileSnapshot(loaded));
  });
}

test('the README shows every example configuration, and no other', () => {
  const readme = readFileSync(join(packageRoot, 'README.md'), 'utf8');
  const shown = [...readme.matchAll(/examples\/config\/([\w.-]+\w)/g)].map(([, name]) => name as string);
  assert.deepEqual([...new Set(shown)].sort(), files);
});

test('every configuration in the documentation is valid', () => {
  const pages = readdirSync(join(packageRoot, 'docs')).filter((name) => name.endsWith('.md'));
  for (const page of ['README.md', ...pages.map((name) => `docs/${name}`)]) {
    const text = readFileSync(join(packageRoot, page), 'utf8');
    const blocks = [...text.matchAll(/```(jsonc|yaml|toml)\n([\s\S]*?)```/g)];
    for (const [, format, source] of blocks) {
      const names = [...(source as string).matchAll(/\$\{(\w+)/g)].map(([, name]) => [name, 'x'.repeat(64)]);
      const parse = () => parseConfig(source as string, format as 'jsonc', { env: Object.fromEntries(names) });
      assert.doesNotThrow(parse, `${page}:\n${source}`);
    }
  }
});
