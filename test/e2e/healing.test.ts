/** Upstreams over HTTP that restart, forget and break: the client's next call succeeds, and none is executed twice. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { idle, listed } from '../faults/observe.js';
import { type RunningGateway, startGateway } from '../support/gateway.js';
import { eventually, freePort } from '../support/process.js';
import { rawUpstream } from '../support/raw-upstream.js';
import { type Message, modernRpc, openSession } from '../support/rpc.js';
import { countingHttp } from '../support/upstreams.js';

type Call = (tool: string, args: object) => Promise<Message>;

/** A client of each family, each with a session of its own where it has one. */
async function clients(gateway: RunningGateway): Promise<Record<'legacy' | 'modern', Call>> {
  const session = await openSession(gateway.url);
  return {
    legacy: async (name, args) => (await session.request('tools/call', { name, arguments: args })).message,
    modern: async (name, args) => (await modernRpc(gateway.url, 'tools/call', { name, arguments: args })).message,
  };
}

const UPSTREAMS = [
  { what: 'with sessions', family: 'legacy', options: {} },
  { what: 'without sessions', family: 'modern', options: { dual: true } },
  { what: 'of 2026-07-28', family: 'modern', options: {} },
] as const;

describe('an HTTP upstream that is killed and started again', () => {
  for (const { what, family, options } of UPSTREAMS) {
    it(`${what}: the next call of every client succeeds at once`, async (scope) => {
      const server = await countingHttp(scope, family, options);
      const gateway = await startGateway(scope, { mcpServers: { up: server.entry } });
      await listed(gateway);
      const calls = Object.values(await clients(gateway));
      let n = 0;
      const echoAll = async (): Promise<void> => {
        for (const call of calls) {
          n += 1;
          const message = await call('up__echo', { text: `n${n}` });
          assert.equal(message.result?.content[0].text, `n${n}`, JSON.stringify(message));
        }
      };
      await echoAll();
      for (let round = 0; round < 3; round += 1) {
        await server.restart();
        await echoAll();
        await echoAll();
      }
      assert.equal(server.calls('echo').length, n);
    });

    it(`${what}: a call that was under way fails once, clearly, and is not executed twice`, async (scope) => {
      const server = await countingHttp(scope, family, options);
      const gateway = await startGateway(scope, { mcpServers: { up: server.entry } });
      await listed(gateway);
      for (const call of Object.values(await clients(gateway))) {
        const before = server.calls('hang').length;
        const hanging = call('up__hang', {});
        await eventually('the call arrived', () => server.calls('hang').length === before + 1);
        await server.restart();
        const { error } = await hanging;
        assert.ok(['GW_UPSTREAM_CLOSED', 'GW_UPSTREAM_TRUNCATED'].includes(error.data.code), JSON.stringify(error));
        assert.equal(error.data.retryable, true);
        assert.equal(server.calls('hang').length, before + 1);
        assert.equal((await call('up__echo', { text: 'next' })).result?.content[0].text, 'next');
      }
      await idle(gateway);
    });
  }
});

describe('an HTTP upstream that forgets its sessions', () => {
  it('is asked for another, once for all calls that meet it', async (scope) => {
    const server = await countingHttp(scope, 'legacy');
    const gateway = await startGateway(scope, { mcpServers: { up: server.entry } });
    await listed(gateway);
    const { legacy, modern } = await clients(gateway);
    for (let round = 0; round < 3; round += 1) {
      await fetch(server.url.replace('/mcp', '/forget'), { method: 'POST' });
      const texts = Array.from({ length: 20 }, (_, index) => `r${round}-${index}`);
      const replies = await Promise.all(
        texts.map((text, index) => (index % 2 ? legacy : modern)('up__echo', { text })),
      );
      assert.deepEqual(
        replies.map((message) => message.result?.content[0].text ?? message.error),
        texts,
      );
    }
    assert.equal(server.calls('echo').length, 60);
  });
});

describe('a connection that is closed without an answer', () => {
  for (const family of ['legacy', 'modern'] as const) {
    it(`repeats a call that is safe, once, and no other (${family} upstream)`, async (scope) => {
      const upstream = await rawUpstream(scope, () => {}, { family });
      const gateway = await startGateway(scope, { mcpServers: { up: { url: upstream.url } } });
      await listed(gateway);
      for (const call of Object.values(await clients(gateway))) {
        let failures = 1;
        upstream.script((_, answer) => {
          if (failures > 0) answer.reset();
          else answer.result({ resultType: 'complete', content: [{ type: 'text', text: 'well' }] });
          failures -= 1;
        });
        assert.equal((await call('up__read', {})).result?.content[0].text, 'well');
        assert.equal(failures, -1);
        failures = 2;
        assert.equal((await call('up__read', {})).error?.data.code, 'GW_UPSTREAM_CLOSED');
        assert.equal(failures, 0);
        failures = 1;
        const { error } = await call('up__call', {});
        assert.deepEqual([error?.data.code, error?.data.retryable, failures], ['GW_UPSTREAM_CLOSED', true, 0]);
      }
      await idle(gateway);
    });
  }
});

describe('an HTTP upstream that comes back as another', () => {
  for (const [before, after] of [
    ['legacy', 'modern'],
    ['modern', 'legacy'],
  ] as const) {
    it(`${before}, then ${after}: that is found out by the first call, and both families are served again`, async (scope) => {
      const port = await freePort();
      const tools = (text: string) => (_: unknown, answer: { result(result: object): void }) =>
        answer.result({ resultType: 'complete', content: [{ type: 'text', text }] });
      const old = await rawUpstream(scope, tools('old'), { family: before, port });
      const gateway = await startGateway(scope, { mcpServers: { up: { url: old.url } } });
      await listed(gateway);
      const { legacy, modern } = await clients(gateway);
      assert.equal((await legacy('up__call', {})).result?.content[0].text, 'old');
      await old.close();
      // As real servers do, it refuses what it does not understand.
      const strict = await rawUpstream(
        scope,
        (request, answer) => {
          const isModern = request.message.params?._meta?.['io.modelcontextprotocol/protocolVersion'] !== undefined;
          if (isModern === (after === 'modern') && (isModern || request.headers['mcp-session-id'] !== undefined)) {
            tools('new')(request, answer);
            return;
          }
          const error = isModern
            ? { code: -32000, message: 'Bad Request: no valid session' }
            : { code: -32022, message: 'Unsupported', data: { supported: ['2026-07-28'], requested: '2025-11-25' } };
          answer.response.writeHead(400, { 'content-type': 'application/json' });
          answer.response.end(JSON.stringify({ jsonrpc: '2.0', id: null, error }));
        },
        { family: after, port },
      );
      const failures: Message[] = [];
      await eventually('it is found out', async () => {
        const { result, error } = await legacy('up__call', {});
        if (error) failures.push(error.data?.code ?? error.code);
        return result?.content[0].text === 'new';
      });
      // Calls that are written for the family it had cannot be sent to the other one.
      assert.ok(failures.length <= 3, JSON.stringify(failures));
      assert.equal((await modern('up__call', {})).result?.content[0].text, 'new');
      assert.ok(strict.received('tools/call').length >= 2);
    });
  }
});
