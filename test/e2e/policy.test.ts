/** Who may do what, how often, and what is answered from memory; through a running gateway. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { SignJWT } from 'jose';
import { startGateway } from '../support/gateway.js';
import { eventually } from '../support/process.js';
import { rawUpstream } from '../support/raw-upstream.js';
import { modernRpc, openSession, rpc } from '../support/rpc.js';

const SECRET = 'a secret of at least thirty-two characters';
const call = (name = 'raw__call', args: object = {}): object => ({
  jsonrpc: '2.0',
  id: 1,
  method: 'tools/call',
  params: { name, arguments: args },
});

async function token(scope: string, subject = 'ada', claims: object = {}): Promise<string> {
  return new SignJWT({ scope, ...claims })
    .setProtectedHeader({ alg: 'HS256' })
    .setSubject(subject)
    .setIssuer('https://issuer.example')
    .setAudience('https://gateway.example/mcp')
    .setExpirationTime('5m')
    .sign(Buffer.from(SECRET));
}

const jwt = {
  type: 'jwt',
  algorithms: ['HS256'],
  secret: SECRET,
  issuer: 'https://issuer.example',
  audience: 'https://gateway.example/mcp',
  resourceMetadata: 'https://gateway.example/.well-known/oauth-protected-resource',
};

const bearer = {
  type: 'bearer',
  tokens: {
    low: { token: 'low-token-of-some-length', scopes: ['user'] },
    high: { token: 'high-token-of-some-length', scopes: ['admin'] },
  },
};

describe('patterns of routes, end to end', () => {
  const as = (who: 'low' | 'high') => ({ authorization: `Bearer ${who}-token-of-some-length` });

  for (const frontEnd of ['uws', 'node'] as const) {
    it(`protect what stands below a resource, and own names of a server, on ${frontEnd}`, async (scope) => {
      const tools = [{ name: 'admin_drop', inputSchema: { type: 'object' } }];
      const upstream = await rawUpstream(
        scope,
        ({ message }, answer) => {
          if (message.method === 'resources/list') answer.result({ resources: [{ uri: 'data://x', name: 'x' }] });
          else if (message.method === 'resources/templates/list') answer.result({ resourceTemplates: [] });
          else if (message.method === 'resources/read') answer.result({ contents: [] });
          else answer.result({ content: [{ type: 'text', text: message.params.name }] });
        },
        { tools, capabilities: { resources: {} } },
      );
      const gateway = await startGateway(
        scope,
        {
          auth: bearer,
          mcpServers: { ops: { url: upstream.url }, other: { url: upstream.url } },
          routes: [
            {
              name: 'data',
              match: { resources: 'data://*' },
              servers: 'ops',
              requiredScopes: 'admin',
              whenDenied: 'challenge',
            },
            {
              name: 'ops',
              match: { tools: 'admin_*' },
              servers: 'ops',
              requiredScopes: 'admin',
              whenDenied: 'challenge',
            },
            { name: 'nothing', match: { tools: 'gone_*' }, requiredScopes: 'admin', whenDenied: 'challenge' },
            { name: 'rest', match: { tools: '**' } },
          ],
          rateLimits: { perTool: [{ tools: ['ops__*', 'gone__*'], cost: 2 }] },
          cache: { tools: true, patterns: ['other:*'], exclude: 'gone' },
        },
        { frontEnd },
      );
      await eventually('all tools', async () => {
        const { message } = await modernRpc(gateway.url, 'tools/list', {}, { headers: as('low') });
        return message.result.tools.length === 2;
      });
      const ask = async (who: 'low' | 'high', method: string, params: Record<string, unknown>) =>
        (await modernRpc(gateway.url, method, params, { headers: as(who) })).message;
      for (const name of ['ops__admin_drop', 'ops:admin_drop']) {
        assert.equal((await ask('low', 'tools/call', { name })).error?.data.code, 'GW_INSUFFICIENT_SCOPE', name);
        assert.equal((await ask('high', 'tools/call', { name })).result?.content[0].text, 'admin_drop', name);
      }
      assert.equal(
        (await ask('low', 'tools/call', { name: 'other__admin_drop' })).result?.content[0].text,
        'admin_drop',
      );
      for (const uri of ['data://x', 'data://x/y', 'data://x/y/z?q#f', 'data://X/y']) {
        assert.equal((await ask('low', 'resources/read', { uri })).error?.data.code, 'GW_INSUFFICIENT_SCOPE', uri);
        assert.deepEqual((await ask('high', 'resources/read', { uri })).result?.contents, [], uri);
      }
      const stats = (await (await fetch(`${gateway.adminUrl}/stats`)).json()) as {
        routes: { faults: { route: string; kind: string }[] };
        limiter: { faults: object[] };
        cache: { faults: object[] };
      };
      assert.deepEqual(
        stats.routes.faults.map(({ route, kind }) => [route, kind]),
        [['nothing', 'no-match']],
      );
      const detail = (pattern: string) => `"${pattern}" matches nothing that is offered in the lists of tools`;
      assert.deepEqual(stats.limiter.faults, [{ path: 'rateLimits.perTool[0].tools', detail: detail('gone__*') }]);
      assert.deepEqual(stats.cache.faults, [{ path: 'cache.exclude', detail: detail('gone') }]);
      await eventually('the log', () => /route nothing matches nothing that is offered/.test(gateway.output));
      for (const text of ['rateLimits.perTool[0].tools: ', 'cache.exclude: ']) {
        assert.equal(gateway.output.split(text).length, 2, 'it is logged once');
      }
    });
  }

  it('go to the servers of later routes with the same match when the first one is down', async (scope) => {
    const tools = [{ name: 'find', inputSchema: { type: 'object' }, annotations: { readOnlyHint: true } }];
    const answering = (text: string) =>
      rawUpstream(scope, (_request, answer) => answer.result({ content: [{ type: 'text', text }] }), { tools });
    const [first, second] = [await answering('first'), await answering('second')];
    const match = { tools: ['first__find'] };
    const gateway = await startGateway(scope, {
      mcpServers: { first: { url: first.url }, second: { url: second.url } },
      routes: [
        { match, servers: 'first' },
        { match, servers: 'second' },
      ],
    });
    const find = async () => {
      const { message } = await modernRpc(gateway.url, 'tools/call', { name: 'first__find', arguments: {} });
      return message.result?.content[0].text;
    };
    await eventually('both are listed', async () => {
      const { message } = await modernRpc(gateway.url, 'tools/list');
      return message.result.tools.length === 2;
    });
    assert.equal(await find(), 'first');
    await first.close();
    await eventually('the second one answers', async () => (await find()) === 'second');
  });
});

describe('policy, end to end', () => {
  it('asks for a token, tells what is wrong with it, and binds sessions to their subject', async (scope) => {
    const upstream = await rawUpstream(scope, (_request, answer) => answer.result({ content: [] }));
    const gateway = await startGateway(scope, {
      auth: jwt,
      mcpServers: { raw: { url: upstream.url } },
      routes: [
        { name: 'guarded', match: { tools: ['raw__call'] }, requiredScopes: ['tools:call'], whenDenied: 'challenge' },
      ],
    });
    const bare = await rpc(gateway.url, { jsonrpc: '2.0', id: 1, method: 'ping' });
    assert.equal(bare.status, 401);
    assert.equal(bare.headers.get('www-authenticate'), `Bearer resource_metadata="${jwt.resourceMetadata}"`);
    const wrong = await rpc(
      gateway.url,
      { jsonrpc: '2.0', id: 1, method: 'initialize', params: { protocolVersion: '2025-11-25' } },
      {
        authorization: 'Bearer not.a.token',
      },
    );
    assert.equal(wrong.status, 401);
    assert.match(wrong.headers.get('www-authenticate') ?? '', /error="invalid_token"/);

    const ada = { authorization: `Bearer ${await token('tools:call')}` };
    const session = await openSession(gateway.url, { headers: ada });
    await eventually('the tool is there', async () => {
      const { message } = await session.request('tools/list');
      return message.result.tools.length > 0;
    });
    assert.equal((await rpc(gateway.url, call(), session.headers)).status, 200);

    const narrow = { ...session.headers, authorization: `Bearer ${await token('other')}` };
    const refused = await rpc(gateway.url, call(), narrow);
    assert.equal(refused.status, 403);
    assert.match(refused.headers.get('www-authenticate') ?? '', /error="insufficient_scope".*scope="tools:call"/);

    const bob = { ...session.headers, authorization: `Bearer ${await token('tools:call', 'bob')}` };
    const stolen = await rpc(gateway.url, call(), bob);
    assert.equal(stolen.status, 404, 'a session of somebody else does not exist');
    assert.equal(stolen.message.error.data.code, 'GW_SESSION_NOT_FOUND');
    assert.equal(upstream.received('tools/call').length, 1);
  });

  it('grants exactly the capacity of a bucket, with 4 workers and remembered verdicts', async (scope) => {
    const upstream = await rawUpstream(scope, (_request, answer) => answer.result({ content: [] }));
    const gateway = await startGateway(scope, {
      workers: 4,
      mcpServers: { raw: { url: upstream.url } },
      rateLimits: { perTool: [{ tools: ['raw__call'], rate: 0.001, burst: 37 }] },
    });
    const sessions = await Promise.all(Array.from({ length: 8 }, () => openSession(gateway.url)));
    await eventually('the tool is there', async () => {
      const { message } = await sessions[0]!.request('tools/list');
      return message.result.tools.length > 0;
    });
    const replies = await Promise.all(
      Array.from({ length: 200 }, (_, index) => rpc(gateway.url, call(), sessions[index % 8]!.headers)),
    );
    const granted = replies.filter(({ status }) => status === 200);
    const limited = replies.filter(({ status }) => status === 429);
    assert.equal(granted.length, 37);
    assert.equal(limited.length, 163);
    assert.ok(limited.every(({ headers }) => Number(headers.get('retry-after')) >= 1));
    assert.ok(limited.every(({ message }) => message.error.data.code === 'GW_RATE_LIMITED'));
    assert.equal(upstream.received('tools/call').length, 37);
  });

  it('caches marked tools per principal, lets callers share one upstream call, and keeps no errors', async (scope) => {
    let answers = 0;
    const upstream = await rawUpstream(scope, (request, answer) => {
      answers += 1;
      const serial = answers;
      const failing = request.message.params.arguments.fail === true;
      setTimeout(() => answer.result({ content: [{ type: 'text', text: `answer ${serial}` }], isError: failing }), 60);
    });
    const tokens = {
      type: 'bearer',
      tokens: [
        { token: 'token-of-ada', subject: 'ada' },
        { token: 'token-of-bob', subject: 'bob' },
      ],
    };
    const gateway = await startGateway(scope, {
      auth: tokens,
      workers: 2,
      cache: { enabled: true },
      mcpServers: { raw: { url: upstream.url } },
      routes: [{ name: 'cached', match: { tools: ['raw__read'] }, cache: { ttlMs: 60_000 } }],
    });
    const ask = (who: string, args: object) =>
      modernRpc(
        gateway.url,
        'tools/call',
        { name: 'raw__read', arguments: args },
        {
          headers: { authorization: `Bearer token-of-${who}` },
        },
      );
    await eventually('the tool is there', async () => (await ask('ada', { warm: 1 })).message?.result !== undefined);
    const before = upstream.received('tools/call').length;
    const together = await Promise.all(Array.from({ length: 20 }, () => ask('ada', { key: 'a' })));
    assert.equal(new Set(together.map(({ message }) => message.result.content[0].text)).size, 1);
    assert.equal(upstream.received('tools/call').length - before, 1, 'identical calls share one upstream call');
    assert.equal(together[0]!.message.result.resultType, 'complete');
    await ask('ada', { key: 'a' });
    assert.equal(upstream.received('tools/call').length - before, 1, 'a hit');
    await ask('bob', { key: 'a' });
    assert.equal(upstream.received('tools/call').length - before, 2, 'another principal has an entry of its own');
    await ask('ada', { fail: true });
    await ask('ada', { fail: true });
    assert.equal(upstream.received('tools/call').length - before, 4, 'failures are not kept');
  });
});
