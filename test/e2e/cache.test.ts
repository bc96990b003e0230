/** The response cache through a running gateway: what is stored, for how long and for whom, and what drops it. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { idle, statsOf } from '../faults/observe.js';
import { startGateway } from '../support/gateway.js';
import { eventually } from '../support/process.js';
import { type RawUpstream, rawUpstream, type Script } from '../support/raw-upstream.js';
import { modernRpc, openSession, type RpcReply } from '../support/rpc.js';

const tool = (name: string, annotations: object = {}) => ({ name, inputSchema: { type: 'object' }, annotations });
const SAFE = { readOnlyHint: true, idempotentHint: true };
/** What a server asks a user (2026-07-28). */
const ASKING = {
  q: { method: 'elicitation/create', params: { message: '?', requestedSchema: { type: 'object', properties: {} } } },
};
const TOOLS = [tool('read', SAFE), tool('peek', { readOnlyHint: true }), tool('write'), tool('secret_read', SAFE)];

/** Answers each call with the number of calls so far, which tells answers apart. */
function counting(headers: Record<string, string> = {}, more: object = {}): Script {
  let calls = 0;
  return (request, answer) => {
    calls += 1;
    if (request.message?.method === 'resources/list') answer.result({ resources: [], ...more });
    else if (request.message?.method === 'prompts/list') answer.result({ prompts: [], ...more });
    else if (request.message?.method === 'resources/templates/list') answer.result({ resourceTemplates: [], ...more });
    else if (request.message?.method === 'resources/read')
      answer.result({ contents: [{ uri: request.message.params.uri, text: `call ${calls}` }], ...more }, headers);
    else answer.result({ content: [{ type: 'text', text: `call ${calls}` }], ...more }, headers);
  };
}

/** What an answer says: `call N`. */
function textOf({ message, text }: RpcReply): string {
  const [item] = message?.result?.content ?? message?.result?.contents ?? [];
  return item?.text ?? text;
}

const callsOf = (upstream: RawUpstream): number => upstream.received('tools/call').length;

