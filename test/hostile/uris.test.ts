/**
 * Resources that a rule protects, asked for under other spellings: through every transport and method that names a URI, on both
 * front ends and with both decoders. The upstream reads URIs as servers on the SDKs do, and decodes paths besides.
 */
import assert from 'node:assert/strict';
import { posix } from 'node:path';
import { describe, it } from 'node:test';
import { type RunningGateway, startGateway } from '../support/gateway.js';
import { eventually, type TestScope } from '../support/process.js';
import { type Answer, type ReceivedRequest, rawUpstream } from '../support/raw-upstream.js';
import { modernRpc, openSession, rpc } from '../support/rpc.js';
import { shared } from '../support/shared.js';
import { initialize, openWebSocket } from '../support/transports.js';

const SECRET = 'the secret itself';

/** Spellings of secret://plan and file:///secret/x, and what an honest client with the scope gets for them. */
const DETOURS: readonly (readonly [uri: string, sent: string | null])[] = [
  ['secret://plan', 'secret://plan'],
  ['SECRET://plan', 'secret://plan'],
  ['sEcReT://%70lan', 'secret://plan'],
  [' secret://plan', null],
  ['secret://plan ', null],
  ['sec\tret://plan', null],
  ['sec\nret://plan', null],
  ['\u0000secret://plan', null],
  ['secret://user@plan', null],
  ['secret://PLAN', 'secret://plan'],
  ['secret:plan', 'secret:plan'],
  ['secret:/plan', 'secret:/plan'],
  ['secret:\\\\plan', null],
  ['file:///secret/x', 'file:///secret/x'],
  ['FILE:///secret/x', 'file:///secret/x'],
  ['file:///secret/%78', 'file:///secret/x'],
  ['file://localhost/secret/x', 'file:///secret/x'],
  ['file://LocalHost/secret/x', 'file:///secret/x'],
  ['file:/secret/x', null],
  ['file:secret/x', null],
  ['file:///a/../secret/x', null],
  ['file:///./secret/x', null],
  ['file:///%2e/secret/x', null],
  ['file:///a/%2e%2E/secret/x', null],
  ['file:///a%2F..%2Fsecret/x', null],
  ['file:///a/..;v=1/secret/x', null],
  ['file:////secret/x', null],
  ['file:///secret%2Fx', 'file:///secret%2Fx'],
  ['file:\\\\\\secret\\x', null],
  ['file:///\\secret/x', null],
  ['file:///secret\\x', null],
  ['file:///\tsecret/x', null],
  ['file:///sec\r\nret/x', null],
  ['file:///secret/x\u00a0', null],
  ['file:///%C0%AFsecret/x', null],
];

function isSecret(uri: string): boolean {
  if (!URL.canParse(uri)) return /secret/i.test(uri);
  const { protocol, host, pathname } = new URL(uri);
  let path = pathname;
  try {
    path = decodeURIComponent(pathname);
  } catch {
    // Read as it is.
  }
  if (protocol === 'secret:') return /plan/i.test(host + path);
  return posix.normalize(path.replaceAll('\\', '/')).startsWith('/secret/');
}

function script(request: ReceivedRequest, answer: Answer): void {
  const { method, params } = request.message;
  if (method === 'resources/list') {
    const resources = ['secret://plan', 'file:///secret/x', 'file:///public/x', 'reader@db', 'DB://Reader@host/table'];
    answer.result({ resources: resources.map((uri) => ({ uri, name: uri })) });
  } else if (method === 'resources/templates/list') {
    answer.result({ resourceTemplates: [{ uriTemplate: 'Greeting://{name}', name: 'greeting' }] });
  } else if (method === 'resources/read') {
    answer.result({ contents: [{ uri: params.uri, text: isSecret(params.uri) ? SECRET : 'public' }] });
  } else if (method === 'completion/complete') {
    answer.result({ completion: { values: [isSecret(params.ref.uri) ? SECRET : 'public'] } });
  } else {
    answer.result({});
  }
}

