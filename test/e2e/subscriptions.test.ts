/** What clients follow: resources of older sessions, `subscriptions/listen` of modern clients, lists of both. */
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { ResourceUpdatedNotificationSchema } from '@modelcontextprotocol/sdk/types.js';
import { JOURNAL_VARIABLE, readJournal } from '../support/call-journal.js';
import { type OpenAnswer, openAnswer } from '../support/event-stream.js';
import { type RunningGateway, startGateway } from '../support/gateway.js';
import { eventually, startProcess, type TestScope, tempFolder } from '../support/process.js';
import { type Message, modernHeaders, modernMessage, modernRpc, openSession } from '../support/rpc.js';
import { connectV1, connectV2 } from '../support/sdk-clients.js';
import { countingHttp } from '../support/upstreams.js';

const WATCHED = fileURLToPath(new URL('../support/watched-server.js', import.meta.url));
const SUBSCRIPTION_ID = 'io.modelcontextprotocol/subscriptionId';

type Family = 'legacy' | 'modern';

/** A gateway before a server with resources that change. */
async function watched(
  scope: TestScope,
  family: Family,
  transport: 'stdio' | 'http',
  config: object = {},
  headers: Record<string, string> = {},
) {
  const file = join(await tempFolder(scope), 'journal.jsonl');
  const env = { [JOURNAL_VARIABLE]: file };
  let entry: object = { command: process.execPath, args: [WATCHED, family, 'stdio'], env };
  if (transport === 'http') {
    const running = startProcess(scope, process.execPath, [WATCHED, family, 'http'], { env });
    const [, url] = await running.waitForLine(/^listening on (\S+)/);
    entry = { url };
  }
  const gateway = await startGateway(scope, { mcpServers: { up: entry }, ...config });
  await eventually('the upstream is listed', async () => {
    const { message } = await modernRpc(gateway.url, 'tools/list', {}, { headers });
    return message.result?.tools?.length > 0;
  });
  const journal = (name: string): unknown[] =>
    readJournal(file).flatMap((line) => (line.name === name ? [line.args] : []));
  const touch = async (uri: string): Promise<void> => {
    const params = { name: 'up__touch', arguments: { uri } };
    const { message } = await modernRpc(gateway.url, 'tools/call', params, { headers });
    assert.equal(message.result?.content[0].text, 'touched');
  };
  return { gateway, url: gateway.url, journal, touch };
}

function listen(
  scope: TestScope,
  url: string,
  id: string | number,
  notifications: object,
  headers: Record<string, string> = {},
): Promise<OpenAnswer> {
  const message = modernMessage('subscriptions/listen', { notifications }, { id });
  return openAnswer(scope, url, { message, headers: { ...modernHeaders(message), ...headers } });
}

const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

const quiet = () => new Promise((resolve) => setTimeout(resolve, 150));
const streamsOf = async ({ adminUrl }: RunningGateway): Promise<number> =>
  ((await (await fetch(`${adminUrl}/stats`)).json()) as { streams: number }).streams;
const updates = (stream: OpenAnswer): string[] =>
  stream.messages().flatMap(({ method, params }) => (method === 'notifications/resources/updated' ? [params.uri] : []));

for (const [family, transport] of [
  ['legacy', 'stdio'],
  ['legacy', 'http'],
  ['modern', 'stdio'],
  ['modern', 'http'],
] as const) {
  describe(`a resource of a ${family} server over ${transport}`, () => {
    it('is followed by clients of both families over one subscription', async (scope) => {
      const { url, gateway, journal, touch } = await watched(scope, family, transport);
      const clients = [await connectV1(scope, url), await connectV1(scope, url)];
      const stranger = await connectV1(scope, url);
      const seen: string[][] = [[], [], []];
      for (const [index, client] of [...clients, stranger].entries()) {
        client.setNotificationHandler(
          ResourceUpdatedNotificationSchema,
          ({ params }) => void seen[index]!.push(params.uri),
        );
      }
      await eventually('three standalone streams', async () => (await streamsOf(gateway)) === 3);
      for (const client of clients) await client.subscribeResource({ uri: 'test://a' });
      await clients[0]!.subscribeResource({ uri: 'test://a' });
      const stream = await listen(scope, url, 'mine', { resourceSubscriptions: ['test://a'], toolsListChanged: true });
      await stream.until('acknowledged');
      const [acknowledged] = stream.messages();
      assert.deepEqual(acknowledged, {
        jsonrpc: '2.0',
        method: 'notifications/subscriptions/acknowledged',
        params: {
          _meta: { [SUBSCRIPTION_ID]: 'mine' },
          notifications: { toolsListChanged: true, resourceSubscriptions: ['test://a'] },
        },
      });
      if (family === 'legacy') assert.deepEqual(journal('test://a'), ['subscribe']);

      await touch('test://a');
      await eventually('an update for each', () => seen[0]!.length + seen[1]!.length + updates(stream).length === 3);
      await quiet();
      assert.deepEqual(seen, [['test://a'], ['test://a'], []]);
      assert.deepEqual(stream.messages()[1].params, { _meta: { [SUBSCRIPTION_ID]: 'mine' }, uri: 'test://a' });

      // Twice subscribed is followed once, and taken back once.
      await clients[0]!.unsubscribeResource({ uri: 'test://a' });
      await clients[0]!.unsubscribeResource({ uri: 'test://a' });
      await touch('test://a');
      await eventually('the second update', () => seen[1]!.length === 2 && updates(stream).length === 2);
      assert.equal(seen[0]!.length, 1);
      stream.cut();
      await clients[1]!.close();
      await eventually('the streams are gone', async () => (await streamsOf(gateway)) <= 2);
      if (family === 'legacy') {
        // The other client did not end its session, only its connection.
        assert.deepEqual(journal('test://a'), ['subscribe']);
      }
    });
  });
}

