/** Tasks, extensions and methods that the gateway does not know, between peers of one family. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { CallToolResultSchema } from '@modelcontextprotocol/sdk/types.js';
import { startGateway } from '../support/gateway.js';
import { eventually } from '../support/process.js';
import { type Answer, type ReceivedRequest, rawUpstream } from '../support/raw-upstream.js';
import { modernRpc, openSession, rpc } from '../support/rpc.js';
import { connectV1 } from '../support/sdk-clients.js';

const TASKS = 'io.modelcontextprotocol/tasks';
const tasksServer = fileURLToPath(new URL('../support/tasks-server.js', import.meta.url));
const declared = { clientCapabilities: { extensions: { [TASKS]: {} } } };
/** An id that needs an escape in JSON and an encoding in a header. */
const OWN_ID = 'täsk "1"';

/** A modern server with one task that takes what is sent to it. */
function taskScript(request: ReceivedRequest, answer: Answer): void {
  const task = { taskId: OWN_ID, status: 'working', createdAt: 'x', lastUpdatedAt: 'y', ttlMs: null, extra: [1e2] };
  const { method } = request.message;
  if (method === 'tools/call') answer.result({ resultType: 'task', ...task });
  else if (method === 'tasks/get') answer.result({ resultType: 'complete', ...task, status: 'completed', result: {} });
  else answer.result({ resultType: 'complete' });
}

describe('tasks of 2026-07-28', () => {
  it('are reached by handles that only their subject can use', async (scope) => {
    const upstream = await rawUpstream(scope, taskScript, {
      family: 'modern',
      capabilities: { extensions: { [TASKS]: {} } },
    });
    const tokens = [
      { token: 'token-of-ada', subject: 'ada', scopes: [] },
      { token: 'token-of-bob', subject: 'bob', scopes: [] },
    ];
    const gateway = await startGateway(scope, {
      auth: { type: 'bearer', tokens },
      mcpServers: { raw: { url: upstream.url }, other: { url: upstream.url } },
    });
    const as = (who: string) => ({ ...declared, headers: { authorization: `Bearer token-of-${who}` } });
    const discovered = await eventually('the extension is announced', async () => {
      const { message } = await modernRpc(gateway.url, 'server/discover', {}, as('ada'));
      return message.result.capabilities.extensions === undefined ? null : message.result;
    });
    assert.deepEqual(discovered.capabilities.extensions, { [TASKS]: {} });

    const created = await modernRpc(gateway.url, 'tools/call', { name: 'raw__call', arguments: {} }, as('ada'));
    const { taskId, ...rest } = created.message.result;
    assert.notEqual(taskId, OWN_ID);
    assert.deepEqual(rest, {
      resultType: 'task',
      status: 'working',
      createdAt: 'x',
      lastUpdatedAt: 'y',
      ttlMs: null,
      extra: [100],
    });
    const got = await modernRpc(gateway.url, 'tasks/get', { taskId }, as('ada'));
    assert.equal(got.message.result.taskId, taskId, 'the handle of a task is the same each time');
    const inputResponses = { q: { action: 'accept', content: { n: 1 } } };
    await modernRpc(gateway.url, 'tasks/update', { taskId, inputResponses }, as('ada'));
    await modernRpc(gateway.url, 'tasks/cancel', { taskId }, as('ada'));
    for (const method of ['tasks/get', 'tasks/update', 'tasks/cancel']) {
      const [received, ...more] = upstream.received(method);
      assert.equal(more.length, 0);
      assert.equal(received?.message.params.taskId, OWN_ID);
      assert.equal(received?.headers['mcp-name'], `=?base64?${Buffer.from(OWN_ID).toString('base64')}?=`);
    }
    assert.deepEqual(upstream.received('tasks/update')[0]?.message.params.inputResponses, inputResponses);

    const changed = `${taskId.slice(0, -2)}${taskId.endsWith('AA') ? 'BB' : 'AA'}`;
    for (const [id, who] of [
      [taskId, 'bob'],
      [changed, 'ada'],
      [OWN_ID, 'ada'],
    ]) {
      const { message } = await modernRpc(gateway.url, 'tasks/get', { taskId: id }, as(who!));
      assert.equal(message.error.data.code, 'GW_UNKNOWN_TASK');
      assert.equal(message.error.code, -32602);
    }
    assert.equal(upstream.received('tasks/get').length, 1);
  });

  it('outlive the gateway where its secret does', async (scope) => {
    const upstream = await rawUpstream(scope, taskScript, {
      family: 'modern',
      capabilities: { extensions: { [TASKS]: {} } },
    });
    const config = {
      sessions: { secret: 'a secret of at least thirty-two characters' },
      mcpServers: { raw: { url: upstream.url } },
    };
    const first = await startGateway(scope, config);
    const { message } = await modernRpc(first.url, 'tools/call', { name: 'raw__call', arguments: {} }, declared);
    await first.stop();
    const second = await startGateway(scope, config);
    const { taskId } = message.result;
    const got = await modernRpc(second.url, 'tasks/get', { taskId }, declared);
    assert.equal(got.message.result.taskId, taskId);
  });
});

