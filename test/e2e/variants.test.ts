/** Variants over HTTP: fail-over within a group, the header of the group for pages too, routes by header. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startGateway } from '../support/gateway.js';
import { eventually } from '../support/process.js';
import { rawUpstream } from '../support/raw-upstream.js';
import { modernRpc, openSession } from '../support/rpc.js';

test('the servers of a group are tried in order, then those of the route', async (t) => {
  const tools = [
    { name: 'find', description: 'finds', inputSchema: { type: 'object' }, annotations: { readOnlyHint: true } },
  ];
  const answering = (text: string) =>
    rawUpstream(t, (_request, answer) => answer.result({ resultType: 'complete', content: [{ type: 'text', text }] }), {
      family: 'modern',
      tools,
    });
  const [stable, canary, last] = await Promise.all([answering('stable'), answering('canary'), answering('last')]);
  const { url } = await startGateway(t, {
    mcpServers: { stable: { url: stable.url }, canary: { url: canary.url }, last: { url: last.url } },
    routes: [
      { name: 'forced', match: { tools: 'stable__*', headers: { 'X-Group': 'none' } }, servers: 'last' },
      {
        match: { tools: 'stable__*' },
        servers: ['last'],
        variants: {
          by: 'random',
          responseHeader: 'X-Test-Group',
          groups: [
            { name: 'canary', weight: 1, servers: ['canary', 'stable'] },
            { name: 'off', weight: 0, servers: 'stable' },
          ],
        },
      },
    ],
  });
  const call = async (headers: Record<string, string> = {}) => {
    const reply = await modernRpc(url, 'tools/call', { name: 'stable__find', arguments: {} }, { headers });
    return { text: reply.message.result?.content[0].text, head: reply.headers };
  };
  await eventually('all servers are listed', async () => {
    const { message } = await modernRpc(url, 'tools/list');
    return message.result.tools.length === 3;
  });
  const first = await call({ origin: 'http://localhost:5173' });
  assert.deepEqual([first.text, first.head.get('x-test-group')], ['canary', 'canary']);
  assert.match(first.head.get('access-control-expose-headers') ?? '', /x-test-group/);
  const forced = await call({ 'x-group': 'none' });
  assert.deepEqual([forced.text, forced.head.get('x-test-group')], ['last', null]);
  const session = await openSession(url);
  const legacy = await session.request('tools/call', { name: 'stable__find', arguments: {} });
  assert.equal(legacy.headers.get('x-test-group'), 'canary');
  await canary.close();
  assert.equal((await call()).text, 'stable');
  await stable.close();
  const fallen = await call();
  assert.deepEqual([fallen.text, fallen.head.get('x-test-group')], ['last', 'canary']);
});
