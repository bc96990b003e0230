import assert from 'node:assert/strict';
import { join, resolve } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js';
import { type Started, start } from '../../bench/load/processes.js';
import { createAnswers } from '../../bench/upstreams/answers.js';

const BUILD = resolve(import.meta.dirname, '../..');
const HTTP = join(BUILD, 'bench/upstreams/http.js');
const STDIO = join(BUILD, 'bench/upstreams/stdio.js');

async function useAsClient(transport: Transport): Promise<void> {
  const client = new Client({ name: 'test', version: '1.0.0' });
  await client.connect(transport);
  try {
    const first = await client.listTools();
    assert.equal(first.tools.length, 1000);
    const second = await client.listTools({ cursor: first.nextCursor });
    assert.equal(second.tools.length, 500);
    assert.equal(second.nextCursor, undefined);
    const texts = ['plain', 'quoted "\\" \n', 'é 🚉', ''];
    const results = await Promise.all(
      texts.map((text, index) =>
        client.callTool({ name: index % 2 === 0 ? 'echo' : 'tool_01499', arguments: { text } }),
      ),
    );
    assert.deepEqual(
      results.map(({ content }) => content),
      texts.map((text) => [{ type: 'text', text }]),
    );
    await assert.rejects(client.callTool({ name: 'tool_01500', arguments: { text: '' } }), /Unknown tool/);
    await client.ping();
  } finally {
    await client.close();
  }
}

describe('the upstreams of the benchmarks', () => {
  let http: Started;
  before(async () => {
    http = await start({
      command: process.execPath,
      args: [HTTP, '--tools', '1500', '--sessions'],
      ready: /listening on (\d+)/,
    });
  });
  after(() => http.stop());

  it('serve an SDK client over Streamable HTTP, with a session', async () => {
    const transport = new StreamableHTTPClientTransport(new URL(`http://127.0.0.1:${http.announced}/mcp`));
    await useAsClient(transport as Transport);
    assert.match(transport.sessionId ?? '', /^[0-9a-f-]{36}$/);
  });

  it('serve an SDK client over stdio', async () => {
    await useAsClient(new StdioClientTransport({ command: process.execPath, args: [STDIO, '--tools', '1500'] }));
  });

  it('answer 404 to an unknown session and 202 to a notification', async () => {
    const url = `http://127.0.0.1:${http.announced}/mcp`;
    const post = (body: string, headers: Record<string, string>) =>
      fetch(url, { method: 'POST', body, headers: { 'content-type': 'application/json', ...headers } });
    const lost = await post('{"jsonrpc":"2.0","id":1,"method":"ping"}', { 'mcp-session-id': 'unknown' });
    assert.equal(lost.status, 404);
    const accepted = await post('{"jsonrpc":"2.0","method":"notifications/initialized"}', {});
    assert.equal(accepted.status, 202);
    assert.equal(await accepted.text(), '');
  });
});

describe('createAnswers', () => {
  const call = (members: string) =>
    `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"echo","arguments":{"text":"x"}${members}}}`;
  const claim = ',"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}';

  it('answers a call that it reads by its spelling as one that it parses', () => {
    const answer = createAnswers({ era: 'legacy', tools: 1 });
    assert.equal(answer(call('')), answer(call('').replace('"id":7', '"id": 7')));
    assert.match(answer(call('')) ?? '', /^\{"jsonrpc":"2\.0","id":7,"result":\{"content":/);
  });

  it('marks results of the modern revision, and only those', () => {
    const both = createAnswers({ era: 'both', tools: 1 });
    assert.match(both(call(claim)) ?? '', /"resultType":"complete"/);
    assert.doesNotMatch(both(call('')) ?? '', /resultType/);
  });

  it('adds text to each result, however the call is spelled', () => {
    const answer = createAnswers({ era: 'both', tools: 1, padding: 1200 });
    for (const text of [call(''), call(claim)]) {
      const [echo, more] = JSON.parse(answer(text) ?? '').result.content;
      assert.deepEqual([echo.text, more.text.length], ['x', 1200]);
    }
  });

  it('refuses the family that it does not speak', () => {
    assert.match(createAnswers({ era: 'legacy', tools: 1 })(call(claim)) ?? '', /"error"/);
    assert.match(createAnswers({ era: 'modern', tools: 1 })(call('')) ?? '', /"error"/);
  });
});
