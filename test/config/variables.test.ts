import assert from 'node:assert/strict';
import { homedir } from 'node:os';
import { test } from 'node:test';
import fc from 'fast-check';
import { expand } from '../../src/config/expand.js';
import { problemsOfText, snapshotOf, snapshotOfObject } from './support.js';

const context = (env: Record<string, string>) => ({ env, folder: '/srv/project' });

/** Text, environment, result. `#` stands for `$`, so that no row looks like a template of this file. */
const ROWS: readonly [text: string, env: Record<string, string>, result: string][] = [
  ['plain', {}, 'plain'],
  ['#{A}', { A: 'x' }, 'x'],
  ['a #{A} b #{B}', { A: '1', B: '2' }, 'a 1 b 2'],
  ['#{A:-d}', {}, 'd'],
  ['#{A:-d}', { A: '' }, 'd'],
  ['#{A:-d}', { A: 'x' }, 'x'],
  ['#{A:-}', {}, ''],
  ['#{A}', { A: '' }, ''],
  ['#{A:-#{B:-#{C}}}', { C: 'c' }, 'c'],
  ['#{A:-{x}', {}, '{x'],
  ['##{A}', { A: 'x' }, '#{A}'],
  ['###{A}', { A: 'x' }, '##{A}'],
  ['#A and $ alone'.replace('#', '$'), { A: 'x' }, '$A and $ alone'],
  ['#{A}', { A: '#{B}', B: 'never' }, '#{B}'],
  ['#{env:A}', { A: 'x' }, 'x'],
  ['#{env:A:-d}', {}, 'd'],
  ['#{input:api-key}', { API_KEY: 'x' }, 'x'],
  ['#{userHome}/x', {}, `${homedir()}/x`],
  ['#{workspaceFolder}#{/}x', {}, '/srv/project/x'],
  ['#{workspaceFolderBasename}', {}, 'project'],
];
const dollar = (text: string): string => text.replaceAll('#', '$');

for (const [text, env, result] of ROWS) {
  test(`${dollar(text)} with ${JSON.stringify(env)} is ${JSON.stringify(dollar(result))}`, () => {
    const values = Object.fromEntries(Object.entries(env).map(([name, value]) => [name, dollar(value)]));
    assert.equal(expand(dollar(text), context(values)).text, dollar(result));
  });
}

const FAULTS: readonly [text: string, sentence: RegExp][] = [
  ['#{A}', /: the environment variable A is not set; set it, or write \$\{A:-default\} for a default$/],
  ['#{env:A}', /the environment variable A is not set/],
  ['#{input:api-key}', /the environment variable API_KEY \(an editor asks for it as "api-key"\) is not set/],
  ['#{A', /has no "\}"/],
  ['#{', /has no "\}"/],
  ['#{A:-#{B}', /has no "\}"/],
  ['#{}', /does not hold the name of a variable/],
  ['#{1}', /does not hold the name of a variable/],
  ['#{a b}', /does not hold the name of a variable/],
  ['#{A:?must}', /does not hold the name of a variable/],
  ['#{input:../x}', /does not hold the name of a variable|INPUT/],
  [`${'#{A:-'.repeat(20)}x${'}'.repeat(20)}`, /nested deeper than 8 levels/],
  ['#{__proto__}', /the environment variable __proto__ is not set/],
  ['#{constructor}', /the environment variable constructor is not set/],
];

for (const [text, sentence] of FAULTS) {
  test(`${dollar(text).slice(0, 40)} is refused`, () => {
    assert.throws(() => expand(dollar(text), context({ OTHER: 'never-shown' })), sentence);
  });
}

test('any text either expands or is refused with a sentence that holds no value', () => {
  const part = fc.oneof(
    fc.constantFrom('${', '}', ':-', '$', 'A', 'SECRET', 'env:', 'input:', '/'),
    fc.string({ maxLength: 4 }),
  );
  fc.assert(
    fc.property(fc.array(part, { maxLength: 12 }), (parts) => {
      try {
        expand(parts.join(''), context({ SECRET: 'canary-value-17' }));
      } catch (error) {
        assert.ok(!(error as Error).message.includes('canary-value-17'));
        assert.equal((error as Error).constructor, Error);
      }
    }),
    { numRuns: 2_000 },
  );
});

