/** Every request is owed an answer, and an answer says nothing that was not meant for its client. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { openAnswer } from '../support/event-stream.js';
import { startGateway } from '../support/gateway.js';
import { eventually, type TestScope } from '../support/process.js';
import { rawUpstream } from '../support/raw-upstream.js';
import { type Message, modernRpc, openSession } from '../support/rpc.js';

const CALL = { name: 'raw__call', arguments: {} };

/** A gateway before an upstream that answers calls with what `answerWith` was last given. */
async function scripted(scope: TestScope, family: 'legacy' | 'modern') {
  let error: object = { code: -32603, message: 'unset' };
  const upstream = await rawUpstream(
    scope,
    (request, answer) => answer.json(JSON.stringify({ jsonrpc: '2.0', id: request.message.id, error })),
    { family },
  );
  // Two servers: what names neither goes to none.
  const mcpServers = { raw: { url: upstream.url }, other: { url: upstream.url } };
  const gateway = await startGateway(scope, { mcpServers });
  await eventually('the upstream is listed', async () => {
    const { message } = await modernRpc(gateway.url, 'tools/list');
    return message.result.tools.length > 0;
  });
  return {
    url: gateway.url,
    answerWith: (next: object) => {
      error = next;
    },
  };
}

const outcome = ({ error }: Message): unknown[] => [error.code, error.data?.code];

describe('a request', () => {
  it('is answered, whatever method it names', async (scope) => {
    const { url } = await scripted(scope, 'legacy');
    const session = await openSession(url);
    for (const [method, code, name] of [
      ['resources/subscribe', -32602, 'GW_UNKNOWN_RESOURCE'],
      ['resources/unsubscribe', -32602, 'GW_UNKNOWN_RESOURCE'],
      ['notifications/initialized', -32601, 'GW_METHOD_NOT_FOUND'],
      ['no/such', -32601, 'GW_METHOD_NOT_FOUND'],
    ] as const) {
      const reply = await session.request(method, { uri: 'test://readme' }, { id: 'mine' });
      assert.equal(reply.status, 200, method);
      assert.equal(reply.message?.id, 'mine', method);
      assert.deepEqual(outcome(reply.message), [code, name], method);
    }
    for (const method of ['resources/subscribe', 'notifications/cancelled', 'notifications/progress', 'no/such']) {
      const reply = await modernRpc(url, method, { uri: 'test://readme' }, { id: 'mine' });
      assert.equal(reply.status, 404, method);
      assert.equal(reply.message?.id, 'mine', method);
      assert.deepEqual(outcome(reply.message), [-32601, 'GW_METHOD_NOT_FOUND_MODERN'], method);
    }
  });

  it('for an unknown resource gets its URI back, in the spelling that was asked for', async (scope) => {
    const { url } = await scripted(scope, 'modern');
    const session = await openSession(url);
    for (const uri of [
      'test://nothing',
      'TEST://Nothing/%7e',
      'test://größe/"x"\u2028y',
      'test://gr%c3%b6%C3%9fe/%22x%22',
      `test://${'a'.repeat(2000)}`,
    ]) {
      for (const reply of [
        await modernRpc(url, 'resources/read', { uri }),
        await session.request('resources/read', { uri }),
      ]) {
        assert.equal(reply.status, 200);
        assert.deepEqual(outcome(reply.message), [-32602, 'GW_UNKNOWN_RESOURCE']);
        assert.equal(reply.message.error.data.uri, uri);
      }
    }
    const long = await session.request('resources/read', { uri: `test://${'a'.repeat(3000)}` });
    assert.deepEqual(outcome(long.message), [-32602, 'GW_UNKNOWN_RESOURCE']);
    assert.equal(long.message.error.data.uri, undefined, 'nobody wants to read all of it again');
  });
});

describe('a standalone stream', () => {
  for (const frontEnd of ['uws', 'node'] as const) {
    it(`is there before anything happens, also beside another one, ${frontEnd} front end`, async (scope) => {
      const gateway = await startGateway(scope, { mcpServers: {} }, { frontEnd });
      const session = await openSession(gateway.url);
      const first = await openAnswer(scope, gateway.url, { headers: session.headers });
      const second = await openAnswer(scope, gateway.url, { headers: session.headers });
      for (const { status, headers } of [first, second]) {
        assert.equal(status, 200);
        assert.match(String(headers['content-type']), /^text\/event-stream/);
      }
      assert.equal(first.ended, false, 'a second stream does not end one that still takes bytes');
      first.cut();
      second.cut();
      assert.equal((await openAnswer(scope, gateway.url, { headers: session.headers })).status, 200);
    });
  }
});

describe('an error of an upstream', () => {
  it('about what the gateway sent stays between the two', async (scope) => {
    for (const family of ['modern', 'legacy'] as const) {
      const { url, answerWith } = await scripted(scope, family);
      const session = await openSession(url);
      for (const code of [-32020, -32022]) {
        answerWith({ code, message: 'secret-detail', data: { supported: ['2099-01-01'], requested: 'x' } });
        for (const reply of [await modernRpc(url, 'tools/call', CALL), await session.request('tools/call', CALL)]) {
          assert.equal(reply.status, 200);
          assert.deepEqual(outcome(reply.message), [-32603, 'GW_UPSTREAM_PROTOCOL']);
          assert.ok(!reply.text.includes('secret-detail') && !reply.text.includes('2099'), reply.text);
        }
      }
    }
  });

  it('about a capability is for the client that declares them with each request', async (scope) => {
    const { url, answerWith } = await scripted(scope, 'modern');
    const requiredCapabilities = { sampling: {} };
    answerWith({ code: -32021, message: 'needs sampling', data: { requiredCapabilities } });
    const modern = await modernRpc(url, 'tools/call', CALL);
    assert.equal(modern.status, 400);
    assert.equal(modern.message.error.code, -32021);
    assert.deepEqual(modern.message.error.data, { requiredCapabilities });
    const legacy = await (await openSession(url)).request('tools/call', CALL);
    assert.equal(legacy.status, 200);
    assert.equal(legacy.message.result.isError, true, 'its revision has no such code: the result of the tool says it');
  });

  it('that asks to open a URL is for clients of its revision', async (scope) => {
    const { url, answerWith } = await scripted(scope, 'legacy');
    const data = { elicitations: [{ mode: 'url', elicitationId: '1', url: 'https://example.com/', message: 'm' }] };
    answerWith({ code: -32042, message: 'open it', data });
    const legacy = await (await openSession(url)).request('tools/call', CALL);
    assert.deepEqual(legacy.message.error, { code: -32042, message: 'open it', data });
    const unable = await modernRpc(url, 'tools/call', CALL);
    assert.equal(unable.status, 400);
    assert.deepEqual(
      [unable.message.error.code, unable.message.error.data.requiredCapabilities],
      [-32021, { elicitation: { url: {} } }],
    );
    const modern = await modernRpc(url, 'tools/call', CALL, { clientCapabilities: { elicitation: { url: {} } } });
    assert.equal(modern.status, 200);
    assert.equal(modern.message.result.resultType, 'input_required');
  });
});
