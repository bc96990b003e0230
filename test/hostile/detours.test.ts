/** Ways around a rule, through a running gateway: tasks, updates, methods that are passed through, servers not yet listed. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { SignJWT } from 'jose';
import { openAnswer } from '../support/event-stream.js';
import { gatewayHere } from '../support/gateway.js';
import { eventually } from '../support/process.js';
import { type Answer, rawUpstream } from '../support/raw-upstream.js';
import { modernHeaders, modernMessage, modernRpc, openSession, rpc } from '../support/rpc.js';

const KEY = 'a secret of at least thirty-two characters';
const AUTH = { type: 'jwt', algorithms: ['HS256'], secret: KEY, audience: 'gateway' };
const TASKS = 'io.modelcontextprotocol/tasks';
const tasksServer = fileURLToPath(new URL('../support/tasks-server.js', import.meta.url));
const declared = { clientCapabilities: { extensions: { [TASKS]: {} } } };

/** Tokens of one subject with different scopes. */
async function bearer(scope: string): Promise<{ authorization: string }> {
  const token = await new SignJWT({ scope })
    .setProtectedHeader({ alg: 'HS256' })
    .setSubject('ada')
    .setAudience('gateway')
    .setExpirationTime('5m')
    .sign(Buffer.from(KEY));
  return { authorization: `Bearer ${token}` };
}

const codeOf = ({ message }: { message: { error?: { data: { code: string } } } }) => message.error?.data.code;

describe('the result of a task', () => {
  const routes = [{ match: { tools: ['*__call', '*__work'] }, requiredScopes: ['work'], whenDenied: 'challenge' }];

  it('goes to no token of its subject that lacks the scope of its tool', async (scope) => {
    const upstream = await rawUpstream(
      scope,
      ({ message: { method } }, answer) => {
        const task = { taskId: 'own', status: 'completed', createdAt: 'x', lastUpdatedAt: 'y', ttlMs: null };
        if (method === 'tools/call') answer.result({ resultType: 'task', ...task });
        else
          answer.result({ resultType: 'complete', ...task, result: { content: [{ type: 'text', text: 'SECRET' }] } });
      },
      { family: 'modern', capabilities: { extensions: { [TASKS]: {} } } },
    );
    const gateway = await gatewayHere(scope, { auth: AUTH, mcpServers: { raw: { url: upstream.url } }, routes });
    const high = { ...declared, headers: await bearer('work') };
    const low = { ...declared, headers: await bearer('other') };
    const created = await eventually('the task is made', async () => {
      const { message } = await modernRpc(gateway.url, 'tools/call', { name: 'raw__call', arguments: {} }, high);
      return message.result ?? null;
    });
    const { taskId } = created;
    for (const method of ['tasks/get', 'tasks/update', 'tasks/cancel']) {
      const refused = await modernRpc(gateway.url, method, { taskId, inputResponses: {} }, low);
      assert.deepEqual([refused.status, codeOf(refused)], [403, 'GW_INSUFFICIENT_SCOPE'], method);
      assert.ok(!refused.text.includes('SECRET'));
      assert.equal(upstream.received(method).length, 0);
    }
    const got = await modernRpc(gateway.url, 'tasks/get', { taskId }, high);
    assert.equal(got.message.result.taskId, taskId);
    // The handle in that answer is bound to the tool as well.
    const again = await modernRpc(gateway.url, 'tasks/get', { taskId: got.message.result.taskId }, low);
    assert.equal(codeOf(again), 'GW_INSUFFICIENT_SCOPE');
  });

  it('is asked for with the whole message where it is tried elsewhere', async (scope) => {
    const script = ({ message: { method } }: { message: { method: string } }, answer: Answer): void => {
      const task = { taskId: 'own', status: 'working', createdAt: 'x', lastUpdatedAt: 'y', ttlMs: null };
      answer.result({ resultType: method === 'tools/call' ? 'task' : 'complete', ...task });
    };
    const options = { family: 'modern', capabilities: { extensions: { [TASKS]: {} } } } as const;
    const first = await rawUpstream(scope, script, options);
    const second = await rawUpstream(scope, script, options);
    const endpoints = [{ url: first.url }, { url: second.url }];
    const gateway = await gatewayHere(scope, { mcpServers: { raw: { endpoints } } });
    const created = await eventually('the task is made', async () => {
      const { message } = await modernRpc(gateway.url, 'tools/call', { name: 'raw__call', arguments: {} }, declared);
      return message.result ?? null;
    });
    const get = () => modernRpc(gateway.url, 'tasks/get', { taskId: created.taskId }, declared);
    await eventually('both are ready', async () => {
      await get();
      return first.received('tasks/get').length > 0 && second.received('tasks/get').length > 0;
    });
    await first.close();
    for (let times = 0; times < 6; times += 1) assert.equal((await get()).message.result?.taskId, created.taskId);
    for (const { message } of second.received('tasks/get')) assert.equal(message.params.taskId, 'own');
  });

  it('of 2025-11-25 neither', async (scope) => {
    const gateway = await gatewayHere(scope, {
      auth: AUTH,
      mcpServers: { tasks: { command: process.execPath, args: [tasksServer] } },
      routes,
    });
    const high = await openSession(gateway.url, { headers: await bearer('work') });
    const created = await eventually('the task is made', async () => {
      const params = { name: 'tasks__work', arguments: { text: 'it', ms: 10 }, task: { ttl: 60_000 } };
      const { message } = await high.request('tools/call', params);
      return message.result?.task ?? null;
    });
    const low = { headers: await bearer('other') };
    for (const method of ['tasks/get', 'tasks/result', 'tasks/cancel']) {
      const refused = await high.request(method, { taskId: created.taskId }, low);
      assert.deepEqual([refused.status, codeOf(refused)], [403, 'GW_INSUFFICIENT_SCOPE'], method);
    }
    const result = await high.request('tasks/result', { taskId: created.taskId });
    assert.equal(result.message.result.content[0].text, 'worked on it');
  });
});

