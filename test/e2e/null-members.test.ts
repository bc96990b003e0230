/** Clients and servers whose serialisers write `null` or an empty array for what has no value; through a running gateway. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { openAnswer } from '../support/event-stream.js';
import { type RunningGateway, startGateway } from '../support/gateway.js';
import { answer as answerTo, liveCall } from '../support/live-call.js';
import { eventually, type TestScope, tempFolder } from '../support/process.js';
import { type Answer, type RawUpstream, rawUpstream, type Script } from '../support/raw-upstream.js';
import { type Message, modernMessage, modernRpc, openSession, rpc } from '../support/rpc.js';
import { initialize, openStdio, openWebSocket } from '../support/transports.js';

async function withUpstream(
  scope: TestScope,
  family: 'legacy' | 'modern',
  script: Script,
  options: { frontEnd?: 'uws' | 'node'; isolation?: 'session'; streams?: Script; capabilities?: object } = {},
): Promise<{ gateway: RunningGateway; upstream: RawUpstream }> {
  const { frontEnd, isolation, ...offer } = options;
  const upstream = await rawUpstream(scope, script, { family, ...offer });
  const entry = { url: upstream.url, ...(isolation === undefined ? {} : { isolation }) };
  const gateway = await startGateway(
    scope,
    { mcpServers: { peer: entry } },
    frontEnd === undefined ? {} : { frontEnd },
  );
  await eventually('the upstream is listed', async () => {
    const { message } = await modernRpc(gateway.url, 'tools/list');
    return message.result.tools.length > 0;
  });
  return { gateway, upstream };
}

const done: Script = (_request, answer) => answer.result({ content: [] });
const call = (params: object | null): object => ({ jsonrpc: '2.0', id: 'c', method: 'tools/call', params });

for (const frontEnd of ['uws', 'node'] as const) {
  describe(`Optional members that are null in messages of clients, ${frontEnd} front end`, () => {
    it('count as absent in a session', async (scope) => {
      const { gateway, upstream } = await withUpstream(scope, 'legacy', done, { frontEnd });
      const session = await openSession(gateway.url);
      const post = (message: object | string) => rpc(gateway.url, message, session.headers);
      for (const method of ['notifications/initialized', 'notifications/roots/list_changed', 'notifications/own']) {
        assert.equal((await post({ jsonrpc: '2.0', method, params: null })).status, 202, method);
      }
      assert.deepEqual((await post({ jsonrpc: '2.0', id: 1, method: 'ping', params: null })).message.result, {});
      for (const params of [null, {}, { cursor: null }, { cursor: '' }, { cursor: null, _meta: null }]) {
        const { message } = await post({ jsonrpc: '2.0', id: 1, method: 'tools/list', params });
        assert.deepEqual(
          message.result?.tools.map(({ name }: { name: string }) => name),
          ['peer__call', 'peer__read'],
          JSON.stringify(params),
        );
      }
      const wrong = await post({ jsonrpc: '2.0', id: 1, method: 'tools/list', params: { cursor: 'x' } });
      assert.equal(wrong.message.error.code, -32602, 'another cursor is none of ours still');
      for (const [sent, forwarded] of [
        [{ name: 'peer__call', arguments: null }, { name: 'call' }],
        [{ arguments: null, name: 'peer__call', _meta: null }, { name: 'call' }],
        [
          { _meta: { progressToken: null, own: null }, name: 'peer__call' },
          { _meta: { own: null }, name: 'call' },
        ],
        [
          { name: 'peer__call', arguments: { x: null } },
          { name: 'call', arguments: { x: null } },
        ],
      ] as const) {
        const { message } = await post(call(sent));
        assert.deepEqual(message.result, { content: [] }, JSON.stringify(sent));
        assert.deepEqual(upstream.received('tools/call').at(-1)?.message.params, forwarded);
      }
      const nameless = await post(call(null));
      assert.equal(nameless.message.error.code, -32602);
      assert.equal(nameless.message.error.data.code, 'GW_MISSING_NAME');
      assert.equal((await post({ jsonrpc: '2.0', id: 1, method: 'ping', params: [] })).message.error.code, -32602);
      const level = { jsonrpc: '2.0', id: 1, method: 'logging/setLevel', params: { level: 'info', _meta: null } };
      assert.deepEqual((await post(level)).message.result, {});
    });

    it('count as absent at initialize, and in a batch', async (scope) => {
      const { gateway, upstream } = await withUpstream(scope, 'modern', done, { frontEnd });
      const params = {
        protocolVersion: '2025-03-26',
        capabilities: { sampling: null, elicitation: null, roots: null, experimental: null },
        clientInfo: { name: 'n', title: null, version: '1', websiteUrl: null },
        _meta: null,
      };
      const opened = await rpc(gateway.url, { jsonrpc: '2.0', id: 1, method: 'initialize', params });
      assert.equal(opened.message.result.protocolVersion, '2025-03-26');
      const headers = { 'mcp-session-id': opened.headers.get('mcp-session-id') ?? '' };
      const batch = [
        { jsonrpc: '2.0', method: 'notifications/initialized', params: null },
        { jsonrpc: '2.0', id: 2, method: 'ping', params: null },
        call({ name: 'peer__call', arguments: null }),
      ];
      const { messages } = await rpc(gateway.url, batch, headers);
      assert.deepEqual(
        new Set(messages.map(({ id, error }: Message) => [id, error ?? null].join())),
        new Set(['2,', 'c,']),
      );
      const { _meta, ...rest } = upstream.received('tools/call').at(-1)!.message.params as Message;
      assert.deepEqual(rest, { name: 'call' });
      assert.deepEqual(_meta['io.modelcontextprotocol/clientCapabilities'], {});
      assert.deepEqual(_meta['io.modelcontextprotocol/clientInfo'], { name: 'n', version: '1' });
    });

    it('count as absent in requests of the newest revision', async (scope) => {
      for (const family of ['legacy', 'modern'] as const) {
        const { gateway, upstream } = await withUpstream(scope, family, done, { frontEnd });
        for (const cursor of [null, '']) {
          const { message } = await modernRpc(gateway.url, 'tools/list', { cursor });
          assert.equal(message.result?.tools.length, 2);
        }
        const meta = {
          'io.modelcontextprotocol/clientInfo': null,
          'io.modelcontextprotocol/logLevel': null,
          progressToken: null,
        };
        const nulls = { arguments: null, inputResponses: null, requestState: null };
        const { status, message } = await modernRpc(
          gateway.url,
          'tools/call',
          { name: 'peer__call', ...nulls },
          { meta },
        );
        assert.deepEqual([status, message.result?.content], [200, []], JSON.stringify(message));
        const { _meta, ...rest } = upstream.received('tools/call').at(-1)!.message.params as Message;
        assert.deepEqual(rest, { name: 'call' });
        assert.ok(!Object.values(_meta ?? {}).includes(null), JSON.stringify(_meta));
        const filter = { toolsListChanged: null, resourceSubscriptions: null, taskIds: null };
        const stop = new AbortController();
        const listen = modernRpc(
          gateway.url,
          'subscriptions/listen',
          { notifications: filter },
          { signal: stop.signal },
        );
        const refused = await Promise.race([listen, modernRpc(gateway.url, 'server/discover')]);
        assert.equal(refused.message.error, undefined, refused.text);
        stop.abort();
        await listen.catch(() => {});
        // The envelope is no optional member.
        assert.equal(
          (
            await modernRpc(gateway.url, 'tools/list', {
              _meta: { 'io.modelcontextprotocol/clientCapabilities': null },
            })
          ).status,
          400,
        );
      }
    });

    it('count as absent on a WebSocket', async (scope) => {
      const { gateway, upstream } = await withUpstream(scope, 'legacy', done, { frontEnd });
      const connection = await openWebSocket(scope, gateway.origin);
      await initialize(connection);
      connection.send({ jsonrpc: '2.0', method: 'notifications/initialized', params: null });
      connection.send({ jsonrpc: '2.0', id: 'l', method: 'tools/list', params: { cursor: null } });
      connection.send(call({ name: 'peer__call', arguments: null }));
      await eventually('both answers', () =>
        ['l', 'c'].every((id) => connection.messages.some((one) => one.id === id)),
      );
      assert.deepEqual(upstream.received('tools/call').at(-1)?.message.params, { name: 'call' });
      connection.send({ ...modernMessage('tools/list', { cursor: '' }, { id: 'm' }) });
      const modern = await eventually('a list', () => connection.messages.find(({ id }) => id === 'm'));
      assert.equal((modern as Message).result?.tools.length, 2);
    });

    it('count as absent over HTTP with SSE', async (scope) => {
      const { gateway, upstream } = await withUpstream(scope, 'modern', done, { frontEnd });
      const stream = await openAnswer(scope, `${gateway.origin}/sse`);
      await stream.until('/');
      const [endpoint] = stream.events();
      const post = async (message: object): Promise<void> => {
        const headers = { 'content-type': 'application/json' };
        const url = `${gateway.origin}${endpoint!.data}`;
        assert.equal((await fetch(url, { method: 'POST', headers, body: JSON.stringify(message) })).status, 202);
      };
      const params = { protocolVersion: '2024-11-05', capabilities: { roots: null }, clientInfo: null, _meta: null };
      await post({ jsonrpc: '2.0', id: 'i', method: 'initialize', params });
      await stream.until('"id":"i"');
      await post({ jsonrpc: '2.0', method: 'notifications/initialized', params: null });
      await post({ jsonrpc: '2.0', id: 'l', method: 'tools/list', params: { cursor: null } });
      await stream.until('"id":"l"');
      await post(call({ name: 'peer__call', arguments: null, _meta: null }));
      await stream.until('"id":"c"');
      const answers = stream
        .events()
        .slice(1)
        .map(({ data }) => JSON.parse(data) as Message);
      assert.deepEqual(
        answers.flatMap(({ error }) => error ?? []),
        [],
      );
      const { _meta, ...rest } = upstream.received('tools/call').at(-1)!.message.params as Message;
      assert.deepEqual(rest, { name: 'call' });
      assert.ok(!Object.values(_meta).includes(null), JSON.stringify(_meta));
    });
  });
}

describe('Optional members that are null in messages of clients, stdio', () => {
  it('count as absent in both families', async (scope) => {
    const upstream = await rawUpstream(scope, done, { family: 'legacy' });
    const file = join(await tempFolder(scope), 'switchyard.json');
    await writeFile(file, JSON.stringify({ mcpServers: { peer: { url: upstream.url } } }));
    const connection = openStdio(scope, file);
    await initialize(connection);
    connection.send({ jsonrpc: '2.0', method: 'notifications/roots/list_changed', params: null });
    const list = (params: object | null): Promise<Message> =>
      connection.request('tools/list', params as object, `l${connection.messages.length}`);
    await eventually('the upstream is listed', async () => (await list(null)).result?.tools.length === 2);
    assert.equal((await list({ cursor: null })).result?.tools.length, 2);
    assert.equal((await list({ cursor: '' })).result?.tools.length, 2);
    connection.send(call({ name: 'peer__call', arguments: null }));
    await eventually('an answer', () => connection.messages.some(({ id, result }) => id === 'c' && result));
    assert.deepEqual(upstream.received('tools/call').at(-1)?.message.params, { name: 'call' });
    connection.send(modernMessage('tools/call', { name: 'peer__call', arguments: null }, { id: 'm' }));
    await eventually('an answer', () => connection.messages.some(({ id, result }) => id === 'm' && result));
    assert.ok(!('arguments' in upstream.received('tools/call').at(-1)!.message.params));
  });
});

describe('params that are null or an empty array in messages of servers', () => {
  const sampling = {
    messages: [],
    maxTokens: 5,
    tools: null,
    toolChoice: null,
    _meta: null,
  };

  it('count as absent on the stream of a call', async (scope) => {
    const { gateway, upstream } = await withUpstream(
      scope,
      'legacy',
      (request, answer) => {
        if (request.message?.method === undefined) return void answer.response.writeHead(202).end();
        const stream = answer.sse();
        stream.event({ jsonrpc: '2.0', id: 'p', method: 'ping', params: null });
        stream.event({ jsonrpc: '2.0', id: 'q', method: 'ping', params: [] });
        stream.event({ jsonrpc: '2.0', method: 'notifications/tools/list_changed', params: [] });
        stream.event({
          jsonrpc: '2.0',
          method: 'notifications/message',
          params: { level: 'info', data: 1, _meta: null },
        });
        stream.event({ jsonrpc: '2.0', id: 'r', method: 'roots/list', params: null });
        stream.event({ jsonrpc: '2.0', id: 's', method: 'sampling/createMessage', params: sampling });
        stream.event({ jsonrpc: '2.0', id: request.message.id, result: { content: [], _meta: null } });
      },
      { isolation: 'session' },
    );
    const session = await openSession(gateway.url, { capabilities: { roots: {}, sampling: {} } });
    // The lists of a dedicated endpoint are followed once its client has asked for them.
    assert.equal((await session.request('tools/list')).message.result?.tools.length, 2);
    const lists = upstream.received('tools/list').length;
    const live = await liveCall(gateway.url, session, 'a', 'peer__call');
    const messages = (await live.rest()) as Message[];
    const methods = messages.map(({ method }) => method);
    assert.deepEqual(methods.slice(0, 3), ['notifications/message', 'roots/list', 'sampling/createMessage']);
    assert.ok(!('_meta' in messages[0].params));
    assert.equal(messages.at(-1).id, 'a');
    assert.deepEqual(messages.at(-1).result, { content: [] });
    const answered = (id: string): boolean =>
      upstream.requests.some(({ message }) => message?.id === id && 'result' in message);
    await eventually('the answers to the pings', () => answered('p') && answered('q'));
    await eventually('the list is read again', () => upstream.received('tools/list').length > lists);
    await answerTo(gateway.url, session, messages[1].id, { roots: [] });
  });

  for (const family of ['legacy', 'modern'] as const) {
    it(`count as absent on a long-lived stream, ${family}`, async (scope) => {
      const changed = (params: unknown): object => ({
        jsonrpc: '2.0',
        method: 'notifications/tools/list_changed',
        params,
      });
      let stream: ReturnType<Answer['sse']> | undefined;
      const { upstream } = await withUpstream(
        scope,
        family,
        (request, answer) => {
          if (request.message?.method !== 'subscriptions/listen') return void answer.response.writeHead(202).end();
          stream = answer.sse();
          const { notifications } = request.message.params;
          const _meta = { 'io.modelcontextprotocol/subscriptionId': request.message.id };
          const method = 'notifications/subscriptions/acknowledged';
          stream.event({ jsonrpc: '2.0', method, params: { notifications, _meta } });
        },
        {
          capabilities: { tools: { listChanged: true } },
          streams: (_request, answer) => {
            stream = answer.sse();
          },
        },
      );
      await eventually('the stream', () => stream !== undefined);
      for (const params of [null, []]) {
        const lists = upstream.received('tools/list').length;
        stream!.event(changed(params));
        await eventually('the list is read again', () => upstream.received('tools/list').length > lists);
      }
      if (family === 'modern') return;
      stream!.event({ jsonrpc: '2.0', id: 'p', method: 'ping', params: [] });
      stream!.event({ jsonrpc: '2.0', id: 'q', method: 'ping', params: null });
      await eventually('the answers to the pings', () =>
        ['p', 'q'].every((id) => upstream.requests.some(({ message }) => message?.id === id && 'result' in message)),
      );
    });
  }
});
