import assert from 'node:assert/strict';
import { chmod, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { cliPath } from '../support/gateway.js';
import { startProcess, tempFolder } from '../support/process.js';
import { fileWith, runCli, runHere } from './support.js';

test('validate lists upstreams, routes, decoder and front end', async (t) => {
  const file = await fileWith(
    t,
    'gateway.yaml',
    `
port: 8123
admin: false
transports: { rest: false }
mcpServers:
  files: { command: node, args: [x.js] }
  search: { endpoints: [{ url: "http://10.0.0.1:3000/mcp" }, { url: "http://10.0.0.2:3000/mcp?key=hidden" }] }
  old: { url: "https://old.example.com/sse", type: sse }
  tracker: { url: "https://tracker.example.com/mcp", auth: { type: oauth } }
  live: { url: "wss://live.example.com/mcp?token=hidden" }
  alone: { command: node, args: [x.js], isolation: shared }
  gone: { command: no-such-program-anywhere, enabled: false }
routes:
  - name: writes
    match: { tools: [files__write_*] }
    servers: [files, search]
    requiredScopes: [files:write]
`,
  );
  const { code, stdout, stderr } = await runHere(['validate', file]);
  assert.equal(code, 0);
  assert.match(stderr, /^warning: route writes requires files:write, but with auth: none no client has a scope: .*\n$/);
  const rows: RegExp[] = [
    /can be used\.$/m,
    /^ {2}endpoint +http:\/\/127\.0\.0\.1:8123\/mcp$/m,
    /^ {2}transports +Streamable HTTP, HTTP with SSE, WebSocket$/m,
    /^ {2}admin +none$/m,
    /^ {2}decoder +(native|typescript \(.+\))$/m,
    /^ {2}front end +(uws|node \(.+\))$/m,
    /^ {2}files +stdio +\/.*node$/m,
    /^ {2}alone +stdio +\/.*node +shared: cannot ask clients; `switchyard check` shows what isolation: session would add$/m,
    /^ {2}search +http +http:\/\/10\.0\.0\.1:3000\/mcp$/m,
    /^ {2}search +http +http:\/\/10\.0\.0\.2:3000\/mcp\?key=\*\*\*$/m,
    /^ {2}old +sse +https:\/\/old\.example\.com\/sse$/m,
    /^ {2}tracker +http +https:\/\/tracker\.example\.com\/mcp +login: nobody has logged in, run `switchyard login tracker`$/m,
    /^ {2}live +websocket +wss:\/\/live\.example\.com\/mcp\?token=\*\*\*$/m,
    /^ {2}writes +tools files__write_\* +to files, then search; scopes files:write$/m,
  ];
  for (const row of rows) assert.match(stdout, row);
  assert.doesNotMatch(stdout, /gone|hidden/);
});

test('validate names changed names, and routes that do nothing', async (t) => {
  const file = await fileWith(
    t,
    'gateway.yaml',
    `
auth: { type: bearer, tokens: { low: { token: some-long-token-of-a-client, scopes: [read] } } }
mcpServers:
  файлы: { command: node }
  notes: { command: node, rename: { a.b: ab } }
  news: { command: node, rename: "v2_{name}" }
routes:
  - { name: all, match: { tools: ["notes__*"] }, servers: [notes] }
  - { name: more, match: { tools: ["notes__*"] }, servers: [news] }
  - { name: late, match: { tools: [notes__ab] }, requiredScopes: [read], servers: [notes] }
  - { name: none, match: { tools: [ab] } }
  - { name: admin, match: { tools: ["news:*"] }, requiredScopes: [read, admin] }
`,
  );
  const { code, stdout, stderr } = await runHere(['validate', file]);
  assert.equal(code, 0, stderr);
  for (const row of [
    /^ {2}файлы +NAME +is offered as faily__NAME$/m,
    /^ {2}notes +a\.b +is offered as notes__ab$/m,
    /^ {2}news +NAME +is offered as news__v2_NAME$/m,
    /^ {2}more +tools notes__\* +to news, behind the servers of all$/m,
  ]) {
    assert.match(stdout, row);
  }
  for (const row of [
    /route late can never be reached: "all" comes first/,
    /route none matches nothing that a server can offer: tools "ab"/,
    /route admin requires read admin, but no token of auth.tokens has all of them/,
  ]) {
    assert.match(stderr, row);
  }
  const { stdout: json } = await runHere(['validate', file, '--json']);
  const report = JSON.parse(json) as { routes: { route: string; kind: string }[]; renamed: object[] };
  assert.deepEqual(
    report.routes.map(({ route, kind }) => [route, kind]),
    [
      ['late', 'unreachable'],
      ['none', 'no-match'],
      ['admin', 'no-grant'],
    ],
  );
  assert.equal(report.renamed.length, 3);
});

test('a gateway without a port has no transports', async (t) => {
  const { code, stdout } = await runHere(['validate', await fileWith(t, 'gateway.toml', 'port = false\n')]);
  assert.equal(code, 0);
  assert.match(stdout, /^ {2}endpoint +none\n {2}transports +none$/m);
});

test('the decoder and the front end follow the configuration', async (t) => {
  const file = await fileWith(t, 'gateway.json', '{"frontEnd": "node"}');
  const { stdout } = await runCli(t, ['validate', file, '--json'], { env: { SWITCHYARD_DECODER: 'typescript' } });
  const report = JSON.parse(stdout) as { decoder: { kind: string }; frontEnd: { kind: string } };
  assert.deepEqual([report.decoder.kind, report.frontEnd.kind], ['typescript', 'node']);
});

test('a program that is not on PATH is a problem with its place', async (t) => {
  const file = await fileWith(
    t,
    'gateway.json',
    '{\n  "mcpServers": {\n    "a": { "command": "no-such-program-anywhere" },\n    "b": { "command": "npx -y --key=hidden x" },\n    "c": { "command": "./missing.sh" },\n    "d": { "command": "node", "cwd": "nowhere" }\n  }\n}',
  );
  const { code, stdout, stderr } = await runHere(['validate', file]);
  assert.equal(code, 78);
  assert.equal(stdout, '');
  assert.deepEqual(stderr.trimEnd().split('\n'), [
    `switchyard: ${file}:3:23: mcpServers.a.command: there is no program "no-such-program-anywhere" on PATH`,
    `switchyard: ${file}:4:23: mcpServers.b.command: there is no program "npx" on PATH; "command" is not split at spaces: put the arguments into "args"`,
    `switchyard: ${file}:5:23: mcpServers.c.command: there is no program "./missing.sh"`,
    `switchyard: ${file}:6:23: mcpServers.d.command: its working directory ("cwd") "${join(dirname(file), 'nowhere')}" does not exist`,
  ]);
});

test('a program is looked for where the child will look', async (t) => {
  const folder = await tempFolder(t);
  await writeFile(join(folder, 'my-server'), '#!/bin/sh\n');
  const file = join(folder, 'gateway.json');
  await writeFile(
    file,
    JSON.stringify({
      mcpServers: { a: { command: 'my-server', env: { PATH: folder } }, b: { command: './my-server', cwd: '.' } },
    }),
  );
  assert.equal((await runHere(['validate', file])).code, 78, 'not executable yet');
  await chmod(join(folder, 'my-server'), 0o755);
  const { code, stdout } = await runHere(['validate', file], { cwd: dirname(folder) });
  assert.equal(code, 0);
  assert.equal(stdout.split(join(folder, 'my-server')).length, 3);
});

test('a configuration that cannot be used ends with 78 and every problem', async (t) => {
  const file = await fileWith(t, 'gateway.toml', 'prot = 1\n[log]\nlevel = "loud"\n');
  const { code, stdout, stderr } = await runHere(['validate', file]);
  assert.deepEqual([code, stdout], [78, '']);
  assert.equal(
    stderr,
    `switchyard: ${file}:1:1: unknown key "prot"; did you mean "port"?\n` +
      `switchyard: ${file}:3:9: log.level: must be "fatal", "error", "warn", "info", "debug", "trace" or "silent"\n`,
  );
  const json = await runHere(['validate', '--json', file]);
  assert.equal(json.code, 78);
  const { valid, problems } = JSON.parse(json.stdout) as { valid: boolean; problems: string[] };
  assert.deepEqual([valid, problems.length], [false, 2]);
});

test('what is ignored is said, and is no problem', async (t) => {
  const file = await fileWith(t, 'mcp.json', '{"mcpServers": {"a": {"url": "http://localhost/", "sandbox": {}}}}');
  const { code, stderr } = await runHere(['validate', file]);
  assert.equal(code, 0);
  assert.equal(
    stderr,
    `warning: ${file}:1:51: mcpServers.a.sandbox: ignored: the child is not sandboxed by the gateway\n`,
  );
});

const CANARY = 'canary-0123456789abcdef0123456789abcdef';
const SECRETIVE = {
  auth: { type: 'bearer', tokens: { alice: CANARY, bob: '$' + '{TOKEN}' } },
  sessions: { secret: CANARY },
  mcpServers: {
    a: { command: 'node', args: ['--api-key', CANARY, '$' + '{TOKEN}'], env: { KEY: CANARY } },
    b: { url: '$' + '{URL}', headers: { 'x-key': CANARY } },
    c: { url: `http://localhost/?k=${CANARY}`, auth: { type: 'bearer', token: CANARY } },
  },
};

test('no secret is in any output, whether the file is good or bad', async (t) => {
  const env = { TOKEN: `${CANARY}-env`, URL: `http://localhost/${CANARY}/mcp` };
  const good = await fileWith(t, 'gateway.json', JSON.stringify(SECRETIVE));
  const bad: object[] = [
    { ...SECRETIVE, prot: CANARY },
    { ...SECRETIVE, port: CANARY },
    { ...SECRETIVE, log: { level: '$' + '{TOKEN}' } },
    { ...SECRETIVE, host: '$' + '{TOKEN} x' },
    { ...SECRETIVE, auth: { type: 'bearer', tokens: { a: `${CANARY} x` } } },
    { ...SECRETIVE, auth: { type: 'jwt', audience: 'a', secret: CANARY, publicKey: CANARY } },
    { ...SECRETIVE, routes: [{ servers: '$' + '{TOKEN}' }] },
    {
      mcpServers: { a: { command: 'missing', args: [CANARY] }, b: { url: CANARY }, c: { command: `x --k=${CANARY}` } },
    },
    { mcpServers: { a: { url: `http://u:${CANARY}@localhost/` } } },
    { mcpServers: { a: { url: 'http://localhost/', headers: { 'x-key': `${CANARY}\n` } } } },
  ];
  const files = [good, ...(await Promise.all(bad.map((value) => fileWith(t, 'gateway.json', JSON.stringify(value)))))];
  files.push(await fileWith(t, 'gateway.yaml', `host: "${CANARY}\nport: [`));
  files.push(
    await fileWith(t, 'gateway.yaml', `host: *${CANARY}\n`),
    await fileWith(t, 'gateway.yaml', `host: !${CANARY} x\n`),
  );
  files.push(
    await fileWith(t, 'gateway.toml', `host = "${CANARY}\n`),
    await fileWith(t, 'gateway.toml', `host = ${CANARY}\n`),
  );
  files.push(
    await fileWith(t, 'gateway.json', `{"host": ${CANARY}`),
    await fileWith(t, 'gateway.json', `{"host": "${CANARY}`),
  );
  for (const [i, file] of files.entries()) {
    const both = [
      ['validate', file],
      ['validate', '--json', file],
    ];
    // Both forms for the good file; the bad ones take turns, which saves half of the processes.
    for (const args of file === good ? both : [both[i % 2] as string[]]) {
      const { code, stdout, stderr } = await runHere(args, { env });
      assert.equal(code, file === good ? 0 : 78, `${i}: ${stderr}`);
      assert.doesNotMatch(stdout + stderr, /canary/, `${i}: ${args.join(' ')}`);
    }
  }
});

test('a reader that goes away is no failure', async (t) => {
  const file = await fileWith(t, 'gateway.json', '{}');
  const child = startProcess(t, process.execPath, [cliPath, 'validate', file]);
  child.child.stdout?.destroy();
  assert.deepEqual(await child.exited, { code: 0, signal: null });
  assert.equal(child.stderr, '');
});

test('a key that was renamed is a hint, with its place', async (t) => {
  const file = await fileWith(t, 'old.yaml', 'mcpServers:\n  a:\n    url: http://localhost/\n    maxLanes: 2\n');
  const { code, stdout, stderr } = await runHere(['validate', file]);
  assert.equal(code, 0);
  assert.equal(
    stderr,
    `warning: ${file}:4:5: mcpServers.a: "maxLanes" is now called "maxDedicated"; the old name still works\n`,
  );
  assert.match(stdout, /can be used/);
});
