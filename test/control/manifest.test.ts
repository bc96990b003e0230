/** Lists outlive the gateway in the manifest beside the configuration. */
import assert from 'node:assert/strict';
import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { compileSnapshot } from '../../src/config/compile/index.js';
import { loadConfigFile } from '../../src/config/load.js';
import { startGateway as startSnapshot } from '../../src/control/gateway.js';
import { createGateway } from '../../src/index.js';
import { cliPath, LISTENING, startGateway } from '../support/gateway.js';
import { eventually, type RunningProcess, startProcess, type TestScope, tempFolder } from '../support/process.js';
import { type Message, modernRpc, openSession } from '../support/rpc.js';

const PROGRAM = fileURLToPath(new URL('../upstream/fixtures/lists.js', import.meta.url));
const CATALOG = { startupWaitMs: 0, firstListWaitMs: 600_000 };

const entry = (hangFile: string, family: string, variant = ''): object => ({
  command: process.execPath,
  args: [PROGRAM, 'none', 'none', 'stdio', family],
  env: { HANG_FILE: hangFile, VARIANT: variant },
  connectTimeoutMs: 5_000,
});

/** Starts `switchyard start` with a file that is there already. */
async function started(scope: TestScope, file: string): Promise<{ url: string; process: RunningProcess }> {
  const args = [cliPath, 'start', '--config', file, '--port', '0', '--no-admin'];
  const running = startProcess(scope, process.execPath, args, { cwd: dirname(file) });
  const [, origin] = await running.waitForLine(LISTENING, 30_000);
  return { url: `${origin}/mcp`, process: running };
}

async function tools(url: string): Promise<string[]> {
  const { message } = await modernRpc(url, 'tools/list');
  return message.result.tools.map(({ name }: { name: string }) => name);
}

/** A configuration in a folder of its own. */
async function written(scope: TestScope, more: object = {}) {
  const folder = await tempFolder(scope);
  const file = join(folder, 'gateway.json');
  const hangFile = join(folder, 'hang');
  const mcpServers = { legacy: entry(hangFile, 'legacy'), modern: entry(hangFile, 'modern') };
  const config = { mcpServers, catalog: CATALOG, ...more };
  await writeFile(file, JSON.stringify(config));
  return { folder, file, hangFile, config, manifest: join(folder, '.gateway.json.manifest.json') };
}

/** What a first run with a configuration leaves; in this process, since only what it leaves is looked at. */
async function firstRun(scope: TestScope, more: object = {}) {
  const first = await written(scope, more);
  const overrides = { port: 0, adminPort: false, logLevel: 'silent' } as const;
  const running = await startSnapshot(compileSnapshot(await loadConfigFile(first.file), { overrides }));
  scope.after(() => running.stop());
  const { port } = running.address!;
  assert.deepEqual(await tools(`http://127.0.0.1:${port}/mcp`), ['legacy__readings', 'modern__readings']);
  await running.stop();
  return first;
}

