import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type AuthorizationServer, startAuthorizationServer } from '../support/authorization-server.js';
import { type RunningGateway, startGateway } from '../support/gateway.js';
import { eventually, type TestScope } from '../support/process.js';
import { type ProtectedServer, startProtectedServer } from '../support/protected-server.js';
import { modernRpc, openSession, type RpcReply } from '../support/rpc.js';

const TOKENS = { ann: 'ann-token-of-the-gateway', bob: 'bob-token-of-the-gateway' } as const;
const ANN_2 = 'second-token-of-ann-1234';
const SERVERS = ['legacy', 'modern', 'sse', 'websocket'] as const;

const bearer = (token: string): Record<string, string> => ({ authorization: `Bearer ${token}` });

const auth = {
  type: 'bearer',
  tokens: [
    { token: TOKENS.ann, subject: 'ann' },
    { token: ANN_2, subject: 'ann' },
    { token: TOKENS.bob, subject: 'bob' },
  ],
};

function exchange(authority: AuthorizationServer, more: object = {}): object {
  return {
    type: 'tokenExchange',
    tokenUrl: authority.url('token'),
    clientId: 'gateway',
    clientSecret: 'gateway-secret',
    audience: 'upstream',
    ...more,
  };
}

/** An authorization server that knows the tokens of the gateway's clients, and protected servers of each kind. */
async function startPeers(t: TestScope) {
  const authority = await startAuthorizationServer(t);
  for (const [subject, token] of Object.entries(TOKENS)) authority.subjects.set(token, subject);
  authority.subjects.set(ANN_2, 'ann');
  const authorize = ({ authorization }: { authorization?: string | undefined }): string | null =>
    authority.check(authorization)?.subject ?? null;
  const legacy = await startProtectedServer(t, authorize);
  const modern = await startProtectedServer(t, authorize, 'modern');
  return { authority, legacy, modern };
}

function mcpServers(legacy: ProtectedServer, modern: ProtectedServer, upstreamAuth: object): Record<string, object> {
  return {
    legacy: { url: legacy.url, auth: upstreamAuth },
    modern: { url: modern.url, auth: upstreamAuth },
    sse: { url: `${legacy.origin}/sse`, type: 'sse', auth: upstreamAuth },
    websocket: { url: `${legacy.origin.replace('http', 'ws')}/ws`, auth: upstreamAuth },
  };
}

async function allListed(gateway: RunningGateway, token: string, count: number): Promise<string[]> {
  return await eventually(
    'the lists of all servers',
    async () => {
      const { message } = await modernRpc(gateway.url, 'tools/list', {}, { headers: bearer(token) });
      const names = (message.result.tools as { name: string }[]).map(({ name }) => name);
      return names.length === count ? names : null;
    },
    15_000,
  );
}

const textOf = ({ message, text }: RpcReply): string => message?.result?.content?.[0]?.text ?? text;

function callAs(gateway: RunningGateway, token: string, server: string): Promise<RpcReply> {
  return modernRpc(gateway.url, 'tools/call', { name: `${server}__whoami`, arguments: {} }, { headers: bearer(token) });
}

test('each caller is known upstream by a token of its own, over every transport; none sees what is for another', async (t) => {
  const { authority, legacy, modern } = await startPeers(t);
  const gateway = await startGateway(t, {
    auth,
    mcpServers: mcpServers(legacy, modern, exchange(authority)),
    routes: [{ name: 'cached', match: { tools: ['**'] }, cache: { ttlMs: 60_000, public: true } }],
  });
  const lists = {
    ann: await allListed(gateway, TOKENS.ann, 8),
    bob: await allListed(gateway, TOKENS.bob, 8),
  };
  for (const [subject, other] of [
    ['ann', 'bob'],
    ['bob', 'ann'],
  ] as const) {
    for (const server of SERVERS) assert.ok(lists[subject].includes(`${server}__of_${subject}`), server);
    assert.ok(!lists[subject].join().includes(`of_${other}`), lists[subject].join());
  }
  const before = legacy.requests.length;
  const calls = Array.from({ length: 24 }, async (_, index) => {
    const subject = index % 2 === 0 ? 'ann' : 'bob';
    const reply = await callAs(gateway, TOKENS[subject], SERVERS[Math.floor(index / 2) % 4] ?? 'legacy');
    assert.equal(textOf(reply), subject, reply.text);
  });
  await Promise.all(calls);
  // No answer came from a cache, and no session serves two.
  const made = [...legacy.requests.slice(before), ...modern.requests].filter(({ what }) => what === 'POST tools/call');
  assert.ok(made.length >= 18, `${made.length} calls`);
  for (const { session, subject, what } of legacy.requests) {
    if (session !== '' && what.startsWith('POST')) assert.equal(legacy.sessions.get(session) ?? subject, subject);
  }
  assert.equal([...legacy.requests, ...modern.requests].filter(({ status }) => status === 401).length, 0);
  // One for each caller and one of the gateway itself, for all four servers.
  const exchanged = authority.tokenRequests('urn:ietf:params:oauth:grant-type:token-exchange');
  assert.equal(exchanged.length, 2);
  assert.equal(exchanged[0]?.form['audience'], 'upstream');
  assert.equal(exchanged[0]?.form['subject_token_type'], 'urn:ietf:params:oauth:token-type:access_token');
  assert.equal(authority.tokenRequests('client_credentials').length, 1);

  // Another token of the same subject is exchanged by itself, and shares its upstream session.
  assert.equal(textOf(await callAs(gateway, ANN_2, 'legacy')), 'ann');
  assert.equal(authority.tokenRequests().length, 4);

  // The tokens of clients reach the authorization server only.
  const seen = JSON.stringify([...legacy.requests, ...modern.requests]);
  for (const token of [...Object.values(TOKENS), ANN_2]) assert.ok(!seen.includes(token));
  const stats = await (await fetch(`${gateway.adminUrl}/stats`)).text();
  const { upstreams } = JSON.parse(stats) as {
    upstreams: { name: string; endpoints: { credentials: Record<string, unknown> }[] }[];
  };
  for (const { endpoints } of upstreams) {
    const { type, state, callerTokens, issued, failed } = endpoints[0]?.credentials ?? {};
    assert.deepEqual(
      { type, state, callerTokens, issued, failed },
      {
        type: 'tokenExchange',
        state: 'valid',
        callerTokens: 3,
        issued: 4,
        failed: 0,
      },
    );
  }
  for (const secret of ['gateway-secret', ...authority.tokens.keys()]) {
    assert.ok(!stats.includes(secret) && !gateway.output.includes(secret));
  }
});

