/** GETs of clients with a session and of clients without, and POSTs of legacy clients that never had one. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openAnswer } from '../support/event-stream.js';
import { startGateway } from '../support/gateway.js';
import { eventually } from '../support/process.js';
import { modernRpc, openSession, rpc } from '../support/rpc.js';
import { shared } from '../support/shared.js';
import { countingStdio } from '../support/upstreams.js';

const fixture = shared(async (scope, frontEnd: 'uws' | 'node', family: 'legacy' | 'modern', more: object = {}) => {
  const { entry } = await countingStdio(scope, family);
  const gateway = await startGateway(scope, { mcpServers: { peer: entry }, ...more }, { frontEnd });
  await eventually('the upstream is listed', async () => {
    const { message } = await modernRpc(gateway.url, 'tools/list');
    return message.result.tools.length > 0;
  });
  return gateway;
});

const CHANGED = 'notifications/tools/list_changed';
let tools = 0;
const addTool = () => {
  tools += 1;
  return { name: 'peer__add_tool', arguments: { name: `added_${tools}` } };
};

for (const frontEnd of ['uws', 'node'] as const) {
  describe(`a client without a session on ${frontEnd}`, () => {
    it('is told with 405 that there is no stream, and nothing to end', async () => {
      const { url } = await fixture(frontEnd, 'legacy');
      for (const method of ['GET', 'DELETE']) {
        for (const headers of [
          { accept: 'text/event-stream' },
          { accept: '*/*', 'mcp-protocol-version': '2025-06-18' },
          { accept: 'text/event-stream', 'last-event-id': 'x' },
          { accept: 'text/event-stream', 'mcp-protocol-version': '2026-07-28' },
        ]) {
          const reply = await rpc(url, undefined, headers as unknown as Record<string, string>, { method });
          assert.deepEqual([reply.status, reply.headers.get('allow')], [405, 'POST'], JSON.stringify(headers));
        }
      }
      const unknown = await rpc(url, undefined, { 'mcp-session-id': 'x' }, { method: 'GET' });
      assert.equal(unknown.status, 404, 'a session that is gone is a reason to initialize again');
    });

    it('has to send initialize unless sessions.required is false', async () => {
      const { url } = await fixture(frontEnd, 'legacy');
      const { status, message } = await rpc(url, { jsonrpc: '2.0', id: 1, method: 'tools/list' });
      assert.deepEqual([status, message.id, message.error.data.code], [400, 1, 'GW_SESSION_REQUIRED']);
      assert.match(message.error.message, /sessions\.required: false/);
    });

    for (const family of ['legacy', 'modern'] as const) {
      it(`is served with sessions.required: false, ${family} server`, async (scope) => {
        const { url } = await fixture(frontEnd, family, { sessions: { required: false } });
        const call = (id: number, name: string, args: object) => ({
          jsonrpc: '2.0',
          id,
          method: 'tools/call',
          params: { name, arguments: args },
        });
        for (const version of ['', '2025-03-26', '2025-06-18', '2025-11-25']) {
          const headers = { 'mcp-protocol-version': version };
          const ask = (message: unknown) => rpc(url, message, headers);
          assert.equal((await ask({ jsonrpc: '2.0', method: 'notifications/initialized' })).status, 202);
          const list = await ask({ jsonrpc: '2.0', id: 1, method: 'tools/list' });
          assert.ok(list.message.result.tools.some(({ name }: { name: string }) => name === 'peer__echo'));
          const echoed = await ask(call(2, 'peer__echo', { text: 'a' }));
          assert.equal(echoed.message.result.content[0].text, 'a', version);
          assert.equal(echoed.headers.get('mcp-session-id'), null);
          for (const method of ['resources/subscribe', 'logging/setLevel']) {
            const params = method === 'logging/setLevel' ? { level: 'info' } : { uri: 'memo://x' };
            const { message } = await ask({ jsonrpc: '2.0', id: 3, method, params });
            assert.equal(message.error.data.code, 'GW_SESSION_REQUIRED', method);
          }
          const batch = await ask([call(5, 'peer__echo', { text: 'b' }), { jsonrpc: '2.0', id: 6, method: 'ping' }]);
          const ids = batch.messages.map(({ id }) => id).sort();
          assert.deepEqual(ids, version === '' || version === '2025-03-26' ? [5, 6] : [null], version);
        }
        const session = await openSession(url);
        assert.notEqual(session.id, '', 'initialize opens one all the same');
        const streamed = await openAnswer(scope, url, {
          message: {
            ...call(7, 'peer__slow', { ms: 20, steps: 2 }),
            params: { name: 'peer__slow', arguments: { ms: 20, steps: 2 }, _meta: { progressToken: 'p' } },
          },
        });
        await streamed.end();
        assert.deepEqual(
          streamed.messages().map(({ id, params }) => params?.progressToken ?? id),
          ['p', 'p', 7],
        );
      });

      it(`has no capabilities, so a ${family} server that asks is told so`, async (scope) => {
        const program = fileURLToPath(new URL('../support/dialogue-server.js', import.meta.url));
        const entry = { command: process.execPath, args: [program, family, 'stdio'], isolation: 'session' };
        const config = { mcpServers: { peer: entry }, sessions: { required: false } };
        const { url } = await startGateway(scope, config, { frontEnd });
        await eventually('the upstream is listed', async () => {
          const { message } = await modernRpc(url, 'tools/list');
          return message.result.tools.length > 0;
        });
        const params = { name: 'peer__confirm', arguments: { question: 'sure?' } };
        const { message } = await rpc(url, { jsonrpc: '2.0', id: 'c', method: 'tools/call', params });
        assert.equal(message.id, 'c');
        assert.ok(message.error !== undefined || message.result.isError === true, JSON.stringify(message));
      });
    }
  });

  describe(`a further stream of a session on ${frontEnd}`, () => {
    for (const version of ['2025-03-26', '2025-06-18', '2025-11-25']) {
      it(`is served and gets the messages, ${version}`, async (scope) => {
        const { url } = await fixture(frontEnd, 'legacy');
        const session = await openSession(url, { version });
        const open = (headers: Record<string, string> = {}) =>
          openAnswer(scope, url, { headers: { ...session.headers, ...headers } });
        const first = await open();
        const second = await open();
        assert.deepEqual([first.status, second.status], [200, 200]);
        await session.request('tools/call', addTool());
        await second.until(CHANGED);
        assert.deepEqual([first.ended, first.messages()], [false, []], 'each message goes to one stream');
        second.cut();
        await eventually('the first stream takes over', async () => {
          await session.request('tools/call', addTool());
          return first.text.includes(CHANGED);
        });
        const last = second.events().at(-1)!.id;
        const third = await open({ 'last-event-id': last });
        assert.equal(third.status, 200);
        await session.request('tools/call', addTool());
        await third.until(CHANGED);
        // What the gateway could not know to be lost with the second stream is replayed on the third, and nothing else.
        const again = await open({ 'last-event-id': third.events().at(-1)!.id });
        await third.end();
        assert.deepEqual([again.status, again.messages(), first.ended], [200, [], false]);
      });
    }

    it('ends the oldest beyond limits.maxSessionStreams, which may be resumed', async (scope) => {
      const { url } = await fixture(frontEnd, 'legacy', { limits: { maxSessionStreams: 1 } });
      const session = await openSession(url);
      const first = await openAnswer(scope, url, { headers: session.headers });
      await session.request('tools/call', addTool());
      await first.until(CHANGED);
      const second = await openAnswer(scope, url, { headers: session.headers });
      assert.equal(second.status, 200);
      await first.end();
      const id = first.events()[0]!.id;
      const third = await openAnswer(scope, url, { headers: { ...session.headers, 'last-event-id': id } });
      await third.until(CHANGED);
      await second.end();
      await session.close();
      await third.end();
    });

    it('of another session ends none', async (scope) => {
      const { url } = await fixture(frontEnd, 'legacy', { limits: { maxSessionStreams: 1, maxStreams: 2 } });
      const [one, two, three] = [await openSession(url), await openSession(url), await openSession(url)];
      const streams = [];
      for (const { headers } of [one, two]) streams.push(await openAnswer(scope, url, { headers }));
      const refused = await openAnswer(scope, url, { headers: three.headers });
      assert.equal(refused.status, 503);
      assert.ok(streams.every(({ ended }) => !ended));
    });
  });
}
