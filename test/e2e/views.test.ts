/** Views, and lists that show a client only what it may call; through a running gateway. */
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { describe, it } from 'node:test';
import { ATTEMPTS } from '../support/attempts.js';
import { startGateway } from '../support/gateway.js';
import { eventually, type TestScope } from '../support/process.js';
import { rawUpstream } from '../support/raw-upstream.js';
import { modernRpc, openSession, rpc } from '../support/rpc.js';
import { connectV1 } from '../support/sdk-clients.js';
import { initialize, openWebSocket, sdkTransport } from '../support/transports.js';

const tool = (name: string): object => ({ name, inputSchema: { type: 'object' } });
const names = (items: { name?: string; uri?: string }[]): string[] => items.map(({ name, uri }) => uri ?? name ?? '');

async function upstream(scope: TestScope, tools: readonly string[], uri: string) {
  return rawUpstream(
    scope,
    ({ message }, answer) => {
      const { method, params } = message;
      if (method === 'resources/list') answer.result({ resources: [{ uri, name: 'one' }] });
      else if (method === 'resources/templates/list') answer.result({ resourceTemplates: [] });
      else if (method === 'prompts/list') answer.result({ prompts: [{ name: 'greet' }] });
      else if (method === 'resources/read') answer.result({ contents: [{ uri: params.uri, text: uri }] });
      else answer.result({ content: [{ type: 'text', text: params.name }] });
    },
    { tools: tools.map(tool), capabilities: { resources: {}, prompts: {} }, instructions: `How to use ${uri}` },
  );
}

const auth = {
  type: 'bearer',
  tokens: {
    low: { token: 'low-token-of-some-length', scopes: ['use'] },
    high: { token: 'high-token-of-some-length', scopes: ['use', 'admin'] },
  },
};
const as = (who: 'low' | 'high') => ({ authorization: `Bearer ${who}-token-of-some-length` });

/** Views beside {@link auth}, with a subject of the same name, keys in a header, tokens of another issuer, and none at all. */
const ownAuth = {
  '/twin/mcp': { auth: { type: 'bearer', tokens: { low: { token: 'low-token-of-the-twin', scopes: ['admin'] } } } },
  '/team/mcp': {
    auth: [
      { type: 'apiKey', header: 'X-Team-Key', keys: { low: { key: 'team-key-of-low', scopes: 'use' } } },
      {
        type: 'jwt',
        issuer: 'https://team.example',
        audience: 'team',
        secret: 'a secret of at least thirty-two characters',
      },
    ],
  },
  '/open': { auth: { type: 'none' } },
};
const TEAM_CHALLENGE =
  /^Bearer (error="invalid_token", )?resource_metadata="[^"]*\/\.well-known\/oauth-protected-resource(\/team\/(mcp|sse|ws))?", ApiKey realm="mcp\/team", header="x-team-key"$/;

