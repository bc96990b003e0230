/** Calls to servers that are being connected wait for them, and fail at once where that has failed. */
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { describe, it } from 'node:test';
import { startGateway } from '../support/gateway.js';
import { eventually, type TestScope } from '../support/process.js';
import { rawUpstream, type Script } from '../support/raw-upstream.js';
import { modernRpc, openSession } from '../support/rpc.js';

const CATALOG = { startupWaitMs: 0, firstListWaitMs: 0 };
const OK = { content: [{ type: 'text', text: 'ok' }] };

/** A raw upstream whose handshake is held back until the gate opens. */
async function gated(scope: TestScope, family: 'legacy' | 'modern', answerCall: Script) {
  let open = (): void => {};
  const gate = new Promise<void>((resolve) => {
    open = resolve;
  });
  const inner = await rawUpstream(scope, answerCall, { family });
  const outer = await rawUpstream(
    scope,
    async (request, answer) => {
      await gate;
      const { host, 'content-length': _length, ...headers } = request.headers as Record<string, string>;
      const reply = await fetch(inner.url, { method: 'POST', headers, body: request.body });
      const head: Record<string, string> = {};
      for (const name of ['content-type', 'mcp-session-id']) {
        const value = reply.headers.get(name);
        if (value !== null) head[name] = value;
      }
      answer.response.writeHead(reply.status, head).end(Buffer.from(await reply.arrayBuffer()));
    },
    { family: 'none' },
  );
  return { url: outer.url, open, inner };
}

const answerOk: Script = (_request, answer) => answer.result({ resultType: 'complete', ...OK });

describe('a call to a server that was never connected', () => {
  it('waits for the first handshake, whichever family the server turns out to be of', async (scope) => {
    const [legacy, modern] = [await gated(scope, 'legacy', answerOk), await gated(scope, 'modern', answerOk)];
    const gateway = await startGateway(scope, {
      catalog: CATALOG,
      mcpServers: { old: { url: legacy.url }, new: { url: modern.url } },
    });
    const session = await openSession(gateway.url);
    const calls = ['old', 'new'].flatMap((name) => [
      session.request('tools/call', { name: `${name}__call`, arguments: {} }),
      modernRpc(gateway.url, 'tools/call', { name: `${name}__call`, arguments: {} }),
    ]);
    // They have arrived when a later request was answered on the same loop.
    await modernRpc(gateway.url, 'server/discover');
    legacy.open();
    modern.open();
    for (const { message } of await Promise.all(calls)) assert.deepEqual(message.result.content, OK.content);
    for (const { inner } of [legacy, modern]) assert.equal(inner.received('tools/call').length, 2);
  });

  it('waits up to connectTimeoutMs, and no more calls than maxQueue; a cancelled one is not sent', async (scope) => {
    const silent = await gated(scope, 'legacy', answerOk);
    const full = await gated(scope, 'legacy', answerOk);
    const later = await gated(scope, 'legacy', answerOk);
    const gateway = await startGateway(scope, {
      catalog: CATALOG,
      mcpServers: {
        silent: { url: silent.url, connectTimeoutMs: 3_000 },
        full: { url: full.url, maxQueue: 1 },
        later: { url: later.url },
        none: { url: silent.url, maxQueue: 0 },
      },
    });
    const call = (name: string, signal?: AbortSignal) =>
      modernRpc(gateway.url, 'tools/call', { name: `${name}__call`, arguments: {} }, signal ? { signal } : {});
    const codeOf = async (reply: ReturnType<typeof call>) => (await reply).message.error?.data.code;
    assert.equal(await codeOf(call('none')), 'GW_UPSTREAM_NOT_CONNECTED');
    const slow = codeOf(call('silent'));
    const two = await Promise.race([call('full'), call('full')]);
    assert.equal(two.message.error.data.code, 'GW_UPSTREAM_BUSY');
    full.open();

    const leaving = new AbortController();
    const left = call('later', leaving.signal).catch(() => 'left');
    await modernRpc(gateway.url, 'server/discover');
    leaving.abort();
    assert.equal(await left, 'left');
    const inUse = async () => {
      const stats = (await (await fetch(`${gateway.adminUrl}/stats`)).json()) as { requests: { inFlight: number } };
      return stats.requests.inFlight;
    };
    await eventually('it is gone', async () => (await inUse()) <= 1);
    later.open();
    assert.deepEqual((await call('later')).message.result.content, OK.content);
    assert.equal(later.inner.received('tools/call').length, 1);
    assert.equal(await slow, 'GW_UPSTREAM_NOT_CONNECTED');
  });

  it('fails at once with the reason after a try has failed', async (scope) => {
    const gone = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => gone.once('listening', resolve));
    const { port } = gone.address() as { port: number };
    await new Promise((resolve) => gone.close(resolve));
    const gateway = await startGateway(scope, {
      catalog: { startupWaitMs: 10_000, firstListWaitMs: 0 },
      mcpServers: { gone: { url: `http://127.0.0.1:${port}/mcp`, connectTimeoutMs: 600_000 } },
    });
    const { message } = await modernRpc(gateway.url, 'tools/call', { name: 'gone__call', arguments: {} });
    assert.equal(message.error.data.code, 'GW_UPSTREAM_NOT_CONNECTED');
    assert.match(message.error.message, /Reason: .*ECONNREFUSED/);
  });
});

describe('an HTTP server that has lost its sessions', () => {
  it('has calls wait while the first new handshake fails', async (scope) => {
    let isLost = false;
    let refusals = 0;
    const upstream = await rawUpstream(
      scope,
      (request, answer) => {
        const { method, id, params } = request.message;
        if (method === 'server/discover') answer.response.writeHead(404).end();
        else if (method === 'initialize' && isLost && refusals === 0) {
          refusals += 1;
          answer.response.writeHead(500).end();
        } else if (method === 'initialize') {
          isLost = false;
          const { protocolVersion } = params;
          const result = { protocolVersion, capabilities: { tools: {} }, serverInfo: { name: 'x', version: '1' } };
          answer.json(JSON.stringify({ jsonrpc: '2.0', id, result }), { 'mcp-session-id': `s${refusals}` });
        } else if (method === 'tools/list')
          answer.result({ tools: [{ name: 'call', inputSchema: { type: 'object' } }] });
        else if (method === 'tools/call' && isLost) answer.response.writeHead(404).end();
        else if (id === undefined) answer.response.writeHead(202).end();
        else answer.result(OK);
      },
      { family: 'none' },
    );
    const gateway = await startGateway(scope, { mcpServers: { it: { url: upstream.url } } });
    const call = () => modernRpc(gateway.url, 'tools/call', { name: 'it__call', arguments: {} });
    assert.deepEqual((await call()).message.result.content, OK.content);
    isLost = true;
    const first = call();
    await eventually('the handshake was refused', () => refusals === 1);
    const second = call();
    assert.deepEqual((await second).message.result?.content, OK.content);
    await first;
  });
});
