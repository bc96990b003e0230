/** Clients that authenticate in every way that the configuration knows, against real peers; forged credentials are in test/hostile. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { auth, type OAuthClientProvider } from '@modelcontextprotocol/sdk/client/auth.js';
import type {
  OAuthClientInformationFull,
  OAuthClientMetadata,
  OAuthTokens,
} from '@modelcontextprotocol/sdk/shared/auth.js';
import { hashSync } from 'bcryptjs';
import { createGateway, type EmbeddedGateway, type GatewayConfig } from '../../src/index.js';
import { ATTEMPTS } from '../support/attempts.js';
import { startAuthorizationServer } from '../support/authorization-server.js';
import { base64, basic, bearer, jwt, opaque, SECRET } from '../support/credentials.js';
import { openAnswer } from '../support/event-stream.js';
import { startGateway } from '../support/gateway.js';
import { eventually, type TestScope } from '../support/process.js';
import { rawUpstream } from '../support/raw-upstream.js';
import { modernHeaders, modernMessage, modernRpc, rpc } from '../support/rpc.js';
import { connectV1 } from '../support/sdk-clients.js';

async function running(
  scope: TestScope,
  wanted: GatewayConfig['auth'],
  change: Partial<GatewayConfig> = {},
): Promise<EmbeddedGateway & { readonly origin: string; readonly config: GatewayConfig }> {
  const upstream = await rawUpstream(scope, (_request, answer) => answer.result({ content: [] }));
  const config: GatewayConfig = {
    port: 0,
    admin: false,
    log: { level: 'silent' },
    mcpServers: { raw: { url: upstream.url } },
    routes: [{ match: { tools: ['raw__call'] }, requiredScopes: ['use'], whenDenied: 'challenge' }],
    ...(wanted === undefined ? {} : { auth: wanted }),
    ...change,
  };
  const gateway = createGateway(config);
  scope.after(() => gateway.stop());
  await gateway.start();
  await eventually('the upstream is listed', () => gateway.upstreamHealth()[0]?.healthy);
  return Object.assign(gateway, { origin: new URL(gateway.url ?? '').origin, config });
}

const answerTo = (origin: string, headers: Record<string, string>) =>
  modernRpc(`${origin}/mcp`, 'tools/call', { name: 'raw__call' }, { headers });
const call = async (origin: string, headers: Record<string, string>): Promise<string> => {
  const { status, message } = await answerTo(origin, headers);
  return status === 200 && message.error === undefined ? 'good' : message.error.data.code;
};
/** The answer about a credential that cannot be checked. */
const waiting = (cause: string): string =>
  `The credential cannot be checked at the moment; retry later. Its check waits for ${cause}.`;

