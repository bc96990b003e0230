/** Streams stay open while nothing happens, and sessions go on where they were. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { openAnswer } from '../support/event-stream.js';
import { startGateway } from '../support/gateway.js';
import { eventually, type TestScope } from '../support/process.js';
import { rawUpstream } from '../support/raw-upstream.js';
import { modernHeaders, modernMessage, modernRpc, openSession, rpc } from '../support/rpc.js';
import { connectV2 } from '../support/sdk-clients.js';

/** A gateway before an upstream that answers `call` when it is told to, and everything else at once. */
async function slow(scope: TestScope, config: object = {}, frontEnd: 'uws' | 'node' = 'uws') {
  const waiting: (() => void)[] = [];
  const upstream = await rawUpstream(scope, ({ message }, answer) => {
    const done = (): void => answer.result({ content: [{ type: 'text', text: message.params.name }] });
    if (message.params.name === 'call') waiting.push(done);
    else done();
  });
  const gateway = await startGateway(scope, { mcpServers: { raw: { url: upstream.url } }, ...config }, { frontEnd });
  await eventually('the upstream is listed', async () => {
    const { message } = await modernRpc(gateway.url, 'tools/list');
    return message.result.tools.length > 0;
  });
  return { url: gateway.url, gateway, waiting };
}

const CALL = { name: 'raw__call', arguments: {} };
const READ = { name: 'raw__read', arguments: {} };

async function stats(adminUrl: string): Promise<{ requests: { inFlight: number }; streams: number; sessions: number }> {
  return (await (await fetch(`${adminUrl}/stats`)).json()) as Awaited<ReturnType<typeof stats>>;
}

for (const frontEnd of ['uws', 'node'] as const) {
  describe(`keep-alive, ${frontEnd} front end`, () => {
    it('opens the stream of a call that takes long, and comments on it until it is answered', async (scope) => {
      const { url, waiting } = await slow(scope, { limits: { keepAliveMs: 60 } }, frontEnd);
      const session = await openSession(url);
      const older = await openSession(url, { version: '2025-03-26' });
      const message = modernMessage('tools/call', CALL, { id: 'modern' });
      const call = (id: string) => ({ jsonrpc: '2.0', id, method: 'tools/call', params: CALL });
      const requests = [
        { message: call('newest'), headers: session.headers },
        { message: call('older'), headers: older.headers },
        { message, headers: modernHeaders(message) },
      ];
      const answers = await Promise.all(requests.map((request) => openAnswer(scope, url, request)));
      for (const answer of answers) {
        assert.equal(answer.status, 200);
        assert.equal(answer.headers['content-type'], 'text/event-stream');
        await eventually('three comments', () => answer.text.split(': keep-alive\n\n').length > 3);
      }
      for (const done of waiting) done();
      for (const answer of answers) {
        await answer.end();
        assert.equal(answer.messages().at(-1).result.content[0].text, 'call');
        assert.equal(answer.messages().length, 1);
      }
      const [first, second, third] = answers.map(({ text }) => text);
      assert.match(first!, /^id: .*\nretry: \d+\ndata: \n\n: keep-alive/);
      assert.match(second!, /^: keep-alive\n\n/);
      assert.match(second!, /\nid: .*-1\n\n$/);
      assert.doesNotMatch(third!, /^(id|retry):/m);
    });

    it('leaves quick answers alone and comments on standalone streams', async (scope) => {
      const { url, gateway } = await slow(scope, { limits: { keepAliveMs: 50 } }, frontEnd);
      const session = await openSession(url);
      const stream = await openAnswer(scope, url, { headers: session.headers });
      await eventually('three comments', () => stream.text.split(': keep-alive\n\n').length > 3);
      const reply = await session.request('tools/call', READ);
      assert.match(reply.headers.get('content-type') ?? '', /^application\/json/);
      assert.equal((await stats(gateway.adminUrl)).streams, 1);
      stream.cut();
      await eventually('no stream', async () => (await stats(gateway.adminUrl)).streams === 0);
    });
  });
}

