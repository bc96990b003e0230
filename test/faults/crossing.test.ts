/** What one call leaves behind never reaches another one, whatever its upstream or its client do. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { gatewayHere } from '../support/gateway.js';
import { eventually } from '../support/process.js';
import { rawUpstream } from '../support/raw-upstream.js';
import { modernRpc, openSession } from '../support/rpc.js';
import { statsOf } from './observe.js';

const logEvent = (text: string): string =>
  `data: ${JSON.stringify({ jsonrpc: '2.0', method: 'notifications/message', params: { level: 'error', data: text } })}\n\n`;

describe('calls on one upstream connection', () => {
  it('do not get what follows a broken event of the call before', async (scope) => {
    let held: (() => void) | null = null;
    const upstream = await rawUpstream(scope, async (_, answer) => {
      if (upstream.received('tools/call').length > 1) {
        answer.result({ content: [{ type: 'text', text: 'second' }] });
        return;
      }
      await new Promise<void>((resolve) => {
        held = resolve;
      });
      answer.response.writeHead(200, { 'content-type': 'text/event-stream' });
      // All in one piece, so that the next call takes the connection while the rest is still to be read.
      answer.response.end(`data: not json\n\n${logEvent('of the first')}${logEvent('of the first')}`);
    });
    const gateway = await gatewayHere(scope, { mcpServers: { raw: { url: upstream.url, maxConnections: 1 } } });
    const [one, two] = [await openSession(gateway.url), await openSession(gateway.url)];
    await eventually('the tool is there', async () => {
      const { message } = await one.request('tools/list');
      return message.result.tools.length > 0;
    });
    const first = one.request('tools/call', { name: 'raw__call', arguments: {} });
    await eventually('the first call arrived', () => held !== null);
    const second = two.request('tools/call', { name: 'raw__call', arguments: {} });
    await eventually(
      'the second call waits',
      async () => (await statsOf(gateway)).upstreams[0].endpoints[0].inFlight === 2,
    );
    held!();
    assert.equal((await first).message.error.data.code, 'GW_UPSTREAM_TRUNCATED');
    const reply = await second;
    assert.equal(reply.message.result.content[0].text, 'second');
    assert.equal(reply.messages.length, 1, reply.text);
  });

  it('get one answer each, however many the upstream gives', async (scope) => {
    const upstream = await rawUpstream(scope, (request, answer) => {
      const respond = (text: string): object => ({
        jsonrpc: '2.0',
        id: request.message.id,
        result: { content: [{ type: 'text', text }] },
      });
      const { text } = request.message.params.arguments;
      const stream = answer.sse();
      stream.event(respond(text));
      stream.event(respond(`${text} again`));
      stream.event({ jsonrpc: '2.0', id: request.message.id + 65_536, result: { content: [] } });
      setTimeout(() => {
        stream.event(respond(`${text} once more`));
        stream.end();
      }, 20);
    });
    const gateway = await gatewayHere(scope, { mcpServers: { raw: { url: upstream.url, maxConnections: 2 } } });
    await eventually('calls succeed', async () => {
      const { message } = await modernRpc(gateway.url, 'tools/call', {
        name: 'raw__call',
        arguments: { text: 'first' },
      });
      return message.result !== undefined;
    });
    const replies = await Promise.all(
      Array.from({ length: 20 }, (_, index) =>
        modernRpc(
          gateway.url,
          'tools/call',
          { name: 'raw__call', arguments: { text: `t${index}` } },
          { id: `i${index}` },
        ),
      ),
    );
    for (const [index, reply] of replies.entries()) {
      assert.deepEqual(
        reply.messages.map(({ id, result }) => [id, result.content[0].text]),
        [[`i${index}`, `t${index}`]],
      );
    }
  });
});