describe('an update of a resource', () => {
  it('is told to those who may read it, also where they follow what it is part of', async (scope) => {
    let push: ((uri: string) => void) | null = null;
    const streams = (_request: unknown, answer: Answer): void => {
      const stream = answer.sse();
      push = (uri) => stream.event({ jsonrpc: '2.0', method: 'notifications/resources/updated', params: { uri } });
    };
    const script = ({ message: { method } }: { message: { method: string } }, answer: Answer): void => {
      if (method === 'resources/list') answer.result({ resources: [{ uri: 'file:///', name: 'root' }] });
      else if (method === 'resources/templates/list') answer.result({ resourceTemplates: [] });
      else answer.result({});
    };
    const upstream = await rawUpstream(scope, script, { capabilities: { resources: { subscribe: true } }, streams });
    const gateway = await gatewayHere(scope, {
      auth: AUTH,
      mcpServers: { files: { url: upstream.url } },
      routes: [{ match: { resources: ['file:///secret/**'] }, requiredScopes: ['secret'], whenDenied: 'challenge' }],
    });
    const heard: Record<string, () => string[]> = {};
    for (const who of ['low', 'secret']) {
      const headers = await bearer(who);
      const session = await openSession(gateway.url, { headers });
      const standalone = await openAnswer(scope, gateway.url, { headers: session.headers });
      await eventually('subscribed', async () => {
        const { message } = await session.request('resources/subscribe', { uri: 'file:///' });
        return message.result !== undefined;
      });
      const message = modernMessage('subscriptions/listen', { notifications: { resourceSubscriptions: ['FILE:///'] } });
      const listen = await openAnswer(scope, gateway.url, {
        message,
        headers: { ...modernHeaders(message), ...headers },
      });
      await listen.until('"resourceSubscriptions":["FILE:///"]');
      const uris = (messages: { method?: string; params: { uri: string } }[]) =>
        messages.flatMap(({ method, params }) => (method === 'notifications/resources/updated' ? [params.uri] : []));
      heard[`${who} session`] = () => uris(standalone.messages());
      heard[`${who} listen`] = () => uris(listen.messages());
    }
    // Who hears is who has opened the stream, whatever token subscribed.
    const mixed = await openSession(gateway.url, { headers: await bearer('secret') });
    const low = await bearer('low');
    const standalone = await openAnswer(scope, gateway.url, { headers: { ...mixed.headers, ...low } });
    await mixed.request('resources/subscribe', { uri: 'file:///' });
    heard['low stream'] = () => standalone.messages().flatMap(({ params }) => (params?.uri ? [params.uri] : []));
    const told = await eventually('the stream of the upstream', () => push);
    for (const uri of ['file:///secret/plan', 'FILE:///secret/%70lan', 'file:///secret%2Fplan', 'file:///public'])
      told(uri);
    await eventually('the last one is heard by all', () =>
      Object.values(heard).every((uris) => uris().includes('file:///public')),
    );
    assert.deepEqual(heard['low session']!(), ['file:///public']);
    assert.deepEqual(heard['low listen']!(), ['file:///public']);
    assert.deepEqual(heard['low stream']!(), ['file:///public']);
    assert.equal(heard['secret session']!().length, 4);
    assert.equal(heard['secret listen']!().length, 4);
  });
});

describe('a method that is passed through', () => {
  it('is covered by rules without match and by rules for methods', async (scope) => {
    const upstream = await rawUpstream(scope, (_request, answer) => answer.result({ content: [] }));
    for (const match of [undefined, { methods: ['own/*'] }]) {
      const gateway = await gatewayHere(scope, {
        auth: AUTH,
        mcpServers: { raw: { url: upstream.url, methods: ['own/*', 'other/*'] } },
        routes: [{ ...(match === undefined ? {} : { match }), requiredScopes: ['use'], whenDenied: 'challenge' }],
      });
      const low = await openSession(gateway.url, { headers: await bearer('none') });
      const refused = await low.request('own/do', {});
      assert.deepEqual([refused.status, codeOf(refused)], [403, 'GW_INSUFFICIENT_SCOPE']);
      assert.equal(
        codeOf(await low.request('other/do', {})),
        match === undefined ? 'GW_INSUFFICIENT_SCOPE' : undefined,
      );
      const high = { headers: await bearer('use') };
      await eventually('the server is known', async () => (await low.request('own/do', {}, high)).message.result);
    }
    assert.equal(upstream.received('own/do').length, 2);
    assert.equal(upstream.received('other/do').length, 1);
  });
});