test('numbers and switches may come from variables, and are checked like any other', () => {
  const text = dollar('port: #{PORT:-8080}\nworkers: #{WORKERS:-auto}\nlog: { access: "#{ACCESS}" }\n');
  const snapshot = snapshotOf(text, 'yaml', { ACCESS: 'true', WORKERS: '3' });
  assert.deepEqual([snapshot.port, snapshot.workers, snapshot.log.access], [8080, 3, true]);
  assert.match(
    problemsOfText(text, 'yaml', { ACCESS: 'true', PORT: '70000' })[0] as string,
    /^gateway\.yaml:1:7: port: must be at most/,
  );
  assert.match(
    problemsOfText(text, 'yaml', { ACCESS: 'perhaps' })[0] as string,
    /^gateway\.yaml:3:16: log\.access: must be true or false/,
  );
});

test('text stays text where the schema requires text', () => {
  const value = {
    name: dollar('#{N}'),
    mcpServers: { a: { command: 'x', args: [dollar('#{N}')], env: { A: dollar('#{N}') } } },
  };
  const snapshot = snapshotOfObject(value, { N: '0123' });
  assert.equal(snapshot.name, '0123');
  const [endpoint] = snapshot.servers[0]?.endpoints ?? [];
  assert.deepEqual(endpoint?.transport === 'stdio' && endpoint.env, { A: '0123' });
});

test('keys are not expanded', () => {
  const snapshot = snapshotOfObject({ mcpServers: { [dollar('#{N}')]: { command: 'x', prefix: false } } }, { N: 'x' });
  assert.equal(snapshot.servers[0]?.name, dollar('#{N}'));
});

test('a variable that is not set is one problem, wherever it stands', () => {
  const rows: [text: string, path: string][] = [
    ['{"mcpServers":{"a":{"command":"x","env":{"K":"${NOPE}"}}}}', 'mcpServers.a.env.K'],
    ['{"mcpServers":{"a":{"command":"x","args":["y","${NOPE}"]}}}', 'mcpServers.a.args[1]'],
    ['{"mcpServers":{"a":{"command":["${NOPE}"]}}}', 'mcpServers.a.command[0]'],
    ['{"mcpServers":{"a":{"command":"${NOPE}"}}}', 'mcpServers.a.command'],
    ['{"mcpServers":{"a":{"url":"${NOPE}","headers":{"x":"${NOPE}"}}}}', 'mcpServers.a.url'],
    ['{"mcpServers":{"a":{"url":"http://h/","headers":{"x":"${NOPE}"}}}}', 'mcpServers.a.headers.x'],
    ['{"mcpServers":{"a":{"url":"http://h/","auth":{"type":"${NOPE}","token":"t"}}}}', 'mcpServers.a.auth.type'],
    ['{"mcpServers":{"a":{"command":"x","isolation":"${NOPE}","maxQueue":3}}}', 'mcpServers.a.isolation'],
    ['{"port":"${NOPE}"}', 'port'],
    ['{"allowedHosts":["${NOPE}"]}', 'allowedHosts[0]'],
  ];
  for (const [text, path] of rows) {
    const about = problemsOfText(text, 'json').filter((problem) => problem.includes(path));
    assert.deepEqual(about.length, 1, problemsOfText(text, 'json').join('\n'));
    assert.match(about[0] as string, /NOPE is not set/);
  }
});

test('~ in a working directory is the home folder', () => {
  const rows: [cwd: string, expected: string][] = [
    ['~', homedir()],
    ['~/', `${homedir()}`],
    ['~/projects/x', `${homedir()}/projects/x`],
    ['/~/x', '/~/x'],
  ];
  for (const [cwd, expected] of rows) {
    const [server] = snapshotOfObject({ mcpServers: { a: { command: 'x', cwd } } }).servers;
    const [endpoint] = server!.endpoints;
    assert.equal(endpoint?.transport === 'stdio' && endpoint.cwd, expected);
  }
});
