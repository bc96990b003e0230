/** What `switchyard check` and `tools` say of servers that make use of their clients. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { tempFolder } from '../support/process.js';
import { fileWith, runCli } from './support.js';

const program = fileURLToPath(new URL('../upstream/fixtures/capable.js', import.meta.url));

test('check shows what servers would offer to clients that they can ask', async (t) => {
  const entry = { command: process.execPath, args: [program] };
  const mcpServers = {
    alone: { ...entry, isolation: 'shared' },
    both: entry,
    each: { ...entry, isolation: 'session' },
  };
  const file = await fileWith(t, 'gateway.json', JSON.stringify({ mcpServers }));
  const { code, stdout, stderr } = await runCli(t, ['check', file]);
  assert.deepEqual([code, stderr], [0, '']);
  const added = '3 more tools \\(with-elicitation, with-roots, with-sampling\\)';
  const who = 'clients that declare sampling, elicitation, roots';
  assert.match(
    stdout,
    new RegExp(`^alone: would offer ${added} to ${who} with mcpServers\\.alone\\.isolation: session`, 'm'),
  );
  assert.match(stdout, new RegExp(`^both: ${added} for ${who}, which get a child`, 'm'));
  assert.doesNotMatch(stdout, /^each:/m);
  assert.match(stdout, /3 of 3 servers ready, 9 tools/);
  const document = JSON.parse((await runCli(t, ['check', '--json', file])).stdout);
  assert.deepEqual(document.servers[0].clientUse.tools, ['with-elicitation', 'with-roots', 'with-sampling']);
  assert.equal(document.servers[0].isolation, 'shared');
});

test('tools starts no further children', async (t) => {
  const pids = join(await tempFolder(t), 'pids');
  const mcpServers = { both: { command: process.execPath, args: [program], env: { PID_FILE: pids, SECOND: 'exit' } } };
  const file = await fileWith(t, 'gateway.json', JSON.stringify({ mcpServers }));
  const { code, stdout } = await runCli(t, ['tools', file]);
  assert.equal(code, 0);
  assert.match(stdout, /both__state/);
});
