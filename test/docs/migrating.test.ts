/** `migrate` prints what docs/migrating.md says; that its examples can be used, test/config/generated.test.ts sees. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { packageRoot } from '../../src/package-root.js';
import { fileWith, runHere } from '../cli/support.js';

const PAGE = readFileSync(join(packageRoot, 'docs/migrating.md'), 'utf8');
const FILES = [...PAGE.matchAll(/^```(json|toml)\n([\s\S]*?)^```\n\n```yaml\n([\s\S]*?)^```$/gm)];

test('the page has a file of each system', () => {
  assert.deepEqual(
    FILES.map(([, format]) => format),
    ['json', 'toml'],
  );
});

for (const [, format = '', text = '', printed = ''] of FILES) {
  test(`migrate prints what the page says for its ${format}, and names the same on standard error`, async (t) => {
    const file = await fileWith(t, `config.${format}`, text);
    const { code, stdout, stderr } = await runHere(['migrate', file]);
    assert.equal(stdout, printed);
    assert.equal(code, 0);
    const warned = stderr.trim().split('\n');
    assert.equal(warned.length, printed.match(/^\s*# (?!From)/gm)?.length);
    for (const line of warned) assert.match(line, /^warning: .*config\.(json|toml):\d+:\d+: \S+: [a-z]/);
    const validated = await runHere(['validate', file], { env: { SEARCH_TOKEN: 'search-token' } });
    assert.deepEqual([validated.code, validated.stderr], [0, stderr]);
  });
}
