/** Connections that carry many messages, byte for byte, and REST; through a running gateway. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { WebSocket } from 'ws';
import { type RunningGateway, startGateway } from '../support/gateway.js';
import { eventually, type TestScope, tempFolder } from '../support/process.js';
import { type Message, modernMessage, modernRpc } from '../support/rpc.js';
import { initialize, openStdio, openWebSocket, type RawConnection, webSocketUrl } from '../support/transports.js';
import { countingStdio } from '../support/upstreams.js';

const listed = (gateway: RunningGateway, headers: Record<string, string> = {}): Promise<unknown> =>
  eventually('the upstream is listed', async () => {
    const { message } = await modernRpc(gateway.url, 'tools/list', {}, { headers });
    return message.result.tools.length > 0;
  });

/** A gateway's configuration on disk, for those that run on stdio. */
async function configured(scope: TestScope, entry: object, more: object = {}): Promise<string> {
  const file = join(await tempFolder(scope), 'switchyard.json');
  await writeFile(file, JSON.stringify({ mcpServers: { peer: entry }, ...more }));
  return file;
}

type Opened = { readonly connection: RawConnection };

/** The same connection over each transport that carries bare messages. */
const transports: { name: string; open(scope: TestScope, entry: object, more?: object): Promise<Opened> }[] = [
  ...(['uws', 'node'] as const).map((frontEnd) => ({
    name: `WebSocket on ${frontEnd}`,
    open: async (scope: TestScope, entry: object, more: object = {}) => {
      const gateway = await startGateway(scope, { mcpServers: { peer: entry }, ...more }, { frontEnd });
      await listed(gateway);
      return { connection: await openWebSocket(scope, gateway.origin) };
    },
  })),
  {
    name: 'stdio',
    open: async (scope: TestScope, entry: object, more: object = {}) => {
      const connection = openStdio(scope, await configured(scope, entry, more));
      await eventually('the upstream is listed', async () => {
        connection.send(modernMessage('tools/list', {}, { id: 'listed' }));
        const answers = () => connection.messages.filter(({ id }) => id === 'listed');
        await eventually('a list', () => answers().length > 0);
        return answers().splice(0).at(-1).result.tools.length > 0;
      });
      connection.messages.length = 0;
      return { connection };
    },
  },
];

const answerTo = (connection: RawConnection, id: unknown): Promise<Message> =>
  eventually(`the answer to ${String(id)}`, () =>
    connection.messages.find((message) => message.id === id && message.method === undefined),
  );

