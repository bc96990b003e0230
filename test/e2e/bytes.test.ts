/** What a client sends arrives untouched but for the bytes that must change, and so does the answer. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { startGateway } from '../support/gateway.js';
import { eventually } from '../support/process.js';
import { rawUpstream } from '../support/raw-upstream.js';
import { MODERN_VERSION, openSession, rpc } from '../support/rpc.js';

/** Spellings that a parse and a re-serialisation would change. */
const ODD =
  '{ "b" : 1.0 , "a":9007199254740993,"big":1E400,"small":0.1e-7,"esc":"\\u00e9\\/\\ud800","__proto__":{"x":1},"dup":1,"dup":2,"n":-0 ,"deep":[[[{}]]],"é":"✓"}';

const IDS = ['1', '"1"', '9007199254740993', '-0', '1.0', '1e2', `${'1'.repeat(40)}`, '"\\u0031"', '"å"'];

describe('byte-exactness', () => {
  for (const family of ['legacy', 'modern'] as const) {
    it(`relays params and results of a ${family} upstream to its own family byte for byte`, async (scope) => {
      const upstream = await rawUpstream(
        scope,
        (request, answer) => {
          const id = /"id": ?(\d+)/.exec(request.body.toString())?.[1];
          const type = family === 'modern' ? '"resultType":"complete",' : '';
          answer.json(`{"result":{${type} "content":[],"odd":${ODD}, "x-unknown" : null },"jsonrpc":"2.0","id":${id}}`);
        },
        { family },
      );
      const gateway = await startGateway(scope, { mcpServers: { raw: { url: upstream.url } } });
      const session = family === 'legacy' ? await openSession(gateway.url) : null;
      const headers =
        session?.headers ??
        ({ 'mcp-protocol-version': MODERN_VERSION, 'mcp-method': 'tools/call', 'mcp-name': 'raw__call' } as const);
      const meta =
        family === 'modern'
          ? `,"_meta":{"io.modelcontextprotocol/protocolVersion":"${MODERN_VERSION}", "io.modelcontextprotocol/clientCapabilities":{},"vendor.example/x":1.50}`
          : ',"_meta":{ "vendor.example/x" : 1.50 }';
      const params = (name: string): string => `{ "name":"${name}" ,"arguments":${ODD}${meta}, "later" : [1.0] }`;
      const message = (id: string, name: string): string =>
        `{"method":"tools/call", "id": ${id},"params":${params(name)},"jsonrpc":"2.0"}`;
      await eventually('the upstream is known', async () => {
        const reply = await rpc(gateway.url, message('1', 'raw__call'), headers);
        return reply.message?.result !== undefined;
      });
      for (const id of IDS) {
        const reply = await rpc(gateway.url, message(id, 'raw__call'), headers);
        const received = upstream.received('tools/call').at(-1)!;
        const inner = /"id": (\d+),/.exec(received.body.toString())?.[1];
        assert.ok(inner !== undefined, 'the upstream sees an id of the gateway');
        assert.equal(received.body.toString(), message(inner, 'call'));
        const type = family === 'modern' ? '"resultType":"complete",' : '';
        assert.equal(
          reply.text,
          `{"result":{${type} "content":[],"odd":${ODD}, "x-unknown" : null },"jsonrpc":"2.0","id":${id}}`,
        );
      }
    });
  }

  it('changes only the envelope between the families', async (scope) => {
    const answerWith = (result: string) => (request: { body: Buffer }, answer: { json(body: string): void }) => {
      const id = /"id":(\d+)/.exec(request.body.toString())?.[1];
      answer.json(`{"jsonrpc":"2.0","id":${id},"result":${result}}`);
    };
    const legacy = await rawUpstream(scope, answerWith(`{"content":[],"odd":${ODD}}`), { family: 'legacy' });
    const modern = await rawUpstream(
      scope,
      answerWith(
        `{"resultType":"complete","content":[],"structuredContent":[1.0],"odd":${ODD},"ttlMs":5,"cacheScope":"public"}`,
      ),
      { family: 'modern' },
    );
    const gateway = await startGateway(scope, {
      mcpServers: { old: { url: legacy.url }, young: { url: modern.url } },
    });
    const session = await openSession(gateway.url);
    await eventually('both upstreams are known', async () => {
      const { message } = await session.request('tools/list');
      return message.result.tools.length === 4;
    });

    const modernMessage = `{"jsonrpc":"2.0","id":"m","method":"tools/call","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"${MODERN_VERSION}","a":1,"io.modelcontextprotocol/clientCapabilities":{},"io.modelcontextprotocol/clientInfo":{"name":"n","version":"1"}},"name":"old__call","arguments":${ODD}}}`;
    const toLegacy = await rpc(gateway.url, modernMessage, {
      'mcp-protocol-version': MODERN_VERSION,
      'mcp-method': 'tools/call',
      'mcp-name': 'old__call',
    });
    const sent = legacy.received('tools/call').at(-1)!.body.toString();
    assert.equal(
      sent.replace(/"id":\d+/, '"id":0'),
      `{"jsonrpc":"2.0","id":0,"method":"tools/call","params":{"_meta":{"a":1},"name":"call","arguments":${ODD}}}`,
    );
    assert.equal(toLegacy.message.result.resultType, 'complete');
    assert.ok(toLegacy.text.includes(`"odd":${ODD}`), toLegacy.text);
    assert.ok(toLegacy.message.result._meta['io.modelcontextprotocol/serverInfo'].name);

    const legacyMessage = `{"jsonrpc":"2.0","id":"l","method":"tools/call","params":{"name":"young__call","arguments":${ODD}}}`;
    const toModern = await rpc(gateway.url, legacyMessage, session.headers);
    const received = modern.received('tools/call').at(-1)!;
    assert.ok(received.body.toString().endsWith(`"name":"call","arguments":${ODD}}}`), received.body.toString());
    assert.equal(received.message.params._meta['io.modelcontextprotocol/protocolVersion'], MODERN_VERSION);
    assert.equal(received.headers['mcp-name'], 'call');
    assert.equal(received.headers['mcp-method'], 'tools/call');
    assert.equal(received.headers['mcp-protocol-version'], MODERN_VERSION);
    assert.equal(
      toModern.text,
      `{"jsonrpc":"2.0","id":"l","result":{"content":[],"structuredContent":{"result":[1.0]},"odd":${ODD}}}`,
    );
  });

  it('never passes credentials or session ids of the client on', async (scope) => {
    const upstream = await rawUpstream(scope, (_request, answer) => answer.result({ content: [] }));
    const gateway = await startGateway(scope, {
      mcpServers: { raw: { url: upstream.url, auth: { type: 'bearer', token: 'upstream-token' } } },
    });
    const session = await openSession(gateway.url, { headers: { authorization: 'Bearer client-secret' } });
    const headers = { ...session.headers, cookie: 'a=client-secret', 'x-forwarded-for': 'client-secret' };
    await eventually('the call is answered', async () => {
      const call = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'raw__call', arguments: {} } };
      return (await rpc(gateway.url, call, headers)).message?.result !== undefined;
    });
    for (const request of upstream.requests) {
      assert.ok(!JSON.stringify(request.headers).includes('client-secret'));
      assert.equal(request.headers.authorization, 'Bearer upstream-token');
      assert.notEqual(request.headers['mcp-session-id'], session.id);
    }
    assert.ok(!gateway.output.includes('client-secret') && !gateway.output.includes('upstream-token'));
  });
});
