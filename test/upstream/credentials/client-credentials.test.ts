import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EndpointSnapshot, TokenEndpointSnapshot } from '../../../src/config/snapshot/index.js';
import { type AuthorizationServer, startAuthorizationServer } from '../../support/authorization-server.js';
import { eventually, type TestScope } from '../../support/process.js';
import { type ProtectedServer, startProtectedServer } from '../../support/protected-server.js';
import { serverOf, startPool } from '../fixture.js';

/** The client `gateway` at the token endpoint. */
function tokenEndpoint(
  authority: AuthorizationServer,
  more: Partial<TokenEndpointSnapshot> = {},
): TokenEndpointSnapshot {
  return {
    tokenUrl: authority.url('token'),
    clientId: 'gateway',
    clientSecret: 'gateway-secret',
    clientAuth: 'basic',
    scope: '',
    audience: '',
    resource: '',
    ...more,
  };
}

type Transport = 'http' | 'sse' | 'websocket';

const PATHS = { http: '/mcp', sse: '/sse', websocket: '/ws' } as const;

function endpointOf(
  upstream: ProtectedServer,
  endpoint: TokenEndpointSnapshot,
  transport: Transport = 'http',
): EndpointSnapshot {
  const origin = transport === 'websocket' ? upstream.origin.replace('http', 'ws') : upstream.origin;
  const url = `${origin}${PATHS[transport]}`;
  return { transport, detect: false, url, headers: {}, weight: 1, auth: { type: 'clientCredentials', endpoint } };
}

async function protectedBy(t: TestScope, authority: AuthorizationServer, family: 'legacy' | 'modern' = 'legacy') {
  return await startProtectedServer(t, ({ authorization }) => authority.check(authorization)?.subject ?? null, family);
}

const textOf = (response: { result: { content: { text: string }[] } }): string =>
  response.result.content[0]?.text ?? '';

for (const transport of ['http', 'sse', 'websocket'] as const) {
  test(`${transport}: every request carries a token that was asked for once`, async (t) => {
    const authority = await startAuthorizationServer(t);
    const upstream = await protectedBy(t, authority);
    const endpoint = tokenEndpoint(authority, { scope: 'read write', resource: 'https://mcp.example.com/mcp' });
    const pool = startPool(t, [serverOf([endpointOf(upstream, endpoint, transport)])]);
    await pool.ready();
    const outcomes = await Promise.all(Array.from({ length: 10 }, () => pool.call('whoami').done));
    for (const { response } of outcomes) assert.equal(textOf(response), 'gateway');
    await pool.pool.close(0);
    assert.equal(upstream.requests.filter(({ status }) => status === 401).length, 0);
    const [asked, ...others] = authority.tokenRequests();
    assert.equal(others.length, 0);
    assert.equal(asked?.form['grant_type'], 'client_credentials');
    assert.equal(asked?.form['scope'], 'read write');
    assert.equal(asked?.form['resource'], 'https://mcp.example.com/mcp');
    assert.equal(asked?.form['client_secret'], undefined);
    const kinds = new Set(upstream.requests.map(({ what }) => what));
    const expected =
      transport === 'http' ? ['DELETE', 'GET', 'POST initialize', 'POST tools/call', 'POST tools/list'] : ['GET'];
    for (const what of expected) assert.ok(kinds.has(what), `${what} in ${[...kinds]}`);
  });

  test(`${transport}: refused tokens are replaced once, and requests are repeated once`, async (t) => {
    const authority = await startAuthorizationServer(t);
    const upstream = await protectedBy(t, authority);
    const pool = startPool(t, [serverOf([endpointOf(upstream, tokenEndpoint(authority), transport)])]);
    await pool.ready();
    authority.revokeAll();
    const before = upstream.of('POST tools/call').length;
    if (transport === 'websocket') {
      // A connection is as good as its handshake.
      assert.equal(textOf((await pool.call('whoami').done).response), 'gateway');
      return;
    }
    const outcomes = await Promise.all(Array.from({ length: 10 }, () => pool.call('whoami').done));
    for (const { response, error } of outcomes) assert.equal(error ?? textOf(response), 'gateway');
    assert.equal(authority.tokenRequests().length, 2);
    const calls = upstream.of('POST tools/call').slice(before);
    assert.equal(calls.filter(({ status }) => status === 200).length, 10);
    assert.ok(calls.filter(({ status }) => status === 401).length <= 10);
  });
}

