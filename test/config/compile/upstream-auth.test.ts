import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Snapshot, UrlEndpointSnapshot } from '../../../src/config/snapshot/index.js';
import { problemsOfText, snapshotOfObject } from '../support.js';

const OAUTH = { tokenUrl: 'https://login.example.com/token', clientId: 'gateway', clientSecret: 'a-client-secret' };
const CLIENTS = { type: 'bearer', tokens: { ann: 'a-token-of-ann' } };

function snapshotWith(server: object, more: object = {}): Snapshot {
  return snapshotOfObject({ mcpServers: { a: { url: 'https://mcp.example.com/mcp', ...server } }, ...more });
}

function endpointWith(server: object, more: object = {}): UrlEndpointSnapshot {
  return snapshotWith(server, more).servers[0]?.endpoints[0] as UrlEndpointSnapshot;
}

test('fixed credentials become headers, in each spelling', () => {
  const headersOf = (auth: object): object => endpointWith({ auth }).headers;
  const ann = { authorization: `Basic ${Buffer.from('ann:secret').toString('base64')}` };
  assert.deepEqual(headersOf({ type: 'bearer', token: 't' }), { authorization: 'Bearer t' });
  assert.deepEqual(headersOf({ type: 'bearer', credentials: { token: 't' } }), { authorization: 'Bearer t' });
  assert.deepEqual(headersOf({ type: 'basic', username: 'ann', password: 'secret' }), ann);
  assert.deepEqual(headersOf({ type: 'basic', credentials: { username: 'ann', password: 'secret' } }), ann);
  for (const type of ['headers', 'custom']) {
    assert.deepEqual(headersOf({ type, headers: { 'X-API-Key': 'k' } }), { 'x-api-key': 'k' });
    assert.deepEqual(headersOf({ type, credentials: { 'X-API-Key': 'k' } }), { 'x-api-key': 'k' });
  }
  assert.equal(endpointWith({ auth: { type: 'bearer', token: 't' } }).auth, undefined);
});

test('client credentials and token exchange are described for the front, with defaults', () => {
  const endpoint = { ...OAUTH, clientAuth: 'basic', scope: '', audience: '', resource: '' };
  for (const type of ['clientCredentials', 'client_credentials']) {
    assert.deepEqual(endpointWith({ auth: { type, ...OAUTH } }).auth, { type: 'clientCredentials', endpoint });
  }
  const more = {
    scopes: ['read', 'write'],
    audience: 'a',
    resource: 'https://mcp.example.com/mcp',
    clientAuth: 'post',
  };
  assert.deepEqual(endpointWith({ auth: { type: 'clientCredentials', ...OAUTH, ...more } }).auth, {
    type: 'clientCredentials',
    endpoint: {
      ...OAUTH,
      scope: 'read write',
      audience: 'a',
      resource: 'https://mcp.example.com/mcp',
      clientAuth: 'post',
    },
  });
  const snapshot = snapshotWith({ auth: { type: 'tokenExchange', ...OAUTH } }, { auth: CLIENTS });
  assert.deepEqual((snapshot.servers[0]?.endpoints[0] as UrlEndpointSnapshot | undefined)?.auth, {
    type: 'tokenExchange',
    endpoint,
    subjectTokenType: 'urn:ietf:params:oauth:token-type:access_token',
    requestedTokenType: '',
    discovery: 'clientCredentials',
    maxTokens: 10_000,
  });
  const { isolation, clientCredentials, passthrough } = snapshot.servers[0] ?? {};
  assert.deepEqual(
    { isolation, clientCredentials, passthrough },
    {
      isolation: 'principal',
      clientCredentials: true,
      passthrough: false,
    },
  );
});

test('with passthrough a configured Authorization is only for requests of the gateway itself', () => {
  for (const server of [
    { auth: { type: 'bearer', token: 't' } },
    { headers: { Authorization: 'Bearer t', 'X-A': '1' } },
  ]) {
    const { headers, auth } = endpointWith({ ...server, passthrough: true }, { auth: CLIENTS });
    assert.deepEqual(auth, { type: 'own', authorization: 'Bearer t' });
    assert.equal(headers['authorization'], undefined);
  }
  const [server] = snapshotWith({ passthrough: true, isolation: 'session' }, { auth: CLIENTS }).servers;
  assert.equal(server?.clientCredentials, true);
  assert.equal(server?.isolation, 'session');
});