/** A credential is good at the endpoints of its providers and at no other, on every transport. */
async function checkOwnAuth(origin: string): Promise<void> {
  const credentials = {
    gateway: as('low'),
    twin: { authorization: 'Bearer low-token-of-the-twin' },
    team: { 'x-team-key': 'team-key-of-low' },
    none: {},
  };
  const accepted: Record<string, readonly string[]> = {
    '': ['gateway'],
    '/same': ['gateway'],
    '/twin': ['twin'],
    '/team': ['team'],
    '/open': Object.keys(credentials),
  };
  for (const [base, good] of Object.entries(accepted)) {
    // Twice, since the second time verdicts are remembered.
    for (const who of [...Object.keys(credentials), ...Object.keys(credentials)] as (keyof typeof credentials)[]) {
      for (const [transport, attempt] of Object.entries(ATTEMPTS)) {
        const { challenge, status } = await attempt(origin + base, credentials[who]);
        assert.equal(status, good.includes(who) ? 200 : 401, `${who} at ${base} over ${transport}`);
        if (base === '/team' && status === 401) assert.match(challenge, TEAM_CHALLENGE, transport);
      }
    }
  }

  const metadata = async (path: string) => {
    const { status, text } = await rpc(`${origin}/.well-known/oauth-protected-resource${path}`, undefined, {}, GET);
    return status === 200 ? JSON.parse(text) : status;
  };
  const team = await metadata('/team/mcp');
  assert.deepEqual(team.authorization_servers, ['https://team.example']);
  assert.deepEqual(team.scopes_supported, ['team']);
  assert.equal(team.resource, `${origin}/team/mcp`);
  const same = await metadata('/same/mcp');
  assert.deepEqual([same.authorization_servers, same.scopes_supported], [undefined, undefined]);
  assert.deepEqual((await metadata('/ops/mcp')).scopes_supported, ['admin']);
  assert.equal(await metadata('/open'), 404);
  assert.equal((await rpc(`${origin}/team`, undefined, {}, { method: 'HEAD' })).status, 401);
  assert.equal((await rpc(`${origin}/open`, undefined, {}, { method: 'HEAD' })).status, 404);

  // The same subject of another view is somebody else, and a session belongs to one path.
  const session = await openSession(`${origin}/mcp`, { headers: as('low') });
  const tools = { jsonrpc: '2.0', id: 1, method: 'tools/list' };
  const used = async (path: string, headers: Record<string, string>) =>
    (await rpc(origin + path, tools, { ...session.headers, authorization: '', ...headers })).status;
  assert.equal(await used('/', as('low')), 200);
  assert.equal(await used('/same', as('low')), 404);
  assert.equal(await used('/twin', credentials.twin), 404);
  assert.equal(await used('/open', {}), 404);
  const ended = await rpc(`${origin}/same`, undefined, session.headers, { method: 'DELETE' });
  assert.equal(ended.status, 404);
  const again = await rpc(`${origin}/same`, INITIALIZE, session.headers);
  assert.equal(again.status, 200, 'a session of another path is none');
  const own = again.headers.get('mcp-session-id') ?? '';
  assert.equal(await used('/same', { ...as('low'), 'mcp-session-id': own }), 200);
  assert.equal(await used('/mcp', { ...as('low'), 'mcp-session-id': own }), 404);

  const aborter = new AbortController();
  const stream = await fetch(`${origin}/same/sse`, { headers: as('low'), signal: aborter.signal });
  const { value } = await stream.body!.getReader().read();
  const posted = /\/same(\/messages\S*)/.exec(Buffer.from(value!).toString())?.[1] ?? '';
  assert.equal((await rpc(`${origin}${posted}`, INITIALIZE, as('low'))).status, 404);
  assert.equal((await rpc(`${origin}/same${posted}`, INITIALIZE, as('low'))).status, 202);
  aborter.abort();
}

const GET = { method: 'GET' };
const INITIALIZE = {
  jsonrpc: '2.0',
  id: 1,
  method: 'initialize',
  params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'test', version: '1' } },
};