test('websocket: a handshake that is refused is made once more with another token', async (t) => {
  const authority = await startAuthorizationServer(t);
  let refusals = 0;
  const upstream = await startProtectedServer(t, ({ authorization }) => {
    if (authority.tokenRequests().length < 2) refusals += 1;
    return authority.tokenRequests().length < 2 ? null : (authority.check(authorization)?.subject ?? null);
  });
  const pool = startPool(t, [serverOf([endpointOf(upstream, tokenEndpoint(authority), 'websocket')])]);
  await pool.ready();
  assert.equal(refusals, 1);
  assert.equal(textOf((await pool.call('whoami').done).response), 'gateway');
});

test('modern: the token is in every request, too', async (t) => {
  const authority = await startAuthorizationServer(t);
  const upstream = await protectedBy(t, authority, 'modern');
  const pool = startPool(t, [serverOf([endpointOf(upstream, tokenEndpoint(authority, { clientAuth: 'post' }))])]);
  await pool.ready();
  assert.equal(textOf((await pool.call('whoami').done).response), 'gateway');
  assert.equal(authority.tokenRequests()[0]?.form['client_secret'], 'gateway-secret');
  assert.equal(authority.tokenRequests()[0]?.authorization, '');
});

test('a token is renewed before it ends, in one request, while calls go on', async (t) => {
  const authority = await startAuthorizationServer(t);
  authority.expiresIn = 2;
  const upstream = await protectedBy(t, authority);
  const pool = startPool(t, [serverOf([endpointOf(upstream, tokenEndpoint(authority))])]);
  await pool.ready();
  // It is renewed when a fifth of its time is left.
  await eventually('another token', async () => {
    await Promise.all([pool.call('whoami').done, pool.call('whoami').done]);
    return authority.tokenRequests().length === 2;
  });
  assert.equal(upstream.requests.filter(({ status }) => status === 401).length, 0);
});

test('a token endpoint that fails leaves the token as it is until its end; then calls fail with a sentence', async (t) => {
  const authority = await startAuthorizationServer(t);
  authority.expiresIn = 2;
  const upstream = await protectedBy(t, authority);
  const pool = startPool(t, [serverOf([endpointOf(upstream, tokenEndpoint(authority))])]);
  await pool.ready();
  authority.fault = 'down';
  await eventually('a failure to renew', async () => {
    const { response } = await pool.call('whoami').done;
    assert.equal(textOf(response), 'gateway');
    return authority.tokenRequests().length >= 2;
  });
  assert.equal(textOf((await pool.call('whoami').done).response), 'gateway');
  const failed = await eventually('the end of the token', async () => {
    const outcome = await pool.call('whoami').done;
    return outcome.error === null ? null : outcome;
  });
  assert.equal(failed.error, 'GW_UPSTREAM_CREDENTIALS');
  assert.equal(failed.detail, 'The token endpoint answered 503.');
  assert.equal(failed.sent, false);
  const warnings = pool.log.filter(({ level, fields }) => level === 'warn' && fields['clientId'] === 'gateway');
  assert.equal(warnings.length, 1, JSON.stringify(warnings));
  authority.fault = 'none';
  await eventually('calls succeed again', async () => (await pool.call('whoami').done).error === null);
  assert.ok(pool.log.some(({ message }) => message === 'the token endpoint issues tokens again'));
});

/** What a fault of the token endpoint says. */
const FAULTS = [
  ['down', /The token endpoint answered 503\./],
  ['reset', /The token endpoint cannot be reached \(\w+\)\./],
  ['garbage', /The answer of the token endpoint is no JSON object\./],
  ['huge', /The answer of the token endpoint is too large\./],
  ['redirect', /The token endpoint answered 307\./],
  ['invalid_client', /The token endpoint refused the request \(invalid_client\)\./],
] as const;