describe('keep-alive', () => {
  it('can be turned off', async (scope) => {
    const { url, waiting } = await slow(scope, { limits: { keepAliveMs: 0 } });
    const session = await openSession(url);
    const pending = session.request('tools/call', CALL);
    await eventually('the call', () => waiting.length === 1);
    await new Promise((resolve) => setTimeout(resolve, 300));
    waiting[0]!();
    const reply = await pending;
    assert.match(reply.headers.get('content-type') ?? '', /^application\/json/);
  });

  it('of a call that fails in the end does not hide the error', async (scope) => {
    const config = { limits: { keepAliveMs: 50 }, mcpServers: {} };
    const upstream = await rawUpstream(scope, (request, answer) => {
      if (request.message?.method === 'tools/call') setTimeout(() => answer.reset(), 300);
    });
    const gateway = await startGateway(scope, { ...config, mcpServers: { raw: { url: upstream.url } } });
    await eventually('the upstream is listed', async () => {
      const { message } = await modernRpc(gateway.url, 'tools/list');
      return message.result.tools.length > 0;
    });
    const reply = await modernRpc(gateway.url, 'tools/call', CALL, { id: 'mine' });
    assert.equal(reply.status, 200);
    assert.match(reply.headers.get('content-type') ?? '', /^text\/event-stream/);
    assert.equal(reply.message.id, 'mine');
    assert.equal(reply.message.error.code, -32603);
  });
});

describe('streams that wait', () => {
  it('take no room from calls, and are bounded by themselves', async (scope) => {
    const { url, gateway } = await slow(scope, { limits: { maxInFlight: 4, maxStreams: 10 } });
    const client = await connectV2(scope, url);
    const listen = await client.listen({ toolsListChanged: true });
    const opened = [];
    for (let count = 0; count < 9; count += 1) {
      const session = await openSession(url);
      opened.push(await openAnswer(scope, url, { headers: session.headers }));
    }
    assert.ok(opened.every(({ status }) => status === 200));
    assert.equal((await stats(gateway.adminUrl)).streams, 10);
    assert.equal((await stats(gateway.adminUrl)).requests.inFlight, 0);
    const session = await openSession(url);
    const refused = await openAnswer(scope, url, { headers: session.headers });
    await refused.end();
    assert.equal(refused.status, 503);
    assert.equal(JSON.parse(refused.text).error.data.code, 'GW_OVERLOADED');
    await assert.rejects(client.listen({ toolsListChanged: true }), /limit/i);
    const { content } = await client.callTool(READ);
    assert.deepEqual(content, [{ type: 'text', text: 'read' }]);
    await listen.close();
    await eventually('one place is free', async () => (await stats(gateway.adminUrl)).streams === 9);
  });
});

describe('a session', () => {
  const secret = 'a secret of two gateways, long enough to be one';

  it('outlives the gateway and moves to another one with its secret, streams included', async (scope) => {
    const config = { sessions: { secret } };
    const first = await slow(scope, config);
    const session = await openSession(first.url);
    const before = await openAnswer(scope, first.url, { headers: session.headers });
    await eventually('the greeting', () => before.events().length === 1);
    const { id } = before.events()[0]!;
    const second = await slow(scope, config);
    await first.gateway.stop();
    await before.end();

    const reply = await rpc(second.url, { jsonrpc: '2.0', id: 1, method: 'tools/call', params: READ }, session.headers);
    assert.equal(reply.message.result.content[0].text, 'read');
    const after = await openAnswer(scope, second.url, { headers: { ...session.headers, 'last-event-id': id } });
    assert.equal(after.status, 200);
    await eventually('the greeting', () => after.events().length === 1);
  });

  it('is nobody else’s: another subject cannot even resume its streams', async (scope) => {
    const tokens = ['a-token-of-the-first-subject', 'a-token-of-the-second-subject'];
    const upstream = await rawUpstream(scope, () => {});
    const { url } = await startGateway(scope, {
      mcpServers: { raw: { url: upstream.url } },
      auth: { type: 'bearer', tokens: tokens.map((token, index) => ({ token, subject: `subject ${index}` })) },
    });
    const [mine, theirs] = tokens.map((token) => ({ authorization: `Bearer ${token}` }));
    const session = await openSession(url, { headers: mine! });
    const stream = await openAnswer(scope, url, { headers: session.headers });
    await eventually('the greeting', () => stream.events().length === 1);
    const { id } = stream.events()[0]!;
    for (const headers of [
      { ...session.headers, ...theirs },
      { ...session.headers, ...theirs, 'last-event-id': id },
    ]) {
      const answer = await openAnswer(scope, url, { headers });
      await answer.end();
      assert.equal(answer.status, 404);
    }
    assert.equal(stream.ended, false);
  });
});
