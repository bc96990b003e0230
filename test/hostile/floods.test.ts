/** A gateway beside upstreams that flood: calls to others are answered, the flood is shown, state is right afterwards. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { startGateway } from '../support/gateway.js';
import { eventually, startProcess, type TestScope } from '../support/process.js';
import { rawUpstream } from '../support/raw-upstream.js';
import { modernRpc, openSession } from '../support/rpc.js';

const program = fileURLToPath(new URL('../support/flooding-server.js', import.meta.url));

async function flooding(scope: TestScope, transport: string, args: readonly string[]): Promise<object> {
  if (transport === 'stdio') return { command: process.execPath, args: [program, transport, ...args] };
  const running = startProcess(scope, process.execPath, [program, transport, ...args]);
  const [, host] = await running.waitForLine(/^listening on http:\/\/(\S+)/);
  if (transport === 'websocket') return { url: `ws://${host}` };
  return transport === 'sse' ? { url: `http://${host}/sse`, transport } : { url: `http://${host}/mcp` };
}

// biome-ignore lint/suspicious/noExplicitAny: a document of the gateway
const statsOf = async (adminUrl: string): Promise<any> => (await fetch(`${adminUrl}/stats`)).json();

for (const frontEnd of ['uws', 'node'] as const) {
  test(`${frontEnd}: calls to a neighbour of floods on all transports are answered, and the floods are shown`, async (t) => {
    const quiet = await rawUpstream(t, (_request, answer) => answer.result({ content: [] }));
    const mcpServers: Record<string, object> = { quiet: { url: quiet.url } };
    for (const transport of ['http', 'stdio', 'sse', 'websocket']) {
      mcpServers[transport] = await flooding(t, transport, ['--send', transport === 'stdio' ? 'request' : 'log']);
    }
    const config = { mcpServers, limits: { maxNotificationsPerSecond: 1_000 } };
    const gateway = await startGateway(t, config, { frontEnd });
    for (let index = 0; index < 20; index += 1) {
      const { message } = await modernRpc(gateway.url, 'tools/call', { name: 'quiet__call', arguments: {} });
      assert.deepEqual(message.result.content, []);
    }
    // Of 2025-11-25: what it floods with are requests to clients, which fail the calls of modern clients that cannot answer them.
    const session = await openSession(gateway.url);
    const own = await session.request('tools/call', { name: 'stdio__call', arguments: {} });
    assert.equal(own.message.result.content[0].text, 'done', 'the flooding server itself can be called');
    const { upstreams, sending } = await eventually('all floods over the limit', async () => {
      const stats = await statsOf(gateway.adminUrl);
      const loud = stats.upstreams.filter(({ name }: { name: string }) => name !== 'quiet');
      return loud.every((upstream: { endpoints: { overLimit: boolean }[] }) => upstream.endpoints[0]!.overLimit)
        ? stats
        : null;
    });
    assert.ok(sending.droppedNotifications > 0);
    const calm = upstreams.find(({ name }: { name: string }) => name === 'quiet');
    assert.equal(calm.endpoints[0].overLimit, false);
    assert.equal(calm.endpoints[0].events.droppedNotifications, 0);
    assert.match(gateway.output, /more than limits\.maxNotificationsPerSecond allows/);
    const metrics = await (await fetch(`${gateway.adminUrl}/metrics`)).text();
    assert.match(metrics, /upstream_events_total\{[^}]*event="droppedNotifications"[^}]*\} [1-9]/);
  });
}

test('a client sees the list that is right behind a flood of list changes', async (t) => {
  const args = ['--send', 'list', '--count', '100000'];
  const gateway = await startGateway(t, {
    mcpServers: { loud: await flooding(t, 'stdio', args) },
    limits: { maxNotificationsPerSecond: 100 },
  });
  await eventually('the tool that came last', async () => {
    const { message } = await modernRpc(gateway.url, 'tools/list', {});
    return message.result.tools.some(({ name }: { name: string }) => name === 'loud__flooded');
  });
});