for (const transport of transports) {
  describe(`A connection over ${transport.name}`, () => {
    it('serves clients of the newest revision, whose messages have no head', async (scope) => {
      const server = await countingStdio(scope, 'modern');
      const { connection } = await transport.open(scope, server.entry);
      const ask = (method: string, params: Record<string, unknown>, options: object): Promise<Message> => {
        connection.send(modernMessage(method, params, options));
        return answerTo(connection, (options as { id: unknown }).id);
      };
      const found = await ask('server/discover', {}, { id: 'd' });
      assert.deepEqual(found.result.supportedVersions, ['2026-07-28']);
      const called = await ask('tools/call', { name: 'peer__echo', arguments: { text: 'hi' } }, { id: 'e' });
      assert.equal(called.result.content[0].text, 'hi');
      const slow = { name: 'peer__slow', arguments: { ms: 60, steps: 3 } };
      await ask('tools/call', slow, { id: 's', meta: { progressToken: 'mine' } });
      const steps = connection.messages.filter(({ method }) => method === 'notifications/progress');
      assert.deepEqual(
        steps.map(({ params }) => [params.progressToken, params.progress]),
        [1, 2, 3].map((step) => ['mine', step]),
      );
      assert.equal(connection.messages.at(-1).id, 's', 'the answer comes last');
      const old = await ask('tools/list', {}, { id: 'v', version: '2027-01-01' });
      assert.deepEqual([old.error.code, old.error.data.supported], [-32022, ['2026-07-28']]);
      assert.equal((await ask('tools/call', {}, { id: 'n' })).error.code, -32602);

      connection.send(modernMessage('tools/call', { name: 'peer__hang', arguments: {} }, { id: 'h' }));
      await eventually('the call arrived', () => server.calls('hang').length === 1);
      connection.send({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 'h' } });
      await eventually('it was cancelled', () => server.calls('hang').length === 2);

      const filter = { notifications: { toolsListChanged: true } };
      connection.send(modernMessage('subscriptions/listen', filter, { id: 'l' }));
      const of = (method: string): Message[] => connection.messages.filter((message) => message.method === method);
      await eventually('the acknowledgement', () => of('notifications/subscriptions/acknowledged').length === 1);
      await ask('tools/call', { name: 'peer__add_tool', arguments: { name: 'new_one' } }, { id: 'a' });
      const changes = () => of('notifications/tools/list_changed');
      await eventually('the change', () => changes().length > 0);
      assert.equal(changes()[0]!.params._meta['io.modelcontextprotocol/subscriptionId'], 'l');
      connection.send({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 'l' } });
      const before = changes().length;
      await ask('tools/call', { name: 'peer__add_tool', arguments: { name: 'new_two' } }, { id: 'b' });
      await eventually('the list has it', async () => {
        const { result } = await ask('tools/list', {}, { id: `list-${connection.messages.length}` });
        return result.tools.some(({ name }: { name: string }) => name === 'peer__new_two');
      });
      assert.equal(changes().length, before, 'nothing more after the end of the subscription');
      assert.ok(!connection.messages.some(({ id }) => id === 'h'), 'a cancelled request has no answer');
    });

    it('waits with what is sent before initialize is answered', async (scope) => {
      const server = await countingStdio(scope, 'legacy');
      const { connection } = await transport.open(scope, server.entry);
      const unready = await connection.request('tools/list', {}, 'early');
      assert.ok(unready.result.tools.length > 0);
      assert.deepEqual((await connection.request('ping', undefined, 'p')).result, {});
      const params = { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'x', version: '1' } };
      connection.send({ jsonrpc: '2.0', id: 1, method: 'initialize', params });
      connection.send({ jsonrpc: '2.0', method: 'notifications/initialized' });
      connection.send({ jsonrpc: '2.0', id: 2, method: 'tools/list' });
      connection.send({ jsonrpc: '2.0', id: '2', method: 'initialize', params });
      assert.equal((await answerTo(connection, 1)).result.protocolVersion, '2025-06-18');
      assert.ok((await answerTo(connection, 2)).result.tools.length > 0);
      assert.equal((await answerTo(connection, '2')).error.data.code, 'GW_ALREADY_INITIALIZED');
      connection.send('[{"jsonrpc":"2.0","id":3,"method":"ping"}]');
      await eventually('no batches', () =>
        connection.messages.some(({ id, error }) => id === null && error?.data.code === 'GW_BATCH_REFUSED'),
      );
    });

    it('takes batches of the one revision that has them', async (scope) => {
      const server = await countingStdio(scope, 'legacy');
      const { connection } = await transport.open(scope, server.entry);
      await initialize(connection, '2025-03-26');
      const echo = (id: number, text: string) => ({
        jsonrpc: '2.0',
        id,
        method: 'tools/call',
        params: { name: 'peer__echo', arguments: { text } },
      });
      connection.send([echo(1, 'a'), { jsonrpc: '2.0', method: 'notifications/progress' }, echo(2, 'b')]);
      const batch = await eventually('the batch', () => connection.messages.find((message) => Array.isArray(message)));
      assert.deepEqual(batch.map(({ id }: Message) => id).sort(), [1, 2]);
      // A batch ends with its connection.
      const hang = { jsonrpc: '2.0', id: 9, method: 'tools/call', params: { name: 'peer__hang', arguments: {} } };
      connection.send([hang, echo(3, 'c')]);
      await eventually('the call arrived', () => server.calls('hang').length === 1);
      connection.close();
      if (transport.name !== 'stdio') await eventually('it was cancelled', () => server.calls('hang').length === 2);
    });

    it('answers messages that it cannot read, and stays open', async (scope) => {
      const server = await countingStdio(scope, 'legacy');
      const { connection } = await transport.open(scope, server.entry, { limits: { maxBodyBytes: 4096 } });
      await initialize(connection);
      const codes = (): string[] =>
        connection.messages.filter(({ id }) => id === null).map(({ error }) => error.data.code);
      connection.send('garbage');
      connection.send('{"jsonrpc":"2.0","id":1,"method":"ping"');
      connection.send('{"jsonrpc":"2.0","id":null,"method":"ping"}');
      await eventually('three errors', () => codes().length === 3);
      assert.deepEqual(codes(), ['GW_PARSE', 'GW_PARSE', 'GW_INVALID_ID']);
      connection.send('{"jsonrpc":"2.0","method":"notifications/unheard"}');
      connection.send('{"jsonrpc":"2.0","id":77,"result":{}}');
      const text = 'y'.repeat(5000);
      connection.send(`{"method":"ping","params":{"x":"${text}","id":7},"jsonrpc":"2.0","id":"six"}`);
      assert.equal((await answerTo(connection, 'six')).error.data.code, 'GW_BODY_TOO_LARGE');
      // The answer to a question of the gateway is no request, whatever its id.
      connection.send(`{"jsonrpc":"2.0","id":8,"result":{"x":"${text}"}}`);
      await eventually('too large', () => codes().at(-1) === 'GW_BODY_TOO_LARGE');
      assert.deepEqual((await connection.request('ping', undefined, 'still')).result, {});
      // One id in flight twice: both are answered.
      const twice = { jsonrpc: '2.0', id: 'same', method: 'tools/call' };
      for (const text of ['one', 'two']) {
        connection.send({ ...twice, params: { name: 'peer__echo', arguments: { text } } });
      }
      const same = () => connection.messages.filter(({ id }) => id === 'same');
      await eventually('both', () => same().length === 2);
      assert.deepEqual(
        same()
          .map(({ result }) => result.content[0].text)
          .sort(),
        ['one', 'two'],
      );
    });

    for (const family of ['legacy', 'modern'] as const) {
      it(`carries the questions of a ${family} server and their answers`, async (scope) => {
        const program = fileURLToPath(new URL('../support/dialogue-server.js', import.meta.url));
        const entry = { command: process.execPath, args: [program, family, 'stdio'] };
        const { connection } = await transport.open(scope, entry);
        await initialize(connection, '2025-11-25', { elicitation: { form: {} }, sampling: {}, roots: {} });
        const params = { name: 'peer__confirm', arguments: { question: 'sure?' } };
        connection.send({ jsonrpc: '2.0', id: 'c', method: 'tools/call', params });
        const question = await eventually('the question', () =>
          connection.messages.find(({ method }) => method === 'elicitation/create'),
        );
        assert.equal(question.params.message, 'sure?');
        connection.send({
          jsonrpc: '2.0',
          id: question.id,
          result: { action: 'accept', content: { answer: 'quite' } },
        });
        assert.equal((await answerTo(connection, 'c')).result.content[0].text, 'quite');
      });
    }

    it('carries a question that belongs to no call, to the session that it is for', async (scope) => {
      const program = fileURLToPath(new URL('../support/dialogue-server.js', import.meta.url));
      const entry = { command: process.execPath, args: [program, 'legacy', 'stdio'], isolation: 'session' };
      const { connection } = await transport.open(scope, entry);
      await initialize(connection, '2025-11-25', { elicitation: { form: {} } });
      const params = { name: 'peer__aside', arguments: { question: 'by the way?' } };
      connection.send({ jsonrpc: '2.0', id: 'a', method: 'tools/call', params });
      const question = await eventually('the question', () =>
        connection.messages.find(({ method }) => method === 'elicitation/create'),
      );
      connection.send({ jsonrpc: '2.0', id: question.id, result: { action: 'decline' } });
      assert.equal((await answerTo(connection, 'a')).result.content[0].text, 'decline');
    });

    it('lets a client of the newest revision answer an older server with its next request', async (scope) => {
      const program = fileURLToPath(new URL('../support/dialogue-server.js', import.meta.url));
      const entry = { command: process.execPath, args: [program, 'legacy', 'stdio'], isolation: 'session' };
      const { connection } = await transport.open(scope, entry);
      const params = { name: 'peer__confirm', arguments: { question: 'sure?' } };
      const clientCapabilities = { elicitation: { form: {} } };
      connection.send(modernMessage('tools/call', params, { id: 1, clientCapabilities }));
      const { result } = await answerTo(connection, 1);
      assert.equal(result.resultType, 'input_required');
      const [[key]] = Object.entries(result.inputRequests) as [[string, object]];
      const inputResponses = { [key]: { action: 'accept', content: { answer: 'very' } } };
      const again = { ...params, inputResponses, requestState: result.requestState };
      connection.send(modernMessage('tools/call', again, { id: 2, clientCapabilities }));
      assert.equal((await answerTo(connection, 2)).result.content[0].text, 'very');
    });

    it('answers thousands of calls sent at once, each with its own', async (scope) => {
      const server = await countingStdio(scope, 'modern');
      const { connection } = await transport.open(scope, server.entry);
      const count = 3000;
      for (let id = 0; id < count; id += 1) {
        const params = { name: 'peer__echo', arguments: { text: `text ${id}` } };
        connection.send(modernMessage('tools/call', params, { id }));
      }
      const answers = () => connection.messages.filter(({ result }) => result !== undefined);
      await eventually('all answers', () => answers().length === count, 60_000);
      for (const { id, result } of answers()) assert.equal(result.content[0].text, `text ${id}`);
    });
  });
}

