import assert from 'node:assert/strict';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { cliPath, startGateway } from '../support/gateway.js';
import { startProcess } from '../support/process.js';
import { fileWith, runCli } from './support.js';

const CONFIG = '{\n  "port": 0, "admin": false,\n  "sessions": { "keyFile": "state/session.key" }\n}';

test('start and validate report with its position that the key file cannot be used, and create nothing', async (t) => {
  const file = await fileWith(t, 'gateway.json', CONFIG);
  const folder = dirname(file);
  await writeFile(join(folder, 'state'), '');
  for (const command of ['start', 'validate']) {
    const { code, stdout, stderr } = await runCli(t, [command, '--config', file]);
    assert.deepEqual([code, stdout], [78, '']);
    assert.equal(
      stderr,
      `switchyard: ${file}:3:28: sessions.keyFile: ${folder}/state/session.key: the session key file cannot be read ` +
        '(a part of its path is a file and no folder); ' +
        'set sessions.keyFile to a place that can be written, or set sessions.secret\n',
    );
  }
  assert.deepEqual((await readdir(folder)).sort(), ['gateway.json', 'state']);
});

test('validate does not make the key file, and says where it will be', async (t) => {
  const file = await fileWith(t, 'gateway.json', CONFIG);
  const { code, stdout } = await runCli(t, ['validate', file]);
  assert.equal(code, 0);
  assert.match(stdout, /^ {2}session key +in state\/session\.key$/m);
  assert.deepEqual(await readdir(dirname(file)), ['gateway.json']);
});

test('a key that cannot be written ends the start with 78, and no part of it is left', async (t) => {
  const file = await fileWith(t, 'gateway.json', CONFIG);
  const handler = await fileWith(t, 'handler.mjs', "process.on('SIGXFSZ', () => {});");
  const script = 'ulimit -f 0; exec "$0" --import "$1" "$2" start --config "$3"';
  const child = startProcess(t, 'bash', ['-c', script, process.execPath, handler, cliPath, file]);
  const { code } = await child.exited;
  assert.equal(code, 78, child.output);
  assert.equal(child.stdout, '');
  assert.match(
    child.stderr,
    /^switchyard: sessions\.keyFile: \/.+session\.key: the session key file cannot be written/,
  );
  assert.deepEqual(await readdir(join(dirname(file), 'state')), []);
});

test('without a key file nothing is written, and the log says that sessions end with the process', async (t) => {
  const gateway = await startGateway(t, {});
  assert.match(
    gateway.output,
    /sessions end with this process; to keep them set sessions\.secret or sessions\.keyFile/,
  );
  assert.deepEqual(await readdir(dirname(gateway.configFile)), ['switchyard.json']);
  const kept = await startGateway(t, { sessions: { keyFile: 'session.key' } });
  assert.doesNotMatch(kept.output, /sessions end with this process/);
  const key = (await readFile(join(dirname(kept.configFile), 'session.key'), 'utf8')).trim();
  assert.equal(key.length, 43);
});

test('a key file that cannot be used leaves the running configuration as it is', async (t) => {
  const gateway = await startGateway(t, {});
  await writeFile(gateway.configFile, '{ "sessions": { "keyFile": "/dev/null/session.key" } }');
  gateway.process.child.kill('SIGHUP');
  await gateway.process.waitForLine(
    /sessions\.keyFile: \/dev\/null\/session\.key: the session key file cannot be read/,
  );
  assert.equal((await fetch(`${gateway.origin}/health`)).status, 200);
});

test('a gateway in a program refuses to start with the same sentence, and holds nothing open', async (t) => {
  const index = new URL('../../src/index.js', import.meta.url).href;
  const program = `
    const { createGateway, ConfigError } = await import(${JSON.stringify(index)});
    const gateway = createGateway({ port: false, admin: false, sessions: { keyFile: '/dev/null/session.key' } });
    await gateway.start().catch((error) => console.log(error instanceof ConfigError, error.problems[0]));`;
  const child = startProcess(t, process.execPath, ['--input-type=module', '-e', program]);
  assert.deepEqual(await child.exited, { code: 0, signal: null });
  assert.match(child.stdout, /^true sessions\.keyFile: \/dev\/null\/session\.key: the session key file cannot be read/);
});
