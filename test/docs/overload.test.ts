/** The example of docs/overload.md is run, and answers what the page says. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import { SHED_KINDS } from '../../src/config/schema/overload.js';
import { packageRoot } from '../../src/package-root.js';
import { listed } from '../faults/observe.js';
import { startGateway } from '../support/gateway.js';
import { eventually } from '../support/process.js';
import { type Answer, rawUpstream } from '../support/raw-upstream.js';
import { type Message, openSession, type RpcReply } from '../support/rpc.js';

const PAGE = readFileSync(join(packageRoot, 'docs/overload.md'), 'utf8');
const blocks = (language: string): string[] =>
  [...PAGE.matchAll(new RegExp(`^\`\`\`${language}\\n([^]*?)^\`\`\`$`, 'gm'))].map(([, text = '']) => text);

/** The message without what differs from run to run. */
function shown({ message }: RpcReply): Message {
  const { error, ...rest } = message;
  return { ...rest, error: { ...error, data: { ...error.data, correlationId: 'CORRELATION-ID' } } };
}

test('the example of docs/overload.md answers as the page says', async (t) => {
  const [limited, shed] = blocks('json').map((text) => JSON.parse(text));
  const config = parse(blocks('yaml')[0]!);
  const open: Answer[] = [];
  let holds = true;
  const upstream = await rawUpstream(t, ({ message }, answer) => {
    if (message.params.name === 'read' && holds) open.push(answer);
    else answer.result({ content: [] });
  });
  config.mcpServers.search.url = upstream.url;
  const gateway = await startGateway(t, config);
  await listed(gateway);
  const session = await openSession(gateway.url);
  const call = (name: string, id: number): Promise<RpcReply> => session.request('tools/call', { name }, { id });

  const first = call('search__read', 1);
  await eventually('it has arrived', async () => open.length === 1);
  const second = await call('search__read', 2);
  assert.deepEqual([second.status, second.headers.get('retry-after')], [429, '1']);
  assert.deepEqual(shown(second), limited);
  assert.equal((await call('search__call', 2)).status, 200);
  holds = false;
  open[0]!.result({ content: [] });
  assert.equal((await first).status, 200);

  await writeFile(
    gateway.configFile,
    JSON.stringify({ ...config, overload: { ...config.overload, maxMemoryBytes: 1 } }),
  );
  gateway.process.child.kill('SIGHUP');
  const third = await eventually('a call is refused', async () => {
    const reply = await call('search__read', 3);
    return reply.status === 503 ? reply : null;
  });
  assert.equal(third.headers.get('retry-after'), '2');
  assert.deepEqual(shown(third), shed);
  assert.equal((await call('search__call', 4)).status, 200);
});

test('docs/overload.md names each kind of work', () => {
  for (const kind of SHED_KINDS) assert.match(PAGE, new RegExp(`^\\| [^|]*\`${kind}\``, 'm'), kind);
});