describe('a subscription upstream', () => {
  it('ends with the last session that follows, and begins anew', async (scope) => {
    const { url, journal } = await watched(scope, 'legacy', 'http');
    const [one, two] = [await openSession(url), await openSession(url)];
    for (const session of [one, two]) {
      const { message } = await session.request('resources/subscribe', { uri: 'test://a' });
      assert.deepEqual(message.result, {});
    }
    await one.close();
    await quiet();
    assert.deepEqual(journal('test://a'), ['subscribe']);
    await two.close();
    await eventually('the end', () => journal('test://a').length === 2);
    const stream = await listen(scope, url, 'x', { resourceSubscriptions: ['test://a'] });
    await stream.until('acknowledged');
    stream.cut();
    await eventually('one more round', () => journal('test://a').length === 4);
    assert.deepEqual(journal('test://a'), ['subscribe', 'unsubscribe', 'subscribe', 'unsubscribe']);
  });

  it('is bounded for each session and for each listen', async (scope) => {
    const { url } = await watched(scope, 'legacy', 'stdio', { limits: { maxSubscriptions: 2 } });
    const session = await openSession(url);
    for (const uri of ['test://a', 'test://b', 'test://b']) {
      assert.deepEqual((await session.request('resources/subscribe', { uri })).message.result, {});
    }
    const { message } = await session.request('resources/subscribe', { uri: 'test://c' });
    assert.deepEqual([message.error.code, message.error.data.code], [-32603, 'GW_SUBSCRIPTION_LIMIT']);
    await session.request('resources/unsubscribe', { uri: 'test://b' });
    assert.deepEqual((await session.request('resources/subscribe', { uri: 'test://c' })).message.result, {});
    const uris = ['test://a', 'test://b', 'test://c'];
    const refused = await modernRpc(url, 'subscriptions/listen', { notifications: { resourceSubscriptions: uris } });
    assert.equal(refused.message.error.data.code, 'GW_SUBSCRIPTION_LIMIT');
  });

  it('is refused by a server without subscriptions, and taking back what is not there is no error', async (scope) => {
    const upstream = await countingHttp(scope, 'legacy');
    const { url } = await startGateway(scope, { mcpServers: { up: upstream.entry } });
    const session = await openSession(url);
    const { message } = await session.request('resources/subscribe', { uri: 'test://readme' });
    assert.deepEqual([message.error.code, message.error.data.code], [-32601, 'GW_METHOD_NOT_FOUND']);
    assert.deepEqual((await session.request('resources/unsubscribe', { uri: 'test://readme' })).message.result, {});
    const stream = await listen(scope, url, 5, { resourceSubscriptions: ['test://readme'] });
    await stream.end();
    const [acknowledged, result] = stream.messages();
    assert.deepEqual(acknowledged.params.notifications, {});
    assert.equal(result.id, 5);
    assert.equal(result.result.resultType, 'complete');
    assert.equal(result.result._meta[SUBSCRIPTION_ID], 5);
    assert.equal(result.result._meta['io.modelcontextprotocol/serverInfo'].name, 'switchyard');
  });
});

