/** The configuration of docs/routing.md works as written, and its commands print what the page says. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { packageRoot } from '../../src/package-root.js';
import { runHere } from '../cli/support.js';
import { cliPath, LISTENING } from '../support/gateway.js';
import { eventually, startProcess, type TestScope, tempFolder } from '../support/process.js';
import { rawUpstream } from '../support/raw-upstream.js';
import { modernRpc, rpc } from '../support/rpc.js';

const PAGE = readFileSync(join(packageRoot, 'docs/routing.md'), 'utf8');
const VIEWS = /^```yaml\n# views\.yaml\n([\s\S]*?)^```$/m.exec(PAGE)?.[1] ?? '';
const CONFIG = /^```yaml\n# routing\.yaml\n([\s\S]*?)^```$/m.exec(PAGE)?.[1] ?? '';
const COMMANDS = [...PAGE.matchAll(/^```console\n\$ (.*)\n([\s\S]*?)^```$/gm)].map(([, command = '', output = '']) => ({
  command,
  output,
}));
const env = { ANN: 'ann-token', BOB: 'bob-token' };
const OFFERS: Readonly<Record<string, readonly string[]>> = {
  9101: ['restart'],
  9102: ['find', 'delete_index'],
  9103: ['find', 'delete_index'],
};

/** The gateway of the page, with servers in the place of its upstreams. */
async function started(t: TestScope) {
  const file = join(await tempFolder(t), 'routing.yaml');
  let config = CONFIG;
  for (const [port, names] of Object.entries(OFFERS)) {
    const tools = names.map((name) => ({ name, description: name, inputSchema: { type: 'object' } }));
    const upstream = await rawUpstream(
      t,
      (_request, answer) => answer.result({ resultType: 'complete', content: [{ type: 'text', text: port }] }),
      { family: 'modern', tools },
    );
    config = config.replace(`:${port}/`, `:${upstream.port}/`);
  }
  await writeFile(file, config);
  const args = [cliPath, 'start', '--config', file, '--port', '0', '--admin-port', '0'];
  const [, origin = '', , admin = ''] = await startProcess(t, process.execPath, args, { env }).waitForLine(
    LISTENING,
    30_000,
  );
  const headers = { authorization: `Bearer ${env.ANN}` };
  await eventually('all tools are listed', async () => {
    const { message } = await modernRpc(`${origin}/mcp`, 'tools/list', {}, { headers });
    return message.result.tools.length === 5;
  });
  const manifest = join(file, '..', '.routing.yaml.manifest.json');
  await eventually('the manifest has all servers', () => {
    const text = existsSync(manifest) ? readFileSync(manifest, 'utf8') : '';
    return ['"ops":', '"search":', '"search-v2":'].every((name) => text.includes(name));
  });
  return { file, origin, admin };
}

test('docs/routing.md', async (t) => {
  const { file, origin, admin } = await started(t);
  const views = join(file, '..', 'views.yaml');
  await writeFile(views, VIEWS);
  const files: Readonly<Record<string, string>> = { 'routing.yaml': file, 'views.yaml': views };
  assert.ok(COMMANDS.length >= 4);

  for (const { command, output } of COMMANDS.filter((each) => each.command.startsWith('switchyard explain'))) {
    await t.test(command, async () => {
      const words = [...command.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? '');
      const args = words.slice(1).map((word) => files[word] ?? word);
      const { code, stderr, stdout } = await runHere(
        args.map((word) => (word === 'http://127.0.0.1:9090' ? admin : word)),
        { env },
      );
      assert.equal(stdout, output, stderr);
      assert.equal(code, output.includes(': allowed') ? 0 : 1);
    });
  }

  await t.test('the response says the group of the call', async () => {
    const { command, output } = COMMANDS.find((each) => each.command.startsWith('curl')) ?? { command: '', output: '' };
    const headers = [...command.matchAll(/-H ["']([^"']+)["']/g)].map(
      ([, line = '']) => line.split(/: /) as [string, string],
    );
    const body = /-d '([^']+)'/.exec(command)?.[1];
    const sent = Object.fromEntries(headers.map(([name, value]) => [name, value.replace('$ANN', env.ANN)]));
    const reply = await rpc(`${origin}/mcp`, body, sent);
    assert.equal(`x-test-group: ${reply.headers.get('x-test-group')}\n`, output);
    assert.equal(reply.message.result.content[0].text, '9102', 'the server of the group');
  });

  await t.test('metrics and statistics count the calls of a group', async () => {
    const metrics = await (await fetch(`${admin}/metrics`)).text();
    assert.match(metrics, /switchyard_variant_call_duration_seconds_count\{route="beta",group="A"\} 1/);
    const { variants } = (await (await fetch(`${admin}/stats`)).json()) as {
      variants: { group: string; calls: number }[];
    };
    assert.deepEqual(
      variants.map(({ group, calls }) => [group, calls]),
      [
        ['B', 0],
        ['A', 1],
      ],
    );
  });
});