describe('tasks of 2025-11-25', () => {
  it('are announced to their clients only, and run from start to result', async (scope) => {
    const gateway = await startGateway(scope, {
      mcpServers: { tasks: { command: process.execPath, args: [tasksServer] } },
    });
    const client = await connectV1(scope, gateway.url, { capabilities: { tasks: {} } });
    assert.deepEqual(client.getServerCapabilities()?.tasks, { cancel: {}, requests: { tools: { call: {} } } });
    const { tools } = await client.listTools();
    assert.deepEqual(
      tools.map(({ name, execution }) => [name, execution?.taskSupport]),
      [['tasks__work', 'required']],
    );
    const seen: string[] = [];
    const ids = new Set<string>();
    let text = '';
    const stream = client.experimental.tasks.callToolStream(
      { name: 'tasks__work', arguments: { text: 'it', ms: 100 } },
      CallToolResultSchema,
      { task: { ttl: 60_000 } },
    );
    for await (const step of stream) {
      seen.push(step.type);
      if (step.type === 'taskCreated' || step.type === 'taskStatus') ids.add(step.task.taskId);
      if (step.type === 'error') throw step.error;
      if (step.type === 'result') text = (step.result.content as { text: string }[])[0]!.text;
    }
    assert.equal(text, 'worked on it');
    assert.equal(seen[0], 'taskCreated');
    assert.equal(ids.size, 1, 'one task has one handle');

    const stranger = await openSession(gateway.url);
    const [taskId] = ids;
    assert.equal((await stranger.request('tasks/get', { taskId })).message.result.taskId, taskId);
    const wrong = await stranger.request('tasks/cancel', { taskId: 'made up' });
    assert.equal(wrong.message.error.data.code, 'GW_UNKNOWN_TASK');
    const list = await stranger.request('tasks/list');
    assert.equal(list.message.error.code, -32601);

    const older = await openSession(gateway.url, { version: '2025-06-18' });
    assert.equal(older.initialized.message.result.capabilities.tasks, undefined);
    const modern = await modernRpc(gateway.url, 'tools/list');
    assert.deepEqual(
      modern.message.result.tools.map((tool: { name: string; execution?: object }) => [tool.name, tool.execution]),
      [['tasks__work', undefined]],
      'the gateway makes the task for them',
    );
  });
});

