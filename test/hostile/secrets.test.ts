import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { compileSnapshot } from '../../src/config/compile/index.js';
import { loadConfigObject } from '../../src/config/load.js';
import { ConfigError } from '../../src/errors.js';
import { runCli, runHere } from '../cli/support.js';
import { type RunningGateway, startGateway } from '../support/gateway.js';
import { eventually, tempFolder } from '../support/process.js';
import { rpc } from '../support/rpc.js';
import { everywhere, fixture, otherAuth, singleTexts } from './secret-configs.js';
import { Canaries, onlyAt, placesOf } from './secret-places.js';
import { policyTexts } from './secret-policy.js';
import { ruleTexts } from './secret-rules.js';

/** Nothing of a canary, plain, in base64 (of `user:password`, too) or percent-encoded, may be in a text. */
function assertClean(text: string, where: string): void {
  const found = /.{0,60}canary.{0,60}/s.exec(text)?.[0] ?? null;
  assert.equal(found, null, `${where} has a canary`);
  for (const match of text.matchAll(/[A-Za-z0-9+/_-]{16,}={0,2}/g)) {
    const decoded = Buffer.from(match[0], 'base64').toString('latin1');
    assert.ok(!decoded.includes('canary'), `${where} has a canary in base64: ${match[0]}`);
  }
}

function brokenProgram(folder: string, canary: string): string {
  const file = join(folder, `${canary}-program`);
  writeFileSync(file, '#!/nowhere/interpreter\n', { mode: 0o755 });
  return file;
}

async function written(folder: string, name: string, config: object): Promise<string> {
  const file = join(folder, name);
  await writeFile(file, JSON.stringify(config));
  return file;
}

test('validate shows nothing that came from a variable, whatever the place, and every place is tried', async (t) => {
  const all = await fixture(t);
  const canaries = new Canaries(false);
  const keyFile = join(all.folder, 'public.pem');
  await writeFile(keyFile, generateKeyPairSync('ed25519').publicKey.export({ type: 'spki', format: 'pem' }));
  const configs = [
    await everywhere(all, canaries),
    singleTexts(canaries),
    ruleTexts(canaries),
    ...policyTexts(canaries),
    ...otherAuth(canaries, keyFile),
  ];
  const missing = placesOf().texts.filter((place) => !canaries.placed.has(place));
  assert.deepEqual(missing, [], 'these places of the schema are not tried: add them above');
  for (const [i, config] of configs.entries()) {
    const file = await written(all.folder, `good-${i}.json`, config);
    // The first has most places; of the others each is shown in one of the two forms.
    for (const form of i === 0 ? [[], ['--json']] : [i % 2 === 0 ? [] : ['--json']]) {
      const { code, stdout, stderr } = await runHere(['validate', file, ...form], { env: canaries.env });
      assert.equal(code, 0, stdout + stderr);
      assertClean(stdout + stderr, `validate ${form} of configuration ${i}`);
      assert.doesNotMatch(stdout + stderr, /published/, 'nor what others may see');
      if (i === 0)
        for (const name of ['V1', 'V15']) assert.ok(form.length === 0 || stdout.includes(`\${${name}}`), name);
    }
  }
});