describe('A gateway on stdio', () => {
  it('answers what was asked before the end of its input, then ends', async (scope) => {
    const server = await countingStdio(scope, 'legacy');
    const gateway = openStdio(scope, await configured(scope, server.entry, { catalog: { startupWaitMs: 10_000 } }));
    const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'x', version: '1' } };
    gateway.send({ jsonrpc: '2.0', id: 1, method: 'initialize', params });
    gateway.send({ jsonrpc: '2.0', method: 'notifications/initialized' });
    const slow = { name: 'peer__slow', arguments: { ms: 300 } };
    gateway.send({ jsonrpc: '2.0', id: 2, method: 'tools/call', params: slow });
    gateway.end();
    await eventually('it ended', () => gateway.child.exitCode !== null, 30_000);
    assert.equal(gateway.child.exitCode, 0);
    assert.match(JSON.stringify(gateway.messages.find(({ id }) => id === 2)), /done in 4 steps/);
  });
});

const auth = {
  type: 'bearer',
  tokens: [
    { token: 'token-of-ada-0123456789', subject: 'ada', scopes: [] },
    { token: 'token-of-bob-0123456789', subject: 'bob', scopes: [] },
  ],
};
const ada = { authorization: 'Bearer token-of-ada-0123456789' };
const bob = { authorization: 'Bearer token-of-bob-0123456789' };

