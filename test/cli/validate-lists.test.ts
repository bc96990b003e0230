/** `validate` compares a configuration with the lists that the last run has left. */
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { cliPath, LISTENING } from '../support/gateway.js';
import { liveCall } from '../support/live-call.js';
import { startProcess, type TestScope } from '../support/process.js';
import { openSession } from '../support/rpc.js';
import { fileWith, runHere } from './support.js';

const CAPABLE = fileURLToPath(new URL('../upstream/fixtures/capable.js', import.meta.url));
const ENTRY = { command: process.execPath, args: [CAPABLE] };

/** Runs a gateway until its servers were listed, and one tool would have asked its client. */
async function firstRun(scope: TestScope, file: string): Promise<void> {
  const args = [cliPath, 'start', '--config', file, '--port', '0', '--no-admin'];
  const running = startProcess(scope, process.execPath, args, { cwd: dirname(file) });
  const [, origin] = await running.waitForLine(LISTENING, 30_000);
  const url = `${origin}/mcp`;
  const session = await openSession(url, {
    capabilities: { sampling: {} },
    headers: { authorization: 'Bearer token-of-ann' },
  });
  await (await liveCall(url, session, 1, 'known__ask')).rest();
  await running.stop();
}

test('validate says what matches nothing that servers have listed, and what isolation would add', async (t) => {
  const config = {
    auth: { type: 'bearer', tokens: { ann: { token: 'token-of-ann', scopes: 'use' } } },
    catalog: { firstListWaitMs: 60_000 },
    mcpServers: {
      known: {
        ...ENTRY,
        path: '/short',
        isolation: 'shared',
        exclude: ['drop_*'],
        include: ['*'],
        rename: { state: 'status', stat: 's' },
      },
    },
    views: {
      '/some/mcp': { servers: ['known'], tools: ['ask'], prefix: false, auth: { type: 'none' } },
      '/all': { requiredScopes: 'use' },
    },
    routes: [
      { name: 'good', match: { tools: ['known__ask'] } },
      { name: 'typo', match: { tools: ['known__asks'] }, rateLimit: { rate: 1, burst: 1 } },
      { name: 'own', match: { tools: ['grow'] } },
    ],
    rateLimits: { perTool: [{ tools: ['known__ask', 'ask'], cost: 2 }] },
    cache: { prompts: true, exclude: 'ask' },
  };
  const file = await fileWith(t, 'gateway.json', JSON.stringify(config));
  const before = await runHere(['validate', file]);
  assert.doesNotMatch(before.stderr, /route typo|rename/);
  assert.match(before.stdout, /^ {2}lists +not known \(there was no earlier run\)/m);
  assert.match(before.stdout, /^ {2}known .*`switchyard check` shows what isolation: session would add$/m);
  assert.deepEqual(/^Views \(3\)\n([\s\S]*?)\n\n/m.exec(before.stdout)?.[1]?.split('\n'), [
    '  /some/mcp  known        without prefixes; tools ask  auth none',
    '  /all       all servers  with prefixes                auth as above; scopes use',
    '  /short     known        without prefixes             auth as above',
  ]);

  await firstRun(t, file);
  const { code, stdout, stderr } = await runHere(['validate', file]);
  assert.equal(code, 0);
  assert.match(stdout, /^ {2}lists +of 1 of 1 servers, from the last run$/m);
  assert.match(
    stdout,
    /^ {2}known .*shared: would offer more to clients that declare sampling with isolation: session$/m,
  );
  assert.deepEqual(stderr.trim().split('\n'), [
    'warning: route typo matches nothing that is offered: tools "known__asks"',
    'warning: route own matches nothing that is offered: tools "grow" (the own name of what is offered as known__grow: write "known:grow", or add servers: [known])',
    'warning: rateLimits.perTool[0].tools: "ask" matches nothing that is offered in the lists of tools (the own name of what is offered as known__ask: write "known:ask")',
    'warning: cache.exclude: "ask" matches nothing that is offered in the lists of prompts',
    'warning: mcpServers.known.exclude: "drop_*" matches nothing that it offers',
    'warning: mcpServers.known.rename: "stat" matches nothing that it offers',
  ]);
  const { stdout: json } = await runHere(['validate', file, '--json']);
  const { listed, patterns, routes, unmatched } = JSON.parse(json);
  assert.deepEqual(listed.servers, ['known']);
  assert.deepEqual([routes.length, patterns.length, unmatched.length], [2, 2, 2]);
  assert.deepEqual(unmatched[0], { server: 'known', key: 'exclude', pattern: 'drop_*' });

  const later = { ...config.mcpServers, later: { ...ENTRY, isolation: 'shared' } };
  await writeFile(file, JSON.stringify({ ...config, mcpServers: later }));
  const added = await runHere(['validate', file]);
  assert.match(added.stdout, /^ {2}lists +of 1 of 2 servers, from the last run$/m);
  assert.match(added.stdout, /^ {2}later .*`switchyard check` shows/m);
  assert.match(added.stderr, /route own matches nothing|route typo matches nothing/);

  const manifest = join(dirname(file), '.gateway.json.manifest.json');
  const content = await readFile(manifest, 'utf8');
  await writeFile(manifest, content.slice(0, -20));
  const broken = await runHere(['validate', file]);
  assert.equal(broken.code, 0);
  assert.match(broken.stdout, /^ {2}lists +not known \(.*manifest\.json is not used: it is broken\)/m);
});
