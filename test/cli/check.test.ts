import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { test } from 'node:test';
import { freePort, type TestScope, tempFolder } from '../support/process.js';
import { shared } from '../support/shared.js';
import { everythingHttp, filesystemServer, memoryServer } from '../support/upstreams.js';
import { fileWith, runCli, runHere } from './support.js';

const everythingUrl = shared(async (scope) => (await everythingHttp(scope)).url);

/** A file with two servers that work. It names a token and a route, which no check of servers needs. */
async function goodFile(scope: TestScope, more: object = {}): Promise<string> {
  const mcpServers = {
    memory: await memoryServer(scope),
    all: { url: await everythingUrl() },
    ...more,
  };
  const auth = { type: 'bearer', tokens: { alice: 'a-token-that-no-check-should-need-0123456789' } };
  const routes = [{ match: { tools: ['*'] }, requiredScopes: ['none:has'], whenDenied: 'challenge' }];
  return fileWith(scope, 'switchyard.json', JSON.stringify({ auth, routes, mcpServers }));
}

/** The cells of a row of the table. */
function rowOf(stdout: string, server: string): string[] {
  const line = stdout.split('\n').find((text) => text.trimStart().startsWith(`${server} `)) ?? '';
  return line.trim().split(/ {2,}/);
}

test('check lists what every server offers to clients, opens no port, and leaves nothing behind', async (t) => {
  const file = await goodFile(t);
  const { code, stdout, stderr } = await runCli(t, ['check', file]);
  const warning = /^warning: route route-1 requires none:has, but no token of auth\.tokens has all of them: .+\n$/;
  assert.equal(code, 0, stderr + stdout);
  assert.match(stderr, warning);
  assert.deepEqual(rowOf(stdout, 'server'), [
    'server',
    'state',
    'revision',
    'tools',
    'prompts',
    'resources',
    'time',
    'reason',
  ]);
  const memory = rowOf(stdout, 'memory');
  assert.deepEqual([memory.slice(1, 5), memory.length], [['ready', '2025-11-25', '9', '0'], 7], memory.join());
  const all = rowOf(stdout, 'all');
  assert.equal(all[1], 'ready');
  assert.ok(Number(all[3]) > 5 && Number(all[4]) > 1 && Number(all[5]) > 1, all.join());
  assert.match(stdout, /2 of 2 servers ready, \d+ tools/);
  assert.deepEqual(await readdir(dirname(file)), ['switchyard.json']);
});

test('check names each server that is down with its reason, and ends with 1', async (t) => {
  const port = await freePort();
  const file = await goodFile(t, {
    refused: { url: `http://127.0.0.1:${port}/mcp` },
    crash: { command: process.execPath, args: ['-e', 'console.error("API_KEY is missing"); process.exit(3)'] },
    off: { command: 'no-such-program-anywhere', enabled: false },
  });
  const { code, stdout, stderr } = await runCli(t, ['check'], { cwd: dirname(file) });
  assert.equal(code, 1, stdout + stderr);
  assert.equal(rowOf(stdout, 'memory')[1], 'ready');
  assert.match(rowOf(stdout, 'refused').at(-1) ?? '', /refused/i);
  assert.match(rowOf(stdout, 'crash').at(-1) ?? '', /3/);
  assert.deepEqual(rowOf(stdout, 'off'), ['']);
  assert.match(stderr, /^switchyard: 2 of 4 servers ready, \d+ tools$/m);
});

test('check --json is one document', async (t) => {
  const file = await goodFile(t);
  const { code, stdout } = await runCli(t, ['check', '--json', '--config', file]);
  assert.equal(code, 0);
  const { servers, refused } = JSON.parse(stdout);
  assert.deepEqual(refused, []);
  assert.deepEqual(
    servers.map(({ name, isUp, offers }: { name: string; isUp: boolean; offers: { tools: number } }) => [
      name,
      isUp,
      offers.tools > 0,
    ]),
    [
      ['memory', true, true],
      ['all', true, true],
    ],
  );
});

test('tools lists the names that clients get, and those of servers that work beside one that does not', async (t) => {
  const mcpServers = {
    files: filesystemServer(await tempFolder(t)),
    down: { url: `http://127.0.0.1:${await freePort()}/mcp` },
  };
  const file = await fileWith(t, 'switchyard.json', JSON.stringify({ mcpServers }));
  const { code, stdout, stderr } = await runCli(t, ['tools', file]);
  assert.equal(code, 1);
  assert.match(stdout, /^ {2}files__read_text_file +\S/m);
  for (const line of stdout.trimEnd().split('\n')) assert.match(line, /^ {2}files__/);
  assert.match(stderr, /^switchyard: down: .+/m);
});

test('tools --all --json has prompts, resources and templates, too', async (t) => {
  const file = await fileWith(t, 'x.json', JSON.stringify({ mcpServers: { all: { url: await everythingUrl() } } }));
  const { code, stdout } = await runCli(t, ['tools', '--all', '--json', file]);
  assert.equal(code, 0);
  const lists = new Set(JSON.parse(stdout).map(({ list }: { list: string }) => list));
  assert.deepEqual([...lists].sort(), ['prompts', 'resourceTemplates', 'resources', 'tools']);
});

for (const command of ['check', 'tools']) {
  test(`${command} refuses a configuration that cannot be used with 78`, async (t) => {
    const file = await fileWith(t, 'gateway.yaml', 'prot: 1\n');
    const { code, stdout, stderr } = await runHere([command, file]);
    assert.deepEqual([code, stdout], [78, '']);
    assert.match(stderr, /unknown key "prot"; did you mean "port"\?/);
  });
}