describe('subscriptions/listen', () => {
  it('needs a filter', async (scope) => {
    const { url } = await watched(scope, 'modern', 'stdio');
    for (const params of [
      {},
      { notifications: null },
      { notifications: [] },
      { notifications: { toolsListChanged: 1 } },
    ]) {
      const reply = await modernRpc(url, 'subscriptions/listen', params);
      assert.equal(reply.status, 200);
      assert.deepEqual([reply.message.error.code, reply.message.error.data.code], [-32602, 'GW_INVALID_FILTER']);
    }
    const session = await openSession(url);
    const legacy = await session.request('subscriptions/listen', { notifications: { toolsListChanged: true } });
    assert.equal(legacy.message.error.code, -32601);
  });

  it('tells an SDK client within moments that a list has changed, and only what it asked for', async (scope) => {
    const upstream = await countingHttp(scope, 'legacy');
    const gateway = await startGateway(scope, { mcpServers: { up: upstream.entry } });
    const client = await connectV2(scope, gateway.url);
    await eventually('the upstream is listed', async () => (await client.listTools()).tools.length > 0);
    const seen: string[] = [];
    client.setNotificationHandler('notifications/tools/list_changed', () => void seen.push('tools'));
    const subscription = await client.listen({ toolsListChanged: true });
    const other = await listen(scope, gateway.url, 'prompts', { promptsListChanged: true });
    await other.until('acknowledged');
    await client.callTool({ name: 'up__add_tool', arguments: { name: 'another' } });
    await eventually('the notification', () => seen.length > 0);
    const { tools } = await client.listTools();
    assert.ok(
      tools.some(({ name }) => name === 'up__another'),
      'the new list is there when its change is told',
    );
    assert.equal(other.messages().length, 1);
    await subscription.close();
    await eventually('its end', async () => (await streamsOf(gateway)) === 1);
  });

  it('ends with a result when the gateway stops', async (scope) => {
    const { gateway, url } = await watched(scope, 'legacy', 'stdio');
    const streams = [
      await listen(scope, url, 0, { toolsListChanged: true }),
      await listen(scope, url, 'b', { resourcesListChanged: true }),
    ];
    for (const stream of streams) await stream.until('acknowledged');
    assert.equal(await gateway.stop(), 0);
    const ids = streams.map((stream) => {
      const last: Message = stream.messages().at(-1);
      assert.equal(last.result.resultType, 'complete');
      assert.equal(last.result._meta[SUBSCRIPTION_ID], last.id);
      assert.ok(stream.ended);
      return last.id;
    });
    assert.deepEqual(ids, [0, 'b']);
  });

  it('asks the policy about each resource, and does not say why one is missing', async (scope) => {
    const tokens = [
      { token: 'a-token-that-may-read-everything', subject: 'reader', scopes: ['read'] },
      { token: 'a-token-without-that-permission', subject: 'guest', scopes: [] },
    ];
    const { url, journal, touch } = await watched(
      scope,
      'legacy',
      'stdio',
      {
        auth: { type: 'bearer', tokens },
        routes: [{ match: { resources: ['test://secret'] }, requiredScopes: ['read'], whenDenied: 'challenge' }],
      },
      bearer(tokens[0]!.token),
    );
    const uris = ['test://a', 'test://secret'];
    const [reader, guest] = await Promise.all(
      tokens.map(({ token }) => listen(scope, url, 'mine', { resourceSubscriptions: uris }, bearer(token))),
    );
    await Promise.all([reader!.until('acknowledged'), guest!.until('acknowledged')]);
    assert.deepEqual(reader!.messages()[0].params.notifications, { resourceSubscriptions: uris });
    assert.deepEqual(guest!.messages()[0].params.notifications, { resourceSubscriptions: ['test://a'] });
    assert.deepEqual(journal('test://secret'), ['subscribe']);
    await touch('test://secret');
    await reader!.until('resources/updated');
    await touch('test://a');
    await guest!.until('resources/updated');
    assert.deepEqual(updates(guest!), ['test://a']);
  });

  it('goes on at the server that a reload puts in the place of its own', async (scope) => {
    const { gateway, url, journal, touch } = await watched(scope, 'legacy', 'stdio');
    const stream = await listen(scope, url, 'mine', { resourceSubscriptions: ['test://a'] });
    const session = await openSession(url);
    const standalone = await openAnswer(scope, url, { headers: session.headers });
    await session.request('resources/subscribe', { uri: 'test://a' });
    await stream.until('acknowledged');
    const config = JSON.parse(await readFile(gateway.configFile, 'utf8'));
    config.mcpServers.up.env.ANOTHER = 'environment';
    await writeFile(gateway.configFile, JSON.stringify(config));
    gateway.process.child.kill('SIGHUP');
    await eventually(
      'a subscription at the new server',
      () => journal('test://a').filter((what) => what === 'subscribe').length === 2,
    );
    await touch('test://a');
    await stream.until('resources/updated');
    await standalone.until('resources/updated');
    assert.deepEqual([updates(stream), updates(standalone)], [['test://a'], ['test://a']]);
  });

  it('leaves nothing behind, however many come and go', async (scope) => {
    const { gateway, url, journal } = await watched(scope, 'legacy', 'stdio');
    const message = modernMessage('subscriptions/listen', {
      notifications: { toolsListChanged: true, resourceSubscriptions: ['test://a'] },
    });
    const round = async (): Promise<void> => {
      const stream = await openAnswer(scope, url, { message, headers: modernHeaders(message) });
      await stream.until('acknowledged');
      stream.cut();
    };
    for (let count = 0; count < 50; count += 1) await Promise.all(Array.from({ length: 20 }, round));
    await eventually('no stream is left', async () => (await streamsOf(gateway)) === 0);
    await eventually('no subscription is left', () => journal('test://a').at(-1) === 'unsubscribe');
    const made = journal('test://a').filter((what) => what === 'subscribe').length;
    assert.equal(journal('test://a').length, 2 * made);
  });
});
