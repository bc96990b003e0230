/** The REST transport: requests to messages, responses to HTTP answers. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { RestCall } from '../../../../src/request/accept/http/rest-paths.js';
import { callMessage } from '../../../../src/request/accept/rest/messages.js';
import { toolOperation } from '../../../../src/request/accept/rest/openapi.js';
import { openApiFrame } from '../../../../src/request/accept/rest/openapi-frame.js';
import { snapshotOfObject } from '../../../config/support.js';
import { CLOSED, KINDS, openTestFront, type Respond, type TestFront, TRANSPORTS } from '../fixture.js';

const NAMED: RestCall = { verb: 'POST', method: 'tools/call', tool: 'a"b' };
const GENERAL: RestCall = { verb: 'POST', method: 'tools/call', tool: null };

const message = (rest: RestCall, body: string) => {
  const bytes = Buffer.from(body);
  const made = callMessage(rest, bytes, bytes.length);
  return typeof made === 'string' ? made : JSON.parse(String(made));
};

describe('a REST body', () => {
  it('becomes the arguments of the tool in the path, byte for byte', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (body) => {
        const text = ` ${JSON.stringify(body, null, 1)}\n`;
        const made = callMessage(NAMED, Buffer.from(text), Buffer.byteLength(text));
        if (typeof made === 'string') {
          assert.equal(made, 'GW_AMBIGUOUS', 'only for keys that look like those of the protocol');
          return;
        }
        assert.ok(made.includes(text.trim()));
        const { params } = JSON.parse(String(made));
        assert.deepEqual([params.name, params.arguments], ['a"b', JSON.parse(text)]);
      }),
    );
  });

  it('becomes the parameters where the path names nothing', () => {
    const { params, method } = message(GENERAL, '{ "name":"x", "arguments":{"n":1.0} }');
    assert.deepEqual([method, params.name, params.arguments], ['tools/call', 'x', { n: 1 }]);
    assert.deepEqual(Object.keys(message(GENERAL, ' { } ').params), ['_meta']);
    assert.deepEqual(message(NAMED, '').params.arguments, {});
  });

  it('is one object by itself, whatever it would look like inside a message', () => {
    assert.equal(message(NAMED, '{}},"method":"tools/list","x":{"y":{}'), 'GW_PARSE');
    assert.equal(message(GENERAL, '{"name":"x"},"more":{"a":{}'), 'GW_PARSE');
    assert.equal(message(GENERAL, '{"name":"x"},"more":{}'), 'GW_PARSE');
    assert.equal(message(GENERAL, '{"name":"x"},"params":{}'), 'GW_AMBIGUOUS');
    assert.equal(message(GENERAL, '{"name":"x"},"method":"y"'), 'GW_AMBIGUOUS');
    assert.equal(message(NAMED, '{"a":1} {"b":2}'), 'GW_PARSE');
    for (const body of ['[]', '1', '"x"', 'null']) assert.equal(message(NAMED, body), 'GW_INVALID_PARAMS', body);
    for (const body of ['{', '}', '{a:1}', '{"a":1,}', '\ufeff{}']) {
      assert.equal(message(NAMED, body), 'GW_PARSE', body);
    }
  });
});

describe('the OpenAPI document', () => {
  const documentWith = (auth?: object) => {
    const { before, after } = openApiFrame('test', snapshotOfObject({ mcpServers: {}, auth }).auth);
    const { components, security } = JSON.parse(before + after);
    return { security, schemes: components.securitySchemes };
  };

  it('names every way to authenticate that the configuration has, of which one is enough', () => {
    const issuer = 'https://login.example.com/';
    const { schemes, security } = documentWith([
      { type: 'proxyHeader', trustedProxies: '10.0.0.1' },
      { type: 'apiKey', keys: { ann: 'key-of-ann' } },
      { type: 'basic', users: { ann: 'password' } },
      { type: 'jwt', issuer, audience: 'a', secret: 's'.repeat(32) },
      { type: 'jwt', issuer: 'not an address', audience: 'a', secret: 's'.repeat(32) },
      { type: 'jwt', issuer: `${issuer}two`, audience: 'a', secret: 's'.repeat(32) },
      { type: 'oauth2', issuer, introspectionUrl: issuer, clientId: 'c', clientSecret: 's' },
      { type: 'bearer', tokens: { ann: 'token-of-ann' } },
      { type: 'apiKey', header: 'Key', keys: { bob: 'key-of-bob' } },
    ]);
    const discovery = (url: string) => ({
      type: 'openIdConnect',
      openIdConnectUrl: `${url}/.well-known/openid-configuration`,
    });
    assert.deepEqual(schemes, {
      apiKey: { type: 'apiKey', in: 'header', name: 'x-api-key' },
      basic: { type: 'http', scheme: 'basic' },
      bearer: { type: 'http', scheme: 'bearer' },
      apiKey2: { type: 'apiKey', in: 'header', name: 'key' },
      openIdConnect: discovery('https://login.example.com'),
      openIdConnect2: discovery('https://login.example.com/two'),
    });
    assert.deepEqual(
      security,
      Object.keys(schemes).map((name) => ({ [name]: [] })),
    );
  });

  it('names none where there is none that a client could use', () => {
    const nothing = { security: undefined, schemes: undefined };
    assert.deepEqual(documentWith(), nothing);
    assert.deepEqual(documentWith({ type: 'proxyHeader', trustedProxies: '10.0.0.1' }), nothing);
  });
});

describe('an operation of the OpenAPI document', () => {
  const operation = (tool: object) => {
    const text = JSON.stringify(tool);
    const made = toolOperation(Buffer.from(text), 0, Buffer.byteLength(text));
    return made === null ? null : JSON.parse(`{${made}}`);
  };

  it('has the schemas of the tool, with references of their own', () => {
    const made = operation({
      name: 'a/b',
      description: 'd',
      title: 't',
      inputSchema: { type: 'object', properties: { x: { $ref: '#/$defs/x' } }, $defs: { x: { type: 'string' } } },
      outputSchema: { type: 'object' },
    })['/tools/a%2Fb'].post;
    assert.deepEqual([made.operationId, made.summary, made.description], ['a/b', 't', 'd']);
    const input = made.requestBody.content['application/json'].schema;
    assert.equal(input.$id, 'urn:mcp:tool:a%2Fb:input');
    assert.equal(input.properties.x.$ref, '#/$defs/x');
    const output = made.responses['200'].content['application/json'].schema.allOf[1].properties.structuredContent;
    assert.deepEqual(output, { type: 'object' });
  });

  it('is not made for a tool whose path means something else', () => {
    assert.equal(operation({ name: 'call', inputSchema: {} }), null);
  });
});

const answering =
  (answer: object, status = 200, error: string | null = null): Respond =>
  (exchange, _body, test) => {
    const body = Buffer.from(` ${JSON.stringify({ result: undefined, jsonrpc: '2.0', id: 1, ...answer })}`);
    exchange.client.error = error as typeof exchange.client.error;
    exchange.client.reply!.send(status, ['content-type', 'application/json'], body, 0, body.length);
    test.table.release(exchange);
  };

const get = (test: TestFront, path: string, init: RequestInit = {}): Promise<Response> =>
  fetch(`http://127.0.0.1:${test.port}${path}`, init);
const JSON_TYPE = { 'content-type': 'application/json' };

for (const kind of KINDS) {
  describe(`REST on ${kind}`, () => {
    it('asks in the newest revision and gives the result without what only MCP needs', async (t) => {
      const result = { resultType: 'complete', tools: [{ name: 'x', _meta: { a: 1 } }], ttlMs: 5, _meta: { b: 2 } };
      const test = await openTestFront(kind, answering({ result }), CLOSED);
      t.after(() => test.close());
      const answer = await get(test, '/tools?cursor=a%22b', { headers: { authorization: 'Bearer t' } });
      assert.deepEqual([answer.status, await answer.json()], [200, { tools: [{ name: 'x', _meta: { a: 1 } }] }]);
      const [seen] = test.seen;
      const sent = JSON.parse(String(seen!.body));
      assert.deepEqual([sent.method, sent.params.cursor, seen!.token], ['tools/list', 'a"b', 't']);
      assert.equal(sent.params._meta['io.modelcontextprotocol/protocolVersion'], '2026-07-28');
      assert.equal(test.table.inUse, 0);
    });

    it('has a path for each method', async (t) => {
      const test = await openTestFront(kind, answering({ result: { isError: true, content: [] } }));
      t.after(() => test.close());
      const send = (path: string, body?: string) =>
        get(test, path, body === undefined ? {} : { method: 'POST', body, headers: JSON_TYPE });
      for (const path of ['/prompts', '/resources', '/resources/templates']) await send(path);
      await send('/tools/call', '{"name":"n"}');
      await send('/prompts/get', '{"name":"p"}');
      await send('/resources/read', '{"uri":"u:/"}');
      const failed = await send('/tools/some%20tool', '{"k":1}');
      assert.deepEqual([failed.status, await failed.json()], [200, { isError: true, content: [] }]);
      assert.deepEqual(
        test.seen.map(({ body }) => {
          const { method, params } = JSON.parse(String(body));
          return [method, params.name ?? params.uri, params.arguments];
        }),
        [
          ['prompts/list', undefined, undefined],
          ['resources/list', undefined, undefined],
          ['resources/templates/list', undefined, undefined],
          ['tools/call', 'n', undefined],
          ['prompts/get', 'p', undefined],
          ['resources/read', 'u:/', undefined],
          ['tools/call', 'some tool', { k: 1 }],
        ],
      );
    });

    it('gives each error the status that HTTP has for it', async (t) => {
      const rows: [object, string | null, number][] = [
        [{ code: -32602, message: 'Unknown tool.' }, 'GW_UNKNOWN_TOOL', 404],
        [{ code: -32603, message: 'late' }, 'GW_UPSTREAM_TIMEOUT', 504],
        [{ code: -32602, message: 'of the upstream' }, 'GW_UPSTREAM_ERROR', 400],
        [{ code: -32601, message: 'of the upstream' }, 'GW_UPSTREAM_ERROR', 404],
        [{ code: 17, message: 'of the upstream' }, 'GW_UPSTREAM_ERROR', 502],
      ];
      for (const [error, code, status] of rows) {
        const test = await openTestFront(kind, answering({ error }, 200, code));
        t.after(() => test.close());
        const answer = await get(test, '/tools/x', { method: 'POST', body: '{}', headers: JSON_TYPE });
        assert.deepEqual([answer.status, await answer.json()], [status, { error }]);
      }
      const asks = await openTestFront(kind, answering({ result: { resultType: 'input_required' } }));
      t.after(() => asks.close());
      assert.equal((await get(asks, '/tools/x', { method: 'POST', body: '{}', headers: JSON_TYPE })).status, 502);
    });

    it('refuses what is no request for it', async (t) => {
      const test = await openTestFront(kind, answering({ result: {} }));
      t.after(() => test.close());
      const status = async (path: string, init: RequestInit): Promise<number> => (await get(test, path, init)).status;
      assert.equal(await status('/tools', { headers: { accept: 'text/html' } }), 406);
      assert.equal(await status('/tools', { method: 'POST', body: '{}', headers: JSON_TYPE }), 405);
      assert.equal(await status('/tools/x', {}), 405);
      assert.equal(await status('/tools/x', { method: 'PUT', body: '{}', headers: JSON_TYPE }), 405);
      const origin = 'http://localhost:3000';
      const asked = { origin, 'access-control-request-method': 'POST' };
      const preflight = await get(test, '/tools/x', { method: 'OPTIONS', headers: asked });
      assert.deepEqual([preflight.status, preflight.headers.get('access-control-allow-origin')], [204, origin]);
      assert.equal(
        await status('/tools/x', { method: 'POST', body: '{}', headers: { 'content-type': 'text/xml' } }),
        415,
      );
      assert.equal(await status('/tools/x', { method: 'POST', body: '{', headers: JSON_TYPE }), 400);
      assert.equal(await status('/tools/%ff', { method: 'POST', body: '{}', headers: JSON_TYPE }), 404);
      assert.equal(await status('/tool', {}), 404);
      assert.equal(await status('/tools', { headers: { origin: 'https://evil.example' } }), 403);
      assert.equal(test.seen.length, 0);
      assert.equal(test.table.inUse, 0);
      const shut = await openTestFront(kind, answering({}), { transports: { ...TRANSPORTS, rest: false } });
      t.after(() => shut.close());
      assert.equal((await get(shut, '/tools')).status, 404);
      assert.equal((await get(shut, '/openapi.json')).status, 404);
    });

    it('describes itself, once for each list', async (t) => {
      const pages = [
        { tools: [{ name: 'one', inputSchema: { type: 'object' } }], nextCursor: 'c' },
        { tools: [{ name: 'two', inputSchema: { type: 'object' } }] },
      ];
      const test = await openTestFront(kind, (exchange, body, front) => {
        const { cursor } = JSON.parse(String(body)).params;
        answering({ result: pages[cursor === undefined ? 0 : 1] })(exchange, body, front);
      });
      t.after(() => test.close());
      const answer = await get(test, '/openapi.json');
      assert.equal(answer.status, 200);
      const { openapi, paths, components } = (await answer.json()) as Record<string, Record<string, object>>;
      assert.equal(String(openapi), '3.1.0');
      for (const path of ['/tools', '/tools/call', '/tools/one', '/tools/two']) assert.ok(paths![path], path);
      assert.ok(components!['responses']);
      const etag = answer.headers.get('etag')!;
      const again = await get(test, '/openapi.json', { headers: { 'if-none-match': etag } });
      assert.deepEqual([again.status, await again.text()], [304, '']);
      pages[1]!.tools[0]!.name = 'three';
      const changed = await get(test, '/openapi.json', { headers: { 'if-none-match': etag } });
      assert.equal(changed.status, 200);
      assert.notEqual(changed.headers.get('etag'), etag);
      assert.match(await changed.text(), /three/);
      assert.equal(test.table.inUse, 0);
      const closed = await openTestFront(
        kind,
        answering({ error: { code: -32001, message: 'm' } }, 401, 'GW_UNAUTHENTICATED'),
      );
      t.after(() => closed.close());
      assert.equal((await get(closed, '/openapi.json')).status, 401);
    });
  });
}