for (const literal of [false, true]) {
  for (const [format, frontEnd] of [
    ['json', 'uws'],
    ['pretty', 'node'],
  ] as const) {
    const kind = literal ? 'of the file itself' : 'of a variable';
    test(`no secret ${kind} is in the ${format} log or any answer (${frontEnd})`, async (t) => {
      const all = await fixture(t);
      const canaries = new Canaries(literal);
      const config = await everywhere(all, canaries);
      const logged = { ...config, log: { level: 'trace', access: true, format } };
      const long = `--api-key=canary-long-${'x'.repeat(200_000)}`;
      const servers = {
        ...config.mcpServers,
        // Its file is there, so that it is tried, and the system finds no interpreter.
        missing: { command: canaries.at('missing', (canary) => brokenProgram(all.folder, canary)) },
        large: { command: process.execPath, args: [all.script, long] },
        gone: { url: canaries.at('mcpServers.*.url', (canary) => `http://127.0.0.1:1/mcp?sig=${canary}`) },
      };
      const gateway = await startGateway(t, { ...logged, mcpServers: servers }, { frontEnd, env: canaries.env });
      const token = canaries.valueOf(config.auth.tokens[0]!.token);
      await eventually('the children have spoken', () => gateway.output.split('everything was said').length > 3);
      const answers = await ask(gateway, token);
      for (const [where, text] of answers) assertClean(text, where);
      await badReloads(gateway, logged, config.auth.tokens[0]!.token);
      assert.equal(await gateway.stop(), 0);
      assertClean(gateway.output, 'the output');
      assert.match(gateway.output, /stdio child wrote to standard error/);
      assert.match(gateway.output, /stdio child sent something that is no message/);
    });
  }
}

/** Every page and the answers of every kind, each with its headers. */
async function ask(gateway: RunningGateway, token: string): Promise<[where: string, text: string][]> {
  const answers: [string, string][] = [];
  const keep = async (where: string, response: Response): Promise<void> => {
    answers.push([where, `${JSON.stringify([...response.headers])}${await response.text()}`]);
  };
  for (const path of ['/', '/metrics', '/stats', '/livez', '/readyz', '/none']) {
    await keep(`admin ${path}`, await fetch(gateway.adminUrl + path));
  }
  for (const path of ['/health', '/ready', '/openapi.json', '/tools', '/none']) {
    await keep(path, await fetch(gateway.origin + path));
    await keep(
      `${path} with a token`,
      await fetch(gateway.origin + path, { headers: { authorization: `Bearer ${token}` } }),
    );
  }
  const calls: [where: string, method: string, params: object][] = [
    ['tools/list', 'tools/list', {}],
    ['an unknown tool', 'tools/call', { name: 'nothing', arguments: {} }],
    ...['published-prefix', 'remote', 'basic', 'many', 'missing', 'large', 'gone'].map(
      (prefix): [string, string, object] => [
        `a call of ${prefix}`,
        'tools/call',
        { name: `${prefix}__x`, arguments: {} },
      ],
    ),
  ];
  for (const authorization of ['', 'Bearer wrong', `Bearer ${token}`]) {
    for (const [where, method, params] of calls) {
      const _meta = {
        'io.modelcontextprotocol/protocolVersion': '2026-07-28',
        'io.modelcontextprotocol/clientCapabilities': {},
      };
      const name = 'name' in params ? { 'mcp-name': String(params.name) } : {};
      const headers = { authorization, 'mcp-protocol-version': '2026-07-28', 'mcp-method': method, ...name };
      const reply = await rpc(gateway.url, { jsonrpc: '2.0', id: 1, method, params: { ...params, _meta } }, headers);
      answers.push([`${where} (${authorization.slice(0, 12)})`, `${JSON.stringify([...reply.headers])}${reply.text}`]);
    }
  }
  return answers;
}

/** Files that cannot be used, and one that can: what is wrong is told in the log. */
async function badReloads(gateway: RunningGateway, good: object, secret: string): Promise<void> {
  const token = `ghp_canary${'0123456789abcdef'.repeat(2)}`;
  const bad: object[] = [
    { ...good, [token]: token },
    { ...good, limits: { maxBodyBytes: secret, [token]: 1 } },
    { ...good, auth: { type: 'bearer', tokens: { [token]: { tokens: token } } } },
    { ...good, routes: [{ servers: ['$' + '{V7}', token] }] },
    {
      ...good,
      mcpServers: { a: { url: secret }, b: { url: `http://u:${token}@h/` }, c: { command: 'x', url: token } },
    },
    { ...good, host: '$' + '{V7}' },
  ];
  for (const [i, config] of bad.entries()) {
    await writeFile(gateway.configFile, JSON.stringify(config));
    gateway.process.child.kill('SIGHUP');
    await eventually(`reload ${i} is refused`, () => gateway.output.split('is not reloaded').length > i + 1);
  }
}