describe('a server whose lists are not known', () => {
  it('is not reached by an address that the rule for its names does not spell', async (scope) => {
    const upstream = await rawUpstream(scope, (_request, answer) => answer.result({ content: [] }));
    const listless = await rawUpstream(scope, () => {}, { tools: [] });
    // It shakes hands and never lists its prompts.
    const hanging = await rawUpstream(scope, () => {}, { tools: [], capabilities: { prompts: {} } });
    const gateway = await gatewayHere(scope, {
      auth: AUTH,
      catalog: { startupWaitMs: 0 },
      mcpServers: { admin: { url: hanging.url }, open: { url: upstream.url }, empty: { url: listless.url } },
      routes: [
        { match: { tools: ['admin__*'] }, requiredScopes: ['admin'], whenDenied: 'challenge' },
        { match: { tools: ['**'] } },
      ],
    });
    const low = await openSession(gateway.url, { headers: await bearer('none') });
    for (const name of ['admin:delete', 'admin__delete', 'admin:DELETE']) {
      const refused = await low.request('tools/call', { name, arguments: {} });
      assert.deepEqual([refused.status, codeOf(refused)], [403, 'GW_INSUFFICIENT_SCOPE'], name);
    }
    for (const name of ['admin:delete ', 'admin__d\u0435lete', 'admin:\ufeffdelete']) {
      const refused = await low.request('tools/call', { name, arguments: {} });
      assert.equal(codeOf(refused), 'GW_UPSTREAM_DOWN', name);
    }
    assert.equal(hanging.received('tools/call').length, 0);
  });
});

describe('the name of a protected tool', () => {
  const VARIANTS = [
    'admin__delete',
    'admin:delete',
    'ADMIN__delete',
    'admin__Delete',
    ' admin__delete',
    'admin__delete ',
    'admin__delete\u00a0',
    'admin__delete\u0000',
    'admin__d\u0435lete',
    'admin\uff3f\uff3fdelete',
    'admin__de\u006c\u0301ete',
    'admin\u200b__delete',
    'admin/delete',
    'admin.delete',
    'admin____delete',
    'open__../admin__delete',
    'open:admin__delete',
    'open__delete',
  ];

  it('is not avoided by another spelling of it, in bodies, headers and paths', async (scope) => {
    const tools = [{ name: 'delete', inputSchema: { type: 'object' } }];
    const upstream = await rawUpstream(scope, (_request, answer) => answer.result({ content: [] }), { tools });
    const open = await rawUpstream(scope, (_request, answer) => answer.result({ content: [] }));
    for (const frontEnd of ['uws', 'node'] as const) {
      const gateway = await gatewayHere(
        scope,
        {
          auth: AUTH,
          mcpServers: { admin: { url: upstream.url }, open: { url: open.url } },
          routes: [{ match: { tools: ['admin__delete'] }, requiredScopes: ['admin'], whenDenied: 'challenge' }],
        },
        { frontEnd },
      );
      const low = await bearer('none');
      const session = await openSession(gateway.url, { headers: low });
      await eventually('all tools are listed', async () => {
        const { message } = await session.request('tools/list');
        return message.result.tools.length === 3;
      });
      for (const name of VARIANTS) {
        const legacy = await session.request('tools/call', { name, arguments: {} });
        assert.match(codeOf(legacy) ?? '', /^GW_(INSUFFICIENT_SCOPE|UNKNOWN_TOOL)$/, JSON.stringify(name));
        const modern = await modernRpc(gateway.url, 'tools/call', { name, arguments: {} }, { headers: low });
        assert.match(codeOf(modern) ?? '', /^GW_(INSUFFICIENT_SCOPE|UNKNOWN_TOOL)$/, JSON.stringify(name));
        const headers = { ...low, 'mcp-name': 'open__call' };
        const mismatch = await modernRpc(gateway.url, 'tools/call', { name, arguments: {} }, { headers });
        assert.equal(codeOf(mismatch), 'GW_HEADER_MISMATCH', JSON.stringify(name));
        const path = [...Buffer.from(name)].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join('');
        for (const target of [`/tools/${path}`, `/tools/${encodeURIComponent(name)}`, `/tools/${path}?a=/mcp`]) {
          const rest = await rpc(`${gateway.origin}${target}`, {}, low);
          assert.ok(rest.status === 403 || rest.status === 404, `${target}: ${rest.status} ${rest.text}`);
        }
      }
      for (const target of [
        '/tools//admin__delete',
        '/tools/admin__delete/',
        '/tools/x/..%2fadmin__delete',
        '/Tools/admin__delete',
      ]) {
        const rest = await rpc(`${gateway.origin}${target}`, {}, low);
        assert.equal(rest.status, 404, target);
      }
    }
    assert.equal(upstream.received('tools/call').length, 0);
    assert.equal(open.received('tools/call').length, 0);
  });
});