describe('a list of providers', () => {
  it('keeps subjects of one name apart, names missing scopes, and revokes every kind', async (scope) => {
    const authority = await startAuthorizationServer(scope);
    const gateway = await running(scope, [
      { type: 'basic', users: { ann: 'password of ann', eve: hashSync('password of eve', 4) } },
      { type: 'bearer', tokens: { ann: 'token-of-ann' } },
      { type: 'apiKey', keys: { ann: 'key-of-ann' } },
      { type: 'jwt', issuer: 'https://one.example', audience: 'gateway', secret: SECRET },
      {
        type: 'oauth2',
        introspectionUrl: authority.url('introspect'),
        clientId: 'gateway',
        clientSecret: 'gateway-secret',
      },
      { type: 'proxyHeader', trustedProxies: '127.0.0.1', subjectHeader: 'X-User' },
    ]);
    const { origin } = gateway;
    opaque(authority, 'opaque-token');
    const eve = basic('eve', 'password of eve');
    const rows: [subject: string, headers: Record<string, string>, token: string][] = [
      ['ann', basic('ann', 'password of ann'), base64('ann:password of ann')],
      ['eve', eve, base64('eve:password of eve')],
      ['ann', bearer('token-of-ann'), 'token-of-ann'],
      ['ann', { 'x-api-key': 'key-of-ann' }, 'key-of-ann'],
      ['joe', bearer(jwt({})), jwt({})],
      ['olga', bearer('opaque-token'), 'opaque-token'],
      ['pat', { 'x-user': 'pat' }, ''],
    ];
    const initialize = { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 't', version: '1' } };
    const opened = await rpc(
      `${origin}/mcp`,
      { jsonrpc: '2.0', id: 1, method: 'initialize', params: initialize },
      rows[0]![1],
    );
    const session = opened.headers.get('mcp-session-id') ?? '';
    const ping = (headers: Record<string, string>) =>
      rpc(`${origin}/mcp`, { jsonrpc: '2.0', id: 2, method: 'ping' }, { 'mcp-session-id': session, ...headers });
    assert.equal((await ping(rows[0]![1])).status, 200);
    for (const [, headers] of rows.slice(1)) assert.equal((await ping(headers)).status, 404, JSON.stringify(headers));

    const denied = await modernRpc(`${origin}/mcp`, 'tools/call', { name: 'raw__call' }, { headers: eve });
    assert.equal(denied.status, 403);
    assert.match(
      denied.headers.get('www-authenticate') ?? '',
      /^Bearer error="insufficient_scope".*scope="use", resource_metadata=/,
    );

    const { 'HTTP, modern': list } = ATTEMPTS;
    for (const [subject, headers, token] of rows) {
      const revocations = [{ subject }, ...(token === '' ? [] : [{ token }])];
      for (const revocation of revocations) {
        assert.equal((await list!(origin, headers)).status, 200, `${subject} before`);
        gateway.revoke(revocation);
        assert.equal((await list!(origin, headers)).status, 401, `${subject} by ${Object.keys(revocation)}`);
        gateway.unrevoke(revocation);
      }
    }
  });

  it('asks about an opaque token once, keeps who is in while the endpoint is down, and lets nobody else in', async (scope) => {
    const authority = await startAuthorizationServer(scope);
    const settings = {
      type: 'oauth2',
      introspectionUrl: authority.url('introspect'),
      clientId: 'gateway',
      clientSecret: 'gateway-secret',
      cacheMs: 1_000,
    } as const;
    const { origin } = await running(scope, settings, { workers: 2 });
    const asked = () => authority.requests.filter(({ path }) => path === '/introspect').length;
    opaque(authority, 'known');
    opaque(authority, 'short', { expiresAt: Date.now() + 4_000 });
    opaque(authority, 'unknown');
    let open = (): void => {};
    authority.gate = new Promise((resolve) => {
      open = resolve;
    });
    const many = Promise.all(Array.from({ length: 20 }, () => call(origin, bearer('known'))));
    await eventually('a request', () => asked() === 1);
    open();
    assert.deepEqual(new Set(await many), new Set(['good']));
    assert.equal(asked(), 1);
    assert.equal(await call(origin, bearer('short')), 'good');
    const message = modernMessage('subscriptions/listen', { notifications: { toolsListChanged: true } }, { id: 'l' });
    const headers = { ...modernHeaders(message), ...bearer('known') };
    const stream = await openAnswer(scope, `${origin}/mcp`, { message, headers });
    await stream.until('subscriptions/acknowledged');

    authority.fault = 'down';
    const before = asked();
    await eventually('the answer has to be renewed', async () => {
      assert.equal(await call(origin, bearer('known')), 'good');
      return asked() > before;
    });
    assert.equal(await call(origin, bearer('known')), 'good');
    const unknown = await answerTo(origin, bearer('unknown'));
    assert.deepEqual([unknown.status, unknown.headers.get('retry-after')], [503, '1']);
    assert.equal(unknown.message.error.data.code, 'GW_AUTH_UNAVAILABLE');
    assert.equal(unknown.message.error.message, waiting('the answer of auth.introspectionUrl'));
    await eventually('the token ends', async () => (await call(origin, bearer('short'))) === 'GW_INVALID_TOKEN');

    authority.fault = 'none';
    await eventually('the endpoint is asked again', async () => (await call(origin, bearer('unknown'))) === 'good');
    assert.equal(stream.ended, false, 'the stream outlives the answer');
    authority.revokeAll();
    await eventually(
      'the revocation is seen',
      async () => (await call(origin, bearer('known'))) === 'GW_INVALID_TOKEN',
    );
    await eventually('the stream ends with it', () => stream.ended);
  });

  it('checks a bounded number of passwords at once', async (scope) => {
    const users = { cleo: hashSync('password of cleo', 8) };
    const { origin } = await running(scope, { type: 'basic', users, maxWaiting: 2 }, { routes: [] });
    assert.equal(await call(origin, basic('cleo', 'password of cleo')), 'good');
    const guesses = await Promise.all(
      Array.from({ length: 20 }, (_, i) => answerTo(origin, basic('cleo', `guess ${i}`))),
    );
    assert.deepEqual(
      new Set(guesses.map(({ status, message }) => (status === 503 ? message.error.message : message.error.data.code))),
      new Set(['GW_INVALID_TOKEN', waiting('room among auth.maxWaiting')]),
    );
    assert.equal(await call(origin, basic('cleo', 'password of cleo')), 'good', 'what was right is remembered');
  });

  it('ignores the headers of a proxy from other peers, and says so', async (scope) => {
    for (const frontEnd of ['uws', 'node'] as const) {
      const provider = { type: 'proxyHeader', trustedProxies: ['10.0.0.0/8', 'fd00::/8'], subjectHeader: 'X-User' };
      const gateway = await startGateway(scope, { auth: provider, mcpServers: {} }, { frontEnd });
      const answer = await rpc(gateway.url, { jsonrpc: '2.0', id: 1, method: 'ping' }, { 'x-user': 'pat' });
      assert.equal(answer.message.error.data.code, 'GW_UNAUTHENTICATED');
      await eventually('the log', () => /the peer is not one of auth\.trustedProxies/.test(gateway.output));
      await gateway.stop();
    }
  });
});

