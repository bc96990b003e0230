/** Upstreams that stop, refuse, flap or do not listen: told in time, and used again once they are well. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { gatewayHere } from '../support/gateway.js';
import { eventually } from '../support/process.js';
import { rawUpstream } from '../support/raw-upstream.js';
import { type Message, modernRpc, openSession } from '../support/rpc.js';
import { countingHttp, countingStdio } from '../support/upstreams.js';
import { idle, listed, statsOf } from './observe.js';

const child = fileURLToPath(new URL('../upstream/fixtures/child.js', import.meta.url));
const codeOf = ({ message }: { message: Message }): string | undefined => message.error?.data.code;

/** Lets a stopped process go on, if it still is there. */
function goOn(pid: number): void {
  try {
    process.kill(pid, 'SIGCONT');
  } catch {
    // It is gone: all the better.
  }
}

describe('a stopped upstream', () => {
  for (const transport of ['stdio', 'http'] as const) {
    it(`times out, frees everything, and serves again when it goes on (${transport})`, async (scope) => {
      const server = transport === 'http' ? await countingHttp(scope, 'legacy') : await countingStdio(scope, 'legacy');
      const entry = { ...server.entry, requestTimeoutMs: 500 };
      const gateway = await gatewayHere(scope, { mcpServers: { one: entry } });
      await listed(gateway);
      const session = await openSession(gateway.url);
      const echo = () => session.request('tools/call', { name: 'one__echo', arguments: { text: 'x' } });
      assert.equal((await echo()).message.result.content[0].text, 'x');
      const { pid } = server.calls('echo').at(-1)!;
      process.kill(pid, 'SIGSTOP');
      scope.after(() => goOn(pid));
      const replies = await Promise.all(Array.from({ length: 3 }, echo));
      assert.deepEqual(replies.map(codeOf), Array(3).fill('GW_UPSTREAM_TIMEOUT'));
      await idle(gateway);
      process.kill(pid, 'SIGCONT');
      await eventually('a call succeeds', async () => (await echo()).message.result !== undefined);
    });
  }
});

describe('an upstream that cannot be reached', () => {
  it('is left alone after five refusals, probed once at a time, and used again', async (scope) => {
    const upstream = await rawUpstream(scope, (_, answer) => answer.result({ content: [] }));
    const gateway = await gatewayHere(scope, { mcpServers: { raw: { url: upstream.url } } });
    await listed(gateway);
    const call = () => modernRpc(gateway.url, 'tools/call', { name: 'raw__call', arguments: {} });
    assert.notEqual((await call()).message.result, undefined);
    await upstream.close();
    const codes: (string | undefined)[] = [];
    await eventually('the circuit opens', async () => {
      codes.push(codeOf(await call()));
      return codes.at(-1) === 'GW_CIRCUIT_OPEN';
    });
    const { headers, message } = await call();
    const { code, retryAfterMs } = message.error.data;
    assert.equal(code, 'GW_CIRCUIT_OPEN');
    assert.ok(retryAfterMs >= 1_000 && retryAfterMs <= 30_000, String(retryAfterMs));
    assert.equal(headers.get('retry-after'), String(Math.ceil(retryAfterMs / 1_000)));
    const failed = codes.filter((code) => code !== 'GW_CIRCUIT_OPEN');
    assert.ok(failed.length >= 5 && failed.length <= 7, codes.join());
    const breaker = async () => (await statsOf(gateway)).upstreams[0].endpoints[0].breaker;
    await eventually('a probe is due', async () => (await breaker()) === 'half-open');
    let probes = 0;
    const again = await rawUpstream(
      scope,
      async (_, answer) => {
        probes += 1;
        await new Promise((resolve) => setTimeout(resolve, 300));
        answer.result({ content: [] });
      },
      { port: upstream.port },
    );
    const replies = await Promise.all(Array.from({ length: 10 }, call));
    assert.equal(probes, 1);
    assert.equal(replies.filter(({ message }) => message.result !== undefined).length, 1);
    assert.equal(replies.filter((reply) => codeOf(reply) === 'GW_CIRCUIT_OPEN').length, 9);
    assert.notEqual((await call()).message.result, undefined);
    assert.equal(await breaker(), 'closed');
    assert.equal(again.received('tools/call').length, 2);
  });
});

describe('a stdio child', () => {
  it('that ends again and again is down, says so at once, and holds up nobody else', async (scope) => {
    const gateway = await gatewayHere(scope, {
      mcpServers: {
        bad: { command: process.execPath, args: [child, 'exit'] },
        good: { command: process.execPath, args: [child, 'plain'] },
      },
    });
    const state = async () => (await statsOf(gateway)).upstreams[0].endpoints[0].state;
    await eventually('it is given up', async () => (await state()) === 'failed', 30_000);
    const call = (name: string) => modernRpc(gateway.url, 'tools/call', { name, arguments: { text: 'x' } });
    assert.equal(codeOf(await call('bad__anything')), 'GW_UPSTREAM_NOT_CONNECTED');
    assert.notEqual((await call('good__call')).message.result, undefined);
  });

  it('that does not read is busy once its pipe and queue are full, and works again after', async (scope) => {
    const server = await countingStdio(scope, 'legacy');
    const gateway = await gatewayHere(scope, {
      mcpServers: { one: { ...server.entry, requestTimeoutMs: 3_000, maxQueue: 0 } },
      limits: { maxPipeBytes: 262_144 },
    });
    await listed(gateway);
    const call = (text: string) => modernRpc(gateway.url, 'tools/call', { name: 'one__echo', arguments: { text } });
    assert.notEqual((await call('x')).message.result, undefined);
    const { pid } = server.calls('echo').at(-1)!;
    process.kill(pid, 'SIGSTOP');
    scope.after(() => goOn(pid));
    const replies = await Promise.all(Array.from({ length: 20 }, () => call('y'.repeat(65_536))));
    const codes = replies.map(codeOf);
    assert.ok(codes.includes('GW_UPSTREAM_BUSY'), codes.join());
    assert.ok(codes.every((code) => code === 'GW_UPSTREAM_BUSY' || code === 'GW_UPSTREAM_TIMEOUT'));
    process.kill(pid, 'SIGCONT');
    await idle(gateway);
    await eventually('a call succeeds', async () => (await call('x')).message.result !== undefined);
  });

  it('takes one call at a time where told so, lets as many wait as may, and refuses the rest', async (scope) => {
    const server = await countingStdio(scope, 'legacy');
    const gateway = await gatewayHere(scope, {
      mcpServers: { one: { ...server.entry, requestTimeoutMs: 1_000, maxConnections: 1, maxQueue: 8 } },
    });
    await listed(gateway);
    const call = () => modernRpc(gateway.url, 'tools/call', { name: 'one__hang', arguments: {} });
    const replies = await Promise.all(Array.from({ length: 12 }, call));
    const codes = replies.map(codeOf);
    assert.equal(codes.filter((code) => code === 'GW_UPSTREAM_BUSY').length, 3, codes.join());
    assert.equal(codes.filter((code) => code === 'GW_UPSTREAM_TIMEOUT').length, 9, codes.join());
    await idle(gateway);
  });
});
