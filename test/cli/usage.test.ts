import assert from 'node:assert/strict';
import { test } from 'node:test';
import { COMMANDS } from '../../src/cli/commands.js';
import { helpOf } from '../../src/cli/help.js';
import { packageVersion } from '../../src/package-root.js';
import { tempFolder } from '../support/process.js';
import { runCli, runHere } from './support.js';

const NAMES = COMMANDS.map(({ name }) => name);

for (const word of ['-v', '-V', 'version']) {
  test(`${word} prints the version`, async () => {
    assert.deepEqual(await runHere([word]), { code: 0, stdout: `${packageVersion}\n`, stderr: '' });
  });
}

test('--version prints the version, from a process of its own', async (t) => {
  assert.deepEqual(await runCli(t, ['--version']), { code: 0, stdout: `${packageVersion}\n`, stderr: '' });
});

for (const command of ['validate', 'check', 'tools']) {
  test(`${command} without a file needs one in the working folder`, async (t) => {
    const { code, stdout, stderr } = await runHere([command], { cwd: await tempFolder(t) });
    assert.deepEqual([code, stdout], [1, '']);
    assert.equal(
      stderr,
      `switchyard: this folder has no switchyard.{yaml,yml,toml,json,jsonc}; name the configuration file: switchyard ${command} FILE\n`,
    );
  });
}

test('a fault is told by the process as well: its exit code, and nothing on standard output', async (t) => {
  const { code, stdout, stderr } = await runCli(t, ['strat']);
  const sentence = 'switchyard: there is no command "strat"; did you mean "start"?\n';
  assert.deepEqual([code, stdout, stderr], [1, '', sentence]);
});

for (const args of [['--help'], ['-h'], ['help']]) {
  test(`${args.join(' ')} lists the commands with examples`, async () => {
    const { code, stdout, stderr } = await runHere(args);
    assert.deepEqual([code, stderr], [0, '']);
    for (const word of [...NAMES, 'Examples:']) assert.ok(stdout.includes(word), word);
  });
}

for (const command of NAMES) {
  test(`${command} --help shows usage and examples and does nothing else`, async () => {
    const { code, stdout, stderr } = await runHere([command, '--help']);
    assert.deepEqual([code, stderr], [0, '']);
    assert.ok(stdout.startsWith(`Usage: switchyard ${command}`));
    assert.match(stdout, /Examples:\n {2}switchyard /);
    assert.deepEqual(await runHere(['help', command]), { code, stdout, stderr });
  });
}

test('the help of a command has every option, with its value and its text', () => {
  for (const command of COMMANDS) {
    const lines = helpOf(command).split('\n');
    for (const [name, { short, value, help }] of Object.entries(command.options)) {
      const head = `${short === undefined ? '' : `-${short}, `}--${name}${value === undefined ? '' : ` ${value}`}`;
      const at = lines.findIndex((line) => line.trim() === head || line.trim().startsWith(`${head} `));
      assert.ok(at >= 0, `${command.name} ${head}`);
      assert.ok(`${lines[at]}${lines[at + 1]}`.includes(help.replaceAll('`', '')), `${command.name} ${head}`);
    }
  }
});

/** Arguments that make no sense, and the one sentence they get. */
const FAULTS: readonly [args: string[], sentence: string][] = [
  [['strat'], 'there is no command "strat"; did you mean "start"?'],
  [['--frobnicate'], 'there is no command "--frobnicate"; see switchyard --help'],
  [['start', '--prot', '1'], 'there is no option "--prot"; did you mean --port?'],
  [['start', '-x'], 'there is no option "-x"'],
  [['start', '--port'], '--port needs a value'],
  [['start', '--port', '--demo'], '--port needs a value'],
  [['start', '--port', 'http'], '--port must be a whole number from 0 to 65535'],
  [['start', '--port=65536'], '--port must be a whole number from 0 to 65535'],
  [['start', '--admin-port', '-1'], '--admin-port must be a whole number from 0 to 65535'],
  [['start', '--workers', '0'], '--workers must be a whole number from 1 to 64'],
  [['start', '--log-level', 'loud'], '--log-level must be one of fatal, error, warn, info, debug, trace, silent'],
  [['start', '--front-end', 'apache'], '--front-end must be one of auto, uws, node'],
  [['start', '--demo=1'], '--demo takes no value'],
  [['start', '--no-admin', '--admin-port', '1'], '--no-admin and --admin-port contradict each other'],
  [['start', 'a.json', 'b.json'], 'give one configuration file'],
  [['start', '--config', 'a.json', 'b.json'], 'give one configuration file'],
  [['start', '--demo', 'a.json'], '--demo and a configuration file contradict each other'],
  [['start', '--no-http'], '--no-http leaves no way in; add --stdio'],
  [['start', '--stdio', '--no-http', '--port', '1'], '--no-http and --port contradict each other'],
  [['proxy'], 'name the server: switchyard proxy URL, or switchyard proxy -- COMMAND'],
  [['proxy', 'http://a/', '--', 'b'], 'give a URL or a program, not both'],
  [['proxy', 'npx', 'server'], 'give one URL; a program and its arguments stand behind --'],
  [['proxy', 'http://a/', '--port', '1'], '--port and --host need --transport http or sse'],
  [['proxy', 'http://a/', '--transport', 'pipe'], '--transport must be one of stdio, http, sse'],
  [['proxy', 'http://a/', '--transport-type', 'pipe'], '--transport-type must be one of http, sse, websocket'],
  [['proxy', 'http://a/', '--env', 'A=1'], '--env is for a program'],
  [['proxy', '--header', 'a: b', '--', 'x'], '--header is for a URL'],
  [['proxy', 'http://a/', '--header', 'secret'], "--header needs the form 'NAME: VALUE'"],
  [['proxy', '--env', 'secret', '--', 'x'], '--env needs the form NAME=VALUE'],
  [['proxy', 'http://a/', '--bearer-env', 'NOT_SET'], '--bearer-env: the environment variable NOT_SET is not set'],
  [['list'], 'there is no command "list"; did you mean "tools"?'],
  [['serve'], 'there is no command "serve"; did you mean "start"?'],
  [['chekc'], 'there is no command "chekc"; did you mean "check"?'],
  [['start', '--config='], 'the value of --config is empty; write --config FILE'],
  [['start', '-l', 'loud'], '--log-level must be one of fatal, error, warn, info, debug, trace, silent'],
  [['check', 'a.json', 'b.json'], 'give one configuration file'],
  [['init', 'a.json', 'b.json'], 'give one configuration file'],
  [['migrate', 'a.json', 'b.json'], 'give one configuration file'],
  [['migrate'], 'name the file: switchyard migrate FILE'],
];

for (const [args, sentence] of FAULTS) {
  test(`"${args.join(' ')}" ends with 1 and one sentence`, async () => {
    const { code, stdout, stderr } = await runHere(args);
    assert.deepEqual([code, stdout, stderr], [1, '', `switchyard: ${sentence}\n`]);
  });
}

test('no command at all shows the usage on standard error and fails', async () => {
  const { code, stdout, stderr } = await runHere([]);
  assert.deepEqual([code, stdout], [1, '']);
  assert.ok(stderr.startsWith('Usage: switchyard COMMAND'));
});