const config = (url: string) => ({
  auth: {
    type: 'bearer',
    tokens: [
      { token: 'token-of-low', subject: 'low', scopes: [] },
      { token: 'token-of-high', subject: 'high', scopes: ['secret'] },
    ],
  },
  mcpServers: { store: { url } },
  routes: [
    {
      match: { resources: ['Secret://**', 'secret:plan', 'file:///secret/**', 'greeting://ADMIN'] },
      requiredScopes: ['secret'],
      whenDenied: 'challenge',
    },
  ],
});

const setUp = shared(async (scope, frontEnd: 'uws' | 'node', decoder: string) => {
  const capabilities = { resources: { subscribe: true }, completions: {} };
  const upstream = await rawUpstream(scope, script, { capabilities });
  const gateway = await startGateway(scope, config(upstream.url), {
    frontEnd,
    env: { SWITCHYARD_DECODER: decoder },
  });
  const high = await openSession(gateway.url, { headers: bearer('high') });
  await eventually('the resources are listed', async () => {
    const { message } = await high.request('resources/list');
    return message.result.resources.length > 0;
  });
  return { gateway, upstream, high };
});

const bearer = (who: string) => ({ authorization: `Bearer token-of-${who}` });

/** Everything by which a client can name a URI; each gives the whole answer as text. */
async function ways(
  scope: TestScope,
  gateway: RunningGateway,
): Promise<Record<string, (uri: string) => Promise<string>>> {
  const session = await openSession(gateway.url, { headers: bearer('low') });
  const socket = await openWebSocket(scope, gateway.origin, bearer('low'));
  await initialize(socket);
  const legacy = (method: string) => async (uri: string) => (await session.request(method, { uri })).text;
  const signal = AbortSignal.timeout(60_000);
  return {
    read: legacy('resources/read'),
    subscribe: legacy('resources/subscribe'),
    unsubscribe: legacy('resources/unsubscribe'),
    complete: async (uri) => {
      const params = { ref: { type: 'ref/resource', uri }, argument: { name: 'a', value: '' } };
      return (await session.request('completion/complete', params)).text;
    },
    'modern read': async (uri) =>
      (await modernRpc(gateway.url, 'resources/read', { uri }, { headers: bearer('low') })).text,
    listen: async (uri) => {
      const params = { notifications: { resourceSubscriptions: [uri] } };
      return (await modernRpc(gateway.url, 'subscriptions/listen', params, { headers: bearer('low'), signal })).text;
    },
    websocket: async (uri) => JSON.stringify(await socket.request('resources/read', { uri })),
    rest: async (uri) => (await rpc(`${gateway.origin}/resources/read`, { uri }, bearer('low'))).text,
    // Escapes of JSON hide characters from whoever compares bytes.
    escaped: async (uri) => {
      const escapes = [...uri].map((c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`).join('');
      const body = `{"jsonrpc":"2.0","id":7,"method":"resources/read","params":{"uri":"${escapes}"}}`;
      return (await rpc(gateway.url, body, session.headers)).text;
    },
  };
}

for (const kind of [
  ['uws', 'native'],
  ['node', 'typescript'],
] as const) {
  describe(`a protected resource under other spellings (${kind.join(', ')})`, () => {
    it('is not reached without the scope, whatever names it', async (scope) => {
      const { gateway, upstream } = await setUp(kind[0], kind[1]);
      const before = upstream.requests.length;
      for (const [name, ask] of Object.entries(await ways(scope, gateway))) {
        for (const [uri] of DETOURS) {
          const answer = await ask(uri);
          assert.ok(!answer.includes(SECRET), `${name} ${JSON.stringify(uri)}: ${answer}`);
          const refused = /GW_(INSUFFICIENT_SCOPE|INVALID_URI|HEADER_MISMATCH)/.test(answer);
          // A listen says by its acknowledgement that it does not follow what the client may not read.
          const acknowledged = name === 'listen' && !answer.includes('resourceSubscriptions');
          assert.ok(refused || acknowledged, `${name} ${JSON.stringify(uri)}: ${answer}`);
        }
      }
      const named = upstream.requests
        .slice(before)
        .filter(({ message }) => /^(resources\/(read|sub|unsub)|compl)/.test(message?.method));
      assert.deepEqual(named, [], 'nothing of it came to the upstream');
    });

    it('is reached with the scope, in its normal form, or refused with a reason', async () => {
      const { upstream, high } = await setUp(kind[0], kind[1]);
      for (const [uri, sent] of DETOURS) {
        const before = upstream.received('resources/read').length;
        const { status, message } = await high.request('resources/read', { uri });
        const received = upstream.received('resources/read').slice(before);
        if (sent === null) {
          assert.equal(status, 400, JSON.stringify(uri));
          assert.equal(message.error.code, -32602);
          assert.equal(message.error.data.code, 'GW_INVALID_URI');
          assert.match(message.error.data.reason, /\w/);
          assert.deepEqual(received, []);
        } else {
          assert.equal(message.result?.contents[0].text, SECRET, JSON.stringify(message));
          assert.deepEqual(
            received.map(({ message: { params } }) => params.uri),
            [sent],
          );
        }
      }
    });

    it('other resources keep their spelling where servers may tell it apart', async () => {
      const { gateway, upstream } = await setUp(kind[0], kind[1]);
      const low = await openSession(gateway.url, { headers: bearer('low') });
      for (const [uri, sent] of [
        // What an upstream lists is its own business, also where nobody else could read it alike.
        ['DB://Reader@host/table', 'DB://Reader@host/table'],
        ['reader@db', 'reader@db'],
        ['other@db', null],
        ['db://other@host/table', null],
        ['greeting://World', 'greeting://World'],
        ['Greeting://World', 'Greeting://World'],
        ['greeting://John%20doe', 'greeting://John%20doe'],
        ['greeting://John doe', null],
        ['file:///public/ü', 'file:///public/ü'],
        ['file:///public/%c3%bc', 'file:///public/%c3%bc'],
        ['FILE:///public/%78', 'file:///public/x'],
        ['db://Reader@host/table', null],
        ['file:///public/a%2Fb', 'file:///public/a%2Fb'],
      ] as const) {
        const { message } = await low.request('resources/read', { uri });
        if (sent === null) assert.equal(message.error?.data.code, 'GW_INVALID_URI', uri);
        else
          assert.equal(upstream.received('resources/read').at(-1)?.message.params.uri, sent, JSON.stringify(message));
      }
      // The case of a host is no way around a rule either, although it is passed on.
      for (const uri of ['greeting://admin', 'greeting://Admin', 'GREETING://ADMIN']) {
        const { message } = await low.request('resources/read', { uri });
        assert.equal(message.error?.data.code, 'GW_INSUFFICIENT_SCOPE', uri);
      }
      const completion = {
        ref: { type: 'ref/resource', uri: 'Greeting://{name}' },
        argument: { name: 'a', value: '' },
      };
      const { message } = await low.request('completion/complete', completion);
      assert.deepEqual(message.result?.completion.values, ['public']);
      assert.equal(upstream.received('completion/complete').at(-1)?.message.params.ref.uri, 'Greeting://{name}');
    });
  });
}

it('a URI in another spelling is sent whole where a call is tried again or logged', async (scope) => {
  const first = await rawUpstream(scope, script, { capabilities: { resources: {} } });
  const second = await rawUpstream(scope, script, { capabilities: { resources: {} } });
  const gateway = await startGateway(scope, {
    mcpServers: { store: { endpoints: [{ url: first.url }, { url: second.url }] } },
    log: { level: 'info', format: 'json', access: true },
  });
  const session = await openSession(gateway.url);
  await eventually('the resources are listed', async () => {
    const { message } = await session.request('resources/list');
    return message.result.resources.length > 0;
  });
  const read = async () =>
    (await session.request('resources/read', { uri: 'FILE://localhost/public/%61%20b' })).message;
  await eventually('both are ready', async () => {
    await read();
    return first.received('resources/read').length > 0 && second.received('resources/read').length > 0;
  });
  await first.close();
  for (let times = 0; times < 6; times += 1) assert.equal((await read()).result?.contents[0].text, 'public');
  for (const { message } of second.received('resources/read')) {
    assert.deepEqual(message.params, { uri: 'FILE://localhost/public/%61%20b' });
  }
  await gateway.stop();
  assert.match(gateway.output, /"file:\/\/\/public\/a%20b"/);
});
