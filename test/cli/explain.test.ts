import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Explanation } from '../../src/explain/index.js';
import { gatewayHere } from '../support/gateway.js';
import type { TestScope } from '../support/process.js';
import { fileWith, runHere } from './support.js';

const CONFIG = `
auth: { type: bearer, tokens: { ann: { token: some-long-token-of-a-client, scopes: [use] } } }
views:
  /own/mcp: { auth: { type: apiKey, keys: { ann: a-key-of-ann } }, requiredScopes: [own], prefix: false }
  /open: { auth: { type: none } }
mcpServers:
  files: { url: "http://127.0.0.1:1/mcp" }
  spare: { url: "http://127.0.0.1:1/mcp" }
routes:
  - name: reads
    match: { tools: ["files__*"], arguments: { /filter/kind: [1, "a*"] } }
    servers: [spare, files]
    permissions: [write]
    cache: { ttlMs: 5000 }
  - name: lists
    match: { methods: ["tools/list"], principals: ["a*"] }
    requiredScopes: [lists]
`;

async function explained(t: TestScope, args: readonly string[]): Promise<Explanation & { code: number | null }> {
  const file = await fileWith(t, 'gateway.yaml', CONFIG);
  const { code, stdout, stderr } = await runHere(['explain', file, '--json', ...args]);
  assert.notEqual(stdout, '', stderr);
  return { ...(JSON.parse(stdout) as Explanation), code };
}

test('explain decides as a worker would', async (t) => {
  const call = ['--as', 'ann', '--scopes', 'use', '--tool', 'files__write'];
  const refused = await explained(t, [...call, '--argument', '/filter/kind=abc']);
  assert.deepEqual(
    [refused.code, refused.refusal?.code, refused.refusal?.isHidden],
    [1, 'GW_INSUFFICIENT_PERMISSION', true],
    'the reason, although the client is told that the tool does not exist',
  );
  const allowed = await explained(t, [...call, '--argument', '/filter/kind=1', '--permissions', 'read,write']);
  assert.deepEqual(
    [allowed.code, allowed.route?.name, allowed.servers, allowed.cache?.ttlMs, allowed.readsArguments],
    [0, 'reads', ['spare', 'files'], 5000, true],
  );
  const other = await explained(t, [...call, '--argument', '/filter/kind="b"']);
  assert.deepEqual([other.code, other.route, other.servers], [0, null, ['files']]);
  assert.deepEqual([allowed.notStored, other.notStored], [null, 'cache.tools is false']);
  assert.deepEqual(other.passedOver, [
    { route: 'reads', lacks: 'argument' },
    { route: 'lists', lacks: 'method' },
  ]);
  const list = await explained(t, ['--as', 'ann', '--method', 'tools/list']);
  assert.deepEqual([list.code, list.route?.name, list.refusal?.scopes], [1, 'lists', ['lists']]);
  const nobody = await explained(t, ['--tool', 'files__write']);
  assert.deepEqual([nobody.code, nobody.refusal?.code, nobody.route], [1, 'GW_UNAUTHENTICATED', null]);
});

test('explain decides by the view of a path, and its providers', async (t) => {
  const call = ['--as', 'ann', '--scopes', 'use', '--tool', 'files:write', '--permissions', 'write'];
  const own = await explained(t, [...call, '--path', '/own']);
  assert.deepEqual(
    [own.refusal?.code, own.refusal?.scopes, own.client.auth],
    ['GW_INSUFFICIENT_SCOPE', ['own'], 'apiKey'],
  );
  const allowed = await explained(t, [...call, '--scopes', 'own', '--path', '/own/mcp']);
  assert.deepEqual([allowed.code, allowed.view, allowed.requiredScopes], [0, '/own/mcp', ['own']]);
  const open = await explained(t, ['--tool', 'files__write', '--path', '/open/']);
  assert.deepEqual([open.view, open.client.auth, open.refusal?.code], ['/open', 'none', undefined]);
  assert.equal((await explained(t, [...call, '--path', '/mcp'])).view, null);
});

test('explain ends with 2 for arguments and files that cannot be used', async (t) => {
  const file = await fileWith(t, 'gateway.yaml', CONFIG);
  const broken = await fileWith(t, 'broken.yaml', 'routes: [{ match: {} }]');
  const rows: [args: string[], sentence: RegExp][] = [
    [[file], /give a tool, prompt, resource or method/],
    [[file, '--tool', 'a', '--prompt', 'b'], /give one of tool, prompt and resource/],
    [[file, '--tool', 'a', '--header', 'x'], /--header is written as 'Name: value'/],
    [[file, '--tool', 'a', '--argument', 'x=1'], /--argument is written as '\/pointer=value'/],
    [[file, '--tool', 'a', '--path', '/none'], /there is no endpoint at \/none; there is \/mcp, \/own\/mcp, \/open/],
    [[broken, '--tool', 'a'], /routes\[0\]\.match: needs/],
    [
      ['--admin', 'http://127.0.0.1:1', '--tool', 'a'],
      /there is no admin listener of a gateway at http:\/\/127\.0\.0\.1:1:/,
    ],
  ];
  for (const [args, sentence] of rows) {
    const { code, stderr } = await runHere(['explain', ...args]);
    assert.equal(code, 2, args.join(' '));
    assert.match(stderr, sentence);
  }
});

test('the admin listener explains by the rules in force, and refuses what it cannot read', async (t) => {
  const { adminUrl } = await gatewayHere(t, {
    mcpServers: { files: { url: 'http://127.0.0.1:1/mcp' } },
    routes: [{ name: 'all', requestTimeoutMs: 7 }],
    catalog: { startupWaitMs: 0 },
  });
  const ask = async (body: object) => {
    const response = await fetch(`${adminUrl}/explain`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    return [response.status, await response.json()] as [number, Explanation & { error: { message: string } }];
  };
  const [status, found] = await ask({ tool: 'files__x' });
  assert.deepEqual([status, found.isAllowed, found.route?.name, found.timeoutMs], [200, true, 'all', 7]);
  for (const body of [{ tool: 'a', what: 1 }, {}, { tool: 'a', path: '/none' }]) {
    const [refused, { error }] = await ask(body);
    assert.equal(refused, 400, JSON.stringify(body));
    assert.ok(error.message.length > 10);
  }
});
