import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { levelFlag } from '../../src/cli/console/command.js';
import { cliPath, LISTENING } from '../support/gateway.js';
import {
  eventually,
  isAlive,
  type RunningProcess,
  startProcess,
  type TestScope,
  tempFolder,
} from '../support/process.js';
import { fileWith, runCli, runHere } from './support.js';

const ANY_PORTS = ['--port', '0', '--admin-port', '0'];

function start(scope: TestScope, args: readonly string[], env: Record<string, string> = {}): RunningProcess {
  return startProcess(scope, process.execPath, [cliPath, 'start', ...args], { env });
}

/** Occupies a port until the test ends. */
async function takePort(scope: TestScope): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  scope.after(() => server.close());
  return (server.address() as { port: number }).port;
}

/** The ids of the processes that `pid` started. */
async function childrenOf(pid: number): Promise<number[]> {
  const { stdout } = await promisify(execFile)('ps', ['-o', 'pid=', '--ppid', String(pid)]).catch(() => ({
    stdout: '',
  }));
  return stdout
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map(Number);
}

for (const frontEnd of ['uws', 'node']) {
  test(`start prints one line on standard output, serves, and drains on SIGTERM (${frontEnd})`, async (t) => {
    const file = await fileWith(t, 'gateway.yaml', 'mcpServers: {}\n');
    const gateway = start(t, ['--config', file, ...ANY_PORTS, '--front-end', frontEnd]);
    const [line, origin, , admin] = await gateway.waitForLine(LISTENING);
    assert.equal((await fetch(`${origin}/health`)).status, 200);
    assert.equal((await fetch(`${admin}/livez`)).status, 200);
    assert.deepEqual(await gateway.stop('SIGTERM'), { code: 0, signal: null });
    assert.equal(gateway.stdout, `${line}\n`);
    assert.match(line, /^switchyard listening on http:\/\/127\.0\.0\.1:\d+\/mcp \(admin http:\/\/127\.0\.0\.1:\d+\)$/);
  });
}

test('without an admin listener the line does not name one', async (t) => {
  const file = await fileWith(t, 'gateway.toml', '[mcpServers]\n');
  const gateway = start(t, [file, '--port', '0', '--no-admin', '--host', 'localhost']);
  await gateway.waitForLine(LISTENING);
  assert.deepEqual(await gateway.stop('SIGINT'), { code: 0, signal: null });
  assert.match(gateway.stdout, /^switchyard listening on http:\/\/[\w.[\]:]+:\d+\/mcp\n$/);
});

test('logs are JSON lines on standard error, and quiet when silent', async (t) => {
  const file = await fileWith(
    t,
    'gateway.json',
    '{"mcpServers": {"a": {"command": "node", "args": ["-e", ""], "oauth": {}}}}',
  );
  const loud = start(t, ['-c', file, ...ANY_PORTS, '--json-logs']);
  await loud.waitForLine(LISTENING);
  await loud.stop();
  const lines = loud.stderr
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as { level: string; msg: string });
  assert.ok(lines.length > 1);
  assert.ok(lines.some(({ level, msg }) => level === 'warn' && msg.includes('mcpServers.a.oauth: ignored')));
  const quiet = start(t, ['-c', file, ...ANY_PORTS, '--log-level', 'silent']);
  await quiet.waitForLine(LISTENING);
  await quiet.stop();
  assert.ok(
    quiet.stderr
      .split('\n')
      .filter((line) => line !== '')
      .every((line) => line.includes('oauth')),
    quiet.stderr,
  );
});

test('a program that does not exist is refused as validate does, unless its server is disabled', async (t) => {
  const entry = '"command": "no-such-program-anywhere"';
  const file = await fileWith(
    t,
    'gateway.json',
    `{"mcpServers": {"a": {${entry}}, "b": {"url": "http://127.0.0.1:9/"}}}`,
  );
  const refused = await runHere(['start', '-c', file, ...ANY_PORTS]);
  const { stderr } = await runHere(['validate', file]);
  assert.deepEqual([refused.code, refused.stdout, refused.stderr], [78, '', stderr]);
  assert.match(stderr, /mcpServers\.a\.command: there is no program "no-such-program-anywhere" on PATH/);
  const disabled = await fileWith(t, 'disabled.json', `{"mcpServers": {"a": {${entry}, "enabled": false}}}`);
  const gateway = start(t, ['-c', disabled, ...ANY_PORTS]);
  await gateway.waitForLine(LISTENING);
  // A file that is read again is checked in the same way.
  await writeFile(disabled, `{"mcpServers": {"a": {${entry}}}}`);
  gateway.child.kill('SIGHUP');
  await gateway.waitForLine(/no program.*not reloaded/);
  await gateway.stop();
});

