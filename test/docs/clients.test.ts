import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { loadConfigFile } from '../../src/config/load.js';
import { packageRoot } from '../../src/package-root.js';
import { fileWith } from '../cli/support.js';

const read = (file: string): string => readFileSync(join(packageRoot, file), 'utf8');
const PAGE = read('docs/clients.md');

/** The blocks of lines to paste: heading, format and text. */
const SNIPPETS = [...PAGE.matchAll(/^###? (.+)\n[^#]*?```(json|toml|yaml)\n([^`]+)```/gm)];

test('the page has lines to paste for each client of its first table', () => {
  const anchors = [...PAGE.matchAll(/\]\(#([a-z-]+)\)/g)].map((match) => match[1]);
  const headings = [...PAGE.matchAll(/^###? (.+)$/gm)].map((match) => match[1]?.toLowerCase().replaceAll(' ', '-'));
  assert.deepEqual(
    anchors.filter((anchor) => !headings.includes(anchor)),
    [],
  );
  assert.ok(SNIPPETS.length >= 9, String(SNIPPETS.length));
});

for (const [, client = '', format = '', text = ''] of SNIPPETS) {
  test(`the lines for ${client} are a file that the gateway itself reads`, async (t) => {
    const loaded = await loadConfigFile(await fileWith(t, `client.${format}`, text));
    const server = loaded.config.mcpServers['switchyard'];
    assert.ok(server?.url === 'http://127.0.0.1:8000/mcp' || server?.command !== undefined, JSON.stringify(server));
  });
}

test('the versions of the page are those that the tests run', () => {
  const pinned = {
    ...JSON.parse(read('test/peers/clients/package.json')).dependencies,
    '@modelcontextprotocol/sdk': JSON.parse(read('package.json')).dependencies['@modelcontextprotocol/sdk'],
    '@modelcontextprotocol/client': JSON.parse(read('package.json')).devDependencies['@modelcontextprotocol/client'],
  };
  const rows = [...PAGE.matchAll(/^\| `(@?[a-z/-]+)` \| ([\d.]+) \|/gm)].map((match) => [match[1], match[2]]);
  assert.deepEqual(Object.fromEntries(rows), pinned);
});
