import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Client as ClientV2 } from '@modelcontextprotocol/client';
import { StdioClientTransport as StdioV2 } from '@modelcontextprotocol/client/stdio';
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport as StdioV1 } from '@modelcontextprotocol/sdk/client/stdio.js';
import { rawRequest } from './raw-http.js';
import { rawUpstream } from './raw-upstream.js';
import { modernRpc, openSession, rpc } from './rpc.js';
import { connectV1, connectV2 } from './sdk-clients.js';
import { countingHttp, countingStdio, everythingHttp, filesystemServer, memoryServer } from './upstreams.js';

test('the legacy test server over HTTP keeps sessions and forgets them on demand', async (t) => {
  const upstream = await countingHttp(t, 'legacy');
  const session = await openSession(upstream.url);
  assert.notEqual(session.id, '');
  const reply = await session.request('tools/call', { name: 'echo', arguments: { text: 'hello' } });
  assert.deepEqual(reply.message.result.content, [{ type: 'text', text: 'hello' }]);
  assert.equal(upstream.calls('echo').length, 1);
  await fetch(new URL('/forget', upstream.url), { method: 'POST' });
  assert.equal((await session.request('ping')).status, 404);
});

test('the modern test server over HTTP refuses sessions and reports progress', async (t) => {
  const upstream = await countingHttp(t, 'modern');
  await assert.rejects(openSession(upstream.url));
  const reply = await modernRpc(
    upstream.url,
    'tools/call',
    { name: 'slow', arguments: { ms: 10, steps: 2 } },
    { meta: { progressToken: 'p' } },
  );
  assert.deepEqual(
    reply.messages.map((message) => message.params?.progress ?? message.result.resultType),
    [1, 2, 'complete'],
  );
  await upstream.restart();
  const client = await connectV2(t, upstream.url);
  assert.deepEqual((await client.callTool({ name: 'add', arguments: { a: 1, b: 2 } })).structuredContent, { sum: 3 });
  assert.equal(new Set(upstream.calls().map((call) => call.pid)).size, 2);
});

test('the test servers serve tools, a template, a prompt and a completion over stdio', async (t) => {
  const modern = await countingStdio(t, 'modern');
  const v2 = new ClientV2({ name: 'test', version: '1.0.0' }, { versionNegotiation: { mode: { pin: '2026-07-28' } } });
  t.after(() => v2.close());
  await v2.connect(new StdioV2({ ...modern.entry, stderr: 'ignore' }));
  const legacy = await countingStdio(t, 'legacy');
  const v1 = new ClientV1({ name: 'test', version: '1.0.0' });
  t.after(() => v1.close());
  await v1.connect(new StdioV1({ ...legacy.entry, stderr: 'ignore' }));
  for (const [client, server] of [
    [v1, legacy],
    [v2, modern],
  ] as const) {
    const { tools } = await client.listTools();
    assert.deepEqual(tools.map((tool) => tool.name).sort(), [
      ...['add', 'add_tool', 'echo', 'exit', 'fail', 'hang', 'log', 'slow'],
    ]);
    const read = await client.readResource({ uri: 'test://city/bern' });
    assert.match((read.contents[0] as { text: string }).text, /134000/);
    const prompt = await client.getPrompt({ name: 'greet', arguments: { city: 'basel' } });
    assert.match(JSON.stringify(prompt.messages), /basel/);
    const completion = await client.complete({
      ref: { type: 'ref/resource', uri: 'test://city/{name}' },
      argument: { name: 'name', value: 'b' },
    });
    assert.deepEqual(completion.completion.values, ['basel', 'bern']);
    assert.deepEqual(
      server.calls().map((call) => call.name),
      ['test://city/bern', 'greet'],
    );
  }
});

test('the reference servers start', async (t) => {
  const everything = await everythingHttp(t);
  const client = await connectV1(t, everything.url);
  assert.ok((await client.listTools()).tools.length > 5);
  for (const entry of [filesystemServer(process.cwd()), await memoryServer(t)]) {
    const stdio = new ClientV1({ name: 'test', version: '1.0.0' });
    t.after(() => stdio.close());
    await stdio.connect(new StdioV1({ ...entry, stderr: 'ignore' }));
    assert.ok((await stdio.listTools()).tools.length > 3);
  }
});

test('a raw upstream shakes hands in its family and leaves calls to its script', async (t) => {
  const upstream = await rawUpstream(t, (request, answer) => answer.result({ got: request.message.params }));
  const session = await openSession(upstream.url);
  const reply = await session.request('tools/call', { name: 'call' });
  assert.deepEqual(reply.message.result, { got: { name: 'call' } });
  upstream.script((_request, answer) => answer.reset());
  await assert.rejects(session.request('tools/call', { name: 'call' }));
  assert.equal(upstream.received('tools/call').length, 2);

  const modern = await rawUpstream(t, () => {}, { family: 'modern' });
  assert.equal((await modernRpc(modern.url, 'tools/list')).message.result.tools.length, 2);
  const refused = await rpc(modern.url, { jsonrpc: '2.0', id: 1, method: 'initialize', params: {} });
  assert.equal(refused.message.error.code, -32022);
});

test('a raw request shows every byte of the answer', async (t) => {
  const upstream = await rawUpstream(t, () => {});
  const reply = await rawRequest(upstream.port, ['GET /mcp HTTP/1.1\r\nHo', 'st: x\r\nConnection: close\r\n\r\n']);
  assert.equal(reply.status, 405);
  assert.equal(reply.headers['allow'], 'POST');
  assert.equal(reply.closed, true);
});