describe('a value that cannot be used is not in the error', () => {
  const { texts, others } = placesOf();
  const secrets = { V: 'canary-value\u0000 "x"', W: 'canary', LONG: `canary${'x'.repeat(20_000)}` };
  const token = `ghp_canary${'0123456789abcdef'.repeat(2)}`;
  const values: unknown[] = [
    ...Object.keys(secrets).map((name) => `\${${name}}`),
    { [token]: 'canary' },
    { a: token, [token]: token },
    [token, [token]],
    `${token}\u0000`,
  ];
  for (const place of [...texts, ...others]) {
    test(place, () => {
      for (const value of values) {
        const isOfAuth = 'auth' in (onlyAt(place, value, 'x') as object);
        for (const type of isOfAuth ? [undefined, 'bearer', 'basic', 'jwt'] : [undefined]) {
          const config = onlyAt(place, value, 'x') as Record<string, unknown>;
          if (type !== undefined) Object.assign(config['auth'] as object, { type });
          try {
            compileSnapshot(loadConfigObject(config, { env: secrets }));
          } catch (error) {
            assert.ok(error instanceof ConfigError, String(error));
            assertClean(error.problems.join('\n'), JSON.stringify(value).slice(0, 60));
          }
        }
      }
    });
  }
});

test('a short value is masked where it stands, and blanks no other line that holds the same word', async (t) => {
  const env = { PROGRAM: 'node', PIN: '8080', LEVEL: 'info' };
  const config = {
    port: 0,
    log: { level: '$' + '{LEVEL}', format: 'json' },
    mcpServers: {
      a: { command: '$' + '{PROGRAM}', args: ['--eval', 'setInterval(() => {}, 1000)', '8080', '$' + '{PIN}'] },
    },
  };
  const file = await written(await tempFolder(t), 'c.json', config);
  const { stdout } = await runHere(['validate', '--json', file], { env });
  const { upstreams, config: shown } = JSON.parse(stdout);
  assert.equal(upstreams[0].target, '$' + '{PROGRAM}');
  assert.deepEqual(shown.mcpServers.a.args.slice(2), ['8080', '$' + '{PIN}']);
  assert.equal(shown.log.level, 'info', 'a word of a list is no secret');
  const gateway = await startGateway(t, config, { env });
  const line = gateway.output.split('\n').find((text) => text.includes('stdio child started'));
  const started = JSON.parse(line ?? '{}');
  assert.deepEqual([started.command, started.level, started.args], ['$' + '{PROGRAM}', 'info', undefined]);
});

test('a start that fails quotes no secret', async (t) => {
  const folder = await tempFolder(t);
  const env = { SECRET: 'canary-0123456789', HOST: 'canary.invalid' };
  const file = await written(folder, 'c.json', {
    host: '$' + '{HOST}',
    allowUnauthenticated: true,
    admin: false,
    mcpServers: { a: { command: '$' + '{SECRET}', args: ['$' + '{SECRET}'] } },
  });
  const { code, stdout, stderr } = await runCli(t, ['start', file], { env });
  assert.notEqual(code, 0);
  assertClean(stdout + stderr, 'the output');
  for (const args of [
    ['proxy', 'http://h/', '--header', 'canary'],
    ['proxy', '--env', 'canary', '--', 'x'],
    ['proxy', `http://u:canary@h/`],
    ['proxy', 'http://h/', '--header', 'X-Key: canary\u0001value'],
    ['proxy', '--cwd', '/nowhere', '--env', 'API_KEY=canary-0123456789', '--', 'x', '--token', 'canary-0123456789'],
  ]) {
    const proxy = await runHere(args);
    assert.notEqual(proxy.code, 0);
    assertClean(proxy.stdout + proxy.stderr, args.join(' '));
  }
});