for (const frontEnd of ['uws', 'node'] as const) {
  describe(`Tokens on all transports on ${frontEnd}`, () => {
    it('are required, verified, and bound to the connections that they have opened', async (scope) => {
      const server = await countingStdio(scope, 'legacy');
      const gateway = await startGateway(scope, { mcpServers: { peer: server.entry }, auth }, { frontEnd });
      await listed(gateway, ada);
      const handshake = (headers: Record<string, string>): Promise<number> =>
        new Promise((resolve) => {
          const socket = new WebSocket(webSocketUrl(gateway.origin), 'mcp', { headers });
          socket.on('unexpected-response', (_request, response) => {
            assert.match(response.headers['www-authenticate'] ?? '', /^Bearer/);
            resolve(response.statusCode ?? 0);
            socket.terminate();
          });
          socket.on('error', () => {});
          socket.on('open', () => {
            resolve(101);
            socket.close();
          });
        });
      assert.deepEqual(
        [await handshake({}), await handshake({ authorization: 'Bearer wrong' }), await handshake(ada)],
        [401, 401, 101],
      );
      const connection = await openWebSocket(scope, gateway.origin, ada);
      await initialize(connection);
      assert.ok((await connection.request('tools/list')).result.tools.length > 0);

      const sse = (headers: Record<string, string>): Promise<Response> =>
        fetch(`${gateway.origin}/sse`, { headers: { accept: 'text/event-stream', ...headers } });
      assert.equal((await sse({})).status, 401);
      assert.equal((await sse({ authorization: 'Bearer wrong' })).status, 401);
      const stream = await sse(ada);
      const reader = stream.body!.getReader();
      scope.after(() => reader.cancel().catch(() => {}));
      const [, path] = /data: (\S+)/.exec(Buffer.from((await reader.read()).value!).toString())!;
      const post = (headers: Record<string, string>, message: object): Promise<Response> =>
        fetch(gateway.origin + path, {
          method: 'POST',
          headers: { 'content-type': 'application/json', ...headers },
          body: JSON.stringify(message),
        });
      const ping = { jsonrpc: '2.0', id: 1, method: 'ping' };
      assert.equal((await post({}, ping)).status, 401);
      assert.equal((await post(bob, ping)).status, 404, 'another principal');
      assert.equal((await post(ada, ping)).status, 202);
      assert.match(Buffer.from((await reader.read()).value!).toString(), /"id":1,"result":\{\}/);

      assert.equal((await fetch(`${gateway.origin}/tools`)).status, 401);
      assert.equal((await fetch(`${gateway.origin}/openapi.json`)).status, 401);
      assert.equal((await fetch(`${gateway.origin}/tools`, { headers: bob })).status, 200);
    });

    it('keep connections apart, whatever ids their clients choose', async (scope) => {
      const server = await countingStdio(scope, 'legacy');
      const gateway = await startGateway(scope, { mcpServers: { peer: server.entry } }, { frontEnd });
      await listed(gateway);
      const [one, two] = [await openWebSocket(scope, gateway.origin), await openWebSocket(scope, gateway.origin)];
      await initialize(one);
      await initialize(two);
      const hang = { jsonrpc: '2.0', id: 'h', method: 'tools/call', params: { name: 'peer__hang', arguments: {} } };
      one.send(hang);
      two.send(hang);
      await eventually('both arrived', () => server.calls('hang').length === 2);
      const cancel = { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 'h' } };
      two.send(cancel);
      await eventually('one was cancelled', () => server.calls('hang').length === 3);
      two.send(cancel);
      assert.deepEqual((await two.request('ping')).result, {});
      assert.equal(server.calls('hang').length, 3, 'the other was not');
      const slow = (connection: RawConnection, key: string): void =>
        connection.send({
          jsonrpc: '2.0',
          id: 's',
          method: 'tools/call',
          params: { name: 'peer__slow', arguments: { ms: 40, steps: 2, key }, _meta: { progressToken: 1 } },
        });
      slow(one, 'one');
      slow(two, 'two');
      await Promise.all([answerTo(one, 's'), answerTo(two, 's')]);
      for (const { messages } of [one, two]) {
        assert.deepEqual(
          messages.filter(({ method }) => method === 'notifications/progress').map(({ params }) => params.progress),
          [1, 2],
        );
      }
    });

    it('end their session and stream when the client disconnects', async (scope) => {
      const server = await countingStdio(scope, 'legacy');
      const gateway = await startGateway(scope, { mcpServers: { peer: server.entry } }, { frontEnd });
      const counts = async (): Promise<string> => {
        const stats = (await (await fetch(`${gateway.adminUrl}/stats`)).json()) as Record<string, unknown>;
        return `${stats['sessions']} sessions, ${stats['streams']} streams`;
      };
      assert.equal(await counts(), '0 sessions, 0 streams');
      const connection = await openWebSocket(scope, gateway.origin);
      await initialize(connection);
      await eventually('one of each', async () => (await counts()) === '1 sessions, 1 streams');
      connection.close();
      await eventually('none', async () => (await counts()) === '0 sessions, 0 streams');
    });
  });

  describe(`REST on ${frontEnd}`, () => {
    it('is limited as everything else', async (scope) => {
      const server = await countingStdio(scope, 'legacy');
      const rateLimits = { perTool: [{ tools: ['peer__echo'], rate: 0.01, burst: 1 }] };
      const gateway = await startGateway(scope, { mcpServers: { peer: server.entry }, rateLimits }, { frontEnd });
      await listed(gateway);
      const call = (): Promise<Response> =>
        fetch(`${gateway.origin}/tools/peer__echo`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: '{"text":"x"}',
        });
      assert.equal((await call()).status, 200);
      const limited = await call();
      assert.equal(limited.status, 429);
      assert.ok(Number(limited.headers.get('retry-after')) > 0);
      const { error } = (await limited.json()) as Message;
      assert.equal(error.data.code, 'GW_RATE_LIMITED');
      const connection = await openWebSocket(scope, gateway.origin);
      await initialize(connection);
      const refused = await connection.request('tools/call', { name: 'peer__echo', arguments: { text: 'x' } });
      assert.equal(refused.error.data.code, 'GW_RATE_LIMITED');
    });

    it('lists, calls, reads and describes', async (scope) => {
      const server = await countingStdio(scope, 'legacy');
      const gateway = await startGateway(scope, { mcpServers: { peer: server.entry } }, { frontEnd });
      await listed(gateway);
      const get = async (path: string): Promise<Message> => (await fetch(gateway.origin + path)).json();
      const post = async (path: string, body: object): Promise<[number, Message]> => {
        const answer = await fetch(gateway.origin + path, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify(body),
        });
        return [answer.status, await answer.json()];
      };
      const { tools, ...rest } = await get('/tools');
      assert.ok(tools.some(({ name }: { name: string }) => name === 'peer__echo'));
      assert.deepEqual(rest, {});
      const content = [{ type: 'text', text: 'hi' }];
      const [status, called] = await post('/tools/peer__echo', { text: 'hi' });
      assert.deepEqual([status, called.content], [200, content]);
      const named = await post('/tools/call', { name: 'peer__echo', arguments: { text: 'hi' } });
      assert.deepEqual(named[1].content, content);
      const failed = await post('/tools/peer__fail', {});
      assert.deepEqual([failed[0], failed[1].isError], [200, true]);
      assert.equal((await post('/tools/nobody', {}))[0], 404);
      const [missing, { error }] = await post('/resources/read', { uri: 'test://nowhere/else' });
      assert.deepEqual([missing, error.code], [error.data?.code === 'GW_UNKNOWN_RESOURCE' ? 404 : 400, -32602]);
      const [, read] = await post('/resources/read', { uri: 'test://readme' });
      assert.equal(read.contents[0].text, 'read me');
      const [, prompt] = await post('/prompts/get', { name: 'peer__greet', arguments: { city: 'Bern' } });
      assert.match(JSON.stringify(prompt), /people of Bern/);
      assert.ok((await get('/prompts')).prompts.length > 0);
      assert.ok((await get('/resources/templates')).resourceTemplates.length > 0);
      assert.equal((await fetch(`${gateway.origin}/tools?cursor=nonsense`)).status, 400);
      const origin = 'http://localhost:3000';
      for (const path of ['/tools', '/tools?cursor=nonsense', '/openapi.json']) {
        const answer = await fetch(gateway.origin + path, { headers: { origin } });
        assert.equal(answer.headers.get('access-control-allow-origin'), origin, path);
      }
      const document = await get('/openapi.json');
      const operation = document.paths['/tools/peer__add'].post;
      assert.deepEqual(operation.requestBody.content['application/json'].schema.required, ['a', 'b']);
    });
  });
}