describe('the response cache', () => {
  it('stores tools that are read-only and idempotent, and nothing else without a pattern', async (scope) => {
    const upstream = await rawUpstream(scope, counting(), { tools: TOOLS });
    const gateway = await startGateway(scope, {
      mcpServers: { raw: { url: upstream.url } },
      cache: { tools: true, exclude: ['*__secret_*'], headers: true, meta: true },
    });
    const session = await openSession(gateway.url);
    const call = (name: string, args = '{}') =>
      session.request('tools/call', { name, arguments: JSON.parse(args) as object });
    const first = await call('raw__read');
    assert.equal(first.headers.get('cache-status'), 'switchyard; fwd=miss');
    assert.equal(first.message.result._meta, undefined);
    const second = await call('raw__read');
    assert.equal(textOf(second), textOf(first));
    assert.match(second.headers.get('cache-status') ?? '', /^switchyard; hit; ttl=(59|60)$/);
    assert.equal(second.headers.get('age'), '0');
    const about = second.message.result._meta['switchyard/cache'];
    assert.equal(about.status, 'hit');
    assert.ok(about.ageMs >= 0 && about.ttlMs > 50_000 && about.ttlMs <= 60_000, JSON.stringify(about));
    for (const name of ['raw__peek', 'raw__write', 'raw__secret_read']) {
      const [one, two] = [await call(name), await call(name)];
      assert.notEqual(textOf(one), textOf(two), name);
      assert.equal(one.headers.get('cache-status'), null);
    }
    const spelled = '{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"arguments":ARGS,"name":"raw__read"}}';
    const post = async (args: string) => {
      const response = await fetch(gateway.url, {
        method: 'POST',
        headers: { 'content-type': 'application/json', accept: 'application/json', ...session.headers },
        body: spelled.replace('ARGS', () => args),
      });
      return { response, body: (await response.json()) as { id: number; result: { content: { text: string }[] } } };
    };
    const { body } = await post('{"a":{"x":1,"y":"é"},"b":[1, 2]}');
    const again = await post('{ "b" : [1,2],\n"a":{"y":"\\u00e9","x":1} }');
    assert.deepEqual([again.body.id, again.body.result.content], [7, body.result.content]);
    assert.match(again.response.headers.get('cache-status') ?? '', /hit/);
    const other = await post('{"b":[1,2],"a":{"y":"é","x":1.0}}');
    assert.notDeepEqual(other.body.result.content, body.result.content);
    // A call with a member that the gateway does not know, as a task, may have another answer.
    const before = callsOf(upstream);
    await session.request('tools/call', { name: 'raw__read', arguments: {}, extension: 1 });
    assert.equal(callsOf(upstream), before + 1);
    const stats = (await (await fetch(`${gateway.adminUrl}/stats`)).json()) as {
      cache: { hits: number; hitRate: number };
    };
    assert.equal(stats.cache.hits, 2);
    assert.equal(stats.cache.hitRate, 0.4);
  });

  it('follows Cache-Control of JSON responses, and not that of event streams', async (scope) => {
    const upstream = await rawUpstream(scope, counting(), { tools: TOOLS });
    const gateway = await startGateway(scope, {
      mcpServers: { raw: { url: upstream.url } },
      cache: { tools: true, patterns: ['raw__*'], public: true, headers: true },
    });
    const session = await openSession(gateway.url);
    const read = (n: number) => session.request('tools/call', { name: 'raw__read', arguments: { n } });
    upstream.script(counting({ 'cache-control': 'max-age=600', age: '100' }));
    await read(1);
    assert.match((await read(1)).headers.get('cache-status') ?? '', /^switchyard; hit; ttl=(499|500)$/);
    for (const [n, value] of ['no-store', 'private', 'no-cache', 'max-age=0', 's-maxage=0, max-age=60'].entries()) {
      upstream.script(counting({ 'cache-control': value }));
      const answers = [await read(n + 2), await read(n + 2), await read(n + 2)].map(textOf);
      assert.equal(new Set(answers).size, 3, value);
    }
    upstream.script((request, answer) => {
      const stream = answer.sse({ 'cache-control': 'no-cache, no-store' });
      stream.event({ jsonrpc: '2.0', id: request.message.id, result: { content: [{ type: 'text', text: 'event' }] } });
      stream.end();
    });
    await read(20);
    const before = callsOf(upstream);
    assert.equal(textOf(await read(20)), 'event');
    assert.equal(callsOf(upstream), before);
  });

  for (const family of ['legacy', 'modern'] as const) {
    it(`makes no client wait for an answer that is fetched anew from a ${family} server`, async (scope) => {
      const held: (() => void)[] = [];
      const answering =
        (text: string): Script =>
        (_request, answer) => {
          const more = family === 'modern' ? { resultType: 'complete' } : {};
          const head = { 'cache-control': 'max-age=0, stale-while-revalidate=600' };
          answer.result({ content: [{ type: 'text', text }], ...more }, head);
        };
      const hold = (text: string) =>
        upstream.script((...call) => {
          held.push(() => void answering(text)(...call));
        });
      const release = () => {
        for (const answer of held.splice(0)) answer();
      };
      const upstream = await rawUpstream(scope, answering('none'), { tools: TOOLS, family });
      const gateway = await startGateway(scope, {
        mcpServers: { raw: { url: upstream.url } },
        cache: { tools: true, headers: true, meta: true },
      });
      const session = await openSession(gateway.url);
      const sse = { headers: { accept: 'text/event-stream' } };
      const clients: Record<string, (params: Record<string, unknown>) => Promise<RpcReply>> = {
        legacy: (params) => session.request('tools/call', params),
        modern: (params) => modernRpc(gateway.url, 'tools/call', params),
        'one that takes event streams only': (params) => session.request('tools/call', params, sse),
      };
      let requests = 0;
      for (const [name, call] of Object.entries(clients)) {
        const read = () => {
          requests += 1;
          return call({ name: 'raw__read', arguments: { name } });
        };
        upstream.script(answering('one'));
        assert.equal(textOf(await read()), 'one');
        hold('two');
        const reply = await read();
        assert.equal(textOf(reply), 'one', name);
        assert.match(reply.headers.get('cache-status') ?? '', /^switchyard; hit; ttl=(?:0|-[1-9]\d*)$/);
        assert.equal(reply.message.result._meta['switchyard/cache'].status, 'stale');
        await eventually('a call for the answer', () => held.length === 1);
        assert.equal(textOf(await read()), 'one');
        assert.equal(held.length, 1, 'one call at a time');
        release();
        await eventually('the new answer', async () => textOf(await read()) === 'two');
        upstream.script(answering('two'));
        release();
        await idle(gateway);
      }
      const useless: Script[] = [
        (_request, answer) => answer.result({ content: [], isError: true, resultType: 'complete' }),
        (_request, answer) => answer.result({ resultType: 'input_required', inputRequests: ASKING }),
        (_request, answer) => answer.reset(),
      ];
      for (const script of useless.slice(family === 'modern' ? 0 : 2)) {
        upstream.script(script);
        for (const [name, call] of Object.entries(clients)) {
          requests += 1;
          const reply = await call({ name: 'raw__read', arguments: { name } });
          assert.equal(textOf(reply), 'two', 'although there is no new one');
        }
        await idle(gateway);
      }
      const { requests: counted } = await statsOf(gateway);
      assert.deepEqual(counted.byMethod['tools/call'], { ok: requests });
    });
  }

  it('serves an older answer when the upstream fails, where a rule or the upstream allows it', async (scope) => {
    const upstream = await rawUpstream(scope, counting({ 'cache-control': 'max-age=0, stale-if-error=600' }), {
      tools: TOOLS,
    });
    const gateway = await startGateway(scope, {
      mcpServers: { raw: { url: upstream.url } },
      cache: { tools: true, headers: true },
    });
    const session = await openSession(gateway.url);
    const read = (n = 0) => session.request('tools/call', { name: 'raw__read', arguments: { n } });
    const first = textOf(await read());
    const second = textOf(await read());
    assert.notEqual(first, second, 'it is stale at once');
    upstream.script((_request, answer) => answer.reset());
    for (let i = 0; i < 3; i += 1) {
      const reply = await read();
      assert.equal(textOf(reply), second);
      // Whole seconds: 0 within the first one.
      assert.match(
        reply.headers.get('cache-status') ?? '',
        /^switchyard; hit; ttl=(?:0|-[1-9]\d*); detail=upstream-failed$/,
      );
    }
    assert.match((await read(1)).message.error.data.code, /^GW_UPSTREAM_/, 'there is no older answer to this one');
  });

  it('keeps to ttlMs and cacheScope of modern upstreams, and says what is left', async (scope) => {
    const script = counting({}, { ttlMs: 300_000, cacheScope: 'public', resultType: 'complete' });
    const upstream = await rawUpstream(scope, script, { family: 'modern', capabilities: { resources: {} } });
    const gateway = await startGateway(scope, {
      mcpServers: { raw: { url: upstream.url } },
      auth: { type: 'bearer', tokens: { ann: { token: 'token-of-ann-0000' }, bob: { token: 'token-of-bob-0000' } } },
      cache: { resources: true, ttlMs: 1_000, public: true, meta: true },
    });
    const read = (who: string, uri: string) =>
      modernRpc(gateway.url, 'resources/read', { uri }, { headers: { authorization: `Bearer token-of-${who}-0000` } });
    const first = await read('ann', 'test://a');
    assert.equal(first.message.result.ttlMs, 300_000);
    const second = await read('bob', 'test://a');
    assert.equal(textOf(second), textOf(first), 'it is public');
    const { ttlMs, _meta, cacheScope } = second.message.result;
    assert.ok(ttlMs <= 300_000 && ttlMs > 200_000, String(ttlMs));
    assert.equal(_meta['switchyard/cache'].ttlMs, ttlMs);
    assert.equal(cacheScope, 'public');
    for (const hints of [
      { cacheScope: 'private', ttlMs: 300_000 },
      { cacheScope: 'public', ttlMs: 0 },
    ]) {
      const uri = `test://${hints.cacheScope}`;
      upstream.script(counting({}, { resultType: 'complete', ...hints }));
      const answers = [await read('ann', uri), await read('bob', uri), await read('ann', uri)].map(textOf);
      assert.equal(new Set(answers).size, 3, JSON.stringify(hints));
    }
  });

  it('keeps the form of the family of the client, wherever the id stands', async (scope) => {
    const upstream = await rawUpstream(scope, counting(), { tools: TOOLS });
    const gateway = await startGateway(scope, {
      mcpServers: { raw: { url: upstream.url } },
      cache: { tools: true, meta: true },
    });
    for (const [n, order] of ['id first', 'result first'].entries()) {
      upstream.script(({ message: { id } }, answer) => {
        const result = { content: [{ type: 'text', text: order }] };
        answer.json(JSON.stringify(n === 0 ? { jsonrpc: '2.0', id, result } : { result, jsonrpc: '2.0', id }));
      });
      const read = (id: string | number) =>
        modernRpc(gateway.url, 'tools/call', { name: 'raw__read', arguments: { n } }, { id });
      const first = await read('an id that is longer than that of the upstream');
      const second = await read(1);
      assert.equal(second.message.id, 1);
      assert.equal(second.message.result._meta['switchyard/cache'].status, 'hit');
      assert.equal(second.message.result.resultType, 'complete');
      assert.deepEqual(second.message.result.content, first.message.result.content);
      assert.equal(textOf(second), order);
    }
  });

  it('drops what operators, changed resources and changed lists concern, and nothing else', async (scope) => {
    const capabilities = { resources: { subscribe: true, listChanged: true }, tools: { listChanged: true } };
    const notices: ((message: object) => void)[] = [];
    const options = {
      capabilities,
      tools: null,
      streams: (_request, answer) => {
        const { event } = answer.sse();
        notices.push((message) => event({ jsonrpc: '2.0', ...message }));
      },
    } satisfies Parameters<typeof rawUpstream>[2];
    let tools = [tool('read', SAFE), tool('other', SAFE)];
    const script = (): Script => {
      const count = counting();
      return (request, answer) => {
        if (request.message?.method === 'tools/list') return answer.result({ tools });
        return count(request, answer);
      };
    };
    const [raw, second] = [await rawUpstream(scope, script(), options), await rawUpstream(scope, script())];
    const gateway = await startGateway(scope, {
      mcpServers: { raw: { url: raw.url }, second: { url: second.url } },
      routes: [{ match: { resources: ['test://*'] }, servers: ['raw'] }],
      cache: { tools: true, resources: true },
    });
    const session = await openSession(gateway.url);
    const answers = async () => [
      textOf(await session.request('tools/call', { name: 'raw__read', arguments: {} })),
      textOf(await session.request('tools/call', { name: 'raw__other', arguments: {} })),
      textOf(await session.request('tools/call', { name: 'second__read', arguments: {} })),
      textOf(await session.request('resources/read', { uri: 'test://a' })),
      textOf(await session.request('resources/read', { uri: 'test://b' })),
    ];
    /** Which of the answers differ from those before. */
    let last = await answers();
    const changed = async (): Promise<boolean[]> => {
      const now = await answers();
      const different = now.map((text, index) => text !== last[index]);
      last = now;
      return different;
    };
    const purge = async (body: unknown) => {
      const headers = { 'content-type': 'application/json' };
      const response = await fetch(`${gateway.adminUrl}/cache/purge`, {
        method: 'POST',
        headers,
        body: JSON.stringify(body),
      });
      return [response.status, await response.json()];
    };
    assert.deepEqual(await changed(), [false, false, false, false, false]);
    assert.deepEqual(await purge({ tool: 'raw:read' }), [200, { done: true }]);
    assert.deepEqual(await changed(), [true, false, false, false, false], 'by another name of the tool');
    await purge({ uri: 'TEST://b' });
    assert.deepEqual(await changed(), [false, false, false, false, true], 'by another spelling of the URI');
    await purge({ server: 'second' });
    assert.deepEqual(await changed(), [false, false, true, false, false]);
    await purge({ principal: 'nobody' });
    assert.deepEqual(await changed(), [false, false, false, false, false]);
    await purge({});
    assert.deepEqual(await changed(), [true, true, true, true, true]);
    for (const wrong of [[], { server: 'none' }, { tool: 'a', uri: 'b' }, { toool: 'a' }, { tool: 1 }, 7]) {
      assert.equal((await purge(wrong))[0], 400, JSON.stringify(wrong));
    }
    await session.request('resources/subscribe', { uri: 'test://a' });
    const notify = (message: object) => {
      for (const send of notices) send(message);
    };
    await eventually('the resource is read again', async () => {
      notify({ method: 'notifications/resources/updated', params: { uri: 'test://a' } });
      const [, , , isNew, ...others] = await changed();
      assert.deepEqual(others, [false]);
      return isNew;
    });
    tools = [tool('read', { ...SAFE, title: 'changed' }), tool('other', SAFE)];
    notify({ method: 'notifications/tools/list_changed' });
    const ever = [false, false, false];
    await eventually('both tools of that server are called again', async () => {
      const different = await changed();
      for (const index of ever.keys()) ever[index] ||= different[index] ?? false;
      return ever[0] && ever[1];
    });
    assert.equal(ever[2], false, 'the tool of the other server is not');
  });

  it('never gives an answer to another principal or another value of an included header', async (scope) => {
    const upstream = await rawUpstream(scope, counting(), { tools: TOOLS });
    const tokens = Object.fromEntries(['ann', 'bob', 'carl'].map((who) => [who, { token: `token-of-${who}-0000` }]));
    const gateway = await startGateway(scope, {
      workers: 2,
      mcpServers: { raw: { url: upstream.url } },
      auth: { type: 'bearer', tokens },
      cache: { tools: true, includeHeaders: ['X-User-ID'] },
    });
    const seen = new Map<string, string>();
    const calls = Array.from({ length: 240 }, (_, i) => {
      const who = ['ann', 'bob', 'carl'][i % 3] ?? '';
      const user = ['', 'u1', 'u2', 'u1,u2'][Math.floor(i / 3) % 4] ?? '';
      const n = Math.floor(i / 12) % 4;
      return { owner: `${who} ${user} ${n}`, who, user, n };
    });
    await Promise.all(
      calls.map(async ({ owner, who, user, n }) => {
        const headers = { authorization: `Bearer token-of-${who}-0000`, ...(user === '' ? {} : { 'x-user-id': user }) };
        const reply = await modernRpc(gateway.url, 'tools/call', { name: 'raw__read', arguments: { n } }, { headers });
        const text = textOf(reply);
        assert.match(text, /^call \d+$/);
        assert.equal(seen.get(text) ?? owner, owner, `${text} was given to two`);
        seen.set(text, owner);
      }),
    );
    assert.equal(seen.size, 48, 'and each has its own answer once');
    assert.equal(callsOf(upstream), 48);
  });
});