for (const [fault, sentence] of FAULTS) {
  test(`a token endpoint that is ${fault}: the state of the server says so, and nothing is sent upstream`, async (t) => {
    const authority = await startAuthorizationServer(t);
    authority.fault = fault;
    const upstream = await protectedBy(t, authority);
    const pool = startPool(t, [serverOf([endpointOf(upstream, tokenEndpoint(authority))])]);
    const [endpoint] = pool.server().endpoints;
    await eventually('a reason', () => endpoint?.reason !== '');
    assert.match(endpoint?.reason ?? '', sentence);
    assert.equal(upstream.requests.length, 0);
    authority.fault = 'none';
    await pool.ready();
  });
}

test('an upstream that refuses every token causes few requests for tokens, and its refusal is the answer', async (t) => {
  const authority = await startAuthorizationServer(t);
  let isOpen = true;
  const upstream = await startProtectedServer(t, ({ authorization }) =>
    isOpen ? (authority.check(authorization)?.subject ?? null) : null,
  );
  const pool = startPool(t, [serverOf([endpointOf(upstream, tokenEndpoint(authority))])]);
  await pool.ready();
  isOpen = false;
  for (let count = 0; count < 20; count += 1) {
    const { error, detail } = await pool.call('whoami').done;
    assert.equal(error, 'GW_UPSTREAM_REFUSED');
    assert.match(detail, /issued a token that the upstream does not accept/);
  }
  assert.ok(authority.tokenRequests().length <= 3, `${authority.tokenRequests().length} requests`);
});

test('a call that waits for a token ends at its deadline, can be cancelled, and their number is bounded', async (t) => {
  const authority = await startAuthorizationServer(t);
  const upstream = await protectedBy(t, authority);
  const pool = startPool(t, [serverOf([endpointOf(upstream, tokenEndpoint(authority))], { maxQueue: 3 })]);
  await pool.ready();
  let open = (): void => {};
  authority.gate = new Promise((resolve) => {
    open = resolve;
  });
  authority.revokeAll();
  const expiring = pool.call('whoami', {}, { deadlineMs: 100 });
  const cancelled = pool.call('whoami');
  const waiting = pool.call('whoami');
  await eventually('they wait', () => authority.tokenRequests().length === 2);
  cancelled.exchange.call.upstream?.cancel(cancelled.exchange);
  assert.equal((await expiring.done).error, 'GW_UPSTREAM_TIMEOUT');
  const crowd = Array.from({ length: 5 }, () => pool.call('whoami'));
  const refused = await Promise.all(crowd.slice(2).map(({ done }) => done));
  assert.deepEqual(new Set(refused.map(({ error }) => error)), new Set(['GW_UPSTREAM_BUSY']));
  open();
  for (const { done } of [waiting, ...crowd.slice(0, 2)]) assert.equal(textOf((await done).response), 'gateway');
  assert.equal(authority.tokenRequests().length, 2);
});

test('two servers with the same credentials share one token', async (t) => {
  const authority = await startAuthorizationServer(t);
  const upstream = await protectedBy(t, authority);
  const endpoint = endpointOf(upstream, tokenEndpoint(authority));
  const pool = startPool(t, [
    serverOf([endpoint], { name: 'a' }),
    serverOf([structuredClone(endpoint)], { name: 'b' }),
  ]);
  await pool.ready(0);
  await pool.ready(1);
  assert.equal(authority.tokenRequests().length, 1);
  const status = pool.pool.credentials.status(pool.server().config, endpoint);
  assert.deepEqual(
    { ...status, endsInSeconds: 0 },
    {
      type: 'clientCredentials',
      state: 'valid',
      reason: '',
      endsInSeconds: 0,
      callerTokens: 0,
      issued: 1,
      failed: 0,
      refused: 0,
    },
  );
});