test('a caller whose token cannot be exchanged gets a sentence, and no other caller notices', async (t) => {
  const { authority, legacy, modern } = await startPeers(t);
  authority.subjects.delete(TOKENS.bob);
  const gateway = await startGateway(t, { auth, mcpServers: mcpServers(legacy, modern, exchange(authority)) });
  await allListed(gateway, TOKENS.ann, 8);
  for (const server of SERVERS) {
    const { message } = await callAs(gateway, TOKENS.bob, server);
    assert.equal(message.error?.data.upstream, server, JSON.stringify(message));
    assert.equal(message.error.data.code, 'GW_UPSTREAM_CREDENTIALS', JSON.stringify(message));
    assert.match(message.error.message, /credentials for the upstream.*refused the request \(invalid_grant\)\./);
    assert.equal(textOf(await callAs(gateway, TOKENS.ann, server)), 'ann');
  }
  // Refusals are not asked for again at once.
  assert.ok(authority.tokenRequests().length < 10, `${authority.tokenRequests().length} requests`);
  authority.subjects.set(TOKENS.bob, 'bob');
  await eventually('another try', async () => textOf(await callAs(gateway, TOKENS.bob, 'modern')) === 'bob');
});

test('tokens that the upstream revokes are exchanged again, those of each caller by themselves', async (t) => {
  const { authority, legacy } = await startPeers(t);
  const gateway = await startGateway(t, {
    auth,
    mcpServers: { legacy: { url: legacy.url, auth: exchange(authority), isolation: 'session' } },
  });
  await allListed(gateway, TOKENS.ann, 2);
  const ann = await openSession(gateway.url, { headers: bearer(TOKENS.ann) });
  const bob = await openSession(gateway.url, { headers: bearer(TOKENS.bob) });
  const call = (session: typeof ann): Promise<RpcReply> =>
    session.request('tools/call', { name: 'legacy__whoami', arguments: {} });
  assert.equal(textOf(await call(ann)), 'ann');
  assert.equal(textOf(await call(bob)), 'bob');
  const before = authority.tokenRequests().length;
  authority.revokeAll();
  for (const reply of await Promise.all([call(ann), call(ann), call(ann)])) assert.equal(textOf(reply), 'ann');
  assert.equal(authority.tokenRequests().length, before + 1);
  assert.equal(textOf(await call(bob)), 'bob');
  assert.equal(authority.tokenRequests().length, before + 2);
});

test('with passthrough the token of the client arrives as it is, and a warning says so', async (t) => {
  const authorize = ({ authorization = '' }: { authorization?: string | undefined }): string | null =>
    Object.entries({ ...TOKENS, own: 'own-token' }).find(([, token]) => authorization === `Bearer ${token}`)?.[0] ??
    null;
  const legacy = await startProtectedServer(t, authorize);
  const modern = await startProtectedServer(t, authorize, 'modern');
  const own = { type: 'bearer', credentials: { token: 'own-token' } };
  const servers = mcpServers(legacy, modern, own);
  const gateway = await startGateway(t, {
    auth,
    mcpServers: Object.fromEntries(SERVERS.map((name) => [name, { ...servers[name], passthrough: true }])),
  });
  await allListed(gateway, TOKENS.ann, 8);
  for (const server of SERVERS) {
    for (const subject of ['ann', 'bob'] as const) {
      assert.equal(textOf(await callAs(gateway, TOKENS[subject], server)), subject, server);
    }
  }
  for (const { headers, what } of [...legacy.requests, ...modern.requests]) {
    if (what === 'POST tools/call') assert.doesNotMatch(headers.authorization ?? '', /own-token/);
  }
  // Another token of ann that the upstream does not know: its refusal is passed on as an error of the call.
  const { message } = await callAs(gateway, ANN_2, 'modern');
  assert.equal(message.error.data.code, 'GW_UPSTREAM_REFUSED');
  assert.match(message.error.message, /the token of the client, which is passed on \(mcpServers\.NAME\.passthrough\)/);
  for (const server of SERVERS) {
    assert.match(
      gateway.output,
      new RegExp(`mcpServers\\.${server}\\.passthrough: the clients' own tokens are passed on`),
    );
  }
  for (const token of Object.values(TOKENS)) assert.ok(!gateway.output.includes(token));
});