test('a configuration key that was renamed is one warning at the start', async (t) => {
  const file = await fileWith(t, 'gateway.yaml', 'mcpServers:\n  a:\n    enabled: false\n    maxLanes: 2\n');
  const gateway = start(t, ['-c', file, ...ANY_PORTS, '--json-logs']);
  await gateway.waitForLine(LISTENING);
  await gateway.stop();
  const about = gateway.stderr.split('\n').filter((line) => line.includes('maxLanes'));
  assert.equal(about.length, 1, gateway.stderr);
  const { level, msg } = JSON.parse(about[0] as string) as { level: string; msg: string };
  assert.equal(level, 'warn');
  assert.equal(msg, `${file}:4:5: mcpServers.a: "maxLanes" is now called "maxDedicated"; the old name still works`);
});

test('a port in use is reported in one sentence, the exit code is 1, and no child is started', async (t) => {
  const port = await takePort(t);
  const started = join(await tempFolder(t), 'started');
  const write = `require('fs').writeFileSync(${JSON.stringify(started)}, '')`;
  const mcpServers = { a: { command: process.execPath, args: ['-e', write] } };
  const file = await fileWith(t, 'gateway.json', JSON.stringify({ log: { level: 'silent' }, mcpServers }));
  const rows: readonly (readonly string[])[] = [
    ['--port', String(port), '--admin-port', '0', '--front-end', 'node'],
    ['--port', String(port), '--admin-port', '0', '--front-end', 'uws'],
    ['--port', '0', '--admin-port', String(port)],
  ];
  for (const args of rows) {
    const { code, stdout, stderr } = await runCli(t, ['start', '--config', file, ...args]);
    assert.deepEqual([code, stdout], [1, ''], stderr);
    assert.equal(
      stderr,
      `switchyard: 127.0.0.1:${port} is in use already; stop the program that uses it, or choose another port\n`,
      args.join(' '),
    );
    assert.equal(existsSync(started), false);
  }
});

test('a configuration that cannot be used ends with 78 before anything is started', async (t) => {
  const good = await fileWith(t, 'good.json', '{}');
  const bad = await fileWith(t, 'bad.yaml', 'port: 1\nprot: 2\n');
  const rows: [args: string[], sentence: RegExp][] = [
    [[bad], /^switchyard: .*bad\.yaml:2:1: unknown key "prot"; did you mean "port"\?\n$/],
    [['missing.json'], /^switchyard: missing\.json: the file does not exist\n$/],
    [[good, '--host', '0.0.0.0'], /host: is reachable from other machines without authentication; set "auth"/],
    [[good, '--port', '7', '--admin-port', '7'], /admin\.port: is the port of the MCP endpoint/],
  ];
  for (const [args, sentence] of rows) {
    const { code, stdout, stderr } = await runHere(['start', ...args]);
    assert.deepEqual([code, stdout], [78, ''], stderr);
    assert.match(stderr, sentence);
  }
});

test('a signal while upstreams are waited for ends it with 0, and their children', async (t) => {
  const args = ['-e', 'setInterval(() => {}, 1000); process.stderr.write("mute child " + process.pid + "\\n")'];
  const config = { mcpServers: { mute: { command: process.execPath, args } }, catalog: { startupWaitMs: 600_000 } };
  const gateway = start(t, [await fileWith(t, 'gateway.json', JSON.stringify(config)), ...ANY_PORTS]);
  const [, pid] = await gateway.waitForLine(/mute child (\d+)/);
  assert.equal(await isAlive(Number(pid)), true);
  assert.deepEqual(await gateway.stop('SIGTERM'), { code: 0, signal: null });
  assert.equal(gateway.stdout, '');
  await eventually('the child ends', async () => !(await isAlive(Number(pid))));
});

test('a second signal ends it at once with 1, though a call is still in flight', async (t) => {
  const program = fileURLToPath(new URL('./silent-server.js', import.meta.url));
  const config = { mcpServers: { s: { command: process.execPath, args: [program] } }, limits: { drainMs: 60_000 } };
  const gateway = start(t, [await fileWith(t, 'gateway.json', JSON.stringify(config)), ...ANY_PORTS]);
  const [, origin] = await gateway.waitForLine(LISTENING);
  const call = fetch(`${origin}/mcp`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      'mcp-protocol-version': '2026-07-28',
      'mcp-method': 'tools/call',
      'mcp-name': 's__wait',
    },
    body: JSON.stringify({
      jsonrpc: '2.0',
      id: 1,
      method: 'tools/call',
      params: {
        name: 's__wait',
        arguments: {},
        _meta: {
          'io.modelcontextprotocol/protocolVersion': '2026-07-28',
          'io.modelcontextprotocol/clientCapabilities': {},
        },
      },
    }),
  }).catch(() => null);
  await gateway.waitForLine(/silent server called/);
  gateway.child.kill('SIGTERM');
  await gateway.waitForLine(/draining/);
  gateway.child.kill('SIGTERM');
  assert.deepEqual(await gateway.exited, { code: 1, signal: null });
  await call;
});