describe('the protected-resource metadata', () => {
  for (const frontEnd of ['uws', 'node'] as const) {
    it(`is served for each endpoint and named in challenges, also of GET and HEAD, on ${frontEnd}`, async (scope) => {
      const provider = { type: 'jwt', issuer: 'https://one.example', audience: 'gateway', secret: SECRET } as const;
      const { origin } = await running(scope, provider, { frontEnd });
      const at = async (path: string) => {
        const response = await fetch(`${origin}/.well-known/oauth-protected-resource${path}`);
        return response.status === 200 ? ((await response.json()) as Record<string, unknown>) : response.status;
      };
      for (const path of ['', '/mcp', '/sse', '/ws']) {
        assert.deepEqual(await at(path), {
          resource: `${origin}${path === '' ? '/' : path}`,
          resource_name: 'switchyard',
          authorization_servers: ['https://one.example'],
          scopes_supported: ['use'],
          bearer_methods_supported: ['header'],
        });
      }
      for (const path of ['/tools', '/health', '/other', 'x']) assert.equal(await at(path), 404, path);
      for (const [method, path] of [
        ['GET', '/mcp'],
        ['HEAD', '/mcp'],
        ['GET', '/sse'],
        ['HEAD', '/sse'],
        ['HEAD', '/'],
      ] as const) {
        const response = await fetch(`${origin}${path}`, { method });
        assert.equal(response.status, 401, `${method} ${path}`);
        const where = path === '/' ? '' : path;
        assert.equal(
          response.headers.get('www-authenticate'),
          `Bearer resource_metadata="${origin}/.well-known/oauth-protected-resource${where}"`,
        );
      }
      const known = await fetch(`${origin}/mcp`, { method: 'HEAD', headers: bearer(jwt({})) });
      assert.deepEqual([known.status, known.headers.get('allow')], [405, 'POST, GET, DELETE']);
      assert.equal((await fetch(`${origin}/health`, { method: 'HEAD' })).status, 200);
    });
  }

  it('names the public origin, and is not there where everybody is served', async (scope) => {
    const tokens = { ann: 'token-of-ann' };
    const named = await running(scope, { type: 'bearer', tokens }, { publicUrl: 'https://mcp.example.com' });
    const { headers } = await rpc(`${named.origin}/mcp`, {});
    const url = 'https://mcp.example.com/.well-known/oauth-protected-resource/mcp';
    assert.equal(headers.get('www-authenticate'), `Bearer resource_metadata="${url}"`);
    const document = await fetch(`${named.origin}/.well-known/oauth-protected-resource/mcp`);
    assert.equal(((await document.json()) as { resource: string }).resource, 'https://mcp.example.com/mcp');
    const open = await running(scope, undefined);
    assert.equal((await fetch(`${open.origin}/.well-known/oauth-protected-resource`)).status, 404);
  });

  it('lets a client of the SDK sign in at the authorization server and call a tool', async (scope) => {
    const authority = await startAuthorizationServer(scope);
    const gateway = await running(scope, { type: 'bearer', tokens: { ann: 'token-of-ann' } });
    const { config, origin } = gateway;
    const keys = { issuer: authority.issuer, jwksUrl: authority.url('jwks'), algorithms: 'ES256' } as const;
    await gateway.reload({ ...config, routes: [], auth: { type: 'jwt', audience: `${origin}/mcp`, ...keys } });
    const provider = new Visitor();
    assert.equal(await auth(provider, { serverUrl: `${origin}/mcp` }), 'REDIRECT');
    assert.equal(await auth(provider, { serverUrl: `${origin}/mcp`, authorizationCode: provider.code }), 'AUTHORIZED');
    const token = provider.tokens()?.access_token ?? '';
    assert.equal(authority.tokens.get(token)?.audience, `${origin}/mcp`);
    const client = await connectV1(scope, `${origin}/mcp`, { headers: bearer(token) });
    const { tools } = await client.listTools();
    assert.ok(tools.length > 0);
    assert.deepEqual((await client.callTool({ name: 'raw__call', arguments: {} })).content, []);
  });
});

/** A person with a browser, who follows the redirects of the authorization server. */
class Visitor implements OAuthClientProvider {
  readonly redirectUrl = 'http://127.0.0.1:9/callback';
  readonly clientMetadata: OAuthClientMetadata = {
    redirect_uris: [this.redirectUrl],
    token_endpoint_auth_method: 'none',
  };
  code = '';
  #client: OAuthClientInformationFull | undefined;
  #tokens: OAuthTokens | undefined;
  #verifier = '';

  clientInformation(): OAuthClientInformationFull | undefined {
    return this.#client;
  }

  saveClientInformation(client: OAuthClientInformationFull): void {
    this.#client = client;
  }

  tokens(): OAuthTokens | undefined {
    return this.#tokens;
  }

  saveTokens(tokens: OAuthTokens): void {
    this.#tokens = tokens;
  }

  saveCodeVerifier(verifier: string): void {
    this.#verifier = verifier;
  }

  codeVerifier(): string {
    return this.#verifier;
  }

  async redirectToAuthorization(url: URL): Promise<void> {
    const response = await fetch(url, { redirect: 'manual' });
    this.code = new URL(response.headers.get('location') ?? '').searchParams.get('code') ?? '';
  }
}
