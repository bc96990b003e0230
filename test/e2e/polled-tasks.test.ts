/** Tools of modern servers that can only run as tasks (tasks extension), called by legacy clients. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { startGateway } from '../support/gateway.js';
import { answer, liveCall } from '../support/live-call.js';
import { CAPABILITIES_OF_TASKS, PolledTaskServer } from '../support/polled-task-server.js';
import { eventually, type TestScope } from '../support/process.js';
import { rawUpstream } from '../support/raw-upstream.js';
import { type Message, openSession } from '../support/rpc.js';

const program = fileURLToPath(new URL('../support/polled-task-server.js', import.meta.url));
type Kind = 'stdio' | 'HTTP';

/** A gateway before the server, and what clients of one session do there. */
async function start(scope: TestScope, kind: Kind, limits: object = {}) {
  let entry: object = { command: process.execPath, args: [program] };
  const names: unknown[] = [];
  if (kind === 'HTTP') {
    const server = new PolledTaskServer();
    const { url } = await rawUpstream(
      scope,
      ({ message, headers }, reply) => {
        if (message.method.startsWith('tasks/')) names.push(headers['mcp-name']);
        reply.json(JSON.stringify({ jsonrpc: '2.0', id: message.id, ...server.answer(message) }));
      },
      {
        family: 'modern',
        capabilities: CAPABILITIES_OF_TASKS,
        tools: ['work', 'heard'].map((name) => ({ name, inputSchema: { type: 'object' } })),
      },
    );
    entry = { url };
  }
  const gateway = await startGateway(scope, { mcpServers: { it: entry }, limits });
  const { url } = gateway;
  const session = await openSession(url, { capabilities: { elicitation: {} } });
  await eventually('the lists', async () => (await session.request('tools/list')).message.result.tools.length === 2);
  const open = (args: object, id: string | number = 1) => liveCall(url, session, id, 'it__work', args);
  const work = async (args: object): Promise<Message> => (await (await open(args)).rest()).at(-1);
  const heard = async (): Promise<{ cancelled: string[]; polls: number }> => {
    const { message } = await session.request('tools/call', { name: 'it__heard', arguments: {} });
    return JSON.parse(message.result.content[0].text);
  };
  return { gateway, url, session, open, work, heard, names };
}

for (const kind of ['stdio', 'HTTP'] as const) {
  describe(`a task of a modern server over ${kind}, for a legacy client`, () => {
    it('is waited for, and its result is that of the call', async (scope) => {
      const { work, names } = await start(scope, kind);
      for (const polls of [1, 4]) {
        const message = await work({ polls });
        assert.deepEqual(message.result, { content: [{ type: 'text', text: '"done"' }] });
      }
      const header = `=?base64?${Buffer.from('tä"sk-1').toString('base64')}?=`;
      if (kind === 'HTTP') assert.equal(names[0], header, 'requests about a task name it');
    });

    it('may fail, or be cancelled by its server', async (scope) => {
      const { work } = await start(scope, kind);
      const failed = await work({ ends: 'failed' });
      assert.deepEqual(failed.error, { code: -32_050, message: 'it broke', data: { part: 3 } });
      const cancelled = await work({ ends: 'cancelled' });
      assert.equal(cancelled.error.data.code, 'GW_CANCELLED');
    });

    it('asks the client on the stream of the call', async (scope) => {
      const { open, session, url } = await start(scope, kind);
      const call = await open({ ask: true });
      const asked = await call.next();
      assert.equal(asked.method, 'elicitation/create');
      await answer(url, session, asked.id, { action: 'accept', content: { more: 'this' } });
      const [response] = (await call.rest()).slice(-1);
      assert.deepEqual(JSON.parse(response.result.content[0].text), {
        q: { action: 'accept', content: { more: 'this' } },
      });
    });

    it('is cancelled with the request of its client, and after limits.taskMs', async (scope) => {
      const { open, session, heard, work, gateway } = await start(scope, kind, { taskMs: 1_500 });
      const call = open({ polls: 1_000_000 }, 'mine');
      await eventually('it is polled', async () => (await heard()).polls > 0);
      await session.notify('notifications/cancelled', { requestId: 'mine' });
      await eventually('the task is cancelled', async () => (await heard()).cancelled.length === 1);
      (await call).cut();
      const message = await work({ polls: 1_000_000 });
      assert.equal(message.error.data.code, 'GW_UPSTREAM_TIMEOUT');
      await eventually('the second task is cancelled', async () => (await heard()).cancelled.length === 2);
      assert.equal(await gateway.stop(), 0);
    });
  });
}