test('the demo prints a client entry and a curl line that works when pasted, and leaves nothing behind', async (t) => {
  const cwd = await tempFolder(t);
  const gateway = startProcess(t, process.execPath, [cliPath, 'start', ...ANY_PORTS], { cwd });
  const [, origin] = await gateway.waitForLine(LISTENING, 30_000);
  await gateway.waitForLine(/Ctrl\+C stops/);
  assert.match(gateway.stderr, /this folder has no switchyard\.\{yaml,yml,toml,json,jsonc\}; this is the demo/);
  const snippet = /\{\n {4}"mcpServers"[\s\S]*?\n {2}\}\n/.exec(gateway.stdout)?.[0] ?? '';
  assert.deepEqual(JSON.parse(snippet), { mcpServers: { switchyard: { type: 'http', url: `${origin}/mcp` } } });
  const curl = /^curl .*$/m.exec(gateway.stdout)?.[0] ?? '';
  const answer = await eventually('the pasted line works', async () => {
    const { stdout } = await promisify(execFile)('sh', ['-c', curl]);
    return stdout.includes('"result"') ? stdout : null;
  });
  const { id, result } = JSON.parse(answer) as { id: number; result: { structuredContent: { city: string } } };
  assert.deepEqual([id, result.structuredContent.city], [1, 'Lisbon']);
  const children = await childrenOf(gateway.pid);
  assert.ok(children.length >= 2, 'both example servers run');
  assert.deepEqual(await gateway.stop('SIGINT', 30_000), { code: 0, signal: null });
  for (const pid of children) await eventually(`process ${pid} ends`, async () => !(await isAlive(pid)));
});

test('init, then start, then validate work in a folder without a word about the file', async (t) => {
  const cwd = await tempFolder(t);
  assert.equal((await runHere(['init', 'switchyard.yaml'], { cwd })).code, 0);
  const env = { PATH: `${process.execPath.replace(/\/node$/, '')}:${process.env['PATH']}` };
  const gateway = startProcess(t, process.execPath, [cliPath, 'start', ...ANY_PORTS], { cwd, env });
  await gateway.waitForLine(LISTENING);
  assert.match(gateway.stderr, /using switchyard\.yaml of this folder/);
  const { code, stdout } = await runHere(['validate'], { cwd, env });
  assert.equal(code, 0);
  assert.match(stdout, /memory/);
});

for (const name of ['switchyard.yml', 'switchyard.toml', 'switchyard.json', 'switchyard.jsonc']) {
  test(`start takes ${name} of the working folder`, async (t) => {
    // A fault ends it before it listens.
    const file = await fileWith(t, name, /toml$/.test(name) ? 'nome = "found"' : '{ "nome": "found" }');
    const { code, stdout, stderr } = await runHere(['start', ...ANY_PORTS], { cwd: dirname(file) });
    assert.deepEqual([code, stdout], [78, '']);
    assert.match(stderr, new RegExp(`^switchyard: ${name}:1:\\d+: unknown key "nome"; [^\\n]*\\n$`));
  });
}

test('of two files of a folder one is taken, and both are named; --demo takes none', async (t) => {
  const file = await fileWith(t, 'switchyard.yaml', 'name: first\n');
  const cwd = dirname(file);
  await writeFile(join(cwd, 'switchyard.json'), '{}');
  const gateway = startProcess(t, process.execPath, [cliPath, 'start', ...ANY_PORTS], { cwd });
  await gateway.waitForLine(LISTENING);
  assert.match(gateway.stderr, /warning: switchyard\.json is not read beside switchyard\.yaml; name it with --config/);
  const demo = startProcess(t, process.execPath, [cliPath, 'start', '--demo', ...ANY_PORTS], { cwd });
  await demo.waitForLine(/This is a demo/);
});

test('-l takes a level of the log in any case, and as other programs call it', async (t) => {
  const levels = ['ERROR', 'Warning', 'critical', 'debug'].map((word) => levelFlag(word));
  assert.deepEqual(levels, ['error', 'warn', 'fatal', 'debug']);
  const file = await fileWith(t, 'gateway.yaml', 'mcpServers: {}\n');
  const gateway = start(t, ['-c', file, ...ANY_PORTS, '-l', 'Warning']);
  await gateway.waitForLine(LISTENING);
  assert.deepEqual(await gateway.stop('SIGTERM'), { code: 0, signal: null });
});
