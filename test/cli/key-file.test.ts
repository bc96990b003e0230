import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { cliPath, LISTENING, startGateway } from '../support/gateway.js';
import { startProcess } from '../support/process.js';
import { openSession, rpc } from '../support/rpc.js';
import { fileWith, runHere } from './support.js';

const CONFIG = '{\n  "port": 0, "admin": false,\n  "sessions": { "keyFile": "state/session.key" }\n}';

test('start and validate report with its position that the key file cannot be used, and create nothing', async (t) => {
  const file = await fileWith(t, 'gateway.json', CONFIG);
  const folder = dirname(file);
  await writeFile(join(folder, 'state'), '');
  for (const command of ['start', 'validate']) {
    const { code, stdout, stderr } = await runHere([command, '--config', file]);
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
  const { code, stdout } = await runHere(['validate', file]);
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

test('a key file beside the configuration keeps sessions over a restart without a word of configuration', async (t) => {
  const gateway = await startGateway(t, {});
  const folder = dirname(gateway.configFile);
  assert.deepEqual((await readdir(folder)).sort(), ['.switchyard.key', 'switchyard.json']);
  assert.equal((await stat(join(folder, '.switchyard.key'))).mode & 0o777, 0o600);
  assert.doesNotMatch(gateway.output, /sessions end with this process/);
  const key = await readFile(join(folder, '.switchyard.key'), 'utf8');
  assert.equal(key.trim().length, 43);
  const session = await openSession(gateway.url);
  await gateway.process.stop();
  const args = [cliPath, 'start', '--port', '0', '--admin-port', '0', '-c', gateway.configFile];
  const next = startProcess(t, process.execPath, args);
  const [, origin] = await next.waitForLine(LISTENING);
  const url = `${origin}/mcp`;
  const ping = { jsonrpc: '2.0', id: 1, method: 'ping' };
  const again = await rpc(url, ping, session.headers);
  assert.deepEqual([again.status, again.message], [200, { jsonrpc: '2.0', id: 1, result: {} }]);
  const other = await rpc(url, ping, { ...session.headers, 'mcp-session-id': `${session.id.slice(0, -4)}AAAA` });
  assert.equal(other.status, 404);
  assert.equal(await readFile(join(folder, '.switchyard.key'), 'utf8'), key);
});

test('sessions.keyFile false, no port and a named file make no key file beside the configuration', async (t) => {
  const volatile = await startGateway(t, { sessions: { keyFile: false } });
  assert.match(
    volatile.output,
    /sessions end with this process \(there is no key file\); to keep them set sessions\.secret/,
  );
  assert.deepEqual(await readdir(dirname(volatile.configFile)), ['switchyard.json']);
  const kept = await startGateway(t, { sessions: { keyFile: 'session.key' } });
  assert.doesNotMatch(kept.output, /sessions end with this process/);
  assert.deepEqual((await readdir(dirname(kept.configFile))).sort(), ['session.key', 'switchyard.json']);
  const file = await fileWith(t, 'piped.json', '{ "port": false, "admin": false }');
  const piped = startProcess(t, process.execPath, [cliPath, 'start', '--stdio', '-c', file]);
  piped.child.stdin?.end();
  assert.equal((await piped.exited).code, 0, piped.output);
  assert.doesNotMatch(piped.output, /sessions end with this process/);
  assert.deepEqual(await readdir(dirname(file)), ['piped.json']);
});

test('a default key file that cannot be used costs the sessions, and not the start', async (t) => {
  const file = await fileWith(t, 'gateway.yaml', 'port: 0\nadmin: false\n');
  await mkdir(join(dirname(file), '.gateway.key'));
  const { code, stdout } = await runHere(['validate', file]);
  assert.equal(code, 0);
  assert.match(
    stdout,
    /session key +in memory, sessions end with the process: .+\.gateway\.key: .+ not a regular file/,
  );
  const gateway = startProcess(t, process.execPath, [cliPath, 'start', '-c', file]);
  await gateway.waitForLine(
    /sessions end with this process \(.+\.gateway\.key: the session key file is not a regular file\); to keep them set/,
  );
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