describe('what the gateway does not know', () => {
  it('passes between peers of one family untouched, where a server is configured for it', async (scope) => {
    const params =
      '{"a":1.0,"_meta":{"com.example/k":[1e2],"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}}';
    for (const family of ['legacy', 'modern'] as const) {
      const extensions = { 'com.example/own': { level: 3 } };
      const upstream = await rawUpstream(
        scope,
        (request, answer) =>
          answer.json(
            `{"result":{"resultType":"complete","seen":1.50,"x":{"y":[]}},"jsonrpc":"2.0","id":${request.message.id}}`,
          ),
        { family, capabilities: { extensions } },
      );
      const gateway = await startGateway(scope, { mcpServers: { raw: { url: upstream.url, methods: ['own/*'] } } });
      const session = await openSession(gateway.url);
      await eventually(
        'the server is known',
        async () => (await session.request('tools/list')).message.result.tools[0],
      );
      const legacy = await rpc(
        gateway.url,
        `{"jsonrpc":"2.0","id":"a","method":"own/do","params":${params}}`,
        session.headers,
      );
      const envelope =
        '"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{"extensions":{"com.example/own":{}}},';
      const modern = await rpc(
        gateway.url,
        `{"jsonrpc":"2.0","id":"a","method":"own/do","params":${params.replace('"_meta":{', `"_meta":{${envelope}`)}}`,
        { 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'own/do' },
      );
      const [same, other] = family === 'legacy' ? [legacy, modern] : [modern, legacy];
      assert.equal(same.status, 200);
      assert.equal(same.text, '{"result":{"resultType":"complete","seen":1.50,"x":{"y":[]}},"jsonrpc":"2.0","id":"a"}');
      assert.equal(other.message.error.code, -32601);
      const [received, ...more] = upstream.received('own/do');
      assert.equal(more.length, 0);
      assert.ok(
        received?.body
          .toString()
          .includes('"com.example/k":[1e2],"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}'),
      );
      assert.ok(received?.body.toString().includes('{"a":1.0,'));
      if (family === 'modern') assert.equal(received?.headers['mcp-method'], 'own/do');
      const announced = await modernRpc(gateway.url, 'server/discover');
      const initialized = (await openSession(gateway.url)).initialized.message.result.capabilities.extensions;
      const shown = [initialized, announced.message.result.capabilities.extensions];
      assert.deepEqual(shown, family === 'legacy' ? [extensions, undefined] : [undefined, extensions]);
      const unknown = await session.request('other/do', {});
      assert.equal(unknown.message.error.code, -32601);
    }
  });

  it('includes the user interfaces of MCP Apps', async (scope) => {
    const uri = 'ui://clock/face';
    const ui = { resourceUri: uri };
    const upstream = await rawUpstream(
      scope,
      (request, answer) => {
        const { method } = request.message;
        const hints = { resultType: 'complete', ttlMs: 0, cacheScope: 'private' };
        if (method === 'resources/list')
          answer.result({ ...hints, resources: [{ uri, name: 'face', mimeType: 'text/html;profile=mcp-app' }] });
        else if (method === 'resources/templates/list') answer.result({ ...hints, resourceTemplates: [] });
        else
          answer.result({
            ...hints,
            contents: [
              { uri, mimeType: 'text/html;profile=mcp-app', text: '<b>12</b>', _meta: { ui: { prefersBorder: true } } },
            ],
          });
      },
      {
        family: 'modern',
        capabilities: {
          resources: {},
          extensions: { 'io.modelcontextprotocol/ui': { mimeTypes: ['text/html;profile=mcp-app'] } },
        },
        tools: [{ name: 'clock', inputSchema: { type: 'object' }, _meta: { ui } }],
      },
    );
    const gateway = await startGateway(scope, { mcpServers: { raw: { url: upstream.url } } });
    const tool = await eventually(
      'the tool is listed',
      async () => (await modernRpc(gateway.url, 'tools/list')).message.result.tools[0],
    );
    assert.deepEqual(tool._meta, { ui });
    const { message } = await modernRpc(gateway.url, 'resources/read', { uri });
    assert.deepEqual(message.result.contents[0]._meta, { ui: { prefersBorder: true } });
    const discovered = await modernRpc(gateway.url, 'server/discover');
    assert.deepEqual(discovered.message.result.capabilities.extensions, {
      'io.modelcontextprotocol/ui': { mimeTypes: ['text/html;profile=mcp-app'] },
    });
  });
});
