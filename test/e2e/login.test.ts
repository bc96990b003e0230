import assert from 'node:assert/strict';
import { readdir, readFile, stat } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { ElicitationCompleteNotificationSchema } from '@modelcontextprotocol/sdk/types.js';
import { type AuthorizationServer, startAuthorizationServer } from '../support/authorization-server.js';
import { Browser, linkOf, type Page } from '../support/browser.js';
import { cliPath, type RunningGateway, startGateway } from '../support/gateway.js';
import { eventually, startProcess, type TestScope, tempFolder } from '../support/process.js';
import { type ProtectedServer, startProtectedServer } from '../support/protected-server.js';
import { modernRpc, type RpcReply } from '../support/rpc.js';
import { connectV1 } from '../support/sdk-clients.js';

const SECRET = 'a-session-secret-of-thirty-two-characters';

/** An authorization server, and an upstream whose metadata names it. */
async function startPeers(t: TestScope, family: 'legacy' | 'modern' = 'legacy') {
  const authority = await startAuthorizationServer(t);
  const authorize = ({ authorization }: { authorization?: string | undefined }): string | null =>
    authority.check(authorization)?.subject ?? null;
  const upstream = await startProtectedServer(t, authorize, family);
  upstream.authorizationServer = authority.issuer;
  return { authority, upstream };
}

