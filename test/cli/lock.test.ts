import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { BEFORE, listingServer, lockOf } from '../support/pinned-tools.js';
import { tempFolder } from '../support/process.js';
import { fileWith, runHere } from './support.js';

const SECRET = 'k-5f1d9c77a2e04b61';

test('lock leaves out what is excluded, keeps secrets of the configuration out, and writes nothing while a server is down', async (t) => {
  const folder = await tempFolder(t);
  const tools = [...BEFORE, { name: 'leaky', description: `uses ${SECRET}`, inputSchema: { type: 'object' } }];
  const notes = { ...listingServer(join(folder, 'tools.json'), tools), env: { API_KEY: SECRET }, exclude: ['find_*'] };
  const file = await fileWith(t, 'gateway.json', JSON.stringify({ mcpServers: { notes } }));
  const path = join(dirname(file), 'gateway.lock.json');
  const written = await runHere(['lock', file]);
  assert.equal(written.code, 0, written.stderr);
  const text = readFileSync(path, 'utf8');
  assert.doesNotMatch(text + written.stdout, new RegExp(SECRET));
  const pinned = JSON.parse(text).servers.notes;
  assert.deepEqual(Object.keys(pinned), ['drop_note', 'leaky', 'list_notes', 'read_note']);
  assert.deepEqual(Object.keys(pinned.leaky), ['hash']);

  listingServer(join(folder, 'tools.json'), [
    { ...tools[4], description: `${SECRET} anew` },
    { ...tools[4], name: 'fresh' },
  ]);
  const checked = await runHere(['lock', '--check', file]);
  assert.equal(checked.code, 1);
  assert.match(checked.stdout, /^changed {2}notes:leaky\n {2}its definition differs; the lockfile holds only the hash/);
  assert.match(checked.stdout, /^new {6}notes:fresh\n {2}description\n {4}\+ "uses /m);
  assert.match(checked.stdout, /^missing {2}notes:drop_note$/m);
  assert.doesNotMatch(checked.stdout, new RegExp(SECRET));

  writeFileSync(file, JSON.stringify({ mcpServers: { notes }, limits: { maxManifestBytes: 1024 } }));
  listingServer(join(folder, 'tools.json'), [{ ...tools[4], description: 'x'.repeat(1024) }]);
  const large = await runHere(['lock', file]);
  assert.equal(large.code, 1);
  assert.match(large.stderr, /not written, since it would be larger than limits\.maxManifestBytes/);
  assert.equal(readFileSync(path, 'utf8'), text);

  const down = { notes, gone: { command: process.execPath, args: ['-e', 'process.exit(3)'] } };
  const other = await fileWith(t, 'gateway.json', JSON.stringify({ mcpServers: down }));
  const failed = await runHere(['lock', other]);
  assert.equal(failed.code, 1);
  assert.match(failed.stderr, /gone: .+\n.*the lockfile is not written while a server is down/);
  assert.equal(existsSync(join(dirname(other), 'gateway.lock.json')), false);
});

test('validate and lock --check name a lockfile that is missing, and validate one that can be used', async (t) => {
  const folder = await tempFolder(t);
  const notes = listingServer(join(folder, 'tools.json'), BEFORE);
  const config = { mcpServers: { notes }, catalog: { pinning: { lock: 'state/tools.lock.json' } } };
  const file = await fileWith(t, 'gateway.json', JSON.stringify(config));
  for (const args of [
    ['validate', file],
    ['lock', '--check', file],
  ]) {
    const { code, stderr } = await runHere(args);
    assert.equal(code, 78);
    assert.match(stderr, /state\/tools\.lock\.json does not exist; `switchyard lock` writes it/);
  }
  const beside = { ...config, catalog: { pinning: {} } };
  writeFileSync(file, JSON.stringify(beside));
  writeFileSync(join(dirname(file), 'gateway.lock.json'), lockOf(['notes'], BEFORE));
  const { code, stdout } = await runHere(['validate', file]);
  assert.equal(code, 0);
  assert.match(stdout, /^ {2}lockfile +.*gateway\.lock\.json, 4 tools$/m);
});