const auth = (value: object) => ({ auth: value });

/** What is wrong, the server, whether clients authenticate, and the problem behind the position. */
const FAULTS: readonly (readonly [string, object, boolean, RegExp])[] = [
  ['no token', auth({ type: 'bearer' }), false, /^mcpServers\.a\.auth: needs "token"$/],
  [
    'two tokens',
    auth({ type: 'bearer', token: 'x', credentials: { token: 'y' } }),
    false,
    /^mcpServers\.a\.auth: has "token" twice, also in "credentials"; keep one of them$/,
  ],
  ['half a pair', auth({ type: 'basic', username: 'x' }), false, /^mcpServers\.a\.auth: needs both/],
  [
    'a line break in a nested token',
    auth({ type: 'bearer', credentials: { token: 'a\nb' } }),
    false,
    /^mcpServers\.a\.auth\.credentials\.token: must be printable ASCII/,
  ],
  [
    'a header that the gateway sets',
    auth({ type: 'headers', headers: { 'Mcp-Session-Id': 'x' } }),
    false,
    /^mcpServers\.a\.auth\.headers\.Mcp-Session-Id: is set by the gateway itself$/,
  ],
  [
    'a header that is configured, too',
    { headers: { 'x-key': '1' }, ...auth({ type: 'headers', headers: { 'X-Key': '2' } }) },
    false,
    /^mcpServers\.a\.auth\.headers\.X-Key: is given twice$/,
  ],
  [
    'a token endpoint that is not on this machine, without TLS',
    auth({ type: 'clientCredentials', ...OAUTH, tokenUrl: 'http://login.example.com/token' }),
    false,
    /^mcpServers\.a\.auth\.tokenUrl: must start with https:\/\/ \(http:\/\/ only for a loopback host\)$/,
  ],
  [
    'a password in its URL',
    auth({ type: 'clientCredentials', ...OAUTH, tokenUrl: 'https://a:b@login.example.com/token' }),
    false,
    /^mcpServers\.a\.auth\.tokenUrl: must not hold a user name or password/,
  ],
  [
    'tokens beside a header',
    { headers: { authorization: 'x' }, ...auth({ type: 'clientCredentials', ...OAUTH }) },
    false,
    /^mcpServers\.a\.auth: cannot stand beside a header "Authorization"/,
  ],
  [
    'token exchange without authentication of clients',
    auth({ type: 'tokenExchange', ...OAUTH }),
    false,
    /^mcpServers\.a\.auth: needs tokens of clients that the gateway has verified; set the top-level "auth"$/,
  ],
  ['passthrough without it', { passthrough: true }, false, /^mcpServers\.a\.passthrough: needs tokens of clients/],
  [
    'tokens of clients over a shared session',
    { ...auth({ type: 'tokenExchange', ...OAUTH }), isolation: 'shared' },
    true,
    /^mcpServers\.a\.isolation: must be "principal" or "session" for a server that is called with credentials of its clients$/,
  ],
  [
    'both kinds of tokens of clients',
    { ...auth({ type: 'tokenExchange', ...OAUTH }), passthrough: true },
    true,
    /^mcpServers\.a\.auth: cannot be a token exchange beside "passthrough"/,
  ],
  [
    'passthrough to a child',
    { command: 'x', url: undefined, passthrough: true },
    true,
    /^mcpServers\.a\.passthrough: needs a "url"/,
  ],
];

for (const [name, server, hasClients, sentence] of FAULTS) {
  test(`${name}: refused with a position and a sentence`, () => {
    const config = {
      mcpServers: { a: { url: 'https://mcp.example.com/mcp', ...server } },
      ...(hasClients ? { auth: CLIENTS } : {}),
    };
    const [problem = '', ...others] = problemsOfText(JSON.stringify(config, null, 1), 'json');
    assert.deepEqual(others, []);
    assert.match(problem.replace(/^[^ ]*:\d+:\d+: /, ''), sentence);
    assert.match(problem, /:\d+:\d+: /);
    assert.ok(!problem.includes('a-client-secret'));
  });
}