/** Puts both on one origin, as before RFC 9728: the upstream does not say which authorization server it has. */
async function withoutMetadata(t: TestScope, authority: AuthorizationServer, upstream: ProtectedServer): Promise<void> {
  upstream.authorizationServer = '';
  const server = createServer((request, response) => {
    void (request.url?.startsWith('/mcp') ? upstream : authority).serve(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  upstream.origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  authority.issuer = upstream.origin;
}

function configOf(upstream: ProtectedServer, more: object = {}, url = upstream.url): Record<string, unknown> {
  return {
    sessions: { secret: SECRET },
    mcpServers: { tracker: { url, auth: { type: 'oauth', ...more } } },
  };
}

/** The link in a text. */
function linkIn(text: string): string {
  const found = /https?:\/\/[^\s"\\]+\/oauth\/login\?ticket=[\w-]+/.exec(text);
  assert.ok(found !== null, `a link in: ${text}`);
  return found[0];
}

/** What the browser of a user does who agrees to everything. */
function follow(link: string): Promise<Page> {
  return new Browser().logIn(link);
}

const textOf = ({ message, text }: RpcReply): string => message?.result?.content?.[0]?.text ?? text;

async function call(gateway: RunningGateway, headers: Record<string, string> = {}): Promise<RpcReply> {
  return await modernRpc(gateway.url, 'tools/call', { name: 'tracker__whoami', arguments: {} }, { headers });
}

async function listed(gateway: RunningGateway, headers: Record<string, string> = {}): Promise<void> {
  await eventually(
    'the lists of the server',
    async () => {
      const { message } = await modernRpc(gateway.url, 'tools/list', {}, { headers });
      return (message.result.tools as object[]).length > 0;
    },
    15_000,
  );
}

async function statsOf(gateway: RunningGateway): Promise<Record<string, unknown>> {
  return (await (await fetch(`${gateway.adminUrl}/stats`)).json()) as Record<string, unknown>;
}

async function credentialsOf(gateway: RunningGateway): Promise<Record<string, unknown>> {
  const { upstreams } = (await statsOf(gateway)) as {
    upstreams?: { endpoints: { credentials: Record<string, unknown> }[] }[];
  };
  return upstreams?.[0]?.endpoints[0]?.credentials ?? {};
}

/** An error as the SDK throws it. */
interface ToolError {
  readonly code: number;
  readonly data: { readonly code?: string; readonly elicitations?: { url: string; elicitationId: string }[] };
}

/** The output of a gateway that waits for a user. */
function waitForLink(gateway: RunningGateway): Promise<string> {
  return eventually('a link', () => (gateway.output.includes('/oauth/login?') ? gateway.output : null));
}

async function startLoggedIn(
  t: TestScope,
  authority: AuthorizationServer,
  config: object,
  headers: Record<string, string> = {},
): Promise<RunningGateway> {
  const gateway = await startGateway(t, config);
  const link = linkIn(await waitForLink(gateway));
  const page = await follow(link);
  assert.equal(page.status, 200, page.text);
  await listed(gateway, headers);
  assert.equal(authority.tokenRequests('authorization_code').length, 1);
  return gateway;
}

test('a server waits for a user, who logs in by the link in the log', async (t) => {
  const { authority, upstream } = await startPeers(t);
  const gateway = await startGateway(t, configOf(upstream));
  const waiting = await eventually('a server that waits', async () => {
    const credentials = await credentialsOf(gateway);
    return credentials['state'] === 'needs_login' ? credentials : null;
  });
  const link = String(waiting['loginUrl']);
  assert.equal(linkIn(gateway.output), link);
  assert.equal(gateway.output.split('an upstream waits for a user to log in').length, 2, 'once in the log');
  assert.match(gateway.output, /switchyard login tracker/);
  // Calls get the link, each client in its way.
  const name = 'tracker__whoami';
  const { message } = await call(gateway);
  assert.equal(message.error.data.code, 'GW_UPSTREAM_LOGIN');
  assert.ok(message.error.message.includes(`Log in at ${link} or by: switchyard login tracker`), message.error.message);
  assert.doesNotMatch(message.error.message, /\[address\]/);
  const capabilities = { elicitation: { url: {} } };
  const asked = await modernRpc(
    gateway.url,
    'tools/call',
    { name, arguments: {} },
    { clientCapabilities: capabilities },
  );
  assert.equal(asked.message.result.inputRequests.login.params.url, link, asked.text);
  const client = await connectV1(t, gateway.url, { capabilities });
  const plain = await connectV1(t, gateway.url);
  const completed: string[] = [];
  const logIn = new Promise<void>((resolve) => {
    client.setNotificationHandler(ElicitationCompleteNotificationSchema, ({ params }) => {
      completed.push(params.elicitationId);
      resolve();
    });
  });
  plain.fallbackNotificationHandler = ({ method }) => {
    if (method === 'notifications/elicitation/complete') completed.push(method);
    return Promise.resolve();
  };
  let elicitationId = '';
  await assert.rejects(client.callTool({ name }), ({ code, data }: ToolError) => {
    assert.deepEqual([code, data.elicitations?.length, data.elicitations?.[0]?.url], [-32042, 1, link]);
    elicitationId = data.elicitations?.[0]?.elicitationId ?? '';
    return true;
  });
  await assert.rejects(plain.callTool({ name }), ({ code, data }: ToolError) => {
    assert.deepEqual([code, data.code, data.elicitations], [-32603, 'GW_UPSTREAM_LOGIN', undefined]);
    return true;
  });
  await eventually('the streams of both clients', async () => (await statsOf(gateway))['streams'] === 2);
  assert.equal((await follow(`${link}x`)).status, 404);
  assert.equal((await follow(`${gateway.origin}/oauth/callback?state=x&code=y`)).status, 404);
  const page = await follow(link);
  assert.deepEqual([page.status, page.text], [200, 'Logged in at tracker. This page can be closed.\n']);
  await logIn;
  // The call waits for the connection that the login made possible.
  const { content } = await client.callTool({ name });
  assert.deepEqual(content, [{ type: 'text', text: 'ann' }]);
  await plain.ping();
  assert.deepEqual(completed, [elicitationId], 'only for the client that was sent the link, and once');
  await listed(gateway);
  assert.equal(textOf(await call(gateway)), 'ann');
  assert.equal((await credentialsOf(gateway))['state'], 'valid');
  const [exchanged] = authority.tokenRequests('authorization_code');
  assert.equal(exchanged?.form['resource'], upstream.url);
  assert.equal(exchanged?.form['redirect_uri'], `${gateway.origin}/oauth/callback`);
  // Sealed, and for this user only.
  const folder = join(dirname(gateway.configFile), '.switchyard.logins');
  const [file = ''] = (await readdir(folder)).filter((name) => name.endsWith('.login'));
  assert.equal((await stat(join(folder, file))).mode & 0o777, 0o600);
  assert.equal((await stat(folder)).mode & 0o777, 0o700);
  const stored = await readFile(join(folder, file), 'utf8');
  for (const token of authority.tokens.keys()) assert.ok(!stored.includes(token) && !gateway.output.includes(token));
});

test('ten calls on a refused token renew it once, and a failure that passes ends no login', async (t) => {
  const { authority, upstream } = await startPeers(t);
  await withoutMetadata(t, authority, upstream);
  const gateway = await startLoggedIn(t, authority, configOf(upstream, {}, `${upstream.url}?tenant=7`));
  authority.revokeAll();
  const replies = await Promise.all(Array.from({ length: 10 }, () => call(gateway)));
  assert.deepEqual(
    replies.map(textOf),
    replies.map(() => 'ann'),
  );
  assert.equal(authority.tokenRequests('refresh_token').length, 1);
  // The resource is named in all requests, although nothing but the address of the server tells it.
  assert.equal([...authority.tokens.values()][0]?.audience, upstream.url, 'of the authorization request');
  for (const { form } of authority.tokenRequests()) assert.equal(form['resource'], upstream.url);

  const clients = authority.clients.size;
  authority.fault = 'down';
  authority.revokeAll();
  // Another token of a series that is refused is requested after a pause.
  await eventually('the failure', async () => {
    const { message } = await call(gateway);
    return message.error.data.code === 'GW_UPSTREAM_CREDENTIALS';
  });
  authority.fault = 'none';
  await eventually('a token', async () => textOf(await call(gateway)) === 'ann', 15_000);
  assert.equal(authority.clients.size, clients, 'no other registration');
  assert.equal(authority.tokenRequests('authorization_code').length, 1, 'nobody was asked');
});

test('invalid_grant asks the user again, in the error of the call too', async (t) => {
  const { authority, upstream } = await startPeers(t, 'modern');
  const gateway = await startLoggedIn(t, authority, configOf(upstream));
  authority.fault = 'invalid_grant';
  authority.revokeAll();
  const { message } = await call(gateway);
  assert.equal(message.error.data.code, 'GW_UPSTREAM_LOGIN');
  const link = linkIn(message.error.message);
  assert.match(message.error.message, /switchyard login tracker/);
  const asked = authority.tokenRequests('refresh_token').length;
  await call(gateway);
  assert.equal(authority.tokenRequests('refresh_token').length, asked, 'what was refused is not sent again');
  // Clients that can show a link get it in their way.
  const capabilities = { elicitation: { url: {} } };
  const capable = await modernRpc(
    gateway.url,
    'tools/call',
    { name: 'tracker__whoami', arguments: {} },
    { clientCapabilities: capabilities },
  );
  assert.equal(capable.message.result.resultType, 'input_required', capable.text);
  assert.equal(capable.message.result.inputRequests.login.params.url, link);
  const client = await connectV1(t, gateway.url, { capabilities });
  await assert.rejects(
    client.callTool({ name: 'tracker__whoami' }),
    (error: { code: number; data: { elicitations: { url: string }[] } }) => {
      assert.equal(error.code, -32042);
      assert.equal(error.data.elicitations[0]?.url, link);
      return true;
    },
  );
  authority.fault = 'none';
  authority.user = 'bob';
  const clients = authority.clients.size;
  assert.equal((await follow(link)).status, 200);
  assert.equal(textOf(await call(gateway)), 'bob');
  assert.equal(authority.clients.size, clients, 'the registration is used again');
  const { requestState } = capable.message.result;
  const params = {
    name: 'tracker__whoami',
    arguments: {},
    requestState,
    inputResponses: { login: { action: 'accept' } },
  };
  assert.equal(textOf(await modernRpc(gateway.url, 'tools/call', params, { clientCapabilities: capabilities })), 'bob');
});

test('two processes with one login make one token request', async (t) => {
  const { authority, upstream } = await startPeers(t);
  const folder = await tempFolder(t);
  const config = { ...configOf(upstream), logins: { folder } };
  const first = await startLoggedIn(t, authority, config);
  const second = await startGateway(t, config);
  await listed(second);
  authority.revokeAll();
  const replies = await Promise.all(Array.from({ length: 20 }, (_, i) => call(i % 2 === 0 ? first : second)));
  assert.deepEqual(
    replies.map(textOf),
    replies.map(() => 'ann'),
  );
  assert.equal(authority.tokenRequests('refresh_token').length, 1);
});

test('a 403 with insufficient_scope asks for more scopes', async (t) => {
  const { authority, upstream } = await startPeers(t, 'modern');
  const gateway = await startLoggedIn(t, authority, configOf(upstream, { scopes: 'read' }));
  upstream.guard = (what, { authorization }) => {
    const mayWrite = authority.check(authorization)?.scope.includes('write') === true;
    return what === 'POST tools/call' && !mayWrite ? 'Bearer error="insufficient_scope", scope="write"' : '';
  };
  const { message } = await call(gateway);
  assert.equal(message.error.data.code, 'GW_UPSTREAM_REFUSED');
  assert.match(message.error.message, /more scopes \(write\).*switchyard login tracker --scope/);
  assert.equal((await follow(linkIn(message.error.message))).status, 200);
  assert.equal(textOf(await call(gateway)), 'ann');
  assert.equal([...authority.tokens.values()].at(-1)?.scope, 'read write');
});

test('per principal: everybody logs in, and gets the own account, whatever the client authenticates with', async (t) => {
  const { authority, upstream } = await startPeers(t);
  authority.user = 'reader';
  const auth = [
    { type: 'basic', users: { ann: { password: 'password-of-ann' } } },
    { type: 'bearer', tokens: { bob: { token: 'token-of-bob' } } },
    { type: 'apiKey', header: 'X-API-Key', keys: { carl: { key: 'key-of-carl' } } },
    {
      type: 'oauth2',
      introspectionUrl: authority.url('introspect'),
      clientId: 'gateway',
      clientSecret: 'gateway-secret',
    },
  ];
  const issued = async () => ({ authorization: `Bearer ${await authority.issue({ subject: 'dora' })}` });
  const clients: Record<string, Record<string, string>> = {
    ann: { authorization: `Basic ${Buffer.from('ann:password-of-ann').toString('base64')}` },
    bob: { authorization: 'Bearer token-of-bob' },
    carl: { 'x-api-key': 'key-of-carl' },
    dora: await issued(),
  };
  const config = { ...configOf(upstream, { per: 'principal' }), auth };
  const gateway = await startGateway(t, config);
  const forGateway = linkIn(await waitForLink(gateway));
  const { message: early } = await call(gateway, clients['ann']);
  assert.equal(early.error.data.code, 'GW_UPSTREAM_LOGIN', 'its lists wait for the login of the gateway');
  assert.match(early.error.message, /has to log in first: switchyard login tracker/);
  assert.doesNotMatch(early.error.message, /oauth/, 'that link is for operators');
  assert.equal((await follow(forGateway)).status, 200);
  await listed(gateway, clients['ann']);
  for (const [user, headers] of Object.entries(clients)) {
    const { message } = await call(gateway, headers);
    assert.equal(message.error.data.code, 'GW_UPSTREAM_LOGIN', JSON.stringify(message));
    authority.user = `${user}@example.com`;
    const link = linkIn(message.error.message);
    assert.equal((await follow(link)).status, 200);
    assert.equal((await follow(link)).status, 404, 'a link is good for one login');
  }
  // Another token of the same subject has the same login.
  for (const [user, headers] of [...Object.entries(clients), ['dora', await issued()] as const]) {
    assert.equal(textOf(await call(gateway, headers)), `${user}@example.com`);
  }
});

test('answers of another authorization server, and replayed ones, log nobody in', async (t) => {
  const { authority, upstream } = await startPeers(t);
  const gateway = await startGateway(t, configOf(upstream), { frontEnd: 'node' });
  const link = linkIn(await waitForLink(gateway));
  const browser = new Browser();
  const begin = async (): Promise<string> => await browser.redirectOf(linkOf(await browser.open(link)) ?? '');
  const authorization = new URL(await begin());
  assert.equal(authorization.searchParams.get('code_challenge_method'), 'S256');
  const back = await browser.redirectOf(authorization.href);
  const forged = new URL(back);
  forged.searchParams.set('iss', 'https://evil.example.com');
  const refused = await browser.open(forged.href);
  assert.match(refused.text, /another authorization server/);
  assert.equal((await browser.open(back)).status, 404, 'a state is good for one answer');
  const without = new URL(await browser.redirectOf(await begin()));
  without.searchParams.delete('iss');
  assert.match((await browser.open(without.href)).text, /another authorization server/);
  // Somebody who was sent the address that the page leads to, or that page without its first part.
  const other = new Browser();
  assert.match((await other.open(await begin())).text, /begun in another browser/);
  const way = linkOf(await browser.open(link)) ?? '';
  for (const address of [way, `${link}&confirmed=1`, link]) {
    assert.match((await other.open(address)).text, /Go on only if/, address);
  }
  assert.equal(authority.tokenRequests().length, 0);
});

test('switchyard login and logout', async (t) => {
  const { authority, upstream } = await startPeers(t);
  const gateway = await startGateway(t, configOf(upstream));
  const run = (...args: string[]) =>
    startProcess(t, process.execPath, [cliPath, ...args, '--config', gateway.configFile], {
      cwd: dirname(gateway.configFile),
    });
  const login = run('login', 'tracker');
  const [link = ''] = await login.waitForLine(/^https?:\/\/.*\/authorize\?.*$/);
  const page = await follow(link);
  assert.match(page.text, /Logged in at tracker/);
  assert.equal((await login.exited).code, 0, login.output);
  // A gateway that runs takes it.
  await listed(gateway);
  assert.equal(textOf(await call(gateway)), 'ann');
  assert.equal(authority.tokenRequests().length, 1);
  const check = run('check');
  assert.equal((await check.exited).code, 0, check.output);
  const logout = run('logout', 'tracker');
  assert.equal((await logout.exited).code, 0, logout.output);
  const after = run('check');
  assert.equal((await after.exited).code, 1, after.output);
  assert.match(after.output, /Nobody has logged in yet/);
});