describe('the manifest', () => {
  it('gives clients their lists at once after a restart, while no server answers', async (scope) => {
    const { file, hangFile, manifest } = await firstRun(scope);
    assert.equal((await stat(manifest)).mode & 0o777, 0o600);
    await writeFile(hangFile, '');
    const { url } = await started(scope, file);
    assert.deepEqual(await tools(url), ['legacy__readings', 'modern__readings']);
    const session = await openSession(url);
    assert.deepEqual(session.initialized.message.result.capabilities.completions, {});
    const { message } = await session.request('prompts/list');
    assert.deepEqual(
      message.result.prompts.map(({ name }: Message) => name),
      ['legacy__prompt', 'modern__prompt'],
    );
    const call = await session.request('tools/call', { name: 'legacy__readings', arguments: {} });
    assert.equal(call.message.error.data.code, 'GW_UPSTREAM_NOT_CONNECTED');
  });

  it('is not used for a server whose configuration has changed', async (scope) => {
    const { file, hangFile, config } = await firstRun(scope);
    await writeFile(hangFile, '');
    const mcpServers = { ...config.mcpServers, legacy: entry(hangFile, 'legacy', 'other') };
    await writeFile(file, JSON.stringify({ ...config, mcpServers, catalog: { ...CATALOG, firstListWaitMs: 0 } }));
    const { url, process: running } = await started(scope, file);
    assert.deepEqual(await tools(url), ['modern__readings']);
    const lines = running.output.split('\n').filter((line) => line.includes('lists of an earlier run are not used'));
    assert.equal(lines.length, 1);
    assert.match(lines[0]!, /legacy/);
  });

  it('is ignored with one line when it is broken, and written anew', async (scope) => {
    // Every other way to be broken is in test/catalog/manifest.test.ts.
    const { file, manifest } = await written(scope);
    await writeFile(manifest, '{"format":1');
    const { url, process: running } = await started(scope, file);
    assert.deepEqual(await tools(url), ['legacy__readings', 'modern__readings']);
    assert.equal(running.output.split('the manifest of lists is not used').length, 2, running.output);
    await running.stop();
    assert.deepEqual(Object.keys(JSON.parse(await readFile(manifest, 'utf8')).servers), ['legacy', 'modern']);
  });

  it('is where catalog.manifestFile says, beside the key file, or nowhere', async (scope) => {
    const named = await firstRun(scope, { catalog: { ...CATALOG, manifestFile: 'state/lists.json' } });
    assert.deepEqual(await readdir(join(named.folder, 'state')), ['lists.json']);
    const beside = await firstRun(scope, { sessions: { keyFile: 'state/key' } });
    assert.deepEqual((await readdir(join(beside.folder, 'state'))).sort(), ['.gateway.json.manifest.json', 'key']);
    const none = await firstRun(scope, { catalog: { ...CATALOG, manifestFile: false } });
    assert.ok(!(await readdir(none.folder)).some((name) => name.includes('manifest')));
  });

  it('that cannot be written is told once, and nothing else suffers', async (scope) => {
    const folder = await tempFolder(scope);
    await writeFile(join(folder, 'occupied'), '');
    const file = join(folder, 'gateway.json');
    const manifestFile = 'occupied/lists.json';
    const mcpServers = { legacy: entry('', 'legacy'), modern: entry('', 'modern') };
    await writeFile(file, JSON.stringify({ mcpServers, catalog: { ...CATALOG, manifestFile } }));
    const { url, process: running } = await started(scope, file);
    assert.deepEqual(await tools(url), ['legacy__readings', 'modern__readings']);
    await running.stop();
    assert.equal(running.output.split('the file cannot be written').length, 2, running.output);
  });

  it('of a configuration without a file is none, in one line', async (scope) => {
    const folder = await tempFolder(scope);
    const script = `import { createGateway } from ${JSON.stringify(new URL('../../src/index.js', import.meta.url).href)};
      const gateway = createGateway({ port: 0, admin: false, mcpServers: { a: ${JSON.stringify(entry('', 'legacy'))} } });
      await gateway.start();
      await gateway.stop();`;
    const running = startProcess(scope, process.execPath, ['--input-type=module', '-e', script], { cwd: folder });
    await running.exited;
    assert.equal(running.output.split('lists are not kept').length, 2, running.output);
    assert.deepEqual(await readdir(folder), []);
  });

  it('follows changes, removed servers and reloads', async (scope) => {
    const hang = '';
    const config = { mcpServers: { one: entry(hang, 'legacy'), two: entry(hang, 'modern') }, catalog: CATALOG };
    const gateway = await startGateway(scope, config);
    const manifest = join(dirname(gateway.configFile), '.switchyard.json.manifest.json');
    const names = async (): Promise<string> => {
      const text = await readFile(manifest, 'utf8').catch(() => '{}');
      return Object.keys(JSON.parse(text).servers ?? {}).join();
    };
    await eventually('both are kept', async () => (await names()) === 'one,two');
    const next = { mcpServers: { two: entry(hang, 'modern'), three: entry(hang, 'legacy') }, catalog: CATALOG };
    await writeFile(gateway.configFile, JSON.stringify({ ...next, port: 0, admin: { port: 0 } }));
    gateway.process.child.kill('SIGHUP');
    await eventually(
      'the new one is kept, the removed one is not',
      async () => (await names()) === 'two,three',
      20_000,
    );
  });

  it('of a stopped gateway in this process is whole', async (scope) => {
    const manifestFile = join(await tempFolder(scope), 'lists.json');
    const mcpServers = { a: { command: process.execPath, args: [PROGRAM, 'none', 'none', 'stdio', 'legacy'] } };
    const gateway = createGateway({
      port: 0,
      admin: false,
      log: { level: 'silent' },
      mcpServers,
      catalog: { manifestFile },
    });
    await gateway.start();
    await eventually('it is listed', async () => (await gateway.stats()).catalog.undiscovered.length === 0);
    await gateway.stop();
    assert.deepEqual(Object.keys(JSON.parse(await readFile(manifestFile, 'utf8')).servers), ['a']);
  });
});