for (const frontEnd of ['uws', 'node'] as const) {
  describe(`views on ${frontEnd}`, () => {
    it('have paths and lists of their own, on every transport', async (scope) => {
      const users = await upstream(scope, ['get', 'create', 'drop'], 'users://one');
      const files = await upstream(scope, ['get', 'read'], 'files://one');
      const gateway = await startGateway(
        scope,
        {
          mcpServers: { users: { url: users.url }, files: { url: files.url, path: '/files' } },
          views: {
            '/users/mcp': { servers: ['users'], tools: ['get', 'create'], prefix: false },
            '/both': { tools: 'users__*' },
          },
        },
        { frontEnd },
      );
      const origin = gateway.url.replace(/\/mcp$/, '');
      const list = async (path: string, method = 'tools/list') => {
        const { message } = await modernRpc(origin + path, method);
        return names(message.result.tools ?? message.result.resources ?? message.result.prompts);
      };
      await eventually('all lists', async () => (await list('/mcp')).length === 5);
      assert.deepEqual(await list('/mcp'), ['users__get', 'users__create', 'users__drop', 'files__get', 'files__read']);
      assert.deepEqual(await list('/both'), ['users__get', 'users__create', 'users__drop']);
      assert.deepEqual(await list('/both', 'prompts/list'), ['users__greet', 'files__greet']);
      assert.deepEqual(await list('/files/mcp', 'resources/list'), ['files://one']);
      assert.deepEqual(await list('/files'), ['get', 'read']);
      const expected = ['get', 'create'];
      for (const path of ['/users', '/users/', '/users/mcp', '/users/mcp/'])
        assert.deepEqual(await list(path), expected);

      const text = async (path: string, name: string) => {
        const { message } = await modernRpc(origin + path, 'tools/call', { name, arguments: {} });
        return message.result?.content[0].text ?? message.error.code;
      };
      assert.equal(await text('/users/mcp', 'create'), 'create');
      assert.equal(await text('/users/mcp', 'drop'), -32602, 'not in the view');
      assert.equal(await text('/users/mcp', 'users:drop'), -32602, 'nor by its address');
      assert.equal(await text('/users/mcp', 'files__read'), -32602);
      assert.equal(await text('/users/mcp', 'read'), -32602);
      assert.equal(await text('/files', 'get'), 'get');
      assert.equal(await text('/mcp', 'users__drop'), 'drop');
      const read = (path: string, uri: string) => modernRpc(origin + path, 'resources/read', { uri });
      assert.equal((await read('/users/mcp', 'users://one')).message.result.contents[0].text, 'users://one');
      const other = (await read('/users/mcp', 'files://one')).message;
      assert.equal(other.result?.contents[0].text ?? '', 'users://one', 'the server of the view was asked, no other');

      const session = await openSession(`${origin}/users/mcp`);
      assert.deepEqual(names((await session.request('tools/list')).message.result.tools), expected);
      const v1 = await connectV1(scope, `${origin}/users/mcp`);
      assert.deepEqual(names((await v1.listTools()).tools), expected);
      const socket = await openWebSocket(scope, `${origin}/users`);
      await initialize(socket);
      assert.deepEqual(names((await socket.request('tools/list')).result.tools), expected);
      const { Client } = await import('@modelcontextprotocol/sdk/client/index.js');
      const sse = new Client({ name: 'test', version: '1' });
      scope.after(() => sse.close());
      await sse.connect(sdkTransport.sse(`${origin}/users`));
      assert.deepEqual(names((await sse.listTools()).tools), expected);
      const rest = await rpc(`${origin}/users/tools`, undefined, {}, { method: 'GET' });
      assert.deepEqual(names(JSON.parse(rest.text).tools), expected);
      assert.equal((await rpc(`${origin}/users/elsewhere`, {})).status, 404);
      assert.equal((await rpc(`${origin}/usersmcp`, {})).status, 404);
    });

    it('need their scopes for every request, and have providers of their own', async (scope) => {
      const ops = await upstream(scope, ['drop'], 'ops://one');
      const views = { '/ops/mcp': { requiredScopes: ['admin'] }, '/same': {}, ...ownAuth };
      const routes = [{ match: { tools: '*', paths: '/team/mcp' }, requiredScopes: 'team' }];
      const gateway = await startGateway(
        scope,
        { auth, mcpServers: { ops: { url: ops.url } }, routes, views },
        { frontEnd },
      );
      const url = gateway.url.replace(/\/mcp$/, '/ops/mcp');
      for (const method of ['tools/list', 'server/discover', 'tools/call']) {
        const refused = await modernRpc(url, method, { name: 'ops__drop', arguments: {} }, { headers: as('low') });
        assert.equal(refused.status, 403, method);
        assert.match(refused.headers.get('www-authenticate') ?? '', /error="insufficient_scope".*scope="admin"/);
      }
      assert.equal((await modernRpc(url, 'tools/list', {}, { headers: as('high') })).status, 200);
      assert.equal((await modernRpc(gateway.url, 'tools/list', {}, { headers: as('low') })).status, 200);
      await checkOwnAuth(gateway.origin);

      // A reload that takes the providers of a view away ends who came in by them.
      const twin = { authorization: 'Bearer low-token-of-the-twin' };
      const socket = await openWebSocket(scope, `${gateway.origin}/twin`, twin);
      const config = JSON.parse(await readFile(gateway.configFile, 'utf8'));
      const { '/open': _, ...kept } = config.views;
      await writeFile(gateway.configFile, JSON.stringify({ ...config, views: { ...kept, '/twin/mcp': {} } }));
      gateway.process.child.kill('SIGHUP');
      await eventually('the connection is closed', () => socket.closed);
      const status = async (path: string, headers: Record<string, string>) =>
        (await modernRpc(gateway.origin + path, 'tools/list', {}, { headers })).status;
      assert.equal(await status('/twin', twin), 401);
      assert.equal(await status('/twin', as('low')), 200);
      assert.equal(await status('/team', { 'x-team-key': 'team-key-of-low' }), 200);
      assert.equal(await status('/open', {}), 404);
    });

    it('what a client may not call is not listed, and answers as what does not exist', async (scope) => {
      const ops = await upstream(scope, ['drop', 'look', 'make'], 'ops://secret');
      const gateway = await startGateway(
        scope,
        {
          auth,
          mcpServers: { ops: { url: ops.url }, more: { url: (await upstream(scope, ['x'], 'more://one')).url } },
          catalog: { pageSize: 2 },
          views: { '/drop': { tools: 'ops__drop', prompts: 'none', resources: 'ops://*' } },
          routes: [
            { name: 'admin', match: { tools: 'ops__drop', resources: 'ops://*' }, requiredScopes: ['admin'] },
            { name: 'shown', match: { tools: 'ops__make' }, requiredScopes: ['admin'], whenDenied: 'challenge' },
          ],
        },
        { frontEnd },
      );
      const ask = (who: 'low' | 'high', method: string, params: Record<string, unknown> = {}) =>
        modernRpc(gateway.url, method, params, { headers: as(who) });
      const pages = async (who: 'low' | 'high'): Promise<string[][]> => {
        const found: string[][] = [];
        for (let cursor: string | undefined; ; ) {
          const { message } = await ask(who, 'tools/list', cursor === undefined ? {} : { cursor });
          assert.equal(message.result.cacheScope, 'private');
          found.push(names(message.result.tools));
          cursor = message.result.nextCursor;
          if (cursor === undefined) return found;
        }
      };
      await eventually('all lists', async () => (await pages('high')).flat().length === 4);
      assert.deepEqual(await pages('high'), [
        ['ops__drop', 'ops__look'],
        ['ops__make', 'more__x'],
      ]);
      const shown = [['ops__look', 'ops__make'], ['more__x']];
      for (let time = 0; time < 3; time += 1) assert.deepEqual(await pages('low'), shown);
      const legacy = await openSession(gateway.url, { headers: as('low') });
      assert.deepEqual(names((await legacy.request('tools/list')).message.result.tools), shown[0]);
      assert.deepEqual(names((await ask('low', 'resources/list')).message.result.resources), ['more://one']);
      assert.deepEqual(names((await ask('high', 'resources/list')).message.result.resources), [
        'ops://secret',
        'more://one',
      ]);

      // Nobody is told of a server of which it may call nothing; `more` offers nothing in that view, so it has nothing to hide.
      const toldOf = async (who: 'low' | 'high', path: string) => {
        const url = gateway.url.replace(/\/mcp$/, path);
        const modern = (await modernRpc(url, 'server/discover', {}, { headers: as(who) })).message.result;
        const { message } = (await openSession(url, { headers: as(who) })).initialized;
        assert.equal(message.result.instructions, modern.instructions, `${who} at ${path}`);
        return ['ops://secret', 'more://one'].filter((uri) => (modern.instructions ?? '').includes(`use ${uri}`));
      };
      assert.deepEqual(await toldOf('low', '/mcp'), ['ops://secret', 'more://one'], 'some of ops may be called');
      for (let time = 0; time < 2; time += 1) {
        assert.deepEqual(await toldOf('high', '/drop'), ['ops://secret', 'more://one']);
        assert.deepEqual(await toldOf('low', '/drop'), ['more://one']);
      }

      const answer = async (who: 'low' | 'high', name: string) => {
        const { headers, status, text } = await ask(who, 'tools/call', { name, arguments: {} });
        const kept = [...headers].filter(([header]) => header !== 'date');
        return JSON.stringify([status, kept, text])
          .replaceAll(name, 'NAME')
          .replace(/\\"correlationId.*?,?\}/, '}');
      };
      const unknown = await answer('low', 'ops__xxxx');
      for (const name of ['ops__drop', 'ops:drop']) {
        assert.equal(await answer('low', name), name.includes(':') ? await answer('low', 'ops:xxxx') : unknown);
        assert.equal(await answer('low', name), await answer('low', name.replace('drop', 'xxxx')));
      }
      assert.notEqual(await answer('high', 'ops__drop'), unknown);
      const secret = await ask('low', 'resources/read', { uri: 'ops://secret' });
      const missing = await ask('low', 'resources/read', { uri: 'ops://absent' });
      const shape = (text: string): string => text.replace(/"correlationId":"[^"]*"/, '').replace('secret', 'absent');
      assert.equal(shape(secret.text), shape(missing.text));
      const reference = { type: 'ref/resource', uri: 'ops://secret' };
      const completion = { ref: reference, argument: { name: 'a', value: '' } };
      assert.equal(
        (await ask('low', 'completion/complete', completion)).message.error.data.code,
        'GW_UNKNOWN_RESOURCE',
      );
      const challenged = await ask('low', 'tools/call', { name: 'ops__make', arguments: {} });
      assert.equal(challenged.status, 403);
      assert.match(challenged.headers.get('www-authenticate') ?? '', /scope="admin"/);
    });
  });
}
