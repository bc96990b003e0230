/** Rules of the protocol's families that a client notices, through a running gateway. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { startGateway } from '../support/gateway.js';
import { eventually, type TestScope, tempFolder } from '../support/process.js';
import { modernRpc, openSession, rpc } from '../support/rpc.js';
import { connectV1, connectV2 } from '../support/sdk-clients.js';
import { type CountingServer, countingHttp, countingStdio } from '../support/upstreams.js';

async function gatewayOver(scope: TestScope, server: CountingServer<object>, more: object = {}) {
  const gateway = await startGateway(scope, { mcpServers: { peer: server.entry }, ...more });
  await eventually('the upstream is listed', async () => {
    const { message } = await modernRpc(gateway.url, 'tools/list');
    return message.result.tools.length > 0;
  });
  return gateway;
}

const kinds = [
  { name: 'legacy HTTP', start: (scope: TestScope) => countingHttp(scope, 'legacy') },
  { name: 'modern HTTP', start: (scope: TestScope) => countingHttp(scope, 'modern') },
  { name: 'legacy stdio', start: (scope: TestScope) => countingStdio(scope, 'legacy') },
  { name: 'modern stdio', start: (scope: TestScope) => countingStdio(scope, 'modern') },
];

describe('log messages', () => {
  for (const kind of kinds) {
    it(`of a ${kind.name} upstream reach the call they belong to, at the level it asked for`, async (scope) => {
      const gateway = await gatewayOver(scope, await kind.start(scope));
      const call = { name: 'peer__log', arguments: { text: 'a line' } };
      const logsOf = (messages: { method?: string }[]) =>
        messages.filter(({ method }) => method === 'notifications/message');
      const level = (name: string) => ({ meta: { 'io.modelcontextprotocol/logLevel': name } });

      const asked = await modernRpc(gateway.url, 'tools/call', call, level('info'));
      assert.equal(logsOf(asked.messages).length, 1, asked.text);
      const above = await modernRpc(gateway.url, 'tools/call', call, level('error'));
      assert.equal(logsOf(above.messages).length, 0, above.text);
      const silent = await modernRpc(gateway.url, 'tools/call', call);
      assert.equal(logsOf(silent.messages).length, 0, silent.text);

      const session = await openSession(gateway.url);
      assert.deepEqual((await session.request('logging/setLevel', { level: 'info' })).message.result, {});
      assert.equal(logsOf((await session.request('tools/call', call)).messages).length, 1);
      await session.request('logging/setLevel', { level: 'error' });
      assert.equal(logsOf((await session.request('tools/call', call)).messages).length, 0);
      const other = await openSession(gateway.url);
      const unasked = await other.request('tools/call', call);
      assert.equal(logsOf(unasked.messages).length, kind.name.startsWith('legacy') ? 1 : 0, unasked.text);
      const wrong = await session.request('logging/setLevel', { level: 'loud' });
      assert.equal(wrong.message.error.code, -32602);
    });
  }
});

describe('cancellation', () => {
  for (const kind of kinds) {
    it(`reaches a ${kind.name} upstream in its own way, and only when it is meant`, async (scope) => {
      const server = await kind.start(scope);
      const gateway = await gatewayOver(scope, server);
      const events = (event: string) => server.calls('hang').filter((entry) => entry.event === event).length;

      const leaving = new AbortController();
      const modern = modernRpc(
        gateway.url,
        'tools/call',
        { name: 'peer__hang', arguments: {} },
        { signal: leaving.signal },
      );
      await eventually('the modern call arrived', () => events('called') === 1);
      leaving.abort();
      await assert.rejects(modern);
      await eventually('closing the stream cancelled it', () => events('cancelled') === 1);

      const session = await openSession(gateway.url);
      const legacy = session.request('tools/call', { name: 'peer__hang', arguments: {} }, { id: 'h' });
      await eventually('the legacy call arrived', () => events('called') === 2);
      await (await openSession(gateway.url)).notify('notifications/cancelled', { requestId: 'h' });
      await session.notify('notifications/cancelled', { requestId: 'another' });
      assert.equal(events('cancelled'), 1, 'neither another session nor another id cancels');
      await session.notify('notifications/cancelled', { requestId: 'h', reason: 'enough' });
      await eventually('the notification cancelled it', () => events('cancelled') === 2);
      assert.deepEqual((await legacy).messages, [], 'a cancelled request has no answer');
    });
  }

  it('is not what a lost connection of a legacy client means', async (scope) => {
    const server = await countingHttp(scope, 'legacy');
    const gateway = await gatewayOver(scope, server);
    const session = await openSession(gateway.url);
    const leaving = new AbortController();
    const body = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'peer__hang', arguments: {} } };
    const lost = rpc(gateway.url, body, session.headers, { signal: leaving.signal });
    await eventually('the call arrived', () => server.calls('hang').length === 1);
    leaving.abort();
    await assert.rejects(lost);
    await session.request('tools/call', { name: 'peer__slow', arguments: { ms: 300 } });
    assert.deepEqual(
      server.calls('hang').map(({ event }) => event),
      ['called'],
    );
    await session.notify('notifications/cancelled', { requestId: 1 });
    await eventually('it can still be cancelled', () => server.calls('hang').length === 2);
  });
});

describe('changes of lists', () => {
  for (const kind of kinds) {
    it(`of a ${kind.name} upstream are told to sessions once the new list can be fetched`, async (scope) => {
      const gateway = await gatewayOver(scope, await kind.start(scope));
      const client = await connectV1(scope, gateway.url);
      const seen: string[][] = [];
      const { ToolListChangedNotificationSchema } = await import('@modelcontextprotocol/sdk/types.js');
      client.setNotificationHandler(ToolListChangedNotificationSchema, async () => {
        seen.push((await client.listTools()).tools.map(({ name }) => name));
      });
      await client.listTools();
      // The client opens its stream behind the handshake's back.
      await eventually('the stream is open', async () => {
        const stats = (await (await fetch(`${gateway.adminUrl}/stats`)).json()) as { streams?: number };
        return JSON.stringify(stats).includes('"streams":1') || stats.streams === 1;
      });
      await client.callTool({ name: 'peer__add_tool', arguments: { name: 'brand_new' } });
      await eventually('the change was told', () => seen.length > 0);
      assert.ok(seen[0]!.includes('peer__brand_new'), 'and the list has it');
    });
  }

  it('bring in an upstream that is slow to start', async (scope) => {
    const fast = await countingStdio(scope, 'legacy');
    const late = await countingStdio(scope, 'legacy');
    const { command, args, env } = late.entry;
    // It starts when the test says so.
    const gate = join(await tempFolder(scope), 'gate');
    const script = `
      import { existsSync } from 'node:fs';
      process.argv[2] = 'stdio';
      const waiting = setInterval(() => {
        if (!existsSync(${JSON.stringify(gate)})) return;
        clearInterval(waiting);
        import(${JSON.stringify(args[0])});
      }, 20);
    `;
    const gateway = await startGateway(scope, {
      mcpServers: {
        fast: fast.entry,
        late: { command, args: ['--input-type=module', '-e', script, 'x', 'stdio'], env },
      },
      catalog: { firstListWaitMs: 0 },
    });
    const first = await modernRpc(gateway.url, 'tools/list');
    const names = (reply: typeof first): string[] =>
      reply.message.result.tools.map(({ name }: { name: string }) => name);
    assert.ok(!names(first).includes('late__echo'), 'the start did not wait');
    await writeFile(gate, '');
    await eventually('it joins', async () => names(await modernRpc(gateway.url, 'tools/list')).includes('late__echo'));
    const echo = { name: 'late__echo', arguments: { text: 'there' } };
    assert.equal((await modernRpc(gateway.url, 'tools/call', echo)).message.result.content[0].text, 'there');
  });

  it('need no wait of a client where the start has waited for all servers', async (scope) => {
    const { entry } = await countingStdio(scope, 'legacy');
    const catalog = { startupWaitMs: 600_000, firstListWaitMs: 0, manifestFile: false };
    const gateway = await startGateway(scope, { mcpServers: { peer: entry }, catalog });
    const { message } = await modernRpc(gateway.url, 'tools/list');
    assert.ok(message.result.tools.some(({ name }: { name: string }) => name === 'peer__echo'));
  });
});

describe('sessions and methods', () => {
  it('follow the status codes of both families', async (scope) => {
    const gateway = await gatewayOver(scope, await countingHttp(scope, 'legacy'));
    const session = await openSession(gateway.url);
    assert.match(session.id, /^[\x21-\x7e]+$/);
    assert.deepEqual((await session.request('ping')).message.result, {});
    const unknown = await session.request('no/such');
    assert.deepEqual([unknown.status, unknown.message.error.code], [200, -32601]);
    const modernUnknown = await modernRpc(gateway.url, 'no/such');
    assert.deepEqual([modernUnknown.status, modernUnknown.message.error.code], [404, -32601]);
    assert.equal((await modernRpc(gateway.url, 'ping')).status, 404, 'ping was removed in 2026-07-28');
    const discovered = await modernRpc(gateway.url, 'server/discover');
    assert.deepEqual(discovered.message.result.supportedVersions, ['2026-07-28']);
    assert.equal(discovered.message.result.resultType, 'complete');
    assert.ok(discovered.message.result.ttlMs >= 0);
    const list = await modernRpc(gateway.url, 'tools/list');
    assert.ok(['public', 'private'].includes(list.message.result.cacheScope));
    assert.equal((await session.request('tools/list', { cursor: 'no-such-cursor' })).message.error.code, -32602);
    assert.equal((await session.notify('notifications/roots/list_changed')).status, 202);

    const modernGet = await rpc(gateway.url, undefined, { 'mcp-protocol-version': '2026-07-28' }, { method: 'GET' });
    assert.deepEqual([modernGet.status, modernGet.headers.get('allow')], [405, 'POST']);
    assert.equal((await session.close()).status, 200);
    const after = await session.request('ping');
    assert.deepEqual([after.status, after.message.error.code], [404, -32001]);
  });

  for (const frontEnd of ['uws', 'node'] as const) {
    it(`say nothing about the software that serves them, ${frontEnd} front end`, async (scope) => {
      const server = await countingStdio(scope, 'legacy');
      const gateway = await startGateway(scope, { mcpServers: { peer: server.entry } }, { frontEnd });
      const { headers } = await modernRpc(gateway.url, 'server/discover');
      const allowed = ['content-type', 'content-length', 'date', 'connection', 'keep-alive'];
      assert.deepEqual(
        [...headers.keys()].filter((name) => !allowed.includes(name)),
        [],
      );
    });
  }

  it('let 2025-03-26 clients send batches', async (scope) => {
    const gateway = await gatewayOver(scope, await countingStdio(scope, 'legacy'));
    const session = await openSession(gateway.url, { version: '2025-03-26' });
    const echo = (id: unknown, text: string) => ({
      jsonrpc: '2.0',
      id,
      method: 'tools/call',
      params: { name: 'peer__echo', arguments: { text } },
    });
    const batch = [
      echo(1, 'one'),
      { jsonrpc: '2.0', method: 'notifications/initialized' },
      echo('1', 'two'),
      { jsonrpc: '2.0', id: 3, method: 'ping' },
    ];
    const reply = await rpc(gateway.url, batch, session.headers);
    assert.equal(reply.status, 200, reply.text);
    const byId = new Map(reply.messages.map((message) => [message.id, message.result]));
    assert.equal(byId.get(1).content[0].text, 'one');
    assert.equal(byId.get('1').content[0].text, 'two');
    assert.deepEqual(byId.get(3), {});
    assert.equal(reply.messages.length, 3);
    const silent = await rpc(gateway.url, [{ jsonrpc: '2.0', method: 'notifications/initialized' }], session.headers);
    assert.deepEqual([silent.status, silent.text], [202, '']);
    const many = Array.from({ length: 51 }, (_, id) => ({ jsonrpc: '2.0', id, method: 'ping' }));
    assert.equal((await rpc(gateway.url, many, session.headers)).status, 400);
  });

  it('survive a restart of the gateway when the secret stays', async (scope) => {
    const server = await countingHttp(scope, 'legacy');
    const sessions = { secret: 'a session secret of more than thirty-two characters' };
    const one = await gatewayOver(scope, server, { sessions });
    const session = await openSession(one.url);
    await one.stop();
    const two = await gatewayOver(scope, server, { sessions });
    const echo = {
      jsonrpc: '2.0',
      id: 1,
      method: 'tools/call',
      params: { name: 'peer__echo', arguments: { text: 'still here' } },
    };
    const reply = await rpc(two.url, echo, session.headers);
    assert.equal(reply.message.result?.content[0].text, 'still here', reply.text);
  });

  it('probe like SDK v2 clients do', async (scope) => {
    const gateway = await gatewayOver(scope, await countingHttp(scope, 'modern'));
    const client = await connectV2(scope, gateway.url, 'auto');
    const { tools } = (await client.listTools()) as { tools: { name: string }[] };
    assert.ok(tools.some(({ name }) => name === 'peer__echo'));
  });
});
