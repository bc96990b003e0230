/** The reason that a client gives when it cancels a request, on its way to the upstream. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { startGateway } from '../support/gateway.js';
import { eventually, type TestScope } from '../support/process.js';
import { rawUpstream } from '../support/raw-upstream.js';
import { type Message, modernMessage, modernRpc, openSession, rpc } from '../support/rpc.js';
import { openWebSocket } from '../support/transports.js';

async function fixture(scope: TestScope, frontEnd: 'uws' | 'node') {
  const upstream = await rawUpstream(scope, (request, answer) => {
    if (request.message.method === 'notifications/cancelled') answer.response.writeHead(202).end();
  });
  const gateway = await startGateway(scope, { mcpServers: { peer: { url: upstream.url } } }, { frontEnd });
  await eventually('the upstream is listed', async () => {
    const { message } = await modernRpc(gateway.url, 'tools/list');
    return message.result.tools.length > 0;
  });
  const arrived = (count: number) =>
    eventually('the call arrived', () => upstream.received('tools/call').length === count);
  const cancelled = async (count: number): Promise<Message> => {
    await eventually('it is cancelled', () => upstream.received('notifications/cancelled').length === count);
    const { requestId, ...rest } = upstream.received('notifications/cancelled').at(-1)!.message.params;
    assert.equal(requestId, upstream.received('tools/call').at(-1)!.message.id);
    return rest;
  };
  return { gateway, upstream, arrived, cancelled };
}

for (const frontEnd of ['uws', 'node'] as const) {
  describe(`The reason of a cancellation, ${frontEnd} front end`, () => {
    it('reaches the upstream of a session, unless it is no text', async (scope) => {
      const { gateway, arrived, cancelled } = await fixture(scope, frontEnd);
      const session = await openSession(gateway.url);
      const long = 'x'.repeat(5_000);
      const rows: [unknown, object][] = [
        ['the user pressed "stop"\n\u00e9 \ud83d\ude00', { reason: 'the user pressed "stop"\n\u00e9 \ud83d\ude00' }],
        [undefined, {}],
        [null, {}],
        [7, {}],
        ['', {}],
        [long, { reason: long.slice(0, 1_024) }],
      ];
      for (const [index, [reason, expected]] of rows.entries()) {
        const stop = new AbortController();
        const body = { jsonrpc: '2.0', id: index, method: 'tools/call', params: { name: 'peer__call' } };
        const call = rpc(gateway.url, body, session.headers, { signal: stop.signal });
        call.catch(() => {});
        await arrived(index + 1);
        await session.notify('notifications/cancelled', { requestId: index, reason });
        assert.deepEqual(await cancelled(index + 1), expected);
        stop.abort();
      }
    });

    it('reaches the upstream from a connection of the newest revision', async (scope) => {
      const { gateway, arrived, cancelled } = await fixture(scope, frontEnd);
      const connection = await openWebSocket(scope, gateway.origin);
      connection.send(modernMessage('tools/call', { name: 'peer__call', arguments: {} }, { id: 'h' }));
      await arrived(1);
      const params = { reason: 'no longer needed', requestId: 'h' };
      connection.send({ jsonrpc: '2.0', method: 'notifications/cancelled', params });
      assert.deepEqual(await cancelled(1), { reason: 'no longer needed' });
    });
  });
}
