import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ConfigFormat } from '../../../src/config/load.js';
import { problemsOfText } from '../support.js';

/** Text, then the start of each problem it must lead to, in order. */
const ROWS: readonly [format: ConfigFormat, name: string, text: string, ...problems: string[]][] = [
  [
    'json',
    'an unknown key',
    '{\n  "port": 1,\n  "prot": 2\n}',
    'gateway.json:3:3: unknown key "prot"; did you mean "port"?',
  ],
  [
    'json',
    'a nested wrong type',
    '{\n  "mcpServers": {\n    "a": {\n      "command": "x",\n      "args": [\n        "ok",\n        true\n      ]\n    }\n  }\n}',
    'gateway.json:7:9: mcpServers.a.args[1]: must be a string or a number',
  ],
  [
    'json',
    'a repeated key',
    '{\n  "port": 1,\n  "host": "x",\n  "port": 2\n}',
    'gateway.json:4:3: the key "port" is given twice',
  ],
  ['json', 'a half-written file', '{\n  "mcpServers": {\n    "a": {', 'gateway.json:3:11: the file ends'],
  ['json', 'a missing comma', '{\n  "port": 1\n  "host": "x"\n}', 'gateway.json:3:3: a comma is missing'],
  ['json', 'an unknown escape', '{\n  "host": "\\q"\n}', 'gateway.json:2:11: this escape does not exist'],
  [
    'jsonc',
    'a key after comments',
    '// one\n/* two\n   three */ {\n  // four\n  "hots": 1,\n}',
    'gateway.jsonc:5:3: unknown key "hots"; did you mean "host"?',
  ],
  [
    'json',
    'a file with CR LF',
    '{\r\n  "port": 1,\r\n  "limits": { "maxDepth": 0 }\r\n}',
    'gateway.json:3:27: limits.maxDepth: must be at least 8',
  ],
  ['json', 'a byte order mark', '\uFEFF{\n"prot": 1}', 'gateway.json:2:1: unknown key "prot"'],
  [
    'yaml',
    'an unknown key',
    'port: 1\nmcpServers:\n  a:\n    comand: x\n',
    'gateway.yaml:4:5: mcpServers.a: unknown key "comand"; did you mean "command"?',
  ],
  [
    'yaml',
    'a value in a list',
    'routes:\n  - name: one\n  - name: two\n    servers: [missing]\n',
    'gateway.yaml:4:14: routes[1].servers: there is no server "missing"',
  ],
  ['yaml', 'a value behind an alias', 'x: &x\n  port: 1\n', 'gateway.yaml:1:1: unknown key "x"'],
  ['yaml', 'a tab', 'mcpServers:\n\ta: 1\n', 'gateway.yaml:2:1: tabs cannot indent'],
  ['yaml', 'a repeated key', 'host: x\nport: 1\nhost: y\n', 'gateway.yaml:3:1: the key "host" is given twice'],
  ['yaml', 'a second document', 'port: 1\n---\nport: 2\n', 'gateway.yaml:2:1: the file holds more than one document'],
  ['yaml', 'an alias without an anchor', 'host: *nobody\n', 'gateway.yaml:1:7: this alias has no anchor'],
  [
    'yaml',
    'an unset variable',
    `name: a\nauth:\n  type: bearer\n  tokens:\n    - subject: x\n      token: \${NOT_SET}\n`,
    'gateway.yaml:6:14: auth.tokens[0].token: the environment variable NOT_SET is not set',
  ],
  [
    'toml',
    'an unknown key',
    'port = 1\n\n[limits]\nmaxDeph = 9\n',
    'gateway.toml:4:1: limits: unknown key "maxDeph"; did you mean "maxDepth"?',
  ],
  [
    'toml',
    'a key of an array of tables',
    '[[routes]]\nname = "a"\n[[routes]]\nname = "b"\nidempotent = "no"\n',
    'gateway.toml:5:14: routes[1].idempotent: must be true or false',
  ],
  ['toml', 'a dotted key', 'log.level = "loud"\n', 'gateway.toml:1:13: log.level: must be'],
  [
    'toml',
    'an inline table',
    'admin = { host = "127.0.0.1", port = "x" }\n',
    'gateway.toml:1:38: admin.port: must be a number or false',
  ],
  [
    'toml',
    'a quoted key',
    '[mcpServers."a b"]\ncommand = "x"\nweight = 1\n',
    'gateway.toml:3:1: mcpServers["a b"]: unknown key "weight"',
  ],
  [
    'toml',
    'a list over several lines',
    'allowedHosts = [\n  "a", # one = "x"\n  5,\n]\n',
    'gateway.toml:3:3: allowedHosts[1]: must be a string',
  ],
  [
    'toml',
    'a key after a multi-line string',
    'name = """\nhost = "not a key"\n"""\nprot = 1\n',
    'gateway.toml:4:1: unknown key "prot"',
  ],
  [
    'toml',
    'a table below an array of tables',
    '[[routes]]\n[[routes]]\n[routes.match]\ntols = "x"\n',
    'gateway.toml:4:1: routes[1].match: unknown key "tols"; did you mean "tools"?',
  ],
  [
    'toml',
    'a dotted key in an inline table',
    'mcpServers = { "a b".weight = 1 }\n',
    'gateway.toml:1:22: mcpServers["a b"]: unknown key "weight"',
  ],
  [
    'toml',
    'an integer that is too large',
    'port = 99999999999999999999\n',
    'gateway.toml:1:8: an integer lies between',
  ],
  [
    'toml',
    'a string that is too long',
    `name = "${'x'.repeat(1_000_000)}"\n`,
    'gateway.toml: the document is nested too',
  ],
  ['toml', 'an unfinished string', 'port = 1\nhost = "abc\n', 'gateway.toml:2:12: '],
  ['toml', 'a repeated key', 'port = 1\nport = 2\n', 'gateway.toml:2:1: '],
  ['toml', 'a date', 'name = 2026-01-01\n', 'gateway.toml:1:8: name: a date cannot stand here'],
];

for (const [format, name, text, ...expected] of ROWS) {
  test(`${format}: ${name} is reported with its line and column`, () => {
    const problems = problemsOfText(text, format);
    assert.equal(problems.length, expected.length, problems.join('\n'));
    for (const [i, start] of expected.entries()) {
      assert.ok(problems[i]?.startsWith(start), `${problems[i]}\ndoes not start with\n${start}`);
    }
  });
}

test('all problems of a file are reported at once, in the order of the file', () => {
  const text = `port: \${UNSET_PORT}\nworkers: 0\nlog: { level: loud }\nhosst: x\n`;
  const lines = problemsOfText(text, 'yaml').map((problem) => /^gateway\.yaml:(\d+):/.exec(problem)?.[1]);
  assert.deepEqual(lines, ['1', '2', '3', '4']);
});

test('a flood of problems is cut off and counted', () => {
  const config = Object.fromEntries(Array.from({ length: 50_000 }, (_, i) => [`nonsense${i}`, 1]));
  const problems = problemsOfText(JSON.stringify(config), 'json');
  assert.equal(problems.length, 51);
  assert.equal(problems.at(-1), 'and 49950 more problems');
});
